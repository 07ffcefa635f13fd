"""The first ledger: servers, events, cancelled attempts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    live, due, ended = sa.text("state <> 'ended'"), sa.text("due_at IS NOT NULL"), sa.text("ended_at IS NOT NULL")
    op.create_table(
        "servers",
        sa.Column("hub", sa.String(63), primary_key=True),
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("user", sa.String(255), nullable=False),
        sa.Column("server_name", sa.String(63), nullable=False),
        sa.Column("system", sa.String(63), nullable=False),
        sa.Column("app", sa.String(63)),
        sa.Column("flavor", sa.String(63)),
        sa.Column("titles", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("starts", sa.Integer, nullable=False),
        sa.Column("end", sa.Text),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("spawner_state", sa.Text),
        sa.Column("url", sa.Text),
        sa.Column("api_token", sa.Text),
        sa.Column("runtime", sa.Integer),
        sa.Column("accepted_at", sa.Float, nullable=False),
        sa.Column("running_at", sa.Float),
        sa.Column("deadline_at", sa.Float),
        sa.Column("expires_at", sa.Float),
        sa.Column("ended_at", sa.Float),
        sa.Column("warned", sa.Integer),
        sa.Column("due_at", sa.Float),
        sa.Column("missing_since", sa.Float),
    )
    op.create_index(
        "one_live_attempt",
        "servers",
        ["hub", "user", "server_name"],
        unique=True,
        sqlite_where=live,
        postgresql_where=live,
    )
    op.create_index("of_server", "servers", ["hub", "user", "server_name", "id"])
    op.create_index("live_by_system", "servers", ["system", "state"], sqlite_where=live, postgresql_where=live)
    op.create_index("due", "servers", ["due_at"], sqlite_where=due, postgresql_where=due)
    op.create_index("ended", "servers", ["ended_at"], sqlite_where=ended, postgresql_where=ended)
    op.create_table(
        "events",
        sa.Column("hub", sa.String(63), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("events_of_server", "events", ["hub", "id"])
    op.create_table(
        "cancelled",
        sa.Column("hub", sa.String(63), primary_key=True),
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "floors",
        sa.Column("hub", sa.String(63), primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
    )
