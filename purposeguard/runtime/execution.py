"""What runs here: which task of an event loop, or which thread; and the quickest way to ask again."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

ASYNCIO: Final = "asyncio.events"
TRIO: Final = "trio.lowlevel"
get_ident = threading.get_ident
modules = sys.modules

NOBODY: Final = object()
"""In place of what runs, where nothing does. Neither a thread nor a task equals it."""


def here() -> object:
    """What runs now: the present task of an event loop, or else the thread (its identifier, an int)."""
    return asked_here()[1]


def asked_here() -> tuple[Callable[[], object], object]:
    """What runs now, behind the function that gave it: as long as this runs, the function gives it again.

    The function raises RuntimeError where no event loop runs that it could ask.
    """
    # A loop can run only where asyncio is loaded; loading it for this question would double our import time.
    events: Any = modules.get(ASYNCIO)
    try:
        loop = None if events is None else events._get_running_loop()
    except AttributeError:  # it is being loaded, by another thread
        loop = None
    if loop is not None:
        current_task = modules["asyncio.tasks"].current_task
        task = current_task(loop)
        return (current_task, task) if task is not None else (here, loop)
    trio = modules.get(TRIO)
    if trio is not None:
        with contextlib.suppress(RuntimeError):  # trio is loaded, but does not run here
            return trio.current_task, trio.current_task()
    ident = get_ident()
    return get_ident, ident
