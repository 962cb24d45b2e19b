"""Reading a ledger back: entries as they were written, followed from the first to the last, and where that fails."""

from __future__ import annotations

import abc
import collections
import dataclasses
import datetime
import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final, NamedTuple

from purposeguard.errors import LedgerBroken
from purposeguard.governance.ledger.chain import ENTRY_KEYS, USE, Entry, Head, Hour, hash_of, written

LONGEST: Final = 1 << 24
"""Bytes of a line at most: what is longer is no entry."""


class Placed(NamedTuple):
    """An entry, and where it stands: `line 18` or `entry 18`."""

    place: str
    entry: Entry


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: so many entries, up to this head, and all of them as they were written.

    `unfinished` are bytes behind the last entry, of a write that was cut short; the next write sets them aside. Of the
    entries `went_back` have a time before that of the one before: a clock was wrong, or those of two machines differ.
    """

    entries: int
    head: Head
    unfinished: int = 0
    went_back: int = 0


class Reading(abc.ABC):
    """A ledger as it is at a moment: nothing that is written meanwhile is in it.

    Its methods raise LedgerBroken where an entry, or the head, cannot be read, and StoreUnavailable where none can.
    """

    @property
    @abc.abstractmethod
    def head(self) -> Head:
        """Where it ends."""

    @property
    def unfinished(self) -> int:
        """Bytes behind the last entry."""
        return 0

    @abc.abstractmethod
    def placed(
        self, kinds: Collection[str] | None = None, since: str | None = None, until: str | None = None
    ) -> Iterator[Placed]:
        """The entries of these kinds made in this time, oldest first, each with its place."""

    def entries(
        self,
        kinds: Collection[str] | None = None,
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
    ) -> Iterator[Entry]:
        """The entries of these kinds made in this time (`until` is not in it), oldest first.

        That none is missing, or was changed, is for `verified` to say.
        """
        _ = self.head  # one that cannot be read makes the rest doubtful
        first = None if since is None else written(since)
        end = None if until is None else written(until)
        return (entry for _, entry in self.placed(kinds, first, end))

    def uses(
        self, since: datetime.datetime | None = None, until: datetime.datetime | None = None
    ) -> collections.Counter[Hour]:
        """How often what was used, in the hours that begin in this time; those that are not over are in it."""
        found = collections.Counter(self.head.open)
        first = "" if since is None else written(since)
        for place, entry in self.placed({USE}):  # when it was written says nothing sure of its hour
            try:
                key, count = Hour.of(entry.body)
            except ValueError as error:
                raise LedgerBroken(place, "the entry counts no uses") from error
            found[key] += count
        end = None if until is None else written(until)
        wrong = [key for key in found if key.hour < first[:16] or (end is not None and key.hour >= end)]
        for key in wrong:
            del found[key]
        return found

    def verified(self) -> Iterator[Entry]:
        """All entries, each once it is seen that it is the next one, and as it was written; and then the head.

        Raises:
            LedgerBroken: one is not: which, and what is wrong with it.
        """
        chain = Chain()
        yield from followed(self.placed(), chain)
        chain.end(self.head)

    def verify(self, expect: str | None = None) -> Verdict:
        """Goes through all entries; raises as `verified` does, and where none has the hash that was noted earlier."""
        met = expect is None
        went_back, before = 0, ""
        for entry in self.verified():
            met = met or entry.hash == expect
            went_back += entry.at < before
            before = entry.at
        if not met:
            what = "no entry has the hash that was noted: all that follows some entry was written anew since"
            raise LedgerBroken("ledger", what)
        return Verdict(self.head.seq, self.head, self.unfinished, went_back)


def entry_of(line: bytes, place: str) -> Entry:
    """The entry that a line is.

    Raises:
        LedgerBroken: it is none, byte for byte.
    """
    try:
        data = json.loads(line.decode())
        entry = Entry(**data) if _has_types(data) else None
        expected = entry.line if entry is not None else b""
    except (ValueError, TypeError, RecursionError) as error:
        byte = error.start if isinstance(error, UnicodeDecodeError) else _byte_of(error, line)
        raise LedgerBroken(f"{place}, byte {byte + 1}", "this is no entry: it was changed, or was never one") from None
    if entry is None:
        raise LedgerBroken(place, "this is no entry: it was changed, or was never one")
    if line != expected:
        both = zip(line, expected, strict=False)
        same = next((at for at, (one, other) in enumerate(both) if one != other), min(len(line), len(expected)))
        raise LedgerBroken(f"{place}, byte {same + 1}", "the entry is not spelled as it was written")
    return entry


def _byte_of(error: Exception, line: bytes) -> int:
    if not isinstance(error, json.JSONDecodeError):
        return 0
    return len(line.decode()[: error.pos].encode())


def _has_types(data: Any) -> bool:
    if not isinstance(data, dict) or sorted(data) != list(ENTRY_KEYS):
        return False
    texts = all(isinstance(data[name], str) for name in ("at", "hash", "kind", "prev"))
    return texts and type(data["seq"]) is int and isinstance(data["body"], dict)


def row_of(row: tuple[Any, ...], place: str) -> Entry:
    """The entry that a row of the store is: `seq, at, kind, body, prev, hash`.

    Raises:
        LedgerBroken: it is none, character for character.
    """
    seq, at, kind, body, prev, hash_ = row
    try:
        data = {"seq": seq, "at": at, "kind": kind, "body": json.loads(body), "prev": prev, "hash": hash_}
        entry = Entry(**data) if _has_types(data) else None
        if entry is not None and entry.body_text == body:
            return entry
    except (ValueError, TypeError, RecursionError):
        pass
    raise LedgerBroken(place, "this is no entry: it was changed, or was never one")


class Chain:
    """Follows entries from the first one on."""

    def __init__(self) -> None:
        self.last = Head()

    def follow(self, placed: Placed, following: Placed | None = None) -> Entry:
        """The next entry; `following` is the one behind it, which tells two that were swapped from one that is missing.

        Raises:
            LedgerBroken: it is not the next, or not as it was written.
        """
        place, entry = placed
        expected = self.last.seq + 1
        if hash_of(entry.seq, entry.at, entry.kind, entry.body_text, entry.prev) != entry.hash:
            raise LedgerBroken(place, "the entry was changed: it does not have its hash")
        if entry.seq != expected:
            if entry.seq < expected or (following is not None and following.entry.seq == expected):
                raise LedgerBroken(place, f"out of order: entry {entry.seq} stands where entry {expected} belongs")
            raise LedgerBroken(place, f"entry {_span(expected, entry.seq - 1)} missing: entry {entry.seq} comes next")
        if entry.prev != self.last.hash:
            raise LedgerBroken(place, "the entry does not follow the one before it: one of the two was replaced")
        self.last = Head(entry.seq, entry.at, entry.hash)
        return entry

    def end(self, head: Head) -> None:
        """All entries were followed: they must end where the head says.

        Raises:
            LedgerBroken: they do not.
        """
        last = self.last
        if last.seq < head.seq:
            what = f"entry {_span(last.seq + 1, head.seq)} missing at the end: the head says that there are {head.seq}"
            raise LedgerBroken(f"entry {last.seq + 1}", what)
        if last.seq > head.seq:
            raise LedgerBroken("head", f"the head says that there are {head.seq} entries, and there are {last.seq}")
        if last.hash != head.hash:
            raise LedgerBroken("head", "the head is not that of the last entry")


def _span(first: int, last: int) -> str:
    return f"{first} is" if first == last else f"{first} to {last} are"


def followed(entries: Iterable[Placed], chain: Chain) -> Iterator[Entry]:
    """The entries, each once it is seen that it is the next one, and as it was written.

    Raises:
        LedgerBroken: one is not.
    """
    held: Placed | None = None
    broken: LedgerBroken | None = None
    for placed in _until_broken(entries):
        if isinstance(placed, LedgerBroken):
            broken = placed
            break
        if held is not None:
            yield chain.follow(held, placed)
        held = placed
    if held is not None:
        yield chain.follow(held)
    if broken is not None:
        raise broken


def _until_broken(entries: Iterable[Placed]) -> Iterator[Placed | LedgerBroken]:
    """What cannot be read comes last, so that the entry before it is looked at first."""
    try:
        yield from entries
    except LedgerBroken as error:
        yield error
