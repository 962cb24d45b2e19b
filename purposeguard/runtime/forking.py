"""Handlers for forks: uses end in the child, and imports are finished before it."""

from __future__ import annotations

import gc
import sys
from contextvars import copy_context
from importlib import import_module
from typing import Final

from purposeguard.runtime.execution import EVENTLET, GEVENT, modules
from purposeguard.runtime.use import NO_USE, MemberUse, Use, invalidate


def end_uses_after_fork() -> None:
    """End all uses in a forked child, which does other work than the thread that forked."""
    copied = GEVENT in modules or EVENTLET in modules  # The greenlets of this thread exist in the child and may go on.
    if not copied and not any(isinstance(value, Use) and value.active for value in copy_context().values()):
        return  # Visiting every object would copy the memory that servers share by forking.
    frozen = gc.get_freeze_count()
    if frozen:
        gc.unfreeze()
    for candidate in gc.get_objects():  # This includes outer uses, which inner ones would restore.
        # Member uses end with the use of their family.
        if Use in type(candidate).__mro__ and type(candidate) is not MemberUse and candidate is not NO_USE:
            invalidate(candidate)
    if frozen:
        gc.freeze()


_LOADED_LATER: Final = ("purposeguard.runtime.results", "difflib")
"""The modules that first calls and first errors load, so that a program starts without them."""


def load_before_fork() -> None:
    """Finish the imports that other threads may have begun, because a child inherits import locks but not threads.

    Importing the modules waits for imports that have begun. Without other threads there is nothing to wait for.
    """
    if len(sys._current_frames()) > 1:
        for name in _LOADED_LATER:
            import_module(name)
