"""A ledger exported as JSON Lines: one entry a line, and last the head. The copy is verified by itself."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from purposeguard.errors import LedgerBroken, StoreUnavailable
from purposeguard.governance.ledger.chain import MALFORMED_HEAD, Head
from purposeguard.governance.ledger.reading import LONGEST, NO_HEAD, Placed, Reading, entry_of

HEAD: Final = b'{"head":'
"""What the last line of an export begins with."""


def exported(ledger: Reading) -> Generator[bytes]:
    """The lines of the export of a ledger, which is verified meanwhile; raises LedgerBroken at the first fault."""
    length = 0
    for entry in ledger.verified():
        length += len(entry.line)
        yield entry.line
    yield _closing_line(dataclasses.replace(ledger.head, bytes=length))


def _closing_line(head: Head) -> bytes:
    return HEAD + f"{head.text}}}\n".encode()


class Export(Reading):
    """The ledger in an exported file."""

    def __init__(self, path: Path) -> None:
        """Reads the last line.

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
        if self._last != _closing_line(head):
            raise LedgerBroken("head", "the head is not spelled as it was written")
        if head.bytes + len(self._last) != self._size:
            what = f"the head says that {head.bytes} bytes of entries come before it, which they do not"
            raise LedgerBroken("head", what)
        return head

    def placed(
        self,
        kinds: Collection[str] | None = None,
        since: str | None = None,
        until: str | None = None,
        *,
        after: int = 0,
    ) -> Iterator[Placed]:
        """The entries, with their lines."""
        with self._lines() as lines:
            number = 0
            while (line := lines.readline(LONGEST)) and not line.startswith(HEAD):
                number += 1
                if number <= after:
                    continue
                entry = entry_of(line, f"line {number}")
                if (
                    (kinds is None or entry.kind in kinds)
                    and (since is None or entry.at >= since)
                    and (until is None or entry.at < until)
                ):
                    yield Placed(f"line {number}", entry)

    @contextlib.contextmanager
    def _lines(self) -> Generator[BinaryIO]:
        try:
            with self._path.open("rb") as lines:
                yield lines
        except OSError as error:
            failure = StoreUnavailable(f"the ledger `{self._path}` cannot be read: {error.strerror or error}")
        else:
            return
        raise failure
