"""Asks every watched server in turn whether it still runs: spread out, a few at a time, each within bounds.

Unknown is not gone: only two clean answers in a row end a server, and no answer changes nothing but its age. There is
no task per server; one heap says who is next, and a few workers ask.
"""

import asyncio
import contextlib
import heapq
import itertools
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from .calls import GUEST_ERRORS

_LOG: Final = logging.getLogger(__name__)

Poll = Callable[[], Awaitable[int | None]]
"""Gives None while the server runs, else its exit code; raises when that is not known."""


class _Unknown:
    """No clean answer."""


_UNKNOWN: Final = _Unknown()


class Watch:
    """One watched server."""

    __slots__ = ("answered", "gone", "key", "live", "poll")

    def __init__(self, key: str, poll: Poll, now: float) -> None:
        self.key = key
        self.poll = poll
        self.answered = now
        self.gone: int | None = None
        """The exit code of a first clean answer that it is not running."""
        self.live = True


class _Worker:
    """Asks one server after the other."""

    __slots__ = ("left", "since", "task", "told", "watch")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.watch: Watch | None = None
        self.since = 0.0
        self.told = False
        """It was told to give up its poll."""
        self.left = False
        """It did not obey, and another has its place."""


class Watcher:
    """Watches the servers of one system."""

    AT_ONCE: Final = 20
    LONGEST_POLL: Final = 10.0
    OBEY: Final = 2.0
    RECHECK: Final = 1.0
    TICK: Final = 1.0

    def __init__(
        self, interval: float, ended: Callable[[str, int], None], describe: Callable[[BaseException], str]
    ) -> None:
        self._interval = interval
        self._grain = min(max(interval / 30, 0.02), 0.5)
        """Polls that are due within so many seconds are asked together."""
        self._ended = ended
        self._describe = describe
        self._watches: dict[str, Watch] = {}
        self._due: list[tuple[float, int, Watch]] = []
        self._numbers = itertools.count()
        self._ready: deque[Watch] = deque()
        self._workers: set[_Worker] = set()
        self._woken = asyncio.Event()
        self._unknown = 0
        self._quiet_until = 0.0

    def __len__(self) -> int:
        return len(self._watches)

    def add(self, key: str, poll: Poll) -> None:
        """Watch a server; its first poll comes within one interval."""
        self.remove(key)
        watch = self._watches[key] = Watch(key, poll, _now())
        self._push(watch, self._interval * random.uniform(0.1, 1.0))  # noqa: S311

    def remove(self, key: str) -> None:
        """Watch it no more; a poll that is under way counts for nothing."""
        watch = self._watches.pop(key, None)
        if watch:
            watch.live = False

    def oldest(self) -> float:
        """Seconds since the least recent clean answer of all watched servers."""
        return max(0.0, _now() - min((watch.answered for watch in self._watches.values()), default=_now()))

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            now = _now()
            while self._due and self._due[0][0] <= now:
                watch = heapq.heappop(self._due)[2]
                if watch.live:
                    self._ready.append(watch)
            self._hurry(now)
            for _ in range(min(self.AT_ONCE - len(self._workers), len(self._ready))):
                self._employ()
            await self._wait(now)

    async def _wait(self, now: float) -> None:
        until = self._due[0][0] - now if self._due else 60.0
        if self._workers:
            until = min(until, self.TICK)
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(self._grain, until)):
                await self._woken.wait()

    def _push(self, watch: Watch, delay: float) -> None:
        heapq.heappush(self._due, (_now() + delay, next(self._numbers), watch))
        if self._due[0][2] is watch:
            self._woken.set()

    def _employ(self) -> None:
        worker = _Worker()
        self._workers.add(worker)
        worker.task = asyncio.create_task(self._work(worker))

    def _hurry(self, now: float) -> None:
        """Polls that take too long are given up; who does not even give up is left alone with its server."""
        for worker in list(self._workers):
            if worker.watch is None or now - worker.since < self.LONGEST_POLL:
                continue
            if not worker.told and worker.task:
                worker.told = True
                worker.task.cancel()
            elif now - worker.since > self.LONGEST_POLL + self.OBEY:
                worker.left = True
                self._workers.discard(worker)
                _LOG.error(
                    "A poll of %s does not end when it is cancelled; that server is not asked again until it does.",
                    worker.watch.key,
                )

    async def _work(self, worker: _Worker) -> None:
        try:
            for asked in itertools.count(1):
                if worker.left or worker.told or not self._ready:
                    break
                worker.watch, worker.since = self._ready.popleft(), _now()
                self._note(worker.watch, await self._ask(worker.watch))
                worker.watch = None
                if asked % 50 == 0:
                    await asyncio.sleep(0)
        except asyncio.CancelledError:
            if not worker.told:
                raise
        finally:
            self._workers.discard(worker)
            if worker.watch:
                self._count_unknown(TimeoutError(f"poll() did not come back within {self.LONGEST_POLL:g} seconds"))
                self._note(worker.watch, _UNKNOWN)
            if self._ready:
                self._woken.set()

    async def _ask(self, watch: Watch) -> int | _Unknown | None:
        if not watch.live:
            return _UNKNOWN
        try:
            return await watch.poll()
        except GUEST_ERRORS as error:
            self._count_unknown(error)
            return _UNKNOWN

    def _note(self, watch: Watch, answer: int | _Unknown | None) -> None:
        if not watch.live:
            return
        if isinstance(answer, _Unknown):
            watch.gone = None
            self._push(watch, self._interval * random.uniform(0.9, 1.1))  # noqa: S311
            return
        watch.answered = _now()
        if answer is None:
            watch.gone = None
            self._push(watch, self._interval * random.uniform(0.9, 1.1))  # noqa: S311
        elif watch.gone is None:
            watch.gone = answer
            self._push(watch, self.RECHECK)
        else:
            # Some classes forget the exit code with their first answer.
            self.remove(watch.key)
            self._ended(watch.key, watch.gone or answer)

    def _count_unknown(self, error: BaseException) -> None:
        self._unknown += 1
        if _now() >= self._quiet_until:
            _LOG.warning(
                "%d polls since the last such line gave no answer; the servers are taken to run on. The newest: %s",
                *(self._unknown, self._describe(error)),
            )
            self._unknown, self._quiet_until = 0, _now() + 30


def _now() -> float:
    return asyncio.get_running_loop().time()
