"""The ledger in the store: one chain, whichever process writes."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping
from typing import Any, Final

import sqlalchemy as sa

from purposeguard.errors import LedgerBroken
from purposeguard.governance.ledger.chain import Body, Counts, Entry, Head, Hour, advanced
from purposeguard.governance.ledger.counting import INTERVAL
from purposeguard.governance.ledger.kept import Kept
from purposeguard.governance.ledger.reading import Placed, Reading, row_of
from purposeguard.governance.ledger.recorder import entry_made
from purposeguard.governance.ledger.turns import Turn
from purposeguard.governance.schema import Serial, metadata
from purposeguard.governance.store import Store
from purposeguard.runtime.clock import Clock, Now

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


class SqlLedger(Kept):
    """A ledger in a store; any number of processes write one chain.

    `interval`: seconds between two writes of counts. `clock` gives the time, for tests.
    """

    def __init__(self, store: Store, *, interval: float = INTERVAL, clock: Now | Clock | None = None) -> None:
        super().__init__(interval=interval, clock=clock, digest=store.digest)
        self.store = store
        self._turn = Turn()
        self._unheard: tuple[str, Counter[Hour]] | None = None  # a commit whose outcome is not known, by its head
        self._kept: Counter[Hour] = Counter()  # counts that were committed after all

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        """Records one entry, and what was counted meanwhile, in one transaction; raises as `Recorder.append`."""
        made = entry_made(kind, body)
        with self._counters.taking() as counts:
            self._put([made], counts)

    def append_in(self, connection: sa.Connection, kind: str, body: Mapping[str, Any]) -> None:
        """Records one entry together with what else a transaction of `store.writing()` changes: both, or neither.

        To come last in the transaction: until it ends, nobody else writes to the ledger.

        Raises:
            LedgerBroken, TypeError, ValueError: as `append`.
        """
        self._write(connection, [entry_made(kind, body)])

    def add(self, counts: Counts, last: bool = False) -> None:
        """Puts counts on record, in a transaction of its own; raises as `append` does."""
        self._put([], counts, last)

    def _put(self, additions: list[tuple[str, Body]], counts: Counts, last: bool = False) -> None:
        with self._turn:
            with self.store.writing() as connection:
                self._add(connection, additions, Counter(counts), last)
            self._unheard, self._kept = None, Counter()

    def _add(
        self, connection: sa.Connection, additions: list[tuple[str, Body]], counts: Counter[Hour], last: bool
    ) -> None:
        """Adds counts, without what was added before by a call that failed all the same: its connection was lost."""
        if self._unheard is not None and head_in(connection, lock=True).digest == self._unheard[0]:
            self._kept += self._unheard[1]
        counts -= self._kept
        self._unheard = None
        self._unheard = self._write(connection, additions, counts, last).digest, counts

    def _write(
        self,
        connection: sa.Connection,
        additions: list[tuple[str, Body]],
        counts: Counts | None = None,
        last: bool = False,
    ) -> Head:
        before = head_in(connection, lock=True)
        entries, after = advanced(before, self._now(), additions, counts, close=last)
        if entries:
            connection.execute(sa.insert(ledger), [_row(entry) for entry in entries])
        if after != before:
            values = {
                "seq": after.seq,
                "at": after.at,
                "hash": after.hash,
                "open": after.open_text,
                "digest": after.digest,
            }
            connection.execute(sa.update(head).where(head.c.id == 1).values(values))
        return after

    # ---- reading ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def reading(self) -> Generator[SqlReading]:
        """The ledger as it is now."""
        with self.store.reading() as connection:
            yield SqlReading(connection)


class SqlReading(Reading):
    """The ledger in a database, by a connection on which nothing has been asked yet."""

    def __init__(self, connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        self._connection = connection
        self._head: Head | None = None

    @property
    def head(self) -> Head:
        """Where it ends."""
        if self._head is None:
            self._head = head_in(self._connection)
        return self._head

    def placed(
        self, kinds: Collection[str] | None = None, since: str | None = None, until: str | None = None
    ) -> Iterator[Placed]:
        """The entries: of all of them each with the number that it should have, of some with the one that it has."""
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


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "at": entry.at,
        "kind": entry.kind,
        "body": entry.body_text,
        "prev": entry.prev,
        "hash": entry.hash,
    }


def head_in(connection: sa.Connection, *, lock: bool = False) -> Head:
    """The head, which nobody else changes until the transaction ends where it is to be locked.

    Raises:
        LedgerBroken: it is missing, or not as it was written.
    """
    wanted = sa.select(head.c.seq, head.c.at, head.c.hash, head.c.open, head.c.digest).where(head.c.id == 1)
    found = connection.execute(wanted.with_for_update() if lock else wanted).one_or_none()
    if found is None:
        raise LedgerBroken("head", "the head is missing: nothing says any more how many entries there are")
    try:
        return Head.of({**found._asdict(), "open": json.loads(found.open), "bytes": 0})
    except (ValueError, TypeError, RecursionError) as error:
        what = str(error) if isinstance(error, ValueError) else "the head holds what no head holds"
        raise LedgerBroken("head", what) from None
