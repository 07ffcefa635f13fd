"""What this hub knows of its servers at one outpost: fed by one event stream, read from memory by everybody else.

Unknown is not gone. While the outpost is away the mirror only ages; an attempt that the outpost does not name is taken
as gone after two complete listings without it. What the hub wants ended is asked for until the outpost has that in
writing.
"""

import asyncio
import contextlib
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol

from tornado.log import app_log

from ..protocol.errors import ErrorCode, RoadsteadError
from ..protocol.events import ProgressEvent, ResetEvent, StateEvent, WarningEvent
from ..protocol.servers import ServerState, ServerView
from .cancels import Cancels
from .client import OutpostClient
from .pauses import pauses
from .records import ContradictionError, ServerRecord
from .titles import Titles

_PAUSES: Final = (0.2, 30.0)
"""Seconds between tries: the first, the longest."""
_LOOK_SECONDS: Final = 2.0
_KNOWN_SECONDS: Final = (15.0, 180.0)
_LONG_SECONDS: Final = 120.0
_TIDY_SECONDS: Final = 60.0
_KEPT_SECONDS: Final = 900.0
_AT_ONCE: Final = 8


class Watcher(Protocol):
    """Who wants to be told at once when an attempt is over."""

    def attempt_over(self) -> None:
        """The attempt ended, or is gone; called on the loop, must not block."""


