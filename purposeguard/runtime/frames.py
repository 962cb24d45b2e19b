"""Frames of generators and coroutines, and checks that a purpose that was entered in one is valid now.

A purpose that a generator or a coroutine has entered stops with it: while its frame is suspended, what runs is the
consumer, which shares its context:

    def letters():
        with guard.purpose(my.Renewal):
            yield open_address()  # While the generator is suspended here, the consumer has no purpose.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from importlib import import_module
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from opcode import opmap
from types import FrameType
from typing import Any, Final

from purposeguard.runtime.execution import GREENLET, modules

SUSPENDABLE: Final = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR
"""The flags of code whose frames can be suspended."""

AWAITING: Final = CO_COROUTINE | CO_ASYNC_GENERATOR
"""The flags of code whose frames can be suspended in the middle of a statement."""

CONTEXT_MANAGERS: Final = frozenset({"contextlib", "_pytest.fixtures", "purposeguard.values.streams"})
"""The modules that run a generator as a context manager, or stand before one that does: what such a generator enters is
meant for the block that it yields to."""

CONTEXTLIB: Final[dict[str, Any]] = contextlib.__dict__
"""The global names of the module that frames of an exit stack have."""

_AT_YIELD: Final = frozenset({opmap["YIELD_VALUE"], opmap["RESUME"]})
"""The instructions at which a frame is suspended: the first in CPython 3.11 and 3.12, the second in later ones."""


class FrameCheck:
    """A function that identifies the running code, for a use that depends on frames of generators or coroutines.

    It returns None, which equals no task, greenlet or thread, while the use is not valid.

    Attributes:
        runs: The function that returns the running task, greenlet or thread, regardless of frames.
        frame: The frame that entered the use, which is valid only while this frame is not suspended. None if the frame
            cannot be suspended, or if the use has ended.
        suspended: The checks of the uses around it whose frames were suspended when it was entered. While one of these
            frames runs, its own use decides: this use belongs to the consumer.
    """

    __slots__ = ("_is_simple_coroutine", "frame", "runs", "suspended")

    def __init__(
        self, runs: Callable[[], object], frame: FrameType | None, suspended: tuple[FrameCheck, ...] = ()
    ) -> None:
        self.runs = runs
        self.frame = frame
        self.suspended = suspended
        # A running coroutine runs in the thread of its event loop, so no other check is needed.
        self._is_simple_coroutine = not suspended and frame is not None and frame.f_code.co_flags & CO_COROUTINE != 0

    def __call__(self) -> object:
        """Return the running task, greenlet or thread; None if the running code may not have this use."""
        frame = self.frame
        if (self._is_simple_coroutine and frame is not None and frame.f_back is not None) or self.holds():
            return self.runs()
        return None

    def holds(self) -> bool:
        """Return True if the code that is running now may have this use."""
        frame = self.frame
        if frame is not None and not _runs_in_this_thread(frame) and (frame.f_back is not None or _is_at_yield(frame)):
            return False
        return not (self.suspended and any(check.is_running() for check in self.suspended))

    def is_running(self) -> bool:
        """Return True if the use has not ended, and the frame that entered it runs in this thread."""
        frame = self.frame
        return frame is not None and _runs_in_this_thread(frame)

    def is_suspended(self) -> bool:
        """Return True if the use has not ended, and the frame that entered it does not run in this thread."""
        frame = self.frame
        return frame is not None and not _runs_in_this_thread(frame)


def find_suspendable_frame(frame: FrameType) -> FrameType | None:
    """Find the frame of a generator or coroutine on whose behalf `frame` enters a use; None if there is none.

    A generator that contextlib runs as a context manager enters on behalf of the `with` statement, in whose frame the
    search goes on.
    """
    outer: FrameType | None = frame
    while outer is not None:
        if outer.f_globals.get("__name__") not in CONTEXT_MANAGERS:
            if not outer.f_code.co_flags & SUSPENDABLE:
                return None
            caller = outer.f_back
            if caller is None or caller.f_globals.get("__name__") not in CONTEXT_MANAGERS:
                return outer
        outer = outer.f_back
    return None


def awaiting_frame(frame: FrameType) -> FrameType | None:
    """Return a wrapper's frame if it can be suspended inside a use. A generator's wrapper leaves the use before."""
    return frame if frame.f_code.co_flags & AWAITING else None


def _runs_in_this_thread(frame: FrameType) -> bool:
    """Return True if the frame of a generator or coroutine is running, and not in another thread.

    Only a generator is searched for on the stack, because a running coroutine runs in the thread of its event loop. A
    greenlet has a stack of its own, so there any running frame is accepted.
    """
    if frame.f_back is None:
        return False
    if frame.f_code.co_flags & CO_COROUTINE:
        return True
    caller: FrameType | None = sys._getframe(1)
    while caller is not None:
        if caller is frame:
            return True
        caller = caller.f_back
    return GREENLET in modules and import_module(GREENLET).getcurrent().parent is not None


def _is_at_yield(frame: FrameType) -> bool:
    """Return True if a frame that is not running is suspended and has not ended."""
    return frame.f_code.co_code[frame.f_lasti] in _AT_YIELD
