"""Runs the lifecycle on the ledger and gives the hosts their orders: written first, ordered then."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from ..protocol import host as wire
from ..protocol.errors import ErrorCode, RoadsteadError
from ..protocol.servers import ServerState
from . import lifecycle
from .hosts import Host, Hosts
from .ledger import Ledger
from .metrics import Metrics
from .rows import Attempt, split_key
from .secrets import InvalidToken
from .steps import Transaction
from .views import now_iso, state_event

_LOG: Final = logging.getLogger(__name__)
_STOP_PAUSES: Final = (1.0, 2.0, 5.0, 15.0, 60.0)
_T = TypeVar("_T")


class Conductor:
    """What happens to attempts: it listens to the hosts and is told what hubs and clocks want."""

    hosts: Hosts

    def __init__(self, ledger: Ledger, metrics: Metrics, warn_before: tuple[int, ...]) -> None:
        self.ledger = ledger
        self.metrics = metrics
        self._warn_before = warn_before
        self._stop_tries: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def tell_state(self, transaction: Transaction, attempt: Attempt) -> None:
        """Write the event that says in which state an attempt now is."""
        body = state_event(attempt, self.ledger)
        transaction.tell(attempt.hub, attempt.id, body, secret="api_token" in body)

    def begin(self, transaction: Transaction, attempt: Attempt) -> Attempt:
        """Write a new attempt down, in the same step with its start if its host takes orders; `begun` comes next."""
        self.tell_state(transaction, attempt)
        if self.hosts[attempt.system].status.up:
            attempt = replace(attempt, record=lifecycle.step(attempt.record, self._host_ready(attempt))[0])
            self.tell_state(transaction, attempt)
        transaction.add(attempt)
        return attempt

    def begun(self, attempt: Attempt) -> None:
        """A new attempt is in the ledger: give the order that follows from it."""
        self.metrics.accepted(attempt.system)
        if attempt.record.state is ServerState.STARTING:
            self._order(attempt, lifecycle.Order.START)
        elif self.hosts[attempt.system].status.up:
            self.background(self.ready(attempt))

    async def host_ready(self, system: str) -> None:
        """A new host: it gets everything that lives on its system."""
        self.background(self._give_all(system))

    async def _give_all(self, system: str) -> None:
        after = ("", "")
        live = partial(self.ledger.page, system=system, live=True, limit=200)
        while attempts := await self.patiently(partial(live, after=after)):
            for attempt in attempts:
                await self.ready(attempt)
            after = (attempts[-1].hub, attempts[-1].id)

    async def ready(self, attempt: Attempt) -> None:
        """The attempt's host takes orders: give it what this attempt needs."""
        record, order = lifecycle.step(attempt.record, self._host_ready(attempt))
        if record == attempt.record and order is not None:
            self._order(attempt, order)
        else:
            await self._persist(attempt.key, self._host_ready(attempt))

    def _host_ready(self, attempt: Attempt) -> lifecycle.HostReady:
        return lifecycle.HostReady(takes_up=self.hosts[attempt.system].status.takes_up_starts)

    async def host_lost(self, system: str) -> None:
        """Starts in progress are gone with the host; the next one begins them again."""
        self.metrics.host_lost(system)
        after = ("", "")
        starting = partial(self.ledger.page, system=system, state=ServerState.STARTING)
        while attempts := await self.patiently(partial(starting, after=after)):
            for attempt in attempts:
                await self._persist(attempt.key, lifecycle.HostLost())
            after = (attempts[-1].hub, attempts[-1].id)

    async def host_reports(self, report: wire.Report) -> None:
        """One report about an attempt. It is not taken as heard before it is in the ledger."""
        match report:
            case wire.Advanced(key=key, progress=progress, message=message):
                self._tell_progress(key, progress, message)
            case wire.StateChanged(key=key, state=state):
                await self.patiently(lambda: self._save_spawner_state(key, state))
            case wire.Started(key=key):
                await self._persist(key, lifecycle.Started(), report)
            case wire.StartFailed(key=key, message=message):
                await self._persist(key, lifecycle.StartFailed(message))
            case wire.Ended(key=key, exit_code=code, message=message):
                await self._persist(key, lifecycle.Gone(code, message))
            case wire.Stopped(key=key):
                await self._persist(key, lifecycle.Stopped())
            case wire.StopFailed(key=key, message=message):
                _LOG.warning("Stopping %s failed: %s", key, message)
                await self._persist(key, lifecycle.StopFailed())
            case _:
                return

    async def _save_spawner_state(self, key: str, state: wire.SpawnerState) -> None:
        def save(transaction: Transaction) -> None:
            attempt = transaction.get(*split_key(key))
            if attempt is not None and attempt.live:
                transaction.save(attempt, self.ledger.with_spawner_state(attempt, state))

        await self.ledger.write(save)

    def _tell_progress(self, key: str, progress: int | None, message: str) -> None:
        hub, server_id = split_key(key)
        body = {"type": "progress", "at": now_iso(), "server_id": server_id, "progress": progress, "message": message}
        self.ledger.tell_soon(hub, server_id, body)

    async def _persist(self, key: str, event: lifecycle.Event, started: wire.Started | None = None) -> None:
        """A step that must not be lost: repeated until the ledger takes it."""
        await self.patiently(lambda: self.step(key, event, started))

    async def patiently(self, action: Callable[[], Awaitable[_T]]) -> _T:
        """Do something with the ledger, again and again until the ledger can be used."""
        pause = 0.1
        while True:
            try:
                return await action()
            except RoadsteadError as error:
                if error.code is not ErrorCode.LEDGER_DOWN:
                    raise
                _LOG.error("%s Trying again.", error.body.message)
            await asyncio.sleep(pause)
            pause = min(2 * pause, 5.0)

    async def step(self, key: str, event: lifecycle.Event, started: wire.Started | None = None) -> Attempt | None:
        """Move an attempt on and do what follows; None when there is no such attempt."""

        def move(transaction: Transaction) -> tuple[Attempt, Attempt, lifecycle.Order | None] | None:
            before = transaction.get(*split_key(key))
            if before is None:
                return None
            record, order = lifecycle.step(before.record, event)
            after = self._advance(replace(before, record=record), before, started)
            transaction.save(before, after)
            if record.state is not before.record.state:
                self.tell_state(transaction, after)
            return before, after, order

        moved = await self.ledger.write(move)
        if moved is None:
            return None
        before, after, order = moved
        if after.record.state is not before.record.state:
            self.metrics.moved(before, after)
        if order is not None:
            self._order(after, order)
        return after

    def _advance(self, after: Attempt, before: Attempt, started: wire.Started | None) -> Attempt:
        state, now = after.record.state, time.time()
        if started is not None and state is ServerState.RUNNING and before.record.state is ServerState.STARTING:
            expires = now + after.runtime if after.runtime else None
            after = replace(
                self.ledger.with_spawner_state(after, started.state),
                url=started.url,
                api_token=self.ledger.seal(started.api_token) if started.api_token else None,
                running_at=now,
                deadline_at=None,
                expires_at=expires,
                due_at=next_due(expires, after.runtime, self._warn_before, None),
            )
        elif state in (ServerState.STOPPING, ServerState.ENDED):
            after = replace(after, due_at=None)
            if state is ServerState.ENDED and before.record.state is not ServerState.ENDED:
                after = replace(after, ended_at=now)
        return after

    def _order(self, attempt: Attempt, order: lifecycle.Order) -> None:
        host = self.hosts.get(attempt.system)
        if host is None:
            _LOG.warning(
                "Server %s is of the system '%s', which is not configured any more: nothing can be done about it.",
                *(attempt.key, attempt.system),
            )
            return
        try:
            self._send(host, attempt, order)
        except (InvalidToken, ValueError) as error:
            _LOG.error(
                "Server %s is left alone: its record cannot be read (%s). Restore the ledger's key from the backup.",
                *(attempt.key, type(error).__name__),
            )

    def _send(self, host: Host, attempt: Attempt, order: lifecycle.Order) -> None:
        match order:
            case lifecycle.Order.START | lifecycle.Order.START_AGAIN:
                again = order is lifecycle.Order.START_AGAIN
                if not host.send(wire.Start(job=self._job(attempt), again=again)):
                    self.background(self._begin_again(attempt))
            case lifecycle.Order.RESUME:
                host.send(wire.Resume(job=self._job(attempt)))
            case lifecycle.Order.STOP:
                tries = self._stop_tries.get(attempt.key, 0)
                host.send(wire.Stop(job=self._job(attempt), now=tries > 0))
            case lifecycle.Order.STOP_LATER:
                self.background(self._stop_later(attempt))
            case lifecycle.Order.FORGET:
                self._stop_tries.pop(attempt.key, None)
                host.send(wire.Forget(key=attempt.key))

    async def _begin_again(self, attempt: Attempt) -> None:
        """The host was lost just before it got the order, too late for `host_lost` to see this attempt."""
        await self._persist(attempt.key, lifecycle.HostLost())
        if self.hosts[attempt.system].status.up:
            await self._persist(attempt.key, self._host_ready(attempt))

    async def _stop_later(self, attempt: Attempt) -> None:
        tries = self._stop_tries.get(attempt.key, 0)
        self._stop_tries[attempt.key] = tries + 1
        await asyncio.sleep(_STOP_PAUSES[min(tries, len(_STOP_PAUSES) - 1)])
        current = await self.patiently(lambda: self.ledger.get(attempt.hub, attempt.id))
        if current is not None and current.record.state is ServerState.STOPPING:
            self._order(current, lifecycle.Order.STOP)

    def _job(self, attempt: Attempt) -> wire.Job:
        return wire.Job(
            key=attempt.key,
            hub=attempt.hub,
            server_id=attempt.id,
            request=self.ledger.request(attempt),
            settings=self.ledger.settings(attempt),
            state=self.ledger.spawner_state(attempt),
        )

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something without waiting for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _LOG.error("A background task failed.", exc_info=error)

    async def stop_background(self) -> None:
        """End what still waits for its turn; the ledger has all of it."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def next_due(
    expires: float | None, runtime: int | None, warn_before: tuple[int, ...], warned: int | None
) -> float | None:
    """When a running server needs attention next: for a warning, or because its run time is over."""
    if expires is None:
        return None
    ahead = [before for before in warn_before if before < (warned or runtime or 0)]
    return expires - max(ahead) if ahead else expires
