"""Evidence of adoption may be kept in the store."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0003d_evidence"
down_revision = "0003c_notices"

KEY = (
    "notice",
    "entry_point",
    "activity",
    "purpose",
    "channel",
    "conditions",
    "field",
    "sources",
    "outcome",
    "detail",
)


def upgrade(operations: Operations) -> None:
    """Add the table of the counters."""
    operations.create_table(
        "purposeguard_evidence",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in KEY),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
