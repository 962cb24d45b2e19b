"""How the parts of `effects` watch: names that are replaced, and put back."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any, Final

Lines = tuple[tuple[str, str], ...]
"""Texts, each with what it is."""


Tell = Callable[[str, str, Callable[[], dict[str, str]]], list[Any]]
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


@contextlib.contextmanager
def told_above() -> Generator[None]:
    """What a library does below, in this thread, was told already."""
    before = getattr(_quiet, "now", False)
    _quiet.now = True
    try:
        yield
    finally:
        _quiet.now = before


def is_told_above() -> bool:
    """Whether this thread is inside a call that was told already."""
    return bool(getattr(_quiet, "now", False))


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
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode("latin-1")
    return repr(value)
