"""A Spawner class that stays at any moment of a server's life for as long as a test wants, and does worse things."""

import asyncio
import time
from pathlib import Path
from typing import Any

from jupyterhub.spawner import SimpleLocalProcessSpawner
from traitlets import Unicode


class Held(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """SimpleLocalProcessSpawner that does what files of its user's name say.

    It waits `before` or `after` it has made a process, at `stop` and in `poll`, while the file of that name is there.
    With `stubborn` it does not let itself be cancelled, with `block` start() blocks the whole process, with `mute`
    nobody listens at the address that it gives.
    """

    holds = Unicode("", config=True, help="Folder in which the files are, <user>.before and so on.")

    async def start(self) -> Any:
        while self._is("block"):
            time.sleep(0.1)
        await self._let_go("before")
        ip, port = await super().start()
        await self._let_go("after")
        return (ip, 1) if self._is("mute") else (ip, port)

    async def stop(self, now: bool = False) -> None:
        await self._let_go("stop")
        await super().stop(now=now)

    async def poll(self) -> int | None:
        await self._let_go("poll")
        answer: int | None = await super().poll()
        return answer

    def _is(self, moment: str) -> bool:
        return (Path(self.holds) / f"{self.user.name}.{moment}").exists()

    async def _let_go(self, moment: str) -> None:
        while self._is(moment):
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                if not self._is("stubborn"):
                    raise
