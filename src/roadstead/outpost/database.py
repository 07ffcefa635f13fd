"""Runs functions on the ledger's database and blocks nothing: SQLite in threads, PostgreSQL through asyncpg.

A function gets a SQLAlchemy connection and does all its statements in one go; no connection is held over anything else.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from ..protocol.errors import ErrorCode, RoadsteadError

_READERS: Final = 2
_PRAGMAS: Final = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-4000")

T = TypeVar("T")


class Database(Protocol):
    """A database; what goes wrong in it is raised as SQLAlchemy or the operating system say it."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do something that changes nothing."""
        ...

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do something in one transaction: committed when it comes back, taken back when it raises."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


def open_database(url: str) -> Database:
    """The database at an address; nothing is connected yet."""
    return _Sqlite(url) if url.startswith("sqlite") else _Postgres(url)


def ledger_down(error: BaseException) -> RoadsteadError:
    """The error for a ledger that cannot be read or written, without its SQL and values."""
    cause = str(getattr(error, "orig", None) or error).splitlines()[0][:200]
    return RoadsteadError(
        ErrorCode.LEDGER_DOWN,
        f"The outpost cannot use its ledger ({cause}).",
        "Nothing was started. Try again in a minute; the site's operator finds the cause in the outpost's log.",
    )


DATABASE_ERRORS: Final = (DBAPIError, OSError)
"""What it means that the ledger is down."""


class _Sqlite:
    """One thread writes, two read. Going there and back once for a function is much cheaper than for each statement."""

    def __init__(self, url: str) -> None:
        self._engine = _sqlite_engine(url)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ledger-writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="ledger-reader")

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Callable[[Connection], T]) -> T:
        with self._engine.connect() as connection:
            return work(connection)

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._write, work)

    def _write(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writer, self._engine.dispose)
        self._writer.shutdown(wait=False)
        self._readers.shutdown(wait=False)


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(url, pool_size=1 + _READERS, max_overflow=0, connect_args={"timeout": 10})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


class _Postgres:
    def __init__(self, url: str) -> None:
        from sqlalchemy.ext.asyncio import create_async_engine

        self._engine = create_async_engine(url, pool_size=5, max_overflow=0, pool_pre_ping=True)

    async def read(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.connect() as connection:
            return await connection.run_sync(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        await self._engine.dispose()
