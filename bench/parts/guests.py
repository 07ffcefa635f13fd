"""Spawner classes for outposts that are measured: they start nothing, so that what is measured is not theirs."""

import asyncio
import time
from pathlib import Path
from typing import Any

from jupyterhub.spawner import Spawner
from traitlets import Float, Unicode

_RUNNING: set[str] = set()


class LookUp(Spawner):  # type: ignore[misc]
    """All servers are one server that is there already; whether one runs is a look-up in memory."""

    address = Unicode(config=True)

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up a server that an earlier process has."""
        super().load_state(state)
        if "job" in state:
            _RUNNING.add(self._job)

    def get_state(self) -> dict[str, Any]:
        """What a class of a batch system remembers: the name of a job."""
        state: dict[str, Any] = super().get_state()
        return state | ({"job": self._job} if self._job in _RUNNING else {})

    async def start(self) -> str:
        """The address, at once."""
        _RUNNING.add(self._job)
        return str(self.address)

    async def poll(self) -> int | None:
        """The look-up."""
        return None if self._job in _RUNNING else 0

    async def stop(self, now: bool = False) -> None:  # noqa: ARG002
        """Take it out."""
        _RUNNING.discard(self._job)

    @property
    def _job(self) -> str:
        return f"{self.user.name}/{self.name}"


class Slow(LookUp):
    """Its start() waits, as for a queue."""

    seconds = Float(30.0, config=True)

    async def start(self) -> str:
        """The address, after a while."""
        begun = time.monotonic()
        await asyncio.sleep(self.seconds)
        assert time.monotonic() - begun >= self.seconds
        return await super().start()


class Gated(LookUp):
    """Its start() waits until a file is there."""

    gate = Unicode(config=True)

    async def start(self) -> str:
        """The address, when the gate is open."""
        while not Path(self.gate).exists():  # noqa: ASYNC110, ASYNC240 - opened by another process
            await asyncio.sleep(0.5)
        return await super().start()
