"""One server's job: submitted once, found again by its name, watched until it listens, cancelled until it is gone."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from ..runners import Runner, UnansweredError
from . import sentences
from .driver import Driver, RefusedError, UnclearError
from .folder import JobFolder, Staged
from .jobs import End, Job, JobRequest, JobState
from .poller import Poller, Watch
from .reports import Report, ReportError, read_report

_LOG: Final = logging.getLogger(__name__)
_SETTLE: Final = 30.0
"""Seconds of clean answers after which a job whose submission was not confirmed does not exist."""
_CANCEL_AGAIN: Final = 15.0
_FIRST_LOOK: Final = 0.2
_SLOWEST_LOOK: Final = 2.0
_LOOK_BESIDE_REPORTS: Final = 10.0
_LOG_LINES: Final = 5


class Memory(BaseModel):
    """What has to be remembered of a job, in JupyterHub's or the outpost's database."""

    name: str
    """Unique; written down before the job is submitted."""
    id: str = ""
    secret: str = ""
    """With it the job signs what it reports."""
    sequence: int = 0
    """The number of the last report that was believed."""
    host: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Site:
    """How a scheduler is reached: its driver, the one who watches all jobs, and who acts for this job's user."""

    driver: Driver
    poller: Poller
    service: Runner
    user: Runner
    python: str
    keep_days: float
    node_address: str
    reports: bool
    """Jobs report by HTTP, so that their folder is looked into seldom."""


class EndedError(Exception):
    """The job ended before its server could be reached; the text is a sentence."""


