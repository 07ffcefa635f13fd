"""A system with a queue, so that there is something to wait for: real servers that start some seconds later."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from jupyterhub.spawner import SimpleLocalProcessSpawner
from traitlets import Float, Integer


class QueueSpawner(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """SimpleLocalProcessSpawner behind a queue, which moves faster for users with a file `hurry` in their home."""

    places = Integer(4, min=0, config=True, help="How many others are before every new server.")
    pace = Float(1.0, min=0, config=True, help="Seconds that each of them takes.")

    _before: int | None = None

    async def start(self) -> Any:
        for before in range(self.places, 0, -1):
            self._before = before
            await self._one_passes()
        self._before = 0
        # Long enough for progress() to tell it.
        await asyncio.sleep(0.3)
        return await super().start()

    async def _one_passes(self) -> None:
        hurry = Path(self.home_dir) / "hurry"
        end = time.monotonic() + self.pace
        while time.monotonic() < end and not hurry.exists():
            await asyncio.sleep(0.2)
        await asyncio.sleep(0.2)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        yield {"progress": 10, "message": "The job was handed in."}
        told = None
        while told != 0:
            before = self._before
            if before is not None and before != told:
                told = before
                share = 80 - 60 * before // max(self.places, 1)
                where = f"{before} before you" if before else "it is your turn"
                yield {"progress": share, "message": f"In the queue: {where}."}
            await asyncio.sleep(0.1)
