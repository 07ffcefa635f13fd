"""Spawner classes that misbehave in ways that real ones do."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from jupyterhub.spawner import SimpleLocalProcessSpawner


class NeverStarts(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """Its start() never comes back."""

    async def start(self) -> Any:
        await asyncio.sleep(3600)


class StartsThenHangs(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """Its start() makes a process and then never comes back."""

    async def start(self) -> Any:
        await super().start()
        await asyncio.sleep(3600)


class StartHangsHard(StartsThenHangs):
    """The same, and it does not let itself be cancelled either."""

    async def start(self) -> Any:
        while True:
            try:
                await super().start()
            except asyncio.CancelledError:
                await asyncio.sleep(3600)


class StopHangs(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """Its stop() never comes back, unless it is to be quick."""

    async def stop(self, now: bool = False) -> None:
        await asyncio.sleep(3600)


class PollHangs(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """Its poll() never comes back."""

    async def poll(self) -> int | None:
        await asyncio.sleep(3600)
        return None


class PollFails(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """Its poll() raises while the file that its home holds is there."""

    async def poll(self) -> int | None:
        if (Path(self.home_dir) / "poll-fails").exists():
            raise RuntimeError("the system does not answer")
        status: int | None = await super().poll()
        return status


class Blocks(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """Its start() blocks the whole process."""

    async def start(self) -> Any:
        time.sleep(3600)


class EndsItsProcess(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """Its start() makes a process and then ends the process that it runs in."""

    async def start(self) -> Any:
        await super().start()
        os.kill(os.getpid(), signal.SIGKILL)


class SlowStart(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """Its start() takes as long as the server's options say, three seconds if they say nothing."""

    async def start(self) -> Any:
        await asyncio.sleep(float(self.environment.get("SLOW_SECONDS", "3")))
        return await super().start()


class Refuses(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """Its start() says why not."""

    async def start(self) -> Any:
        raise RuntimeError("The quota of this project is used up.")


class StopsSlowly(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """Its stop() takes three seconds."""

    async def stop(self, now: bool = False) -> None:
        await asyncio.sleep(3)
        await super().stop(now=True)


class Remembers(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """It keeps the number of its starts over the end of its server, as KubeSpawner keeps the name of a claim."""

    starts = 0

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self.starts = state.get("starts", 0)

    def get_state(self) -> dict[str, Any]:
        return dict(super().get_state()) | {"starts": self.starts}

    async def start(self) -> Any:
        self.starts += 1
        self.environment["STARTS"] = str(self.starts)
        return await super().start()
