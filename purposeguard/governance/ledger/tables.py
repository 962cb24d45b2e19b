"""The tables of a ledger in a store."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from purposeguard.governance.schema import Serial, metadata

ledger: Final = sa.Table(
    "purposeguard_ledger",
    metadata,
    sa.Column("seq", Serial, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(27), nullable=False, index=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("prev", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Index(None, "kind", "seq"),
)
"""The entries of the ledger."""

head: Final = sa.Table(
    "purposeguard_ledger_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.CheckConstraint("id = 1", name="one_row"),
)
"""A single row with the number and hash of the last entry. A writer locks it from one entry to its commit."""

counts: Final = sa.Table(
    "purposeguard_ledger_count",
    metadata,
    sa.Column("process", sa.String(32), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("hour", sa.String(17), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
)
"""The counts of each process in hours that are not entries yet. `key` is the digest of `kind` and `body`."""

writers: Final = sa.Table(
    "purposeguard_ledger_writer",
    metadata,
    sa.Column("process", sa.String(32), primary_key=True),
    sa.Column("batch", sa.BigInteger, nullable=False),
    sa.Column("hour", sa.String(17), nullable=False),
)
"""The last batch of counts that each process has written."""
