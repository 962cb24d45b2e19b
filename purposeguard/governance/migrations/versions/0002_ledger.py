"""The ledger: its entries, and the head that says where they end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_ledger"
down_revision = "0001_subjects"

GENESIS = "0" * 64
EMPTY = "78f21d6f2bacb127e5b5ad93f41dec681a064e5f8c4bf9d9bc8ff592e2a9bad2"
"""The digest of the head of an empty ledger."""


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "purposeguard_ledger",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("prev", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index(op.f("ix_purposeguard_ledger_kind_seq"), "purposeguard_ledger", ["kind", "seq"])
    op.create_table(
        "purposeguard_ledger_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("open", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
    )
    op.execute(
        sa.text(
            "INSERT INTO purposeguard_ledger_head (id, seq, at, hash, open, digest) "
            "VALUES (1, 0, '', :hash, '[]', :digest)"
        ).bindparams(hash=GENESIS, digest=EMPTY)
    )
