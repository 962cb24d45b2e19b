"""The ledger in a JSON Lines file: one entry a line, and beside the file a head that says where it ends.

A write appends its entries, waits for the disk, then replaces the head. A process killed in between leaves bytes behind
the head. The next write counts whole entries among them, and sets the rest aside in `….torn`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from purposeguard.errors import LedgerBroken, StoreUnavailable
from purposeguard.governance.ledger.chain import MALFORMED_HEAD, USE, Body, Counts, Entry, Head, Hour, advanced
from purposeguard.governance.ledger.counting import INTERVAL
from purposeguard.governance.ledger.reading import LONGEST, NO_HEAD, Chain, Placed, Reading, entry_of
from purposeguard.governance.ledger.recorder import ChainedLedger
from purposeguard.runtime.clock import Clock, Now

try:
    import fcntl as _fcntl
except ImportError:  # pragma: no cover  # Windows
    _fcntl = None  # type: ignore[assignment]  # a module, where there is one

fcntl: Final[Any] = _fcntl

HEAD: Final = ".head"
TORN: Final = ".torn"
"""Suffixes of the files beside a ledger: its head, and what was set aside."""

PAUSE: Final = 0.0005
"""Seconds between two attempts to lock a file."""


class JsonLinesLedger(ChainedLedger):
    """A ledger in a file; any number of processes on one machine write one chain.

    Beside the file lie `….head`, with the end of the file and the counts of hours that are not over, and perhaps
    `….torn`. `digest` gives the digest of a subject. `timeout`: seconds to wait for another process at most.
    `interval`: seconds between two writes of counts. `clock` gives the time, for tests.

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
        _must_have_locks()
        super().__init__(interval=interval, clock=clock, digest=digest)
        self.path = Path(path).absolute()
        self._timeout = timeout

    def _write(self, additions: Sequence[tuple[str, Body]], counts: Counts, last: bool = False) -> None:
        head_path = beside(self.path, HEAD)
        flags = os.O_RDWR | os.O_APPEND

        def open_flags() -> int:  # a file that is missing while its head exists was taken away, and is not made anew
            return flags if head_path.exists() else flags | os.O_CREAT

        with _fault(self.path, "written"), _locked(self.path, open_flags, self._timeout) as file:
            head, recovery = self._settled(file)
            entries, after = advanced(head, self._now(), (*recovery, *additions), counts, close=last)
            if after != head:
                self._put(file, head, entries, after)

    def _put(self, file: int, head: Head, entries: Sequence[Entry], after: Head) -> None:
        """Writes the entries, then the head; where either fails, the file is as it was before."""
        data = b"".join(entry.line for entry in entries)
        after = dataclasses.replace(after, bytes=head.bytes + len(data))
        try:
            if data:
                _write_through(file, data)
            _replace(beside(self.path, HEAD), after, file)
        except OSError:
            with contextlib.suppress(OSError):  # the next write sets aside what is left
                os.ftruncate(file, head.bytes)
            raise
        _sync_folder(self.path.parent)

    def _settled(self, file: int) -> tuple[Head, Sequence[tuple[str, Body]]]:
        """The head once the bytes behind it are dealt with, and the entry that reports what was set aside."""
        size = os.fstat(file).st_size
        head = _head_beside(self.path)
        if head is None:
            if size:
                raise LedgerBroken("head", NO_HEAD)
            head = Head()  # on disk before the first entry: a file without a head is broken
            _replace(beside(self.path, HEAD), head, file)
            _sync_folder(self.path.parent)
        if size < head.bytes:
            what = f"the file ends here, and the head says that it has {head.bytes} bytes: its end was cut off"
            raise LedgerBroken(f"byte {size + 1}", what)
        if size == head.bytes:
            return head, []
        with os.fdopen(os.dup(file), "rb") as lines:
            _must_end_at(lines, head)  # else whole entries would be set aside
            head = _caught_up(lines, head)
            lines.seek(head.bytes)
            rest = lines.read()
        if not rest:
            return head, []
        torn = beside(self.path, TORN)
        aside = os.open(torn, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _write_through(aside, rest + b"\n")
        finally:
            os.close(aside)
        os.ftruncate(file, head.bytes)
        _sync_folder(self.path.parent)
        return head, [
            ("recovery", {"bytes": len(rest), "sha256": hashlib.sha256(rest).hexdigest(), "kept_in": torn.name})
        ]

    def reading(self) -> contextlib.AbstractContextManager[Snapshot]:
        """A snapshot of the ledger; empty if nothing was written yet."""
        nothing = not self.path.exists() and not beside(self.path, HEAD).exists()
        return contextlib.nullcontext(Snapshot(self.path, Head()) if nothing else Snapshot.of(self.path, self._timeout))


# ---- Reading --------------------------------------------------------------------------------------------------------


class Snapshot(Reading):
    """The entries in a file up to its head; `unfinished` bytes lie behind them.

    `fault` is the fault of the head, where entries can be read all the same.
    """

    def __init__(self, path: Path, head: Head, unfinished: int = 0, fault: LedgerBroken | None = None) -> None:
        self.path = path
        self.fault = fault
        self.unfinished = unfinished
        self._head = head

    @classmethod
    def of(cls, path: Path, timeout: float) -> Snapshot:
        """The ledger in a file, or in an export, whose last line is its head.

        Raises:
            LedgerBroken: it has no head, or one that was changed.
            StoreUnavailable: it is unreadable.
        """
        with _fault(path, "read"), _locked(path, lambda: os.O_RDONLY, timeout, shared=True) as file:
            size = os.fstat(file).st_size
            head = _head_beside(path)
            with os.fdopen(os.dup(file), "rb") as lines:
                try:
                    if head is None:
                        return cls(path, _last_line(lines, size) if size else Head())
                    if size <= head.bytes:
                        return cls(path, head)
                    head = _caught_up(lines, head)
                except LedgerBroken as error:
                    return cls(path, Head(bytes=size), fault=error)
                return cls(path, head, size - head.bytes)

    @property
    def head(self) -> Head:
        """The head; raises LedgerBroken if it is faulty."""
        if self.fault is not None:
            raise self.fault
        return self._head

    def placed(
        self, kinds: Collection[str] | None = None, since: str | None = None, until: str | None = None
    ) -> Iterator[Placed]:
        """The entries, with their lines."""
        if not self._head.bytes:
            return  # there may be no file yet
        with _fault(self.path, "read"), self.path.open("rb") as lines:
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


def beside(path: Path, suffix: str) -> Path:
    """A file that belongs to a ledger."""
    return path.with_name(path.name + suffix)


def closing_line(head: Head) -> bytes:
    """The last line of an export: its head."""
    return f'{{"head":{head.text}}}\n'.encode()


def _head_beside(path: Path) -> Head | None:
    """The head of the ledger in a file; None if there is none. Raises LedgerBroken if it is malformed."""
    try:
        text = beside(path, HEAD).read_bytes()
    except FileNotFoundError:
        return None
    return _head_of(text, text)


def _head_of(text: bytes, whole: bytes) -> Head:
    try:
        data = json.loads(text.decode())
        head = Head.of(data)
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise LedgerBroken("head", f"{MALFORMED_HEAD}: it was changed, or was never one") from None
    if whole not in (f"{head.text}\n".encode(), closing_line(head)):
        raise LedgerBroken("head", "the head is not spelled as it was written")
    return head


def _last_line(lines: BinaryIO, size: int) -> Head:
    """The head on the last line of an export."""
    lines.seek(max(0, size - LONGEST))
    last = lines.read().removesuffix(b"\n").rpartition(b"\n")[2]
    if not last.startswith(b'{"head":'):
        raise LedgerBroken("head", NO_HEAD)
    head = _head_of(last[len(b'{"head":') : -1], last + b"\n")
    if head.bytes + len(last) + 1 != size:
        what = f"the head says that {head.bytes} bytes of entries come before it, which they do not"
        raise LedgerBroken("head", what)
    return head


def _caught_up(lines: BinaryIO, head: Head) -> Head:
    """The head after the whole entries behind it, of a write that was cut short before it replaced the head.

    A use among them must be an open count of the head; the first that is not ends them: nobody was told of that write.

    Raises:
        LedgerBroken: entries of a later write lie behind those: an earlier head was put back in its place.
    """
    still_open, length = dict(head.open), head.bytes
    unconfirmed: Entry | None = None
    for entry in _behind(lines, head):
        if unconfirmed is None and entry.kind == USE and not _closes(still_open, entry.body):
            unconfirmed = entry
        if unconfirmed is None:
            length += len(entry.line)
            head = Head(entry.seq, entry.at, entry.hash, still_open, length)
        elif entry.at != unconfirmed.at or entry.kind not in {USE, "recovery"}:
            raise LedgerBroken("head", "the head is older than the entries behind it: an earlier one was put back")
    return head


def _behind(lines: BinaryIO, head: Head) -> Iterator[Entry]:
    """The entries behind a head, up to the first line that does not continue the chain."""
    chain = Chain(head)
    lines.seek(head.bytes)
    while line := lines.readline(LONGEST):
        try:
            entry = chain.follow(Placed("", entry_of(line, "")))
        except LedgerBroken:
            return
        yield entry


def _closes(still_open: dict[Hour, int], body: Body) -> bool:
    """Removes the open count that became this entry; False if there is none."""
    try:
        key, count = Hour.of(body)
    except ValueError:
        return False
    return still_open.get(key) == count and bool(still_open.pop(key))


def _must_end_at(lines: BinaryIO, head: Head) -> None:
    """Raises LedgerBroken unless the entry before a head has the hash of the head."""
    start = max(0, head.bytes - LONGEST)
    lines.seek(start)
    last = lines.read(head.bytes - start).removesuffix(b"\n").rpartition(b"\n")[2] + b"\n"
    if head.bytes and entry_of(last, "head").hash != head.hash:
        raise LedgerBroken("head", "the head is not that of the entry before it")


# ---- Files ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _fault(path: Path, action: str) -> Generator[None]:
    """Turns an error of the file system into StoreUnavailable."""
    try:
        yield
    except OSError as error:
        failure = StoreUnavailable(f"the ledger `{path}` cannot be {action}: {error.strerror or error}")
    else:
        return
    raise failure


def _must_have_locks() -> None:
    if fcntl is None:
        raise RuntimeError(
            "a ledger in a file needs file locks (fcntl), which this platform does not have: keep it in a store instead"
        )


@contextlib.contextmanager
def _locked(path: Path, flags: Callable[[], int], timeout: float, *, shared: bool = False) -> Generator[int]:
    """The descriptor of the file at `path`, opened with `flags` and locked; a file that was moved away is not taken.

    Raises:
        StoreUnavailable: another process holds the file for longer than `timeout` seconds.
        OSError: the file cannot be opened.
    """
    _must_have_locks()
    deadline = time.monotonic() + timeout
    while True:
        file = os.open(path, flags() | os.O_CLOEXEC, 0o600)
        try:
            _lock(file, path, deadline, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            try:
                if _is_at(file, path):
                    yield file
                    return
            finally:
                # Explicitly: a child forked meanwhile has the descriptor too, and would keep the lock.
                fcntl.flock(file, fcntl.LOCK_UN)
        finally:
            os.close(file)


def _lock(file: int, path: Path, deadline: float, kind: int) -> None:
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"`{path}` is held by another process, and has been for too long") from None
        else:
            return
        time.sleep(PAUSE)


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _write_through(file: int, data: bytes) -> None:
    """Writes all of `data`, and waits for the disk."""
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
    os.fsync(file)


def _replace(path: Path, head: Head, like: int) -> None:
    """Replaces the file of a head atomically, with the permissions of the file `like`."""
    draft = path.with_name(f"{path.name}.new")  # nobody else writes it: the lock is held
    try:
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(file, stat.S_IMODE(os.fstat(like).st_mode))
            _write_through(file, f"{head.text}\n".encode())
        finally:
            os.close(file)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Waits until the disk has the names of the files in a folder."""
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
