"""Asks a scheduler about all jobs of a process with one question, whatever their number, and remembers the answer.

No clean answer changes nothing. A job counts as gone when two clean answers, asked after it was submitted and apart
from each other, do not have it.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from typing import Final

from ..runners import Command, Outcome, Runner, UnansweredError
from .driver import Driver, UnclearError
from .jobs import End, Job, JobState
from .pace import Pace

_LOG: Final = logging.getLogger(__name__)
_QUEUE_PACE: Final = 15.0
"""Seconds between two looks at the whole queue, which tell positions."""
_CLEAN_ABSENCES: Final = 2
_HISTORY_PAUSE: Final = 60.0
"""Seconds for which an accounting that does not answer is not asked."""


class Watch:
    """What is known of the jobs of one name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.jobs: list[Job] = []
        """As last seen, the oldest first; more than one where a submission was doubled."""
        self.hurry = False
        """Somebody waits for what happens to it."""
        self.seen = False
        self.position: int | None = None
        """How many jobs will start before it, and one."""
        self._absences = 0
        self._since = _now()

    @property
    def job(self) -> Job | None:
        """The job; of doubled ones the oldest that lives, for the others are ended."""
        living = [job for job in self.jobs if job.state is not JobState.ENDED]
        return next(iter(living or self.jobs), None)

    @property
    def gone(self) -> bool:
        """Clean answers say that there is no such job, or that it ended."""
        job = self.job
        return job.state is JobState.ENDED if job else self._absences >= _CLEAN_ABSENCES

    def expect(self) -> None:
        """Something was just submitted, or cancelled: what was known counts no more."""
        self._absences, self._since = 0, _now()

    def answered(self, asked: float, jobs: list[Job]) -> None:
        """A clean answer to a question of that moment."""
        if jobs:
            self.jobs, self.seen, self._absences = sorted(jobs, key=lambda job: job.order[1]), True, 0
        elif asked > self._since:
            self._absences += 1
            if self._absences >= _CLEAN_ABSENCES:
                self.jobs = []


class Poller:
    """One scheduler as one account sees it."""

    def __init__(self, driver: Driver, runner: Runner) -> None:
        self.trouble = ""
        """Since when, and why, there is no clean answer; empty when all is well."""
        self._driver = driver
        self._runner = runner
        self._pace = Pace()
        self._watches: dict[str, Watch] = {}
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._news = asyncio.Condition()
        self._clean_asked = float("-inf")
        self._wanted = float("-inf")
        self._queue_asked = float("-inf")
        self._history = asyncio.Lock()
        self._no_history_until = float("-inf")

    def watch(self, name: str, *, hurry: bool = False) -> Watch:
        """Have the jobs of a name watched until `forget`; the same name is the same watch."""
        watch = self._watches.get(name)
        if watch is None:
            watch = self._watches[name] = Watch(name)
            self._wanted = _now()
        watch.hurry = watch.hurry or hurry
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"poller of {self._driver.name}")
        self._wake.set()
        return watch

    def hasten(self) -> None:
        """Something is known to have happened: ask soon."""
        self._wanted = _now()
        self._wake.set()

    def calm(self, name: str) -> None:
        """Nobody waits for this one any more."""
        if name in self._watches:
            self._watches[name].hurry = False

    def forget(self, name: str) -> None:
        """Watch it no more."""
        self._watches.pop(name, None)

    async def refresh(self) -> None:
        """Back with the next clean answer to a question that is asked after this call, or with new trouble."""
        self.hasten()
        called, trouble = self._wanted, self.trouble
        async with self._news:
            await self._news.wait_for(lambda: self._clean_asked >= called or self.trouble != trouble)

    async def change(self) -> None:
        """Back with the next answer, clean or not."""
        async with self._news:
            await self._news.wait()

    async def end_of(self, job: Job) -> End | None:
        """How a job ended: from the accounting or, where there is none, from what was last seen."""
        seen = self._driver.end_of(job) if job.state is JobState.ENDED else None
        try:
            # One after the other: a node may take a hundred jobs with it.
            async with self._history:
                if _now() < self._no_history_until:
                    return seen
                found = self._driver.read_history(await self._runner.run(self._driver.history(job.id)))
        except (UnclearError, UnansweredError) as error:
            _LOG.info("The accounting does not say how job %s ended: %s", job.id, error)
            self._no_history_until = _now() + _HISTORY_PAUSE
            return seen
        return found or seen

    # --- the loop

    async def _run(self) -> None:
        while self._watches:
            await self._until_due()
            if self._watches:
                await self._ask()

    async def _until_due(self) -> None:
        jitter = self._pace.jitter()
        while True:
            self._wake.clear()
            hurry = self._wanted > self._clean_asked or any(watch.hurry for watch in self._watches.values())
            left = self._pace.next(hurry=hurry) - _now()
            if left <= 0 or not self._watches:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left * jitter):
                    await self._wake.wait()

    async def _ask(self) -> None:
        begun = _now()
        names = list(self._watches)
        try:
            if self._pace.failures:
                # A scheduler that is down refuses a ping at once, and lets a query wait.
                self._driver.read_ping(await self._runner.run(self._driver.ping()))
            jobs = await self._query(self._driver.query(names))
        except (UnclearError, UnansweredError) as error:
            self._pace.asked(begun, _now() - begun, clean=False)
            self._note_trouble(str(error))
        except Exception as error:  # noqa: BLE001 - a mistake in a driver must not end the watching
            self._pace.asked(begun, _now() - begun, clean=False)
            self._note_trouble(f"{type(error).__name__}: {error}")
            _LOG.exception("What %s printed cannot be read.", self._driver.name)
        else:
            self._pace.asked(begun, _now() - begun, clean=True)
            if self.trouble:
                _LOG.warning("%s answers again.", self._driver.name)
            self.trouble = ""
            self._clean_asked = begun
            self._tell(begun, names, jobs)
            await self._ask_positions()
        async with self._news:
            self._news.notify_all()

    async def _query(self, command: Command) -> list[Job]:
        outcome: Outcome = await self._runner.run(command)
        return self._driver.read_query(outcome)

    def _tell(self, asked: float, names: Iterable[str], jobs: list[Job]) -> None:
        found: dict[str, list[Job]] = {}
        for job in jobs:
            if job.name in self._watches:
                found.setdefault(job.name, []).append(job)
        for name in names:
            if name in self._watches:
                self._watches[name].answered(asked, found.get(name, []))

    async def _ask_positions(self) -> None:
        waiting = [(watch, job) for watch in self._watches.values() if (job := watch.job) and _waits(job)]
        if not waiting or _now() - self._queue_asked < max(_QUEUE_PACE, self._pace.next(hurry=True) - _now()):
            return
        self._queue_asked = _now()
        try:
            queued = await self._query(self._driver.queue({job.partition for _, job in waiting}))
        except (UnclearError, UnansweredError) as error:
            _LOG.info("Positions in the queue are not known: %s", error)
            return
        for watch, job in waiting:
            before = sum(1 for other in queued if other.partition == job.partition and other.order < job.order)
            watch.position = before + 1

    def _note_trouble(self, why: str) -> None:
        if not self.trouble:
            since = time.strftime("%H:%M %Z")
            self.trouble = f"{self._driver.name} has not answered since {since}; your server is not touched by that."
            _LOG.warning("%s gives no clean answer; what is known is kept. %s", self._driver.name, why)


def _waits(job: Job) -> bool:
    return job.state is JobState.WAITING


def _now() -> float:
    return asyncio.get_running_loop().time()
