"""Sweeps, and how far each eraser has come in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_sweeps"
down_revision = "0004_requests"


def upgrade() -> None:
    """Makes the tables."""
    serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "purposeguard_sweep",
        sa.Column("id", serial, primary_key=True),
        sa.Column("begun", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True)),
        sa.Column("runner", sa.String(32), nullable=False),
    )
    op.create_table(
        "purposeguard_sweep_part",
        sa.Column("sweep", serial, sa.ForeignKey("purposeguard_sweep.id"), primary_key=True),
        sa.Column("eraser", sa.String(200), primary_key=True),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("pending", sa.JSON),
    )
