"""How the parts of `effects` watch: names that are replaced, and put back."""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from typing import Any, Final

Lines = tuple[tuple[str, str], ...]
"""Texts, each with what it is."""


Parts = Mapping[str, str | bytes]
"""What makes the texts of an effect: bytes are read as a whole, once all of them are there."""

Tell = Callable[[str, str, Callable[[], Parts]], list[Any]]
"""Told of an effect by its kind, its name and what makes its texts; gives what can be added to (`grow`)."""


class Patches:
    """Names that were replaced; `undo` puts back what was there, the last one first."""

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
                return  # somebody has replaced it since, and knows what to put back
            if had:
                setattr(owner, name, raw)
            else:
                delattr(owner, name)

        self._undo.append(restore)

    def later(self, undo: Callable[[], object]) -> None:
        """Something else that is to be undone."""
        self._undo.append(undo)

    def undo(self) -> None:
        """Puts everything back, also where one of them fails; raises what the last failing one raised."""
        failed: BaseException | None = None
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as error:  # noqa: BLE001  # the others are put back first; raised below
                failed = error
        if failed is not None:
            raise failed


_quiet: Final = threading.local()
_quiet_task: Final[ContextVar[bool]] = ContextVar("purposeguard_told_above", default=False)


@contextlib.contextmanager
def told_above() -> Generator[None]:
    """What a library does below, in this thread, was told already."""
    before = getattr(_quiet, "now", False)
    _quiet.now = True
    try:
        yield
    finally:
        _quiet.now = before


@contextlib.contextmanager
def told_above_in_task() -> Generator[None]:
    """The same of a coroutine, between whose steps the thread does other things."""
    token = _quiet_task.set(True)
    try:
        yield
    finally:
        _quiet_task.reset(token)


def is_told_above() -> bool:
    """Whether this thread or task is inside a call that was told already."""
    return bool(getattr(_quiet, "now", False)) or _quiet_task.get()


@contextlib.contextmanager
def handling() -> Generator[None]:
    """A handler of logging is at work: what it writes to a stream that it has kept is the record, which is told."""
    before = getattr(_quiet, "handling", False)
    _quiet.handling = True
    try:
        yield
    finally:
        _quiet.handling = before


def is_handling() -> bool:
    """Whether a handler of logging is at work in this thread."""
    return bool(getattr(_quiet, "handling", False))


@contextlib.contextmanager
def showing() -> Generator[None]:
    """A warning is shown, as it is once and not again: it was told when it was given."""
    _quiet.showing = True
    try:
        yield
    finally:
        _quiet.showing = False


def is_showing() -> bool:
    """Whether a warning is shown in this thread."""
    return bool(getattr(_quiet, "showing", False))


_asking: Final[ContextVar[bool]] = ContextVar("purposeguard_asking", default=False)


@contextlib.contextmanager
def asking() -> Generator[None]:
    """A test asks an application in this process: what its client logs of that is no effect of the application."""
    token = _asking.set(True)
    try:
        yield
    finally:
        _asking.reset(token)


def is_asking() -> bool:
    """Whether a test asks an application just now."""
    return _asking.get()


def text_of(value: object) -> str:
    """A value as it is seen by whoever gets it."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
        if data.startswith(_GZIP):  # it says when it was packed
            data = unzipped(data)
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode("latin-1")
    if type(value).__repr__ is object.__repr__ and hasattr(value, "__dict__"):
        return f"{value!r} {vars(value)}"  # which says nothing of it by itself
    return repr(value)


_GZIP: Final = b"\x1f\x8b\x08"


def unzipped(data: bytes) -> bytes:
    """What gzip has packed, as far as it is there; the same bytes where that is nothing."""
    found = b""
    rest = data
    while rest.startswith(_GZIP):
        member = zlib.decompressobj(wbits=31)
        try:
            found += member.decompress(rest)
        except zlib.error:
            break
        rest = member.unused_data
    return found or data
