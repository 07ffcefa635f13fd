"""The ledger: every attempt, written before anything is done, and the events that tell the hubs about it.

One outpost process owns a ledger. Writers take turns under a lock, so that counting and admitting are one step.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import and_, delete, event, func, insert, or_, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ..protocol.errors import ErrorCode, RoadsteadError
from ..protocol.host import SpawnerState
from ..protocol.servers import ServerRequest, ServerState
from .rows import Attempt, Usage, read_row, row_of
from .schema import CANCELLED, EVENTS, FLOORS, SERVERS
from .secrets import Keyring

_LOG: Final = logging.getLogger(__name__)
_SEALED: Final = "sealed:"
_SOON: Final = 0.1
_MOST_WAITING: Final = 10_000

Written = tuple[str, int, str]
"""An event that is in the ledger: hub, number and JSON."""


class Transaction:
    """What can be done to the ledger in one step."""

    def __init__(self, ledger: "Ledger", connection: AsyncConnection) -> None:
        self._ledger = ledger
        self.connection = connection
        self.written: list[Written] = []
        self._seqs: dict[str, int] = {}
        self._events: list[dict[str, Any]] = []

    async def get(self, hub: str, server_id: str) -> Attempt | None:
        query = select(SERVERS).where(SERVERS.c.hub == hub, SERVERS.c.id == server_id)
        row = (await self.connection.execute(query)).first()
        return read_row(row) if row else None

    async def live_attempt(self, hub: str, user: str, server_name: str) -> Attempt | None:
        """The live attempt of a server."""
        query = select(SERVERS).where(
            SERVERS.c.hub == hub,
            SERVERS.c.user == user,
            SERVERS.c.server_name == server_name,
            SERVERS.c.state != ServerState.ENDED.value,
        )
        row = (await self.connection.execute(query)).first()
        return read_row(row) if row else None

    async def add(self, attempt: Attempt) -> None:
        await self.connection.execute(insert(SERVERS).values(**row_of(attempt)))

    async def save(self, before: Attempt, after: Attempt) -> None:
        """Write what has changed."""
        old, new = row_of(before), row_of(after)
        changes = {name: value for name, value in new.items() if old[name] != value}
        if changes:
            query = update(SERVERS).where(SERVERS.c.hub == after.hub, SERVERS.c.id == after.id)
            await self.connection.execute(query.values(**changes))

    async def tell(self, hub: str, server_id: str, body: Mapping[str, Any], *, secret: bool = False) -> int:
        """Append an event for a hub and give its number."""
        seq = self._seqs.get(hub) or await self._ledger.newest(hub, self.connection)
        self._seqs[hub] = seq = seq + 1
        text = json.dumps({**body, "seq": seq}, ensure_ascii=False, separators=(",", ":"))
        stored = _SEALED + self._ledger.keyring.encrypt(text) if secret else text
        self._events.append({"hub": hub, "seq": seq, "id": server_id, "body": stored})
        self.written.append((hub, seq, text))
        return seq

    async def flush(self) -> None:
        """Write what was told, all of it with one statement; done before each commit."""
        if self._events:
            await self.connection.execute(insert(EVENTS), self._events)

    async def cancel_unseen(self, hub: str, server_id: str, now: float) -> None:
        """Remember an attempt that was cancelled before it arrived."""
        known = select(CANCELLED.c.at).where(CANCELLED.c.hub == hub, CANCELLED.c.id == server_id)
        if (await self.connection.execute(known)).first() is None:
            await self.connection.execute(insert(CANCELLED).values(hub=hub, id=server_id, at=now))

    async def was_cancelled(self, hub: str, server_id: str) -> bool:
        known = select(CANCELLED.c.at).where(CANCELLED.c.hub == hub, CANCELLED.c.id == server_id)
        return (await self.connection.execute(known)).first() is not None

    async def usage(self, hub: str, user: str, system: str) -> dict[str | None, Usage]:
        """Live servers of a system by flavor."""
        return await _usage(self.connection, hub, user, system)

    async def mark_missing(self, hub: str, missing: Sequence[str], present: Sequence[str], now: float) -> None:
        """Note since when attempts are missing from the hub's lists; what is named again is forgiven."""
        for ids, condition, value in (
            (missing, SERVERS.c.missing_since.is_(None), now),
            (present, SERVERS.c.missing_since.is_not(None), None),
        ):
            for start in range(0, len(ids), 500):
                query = update(SERVERS).where(
                    SERVERS.c.hub == hub, SERVERS.c.id.in_(ids[start : start + 500]), condition
                )
                await self.connection.execute(query.values(missing_since=value))


