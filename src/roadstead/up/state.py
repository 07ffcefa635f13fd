"""The state folder of `roadstead up`: what is where, made at the first start, checked at each."""

import errno
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import UpError

SCHEMA: Final = 1
"""The version of the folder's layout."""

Port = Annotated[int, Field(ge=1, le=65_535)]


class Ports(BaseModel):
    """Ports on loopback, chosen once: running servers and their routes know them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hub: Port
    proxy_api: Port
    outpost: Port


class Layout(BaseModel):
    """The content of `state.json`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: int
    ports: Ports


class State:
    """An opened state folder."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.folder = folder
        self.ports = layout.ports
        self.run = folder / "run"
        self.logs = folder / "logs"
        self.secrets = folder / "secrets"
        self.hub_config = folder / "jupyterhub_config.py"
        self.hub_database = folder / "jupyterhub.sqlite"
        self.outpost_config = folder / "outpost_config.py"
        self.outpost_state = folder / "outpost"


def open_state(folder: Path, *, make: bool = False) -> State:
    """Open the state folder, with `make` also one that is missing or empty. Raises UpError."""
    folder = Path.cwd() / folder
    try:
        if folder.exists() and folder.stat().st_uid != os.geteuid():
            raise UpError(f"The state folder {folder} belongs to another account; work as {_owner(folder)}.")
        if make and not (folder.is_dir() and any(folder.iterdir())):
            return _make(folder)
        return _open(folder)
    except PermissionError as error:
        raise UpError(
            f"The state folder {folder} cannot be used (permission denied: {error.filename}); "
            f"give it back to this account with: sudo chown -R {os.getuid()} {folder} && chmod -R u+rwX {folder}"
        ) from None
    except (NotADirectoryError, FileExistsError) as error:
        raise UpError(
            f"{error.filename} is a file and must be a folder; move it away, or name another place with --state."
        ) from None


def _make(folder: Path) -> State:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    layout = Layout(schema_version=SCHEMA, ports=_free_ports())
    write_privately(folder / "state.json", layout.model_dump_json(indent=1) + "\n")
    return _with_folders(folder, layout)


def _open(folder: Path) -> State:
    if not folder.is_dir():
        if folder.exists():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        raise UpError(f"There is no state folder at {folder}; name it with --state, or start with: roadstead up")
    if folder.stat().st_uid != os.geteuid():
        raise UpError(
            f"The state folder {folder} belongs to another account; work as {_owner(folder)}, or use --state."
        )
    if folder.stat().st_mode & 0o077:
        raise UpError(f"The state folder {folder} can be read by others; close it with: chmod 700 {folder}")
    return _with_folders(folder, _read_layout(folder))


def _read_layout(folder: Path) -> Layout:
    path = folder / "state.json"
    begin_anew = "restore it from a backup, or name an empty folder with --state"
    try:
        layout = Layout.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UpError(
            f"The folder {folder} is not empty, yet holds no state of Roadstead (no state.json); {begin_anew}."
        ) from None
    except ValidationError:
        raise UpError(f"The state folder is damaged: {path} cannot be understood; {begin_anew}.") from None
    if layout.schema_version > SCHEMA:
        raise UpError(
            f"The state folder {folder} was written by a newer Roadstead (layout {layout.schema_version}, this one "
            f"knows {SCHEMA}); upgrade Roadstead, or name another folder with --state."
        )
    return layout


def _with_folders(folder: Path, layout: Layout) -> State:
    state = State(folder, layout)
    for each in (state.run, state.logs, state.secrets, folder / "homes"):
        each.mkdir(mode=0o700, exist_ok=True)
        next(each.iterdir(), None)
    return state


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return f"user id {path.stat().st_uid}"


def _free_ports() -> Ports:
    """Free ports below those that the system gives to whoever asks for any, for they must still be free next time."""
    found = (port for port in secrets.SystemRandom().sample(range(20_000, 32_000), 1000) if is_free("127.0.0.1", port))
    return Ports(hub=next(found), proxy_api=next(found), outpost=next(found))


def is_free(address: str, port: int) -> bool:
    """Whether this port can be listened on now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def write_privately(path: Path, text: str) -> None:
    """Write a file that only its owner can read, at once and as a whole."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


Say = Callable[[str], None]
"""Tells a person one line."""
