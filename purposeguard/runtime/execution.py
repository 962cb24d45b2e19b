"""What runs here: which task of an event loop, else which greenlet or thread; and the quickest way to ask again."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
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

ExecutionProbe = tuple[Callable[[], object], object]


def current_execution() -> ExecutionProbe:
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
        asked = (current_task, task) if task is not None else (current_task_or_loop, loop)
        return (
            _tell_apart_from_hub(asked) if GREENLET in modules and (GEVENT in modules or EVENTLET in modules) else asked
        )
    if TRIO in modules:
        trio: Any = modules[TRIO]
        with contextlib.suppress(RuntimeError):  # trio is loaded, but does not run here
            asked = trio.current_task, trio.current_task()
            return (
                _tell_apart_from_hub(asked)
                if GREENLET in modules and (GEVENT in modules or EVENTLET in modules)
                else asked
            )
    if GREENLET in modules:
        greenlets: Any = modules[GREENLET]
        try:
            getcurrent = greenlets.getcurrent
            return getcurrent, proxy(getcurrent())
        except AttributeError:  # it is being loaded, by another thread, and nothing has switched yet
            pass
    return get_ident, get_ident()


def current_task_or_loop() -> object:
    """Return the present task of the loop that runs here, or else the loop; raises RuntimeError where none runs."""
    events: Any = modules[ASYNCIO]
    loop = events.get_running_loop()
    task = modules["asyncio.tasks"].current_task(loop)
    return loop if task is None else task


def is_served(owner: object) -> bool:
    """True if the greenlet that runs here works for the one that `owner` stands for, as SQLAlchemy's do for a task."""
    return type(owner) in ProxyTypes and bool(owner == _find_carrier())


def is_in_first_greenlet() -> bool:
    """Return True if what runs here, or what it works for, is what ran in this thread before greenlets were loaded."""
    return GREENLET not in modules or _find_carrier().parent is None


def _tell_apart_from_hub(asked: ExecutionProbe) -> ExecutionProbe:
    """What a loop runs, and in which greenlet: to others that a hub runs in its thread, the loop seems to be theirs."""
    runs, what = asked
    return partial(_add_carrier, runs), (what, proxy(_find_carrier()))


def _add_carrier(runs: Callable[[], object]) -> tuple[object, object]:
    return runs(), _find_carrier()


def _find_carrier() -> Any:
    """Return the greenlet for which the present one works: itself, or a parent whose very context it shares."""
    greenlet: Any = import_module(GREENLET).getcurrent()  # it is loaded; or, by another thread, nearly
    while (parent := greenlet.parent) is not None and greenlet.gr_context is not None:
        if parent.gr_context is not greenlet.gr_context:
            break
        greenlet = parent
    return greenlet
