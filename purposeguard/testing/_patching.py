"""How effects are watched: attributes that are replaced and put back, and what is shown of a value."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from typing import Any, Final

Lines = tuple[tuple[str, str], ...]
"""Texts, each with what it is."""

Parts = Mapping[str, str | bytes]
"""The texts of an effect; bytes are decoded once all of them are there."""

Tell = Callable[[str, str, Callable[[], Parts]], list[Any]]
"""Records an effect by kind, name and a function that makes its texts; gives what more can be added to (`grow`)."""


class Patches:
    """Attributes that were replaced; `undo` puts them back, the last one first."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def put(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Replaces an attribute by what `make` makes of it."""
        had = name in vars(owner)
        before = getattr(owner, name)
        raw = vars(owner)[name] if had else None
        after = make(before)
        setattr(owner, name, after)

        def restore() -> None:
            if vars(owner).get(name) is not after:
                return  # somebody else has replaced it since, and will put back what was there
            if had:
                setattr(owner, name, raw)
            else:
                delattr(owner, name)

        self._undo.append(restore)

    def later(self, undo: Callable[[], object]) -> None:
        """Adds something else to undo."""
        self._undo.append(undo)

    def undo(self) -> None:
        """Puts everything back, also where one part of it fails; raises what the last failing part raised."""
        failed: BaseException | None = None
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as error:  # noqa: BLE001  # the rest is put back first; raised below
                failed = error
        if failed is not None:
            raise failed


_quiet: Final[ContextVar[frozenset[str]]] = ContextVar("purposeguard_quiet", default=frozenset())


@contextlib.contextmanager
def quiet(*kinds: str) -> Generator[None]:
    """A block in which this thread or task records no effects of these kinds: what stands above has recorded them."""
    token = _quiet.set(_quiet.get() | frozenset(kinds))
    try:
        yield
    finally:
        _quiet.reset(token)


def is_quiet(kind: str) -> bool:
    """True inside such a block."""
    return kind in _quiet.get()


def text_of(value: object) -> str:
    """A value as its receiver sees it."""
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
    """What gzip has packed, which says when it was packed; other bytes as they are."""
    if not data.startswith(b"\x1f\x8b\x08"):
        return data
    try:
        return zlib.decompressobj(wbits=31).decompress(data)
    except zlib.error:
        return data
