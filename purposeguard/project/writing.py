"""Writing files atomically."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replace_file(path: Path, *, private: bool = False) -> Generator[BinaryIO]:
    """Return a context manager with a new file that replaces `path` atomically when the block ends.

    A reader sees the old content or the new, never a part. If an error is raised, the old file is unchanged.

    Args:
        path: The file.
        private: If True, only its owner may read it.

    Raises:
        OSError: The file cannot be written.
    """
    target = path.resolve()
    draft = target.parent / f".{target.name}.{os.getpid()}.new"
    if target.exists() and not target.is_file():
        # A device or a pipe is written to and cannot be replaced. A directory raises.
        with target.open("wb") as file:
            yield file
        return
    try:
        with open(draft, "wb", opener=_open_for_owner if private else None) as file:
            yield file
        if target.exists() and not private:
            shutil.copymode(target, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _open_for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
