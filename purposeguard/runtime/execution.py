"""What runs here: which task of an event loop, or which thread."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import Final

ASYNCIO: Final = "asyncio.events"
TRIO: Final = "trio.lowlevel"
get_ident = threading.get_ident
modules = sys.modules


def here() -> object:
    """What runs now: the present task of an event loop, or else the thread (its identifier, an int)."""
    # A loop can run only where asyncio is loaded; loading it for this question would double our import time.
    running = getattr(modules.get(ASYNCIO), "_get_running_loop", None)
    loop = running() if running is not None else None
    if loop is not None:
        return modules["asyncio.tasks"].current_task(loop) or loop
    trio = modules.get(TRIO)
    if trio is not None:
        with contextlib.suppress(RuntimeError):  # trio is loaded, but does not run here
            return trio.current_task()
    return get_ident()
