"""Steps of the ledger: each is written as a whole or not at all, and those who write at the same time share a commit.

A step is a function of a transaction. It may run more than once, and outside the event loop: what it leaves behind is
what it writes and what it gives back, nothing else.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection, and_, bindparam, func, insert, select, update

from ..protocol.servers import ServerState
from .database import DATABASE_ERRORS, Database, ledger_down
from .rows import Attempt, Usage, read_row, row_of
from .schema import CANCELLED, EVENTS, FLOORS, SERVERS
from .secrets import Keyring

_LOG: Final = logging.getLogger(__name__)
SEALED: Final = "sealed:"
"""What an encrypted event begins with."""
_SOON: Final = 0.1
_LATER: Final = 1.0
_MOST_WAITING: Final = 10_000
_AT_ONCE: Final = 16
"""Steps in one commit: whoever waits for other things, as for /health, waits for as many answers to be made up."""

Written = tuple[str, int, str]
"""An event that is in the ledger: hub, number and JSON."""

T = TypeVar("T")

# Built once: to build a statement takes longer than SQLite needs to carry it out.
_GET: Final = select(SERVERS).where(SERVERS.c.hub == bindparam("hub"), SERVERS.c.id == bindparam("id"))
_LAST: Final = (
    select(SERVERS)
    .where(
        SERVERS.c.hub == bindparam("hub"),
        SERVERS.c.user == bindparam("user"),
        SERVERS.c.server_name == bindparam("server_name"),
    )
    .order_by(SERVERS.c.state == ServerState.ENDED.value, SERVERS.c.id.desc())
    .limit(1)
)
_CANCELLED: Final = select(CANCELLED.c.at).where(CANCELLED.c.hub == bindparam("hub"), CANCELLED.c.id == bindparam("id"))
_ADD: Final = insert(SERVERS)
_SAVE: Final = update(SERVERS).where(SERVERS.c.hub == bindparam("of_hub"), SERVERS.c.id == bindparam("of_id"))
_TELL: Final = insert(EVENTS)


def newest(connection: Connection, hub: str) -> int:
    """The number of a hub's newest event; 0 before the first."""
    event = connection.scalar(select(func.max(EVENTS.c.seq)).where(EVENTS.c.hub == hub))
    floor = connection.scalar(select(FLOORS.c.seq).where(FLOORS.c.hub == hub))
    return max(event or 0, floor or 0)


def usage(connection: Connection, hub: str, user: str, system: str) -> dict[str | None, Usage]:
    """Live servers of a system by flavor."""
    of_hub = SERVERS.c.hub == hub
    of_user = SERVERS.c.user == user
    query = (
        select(
            SERVERS.c.flavor,
            func.count().label("all"),
            func.count().filter(of_hub).label("hub"),
            func.count().filter(of_user).label("user_all"),
            func.count().filter(and_(of_hub, of_user)).label("user_hub"),
        )
        .where(SERVERS.c.system == system, SERVERS.c.state != ServerState.ENDED.value)
        .group_by(SERVERS.c.flavor)
    )
    rows = connection.execute(query).mappings()
    return {row["flavor"]: Usage(row["hub"], row["all"], row["user_hub"], row["user_all"]) for row in rows}


class Transaction:
    """What can be done to the ledger in one step."""

    def __init__(self, connection: Connection, keyring: Keyring, seqs: Mapping[str, int]) -> None:
        self.connection = connection
        self.written: list[Written] = []
        self.seqs = dict(seqs)
        self._keyring = keyring
        self._events: list[dict[str, Any]] = []

    def get(self, hub: str, server_id: str) -> Attempt | None:
        row = self.connection.execute(_GET, {"hub": hub, "id": server_id}).first()
        return read_row(row) if row else None

    def last_attempt(self, hub: str, user: str, server_name: str) -> Attempt | None:
        """The live attempt of a server or, where none lives, the newest that is still kept."""
        row = self.connection.execute(_LAST, {"hub": hub, "user": user, "server_name": server_name}).first()
        return read_row(row) if row else None

    def add(self, attempt: Attempt) -> None:
        self.connection.execute(_ADD, row_of(attempt))

    def save(self, before: Attempt, after: Attempt) -> None:
        """Write what has changed."""
        old, new = row_of(before), row_of(after)
        changes = {name: value for name, value in new.items() if old[name] != value}
        if changes:
            self.connection.execute(_SAVE, changes | {"of_hub": after.hub, "of_id": after.id})

    def tell(self, hub: str, server_id: str, body: Mapping[str, Any], *, secret: bool = False) -> None:
        """Append an event for a hub."""
        seq = (self.seqs.get(hub) or newest(self.connection, hub)) + 1
        self.seqs[hub] = seq
        text = json.dumps({**body, "seq": seq}, ensure_ascii=False, separators=(",", ":"))
        stored = SEALED + self._keyring.encrypt(text) if secret else text
        self._events.append({"hub": hub, "seq": seq, "id": server_id, "body": stored})
        self.written.append((hub, seq, text))

    def flush(self) -> None:
        """Write what was told, all of it with one statement; done before the commit."""
        if self._events:
            self.connection.execute(_TELL, self._events)

    def cancel_unseen(self, hub: str, server_id: str, now: float) -> None:
        """Remember an attempt that was cancelled before it arrived."""
        if not self.was_cancelled(hub, server_id):
            self.connection.execute(insert(CANCELLED).values(hub=hub, id=server_id, at=now))

    def was_cancelled(self, hub: str, server_id: str) -> bool:
        return self.connection.execute(_CANCELLED, {"hub": hub, "id": server_id}).first() is not None

    def usage(self, hub: str, user: str, system: str) -> dict[str | None, Usage]:
        """Live servers of a system by flavor."""
        return usage(self.connection, hub, user, system)

    def mark_missing(self, hub: str, missing: Sequence[str], present: Sequence[str], now: float) -> None:
        """Note since when attempts are missing from the hub's lists; what is named again is forgiven."""
        for ids, condition, value in (
            (missing, SERVERS.c.missing_since.is_(None), now),
            (present, SERVERS.c.missing_since.is_not(None), None),
        ):
            for start in range(0, len(ids), 500):
                query = update(SERVERS).where(
                    SERVERS.c.hub == hub, SERVERS.c.id.in_(ids[start : start + 500]), condition
                )
                self.connection.execute(query.values(missing_since=value))


