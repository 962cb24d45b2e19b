"""Let a process go on writing after the entry that it saw last has been archived."""

from __future__ import annotations

import importlib

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0003a_archives"
down_revision = "0003_pseudonyms"

SEEN = "SELECT hash INTO found_hash FROM purposeguard_ledger WHERE seq = (request->>'seen')::bigint;\n"

ARCHIVED = r"""        IF NOT FOUND AND (request->>'seen')::bigint <= (
            SELECT (body::json->>'seq')::bigint FROM purposeguard_ledger
            WHERE kind = 'archive' ORDER BY seq DESC LIMIT 1
        ) THEN
            found_hash := request->>'seen_hash';
        END IF;
"""
"""The rule that `_write_to_sqlite` of `governance.ledger.writing` applies in SQLite."""


def upgrade(operations: Operations) -> None:
    """Replace the function that writes."""
    connection: sa.Connection = operations.get_bind()
    if connection.dialect.name == "postgresql":
        before: str = importlib.import_module("purposeguard.governance.migrations.versions.0002_ledger_counts").WRITE
        function = before.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION").replace(SEEN, SEEN + ARCHIVED)
        connection.exec_driver_sql(function)
