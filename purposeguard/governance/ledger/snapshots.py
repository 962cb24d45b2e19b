"""A ledger in a file, as it is at a moment: nothing that is written meanwhile is in it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from purposeguard.errors import LedgerBroken, StoreUnavailable
from purposeguard.governance.ledger.chain import USE, Entry, Head, Hour
from purposeguard.governance.ledger.files import locked
from purposeguard.governance.ledger.reading import LONGEST, Chain, Placed, Reading, entry_of

HEAD: Final = ".head"
"""How the file of a ledger's head is called, behind the ledger's name."""


def beside(path: Path, ending: str) -> Path:
    """A file that belongs to a ledger."""
    return path.with_name(path.name + ending)


@contextlib.contextmanager
def telling(path: Path, what: str) -> Generator[None]:
    """Whatever is wrong with a file, or its disk, is a StoreUnavailable."""
    try:
        yield
    except OSError as error:
        failure = StoreUnavailable(f"the ledger `{path}` cannot be {what}: {error.strerror or error}")
    else:
        return
    raise failure


class Snapshot(Reading):
    """What the file at `path` holds: entries up to its head, and bytes behind them, of a write that was cut short.

    `fault` is what is wrong with the head, where entries can be read all the same.
    """

    def __init__(self, path: Path, head: Head, unfinished: int = 0, fault: LedgerBroken | None = None) -> None:
        self.path = path
        self.fault = fault
        self._head = head
        self._unfinished = unfinished

    @classmethod
    def of(cls, path: Path, timeout: float) -> Snapshot:
        """The ledger in a file.

        Raises:
            LedgerBroken: it has no head, or one that was changed.
            StoreUnavailable: it cannot be read.
        """
        with telling(path, "read"), locked(path, lambda: os.O_RDONLY, timeout, shared=True) as file:
            size = os.fstat(file).st_size
            head = head_beside(path)
            with os.fdopen(os.dup(file), "rb") as lines:
                if head is None:
                    return cls._without_head(path, lines, size)
                if size <= head.bytes:
                    return cls(path, head)
                try:
                    head = caught_up(lines, head)
                except LedgerBroken as error:
                    return cls(path, Head(bytes=size), fault=error)
                return cls(path, head, size - head.bytes)

    @classmethod
    def _without_head(cls, path: Path, lines: BinaryIO, size: int) -> Snapshot:
        """An export, whose last line is its head; or nothing yet, where whoever began it was killed at once."""
        try:
            return cls(path, _last_line(lines, size) if size else Head())
        except LedgerBroken as error:
            return cls(path, Head(bytes=size), fault=error)

    @property
    def head(self) -> Head:
        """Where it ends."""
        if self.fault is not None:
            raise self.fault
        return self._head

    @property
    def unfinished(self) -> int:
        """Bytes behind the last entry."""
        return self._unfinished

    def placed(
        self, kinds: Collection[str] | None = None, since: str | None = None, until: str | None = None
    ) -> Iterator[Placed]:
        """The entries, each with its line."""
        if not self._head.bytes:
            return  # perhaps there is no file yet
        with telling(self.path, "read"), self.path.open("rb") as lines:
            left, number = self._head.bytes, 0
            while left and (line := lines.readline(min(left, LONGEST))):
                number += 1
                left -= len(line)
                entry = entry_of(line, f"line {number}")
                if (
                    (kinds is None or entry.kind in kinds)
                    and (since is None or entry.at >= since)
                    and (until is None or entry.at < until)
                ):
                    yield Placed(f"line {number}", entry)


def head_beside(path: Path) -> Head | None:
    """The head of the ledger in a file; None where it has none.

    Raises:
        LedgerBroken: it is not as it was written.
    """
    try:
        text = beside(path, HEAD).read_bytes()
    except FileNotFoundError:
        return None
    return _head_of(text, text)


def _head_of(text: bytes, whole: bytes) -> Head:
    try:
        data = json.loads(text.decode())
        head = Head.of(data if isinstance(data, dict) else {})
    except (ValueError, RecursionError) as error:
        what = str(error) if type(error) is ValueError else "this is no head: it was changed, or was never one"
        raise LedgerBroken("head", what) from None
    if whole not in (f"{head.text}\n".encode(), closing_line(head)):
        raise LedgerBroken("head", "the head is not spelled as it was written")
    return head


def closing_line(head: Head) -> bytes:
    """The last line of an export, which says where it ends."""
    return f'{{"head":{head.text}}}\n'.encode()


def _last_line(lines: BinaryIO, size: int) -> Head:
    """The head that the last line of an export is."""
    lines.seek(max(0, size - LONGEST))
    last = lines.read().removesuffix(b"\n").rpartition(b"\n")[2]
    if not last.startswith(b'{"head":'):
        what = "the head is missing: nothing says any more how many entries there are"
        raise LedgerBroken("head", what)
    head = _head_of(last[len(b'{"head":') : -1], last + b"\n")
    if head.bytes + len(last) + 1 != size:
        raise LedgerBroken(
            "head", f"the head says that {head.bytes} bytes of entries come before it, which they do not"
        )
    return head


def caught_up(lines: BinaryIO, head: Head) -> Head:
    """The head after what lies behind it: entries that were written whole when whoever wrote them was killed.

    Uses among them were counts that the head still holds as open. Ones that were not are of a write that nobody was
    told of, and end it.

    Raises:
        LedgerBroken: entries of a later write lie behind those, so the head is an earlier one, put back in its place.
    """
    still_open, length = dict(head.open), head.bytes
    unheard: Entry | None = None
    for entry in _behind(lines, head):
        if unheard is None and entry.kind == USE and not _taken(still_open, entry.body):
            unheard = entry
        if unheard is None:
            length += len(entry.line)
            head = Head(entry.seq, entry.at, entry.hash, still_open, length)
        elif entry.at != unheard.at or entry.kind not in {USE, "recovery"}:
            raise LedgerBroken("head", "the head is older than the entries behind it: an earlier one was put back")
    return head


def _behind(lines: BinaryIO, head: Head) -> Iterator[Entry]:
    """The entries behind a head, up to where there is none, or not the next one."""
    chain = Chain()
    chain.last = head
    lines.seek(head.bytes)
    while line := lines.readline(LONGEST):
        try:
            entry = chain.follow(Placed("", entry_of(line, "")))
        except LedgerBroken:
            return
        yield entry


def must_end_at(lines: BinaryIO, head: Head) -> None:
    """Raises LedgerBroken where the entry before a head is not the one that it speaks of: it is another ledger's."""
    start = max(0, head.bytes - LONGEST)
    lines.seek(start)
    last = lines.read(head.bytes - start).removesuffix(b"\n").rpartition(b"\n")[2] + b"\n"
    if head.bytes and entry_of(last, "head").hash != head.hash:
        raise LedgerBroken("head", "the head is not that of the entry before it")


def _taken(still_open: dict[Hour, int], body: Any) -> bool:
    """Takes a count that has become an entry out of those that are open, where it is one of them."""
    try:
        key, count = Hour.of(body)
    except ValueError:
        return False
    if still_open.get(key) != count:
        return False
    del still_open[key]
    return True