@dataclass(frozen=True, slots=True)
class _Line:
    """An event that waits for a step to be written with."""

    hub: str
    server_id: str
    body: Mapping[str, Any]


class _Entry(Generic[T]):
    """A step that waits for its turn, and who waits for it."""

    def __init__(self, step: Callable[[Transaction], T]) -> None:
        self._step = step
        self.answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def run(self, transaction: Transaction) -> Callable[[], None]:
        """Do the step; what it gives is handed over by calling what is returned, once it is committed."""
        given = self._step(transaction)
        return lambda: None if self.answer.done() else self.answer.set_result(given)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Steps:
    """Takes steps one after the other, as many as wait in one transaction."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self.announce: Callable[[list[Written]], None] = lambda _: None
        """Called after each commit with what it told the hubs."""
        self.seqs: dict[str, int] = {}
        """The newest numbers that are known to be in the database."""
        self._database = database
        self._keyring = keyring
        self._entries: list[_Entry[Any]] = []
        self._lines: list[_Line] = []
        self._work: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, step: Callable[[Transaction], T]) -> T:
        """Do a step; back when it is committed. Raises what the step raises, and RoadsteadError `ledger-down`."""
        entry = _Entry(step)
        self._entries.append(entry)
        self._begin()
        return await entry.answer

    def tell_soon(self, hub: str, server_id: str, body: Mapping[str, Any]) -> None:
        """Append an event together with the next step, or alone in a moment: not worth a commit of its own."""
        self._lines.append(_Line(hub, server_id, body))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SOON, self._begin)

    async def close(self) -> None:
        """Write what still waits."""
        if self._timer is not None:
            self._timer.cancel()
        if self._lines:
            self._begin()
        if self._work is not None:
            await self._work

    def _begin(self) -> None:
        if self._work is None or self._work.done():
            self._work = asyncio.get_running_loop().create_task(self._take_all(), name="ledger")

    async def _take_all(self) -> None:
        while True:
            waiting = [entry for entry in self._entries if not entry.answer.done()]
            entries, self._entries = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
            lines, self._lines = self._lines, []
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if (entries or lines) and not await self._take(entries, lines):
                await self._take_singly(entries, lines)
            if not self._entries:
                break
        if self._lines and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LATER, self._begin)

    async def _take_singly(self, entries: list[_Entry[Any]], lines: list[_Line]) -> None:
        """One of them spoiled it for all: each for itself, the lines first, for what follows may be about the same."""
        if lines and not await self._take([], lines):
            _LOG.warning("%d events wait for the ledger.", len(lines))
            self._lines[:0] = lines[-_MOST_WAITING:]
        for entry in entries:
            if not entry.answer.done():
                await self._take([entry], [])

    async def _take(self, entries: list[_Entry[Any]], lines: list[_Line]) -> bool:
        """All of these in one transaction. False when it came to nothing; a step that was alone in it is told why."""
        committed = False
        try:
            transaction, handovers = await self._database.write(partial(self._run, entries, lines))
            committed = True
        except Exception as error:  # noqa: BLE001 - whatever a step raises is for whoever asked for it
            if len(entries) == 1 and not lines:
                entries[0].fail(ledger_down(error) if isinstance(error, DATABASE_ERRORS) else error)
            return False
        finally:
            if not committed:
                # What a commit that broke off has left is not known, the newest numbers neither.
                self.seqs.clear()
        self.seqs.update(transaction.seqs)
        self.announce(transaction.written)
        for hand_over in handovers:
            hand_over()
        return True

    def _run(
        self, entries: list[_Entry[Any]], lines: list[_Line], connection: Connection
    ) -> tuple[Transaction, list[Callable[[], None]]]:
        transaction = Transaction(connection, self._keyring, self.seqs)
        for line in lines:
            transaction.tell(line.hub, line.server_id, line.body)
        handovers = [entry.run(transaction) for entry in entries]
        transaction.flush()
        return transaction, handovers
