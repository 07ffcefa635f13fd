"""Who `roadstead up` works as: never root, but the account to which the state folder belongs."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import roadstead

from .errors import UpError

ACCOUNT: Final = "roadstead"
SYSTEM_STATE: Final = Path("/var/lib/roadstead")
"""Where root's state folder is unless another is named."""


def default_state() -> Path:
    """The state folder when none is named."""
    if named := os.environ.get("ROADSTEAD_STATE"):
        return Path(named)
    if os.geteuid() == 0:
        return SYSTEM_STATE
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "roadstead"


def leave_root(state: Path, say: Callable[[str], None], *, make: bool = False) -> None:
    """If this process is root's, become the account that owns the state folder, for good. Raises UpError.

    With `make`, a folder that is missing or empty is given to an account of our own, made if there is none.
    """
    if os.geteuid() != 0:
        return
    owner = state.stat().st_uid if state.exists() else 0
    if owner == 0:
        if not make:
            raise UpError(f"There is no state folder at {state}; name it with --state, or start with: roadstead up")
        owner = _own_account(say)
        _hand_over(state, owner)
    entry = _entry(owner)
    say(f"Working as the account {entry.pw_name}, to whom the state folder belongs.")
    os.initgroups(entry.pw_name, entry.pw_gid)
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    for name in [name for name in os.environ if name.startswith(("SUDO_", "XDG_"))]:
        del os.environ[name]
    os.environ.update(HOME=str(state), USER=entry.pw_name, LOGNAME=entry.pw_name)
    _check_reach(entry.pw_name, state)
    os.chdir(state if state.is_dir() and os.access(state, os.X_OK) else "/")


def _own_account(say: Callable[[str], None]) -> int:
    try:
        return pwd.getpwnam(ACCOUNT).pw_uid
    except KeyError:
        pass
    program = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise UpError(f"Root needs an account to work as and useradd is missing; make a system account '{ACCOUNT}'.")
    say(f"Making the system account '{ACCOUNT}', so that nothing runs as root.")
    options = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
    done = subprocess.run(
        [program, *options, "--home-dir", str(SYSTEM_STATE), ACCOUNT], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UpError(f"useradd could not make the account '{ACCOUNT}' ({done.stderr.strip()}); make it by hand.")
    return pwd.getpwnam(ACCOUNT).pw_uid


def _hand_over(state: Path, uid: int) -> None:
    if state.exists() and (not state.is_dir() or any(state.iterdir())):
        raise UpError(
            f"The state folder {state} belongs to root, and nothing here runs as root; "
            f"name another with --state, or give it away: chown -R {ACCOUNT}: {state}"
        )
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chown(state, uid, pwd.getpwuid(uid).pw_gid, follow_symlinks=False)


def _entry(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise UpError(
            f"The state folder belongs to the user id {uid}, which has no account here; chown it to one that exists."
        ) from None


def _check_reach(name: str, state: Path) -> None:
    needed = {Path(sys.executable): os.X_OK, Path(roadstead.__file__): os.R_OK, state: os.F_OK}
    for path, mode in needed.items():
        if not os.access(path, mode):
            remedy = "name another folder with --state" if path == state else "install Roadstead elsewhere, as /opt"
            raise UpError(f"The account {name} cannot reach {path}; open the folders above it to others, or {remedy}.")
