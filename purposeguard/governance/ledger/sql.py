"""The ledger in a store: one chain, whichever process writes.

PostgreSQL writes by a function that migration 0002 creates and 0003a replaces. `reading` verifies the chain.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import json
import logging
import math
import os
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self

import sqlalchemy as sa
from sqlalchemy import exc

from purposeguard.errors import LedgerBroken, PurposeMissing, StoreUnavailable
from purposeguard.governance.engines import make_unavailable_error
from purposeguard.governance.group_commit import PATIENCE, GroupCommit
from purposeguard.governance.ledger import entries
from purposeguard.governance.ledger.chain import (
    DENIAL,
    GENESIS,
    MALFORMED_HEAD,
    USE,
    Counts,
    Entry,
    Head,
    Hour,
    format_hour,
    open_hours,
    to_canonical_json,
)
from purposeguard.governance.ledger.chain import format_moment as written_at
from purposeguard.governance.ledger.checkpoints import (
    Checkpoint,
    Checkpoints,
    make_checkpoint,
    verify_archiving,
    verify_from,
)
from purposeguard.governance.ledger.counting import INTERVAL, Counters
from purposeguard.governance.ledger.reading import (
    NO_COUNT,
    NO_ENTRY,
    NO_HEAD,
    Boundary,
    Kinds,
    LedgerSnapshot,
    PlacedEntry,
    Time,
    Total,
    Verification,
    make_missing_error,
    parse_row,
    read_boundary,
    to_comparable,
)
from purposeguard.governance.ledger.tables import counts, head, ledger, writers
from purposeguard.governance.ledger.writing import (
    Conflict,
    CountKey,
    Event,
    LedgerTransaction,
    read_count_key,
    write_transaction,
)
from purposeguard.governance.loops import record_off_loop, warn_if_blocking, write_off_loop
from purposeguard.governance.store import Store
from purposeguard.notice.label import Label
from purposeguard.policy.transfers import Provision
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.clock import Clock, Now, read_system_time
from purposeguard.runtime.declarations import LegalException, Reclassification
from purposeguard.runtime.observer import Tick

_log: Final = logging.getLogger("purposeguard")

ROWS: Final = 500
"""The number of rows that are fetched at a time."""

ENTRIES: Final = 25_000
"""The number of entries that the database adds up at a time."""

FIRST: Final = sa.select(ledger.c.seq, ledger.c.prev).order_by(ledger.c.seq).limit(1)

REPEATED: Final = 60.0
"""The seconds within which a repeated denial by the same process is counted instead of recorded as an entry."""

FORGOTTEN: Final = datetime.timedelta(days=7)
"""The time after which the last batch of a process that ended without `close` is forgotten."""

THREADS: Final = 8
"""The number of threads that write denials for event loops. Denials that wait at the same time are written together."""

REMEMBERED: Final = 10_000
"""The number of denials that a process remembers as recorded entries."""


class SqlLedger:
    """A ledger in a store, whose chain any number of processes may write.

    An event is on record when the method that reports it returns. Such a method raises StoreUnavailable if the event
    cannot be recorded, and LedgerBroken if the ledger was changed, in which case nothing is appended to it.

    Uses are only counted. Counts are written every `interval` seconds, when the process ends, and by `flush` and
    `close`. Entries have the time of the server on PostgreSQL, and that of the machine on SQLite.

    Args:
        store: The store that holds the ledger.
        interval: The seconds between two writes of counts.
        clock: A clock for tests.
        checkpoints: The settings for checkpoints. The thread that counts makes them, and `close` makes the last.
    """

    def __init__(
        self,
        store: Store,
        *,
        interval: float = INTERVAL,
        clock: Now | Clock | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self.store = store
        self._clock = Clock.of(clock or read_system_time)
        self._checkpoints = checkpoints
        self._checkpoint: tuple[sa.Engine, Checkpoint] | None = None
        self._due = -math.inf
        self._counters = Counters(self._count, self._clock, interval, None if checkpoints is None else self._keep)
        self._turns: GroupCommit[Event, None] = GroupCommit(self._record, lambda: self.store.timeout or PATIENCE)
        self._process = _ProcessState()
        self._seen: tuple[sa.Engine | None, int, str] = (None, 0, GENESIS)  # the last entry, as of this process

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        """Record one entry of one of the `KINDS`.

        Raises:
            TypeError, ValueError: as `normalize_entry`.
        """
        self._turns.write(_make_addition(kind, body))
        self._counters.begin()

    def append_in(self, connection: sa.Connection, kind: str, body: Mapping[str, Any]) -> None:
        """Record one entry within a transaction of `store.writing()`: the entry and its changes, or neither.

        Call this last in the transaction: until it ends, nobody else writes to the ledger. Raise as `append` does.
        """
        self.append_all_in(connection, kind, [body])

    def append_all_in(self, connection: sa.Connection, kind: str, bodies: Iterable[Mapping[str, Any]]) -> None:
        """Record several entries of one kind as `append_in` does one: in this order, and in one round trip."""
        additions = [_make_addition(kind, body) for body in bodies]
        try:
            write_transaction(connection, self._make_writing(entries=additions))
        except Conflict:
            raise self._make_conflict_error() from None

    def _record(self, events: Sequence[Event]) -> Sequence[None]:
        """Write events durably, all of them or none."""
        repeats: Counter[CountKey] = Counter()
        new_entries: list[tuple[str, str]] = []
        for event in events:
            if isinstance(event, CountKey):
                repeats[event] += 1
            else:
                new_entries.append(event)
        self._process_state().rows.update(repeats)
        self._write(self._make_writing(entries=new_entries, counts=repeats))
        return [None] * len(events)

    def _count(self, uses: Counts, last: bool) -> None:
        """Write counts, durably. Counts of past hours become entries; if `last`, all do. One call at a time."""
        own = self._process_state()
        pending = Counter({CountKey(key.hour, USE, key.text): count for key, count in uses.items()})
        with self._turns.exclude_others() if self.store.dialect == "sqlite" else contextlib.nullcontext():
            # The answer to the last batch was lost. A batch is counted once, however often it is sent.
            if own.doubt is not None:
                self._write(self._make_writing(counts=own.doubt, batch=own.batch))
                own.sent, own.doubt = own.sent + own.doubt, None
            pending -= own.sent
            if pending:
                own.batch, own.doubt = own.batch + 1, pending
                own.rows.update(pending)
                self._write(self._make_writing(counts=pending, batch=own.batch))
                own.sent, own.doubt = own.sent + pending, None
            still_open = open_hours(self._clock.read())
            has_past_hours = any(counted.hour not in still_open for counted in pending)
            if last or own.hour != still_open[0] or has_past_hours:
                self._close_hours(still_open, own.name if last else None)
                own.hour = still_open[0]
            own.sent = Counter()  # Until here, `uses` again contains what was written.

    def _close_hours(self, still_open: Sequence[str], process: str | None) -> None:
        """Make entries of the counts of other hours, of any process, and of all counts of `process`."""
        over = counts.c.hour.not_in(still_open)
        condition = over if process is None else over | (counts.c.process == process)
        with self.store.reading(single=True) as connection:
            rows = connection.execute(sa.select(counts).where(condition)).mappings().all()
        totals: Counter[CountKey] = Counter()
        for row in rows:
            totals[read_count_key(row)] += row["count"]
        taken = [{"process": row["process"], "key": row["key"], "count": row["count"]} for row in rows]
        new_entries = [counted.entry(total) for counted, total in sorted(totals.items())]
        if new_entries:
            with contextlib.suppress(Conflict):  # Another process changes or takes these rows. They are not lost.
                self._write(self._make_writing(entries=new_entries, taken=taken), again=False)
        gone = writers.c.hour < format_hour(written_at(self._clock.read() - FORGOTTEN))
        with self._open_connection() as connection:
            connection.execute(sa.delete(writers).where(gone | (writers.c.process == process)))

    def _make_writing(self, **parts: Any) -> LedgerTransaction:
        own = self._process_state()
        present = self._clock.read()
        server = self.store.dialect == "postgresql" and self._clock.is_system
        seen = self._seen[1:] if self._seen[0] is self.store.engine else (0, GENESIS)
        at = written_at(present)
        return LedgerTransaction(
            None if server else at, own.name, format_hour(at), self.store.timeout, seen=seen, **parts
        )

    def _write(self, transaction: LedgerTransaction, *, again: bool = True) -> None:
        """Write durably, in a transaction of its own. Try again, while there is time, after a conflict."""
        deadline = time.monotonic() + self.store.timeout
        while True:
            try:
                with self._open_connection() as connection:
                    engine, end = self.store.engine, write_transaction(connection, transaction)
            except Conflict:
                if not again:
                    raise
                if time.monotonic() > deadline:
                    raise self._make_conflict_error() from None
            else:
                if end is not None and (self._seen[0] is not engine or self._seen[1] < end[0]):
                    self._seen = engine, *end
                return

    def _open_connection(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """Return a context manager for a connection with one transaction; on PostgreSQL, a single statement is one."""
        return self.store.reading(single=True) if self.store.dialect == "postgresql" else self.store.writing()

    def _make_conflict_error(self) -> StoreUnavailable:
        return make_unavailable_error(
            self.store.where, "cannot be written: other transactions got in the way", "try again"
        )

    def _process_state(self) -> _ProcessState:
        """Return the state of this process, which a forked child does not share."""
        if self._process.pid != os.getpid():
            self._process = _ProcessState()
        return self._process

    # ---- reported by a guard ---------------------------------------------------------------------------------------

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """Record that a use was refused, or would have been (`observed`).

        Further denials of the same use within a minute are counted, equally durably. A denial that was only observed
        delays nothing: no block waits for it, and if it cannot be recorded, the error is logged and not raised.
        """
        record = self._record_observed_denial if observed else self._record_denial
        write = functools.partial(record, *_make_addition(DENIAL, entries.make_denial_body(error, observed=observed)))
        if not write_off_loop(self._process_state().threads_of_loops, write, is_awaited=not observed):
            warn_if_blocking("`async with governance.off_loop():` around")
            write()

    def _record_denial(self, kind: str, body: str) -> None:
        present = time.monotonic()
        hour = format_hour(written_at(self._clock.read()))
        try:
            recent, key = self._process_state().recent, (self.store.engine, body)
            if recent.get(key, -math.inf) > present - REPEATED:
                self._counters.note_hour(hour)
                self._turns.write(CountKey(hour, kind, to_canonical_json({**json.loads(body), "hour": hour})))
                return
            self._turns.write((kind, body))
            self._counters.begin()
        except StoreUnavailable as failure:
            failure.add_note(f"not recorded: {json.loads(body)['reason']}")
            raise
        if len(recent) >= REMEMBERED:
            recent.clear()
        recent[key] = present

    def _record_observed_denial(self, kind: str, body: str) -> None:
        state = self._process_state()
        try:
            self._record_denial(kind, body)
        except (StoreUnavailable, LedgerBroken) as error:
            if not state.has_lost_observed:  # The log tells once how long it lasts.
                _log.error("denials that were only observed cannot be recorded: %s", error)
            state.has_lost_observed = True
        else:
            if state.has_lost_observed:
                _log.warning("denials that were only observed are recorded again; those until now are in no ledger")
            state.has_lost_observed = False

    def off_loop(self) -> contextlib.AbstractAsyncContextManager[Callable[[], Awaitable[None]]]:
        """Return an asynchronous context manager whose denials a thread records. It ends once they are on record.

        The block gets a function to await when denials must be on record earlier, such as before an answer is begun. A
        denial is raised at once. If it cannot be recorded, the block raises StoreUnavailable, or LedgerBroken, instead.
        """
        return record_off_loop(lambda: self.store.timeout or PATIENCE)

    @property
    def waiting(self) -> int:
        """The number of counts that are not written yet. It stays high only if the store cannot be written."""
        return self._counters.waiting

    def counter(self, activity: str | None, purpose: str, label: Label) -> Tick:
        """Return a function to call at each use of data of this label."""
        return self._counters.make_counter(activity, purpose, label)

    def reclassified(self, declared: Reclassification, label: Label, activity: str | None) -> None:
        """Record that a declared function is about to see a value of this label."""
        self.append("reclassification", entries.make_reclassification_body(declared, label, activity))

    def excepted(self, exception: LegalException, label: Label, subject: str | None, count: int) -> None:
        """Record that data is about to be used under an exception; `subject` is a `subject_key`, if known."""
        name = None if subject is None else self.store.pseudonym(subject)
        self.append("exception", entries.make_exception_body(exception, label, name, count))

    def provided(self, provision: Provision) -> None:
        """Record that a hand-over is about to take place."""
        names = self.store.pseudonyms(provision.subjects)
        self.append("provision", entries.make_provision_body(provision, names))

    # ---- reading ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def reading(self) -> Generator[SqlLedgerSnapshot]:
        """Return a context manager for a snapshot of the ledger."""
        with self.store.reading() as connection:
            yield SqlLedgerSnapshot(connection)

    def entries(
        self,
        kinds: Collection[str] | None = None,
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
    ) -> Iterator[Entry]:
        """Yield the entries of these kinds and this period (`until` excluded), oldest first, not verified.

        Raises:
            LedgerBroken: an entry, or the head, is malformed.
            StoreUnavailable: the ledger is unreadable.
        """
        with self.reading() as reading:
            yield from reading.entries(kinds, since, until)

    def uses(self, since: datetime.datetime | None = None, until: datetime.datetime | None = None) -> Counter[Hour]:
        """Return the counts of the hours that begin in this period, flushed first; raise as `entries` does."""
        self.flush()
        with self.reading() as reading:
            return reading.uses(since, until)

    def verify(self, expect: str | None = None) -> Verification:
        """Verify every entry and the head; one entry must have the hash `expect`, noted earlier.

        Raises:
            LedgerBroken: the ledger was changed: the place, and the fault.
            StoreUnavailable: the ledger is unreadable.
        """
        with self.reading() as reading:
            return reading.verify(expect)

    # ---- checkpoints ----------------------------------------------------------------------------------------------

    def checkpoint(self) -> Checkpoint:
        """Make a checkpoint after verifying the entries since the last checkpoint of this process.

        Raises:
            LedgerBroken: the ledger was changed since.
            StoreUnavailable: the ledger is unreadable, or the sink cannot be written.
            ValueError: there are no `checkpoints`.
        """
        if self._checkpoints is None:
            raise ValueError("this ledger has no `checkpoints`, so there is nowhere to keep one")
        engine = self.store.engine
        with self.reading() as reading:
            if self._checkpoint is not None and self._checkpoint[0] is engine:
                verify_from(reading, self._checkpoint[1], key=self._checkpoints.public)
            elif self._checkpoints.public is not None:
                verify_archiving(reading, self._checkpoints.public)
            self._check_own(reading.connection)
            unsigned = make_checkpoint(reading, reading.connection, written_at(self._clock.read()))
        signed = self._checkpoints.keep(unsigned)
        self._checkpoint = engine, signed
        return signed

    def _check_own(self, connection: sa.Connection) -> None:
        """Raise LedgerBroken if a row of counts exceeds what this process has ever counted."""
        own, present = self._process_state(), set()
        for row in connection.execute(sa.select(counts).where(counts.c.process == own.name)).mappings():
            counted = read_count_key(row)
            present.add(counted)
            if row["count"] > own.rows[counted]:
                raise LedgerBroken("counts", f"more was counted in {counted.hour} than this process has counted")
        still_open = open_hours(self._clock.read())
        for counted in list(own.rows):
            if counted in present or counted.hour in still_open:
                continue
            del own.rows[counted]

    def _keep(self, last: bool) -> None:
        """Make a checkpoint if one is due. Called in the thread that counts."""
        if self._checkpoints is not None and (last or time.monotonic() >= self._due):
            self._due = time.monotonic() + self._checkpoints.interval
            self.checkpoint()

    # ---- the end ---------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write the counts. If that fails, they are kept and the error is raised."""
        self._counters.flush()

    def close(self) -> None:
        """Write the counts, those of the present hour included, and end counting."""
        self._process_state().end_threads()
        self._counters.close()

    def resume(self) -> None:
        """Count again after `close`."""
        self._counters.resume()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SqlLedgerSnapshot(LedgerSnapshot):
    """The ledger in a database, read on a connection that nothing was asked on yet."""

    def __init__(self, connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        self._connection = connection

    @property
    def connection(self) -> sa.Connection:
        """The connection to the store."""
        return self._connection

    @functools.cached_property
    def head(self) -> Head:  # pyright: ignore[reportIncompatibleMethodOverride]  # It is read like a property.
        """The head."""
        joined = head.outerjoin(ledger, ledger.c.seq == head.c.seq)
        query = sa.select(head.c.seq, head.c.hash, ledger.c.at).select_from(joined).where(head.c.id == 1)
        row = self._connection.execute(query).one_or_none()
        if row is None:
            raise LedgerBroken("head", NO_HEAD)
        if type(row.seq) is not int or not isinstance(row.hash, str) or not isinstance(row.at or "", str):
            raise LedgerBroken("head", MALFORMED_HEAD)
        uses: Counter[Hour] = Counter()
        repeated: Counter[str] = Counter()
        for counting in self._connection.execute(sa.select(counts)).mappings():
            counted = read_count_key(counting)
            if counted.kind == USE:
                key, number = Hour.of({**json.loads(counted.body), "count": counting["count"]})
                uses[key] += number
            else:
                repeated[counted.body] += counting["count"]
        return Head(row.seq, row.at or "", row.hash, dict(uses), dict(repeated))

    @functools.cached_property
    def start(self) -> Head:  # pyright: ignore[reportIncompatibleMethodOverride]  # as above
        """The entry before the first one."""
        first = self._connection.execute(FIRST).one_or_none()
        if first is None or first.seq <= 1:
            return Head()
        boundary = self.boundary
        if boundary is None or boundary.seq < first.seq - 1:
            raise make_missing_error(1, first.seq - 1)
        # Archived entries that are not deleted yet are the first ones.
        return Head(first.seq - 1, "", boundary.hash if boundary.seq == first.seq - 1 else first.prev)

    @property
    def boundary(self) -> Boundary | None:
        """The content of the last entry of kind `archive`; None if there is none."""
        return read_boundary(self._connection)

    def iter_placed(
        self, kinds: Kinds = None, since: Time = None, until: Time = None, *, after: int = 0
    ) -> Iterator[PlacedEntry]:
        """Yield the entries, each with its expected number if all are read."""
        query = sa.select(ledger).order_by(ledger.c.seq)
        if after:
            query = query.where(ledger.c.seq > after)
        if kinds is not None:
            query = query.where(ledger.c.kind.in_(list(kinds)))
        if since is not None:
            query = query.where(ledger.c.at >= since)
        if until is not None:
            query = query.where(ledger.c.at < until)
        every = kinds is since is until is None
        first = max(after, self.start.seq) + 1 if every else 0
        with contextlib.closing(self._connection.execute(query.execution_options(yield_per=ROWS))) as result:
            for number, row in enumerate(result, first):
                place = f"entry {number if every else row.seq}"
                yield PlacedEntry(place, parse_row(tuple(row), place))

    def _total_written(self, keys: Mapping[str, Sequence[str]], told: Callable[[int], object]) -> Iterator[Total]:
        """Yield the totals of the entries that are written, added up by the database."""
        for first in range(self.start.seq + 1, self.head.seq + 1, ENTRIES):
            last = min(first + ENTRIES - 1, self.head.seq)
            for kind, names in keys.items():
                yield from self._totals_between(first, last, kind, names)
            told(last - first + 1)

    def _totals_between(self, first: int, last: int, kind: str, names: Sequence[str]) -> Iterator[Total]:
        """Yield the totals of a kind among the entries of these numbers."""
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
        query = sa.select(read.c.members, *numbers, *times).group_by(read.c.members)
        try:
            rows = self._connection.execute(query).all()
        except exc.DBAPIError as error:
            # SQLite has no error code for this; PostgreSQL has one.
            if "malformed JSON" in str(error.orig) or getattr(error.orig, "sqlstate", "") == "22P02":
                raise LedgerBroken(place, NO_ENTRY) from None
            raise
        for members, number, total, stated, since, until in rows:
            if kind == USE and (stated != number or since is None):
                raise LedgerBroken(place, NO_COUNT)
            yield Total(kind, to_comparable(json.loads(members)[2:]), number, int(total), since, until)

    def _member(self, name: str) -> sa.ColumnElement[Any]:
        """Return an expression for a text or number in the body; NULL if it is missing."""
        if self._connection.dialect.name == "sqlite":
            return sa.func.json_extract(ledger.c.body, f"$.{name}")
        return sa.cast(ledger.c.body, sa.JSON).op("->>")(name)

    def _members(self, names: Sequence[str]) -> sa.ColumnElement[Any]:
        """Return an expression for a JSON list of several values; on SQLite, two more values come first."""
        if self._connection.dialect.name == "sqlite":
            return sa.func.json_extract(ledger.c.body, "$.seq", "$.seq", *(f"$.{name}" for name in names))
        body = sa.cast(ledger.c.body, sa.JSON)
        return sa.cast(sa.func.json_build_array(0, 0, *(body.op("->")(name) for name in names)), sa.Text)


def _make_addition(kind: str, body: Mapping[str, Any]) -> tuple[str, str]:
    """Return the kind and the canonical JSON body of a future entry; raise as `normalize_entry` does."""
    kind, normalized = entries.normalize_entry(kind, body)
    return kind, to_canonical_json(normalized)


@dataclasses.dataclass(slots=True)
class _ProcessState:
    """The state of the writing by one process."""

    pid: int = dataclasses.field(default_factory=os.getpid)
    name: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)
    batch: int = 0
    doubt: Counter[CountKey] | None = None  # the counts of this batch, while it is unknown whether they were written
    # The counts of earlier batches, which were written.
    sent: Counter[CountKey] = dataclasses.field(default_factory=Counter)
    hour: str = ""  # the hour in which it last looked for counts of past hours
    rows: Counter[CountKey] = dataclasses.field(default_factory=Counter)  # upper bounds of the counts in its rows
    # The denials that became entries, with the engine of their store, and when.
    recent: dict[tuple[sa.Engine, str], float] = dataclasses.field(default_factory=dict)
    threads: ThreadPoolExecutor | None = None  # the threads that write on behalf of event loops
    has_lost_observed: bool = False  # True if the last denial that was only observed could not be recorded

    def threads_of_loops(self) -> ThreadPoolExecutor:
        """Return the threads that write on behalf of event loops."""
        if self.threads is None:
            self.threads = ThreadPoolExecutor(THREADS, "purposeguard denials")
        return self.threads

    def end_threads(self) -> None:
        """End the threads once they have written."""
        threads, self.threads = self.threads, None
        if threads is not None:
            threads.shutdown()
