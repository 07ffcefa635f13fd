"""Ends the processes that a server leaves behind, found by the attempt's key in their environment.

Only processes of this machine that the host may read are found; that is all where the host runs as root.
"""

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from . import processes

_PATIENCE: Final = 5.0
_AFTER_KILL: Final = 2.0
_ROUNDS: Final = 3
"""A process may start another between look and signal, so one look is not enough."""


class Leftovers:
    """Looks through the process table, one look for all who ask at the same time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="process-table")
        self._turn = asyncio.Lock()
        self._next: asyncio.Future[dict[str, list[int]]] | None = None

    async def of(self, key: str) -> list[int]:
        """The pids that carry this key, by a look that begins after this call."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._look())
        return (await asyncio.shield(self._next)).get(key, [])

    async def _look(self) -> dict[str, list[int]]:
        async with self._turn:
            self._next = None
            return await asyncio.get_running_loop().run_in_executor(self._thread, processes.carriers)

    async def end(self, key: str) -> list[int]:
        """Ask them to end, then kill them; gives the pids that live on in spite of it."""
        for _ in range(_ROUNDS):
            pids = await self.of(key)
            if not pids:
                return []
            with processes.held(pids, key) as held:
                processes.send(held, signal.SIGTERM)
                if await _wait(held, _PATIENCE):
                    processes.send(held, signal.SIGKILL)
                    await _wait(held, _AFTER_KILL)
        return await self.of(key)


async def _wait(descriptors: dict[int, int], seconds: float) -> bool:
    """Whether one of them still lives after so many seconds."""
    pause = 0.01
    deadline = asyncio.get_running_loop().time() + seconds
    while processes.living(descriptors):
        if asyncio.get_running_loop().time() > deadline:
            return True
        await asyncio.sleep(pause)
        pause = min(2 * pause, 0.2)
    return False
