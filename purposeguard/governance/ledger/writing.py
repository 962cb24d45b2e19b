"""The writing of a ledger: entries and counts in one transaction, which on PostgreSQL is one round trip."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects.sqlite import insert

from purposeguard.errors import LedgerBroken
from purposeguard.governance.ledger.chain import DENIAL, GENESIS, USE, Entry, Hour, parse_repeated, to_canonical_json
from purposeguard.governance.ledger.reading import NO_HEAD, read_boundary
from purposeguard.governance.ledger.tables import counts, head, ledger, writers

RETRIED_SQLSTATES: Final = ("40001", "40P01")
"""The codes of PostgreSQL for conflicts between transactions, which are tried again."""

WRITE: Final = sa.text("SELECT last_seq, last_hash FROM purposeguard_ledger_write(CAST(:request AS jsonb))")

# Each statement of a single entry costs more to build than to run, so they are built once.
_last: Final = sa.select(ledger.c.seq, ledger.c.hash).order_by(ledger.c.seq.desc()).limit(1).subquery("last")
_seen: Final = sa.select(ledger.c.hash).where(ledger.c.seq == sa.bindparam("seen")).scalar_subquery()
SELECT_END: Final = (
    sa.select(
        head.c.seq,
        head.c.hash,
        _last.c.seq.label("last_seq"),
        _last.c.hash.label("last_hash"),
        _seen.label("seen_hash"),
    )
    .select_from(head.outerjoin(_last, sa.true()))
    .where(head.c.id == 1)
)
INSERT_ENTRIES: Final = sa.insert(ledger)
MOVE_HEAD: Final = sa.update(head).where(head.c.id == 1)

FAULTS: Final = {
    "missing": NO_HEAD,
    "end": "the head is not that of the last entry",
    "seen": "the entry that this process saw last is gone, or is another one: the ledger was written anew, or is an "
    "older copy. Who put it back on purpose starts the process again",
}
"""The reasons why nothing is appended to a ledger, by the words of `purposeguard_ledger_write`."""


class CountKey(NamedTuple):
    """The key of a count within an hour: the kind and body of the future entry, without the count."""

    hour: str
    kind: str
    body: str

    @property
    def key(self) -> str:
        """The digest that identifies rows with this key."""
        return hashlib.sha256(f"{self.kind}{self.body}".encode()).hexdigest()

    def entry(self, count: int) -> tuple[str, str]:
        """Return the entry that the count becomes."""
        return self.kind, to_canonical_json({**json.loads(self.body), "count": count})


def read_count_key(row: Mapping[Any, Any]) -> CountKey:
    """Return the key of a row of counts; raise LedgerBroken unless the row is as it was written."""
    try:
        counted = CountKey(row["hour"], row["kind"], row["body"])
        data = {**json.loads(counted.body), "count": row["count"]}
        (Hour.of if counted.kind == USE else parse_repeated)(data)
        if counted.kind in (USE, DENIAL) and data["hour"] == counted.hour and row["key"] == counted.key:
            return counted
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise LedgerBroken("counts", "a count of an hour that is not over is none as one is written: it was changed")


Event = tuple[str, str] | CountKey
"""An event that a thread waits for: the kind and body of an entry, or the key of a count to increase."""


@dataclasses.dataclass(frozen=True, slots=True)
class LedgerTransaction:
    """One transaction: entries, counts of a process, and rows of counts that become entries."""

    at: str | None
    """The time of the entries; None for the time of the server."""
    process: str
    hour: str
    patience: float
    """The seconds for which a server lets the transaction wait for a lock."""
    entries: Sequence[tuple[str, str]] = ()
    counts: Mapping[CountKey, int] = dataclasses.field(default_factory=dict)
    batch: int | None = None
    """The number of these counts. Counts that are sent twice under one number are added once."""
    taken: Sequence[Mapping[str, Any]] = ()
    """The rows of counts that become entries."""
    seen: tuple[int, str] = (0, GENESIS)
    """The number and hash of an entry that must be in the ledger."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the counts."""
        rows: list[dict[str, Any]] = []
        for counted, count in self.counts.items():
            rows.append(
                {"key": counted.key, "hour": counted.hour, "kind": counted.kind, "body": counted.body, "count": count}
            )
        return rows


class Conflict(Exception):
    """Another transaction got in the way: this one has changed nothing."""


