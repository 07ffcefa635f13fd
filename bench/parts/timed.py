"""Spawners for hubs that are measured: each writes down when its start() was called and when the address was known."""

import json
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from jupyterhub.spawner import SimpleLocalProcessSpawner, Spawner
from traitlets import Unicode

from roadstead.hub import RoadsteadSpawner

_WAITED_FOR: Final = 90
"""The progress of the line that is written when the address has come."""


def write_down(path: str, spawner: Any, begun: float, known: float) -> None:
    """One line for one start: milliseconds until the address was known and until start() was over."""
    line = {
        "user": spawner.user.name,
        "name": spawner.name,
        "known": 1000 * (known - begun),
        "returned": 1000 * (time.time() - begun),
    }
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_down(path: Path, after: int = 0) -> list[dict[str, Any]]:
    """The lines of such a file after the first so many."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines[after:]]


class TimedRoadstead(RoadsteadSpawner):
    """Servers at outposts. The address is known some time before start() is over, which waits for the server."""

    timings = Unicode(config=True)

    def start(self) -> Coroutine[Any, Any, str]:
        """As its base class."""
        begun = time.time()
        return self._timed(super().start(), begun)

    async def _timed(self, starting: Coroutine[Any, Any, str], begun: float) -> str:
        address = await starting
        write_down(self.timings, self, begun, self._known_at())
        return address

    def _known_at(self) -> float:
        """The moment at which the event log says that the server runs and is being waited for."""
        assert self.record is not None
        return next(line.at for line in self.record.lines_after(0) if line.progress == _WAITED_FOR).timestamp()


class TimedLocal(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """The same class as behind the outpost, directly in the hub. It knows the address when start() is over."""

    timings = Unicode(config=True)

    def start(self) -> Coroutine[Any, Any, Any]:
        """As its base class; a plain function, for the time begins when it is called."""
        begun = time.time()
        return self._timed(super().start(), begun)

    async def _timed(self, starting: Coroutine[Any, Any, Any], begun: float) -> Any:
        address = await starting
        write_down(self.timings, self, begun, time.time())
        return address


class Instant(Spawner):  # type: ignore[misc]
    """A server that is there already, and a poll that returns at once: the least that a hub can do for a server."""

    address = Unicode(config=True)

    async def start(self) -> str:
        """Nothing is started."""
        return str(self.address)

    async def poll(self) -> int | None:
        """It runs, once it has an address."""
        return None if self.server is not None else 0

    async def stop(self, now: bool = False) -> None:
        """Nothing is stopped."""
