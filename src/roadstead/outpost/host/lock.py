"""The lock that lets one host of a system act at a time, held by the kernel until the process is gone."""

import fcntl
import os
import select
import socket
import time
from pathlib import Path
from typing import Final

_PATIENCE: Final = 20.0


def take_lock(path: Path, sock: socket.socket) -> int | None:
    """Lock the file and write our pid into it; the descriptor is the lock.

    None when another host holds it for longer than 20 s, or the outpost hangs up meanwhile.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline or _hung_up(sock):
                os.close(descriptor)
                return None
            time.sleep(0.05)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor


def _hung_up(sock: socket.socket) -> bool:
    readable, _, _ = select.select([sock], [], [], 0)
    return bool(readable) and not sock.recv(1, socket.MSG_PEEK)