async def _usage(connection: AsyncConnection, hub: str, user: str, system: str) -> dict[str | None, Usage]:
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
    rows = (await connection.execute(query)).mappings()
    return {row["flavor"]: Usage(row["hub"], row["all"], row["user_hub"], row["user_all"]) for row in rows}


class Ledger:
    """The database of one outpost."""

    def __init__(self, url: str, keyring: Keyring) -> None:
        self.keyring = keyring
        self.announce: Callable[[list[Written]], None] = lambda _: None
        """Called after each step with what it told the hubs."""
        self._engine = _engine(url)
        self._writing = asyncio.Lock()
        self._seqs: dict[str, int] = {}
        self._waiting: list[tuple[str, str, Mapping[str, Any]]] = []
        self._soon: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Write what still waits, and close the database."""
        if self._soon is not None:
            self._soon.cancel()
        await self._tell_waiting()
        await self._engine.dispose()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        """One step, committed as a whole or not at all. Raises RoadsteadError `ledger-down`."""
        async with self._writing:
            waiting, self._waiting = self._waiting, []
            committed = False
            try:
                async with self._engine.begin() as connection:
                    transaction = Transaction(self, connection)
                    for hub, server_id, body in waiting:
                        await transaction.tell(hub, server_id, body)
                    yield transaction
                    await transaction.flush()
                committed = True
            except (DBAPIError, OSError) as error:
                raise ledger_down(error) from error
            finally:
                if not committed:
                    # What a commit that broke off has left is not known, the newest numbers neither.
                    self._seqs.clear()
                    self._waiting[:0] = waiting[-_MOST_WAITING:]
            for hub, seq, _ in transaction.written:
                self._seqs[hub] = seq
        self.announce(transaction.written)

    def tell_soon(self, hub: str, server_id: str, body: Mapping[str, Any]) -> None:
        """Append an event together with the next step, or alone in a moment: not worth a step of its own."""
        self._waiting.append((hub, server_id, body))
        if self._soon is None or self._soon.done():
            self._soon = asyncio.get_running_loop().create_task(self._tell_in_a_moment())

    async def _tell_in_a_moment(self) -> None:
        await asyncio.sleep(_SOON)
        await self._tell_waiting()

    async def _tell_waiting(self) -> None:
        try:
            if self._waiting:
                async with self.write():
                    pass
        except RoadsteadError as error:
            _LOG.warning("%d events wait for the ledger: %s", len(self._waiting), error.body.message)

    @asynccontextmanager
    async def _read(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                yield connection
        except (DBAPIError, OSError) as error:
            raise ledger_down(error) from error

    async def ping(self) -> None:
        """Raises RoadsteadError `ledger-down` when the database does not answer."""
        async with self._read() as connection:
            await connection.execute(select(1))

    async def last_seq(self, hub: str) -> int:
        """The number of a hub's newest event; 0 before the first."""
        async with self._read() as connection:
            return await self.newest(hub, connection)

    async def newest(self, hub: str, connection: AsyncConnection) -> int:
        """The same on a connection that is open already."""
        if hub in self._seqs:
            return self._seqs[hub]
        newest = await connection.scalar(select(func.max(EVENTS.c.seq)).where(EVENTS.c.hub == hub))
        floor = await connection.scalar(select(FLOORS.c.seq).where(FLOORS.c.hub == hub))
        return max(newest or 0, floor or 0)

    async def get(self, hub: str, server_id: str) -> Attempt | None:
        async with self._read() as connection:
            query = select(SERVERS).where(SERVERS.c.hub == hub, SERVERS.c.id == server_id)
            row = (await connection.execute(query)).first()
        return read_row(row) if row else None

    async def page(
        self,
        *,
        hub: str | None = None,
        user: str | None = None,
        system: str | None = None,
        state: ServerState | None = None,
        live: bool | None = None,
        after: tuple[str, str] = ("", ""),
        limit: int = 500,
    ) -> list[Attempt]:
        """Attempts in the order of hub and id."""
        query = select(SERVERS).order_by(SERVERS.c.hub, SERVERS.c.id).limit(limit)
        query = query.where(or_(SERVERS.c.hub > after[0], and_(SERVERS.c.hub == after[0], SERVERS.c.id > after[1])))
        for column, value in ((SERVERS.c.hub, hub), (SERVERS.c.user, user), (SERVERS.c.system, system)):
            if value is not None:
                query = query.where(column == value)
        if state is not None:
            query = query.where(SERVERS.c.state == state.value)
        if live is not None:
            ended = SERVERS.c.state == ServerState.ENDED.value
            query = query.where(~ended if live else ended)
        async with self._read() as connection:
            return [read_row(row) for row in await connection.execute(query)]

    async def live_ids(self, hub: str) -> list[str]:
        async with self._read() as connection:
            query = select(SERVERS.c.id).where(SERVERS.c.hub == hub, SERVERS.c.state != ServerState.ENDED.value)
            return list((await connection.execute(query)).scalars())

    async def missing_for(self, hub: str, before: float) -> list[str]:
        """Live attempts that have been missing from the hub's lists since before a moment."""
        async with self._read() as connection:
            query = select(SERVERS.c.id).where(
                SERVERS.c.hub == hub, SERVERS.c.missing_since <= before, SERVERS.c.state != ServerState.ENDED.value
            )
            return list((await connection.execute(query)).scalars())

    async def due(self, now: float, limit: int = 500) -> list[Attempt]:
        """Attempts for which something is due: a deadline, a warning, the end of the runtime."""
        async with self._read() as connection:
            query = select(SERVERS).where(SERVERS.c.due_at <= now).order_by(SERVERS.c.due_at).limit(limit)
            return [read_row(row) for row in await connection.execute(query)]

    async def usage(self, hub: str, user: str, system: str) -> dict[str | None, Usage]:
        """Live servers of a system by flavor."""
        async with self._read() as connection:
            return await _usage(connection, hub, user, system)

    async def counts(self) -> list[tuple[str, str, int]]:
        """Live servers as (system, state, number)."""
        async with self._read() as connection:
            query = (
                select(SERVERS.c.system, SERVERS.c.state, func.count())
                .where(SERVERS.c.state != ServerState.ENDED.value)
                .group_by(SERVERS.c.system, SERVERS.c.state)
            )
            return [(row[0], row[1], row[2]) for row in await connection.execute(query)]

    async def events(self, hub: str, after: int, limit: int = 1000) -> list[tuple[int, str]] | None:
        """Events after a number as (number, JSON); None when some of them may have been removed."""
        async with self._read() as connection:
            floor = await connection.scalar(select(FLOORS.c.seq).where(FLOORS.c.hub == hub)) or 0
            if after < floor or after > await self.newest(hub, connection):
                return None
            query = (
                select(EVENTS.c.seq, EVENTS.c.body)
                .where(EVENTS.c.hub == hub, EVENTS.c.seq > after)
                .order_by(EVENTS.c.seq)
                .limit(limit)
            )
            return [(row.seq, self._open(row.body)) for row in await connection.execute(query)]

    async def events_of(self, hub: str, server_id: str) -> list[str]:
        """All kept events of one attempt, as JSON."""
        async with self._read() as connection:
            query = select(EVENTS.c.body).where(EVENTS.c.hub == hub, EVENTS.c.id == server_id).order_by(EVENTS.c.seq)
            return [self._open(body) for body in (await connection.execute(query)).scalars()]

    async def prune(self, events_before: float, rows_before: float) -> None:
        """Remove events of attempts that ended before the first moment, and rows of those before the second."""
        old = select(SERVERS.c.hub, SERVERS.c.id).where(SERVERS.c.ended_at < events_before).subquery()
        match = and_(EVENTS.c.hub == old.c.hub, EVENTS.c.id == old.c.id)
        async with self.write() as transaction:
            connection = transaction.connection
            query = select(EVENTS.c.hub, func.max(EVENTS.c.seq)).join(old, match).group_by(EVENTS.c.hub)
            for hub, seq in (await connection.execute(query)).all():
                floor = await connection.scalar(select(FLOORS.c.seq).where(FLOORS.c.hub == hub))
                if floor is None:
                    await connection.execute(insert(FLOORS).values(hub=hub, seq=seq))
                elif seq > floor:
                    await connection.execute(update(FLOORS).where(FLOORS.c.hub == hub).values(seq=seq))
            gone = select(SERVERS.c.id).where(SERVERS.c.hub == EVENTS.c.hub, SERVERS.c.id == EVENTS.c.id)
            await connection.execute(delete(EVENTS).where(gone.where(SERVERS.c.ended_at < events_before).exists()))
            await connection.execute(delete(SERVERS).where(SERVERS.c.ended_at < rows_before))
            await connection.execute(delete(CANCELLED).where(CANCELLED.c.at < rows_before))

    def seal(self, value: str) -> str:
        """Encrypt something for a row."""
        return self.keyring.encrypt(value)

    def request(self, attempt: Attempt) -> ServerRequest:
        """The request of an attempt."""
        return ServerRequest.model_validate_json(self.keyring.decrypt(attempt.request))

    def settings(self, attempt: Attempt) -> dict[str, Any]:
        """The Spawner settings that were granted to an attempt."""
        settings: dict[str, Any] = json.loads(self.keyring.decrypt(attempt.settings))
        return settings

    def spawner_state(self, attempt: Attempt) -> SpawnerState:
        """The Spawner's state of an attempt."""
        state: SpawnerState = json.loads(self.keyring.decrypt(attempt.spawner_state)) if attempt.spawner_state else {}
        return state

    def with_spawner_state(self, attempt: Attempt, state: SpawnerState) -> Attempt:
        return replace(attempt, spawner_state=self.seal(json.dumps(state)))

    async def renew_secrets(self) -> int:
        """Encrypt every row anew with the newest key; gives the number of rows."""
        columns = ("request", "settings", "spawner_state", "api_token")
        changed = 0
        async with self.write() as transaction:
            connection = transaction.connection
            for row in (await connection.execute(select(SERVERS))).all():
                values = {name: self.keyring.renew(value) for name in columns if (value := getattr(row, name))}
                query = update(SERVERS).where(SERVERS.c.hub == row.hub, SERVERS.c.id == row.id)
                await connection.execute(query.values(**values))
                changed += 1
            for row in (await connection.execute(select(EVENTS).where(EVENTS.c.body.startswith(_SEALED)))).all():
                body = _SEALED + self.keyring.renew(row.body.removeprefix(_SEALED))
                query = update(EVENTS).where(EVENTS.c.hub == row.hub, EVENTS.c.seq == row.seq)
                await connection.execute(query.values(body=body))
        return changed

    def _open(self, body: str) -> str:
        return self.keyring.decrypt(body.removeprefix(_SEALED)) if body.startswith(_SEALED) else body


def ledger_down(error: BaseException) -> RoadsteadError:
    """The error for a ledger that cannot be read or written, without its SQL and values."""
    cause = str(getattr(error, "orig", None) or error).splitlines()[0][:200]
    return RoadsteadError(
        ErrorCode.LEDGER_DOWN,
        f"The outpost cannot use its ledger ({cause}).",
        "Nothing was started. Try again in a minute; the site's operator finds the cause in the outpost's log.",
    )


def _engine(url: str) -> AsyncEngine:
    if not url.startswith("sqlite"):
        return create_async_engine(url, pool_size=5, max_overflow=0, pool_pre_ping=True)
    engine = create_async_engine(url, pool_size=3, max_overflow=0, connect_args={"timeout": 10})

    @event.listens_for(engine.sync_engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-4000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine
