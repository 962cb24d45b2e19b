"""The store's secret, the feed of changes, restrictions and consents of subjects."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001_subjects"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "purposeguard_store",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("made", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
    )
    op.create_table(
        "purposeguard_counter",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
    )
    op.execute("INSERT INTO purposeguard_counter (id, seq) VALUES (1, 0)")
    op.create_table(
        "purposeguard_change",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("subject", sa.String(200), nullable=False),
    )
    serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "purposeguard_declaration",
        sa.Column("id", serial, primary_key=True),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("purposes", sa.JSON),
        sa.Column("revision", sa.Date, nullable=False),
        sa.Column("asked_by", sa.String(10), nullable=False),
        sa.Column("reference", sa.Text),
        sa.Column("request", sa.BigInteger),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True)),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_purposeguard_declaration_subject", "purposeguard_declaration", ["subject"])
    op.create_table(
        "purposeguard_revocation",
        sa.Column("declaration", serial, sa.ForeignKey("purposeguard_declaration.id"), primary_key=True),
        sa.Column("asked_by", sa.String(10), nullable=False),
        sa.Column("reference", sa.Text),
        sa.Column("request", sa.BigInteger),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
    )
