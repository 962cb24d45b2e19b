"""The ledger in a JSON Lines file: one entry a line, and beside it a head that says where the file ends."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from purposeguard.errors import LedgerBroken
from purposeguard.governance.ledger.chain import Body, Counts, Entry, Head, advanced
from purposeguard.governance.ledger.counting import INTERVAL
from purposeguard.governance.ledger.files import (
    append_through,
    locked,
    must_have_locks,
    note_names,
    replace,
    write_through,
)
from purposeguard.governance.ledger.kept import Kept
from purposeguard.governance.ledger.recorder import entry_made
from purposeguard.governance.ledger.snapshots import (
    HEAD,
    Snapshot,
    beside,
    caught_up,
    head_beside,
    must_end_at,
    telling,
)
from purposeguard.governance.ledger.turns import Turn
from purposeguard.runtime.clock import Clock, Now

TORN: Final = ".torn"
"""How the file is called that holds what was set aside, behind the ledger's name."""


class JsonLinesLedger(Kept):
    """A ledger in a file; any number of processes on one machine write one chain.

    Beside the file lie `….head`, which says where it ends, and holds the counts of hours that are not over, and
    perhaps `….torn`, with what a write that was cut short has left. `digest` makes the names of subjects, `timeout` is
    how many seconds one process waits for another at most; `interval`: between two writes of counts. `clock` gives the
    time, for tests.

    Raises:
        RuntimeError: the platform has no file locks.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        digest: Callable[[str], str] | None = None,
        timeout: float = 5.0,
        interval: float = INTERVAL,
        clock: Now | Clock | None = None,
    ) -> None:
        must_have_locks()
        super().__init__(interval=interval, clock=clock, digest=digest)
        self.path = Path(path).absolute()
        self._timeout = timeout
        self._turn = Turn()

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        """Records one entry, and what was counted meanwhile; raises as `Recorder.append`."""
        made = entry_made(kind, body)
        with self._counters.taking() as counts:
            self._write([made], counts)

    def add(self, counts: Counts, last: bool = False) -> None:
        """Puts counts on record; raises as `append` does."""
        self._write([], counts, last)

    def _write(self, additions: Sequence[tuple[str, Body]], counts: Counts | None = None, last: bool = False) -> None:
        with self._turn, telling(self.path, "written"), self._opened() as file:
            before, found = self._settled(file)
            entries, after = advanced(before, self._now(), (*found, *additions), counts, close=last)
            if after != before:
                self._put(file, before, entries, after)

    def _opened(self) -> contextlib.AbstractContextManager[int]:
        """The file, locked; made where neither it nor its head is there."""
        head = beside(self.path, HEAD)
        flags = os.O_RDWR | os.O_APPEND
        return locked(self.path, lambda: flags if head.exists() else flags | os.O_CREAT, self._timeout)

    def _put(self, file: int, before: Head, entries: Sequence[Entry], after: Head) -> None:
        """Writes the entries, and then the head; where either fails, the file is as it was before."""
        data = b"".join(entry.line for entry in entries)
        after = dataclasses.replace(after, bytes=before.bytes + len(data))
        try:
            if data:
                write_through(file, data)
            replace(beside(self.path, HEAD), f"{after.text}\n".encode(), file)
        except OSError:
            with contextlib.suppress(OSError):  # what is left is found by the next write
                os.ftruncate(file, before.bytes)
            raise
        note_names(self.path.parent)

    # ---- after a crash ----------------------------------------------------------------------------------------------

    def _settled(self, file: int) -> tuple[Head, Sequence[tuple[str, Body]]]:
        """The head, once what lies behind it has been looked at; and an entry that tells of it, if there is need.

        A process may have been killed between writing entries and writing the head, or in the middle of a line. Whole
        entries count. What else is there nobody was told of: it is put aside.
        """
        size = os.fstat(file).st_size
        head = head_beside(self.path)
        if head is None and size:
            raise LedgerBroken("head", "the head is missing: nothing says any more where the entries end")
        if head is None:
            # Before the first entry: a file without a head is broken.
            head = Head()
            replace(beside(self.path, HEAD), f"{head.text}\n".encode(), file)
            note_names(self.path.parent)
        if size < head.bytes:
            what = f"the file ends here, and the head says that it has {head.bytes} bytes: its end was cut off"
            raise LedgerBroken(f"byte {size + 1}", what)
        if size == head.bytes:
            return head, []
        with os.fdopen(os.dup(file), "rb") as lines:
            must_end_at(lines, head)  # else what is put aside would be whole entries
            head = caught_up(lines, head)
            lines.seek(head.bytes)
            rest = lines.read()
        if not rest:
            return head, []
        append_through(beside(self.path, TORN), rest + b"\n")
        os.ftruncate(file, head.bytes)
        note_names(self.path.parent)
        found = {
            "bytes": len(rest),
            "sha256": hashlib.sha256(rest).hexdigest(),
            "kept_in": beside(self.path, TORN).name,
        }
        return head, [("recovery", found)]

    # ---- reading ----------------------------------------------------------------------------------------------------

    def reading(self) -> contextlib.AbstractContextManager[Snapshot]:
        """The ledger as it is now; empty where nothing was written yet."""
        nothing = not self.path.exists() and not beside(self.path, HEAD).exists()
        return contextlib.nullcontext(Snapshot(self.path, Head()) if nothing else Snapshot.of(self.path, self._timeout))
