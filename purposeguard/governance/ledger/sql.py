"""The ledger in the store: one chain, whichever process writes."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import sqlalchemy as sa
from sqlalchemy import exc

from purposeguard.errors import LedgerBroken, PurposeMissing, StoreUnavailable
from purposeguard.governance.ledger import entries
from purposeguard.governance.ledger.chain import MALFORMED_HEAD, USE, Body, Counts, Entry, Head, Hour, advanced, written
from purposeguard.governance.ledger.counting import INTERVAL, Counters
from purposeguard.governance.ledger.reading import (
    NO_COUNT,
    NO_ENTRY,
    NO_HEAD,
    Placed,
    Reading,
    Total,
    Verdict,
    row_of,
    values_of,
)
from purposeguard.governance.schema import Serial, metadata
from purposeguard.governance.store import Store
from purposeguard.notice.label import Label
from purposeguard.policy.transfers import Provision
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.clock import Clock, Now, system_time
from purposeguard.runtime.declarations import LegalException, Reclassification
from purposeguard.runtime.observer import Tick

ledger: Final = sa.Table(
    "purposeguard_ledger",
    metadata,
    sa.Column("seq", Serial, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(27), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("prev", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Index(None, "kind", "seq"),
)
"""The entries."""

head: Final = sa.Table(
    "purposeguard_ledger_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("at", sa.String(27), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("open", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.CheckConstraint("id = 1", name="one_row"),
)
"""One row, which every writer holds until it commits: so entries are in the order of commits."""

ROWS: Final = 500
"""Rows that are fetched at a time."""

ENTRIES: Final = 25_000
"""Entries that the database adds up at a time."""


class SqlLedger:
    """A ledger in a store; any number of processes write one chain. An event is on record when its method returns.

    Uses are counted; counts are written every `interval` seconds, when the process ends, and by `flush` and `close`.
    Methods that report an event raise StoreUnavailable if it cannot be recorded, and LedgerBroken if the ledger was
    changed, so that nothing is written behind it. `clock` gives the time, for tests.
    """

    def __init__(self, store: Store, *, interval: float = INTERVAL, clock: Now | Clock | None = None) -> None:
        self.store = store
        self._clock = Clock.of(clock or system_time)
        self._counters = Counters(lambda counts, last: self._write([], counts, last), self._clock, interval)
        self._unconfirmed: tuple[str, Counter[Hour]] | None = None  # a commit of unknown outcome, by its head
        self._committed: Counter[Hour] = Counter()  # counts of such commits that took place

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        """Records one entry of one of the `KINDS`, and the counts so far.

        Raises:
            TypeError, ValueError: as `entry_made`.
        """
        addition = entries.entry_made(kind, body)
        with self._counters.taking() as counts:
            self._write([addition], counts)

    def append_in(self, connection: sa.Connection, kind: str, body: Mapping[str, Any]) -> None:
        """Records one entry within a transaction of `store.writing()`: the entry and its changes, or neither.

        Comes last in the transaction: until it ends, nobody else writes to the ledger. Raises as `append`.
        """
        self._advance(connection, [entries.entry_made(kind, body)])

    def _write(self, additions: Sequence[tuple[str, Body]], counts: Counts, last: bool = False) -> None:
        """Writes entries and counts, durably; one call at a time. With `last`, all open counts become entries."""
        pending = Counter(counts)
        with self.store.writing() as connection:
            # A commit whose connection was lost may have taken place: what it counted is not counted again.
            if self._unconfirmed is not None and head_in(connection, lock=True).digest == self._unconfirmed[0]:
                self._committed += self._unconfirmed[1]
            pending -= self._committed
            self._unconfirmed = None
            self._unconfirmed = self._advance(connection, additions, pending, last).digest, pending
        self._unconfirmed, self._committed = None, Counter()

    def _advance(
        self,
        connection: sa.Connection,
        additions: Sequence[tuple[str, Body]],
        counts: Counts | None = None,
        last: bool = False,
    ) -> Head:
        before = head_in(connection, lock=True)
        made, after = advanced(before, written(self._clock.read()), additions, counts, close=last)
        if made:
            names = ("seq", "at", "kind", "prev", "hash")
            rows = [{**{name: getattr(entry, name) for name in names}, "body": entry.body_text} for entry in made]
            connection.execute(sa.insert(ledger), rows)
        if after != before:
            values = {name: getattr(after, name) for name in ("seq", "at", "hash", "digest")}
            connection.execute(sa.update(head).where(head.c.id == 1).values(**values, open=after.open_text))
        return after

    # ---- reported by a guard ---------------------------------------------------------------------------------------

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """A use was refused, or would have been (`observed`)."""
        body = entries.denial(error, observed=observed)
        try:
            self.append("denial", body)
        except StoreUnavailable as failure:
            failure.add_note(f"not recorded: {body['reason']}")
            raise

    @property
    def waiting(self) -> int:
        """Different counts that are not written yet: for long only while the store cannot be written."""
        return self._counters.waiting

    def counter(self, activity: str | None, purpose: str, label: Label) -> Tick:
        """A function to be called at each use of data of this label."""
        return self._counters.counter(activity, purpose, label)

    def reclassified(self, declared: Reclassification, label: Label, activity: str | None) -> None:
        """A declared function is about to see a value of this label."""
        self.append("reclassification", entries.reclassification(declared, label, activity))

    def excepted(self, exception: LegalException, label: Label, subject: str | None, count: int) -> None:
        """Data is about to be used under an exception; `subject` is a `subject_key`, if known."""
        digest = None if subject is None else self.store.digest(subject)
        self.append("exception", entries.exception(exception, label, digest, count))

    def provided(self, provision: Provision) -> None:
        """A hand-over is about to take place."""
        digests = [self.store.digest(subject) for subject in provision.subjects]
        self.append("provision", entries.provision(provision, digests))

    # ---- reading ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def reading(self) -> Generator[SqlReading]:
        """A snapshot of the ledger."""
        with self.store.reading() as connection:
            yield SqlReading(connection)

    def entries(
        self,
        kinds: Collection[str] | None = None,
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
    ) -> Iterator[Entry]:
        """The entries of these kinds and this period (`until` excluded), oldest first, not verified.

        Raises:
            LedgerBroken: an entry, or the head, is malformed.
            StoreUnavailable: the ledger is unreadable.
        """
        with self.reading() as reading:
            yield from reading.entries(kinds, since, until)

    def uses(self, since: datetime.datetime | None = None, until: datetime.datetime | None = None) -> Counter[Hour]:
        """The counts of the hours that begin in this period; flushes first. Raises as `entries`."""
        self.flush()
        with self.reading() as reading:
            return reading.uses(since, until)

    def verify(self, expect: str | None = None) -> Verdict:
        """Verifies every entry and the head; one entry must have the hash `expect`, noted earlier.

        Raises:
            LedgerBroken: the ledger was changed: the place, and the fault.
            StoreUnavailable: the ledger is unreadable.
        """
        with self.reading() as reading:
            return reading.verify(expect)

    # ---- the end ---------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Writes the counts; where that fails they are kept, and the error is raised."""
        self._counters.flush()

    def close(self) -> None:
        """Writes the counts, those of the present hour included, and ends counting."""
        self._counters.close()

    def resume(self) -> None:
        """Counts again after `close`."""
        self._counters.resume()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()