class Mirror:
    """One outpost, seen with one credential. All of it runs on one event loop."""

    def __init__(self, client: OutpostClient, known: Callable[[], Awaitable[list[str] | None]]) -> None:
        self.client = client
        self.loop = asyncio.get_running_loop()
        self.trouble: RoadsteadError | None = None
        """Why the stream does not stand; None while it does, and before the first try."""
        self.titles = Titles()
        self._known = known
        self._records: dict[str, ServerRecord] = {}
        self._waiting: dict[str, asyncio.Event] = {}
        self._watchers: weakref.WeakValueDictionary[str, Watcher] = weakref.WeakValueDictionary()
        self._seq: int | None = None
        self._connected = asyncio.Event()
        self._came = asyncio.Event()
        self._doubtful = asyncio.Event()
        self._suspicious = False
        self._few = asyncio.Semaphore(_AT_ONCE)
        self._cancels = Cancels(client, self._connected, self._few, self._take_view, self._never_had)
        self._tasks = [
            self.loop.create_task(self._for_ever(work), name=f"roadstead {client.name} {work.__name__}")
            for work in (self._follow, self._look_again, self._tell_known, self._keep_tidy)
        ]

    async def close(self) -> None:
        """End all work; nothing is said to the outpost."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._cancels.close()
        await self.client.close()

    # -- for readers

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    def get(self, server_id: str) -> ServerRecord | None:
        """The record of an attempt, if there is one."""
        return self._records.get(server_id)

    def expect(self, server_id: str, watcher: Watcher | None = None) -> ServerRecord:
        """The hub holds this attempt; the outpost is asked for it until it answers. `watcher` is held weakly."""
        record = self._record(server_id)
        record.expected = True
        if watcher is not None:
            self._watchers[server_id] = watcher
        if record.state is None:
            self._doubtful.set()
        return record

    def accept(self, view: ServerView, watcher: Watcher) -> ServerRecord:
        """The outpost has answered about an attempt of this process: its whole log passes here."""
        record = self._record(view.id)
        record.expected = record.log_complete = True
        self._watchers[view.id] = watcher
        self._take_view(view)
        return record

    def release(self, server_id: str) -> None:
        """The hub holds this attempt no more. What is known of it stays for a while, for those who read its log."""
        self._watchers.pop(server_id, None)
        record = self._records.get(server_id)
        if record is not None:
            record.expected = False
            record.settled = time.monotonic()

    def note(self, server_id: str, message: str, progress: int | None = None) -> None:
        """Write a line of the hub's own into the event log of an attempt."""
        record = self._record(server_id)
        record.note(message, progress)
        self._wake(record)

    async def changed(self, record: ServerRecord, version: int, seconds: float | None = None) -> bool:
        """Wait until a record is newer than `version`; False when that takes longer than `seconds`."""
        if record.version != version:
            return True
        event = self._waiting.setdefault(record.server_id, asyncio.Event())
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        return True

    async def complete_log(self, record: ServerRecord) -> None:
        """Fetch what was logged before this mirror was there, once; without the outpost it stays as it is."""
        if record.log_complete or record.state is None or not self.connected:
            return
        try:
            lines = await self.client.log(record.server_id)
        except RoadsteadError as error:
            app_log.debug("No log of %s: %s", record.server_id, error.sentence)
            return
        if not record.log_complete:
            record.prepend([(line.at, line.progress, line.message) for line in lines])

    # -- ends

    def cancel(self, server_id: str) -> asyncio.Task[None]:
        """Have an attempt ended; the task is done when the outpost has that in its ledger, however long it is away."""
        return self._cancels.ask(server_id)

    def _never_had(self, server_id: str) -> None:
        record = self._records.get(server_id)
        if record is not None and not record.over:
            self._gone(record)

    # -- the stream

    async def _for_ever(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        for pause in pauses(*_PAUSES):
            try:
                await work()
            except Exception:  # noqa: BLE001 - a mirror that ended would leave all its servers unwatched
                app_log.exception(
                    "Roadstead's %s for outpost '%s' failed; it goes on.", work.__name__, self.client.name
                )
            await asyncio.sleep(pause)

    async def _follow(self) -> None:
        tries = pauses(*_PAUSES)
        while True:
            begun = time.monotonic()
            try:
                await self._stream()
                trouble = RoadsteadError(ErrorCode.OUTPOST_UNREACHABLE, "The outpost closed the event stream.")
            except RoadsteadError as error:
                trouble = error
            except ContradictionError as error:
                sentence = f"The outpost '{self.client.title}' contradicts itself: {error}."
                trouble = RoadsteadError(ErrorCode.OUTPOST_LIED, sentence)
            finally:
                self._connected.clear()
            self._lose(trouble)
            if time.monotonic() - begun > _PAUSES[1]:
                tries = pauses(*_PAUSES)
            await asyncio.sleep(next(tries))

    async def _stream(self) -> None:
        await self.client.info()
        first = await self._list()
        after = first if self._seq is None else self._seq
        async with contextlib.aclosing(self.client.events(after)) as events:
            async for event in events:
                match event:
                    case None:
                        self._seq = after
                        self._stand()
                    case ResetEvent(seq=seq):
                        await self._list()
                        self._seq = seq
                    case _ if self._seq is not None and event.seq <= self._seq:
                        continue
                    case StateEvent() | ProgressEvent() | WarningEvent():
                        self._take(event)
                        self._seq = event.seq

    def _take(self, event: StateEvent | ProgressEvent | WarningEvent) -> None:
        if isinstance(event, StateEvent):
            record = self._record(event.server_id)
            self._apply(record, lambda: record.apply_state(event))
            return
        known = self._records.get(event.server_id)
        if known is None:
            return
        if isinstance(event, ProgressEvent):
            known.apply_progress(event)
        else:
            known.apply_warning(event)
        self._wake(known)

    def _stand(self) -> None:
        if self.trouble is not None:
            app_log.info("The event stream of outpost '%s' stands again.", self.client.name)
            self._tell_starting("The outpost is there again.")
        self.trouble = None
        self._connected.set()
        self._came.set()

    def _lose(self, error: RoadsteadError) -> None:
        self._connected.clear()
        if self.trouble is None:
            self._tell_starting("The outpost cannot be reached at the moment; the start goes on there.")
        if self.trouble is None or self.trouble.sentence != error.sentence:
            app_log.warning("Outpost '%s' (%s): %s", self.client.name, error.code.value, error.sentence)
        self.trouble = error

    def _tell_starting(self, message: str) -> None:
        for record in self._held():
            if record.state in (ServerState.ACCEPTED, ServerState.STARTING):
                self.note(record.server_id, message)

    # -- listings

    async def _list(self) -> int:
        """Read all live attempts; only a listing that came to its end counts. Returns the number to stream from."""
        seq: int | None = None
        named = set[str]()
        expected, known = self._held(), list(self._records)
        async for page in self.client.pages():
            seq = page.seq if seq is None else seq
            for view in page.servers:
                named.add(view.id)
                self._take_view(view)
            await asyncio.sleep(0)
        missing = [record for record in expected if record.server_id not in named]
        for failure in await asyncio.gather(*(self._look_up(record) for record in missing), return_exceptions=True):
            if failure is not None:
                raise failure
        self._drop_stale(known, named)
        return seq or 0

    async def _look_up(self, record: ServerRecord) -> None:
        """An attempt that is not among the live ones: has it ended, or did the outpost never have it?"""
        async with self._few:
            try:
                view = await self.client.get(record.server_id)
            except RoadsteadError as error:
                if error.code is not ErrorCode.NOT_FOUND:
                    raise
                record.misses += 1
                if record.misses >= 2 and record.expected:
                    self._gone(record)
                else:
                    self._doubtful.set()
            else:
                self._take_view(view)

    async def _look_again(self) -> None:
        while True:
            await self._doubtful.wait()
            await asyncio.sleep(_LOOK_SECONDS)
            await self._connected.wait()
            self._doubtful.clear()
            if not self._suspicious and all(record.state and not record.misses for record in self._held()):
                continue
            try:
                await self._list()
                self._suspicious = False
            except (RoadsteadError, ContradictionError) as error:
                self._doubtful.set()
                app_log.debug("Listing the servers of outpost '%s' failed: %s", self.client.name, error)

    def _drop_stale(self, known: list[str], named: set[str]) -> None:
        """Drop what was known when a listing began and is not in it. What came up meanwhile cannot be in it."""
        for server_id in known:
            record = self._records.get(server_id)
            if record is None or record.expected or record.over or record.state is None or server_id in named:
                continue
            del self._records[server_id]

    # -- the hub's list

    async def _tell_known(self) -> None:
        soon, later = _KNOWN_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(later):
                    await self._came.wait()
                    # A hub that has just started is let finish that first.
                    await asyncio.sleep(soon)
            self._came.clear()
            await self._connected.wait()
            ids = await self._known()
            if ids is not None:
                try:
                    answer = await self.client.known(ids)
                except RoadsteadError as error:
                    app_log.warning("The list of known servers was not taken: %s", error.sentence)
                else:
                    self._compare(answer.unknown_here, answer.will_end)

    def _compare(self, unknown_here: list[str], will_end: list[str]) -> None:
        if will_end:
            app_log.info(
                "Outpost '%s' runs %d servers that this hub does not hold; it ends them after its grace period.",
                self.client.name,
                len(will_end),
            )
        records = (self._records.get(server_id) for server_id in unknown_here)
        doubted = any(record is not None and record.expected and not record.over for record in records)
        # What has been on its way for long is in a queue, or the news of it were lost: a listing tells.
        before = time.monotonic() - _LONG_SECONDS
        if doubted or any(not record.running and record.settled < before for record in self._held()):
            self._suspicious = True
            self._doubtful.set()

    # -- records

    def _held(self) -> list[ServerRecord]:
        return [record for record in self._records.values() if record.expected and not record.over]

    def _record(self, server_id: str) -> ServerRecord:
        record = self._records.get(server_id)
        if record is None:
            record = self._records[server_id] = ServerRecord(server_id)
            record.settled = time.monotonic()
        return record

    def _take_view(self, view: ServerView) -> None:
        self.titles.learn_server(view)
        record = self._record(view.id)
        self._apply(record, lambda: record.apply_view(view))

    def _apply(self, record: ServerRecord, change: Callable[[], None]) -> None:
        before, over = record.version, record.over
        change()
        if record.version == before:
            return
        if record.running or record.over:
            record.settled = time.monotonic()
        self._wake(record)
        if record.over and not over:
            self._tell_watcher(record)

    def _gone(self, record: ServerRecord) -> None:
        record.gone = True
        record.version += 1
        record.settled = time.monotonic()
        self._wake(record)
        self._tell_watcher(record)

    def _tell_watcher(self, record: ServerRecord) -> None:
        watcher = self._watchers.get(record.server_id)
        if watcher is not None:
            watcher.attempt_over()

    def _wake(self, record: ServerRecord) -> None:
        event = self._waiting.pop(record.server_id, None)
        if event is not None:
            event.set()

    async def _keep_tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            self.tidy()

    def tidy(self) -> None:
        """Drop the logs of servers that have run for a while, and what is over and nobody's."""
        before = time.monotonic() - _KEPT_SECONDS
        for record in list(self._records.values()):
            if record.settled > before:
                continue
            if record.running:
                record.drop_log()
            elif not record.expected and (record.over or record.state is None):
                self._wake(record)
                del self._records[record.server_id]
