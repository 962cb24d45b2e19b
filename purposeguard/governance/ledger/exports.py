"""The export of a ledger as JSON Lines: one entry a line, and the head last. The copy can be verified by itself.

An archive is such a copy of the oldest entries alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import json
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from purposeguard.errors import LedgerBroken, StoreUnavailable
from purposeguard.governance.ledger.chain import MALFORMED_HEAD, Head
from purposeguard.governance.ledger.reading import (
    LONGEST,
    NO_HEAD,
    Kinds,
    LedgerSnapshot,
    PlacedEntry,
    Time,
    parse_entry,
)

HEAD: Final = b'{"head":'
"""The beginning of the last line of an export."""


GZIP: Final = b"\x1f\x8b"
"""The first bytes of a compressed file."""


def export_lines(ledger: LedgerSnapshot, through: int | None = None) -> Generator[bytes]:
    """Yield the lines of the export of a ledger, and verify it meanwhile; raise LedgerBroken at the first fault.

    Entries after number `through` are only verified.
    """
    length, last = 0, Head()
    for entry in ledger.iter_verified():
        if through is None or entry.seq <= through:
            length += len(entry.line)
            yield entry.line
            last = Head(entry.seq, entry.at, entry.hash)
    head = ledger.head if through is None else last
    yield _make_closing_line(dataclasses.replace(head, bytes=length, after=ledger.start.seq))


def _make_closing_line(head: Head) -> bytes:
    return HEAD + f"{head.text}}}\n".encode()


class ExportedLedger(LedgerSnapshot):
    """The ledger in an exported file."""

    def __init__(self, path: Path) -> None:
        """Read the last line.

        Raises:
            LedgerBroken: it is no head, or one that was changed.
            StoreUnavailable: the file is unreadable.
        """
        self._path = path
        with self._lines() as lines:
            self._size = lines.seek(0, 2)
            lines.seek(max(0, self._size - LONGEST))
            self._last = lines.read().removesuffix(b"\n").rpartition(b"\n")[2] + b"\n"

    @property
    def head(self) -> Head:
        """The head."""
        if not self._last.startswith(HEAD):
            raise LedgerBroken("head", NO_HEAD)
        try:
            head = Head.of(json.loads(self._last[len(HEAD) : -2].decode()))
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise LedgerBroken("head", f"{MALFORMED_HEAD}: it was changed, or was never one") from None
        if self._last != _make_closing_line(head):
            raise LedgerBroken("head", "the head is not spelled as it was written")
        if head.bytes + len(self._last) != self._size:
            fault = f"the head says that {head.bytes} bytes of entries come before it, which they do not"
            raise LedgerBroken("head", fault)
        return head

    @property
    def start(self) -> Head:
        """The entry before the first one."""
        _, first = next(self.iter_placed(), ("", None))
        whole = first is None or first.seq <= 1 or self.head.after != first.seq - 1
        return Head() if first is None or whole else Head(first.seq - 1, "", first.prev)

    def iter_placed(
        self, kinds: Kinds = None, since: Time = None, until: Time = None, *, after: int = 0
    ) -> Iterator[PlacedEntry]:
        """Yield the entries with their lines."""
        passed = after - self.head.after if after else 0
        with self._lines() as lines:
            number = 0
            while (line := lines.readline(LONGEST)) and not line.startswith(HEAD):
                number += 1
                if number <= passed:
                    continue
                entry = parse_entry(line, f"line {number}")
                if (
                    (kinds is None or entry.kind in kinds)
                    and (since is None or entry.at >= since)
                    and (until is None or entry.at < until)
                ):
                    yield PlacedEntry(f"line {number}", entry)

    @contextlib.contextmanager
    def _lines(self) -> Generator[BinaryIO]:
        try:
            with self._path.open("rb") as file:
                compressed = file.read(len(GZIP)) == GZIP
                file.seek(0)
                yield cast("BinaryIO", gzip.GzipFile(fileobj=file)) if compressed else file
        except (zlib.error, EOFError, gzip.BadGzipFile):
            raise LedgerBroken("ledger", f"`{self._path}` cannot be unpacked: it was changed, or cut off") from None
        except OSError as error:
            failure = StoreUnavailable(f"the ledger `{self._path}` cannot be read: {error.strerror or error}")
        else:
            return
        raise failure
