"""File descriptors of which it is known what is written to them: files, standard streams, the input of processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from purposeguard.testing._patching import Patches

Write = Callable[[bytes], None]
"""Told what is written to a descriptor."""


class Descriptors:
    """What `os.write` and its likes write, told to whoever knows the descriptor."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[object, Write]] = {}

    def know(self, descriptor: int, write: Write) -> None:
        """Has what is written to a descriptor told; until it is closed, and something else has its number."""
        self._known[descriptor] = (_identity(descriptor), write)

    def forget(self, descriptor: int) -> Write | None:
        """Has it told no more; gives who was told."""
        identity, write = self._known.pop(descriptor, (None, None))
        return write if identity is not None and identity == _identity(descriptor) else None

    def watch(self, patches: Patches) -> None:
        """Watches what `os` writes to a descriptor."""
        for name in ("write", "pwrite", "writev"):
            if hasattr(os, name):
                patches.put(os, name, self._written)
        patches.put(os, "close", self._closed)

    def _written(self, original: Any) -> Any:
        def wrapper(descriptor: int, data: Any, /, *more: Any) -> Any:
            written = original(descriptor, data, *more)
            identity, write = self._known.get(descriptor, (None, None))
            if write is not None and identity == _identity(descriptor):
                whole = b"".join(map(bytes, data)) if isinstance(data, (list, tuple)) else bytes(data)
                write(whole[:written])
            return written

        return wrapper

    def _closed(self, original: Any) -> Any:
        def wrapper(fd: int) -> None:
            self._known.pop(fd, None)
            original(fd)

        return wrapper


def _identity(descriptor: int) -> object:
    """What a descriptor stands for just now; None of one that is closed."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


STDOUT: Final = 1
STDERR: Final = 2
