"""Runs the migrations on the connection that it is given, within the transaction that is under way on it."""

from __future__ import annotations

from alembic import context

from purposeguard.governance.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # of SQLite too: `Store` begins its transactions itself
)
context.run_migrations()
