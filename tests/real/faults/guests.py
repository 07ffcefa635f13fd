"""A Spawner class that stays in a state for as long as a test wants."""

import asyncio
from pathlib import Path
from typing import Any

from jupyterhub.spawner import SimpleLocalProcessSpawner
from traitlets import Unicode


class Held(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """SimpleLocalProcessSpawner that waits where a file of the user's name says so."""

    holds = Unicode("", config=True, help="Folder in which the files are: <user>.before, .after and .stop.")

    async def start(self) -> Any:
        await self._let_go("before")
        address = await super().start()
        await self._let_go("after")
        return address

    async def stop(self, now: bool = False) -> None:
        await self._let_go("stop")
        await super().stop(now=now)

    async def _let_go(self, moment: str) -> None:
        while (Path(self.holds) / f"{self.user.name}.{moment}").exists():
            await asyncio.sleep(0.05)
