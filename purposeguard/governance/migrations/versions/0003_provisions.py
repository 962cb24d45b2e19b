"""Hand-overs, whom each was about, and the register of recipients."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_provisions"
down_revision = "0002_ledger"


def upgrade() -> None:
    """Makes the tables."""
    serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "purposeguard_recipient",
        sa.Column("id", serial, primary_key=True),
        sa.Column("recipient", sa.String(200), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("what", sa.String(20), nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("by", sa.Text),
        sa.Column("note", sa.Text),
    )
    op.create_index(None, "purposeguard_recipient", ["recipient", "id"])
    op.create_table(
        "purposeguard_provision",
        sa.Column("id", serial, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("recipient", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200)),
        sa.Column("kind", sa.String(200), nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("clauses", sa.JSON, nullable=False),
        sa.Column("sources", sa.JSON, nullable=False),
        sa.Column("purpose", sa.String(100)),
        sa.Column("revision", sa.Date, nullable=False),
        sa.Column("activity", sa.Text),
        sa.Column("means", sa.String(200), nullable=False),
        sa.Column("product", sa.Text),
        sa.Column("task", sa.Text),
        sa.Column("subjects", sa.Integer, nullable=False),
    )
    op.create_table(
        "purposeguard_provided_subject",
        sa.Column("subject", sa.String(32), primary_key=True),
        sa.Column("provision", serial, sa.ForeignKey("purposeguard_provision.id"), primary_key=True),
    )
