"""Carries out the outpost's orders, each attempt for itself; the same order again gets the same answer."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from ...protocol.host import (
    Advanced,
    Ended,
    Forget,
    Job,
    Order,
    Ping,
    Pong,
    Report,
    Resume,
    Resumed,
    Start,
    Started,
    StartFailed,
    StateChanged,
    Stop,
    StopFailed,
    Stopped,
)
from .attempt import Attempt, Phase
from .build import Builder
from .calls import GUEST_ERRORS, settle
from .ending import Ending
from .guest import TOKENS
from .launch import Launch
from .leftovers import Leftovers
from .names import NamesInUse, family_of
from .sentences import RefusedError, Secrets, failure
from .watch import Watcher

_LOG: Final = logging.getLogger(__name__)
_PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between tries to end what a failed start left."""


class Runner:
    """The servers of one system."""

    def __init__(self, builder: Builder, report: Callable[[Report], None], secrets: Secrets) -> None:
        self._builder = builder
        self._report = report
        self._secrets = secrets
        self._attempts: dict[str, Attempt] = {}
        self._launches: dict[str, Launch] = {}
        self._names = NamesInUse(family_of(builder.spawner_class))
        self._ending = Ending(Leftovers(), builder.settings.stop_timeout)
        self._watcher = Watcher(builder.settings.poll_interval, self._ended, self._describe)
        self._tasks: set[asyncio.Task[None]] = set()

    async def watch(self) -> None:
        """Poll running servers until cancelled."""
        await self._watcher.run()

    def pinged(self, ping: Ping) -> None:
        self._report(Pong(number=ping.number, watched=len(self._watcher), oldest_poll=self._watcher.oldest()))

    def obey(self, order: Order) -> None:
        """Take an order; what takes time goes on by itself."""
        try:
            self._obey(order)
        except GUEST_ERRORS as error:
            _LOG.error("A %s order was not carried out: %s", order.type, self._describe(error))

    def _obey(self, order: Order) -> None:
        match order:
            case Start(job=job, again=again):
                self._order_start(job, again)
            case Resume(job=job):
                self._order_resume(job)
            case Stop(job=job, now=now):
                self._order_stop(job, now)
            case Forget(key=key):
                self._forget(key)
            case Ping():
                self.pinged(order)

    # --- start

    def _order_start(self, job: Job, again: bool) -> None:
        known = self._attempts.get(job.key)
        if known is None:
            attempt = self._attempts[job.key] = Attempt(job.key, Phase.STARTING)
            self._do(attempt, self._start(attempt, job, again))
        elif known.phase is Phase.RUNNING and known.url:
            self._report_started(known)
        elif known.phase is Phase.RUNNING:
            known.phase = Phase.STARTING
            self._watcher.remove(known.key)
            self._do(known, self._start(known, job, again=True))
        elif known.phase is Phase.OVER:
            self._report(StartFailed(key=job.key, message=known.message or "This attempt was stopped."))

    async def _start(self, attempt: Attempt, job: Job, again: bool) -> None:
        self._keep_secrets(job)
        launch = self._launches[job.key] = Launch(attempt, job, self._builder, self._report)
        attempt.unfinished = again
        try:
            if again:
                attempt.load(self._builder.build(job, lenient=True), job.state)
            take_up = again and self._builder.follows_attempts
            if again and not take_up:
                await self._clear_away(attempt, "An earlier try to start this server was cut off.")
                attempt.unfinished = False
            attempt.load(self._builder.build(job), job.state)
            await launch.prepare(take_up=take_up)
            if self._is_superseded(attempt):
                return
            attempt.names = self._names.claim(attempt.key, attempt.spawner)
            attempt.unfinished = True
            attempt.url = await launch.start()
            if self._is_superseded(attempt):
                return
            token = attempt.spawner.api_token
            attempt.api_token = token if token and token not in _tokens(job) else None
            state = attempt.export()
        except GUEST_ERRORS as error:
            await self._start_failed(attempt, self._describe(error))
            return
        attempt.phase, attempt.unfinished = Phase.RUNNING, False
        self._report(Started(key=attempt.key, url=attempt.url, state=state, api_token=attempt.api_token))
        self._settle_down(attempt)

    def _settle_down(self, attempt: Attempt) -> None:
        """A running server is held with as little as possible."""
        attempt.reported = None
        attempt.spawner.roadstead_identity = None
        attempt.spawner.user.learn_auth_state(None)
        self._secrets.drop(attempt.key)
        self._launches.pop(attempt.key, None)
        self._watcher.add(attempt.key, attempt.poll)

    async def _start_failed(self, attempt: Attempt, message: str) -> None:
        if self._is_superseded(attempt):
            return
        _LOG.warning("The start of %s failed: %s", attempt.key, message)
        attempt.message = message
        if attempt.spawner is not None:
            if attempt.unfinished:
                await self._clear_away(attempt, message)
            await self._ending.after(attempt)
        self._finish(attempt)
        self._report(StartFailed(key=attempt.key, message=message))

    async def _clear_away(self, attempt: Attempt, why: str) -> None:
        """End what there may be, again and again until it is known to be gone: a failed start must leave nothing."""
        tries = 0
        while True:
            try:
                await self._ending.end(attempt, now=tries > 1)
                return
            except GUEST_ERRORS as error:
                text = f"{why} What it left cannot be ended yet: {self._describe(error)}"
                _LOG.warning("%s: %s", attempt.key, text)
                self._report(Advanced(key=attempt.key, message=text))
            await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
            tries += 1

    def _report_started(self, attempt: Attempt) -> None:
        state = attempt.export()
        self._report(Started(key=attempt.key, url=attempt.url, state=state, api_token=attempt.api_token))

    # --- resume

    def _order_resume(self, job: Job) -> None:
        known = self._attempts.get(job.key)
        if known is not None and known.phase is not Phase.RUNNING:
            return
        if known is None:
            attempt = self._attempts[job.key] = Attempt(job.key, Phase.RUNNING)
            poll = attempt.poll
            try:
                self._take_up(attempt, job)
            except GUEST_ERRORS as error:
                # Nothing is known of the server now, and unknown is not gone: it is tried again with each poll.
                _LOG.error("%s cannot be watched yet: %s", job.key, self._describe(error))
                poll = partial(self._take_up_and_poll, attempt, job)
            self._watcher.add(job.key, poll)
        self._report(Resumed(key=job.key))

    def _take_up(self, attempt: Attempt, job: Job) -> None:
        attempt.load(self._builder.build(job, lenient=True), job.state)
        attempt.spawner.user.learn_auth_state(None)
        try:
            attempt.names = self._names.claim(attempt.key, attempt.spawner)
        except RefusedError as error:
            _LOG.error("%s: %s", attempt.key, error)

    async def _take_up_and_poll(self, attempt: Attempt, job: Job) -> int | None:
        if attempt.spawner is None:
            self._take_up(attempt, job)
        return await attempt.poll()

    # --- stop

    def _order_stop(self, job: Job, now: bool) -> None:
        known = self._attempts.get(job.key)
        if known is None:
            known = self._attempts[job.key] = Attempt(job.key, Phase.OVER)
        elif known.phase is Phase.OVER:
            self._report(Stopped(key=job.key))
            return
        elif known.phase is Phase.STOPPING and known.task and not known.task.done():
            return
        known.phase = Phase.STOPPING
        self._watcher.remove(job.key)
        self._do(known, self._stop(known, job, now, known.task))

    async def _stop(self, attempt: Attempt, job: Job, now: bool, start: asyncio.Task[None] | None) -> None:
        try:
            self._keep_secrets(job)
            if start and not start.done():
                await self._break_off(attempt, start)
            if attempt.spawner is None:
                attempt.load(self._builder.build(job, lenient=True), job.state)
                attempt.unfinished = True
            attempt.spawner.user.learn_auth_state(job.request.user.auth_state)
            await self._ending.end(attempt, now=now)
            await self._ending.after(attempt)
            self._report_last_state(attempt)
            if job.request.certificates:
                await asyncio.to_thread(self._builder.certificates.remove, job.key, job.request.certificates)
        except GUEST_ERRORS as error:
            message = self._describe(error)
            _LOG.warning("%s is not stopped: %s", attempt.key, message)
            self._report(StopFailed(key=attempt.key, message=message))
            return
        self._finish(attempt)
        self._report(Stopped(key=attempt.key))

    async def _break_off(self, attempt: Attempt, start: asyncio.Task[None]) -> None:
        """End a start that is under way. One that does not let itself be cancelled is ended when it comes back."""
        launch = self._launches.get(attempt.key)
        start.cancel()
        unwound = await settle(start)
        if launch is not None and not await launch.unwind() and launch.call is not None:
            unwound = False
            launch.call.add_done_callback(partial(self._came_late, attempt.key, attempt.spawner))
        if not unwound:
            _LOG.error("start() of %s does not end when it is cancelled; it is left to itself.", attempt.key)

    def _came_late(self, key: str, spawner: Any, _: asyncio.Task[Any]) -> None:
        late = Attempt(key, Phase.STOPPING)
        late.spawner, late.unfinished = spawner, True
        _LOG.warning("start() of %s came back after the server was stopped; what it made is ended.", key)
        self._do(late, self._clear_away(late, "A start came back after its server was stopped."))

    # --- end

    def _ended(self, key: str, exit_code: int) -> None:
        attempt = self._attempts.get(key)
        if attempt is not None and attempt.phase is Phase.RUNNING:
            self._do(attempt, self._after_end(attempt, exit_code))

    async def _after_end(self, attempt: Attempt, exit_code: int) -> None:
        """The server ended by itself: what it left goes too, then the site's hook, then the word to the outpost."""
        message = str(getattr(attempt.spawner, "end_message", ""))
        try:
            await self._ending.sweep(attempt)
        except RefusedError as error:
            _LOG.warning("%s ended by itself, but not all of it: %s", attempt.key, error)
            if attempt.phase is Phase.RUNNING:
                self._watcher.add(attempt.key, attempt.poll)
            return
        await self._ending.after(attempt)
        self._report_last_state(attempt)
        self._finish(attempt)
        self._report(Ended(key=attempt.key, exit_code=exit_code, message=message))

    def _report_last_state(self, attempt: Attempt) -> None:
        """What a class keeps beyond the end of its server, such as the name of a volume."""
        attempt.mark = None
        try:
            self._report(StateChanged(key=attempt.key, state=attempt.export()))
        except GUEST_ERRORS as error:
            _LOG.error("The last state of %s: %s", attempt.key, self._describe(error))

    def _finish(self, attempt: Attempt) -> None:
        attempt.phase = Phase.OVER
        self._watcher.remove(attempt.key)
        self._names.release(attempt.key, attempt.names)
        self._secrets.drop(attempt.key)
        self._launches.pop(attempt.key, None)
        attempt.spawner, attempt.names, attempt.reported = None, [], None

    def _forget(self, key: str) -> None:
        attempt = self._attempts.get(key)
        if attempt and attempt.phase is Phase.OVER:
            del self._attempts[key]
        elif attempt:
            _LOG.error("The outpost forgets %s, which is %s; it is kept.", key, attempt.phase.value)

    # --- common

    def _do(self, attempt: Attempt, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        attempt.task = task
        self._tasks.add(task)
        task.add_done_callback(partial(self._done, attempt))

    def _done(self, attempt: Attempt, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if attempt.task is task:
            attempt.task = None
        if not task.cancelled() and (error := task.exception()):
            _LOG.error("An order was not carried out.", exc_info=error)

    def _is_superseded(self, attempt: Attempt) -> bool:
        """Another order has taken this attempt over while a guest did not let itself be cancelled."""
        return attempt.task is not asyncio.current_task()

    def _keep_secrets(self, job: Job) -> None:
        self._secrets.keep(job.key, list(_tokens(job)))

    def _describe(self, error: BaseException) -> str:
        return self._secrets.hide(failure(error, self._builder.class_name))


def _tokens(job: Job) -> set[str]:
    return {value for name in TOKENS if (value := job.request.environment.get(name))}
