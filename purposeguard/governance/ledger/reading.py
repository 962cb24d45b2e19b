"""The reading of a ledger: a snapshot of its entries, and their verification from the first to the last."""

from __future__ import annotations

import abc
import collections
import dataclasses
import datetime
import json
import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from purposeguard.errors import LedgerBroken
from purposeguard.governance.ledger.chain import (
    ARCHIVE,
    DENIAL,
    ENTRY_KEYS,
    USE,
    Body,
    Entry,
    Head,
    Hour,
    are_texts,
    format_moment,
    hash_entry,
)
from purposeguard.governance.ledger.tables import ledger

LONGEST: Final = 1 << 24
"""The length limit of a line, in bytes."""

NO_ENTRY: Final = "this is no entry as one is written: it was changed, or was never one"
NO_COUNT: Final = "the entry counts no uses"
NO_HEAD: Final = "the head is missing: the number of entries is unknown"

Kinds = Collection[str] | None
"""The kinds of entries to read; None for all."""

Time = str | None
"""A time in the spelling of entries; None for no limit."""


class PlacedEntry(NamedTuple):
    """An entry and its place: `line 18` or `entry 18`."""

    place: str
    entry: Entry


class Boundary(NamedTuple):
    """The content of an entry of kind `archive`: number and hash of the last moved entry, perhaps signed."""

    seq: int
    hash: str
    signature: str | None

    @classmethod
    def of(cls, placed: PlacedEntry) -> Boundary:
        """Return the boundary that an entry states; raise LedgerBroken unless it names an earlier entry."""
        body = dict(placed.entry.body)
        seq, texts = body.get("seq"), (body.get("hash"), body.get("signature") or "")
        well_formed = type(seq) is int and are_texts(texts)
        if set(body) != set(cls._fields) or not well_formed or not 0 < body["seq"] < placed.entry.seq:
            raise LedgerBroken(placed.place, "the entry says of no entries that they were archived")
        return cls(**body)


@dataclasses.dataclass(frozen=True, slots=True)
class Verification:
    """The result of a verification that found no fault."""

    entries: int
    """The number of entries."""
    head: Head
    """The head of the ledger."""
    went_back: int = 0
    """The number of entries whose time is before that of their predecessor, which a wrong clock causes."""
    new: int = 0
    """The number of entries that were read: those after a checkpoint, if there is one."""
    archived: int = 0
    """The number of entries before the first one that is here."""


class Total(NamedTuple):
    """The sum over the entries of a kind that have the same values under some keys."""

    kind: str
    values: tuple[Any, ...]
    """The values that the entries share."""
    entries: int
    """The number of entries."""
    counted: int
    """The number of uses or subjects that the entries count. Other entries count once each."""
    first: str
    """The earliest time: the hour in which uses were counted, or a moment."""
    last: str
    """The latest time, as `first`."""

    def with_(self, other: Total) -> Total:
        """Return the sum of two totals."""
        first, last = min(self.first, other.first), max(self.last, other.last)
        return Total(self.kind, self.values, self.entries + other.entries, self.counted + other.counted, first, last)


