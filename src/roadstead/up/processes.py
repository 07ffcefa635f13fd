"""Which process is which: a pid may have been given to another process, so its start time is kept too."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from .state import State, write_privately


class Record(BaseModel):
    """A process that was started here."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    pid: int
    started: float
    """Seconds since 1970, as the system says."""
    url: str = ""
    """With the supervisor: the address for people."""

    def process(self) -> psutil.Process | None:
        """The process, if it is still this one and more than a zombie."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.started) < 0.05 and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return found if same else None


def record(state: State, name: str, pid: int, url: str = "") -> None:
    """Write down that this process is ours."""
    entry = Record(pid=pid, started=psutil.Process(pid).create_time(), url=url)
    write_privately(state.run / f"{name}.json", entry.model_dump_json() + "\n")


def recorded(state: State, name: str) -> Record | None:
    """What was written down under this name, if its process still runs."""
    try:
        found = Record.model_validate_json((state.run / f"{name}.json").read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return found if found.process() else None


async def end(process: psutil.Process, patience: float = 15.0) -> bool:
    """Ask a process that is not our child to end, then make it; True when it went by itself."""
    for ask, seconds in ((process.terminate, patience), (process.kill, 5.0)):
        with contextlib.suppress(psutil.NoSuchProcess):
            ask()
        if await gone(process, seconds):
            return ask == process.terminate
    return False


async def gone(process: psutil.Process, seconds: float) -> bool:
    """Wait for the end of any process; False if it still runs after this time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.05)


@contextlib.contextmanager
def sole_use(state: State) -> Iterator[bool]:
    """Hold the state folder's lock while in the block; False when another process holds it. A crash frees it."""
    descriptor = os.open(state.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def who_listens(port: int) -> str:
    """The process that listens on a port, for a message; '' where the system does not tell."""
    with contextlib.suppress(psutil.AccessDenied, psutil.NoSuchProcess):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr[1] == port and connection.status == psutil.CONN_LISTEN:
                return (
                    f" by process {connection.pid} ({psutil.Process(connection.pid).name()})" if connection.pid else ""
                )
    return ""


def log_file(state: State, name: str) -> Path:
    """Where the output of a process goes."""
    return state.logs / f"{name}.log"
