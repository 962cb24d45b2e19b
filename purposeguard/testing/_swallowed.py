"""Violations that code swallows: raised by a guard, and caught by what is meant for anything, or looked at by nobody.

Where an error was caught is known when it dies: its traceback ends there. Nothing is kept alive to find out.
"""

from __future__ import annotations

import collections
import inspect
import os
import sysconfig
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from purposeguard.errors import PurposeMissing
from purposeguard.policy.violations import PurposeViolation
from purposeguard.testing._clauses import clause_at, names_refusals
from purposeguard.testing._unasked import Look, Place, Waiting, is_work, waiting, work_here

Refusal = PurposeViolation | PurposeMissing

_REFUSALS: Final = (PurposeViolation, PurposeMissing)

_ASYNCIO: Final = Path(sysconfig.get_path("stdlib"), "asyncio")
_GATHERED: Final = "gather(…, return_exceptions=True)"
_FUTURE: Final = "a future that nobody asks"
_CLOSED: Final = "a generator that is closed"


class Caught(NamedTuple):
    """Where an error was caught: the line of the `try` at which it arrived.

    Where none stands around that line, it went on to those who wait for the task (`beyond`), or to nobody (`unasked`).
    """

    file: str
    line: int
    missing: bool
    test: str | None
    beyond: Waiting | None = None
    unasked: str | None = None


class _Told(NamedTuple):
    """What was known when a guard raised an error."""

    test: str | None
    waiting: Waiting | None
    look: Look | None


class Swallowing:
    """Notes where refusals end. From any thread, and from finalisers."""

    def __init__(self) -> None:
        self.caught: collections.deque[Caught] = collections.deque()
        self._told: dict[int, _Told] = {}
        self._living: weakref.WeakSet[Refusal] = weakref.WeakSet()

    def told(self, error: Refusal, test: str | None) -> None:
        """A guard is about to raise this."""
        self._told[id(error)] = _Told(test, waiting(), work_here())
        self._living.add(error)

    def start(self) -> None:
        """From now on the end of each is noted."""
        _active.append(self)
        if len(_active) == 1:
            for cls in _REFUSALS:
                cls.__del__ = _died  # type: ignore[union-attr]  # taken off again

    def stop(self) -> None:
        """The reverse; those that live on were caught too."""
        _active.remove(self)
        if not _active:
            for cls in _REFUSALS:
                del cls.__del__  # type: ignore[union-attr]  # put there by `start`
        for error in list(self._living):
            self._note(error)

    def _note(self, error: Refusal) -> None:
        try:
            told = self._told.pop(id(error))
        except KeyError:
            return
        trace = error.__traceback__
        if trace is None:
            return
        flags = trace.tb_frame.f_code.co_flags
        unasked = _CLOSED if flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR) else None
        if is_work(trace.tb_frame.f_code):
            if told.look is None or told.look.looked or trace.tb_next is None:
                return
            trace, unasked = trace.tb_next, _FUTURE
        beyond = told.waiting if flags & inspect.CO_COROUTINE else None
        missing = not isinstance(error, PurposeViolation)
        file = trace.tb_frame.f_code.co_filename
        self.caught.append(Caught(file, trace.tb_lineno, missing, told.test, beyond, unasked))


_active: Final[list[Swallowing]] = []
"""A run of tests may run others within itself."""


def _died(error: Refusal) -> None:
    for one in _active:
        one._note(error)


Found = tuple[str, int, int, str, str]
"""File, line, line and text of what swallowed it, test."""


def swallowed(caught: Iterable[Caught], root: Path, left_out: frozenset[Path]) -> Iterator[tuple[Found, int]]:
    """Those of an application's own code, wherever that lies, and how often.

    `left_out` are files and folders that are not looked into: tests, and libraries. Files are told as from `root`.
    """
    own = _Own(root, left_out)
    for one, count in collections.Counter(caught).items():
        if not own.holds(one.file):
            continue
        answer = clause_at(one.file, one.line, missing=one.missing)
        place: Place = one.file, one.line
        if answer is None and one.beyond is not None:
            place, answer = _beyond(one.beyond, one.missing, own)
        elif answer is None and one.unasked is not None:
            answer = one.line, one.unasked
        if answer:
            file, line = place
            yield (own.told(file), line, *answer, one.test or ""), count


def _beyond(waiting: Waiting, missing: bool, own: _Own) -> tuple[Place, tuple[int, str] | tuple[()]]:
    """What becomes of an error that a task ends with, where they wait for it."""
    for file, line in waiting.places:
        if Path(file).is_relative_to(_ASYNCIO):
            continue
        if not own.holds(file):
            break  # a test looks at it, or a library
        if not waiting.grouped:
            return (file, line), (() if names_refusals(file, line) else (line, _GATHERED))
        answer = clause_at(file, line, missing=missing, grouped=True)
        if answer is not None:
            return (file, line), answer
    return ("", 0), ()


class _Own:
    """Which files are an application's own."""

    def __init__(self, root: Path, left_out: frozenset[Path]) -> None:
        self._root = root
        self._left_out = left_out
        found = sysconfig.get_paths()
        self._libraries = tuple(Path(found[name]) for name in ("stdlib", "platstdlib"))

    def holds(self, file: str) -> bool:
        """Whether it is code that is looked into."""
        path = Path(file)
        if not path.is_absolute() or not {"site-packages", "dist-packages"}.isdisjoint(path.parts):
            return False
        if path in self._left_out or not self._left_out.isdisjoint(path.parents):
            return False
        return path.is_relative_to(self._root) or not any(path.is_relative_to(one) for one in self._libraries)

    def told(self, file: str) -> str:
        """How it is called: as from the root, also where it lies outside."""
        try:
            return Path(os.path.relpath(file, self._root)).as_posix()
        except ValueError:  # on another drive
            return Path(file).as_posix()