class LedgerSnapshot(abc.ABC):
    """A snapshot of a ledger: it holds nothing that is written later.

    Methods raise LedgerBroken if an entry or the head is malformed, and StoreUnavailable if the ledger is unreadable.
    """

    @property
    def connection(self) -> sa.Connection | None:
        """The connection to the store; None for an export."""
        return None

    @property
    @abc.abstractmethod
    def head(self) -> Head:
        """The head."""

    @property
    @abc.abstractmethod
    def start(self) -> Head:
        """The number and hash of the entry before the first one, which was archived; an empty head if none was."""

    @property
    def boundary(self) -> Boundary | None:
        """The content of the last entry of kind `archive`; None if there is none."""
        last = collections.deque(self.iter_placed({ARCHIVE}), 1)
        return Boundary.of(last[0]) if last else None

    @property
    def parts(self) -> Sequence[LedgerSnapshot]:
        """Those of which it consists, the oldest first."""
        return (self,)

    @abc.abstractmethod
    def iter_placed(
        self, kinds: Kinds = None, since: Time = None, until: Time = None, *, after: int = 0
    ) -> Iterator[PlacedEntry]:
        """Return the entries of these kinds and this period, behind entry `after`, oldest first, with their places."""

    def entries(
        self,
        kinds: Collection[str] | None = None,
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
    ) -> Iterator[Entry]:
        """Return the entries of these kinds and this period (`until` excluded), oldest first, not verified."""
        _ = self.head  # raises if it is malformed
        first = None if since is None else format_moment(since)
        end = None if until is None else format_moment(until)
        return map(operator.itemgetter(1), self.iter_placed(kinds, first, end))

    def misdated(self, since: datetime.datetime | None = None, until: datetime.datetime | None = None) -> int:
        """Count the entries between the first and the last entry of this period that have a time outside it."""
        first = "" if since is None else format_moment(since)
        end = None if until is None else format_moment(until)
        is_inside = count = between = 0
        for _, entry in self.iter_placed() if first or end else ():
            if entry.at >= first and (end is None or entry.at < end):
                is_inside, count, between = 1, count + between, 0
            else:
                between += is_inside
        return count

    def denials(
        self, since: datetime.datetime | None = None, until: datetime.datetime | None = None
    ) -> Iterator[tuple[Mapping[str, Any], int, str]]:
        """Yield the denials of this period: body, count and time.

        The time is a minute, or for repeated denials the hour in which they were repeated.
        """
        for entry in self.entries({DENIAL}, since, until):
            yield entry.body, entry.body.get("count", 1), entry.body.get("hour", f"{entry.at[:16]}Z")
        first = "" if since is None else format_moment(since)[:16]
        for text, count in self.head.repeated.items():
            body = json.loads(text)
            if body["hour"] >= first and (until is None or body["hour"] < format_moment(until)):
                yield body, count, body["hour"]

    def uses(
        self, since: datetime.datetime | None = None, until: datetime.datetime | None = None
    ) -> collections.Counter[Hour]:
        """Return the counts of the hours that begin in this period, open hours included."""
        counts = collections.Counter(self.head.open)
        for place, entry in self.iter_placed({USE}):  # the time of an entry does not tell the hour that it counts
            key, count = parse_hour_count(entry.body, place)
            counts[key] += count
        first = "" if since is None else format_moment(since)[:16]
        end = None if until is None else format_moment(until)
        for key in list(counts):
            is_after = end is not None and key.hour >= end
            if key.hour < first or is_after:
                del counts[key]
        return counts

    def totals(
        self, keys: Mapping[str, Sequence[str]], told: Callable[[int], object] = lambda _: None
    ) -> tuple[Total, ...]:
        """Add up the entries of these kinds, and the counts of open hours, by the keys of their kind.

        The entries are not verified. `told` is called with the number of further entries that were read.
        """
        return sum_totals(self._totals(keys, told))

    def _totals(self, keys: Mapping[str, Sequence[str]], told: Callable[[int], object]) -> Iterator[Total]:
        """Yield the parts of `totals`."""
        if USE in keys:
            for hour, count in self.head.open.items():
                yield _make_total(USE, hour.body(count), keys[USE], hour.hour)._replace(entries=0)
        for body, count in self.head.repeated.items() if DENIAL in keys else ():
            denial = json.loads(body)
            yield _make_total(DENIAL, {**denial, "count": count}, keys[DENIAL], denial["hour"])._replace(entries=0)
        yield from self._total_written(keys, told)

    def _total_written(self, keys: Mapping[str, Sequence[str]], told: Callable[[int], object]) -> Iterator[Total]:
        """Yield the totals of the entries that are written."""
        for place, entry in self.iter_placed(list(keys)):
            if entry.kind == USE:
                parse_hour_count(entry.body, place)
            yield _make_total(entry.kind, entry.body, keys[entry.kind], entry.at)
            told(1)

    def iter_verified(self, start: Head | None = None) -> Iterator[Entry]:
        """Yield all entries, each after it was verified, then verify the head. Raise LedgerBroken at the first fault.

        With `start`, only the entries after that one.
        """
        chain = ChainVerifier(start or self.start)
        for part in self.parts:
            if part is not self.parts[-1] and part.head.seq < chain.last.seq:
                continue
            boundary = None if part.connection is None else part.boundary
            for placed in part.iter_placed(after=chain.last.seq):
                entry = chain.follow(placed)
                yield entry
                if boundary is not None and entry.seq == boundary.seq and entry.hash != boundary.hash:
                    raise LedgerBroken(placed.place, "another entry was archived than stands here")
            chain.end(part.head)

    def verify(self, expect: str | None = None, start: Head | None = None) -> Verification:
        """Verify the ledger. Raise LedgerBroken also if no entry has the hash `expect`, noted earlier.

        With `start`, verify only the entries after that one.
        """
        met = expect is None
        new, went_back, before = 0, 0, ""
        for entry in self.iter_verified(start):
            met = met or entry.hash == expect
            new, went_back, before = new + 1, went_back + (entry.at < before), entry.at
        if not met:
            fault = "no entry has the hash that was noted: all that follows some entry was written anew since"
            raise LedgerBroken("ledger", f"{fault}, or it was archived" if self.start.seq else fault)
        return Verification(self.head.seq, self.head, went_back, new, self.start.seq)


