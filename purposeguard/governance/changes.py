"""The feed of changes: the subjects whose preferences have changed, in the order of the commits.

Every writer takes the next number from a single row, and locks that row until it commits. So numbers are in the order
of commits: a reader who has seen a number has seen all earlier ones.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Final, NamedTuple

import sqlalchemy as sa

from purposeguard.errors import StoreUnavailable
from purposeguard.governance.pseudonyms import forgotten, get_keys, select_list_members
from purposeguard.governance.schema import Serial, metadata
from purposeguard.governance.store import CHANGED

counter: Final = sa.Table(
    "purposeguard_counter",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("issued", sa.BigInteger, nullable=False, server_default="0"),
    sa.CheckConstraint("id = 1", name="one_row"),
)
"""A single row with the number of the last change, and the number of keys issued by then."""

change: Final = sa.Table(
    "purposeguard_change",
    metadata,
    sa.Column("seq", Serial, primary_key=True, autoincrement=False),
    sa.Column("pseudonym", sa.String(200), nullable=False),
)
"""The latest changes, each with its subject."""

KEPT: Final = 10_000
"""The number of changes that are kept. A cache that falls further behind forgets every subject."""


class ChangeSet(NamedTuple):
    """The number of the last change, and the subjects changed since another; None: too many, or unknown."""

    seq: int
    subjects: tuple[str, ...] | None


def record_changes(connection: sa.Connection, subjects: Iterable[str]) -> int:
    """Record a change of each subject, within a transaction, and return the last number.

    Call this first in the transaction: until it commits, other writers wait here.

    Raises:
        StoreUnavailable: one of the subjects is being forgotten.
    """
    distinct = list(dict.fromkeys(subjects))
    keys = get_keys(connection)  # The keys by which pseudonyms are derived from subjects.
    names = keys.issue(connection, distinct)
    changed = connection.get_execution_options().get(CHANGED)
    if changed is not None:  # The writer of the transaction passed a set, to learn who changed once it commits.
        changed.update(distinct)
    issued = sa.case((counter.c.issued < keys.issued, keys.issued), else_=counter.c.issued)
    increment = sa.update(counter).where(counter.c.id == 1).values(seq=counter.c.seq + len(distinct), issued=issued)
    seq: int = connection.execute(increment.returning(counter.c.seq)).scalar_one()
    if distinct:
        among_subjects = forgotten.c.pseudonym.in_(select_list_members(connection.dialect.name, "pseudonyms"))
        being_forgotten = sa.select(forgotten.c.seq).where(among_subjects).limit(1)
        if connection.execute(being_forgotten, {"pseudonyms": list(names.values())}).first() is not None:
            raise StoreUnavailable("this person is being forgotten at the same time: try again")
        first = seq - len(distinct) + 1
        rows = [{"seq": number, "pseudonym": names[subject]} for number, subject in enumerate(distinct, first)]
        connection.execute(sa.insert(change), rows)
        connection.execute(sa.delete(change).where(change.c.seq <= seq - KEPT))
    return seq


def latest_change(connection: sa.Connection) -> int:
    """Return the number of the last change."""
    row = connection.execute(sa.select(counter.c.seq, counter.c.issued)).one()
    get_keys(connection).rely_on(row.issued)  # Note that the changes rely on that many pseudonyms.
    seq: int = row.seq
    return seq


def changes_since(connection: sa.Connection, seen: int) -> ChangeSet:
    """Return the changes after the one increment `seen`."""
    seq = latest_change(connection)
    if seq == seen:
        return ChangeSet(seq, ())
    if not 0 < seq - seen <= KEPT:  # A lower number than before: the store was put back to an earlier state.
        return ChangeSet(seq, None)
    rows = connection.execute(
        sa.select(change.c.seq, change.c.pseudonym).where(change.c.seq > seen).order_by(change.c.seq)
    ).all()
    # Without gaps there is a row for each number. Otherwise some were deleted, or the counter was read before a commit.
    if not rows or rows[0].seq != seen + 1 or rows[-1].seq - seen != len(rows):
        return ChangeSet(max(seq, rows[-1].seq if rows else seq), None)
    names = list(map(operator.attrgetter("pseudonym"), rows))
    subjects = get_keys(connection).find_subjects(connection, names)
    # The subject was forgotten, so it is unknown whom the change is about.
    if not subjects.keys() >= set(names):
        return ChangeSet(rows[-1].seq, None)
    return ChangeSet(rows[-1].seq, tuple(map(subjects.__getitem__, names)))
