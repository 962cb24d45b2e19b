"""A ledger in a file, as it is at a moment: nothing that is written meanwhile is in it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from purposeguard.errors import LedgerBroken, StoreUnavailable
from purposeguard.governance.ledger.chain import USE, Head, Hour
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
                lines.seek(head.bytes)
                head = caught_up(lines, head)
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

    `lines` is to be read from the head on. Uses among them were counts that the head still holds as open.
    """
    chain = Chain()
    chain.last = head
    still_open, length = dict(head.open), head.bytes
    with contextlib.suppress(LedgerBroken):  # from there on it is no entry, or not the next one
        while line := lines.readline(LONGEST):
            entry = chain.follow(Placed("", entry_of(line, "")))
            if entry.kind == USE:
                _take(still_open, entry.body)
            length += len(line)
            head = Head(entry.seq, entry.at, entry.hash, still_open, length)
    return head


def _take(still_open: dict[Hour, int], body: Any) -> None:
    """Takes a count that has become an entry out of those that are open."""
    try:
        key, count = Hour.of(body)
    except ValueError:
        key, count = None, 0
    if key is None or still_open.get(key) != count:
        raise LedgerBroken("", "no open count")
    del still_open[key]
