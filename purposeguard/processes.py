"""The registration of handlers for the fork of a process and for its end.

All handlers for forks are registered by these functions; `purposeguard.runtime.forking` and
`purposeguard.governance.forking` define most of them. Handlers for the end of the process that apply to all objects of
a class are registered here as well. Counters of the ledger and collectors of evidence register themselves with
`call_at_exit` when they begin to count, so that they are closed before the stores are.
In a forked child the handlers run in the order in which they were registered, so locks are released first. Before a
fork and at the end of the process they run in the opposite order.
"""

from __future__ import annotations

import atexit
import functools
import os
import sys
import weakref
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def register_fork_handlers(
    *,
    before: Callable[[], object] = lambda: None,
    in_parent: Callable[[], object] = lambda: None,
    in_child: Callable[[], object] = lambda: None,
) -> None:
    """Call these functions at each fork of the process; Windows has no forks."""
    if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no forks
        os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


def call_at_exit(handler: Callable[[], object]) -> None:
    """Call a function at the end of this process, before those that were registered earlier.

    It is also called in a child of multiprocessing, which ends without the functions of `atexit`.
    """
    atexit.register(handler)
    if "multiprocessing.util" in sys.modules:  # Each child has it. It is slow to load, and others need none.
        from multiprocessing import process, util  # noqa: PLC0415  # as above

        if process.parent_process() is not None:
            util.Finalize(None, handler, exitpriority=0)


class LiveObjects(weakref.WeakSet[T]):
    """The objects of a class that exist, held weakly, which are notified when the process forks or ends.

    Args:
        in_child: Called with each object in a forked child.
        at_exit: Called with each object at the end of the process.
    """

    def __init__(
        self, *, in_child: Callable[[T], object] | None = None, at_exit: Callable[[T], object] | None = None
    ) -> None:
        super().__init__()
        if in_child is not None:
            register_fork_handlers(in_child=functools.partial(self.call_with_each, in_child))
        if at_exit is not None:
            atexit.register(self.call_with_each, at_exit)

    def call_with_each(self, handler: Callable[[T], object]) -> None:
        """Call a function with each object."""
        for instance in list(self):
            handler(instance)