class JoinedLedger(LedgerSnapshot):
    """Archives and the ledger that they were taken from, read as one ledger; each part continues the one before."""

    def __init__(self, parts: Sequence[LedgerSnapshot]) -> None:
        self._parts = sorted(parts, key=lambda part: (part.connection is not None, part.head.seq))

    @property
    def parts(self) -> Sequence[LedgerSnapshot]:
        """Those of which it consists, the oldest first."""
        return self._parts

    @property
    def connection(self) -> sa.Connection | None:
        """The connection to the store; None if there is none among the parts."""
        return self._parts[-1].connection

    @property
    def head(self) -> Head:
        """The head of the last part."""
        return self._parts[-1].head

    @property
    def start(self) -> Head:
        """The start of the first part."""
        return self._parts[0].start

    @property
    def boundary(self) -> Boundary | None:
        """The boundary of the last part."""
        return self._parts[-1].boundary

    def iter_placed(
        self, kinds: Kinds = None, since: Time = None, until: Time = None, *, after: int = 0
    ) -> Iterator[PlacedEntry]:
        """Yield the entries of one part after the other. Entries that are in several parts come once."""
        for part in self._parts:
            yield from part.iter_placed(kinds, since, until, after=after)
            after = max(after, part.head.seq)


def parse_hour_count(body: Body, place: str) -> tuple[Hour, int]:
    """Return the key and count of an entry of uses; raise LedgerBroken if it counts none."""
    try:
        return Hour.of(body)
    except ValueError as error:
        raise LedgerBroken(place, NO_COUNT) from error


def _make_total(kind: str, body: Body, keys: Sequence[str], at: str) -> Total:
    time = str(body.get("hour", at)) if kind == USE else at
    return Total(kind, to_comparable(list(map(body.get, keys))), 1, body.get("count", 1), time, time)


