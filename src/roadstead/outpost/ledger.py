"""The ledger: every attempt, written before anything is done, and the events that tell the hubs about it.

One outpost process owns a ledger. Its steps are taken one after the other, so that counting and admitting are one step.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, insert, select, tuple_, update

from ..protocol.host import SpawnerState
from ..protocol.servers import ServerRequest, ServerState
from .database import DATABASE_ERRORS, ledger_down, open_database
from .rows import Attempt, Usage, read_row
from .schema import CANCELLED, EVENTS, FLOORS, SERVERS
from .secrets import Keyring
from .steps import SEALED, Steps, Transaction, Written, newest, usage

T = TypeVar("T")


class Ledger:
    """The database of one outpost."""

    def __init__(self, url: str, keyring: Keyring) -> None:
        self.keyring = keyring
        self._database = open_database(url)
        self._steps = Steps(self._database, keyring)

    async def close(self) -> None:
        """Write what still waits, and close the database."""
        await self._steps.close()
        await self._database.close()

    def listen(self, announce: Callable[[list[Written]], None]) -> None:
        """Have a function called after each commit with what it told the hubs."""
        self._steps.announce = announce

    async def write(self, step: Callable[[Transaction], T]) -> T:
        """Do one step, as a whole or not at all; `steps` says what it may do. Raises RoadsteadError `ledger-down`."""
        return await self._steps.take(step)

    def tell_soon(self, hub: str, server_id: str, body: Mapping[str, Any]) -> None:
        """Append an event together with the next step, or alone in a moment: not worth a commit of its own."""
        self._steps.tell_soon(hub, server_id, body)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            return await self._database.read(work)
        except DATABASE_ERRORS as error:
            raise ledger_down(error) from error

    async def ping(self) -> None:
        """Raises RoadsteadError `ledger-down` when the database does not answer."""
        await self._read(lambda connection: connection.scalar(select(1)))

    async def last_seq(self, hub: str) -> int:
        """The number of a hub's newest event; 0 before the first."""
        known = self._steps.seqs.get(hub)
        return await self._read(lambda connection: newest(connection, hub)) if known is None else known

    async def get(self, hub: str, server_id: str) -> Attempt | None:
        found = await self._attempts(select(SERVERS).where(SERVERS.c.hub == hub, SERVERS.c.id == server_id))
        return found[0] if found else None

    async def _attempts(self, query: Select[Any]) -> list[Attempt]:
        return await self._read(lambda connection: [read_row(row) for row in connection.execute(query)])

    async def _ids(self, *conditions: ColumnElement[bool]) -> list[str]:
        query = select(SERVERS.c.id).where(SERVERS.c.state != ServerState.ENDED.value, *conditions)
        return await self._read(lambda connection: list(connection.scalars(query)))

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
        query = query.where(tuple_(SERVERS.c.hub, SERVERS.c.id) > after)
        for column, value in ((SERVERS.c.hub, hub), (SERVERS.c.user, user), (SERVERS.c.system, system)):
            if value is not None:
                query = query.where(column == value)
        if state is not None:
            query = query.where(SERVERS.c.state == state.value)
        if live is not None:
            ended = SERVERS.c.state == ServerState.ENDED.value
            query = query.where(~ended if live else ended)
        return await self._attempts(query)

    async def live_ids(self, hub: str) -> list[str]:
        return await self._ids(SERVERS.c.hub == hub)

    async def missing_for(self, hub: str, before: float) -> list[str]:
        """Live attempts that have been missing from the hub's lists since before a moment."""
        return await self._ids(SERVERS.c.hub == hub, SERVERS.c.missing_since <= before)

    async def due(self, now: float, limit: int = 500) -> list[Attempt]:
        """Attempts for which something is due: a deadline, a warning, the end of the runtime."""
        return await self._attempts(
            select(SERVERS).where(SERVERS.c.due_at <= now).order_by(SERVERS.c.due_at).limit(limit)
        )

    async def usage(self, hub: str, user: str, system: str) -> dict[str | None, Usage]:
        """Live servers of a system by flavor."""
        return await self._read(lambda connection: usage(connection, hub, user, system))

    async def counts(self) -> list[tuple[str, str, int]]:
        """Live servers as (system, state, number)."""
        query = (
            select(SERVERS.c.system, SERVERS.c.state, func.count())
            .where(SERVERS.c.state != ServerState.ENDED.value)
            .group_by(SERVERS.c.system, SERVERS.c.state)
        )
        return await self._read(lambda connection: [(row[0], row[1], row[2]) for row in connection.execute(query)])

    async def events(self, hub: str, after: int, limit: int = 1000) -> list[tuple[int, str]] | None:
        """Events after a number as (number, JSON); None when some of them may have been removed."""
        query = select(EVENTS.c.seq, EVENTS.c.body).where(EVENTS.c.hub == hub, EVENTS.c.seq > after)
        query = query.order_by(EVENTS.c.seq).limit(limit)

        def read(connection: Connection) -> list[tuple[int, str]] | None:
            floor = connection.scalar(select(FLOORS.c.seq).where(FLOORS.c.hub == hub)) or 0
            if after < floor or after > newest(connection, hub):
                return None
            return [(row.seq, self._open(row.body)) for row in connection.execute(query)]

        return await self._read(read)

    async def events_of(self, hub: str, server_id: str) -> list[str]:
        """All kept events of one attempt, as JSON."""
        query = select(EVENTS.c.body).where(EVENTS.c.hub == hub, EVENTS.c.id == server_id).order_by(EVENTS.c.seq)
        return await self._read(lambda connection: [self._open(body) for body in connection.scalars(query)])

    async def prune(self, events_before: float, rows_before: float) -> None:
        """Remove events of attempts that ended before the first moment, and rows of those before the second."""
        old = select(SERVERS.c.hub, SERVERS.c.id).where(SERVERS.c.ended_at < events_before).subquery()
        match = and_(EVENTS.c.hub == old.c.hub, EVENTS.c.id == old.c.id)
        newest_old = select(EVENTS.c.hub, func.max(EVENTS.c.seq)).join(old, match).group_by(EVENTS.c.hub)
        gone = select(SERVERS.c.id).where(SERVERS.c.hub == EVENTS.c.hub, SERVERS.c.id == EVENTS.c.id)

        def remove(transaction: Transaction) -> None:
            connection = transaction.connection
            for hub, seq in connection.execute(newest_old).all():
                floor = connection.scalar(select(FLOORS.c.seq).where(FLOORS.c.hub == hub))
                if floor is None:
                    connection.execute(insert(FLOORS).values(hub=hub, seq=seq))
                elif seq > floor:
                    connection.execute(update(FLOORS).where(FLOORS.c.hub == hub).values(seq=seq))
            connection.execute(delete(EVENTS).where(gone.where(SERVERS.c.ended_at < events_before).exists()))
            connection.execute(delete(SERVERS).where(SERVERS.c.ended_at < rows_before))
            connection.execute(delete(CANCELLED).where(CANCELLED.c.at < rows_before))

        await self.write(remove)

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

        def renew(transaction: Transaction) -> int:
            connection = transaction.connection
            rows = connection.execute(select(SERVERS)).all()
            for row in rows:
                values = {name: self.keyring.renew(value) for name in columns if (value := getattr(row, name))}
                query = update(SERVERS).where(SERVERS.c.hub == row.hub, SERVERS.c.id == row.id)
                connection.execute(query.values(**values))
            for row in connection.execute(select(EVENTS).where(EVENTS.c.body.startswith(SEALED))).all():
                body = SEALED + self.keyring.renew(row.body.removeprefix(SEALED))
                query = update(EVENTS).where(EVENTS.c.hub == row.hub, EVENTS.c.seq == row.seq)
                connection.execute(query.values(body=body))
            return len(rows)

        return await self.write(renew)

    def _open(self, body: str) -> str:
        return self.keyring.decrypt(body.removeprefix(SEALED)) if body.startswith(SEALED) else body
