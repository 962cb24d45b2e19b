"""Identification of the running task, greenlet or thread, and a quick check that it is still the one running."""

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
"""The owner of a use that is not active. No thread, greenlet or task equals it."""

ExecutionProbe = tuple[Callable[[], object], object]


def current_execution() -> ExecutionProbe:
    """Identify the running task, greenlet or thread.

    Returns:
        A function and its current result. The function returns an equal object as long as the same task, greenlet or
        thread is running. The object is, in this order:

        - in asyncio, the current task, or the running loop if it runs no task; in trio, the current task. If gevent or
          eventlet is loaded too, a pair of that and a weak proxy of the greenlet.
        - a weak proxy of the greenlet, if greenlet is loaded.
        - the identifier of the thread.

        The function raises RuntimeError if it needs an event loop and none is running. Comparing with a greenlet that
        is gone raises ReferenceError: no use keeps a greenlet alive, and identifiers are reused.
    """
    # A loop can run only if asyncio is loaded. Importing it for this question would double the import time.
    loop: Any = None
    if ASYNCIO in modules:
        events: Any = modules[ASYNCIO]
        try:
            loop = events._get_running_loop()
        except AttributeError:  # Another thread is importing asyncio.
            loop = None
    if loop is not None:
        current_task = modules["asyncio.tasks"].current_task
        task = current_task(loop)
        probe = (current_task, task) if task is not None else (current_task_or_loop, loop)
        return (
            _tell_apart_from_hub(probe) if GREENLET in modules and (GEVENT in modules or EVENTLET in modules) else probe
        )
    if TRIO in modules:
        trio: Any = modules[TRIO]
        with contextlib.suppress(RuntimeError):  # Trio may be loaded without running here.
            probe = trio.current_task, trio.current_task()
            return (
                _tell_apart_from_hub(probe)
                if GREENLET in modules and (GEVENT in modules or EVENTLET in modules)
                else probe
            )
    if GREENLET in modules:
        greenlets: Any = modules[GREENLET]
        try:
            getcurrent = greenlets.getcurrent
            return getcurrent, proxy(getcurrent())
        except AttributeError:  # Another thread is importing greenlet, and nothing has switched yet.
            pass
    return get_ident, get_ident()


def current_task_or_loop() -> object:
    """Return the current task of the running event loop, or the loop if it runs no task.

    Raises:
        RuntimeError: No event loop is running.
    """
    events: Any = modules[ASYNCIO]
    loop = events.get_running_loop()
    task = modules["asyncio.tasks"].current_task(loop)
    return loop if task is None else task


def is_served(owner: object) -> bool:
    """Return True if the running greenlet works for the greenlet of `owner`, as SQLAlchemy's greenlets do for a task.

    Args:
        owner: The owner of a use. Only a proxy of a greenlet can be served.
    """
    return type(owner) in ProxyTypes and bool(owner == _find_carrier())


def is_in_first_greenlet() -> bool:
    """Return True if the running greenlet is the thread's first greenlet or works for it."""
    return GREENLET not in modules or _find_carrier().parent is None


def _tell_apart_from_hub(probe: ExecutionProbe) -> ExecutionProbe:
    """Add the greenlet to a probe of an event loop, which looks the same to all greenlets of a hub's thread."""
    runs, running = probe
    return partial(_add_carrier, runs), (running, proxy(_find_carrier()))


def _add_carrier(runs: Callable[[], object]) -> tuple[object, object]:
    return runs(), _find_carrier()


def _find_carrier() -> Any:
    """Return the greenlet for which the current one works: itself, or a parent that shares its context object."""
    greenlet: Any = import_module(GREENLET).getcurrent()  # Waits if another thread is importing greenlet.
    while (parent := greenlet.parent) is not None and greenlet.gr_context is not None:
        if parent.gr_context is not greenlet.gr_context:
            break
        greenlet = parent
    return greenlet
