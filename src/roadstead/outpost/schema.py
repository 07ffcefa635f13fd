"""The ledger's tables. Moments are seconds since 1970 in UTC: SQLite has no type with a time zone."""

from typing import Final

from sqlalchemy import Column, Float, Index, Integer, MetaData, String, Table, Text, text

METADATA: Final = MetaData()

_LIVE: Final = text("state <> 'ended'")

SERVERS: Final = Table(
    "servers",
    METADATA,
    Column("hub", String(63), primary_key=True),
    Column("id", String(36), primary_key=True),
    Column("user", String(255), nullable=False),
    Column("server_name", String(63), nullable=False),
    Column("system", String(63), nullable=False),
    Column("app", String(63)),
    Column("flavor", String(63)),
    Column("titles", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("starts", Integer, nullable=False, default=0),
    Column("end", Text),
    Column("digest", String(64), nullable=False),
    Column("request", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("spawner_state", Text),
    Column("url", Text),
    Column("api_token", Text),
    Column("runtime", Integer),
    Column("accepted_at", Float, nullable=False),
    Column("running_at", Float),
    Column("deadline_at", Float),
    Column("expires_at", Float),
    Column("ended_at", Float),
    Column("warned", Integer),
    Column("due_at", Float),
    Column("missing_since", Float),
    Index(
        "one_live_attempt",
        "hub",
        "user",
        "server_name",
        unique=True,
        sqlite_where=_LIVE,
        postgresql_where=_LIVE,
    ),
    Index("of_server", "hub", "user", "server_name", "id"),
    Index("live_by_system", "system", "state", sqlite_where=_LIVE, postgresql_where=_LIVE),
    Index("due", "due_at", sqlite_where=text("due_at IS NOT NULL"), postgresql_where=text("due_at IS NOT NULL")),
    Index(
        "ended", "ended_at", sqlite_where=text("ended_at IS NOT NULL"), postgresql_where=text("ended_at IS NOT NULL")
    ),
)
"""One row per attempt. `request`, `settings`, `spawner_state` and `api_token` are encrypted."""

EVENTS: Final = Table(
    "events",
    METADATA,
    Column("hub", String(63), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("id", String(36), nullable=False),
    Column("body", Text, nullable=False),
    Index("events_of_server", "hub", "id"),
)
"""What the hubs are told, numbered per hub."""

CANCELLED: Final = Table(
    "cancelled",
    METADATA,
    Column("hub", String(63), primary_key=True),
    Column("id", String(36), primary_key=True),
    Column("at", Float, nullable=False),
)
"""Attempts that were cancelled before they arrived: a request that comes late must not start anything."""

FLOORS: Final = Table(
    "floors",
    METADATA,
    Column("hub", String(63), primary_key=True),
    Column("seq", Integer, nullable=False),
)
"""Up to this number a hub's events may have been removed: who asks for older ones must list again."""