def write_transaction(connection: sa.Connection, transaction: LedgerTransaction) -> tuple[int, str] | None:
    """Write the whole transaction or nothing.

    1. Add the counts, unless this batch was added before.
    2. Delete the rows of counts that become entries. If one has changed, this is a conflict.
    3. Check that the head is the last entry, and that the entry which this process saw last is still there.
    4. Append the entries, and move the head to the last of them.

    Steps 3 and 4 are for transactions with entries. PostgreSQL does all four in `purposeguard_ledger_write`.

    Returns:
        The number and hash of the last entry, or None if the transaction has no entries.

    Raises:
        LedgerBroken: the ledger was changed, so that nothing is written behind it.
        Conflict: try again.
    """
    if connection.dialect.name == "sqlite":
        return _write_to_sqlite(connection, transaction)
    request: dict[str, Any] = {
        "process": transaction.process,
        "hour": transaction.hour,
        "patience": max(1, int(transaction.patience * 1000)),
        "entries": [{"kind": kind, "body": body} for kind, body in transaction.entries],
        "counts": transaction.rows,
        "taken": list(transaction.taken),
        "seen": transaction.seen[0],
        "seen_hash": transaction.seen[1],
    }
    request |= {} if transaction.batch is None else {"batch": transaction.batch}
    request |= {} if transaction.at is None else {"at": transaction.at}
    try:
        seq, hash_ = connection.execute(WRITE, {"request": to_canonical_json(request)}).one()
    except exc.DBAPIError as error:
        code = getattr(error.orig, "sqlstate", None)
        if code in RETRIED_SQLSTATES:
            raise Conflict from None
        if code == "LB001":
            raise make_broken_error(error.orig.diag.message_primary) from None  # type: ignore[union-attr]  # an error with a code of PostgreSQL has one
        raise
    return None if seq is None else (seq, hash_)


def make_broken_error(fault: str) -> LedgerBroken:
    """Return the error for a ledger to which nothing is appended, because it was changed."""
    return LedgerBroken("ledger" if fault == "seen" else "head", FAULTS[fault])


def _write_to_sqlite(connection: sa.Connection, transaction: LedgerTransaction) -> tuple[int, str] | None:
    """Write as PostgreSQL's function does, within a transaction in which nobody else writes."""
    new = True
    if transaction.batch is not None:
        marked = insert(writers).values(process=transaction.process, batch=transaction.batch, hour=transaction.hour)
        changed = {"batch": marked.excluded.batch, "hour": marked.excluded.hour}
        earlier = writers.c.batch < marked.excluded.batch
        mark = marked.on_conflict_do_update(index_elements=["process"], set_=changed, where=earlier)
        new = connection.execute(mark).rowcount == 1
    if transaction.counts and new:
        added = insert(counts)
        total = {"count": counts.c.count + added.excluded.count}
        rows = [{"process": transaction.process, **row} for row in transaction.rows]
        connection.execute(added.on_conflict_do_update(index_elements=["process", "key"], set_=total), rows)
    for row in transaction.taken:
        taken_row = sa.and_(
            counts.c.process == row["process"], counts.c.key == row["key"], counts.c.count == row["count"]
        )
        if connection.execute(sa.delete(counts).where(taken_row)).rowcount != 1:
            raise Conflict
    if not transaction.entries:
        return None
    seen, seen_hash = transaction.seen
    found = connection.execute(SELECT_END, {"seen": seen}).one_or_none()
    if found is None:
        raise make_broken_error("missing")
    end: tuple[int, str] = found.seq, found.hash
    if end != ((0, GENESIS) if found.last_seq is None else (found.last_seq, found.last_hash)):
        raise make_broken_error("end")
    there = found.seen_hash if seen else seen_hash
    archived = read_boundary(connection) if there is None else None
    if there != seen_hash and (archived is None or archived.seq < seen):
        raise make_broken_error("seen")
    new_entries = chain_entries(*end, str(transaction.at), transaction.entries)
    connection.execute(INSERT_ENTRIES, list(map(_make_row, new_entries)))
    end = new_entries[-1].seq, new_entries[-1].hash
    connection.execute(MOVE_HEAD, {"seq": end[0], "hash": end[1]})
    return end


def _make_row(entry: Entry) -> dict[str, Any]:
    """Return the row of an entry in the table of the ledger."""
    return {
        "seq": entry.seq,
        "at": entry.at,
        "kind": entry.kind,
        "body": entry.body_text,
        "prev": entry.prev,
        "hash": entry.hash,
    }


def chain_entries(seq: int, hash_: str, at: str, additions: Sequence[tuple[str, str]]) -> list[Entry]:
    """Chain new entries to the entry with this number and hash.

    `additions` are kinds with bodies as canonical JSON.
    """
    chained: list[Entry] = []
    for kind, body in additions:
        entry = Entry.after(seq, hash_, at, kind, json.loads(body))
        chained.append(entry)
        seq, hash_ = entry.seq, entry.hash
    return chained
