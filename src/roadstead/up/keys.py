"""The secrets of `roadstead up`: one file each, mode 0600, made at the first start, checked at each."""

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .errors import UpError
from .state import State, write_privately


def _password() -> str:
    """Sixteen letters and digits (79 bits) without those that look alike."""
    letters = "abcdefghijkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))


def _hexadecimal() -> str:
    return secrets.token_hex(32)


class Secret(NamedTuple):
    """One secret: how it is made and what it must look like."""

    name: str
    make: Callable[[], str] | None
    pattern: str = r"[0-9a-f]{64}"
    needed_by: str | None = None
    """A file of the state folder that is worthless with another secret: if that exists, a lost one is not replaced."""


SECRETS = (
    Secret("password", _password, r"[!-~]{8,200}"),
    Secret("admin-password", _hexadecimal, r"[!-~]{32,200}"),
    Secret("proxy-token", _hexadecimal),
    Secret("cookie-secret", _hexadecimal),
    Secret("crypt-key", _hexadecimal, needed_by="jupyterhub.sqlite"),
    Secret("supervisor-token", _hexadecimal),
    Secret("hub-credential", None, r"[A-Za-z0-9]{4,32}\.[\w-]{16,}", needed_by="outpost_config.py"),
)
"""`supervisor-token` lets `roadstead up` ask the hub to fill a proxy that had to be started anew; `hub-credential` is
made together with the outpost's configuration, which has its hash."""


def prepare_secrets(state: State) -> None:
    """Make the secrets that are missing and check the others. Raises UpError."""
    for secret in SECRETS:
        path = state.secrets / secret.name
        if not path.exists():
            if secret.make is None or (secret.needed_by and (state.folder / secret.needed_by).exists()):
                raise UpError(
                    f"The secret {path} is missing, without which {secret.needed_by} is of no use; "
                    f"restore it from a backup, or remove {state.folder}/{secret.needed_by} too."
                )
            write_privately(path, secret.make() + "\n")
        _check(path, secret.pattern)


def read_secret(state: State, name: str) -> str:
    """A secret that prepare_secrets has checked."""
    return (state.secrets / name).read_text(encoding="utf-8").strip()


def _check(path: Path, pattern: str) -> None:
    if path.stat().st_mode & 0o077:
        raise UpError(f"The secret {path} can be read by others; close it with: chmod 600 {path}")
    text = path.read_bytes().decode(errors="replace").strip()
    if not re.fullmatch(pattern, text):
        raise UpError(f"The secret {path} is damaged; restore it from a backup, or remove it to get a new one.")
