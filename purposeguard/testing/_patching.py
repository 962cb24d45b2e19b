"""Replacing attributes and restoring them, and the text of a recorded value."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from typing import Any, Final

Lines = tuple[tuple[str, str], ...]
"""(name, text) pairs."""

Parts = Mapping[str, str | bytes]
"""Name → text of an effect; bytes are decoded when complete."""

Tell = Callable[[str, str, Callable[[], Parts]], list[Any]]
"""Records an effect by kind, name and a function that makes its texts; returns the recorded effects, for `grow`."""


class Patches:
    """Replaced attributes; `undo` restores them in reverse order."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def put(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Replaces an attribute by `make(attribute)`."""
        had = name in vars(owner)
        before = getattr(owner, name)
        raw = vars(owner)[name] if had else None
        after = make(before)
        setattr(owner, name, after)

        def restore() -> None:
            if vars(owner).get(name) is not after:
                return  # replaced by other code since, which will restore it
            if had:
                setattr(owner, name, raw)
            else:
                delattr(owner, name)

        self._undo.append(restore)

    def later(self, undo: Callable[[], object]) -> None:
        """Adds a function to call on `undo`."""
        self._undo.append(undo)

    def undo(self) -> None:
        """Restores everything, even if a part fails; then raises the last error."""
        failed: BaseException | None = None
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as error:  # noqa: BLE001  # the rest is restored first; raised below
                failed = error
        if failed is not None:
            raise failed


_quiet: Final[ContextVar[frozenset[str]]] = ContextVar("purposeguard_quiet", default=frozenset())


@contextlib.contextmanager
def quiet(*kinds: str) -> Generator[None]:
    """A block in which this thread or task records no effects of these kinds: the caller has recorded them."""
    token = _quiet.set(_quiet.get() | frozenset(kinds))
    try:
        yield
    finally:
        _quiet.reset(token)


def is_quiet(kind: str) -> bool:
    """True in a `quiet` block of this kind."""
    return kind in _quiet.get()


def text_of(value: object) -> str:
    """The text of a value as its receiver sees it."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = _unzipped(bytes(value))
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode("latin-1")
    if type(value).__repr__ is object.__repr__ and hasattr(value, "__dict__"):
        return f"{value!r} {vars(value)}"  # its repr says nothing
    return repr(value)


def _unzipped(data: bytes) -> bytes:
    """The content of gzip data, whose header holds the time; other bytes unchanged."""
    if not data.startswith(b"\x1f\x8b\x08"):
        return data
    try:
        return zlib.decompressobj(wbits=31).decompress(data)
    except zlib.error:
        return data