class ServerJob:
    """The job of one attempt to start a server."""

    def __init__(
        self, memory: Memory, site: Site, say: Callable[[int, str], None], remember: Callable[[], None]
    ) -> None:
        """`say` tells the user how far it is, `remember` has the memory written down."""
        self.memory = memory
        self._site = site
        self._say = say
        self._remember = remember
        self._folder = JobFolder(site.user, site.python, memory.name)
        self._report: Report | None = None
        self._notes = 0
        self.end: End | None = None
        """How it ended, once that was asked."""

    # --- start

    async def find(self) -> bool:
        """Whether an earlier start got so far that there is a job."""
        watch = self._watch(hurry=True)
        while True:
            await self._site.poller.refresh()
            if watch.seen:
                self._learn_id(watch)
                return True
            if not self._site.poller.trouble:
                # What was submitted for sure is not submitted again, also if it is gone by now.
                return bool(self.memory.id)
            self._say(5, self._site.poller.trouble)
            await self._site.poller.change()

    async def submit(self, start: dict[str, Any], request: Callable[[Staged], JobRequest]) -> None:
        """Submit it, once. Raises RefusedError."""
        watch = self._watch(hurry=True)
        while True:
            staged = await self._stage(start)
            watch.expect()
            try:
                outcome = await self._site.user.run(self._site.driver.submit(request(staged)))
                self.memory.id = self._site.driver.read_submission(outcome)
            except (UnclearError, UnansweredError) as error:
                _LOG.warning("Whether %s was submitted is not known: %s", self.memory.name, error)
                self._say(10, f"{self._site.driver.name} did not say whether it took the job. It is looked up.")
                watch.expect()
                if await self._turns_up(watch):
                    return
                self._say(10, "The job was not taken; it is submitted again.")
                continue
            watch.expect()
            self._remember()
            self._say(10, f"Job {self.memory.id} is submitted.")
            return

    async def _stage(self, start: dict[str, Any]) -> Staged:
        try:
            return await self._folder.stage(start, self._site.keep_days)
        except UnansweredError as error:
            raise RefusedError(f"The job's folder was not made. {error}") from error

    async def _turns_up(self, watch: Watch) -> bool:
        """Look for a job whose submission may have been lost, for as long as one may take to appear."""
        poller, since = self._site.poller, 0.0
        while True:
            await poller.refresh()
            if watch.jobs:
                self._learn_id(watch)
                return True
            if poller.trouble:
                since = 0.0
                self._say(10, poller.trouble)
                await poller.change()
            else:
                since = since or time.monotonic()
                if time.monotonic() - since > _SETTLE:
                    return False

    def _learn_id(self, watch: Watch) -> None:
        job = watch.job
        if job and self.memory.id != job.id:
            self.memory.id = job.id
            self._remember()

    async def address(self) -> tuple[str, int]:
        """Wait until the server listens; where. Raises EndedError."""
        watch = self._watch(hurry=True)
        try:
            job = await self._until_running(watch)
            self._say(60, "The job runs. Waiting for the server to answer.")
            report, job = await self._until_listening(watch, job)
        finally:
            self._site.poller.calm(self.memory.name)
        self.memory.host, self.memory.port = await self._address_of(job.host), report.port
        self.memory.sequence = report.sequence
        self._remember()
        return self.memory.host, self.memory.port

    async def _until_running(self, watch: Watch) -> Job:
        while True:
            await self._end_doubles(watch)
            job = watch.job
            if watch.gone:
                raise EndedError(await self._last_words(watch))
            if job and job.state is JobState.RUNNING and job.host:
                return job
            if self._site.poller.trouble:
                self._say(20, self._site.poller.trouble)
            elif job and job.state is JobState.WAITING:
                why = self._site.driver.why_waiting(job.reason)
                self._say(20, sentences.waiting(job, watch.position, why))
            await self._site.poller.change()

    async def _until_listening(self, watch: Watch, job: Job) -> tuple[Report, Job]:
        pause = _FIRST_LOOK
        slowest = _LOOK_BESIDE_REPORTS if self._site.reports else _SLOWEST_LOOK
        while True:
            await self._look()
            job = watch.job or job
            if self._report and self._report.node == job.host:
                return self._report, job
            if watch.gone:
                raise EndedError(await self._last_words(watch))
            if self._report:
                _LOG.warning("%s: a report from %s is not believed.", self.memory.name, self._report.node)
                self._report = None
            with contextlib.suppress(TimeoutError):
                # A report that comes by itself hastens the poller, and so ends this pause.
                async with asyncio.timeout(pause):
                    await self._site.poller.change()
            pause = min(1.5 * pause, slowest)

    async def _look(self) -> None:
        """See what the job has left in its folder: its report and its notes."""
        try:
            found = await self._folder.look()
        except (UnclearError, UnansweredError) as error:
            _LOG.info("%s: %s", self.memory.name, error)
            return
        for line in found.notes[self._notes :]:
            self._say(60, line)
        self._notes = len(found.notes)
        if found.report and not self._report:
            try:
                self.hear(found.report)
            except ReportError as error:
                _LOG.warning("%s: the report in the job's folder is not believed. %s", self.memory.name, error)

    def hear(self, report: str | bytes) -> None:
        """Take a report of this job. Raises ReportError when it is not to be believed."""
        after = max(self.memory.sequence, self._report.sequence if self._report else 0)
        self._report = read_report(report, self.memory.name, self.memory.secret, after)
        self._site.poller.hasten()

    async def _address_of(self, node: str) -> str:
        if self._site.node_address:
            return self._site.node_address.replace("{node}", node)
        driver = self._site.driver
        try:
            return driver.read_address(await self._site.service.run(driver.address(node)))
        except (UnclearError, UnansweredError) as error:
            _LOG.warning("The address of node %s is not known, its name is used: %s", node, error)
            return node

    async def _end_doubles(self, watch: Watch) -> None:
        """Where a submission was doubled, all but the oldest job are ended."""
        doubles = [job.id for job in watch.jobs if job is not watch.job and job.state is not JobState.ENDED]
        if doubles:
            _LOG.warning("%s was submitted more than once; %s are ended.", self.memory.name, ", ".join(doubles))
            await self._cancel(doubles)

    # --- end

    async def exit_code(self) -> int | None:
        """None unless clean answers say that the job is gone."""
        watch = self._watch()
        if not watch.gone:
            return None
        return (await self._find_end(watch)).exit_code

    async def _find_end(self, watch: Watch) -> End:
        if self.end is None:
            job = watch.job or Job(self.memory.id, self.memory.name, JobState.RUNNING, "")
            found = await self._site.poller.end_of(job) if job.id else None
            if found is None and not watch.seen and self.memory.id:
                found = End(
                    1,
                    f"{self._site.driver.name} does not show job {self.memory.id} to this service. "
                    "If it hides people's jobs from others, set query_as to 'user'.",
                )
            self.end = found or End(1, f"The job is gone; {self._site.driver.name} does not say why.")
        return self.end

    async def _last_words(self, watch: Watch) -> str:
        end = await self._find_end(watch)
        try:
            found = await self._folder.look()
        except (UnclearError, UnansweredError):
            return end.message
        for line in found.notes[self._notes :]:
            self._say(90, line)
        tail = [line.strip() for line in found.log.splitlines() if line.strip()][-_LOG_LINES:]
        return f"{end.message} The end of its log: {' / '.join(tail)}" if tail else end.message

    async def stop(self) -> None:
        """Cancel it, again and again, until clean answers say that it is gone."""
        watch = self._watch(hurry=True)
        try:
            while not watch.gone:
                await self._cancel(())
                watch.expect()
                self._site.poller.hasten()
                await self._wait_for_end(watch)
            self.end = self.end or End(0, "The job was cancelled.")
        finally:
            self._site.poller.calm(self.memory.name)

    async def _wait_for_end(self, watch: Watch) -> None:
        try:
            async with asyncio.timeout(_CANCEL_AGAIN):
                while not watch.gone:
                    await self._site.poller.change()
        except TimeoutError:
            _LOG.info("%s is not known to have ended; it is cancelled again.", self.memory.name)

    async def _cancel(self, ids: list[str] | tuple[str, ...]) -> None:
        driver = self._site.driver
        try:
            driver.read_cancel(await self._site.user.run(driver.cancel(self.memory.name, ids)))
        except (UnclearError, UnansweredError) as error:
            _LOG.warning("Cancelling %s was not confirmed: %s", self.memory.name, error)

    def forget(self) -> None:
        """Watch it no more."""
        self._site.poller.forget(self.memory.name)

    def _watch(self, *, hurry: bool = False) -> Watch:
        return self._site.poller.watch(self.memory.name, hurry=hurry)