class SqlReading(Reading):
    """The ledger in a database, read on a connection that nothing was asked on yet."""

    def __init__(self, connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        self._connection = connection
        self._head: Head | None = None

    @property
    def head(self) -> Head:
        """The head."""
        if self._head is None:
            self._head = head_in(self._connection)
        return self._head

    def placed(
        self, kinds: Collection[str] | None = None, since: str | None = None, until: str | None = None
    ) -> Iterator[Placed]:
        """The entries; where all are read, each with the number that it should have."""
        wanted = sa.select(ledger).order_by(ledger.c.seq)
        if kinds is not None:
            wanted = wanted.where(ledger.c.kind.in_(list(kinds)))
        if since is not None:
            wanted = wanted.where(ledger.c.at >= since)
        if until is not None:
            wanted = wanted.where(ledger.c.at < until)
        every = kinds is since is until is None
        with contextlib.closing(self._connection.execute(wanted.execution_options(yield_per=ROWS))) as result:
            for number, row in enumerate(result, 1):
                place = f"entry {number if every else row.seq}"
                yield Placed(place, row_of(tuple(row), place))

    def _written_totals(self, keys: Mapping[str, Sequence[str]], told: Callable[[int], object]) -> Iterator[Total]:
        """Those of the entries that are written, added up by the database."""
        for first in range(1, self.head.seq + 1, ENTRIES):
            last = min(first + ENTRIES - 1, self.head.seq)
            for kind, names in keys.items():
                yield from self._totals_between(first, last, kind, names)
            told(last - first + 1)

    def _totals_between(self, first: int, last: int, kind: str, names: Sequence[str]) -> Iterator[Total]:
        """The totals of a kind among the entries of these numbers."""
        place = f"entries {first} to {last}"
        which = (ledger.c.kind == kind, ledger.c.seq.between(first, last))
        read = (
            sa.select(
                self._members(names).label("members"),
                sa.cast(self._member("count"), sa.BigInteger).label("counted"),
                (self._member("hour") if kind == USE else ledger.c.at).label("time"),
            )
            .where(*which)
            .cte()
            .prefix_with("MATERIALIZED")  # each body is read once
        )
        counted = read.c.counted if kind == USE else sa.func.coalesce(read.c.counted, 1)
        numbers = (sa.func.count(), sa.func.sum(counted), sa.func.count(read.c.counted))
        times = (sa.func.min(read.c.time), sa.func.max(read.c.time))
        wanted = sa.select(read.c.members, *numbers, *times).group_by(read.c.members)
        try:
            rows = self._connection.execute(wanted).all()
        except exc.DBAPIError as error:
            # SQLite has no code of its own for it; PostgreSQL has one.
            if "malformed JSON" in str(error.orig) or getattr(error.orig, "sqlstate", "") == "22P02":
                raise LedgerBroken(place, NO_ENTRY) from None
            raise
        for members, number, total, counts, since, until in rows:
            if kind == USE and (counts != number or since is None):
                raise LedgerBroken(place, NO_COUNT)
            yield Total(kind, values_of(json.loads(members)[2:]), number, int(total), since, until)

    def _member(self, name: str) -> sa.ColumnElement[Any]:
        """A text or number of the body; NULL if it is not there."""
        if self._connection.dialect.name == "sqlite":
            return sa.func.json_extract(ledger.c.body, f"$.{name}")
        return sa.cast(ledger.c.body, sa.JSON).op("->>")(name)

    def _members(self, names: Sequence[str]) -> sa.ColumnElement[Any]:
        """Several in a JSON list, after two that make it a list on SQLite."""
        if self._connection.dialect.name == "sqlite":
            return sa.func.json_extract(ledger.c.body, "$.seq", "$.seq", *(f"$.{name}" for name in names))
        body = sa.cast(ledger.c.body, sa.JSON)
        return sa.cast(sa.func.json_build_array(0, 0, *(body.op("->")(name) for name in names)), sa.Text)


def head_in(connection: sa.Connection, *, lock: bool = False) -> Head:
    """The head; with `lock`, nobody else changes it until the transaction ends.

    Raises:
        LedgerBroken: it is missing, or malformed.
    """
    wanted = sa.select(head.c.seq, head.c.at, head.c.hash, head.c.open, head.c.digest).where(head.c.id == 1)
    row = connection.execute(wanted.with_for_update() if lock else wanted).one_or_none()
    if row is None:
        raise LedgerBroken("head", NO_HEAD)
    try:
        return Head.of({**row._asdict(), "open": json.loads(row.open), "bytes": 0})
    except (ValueError, TypeError, RecursionError) as error:
        raise LedgerBroken("head", str(error) if isinstance(error, ValueError) else MALFORMED_HEAD) from None
