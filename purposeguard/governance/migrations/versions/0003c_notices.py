"""The notices that a store is opened with are recorded in it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0003c_notices"
down_revision = "0003b_consent_words"


def upgrade(operations: Operations) -> None:
    """Add the table. It stays empty until an application opens the store."""
    operations.create_table(
        "purposeguard_notice",
        sa.Column("combination", sa.Text, primary_key=True),
        sa.Column("notice", sa.Text, primary_key=True),
        sa.Column("revision", sa.Date, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("recorded", sa.DateTime(timezone=True), nullable=False),
    )
