"""Requests of subjects, and what was done with each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_requests"
down_revision = "0003_provisions"


def upgrade() -> None:
    """Makes the tables."""
    serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "purposeguard_request",
        sa.Column("id", serial, primary_key=True),
        sa.Column("kind", sa.String(100), nullable=False),
        sa.Column("effect", sa.String(20), nullable=False),
        sa.Column("requester", sa.String(10), nullable=False),
        sa.Column("authority", sa.Text),
        sa.Column("subject", sa.String(200)),
        sa.Column("purposes", sa.JSON),
        sa.Column("revision", sa.Date, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_on", sa.Date),
        sa.Column("extended", sa.Boolean, nullable=False),
        sa.Column("suspending", sa.Boolean, nullable=False),
        sa.Column("interim", sa.BigInteger),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_purposeguard_request_subject", "purposeguard_request", ["subject"])
    op.create_index("ix_purposeguard_request_state_due_on", "purposeguard_request", ["state", "due_on"])
    op.create_table(
        "purposeguard_request_step",
        sa.Column("request", serial, sa.ForeignKey("purposeguard_request.id"), primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text),
        sa.Column("did", sa.String(10), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("due_on", sa.Date),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.Column("text", sa.Text),
    )
