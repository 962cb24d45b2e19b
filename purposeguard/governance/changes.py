"""The feed of changes: the subjects whose preferences have changed, in the order of the commits.

Every writer takes the next number from one row, and holds that row until it commits. So numbers are in the order of
commits, and who has seen a number has seen all before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import sqlalchemy as sa

from purposeguard.governance.schema import Serial, metadata
from purposeguard.governance.store import CHANGED

counter: Final = sa.Table(
    "purposeguard_counter",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.CheckConstraint("id = 1", name="one_row"),
)
"""One row: the number of the last change."""

change: Final = sa.Table(
    "purposeguard_change",
    metadata,
    sa.Column("seq", Serial, primary_key=True, autoincrement=False),
    sa.Column("subject", sa.String(200), nullable=False),
)
"""The latest changes, each with its subject."""

KEPT: Final = 10_000
"""Changes that are kept. Who falls further behind forgets every subject."""


class Changes(NamedTuple):
    """The number of the last change, and the subjects changed since another; None: too many, or unknown."""

    seq: int
    subjects: tuple[str, ...] | None


def record(connection: sa.Connection, subjects: Iterable[str]) -> int:
    """Numbers a change of each subject, within a transaction; returns the last number.

    Comes first in the transaction: until it commits, no other writer gets past this.
    """
    distinct = list(dict.fromkeys(subjects))
    changed = connection.get_execution_options().get(CHANGED)
    if changed is not None:
        changed.update(distinct)
    seq: int = connection.execute(
        sa.update(counter).where(counter.c.id == 1).values(seq=counter.c.seq + len(distinct)).returning(counter.c.seq)
    ).scalar_one()
    if distinct:
        first = seq - len(distinct) + 1
        rows = [{"seq": number, "subject": subject} for number, subject in enumerate(distinct, first)]
        connection.execute(sa.insert(change), rows)
        connection.execute(sa.delete(change).where(change.c.seq <= seq - KEPT))
    return seq


def latest(connection: sa.Connection) -> int:
    """The number of the last change."""
    seq: int = connection.execute(sa.select(counter.c.seq)).scalar_one()
    return seq


def since(connection: sa.Connection, seen: int) -> Changes:
    """The changes after the one numbered `seen`."""
    seq = latest(connection)
    if seq == seen:
        return Changes(seq, ())
    if not 0 < seq - seen <= KEPT:  # less than was seen: the store was put back to an earlier state
        return Changes(seq, None)
    rows = connection.execute(
        sa.select(change.c.seq, change.c.subject).where(change.c.seq > seen).order_by(change.c.seq)
    ).all()
    if not rows or rows[0].seq != seen + 1 or rows[-1].seq - seen != len(rows):
        return Changes(max(seq, rows[-1].seq if rows else seq), None)
    return Changes(rows[-1].seq, tuple(row.subject for row in rows))