def to_comparable(values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the values of a body in a form that can be compared: lists as tuples."""
    return tuple(map(_to_comparable_value, values))


def _to_comparable_value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def sum_totals(totals: Iterable[Total]) -> tuple[Total, ...]:
    """Return one total for each kind and values."""
    totals_by_key: dict[tuple[str, tuple[Any, ...]], Total] = {}
    for total in totals:
        key = total.kind, total.values
        totals_by_key[key] = totals_by_key[key].with_(total) if key in totals_by_key else total
    return tuple(totals_by_key.values())


def parse_entry(line: bytes, place: str) -> Entry:
    """Return the entry on a line; raise LedgerBroken unless the line is its canonical spelling, byte for byte."""
    try:
        entry = _make_entry(json.loads(line.decode()))
        if entry is not None and entry.line == line:
            return entry
    except (ValueError, TypeError, RecursionError):
        pass
    raise LedgerBroken(place, NO_ENTRY)


def parse_row(row: tuple[Any, ...], place: str) -> Entry:
    """Return the entry in a row `seq, at, kind, body, prev, hash`; raise LedgerBroken unless the body is canonical."""
    seq, at, kind, body, prev, hash_ = row
    try:
        data = {"seq": seq, "at": at, "kind": kind, "body": json.loads(body), "prev": prev, "hash": hash_}
        entry = _make_entry(data)
        if entry is not None and entry.body_text == body:
            return entry
    except (ValueError, TypeError, RecursionError):
        pass
    raise LedgerBroken(place, NO_ENTRY)


def _make_entry(data: Any) -> Entry | None:
    """Return the entry with these values; None if a key is missing or a type is wrong."""
    if not isinstance(data, dict) or sorted(data) != list(ENTRY_KEYS):
        return None
    texts = data["at"], data["hash"], data["kind"], data["prev"]
    return Entry(**data) if are_texts(texts) and type(data["seq"]) is int and isinstance(data["body"], dict) else None


ARCHIVED: Final = sa.select(ledger).where(ledger.c.kind == ARCHIVE).order_by(ledger.c.seq.desc()).limit(1)


def read_boundary(connection: sa.Connection) -> Boundary | None:
    """Return what the last entry of kind `archive` in a store says; raise LedgerBroken if it is malformed."""
    row = connection.execute(ARCHIVED).one_or_none()
    return (
        None if row is None else Boundary.of(PlacedEntry(f"entry {row.seq}", parse_row(tuple(row), f"entry {row.seq}")))
    )


class ChainVerifier:
    """A verifier that follows the chain entry by entry, from the first entry or from a given head on."""

    def __init__(self, last: Head | None = None) -> None:
        self.last = last or Head()

    def follow(self, placed: PlacedEntry) -> Entry:
        """Verify the next entry, and return it; raise LedgerBroken if it does not follow."""
        place, entry = placed
        expected = self.last.seq + 1
        if hash_entry(entry.seq, entry.at, entry.kind, entry.body_text, entry.prev) != entry.hash:
            raise LedgerBroken(place, "the entry was changed: it does not have its hash")
        if entry.seq < expected:
            raise LedgerBroken(place, f"out of order: entry {entry.seq} stands where entry {expected} belongs")
        if entry.seq > expected:
            raise LedgerBroken(
                place, f"entry {_format_span(expected, entry.seq - 1)} missing: entry {entry.seq} comes next"
            )
        if entry.prev != self.last.hash:
            raise LedgerBroken(place, "the entry does not follow the one before it: one of the two was replaced")
        self.last = Head(entry.seq, entry.at, entry.hash)
        return entry

    def end(self, head: Head) -> None:
        """Verify that the entries end at the head, or raise LedgerBroken."""
        last = self.last
        if last.seq < head.seq:
            span = _format_span(last.seq + 1, head.seq)
            fault = f"entry {span} missing at the end: the head says that there are {head.seq}"
            raise LedgerBroken(f"entry {last.seq + 1}", fault)
        if last.seq > head.seq:
            raise LedgerBroken("head", f"the head says that there are {head.seq} entries, and there are {last.seq}")
        if last.hash != head.hash:
            raise LedgerBroken("head", "the head is not that of the last entry")


def make_missing_error(first: int, last: int) -> LedgerBroken:
    """Return the error for entries that are missing before the next one."""
    return LedgerBroken(f"entry {first}", f"entry {_format_span(first, last)} missing: entry {last + 1} comes next")


def _format_span(first: int, last: int) -> str:
    return f"{first} is" if first == last else f"{first} to {last} are"
