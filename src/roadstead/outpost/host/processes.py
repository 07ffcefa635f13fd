"""Processes of this machine as the kernel shows them: whose they are, and whether a pid is still the same process.

It reads /proc itself: only what is needed of 10,000 processes, and signals go through a pidfd, so never to a stranger.
"""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import BaseModel

KEY_VARIABLE: Final = "ROADSTEAD_SERVER_KEY"
"""The environment variable that carries the key of an attempt into every process of its server."""

_PROC: Final = Path("/proc")
_MARK: Final = b"\0" + KEY_VARIABLE.encode() + b"="


class ProcessMark(BaseModel):
    """One process, told apart from a later one with the same pid, also across a restart of the machine."""

    pid: int
    started: int
    """Clock ticks after the machine's start, /proc/<pid>/stat field 22 (man 5 proc)."""
    boot: str

    def is_alive(self) -> bool:
        """False when the process is gone, is a zombie, or its pid belongs to another one now."""
        stat = _stat(self.pid)
        return stat is not None and stat[0] != "Z" and stat[1] == self.started and self.boot == _boot_id()


def mark_process(pid: int, key: str) -> ProcessMark | None:
    """The mark of a process of this machine that carries this attempt's key; None for any other."""
    stat = _stat(pid)
    if stat is None or key_of(pid) != key:
        return None
    return ProcessMark(pid=pid, started=stat[1], boot=_boot_id())


def key_of(pid: int) -> str | None:
    """The attempt's key in the environment with which a process began; None where there is none or it is hidden."""
    try:
        environment = b"\0" + (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    begin = environment.find(_MARK)
    if begin < 0:
        return None
    begin += len(_MARK)
    end = environment.find(b"\0", begin)
    return environment[begin : end if end >= 0 else None].decode(errors="replace")


def carriers() -> dict[str, list[int]]:
    """All processes that carry a key, by key. It reads every process: call it in a thread."""
    found: dict[str, list[int]] = {}
    for entry in os.scandir(_PROC):
        if entry.name.isdigit() and (key := key_of(int(entry.name))):
            found.setdefault(key, []).append(int(entry.name))
    return found


@contextlib.contextmanager
def held(pids: list[int], key: str) -> Iterator[dict[int, int]]:
    """Descriptors of those processes that still carry the key, as {pid: pidfd}; a pidfd never means another process."""
    descriptors: dict[int, int] = {}
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                descriptors[pid] = os.pidfd_open(pid)
        yield {pid: descriptor for pid, descriptor in descriptors.items() if key_of(pid) == key}
    finally:
        for descriptor in descriptors.values():
            os.close(descriptor)


def send(descriptors: dict[int, int], number: signal.Signals) -> None:
    """Send a signal to all of them; one that is gone, or belongs to somebody whom we may not signal, is passed over."""
    for descriptor in descriptors.values():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(descriptor, number)


def living(descriptors: dict[int, int]) -> dict[int, int]:
    """Those that have not ended."""
    poller = select.poll()
    for descriptor in descriptors.values():
        poller.register(descriptor, select.POLLIN)
    ended = {descriptor for descriptor, _ in poller.poll(0)}
    return {pid: descriptor for pid, descriptor in descriptors.items() if descriptor not in ended}


def _stat(pid: int) -> tuple[str, int] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    return fields[0].decode(), int(fields[19])


def _boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
