"""A consent is recorded with the digest of the words that it is to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0003b_consent_words"
down_revision = "0003a_archives"


def upgrade(operations: Operations) -> None:
    """Add the column. Existing consents have no words, and are valid by their revision, as before."""
    operations.add_column("purposeguard_declaration", sa.Column("words", sa.String(64)))
