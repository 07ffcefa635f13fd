"""Runs revisions on the connection that the upgrade opened."""

from alembic import context

from roadstead.outpost.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
