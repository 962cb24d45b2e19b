"""What runs here: which task of an event loop, else which greenlet or thread; and the quickest way to ask again.

A purpose that a generator or a coroutine has entered also stops with it: while its frame is suspended, what runs is the
consumer, which shares its context.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from opcode import opmap
from types import FrameType
from typing import Any, Final
from weakref import ProxyTypes, proxy

ASYNCIO: Final = "asyncio.events"
TRIO: Final = "trio.lowlevel"
GREENLET: Final = "greenlet"
GEVENT: Final = "gevent"
EVENTLET: Final = "eventlet"
get_ident = threading.get_ident
modules = sys.modules

NOBODY: Final = object()
"""In place of what runs, where nothing does. Neither a thread nor a greenlet nor a task equals it."""

Asked = tuple[Callable[[], object], object]

SUSPENDABLE: Final = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR
"""The flags of code whose frames can be suspended."""

AWAITING: Final = CO_COROUTINE | CO_ASYNC_GENERATOR
"""The flags of code whose frames can be suspended in the middle of a statement."""

CONTEXT_MANAGERS: Final = frozenset({"contextlib", "_pytest.fixtures", "purposeguard.values.streams"})
"""The modules that run a generator as a context manager, or stand before one that does: what such a generator enters is
meant for the block that it yields to."""

CONTEXTLIB: Final = vars(contextlib)
"""The global names of the module that frames of an exit stack have."""

_AT_YIELD: Final = frozenset({opmap["YIELD_VALUE"], opmap["RESUME"]})
"""The instructions at which a frame is suspended: the first in CPython 3.11 and 3.12, the second in later ones."""


def asked_here() -> Asked:
    """What runs now, behind the function that gave it: as long as this runs, the function gives what equals it.

    It is the present task of an event loop, or else the greenlet where those are in use, or else the thread (its
    identifier). The function raises RuntimeError where no event loop runs that it could ask. To compare with a greenlet
    that is gone raises ReferenceError: no use keeps one alive, and identifiers are given again.
    """
    # A loop can run only where asyncio is loaded; loading it for this question would double our import time.
    loop: Any = None
    if ASYNCIO in modules:
        events: Any = modules[ASYNCIO]
        try:
            loop = events._get_running_loop()
        except AttributeError:  # it is being loaded, by another thread
            loop = None
    if loop is not None:
        current_task = modules["asyncio.tasks"].current_task
        task = current_task(loop)
        asked = (current_task, task) if task is not None else (task_or_loop, loop)
        return _beside_hub(asked) if GREENLET in modules and (GEVENT in modules or EVENTLET in modules) else asked
    if TRIO in modules:
        trio: Any = modules[TRIO]
        with contextlib.suppress(RuntimeError):  # trio is loaded, but does not run here
            asked = trio.current_task, trio.current_task()
            return _beside_hub(asked) if GREENLET in modules and (GEVENT in modules or EVENTLET in modules) else asked
    if GREENLET in modules:
        greenlets: Any = modules[GREENLET]
        try:
            getcurrent = greenlets.getcurrent
            return getcurrent, proxy(getcurrent())
        except AttributeError:  # it is being loaded, by another thread, and nothing has switched yet
            pass
    return get_ident, get_ident()


class FrameCheck:
    """A function that says what runs here, for a use that depends on frames of generators or coroutines.

    It gives None, which equals nothing that runs, while the use does not hold.

    Attributes:
        runs: The function that says what runs here, whichever frames there are.
        frame: The frame that entered the use, which holds only while this frame is not suspended; None if the frame
            cannot be suspended, or if the use has ended.
        suspended: The checks of the uses around it whose frames were suspended when it was entered. While one of these
            frames runs, its own use decides: this use belongs to the consumer.
    """

    __slots__ = ("_alone", "frame", "runs", "suspended")

    def __init__(
        self, runs: Callable[[], object], frame: FrameType | None, suspended: tuple[FrameCheck, ...] = ()
    ) -> None:
        self.runs = runs
        self.frame = frame
        self.suspended = suspended
        # A coroutine that is running runs in the thread of its event loop, so nothing else has to be asked.
        self._alone = not suspended and frame is not None and frame.f_code.co_flags & CO_COROUTINE != 0

    def __call__(self) -> object:
        """Return what runs here; None if the code that is running now may not have this use."""
        frame = self.frame
        if (self._alone and frame is not None and frame.f_back is not None) or self.holds():
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
    """Return the frame whose suspension suspends what is entered in `frame`; None if no frame can be suspended.

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


def _runs_in_this_thread(frame: FrameType) -> bool:
    """Return True if the frame of a generator or coroutine is running, and not in another thread.

    Only a generator is looked for on the stack: a coroutine that is running runs in the thread of its event loop. A
    greenlet has a stack of its own, so there any frame that is running will do.
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
    """Return True if a frame that is not running has not ended either."""
    return frame.f_code.co_code[frame.f_lasti] in _AT_YIELD


def task_or_loop() -> object:
    """The present task of the loop that runs here, or else the loop; raises RuntimeError where none runs."""
    events: Any = modules[ASYNCIO]
    loop = events.get_running_loop()
    task = modules["asyncio.tasks"].current_task(loop)
    return loop if task is None else task


def is_served(owner: object) -> bool:
    """True if the greenlet that runs here works for the one that `owner` stands for, as SQLAlchemy's do for a task."""
    return type(owner) in ProxyTypes and bool(owner == _carrier())


def in_first_greenlet() -> bool:
    """True if what runs here, or what it works for, is what ran in this thread before greenlets were loaded."""
    return GREENLET not in modules or _carrier().parent is None


def _beside_hub(asked: Asked) -> Asked:
    """What a loop runs, and in which greenlet: to others that a hub runs in its thread, the loop seems to be theirs."""
    runs, what = asked
    return partial(_with_carrier, runs), (what, proxy(_carrier()))


def _with_carrier(runs: Callable[[], object]) -> tuple[object, object]:
    return runs(), _carrier()


def _carrier() -> Any:
    """The greenlet for which the present one works: itself, or a parent whose very context it shares."""
    greenlet: Any = import_module(GREENLET).getcurrent()  # it is loaded; or, by another thread, nearly
    while (parent := greenlet.parent) is not None and greenlet.gr_context is not None:
        if parent.gr_context is not greenlet.gr_context:
            break
        greenlet = parent
    return greenlet
