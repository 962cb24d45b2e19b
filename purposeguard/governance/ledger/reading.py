"""Reading a ledger back: entries as they were written, followed from the first to the last, and where that fails."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from purposeguard.errors import LedgerBroken
from purposeguard.governance.ledger.chain import ENTRY_KEYS, Entry, Head, canonical, hash_of

LONGEST: Final = 1 << 24
"""Bytes of a line at most: what is longer is no entry."""


class Placed(NamedTuple):
    """An entry, and where it stands: `line 18` or `entry 18`."""

    place: str
    entry: Entry


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: so many entries, up to this head, and all of them as they were written.

    `unfinished` are bytes behind the last entry, of a write that was cut short; the next write sets them aside.
    """

    entries: int
    head: Head
    unfinished: int = 0


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


def row_of(row: tuple[Any, ...]) -> Entry:
    """The entry that a row of the store is: `seq, at, kind, body, prev, hash`.

    Raises:
        LedgerBroken: it is none, character for character.
    """
    seq, at, kind, body, prev, hash_ = row
    place = f"entry {seq if isinstance(seq, int) else '?'}"
    try:
        data = {"seq": seq, "at": at, "kind": kind, "body": json.loads(body), "prev": prev, "hash": hash_}
        if _has_types(data) and canonical(data["body"]) == body:
            return Entry(**data)
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
        if hash_of(entry.seq, entry.at, entry.kind, canonical(entry.body), entry.prev) != entry.hash:
            raise LedgerBroken(place, "the entry was changed: it does not have its hash")
        if entry.seq != expected:
            if entry.seq < expected or (following is not None and following.entry.seq == expected):
                raise LedgerBroken(place, f"out of order: entry {entry.seq} stands where entry {expected} belongs")
            raise LedgerBroken(place, f"entry {_span(expected, entry.seq - 1)} missing: entry {entry.seq} comes next")
        if entry.prev != self.last.hash:
            raise LedgerBroken(place, "the entry does not follow the one before it: one of the two was replaced")
        if entry.at < self.last.at:
            raise LedgerBroken(place, "the entry is older than the one before it")
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
        if last.hash != head.hash or last.at > head.at:
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
