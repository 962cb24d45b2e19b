"""Files that several processes write: locked, written through to the disk, replaced at one stroke."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final

from purposeguard.errors import StoreUnavailable

try:
    import fcntl as _fcntl
except ImportError:  # pragma: no cover  # Windows
    _fcntl = None  # type: ignore[assignment]  # a module, where there is one

fcntl: Final[Any] = _fcntl

PAUSE: Final = 0.0005
"""Seconds between two tries at a lock: shorter than those for which a busy process lets go of it."""


def must_have_locks() -> None:
    """Raises RuntimeError where files cannot be locked."""
    if fcntl is None:
        raise RuntimeError(
            "a ledger in a file needs file locks (fcntl), which this platform does not have: keep it in a store instead"
        )


@contextlib.contextmanager
def locked(path: Path, flags: Callable[[], int], timeout: float, *, shared: bool = False) -> Generator[int]:
    """The file at `path`, opened and locked: a file descriptor. One that was moved away meanwhile is not taken.

    `flags` are those to open it with, asked for again at each try.

    Raises:
        StoreUnavailable: another process holds it for longer than `timeout` seconds.
        OSError: it cannot be opened.
    """
    must_have_locks()
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
                # By hand: a child forked meanwhile has the file open as well, and would keep the lock.
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
    opened = os.fstat(file)
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return (opened.st_dev, opened.st_ino) == (found.st_dev, found.st_ino)


def write_through(file: int, data: bytes) -> None:
    """Writes all of `data` at the end of a file, and waits for the disk."""
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
    os.fsync(file)


def append_through(path: Path, data: bytes) -> None:
    """Writes `data` at the end of the file at `path`, which is made where there is none."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        write_through(file, data)
    finally:
        os.close(file)


def replace(path: Path, data: bytes, like: int) -> None:
    """Puts a file with this content at `path`, at one stroke, with the permissions of the file `like`.

    Raises:
        OSError: it cannot be; what was there before still is.
    """
    draft = path.with_name(f"{path.name}.new")  # one at a time: whoever writes it holds the lock
    try:
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(file, stat.S_IMODE(os.fstat(like).st_mode))
            write_through(file, data)
        finally:
            os.close(file)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def note_names(folder: Path) -> None:
    """Waits until the disk has the names of the files in a folder, as they are now."""
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
