"""One writer at a time within a process."""

from __future__ import annotations

import os
from typing import Final

from purposeguard.errors import StoreUnavailable
from purposeguard.locks import new_lock

INTERRUPTED: Final = "the ledger was interrupted while it wrote, and cannot be written from in between"


class Turn:
    """A lock that says no to who has it already: a signal handler, say, that interrupted the writing.

    It cannot wait for what it has interrupted, nor write in the middle of it. A forked child has it anew: the thread
    that had it is the parent's.
    """

    def __init__(self) -> None:
        self._pid = 0
        self._renew()

    def _renew(self) -> None:
        self._lock = new_lock()
        self._taken = False
        self._pid = os.getpid()

    def __enter__(self) -> None:
        if self._pid != os.getpid():
            self._renew()
        self._lock.acquire()
        if self._taken:
            self._lock.release()
            raise StoreUnavailable(INTERRUPTED)
        self._taken = True

    def __exit__(self, *_: object) -> None:
        self._taken = False
        self._lock.release()
