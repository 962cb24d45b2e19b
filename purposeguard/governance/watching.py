"""The thread that looks whether something has changed: often enough on its own, and at once where it is called."""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Final

from purposeguard.errors import StoreUnavailable
from purposeguard.governance.changes import CHANNEL
from purposeguard.governance.store import Store

Look = Callable[[bool], None]
"""Looks now. Told whether what happened before may have been missed."""

RETRY: Final = 1.0
"""Seconds between attempts to be notified by a server that does not let us."""


class Watcher:
    """Looks every `poll` seconds, and when PostgreSQL notifies. Ends when it is stopped, or with whom it looks for.

    A look that fails is no fault here: who relies on looks sees that there was none. Nor is it one that nothing is
    notified, as behind a pool that shares connections: looking every `poll` seconds is enough.
    """

    def __init__(self, store: Store, look: weakref.WeakMethod[Look], poll: float) -> None:
        self._store = store
        self._look = look
        self._poll = poll
        self._waking, self._wake = socket.socketpair()
        self._stopped = threading.Event()
        self._ear: Ear | None = None
        # A daemon: it holds nothing that an exit of the interpreter could harm.
        self._thread = threading.Thread(target=self._run, name="purposeguard-watcher", daemon=True)
        try:
            self._thread.start()
        except BaseException:  # there are too many, or the interpreter is at its end
            self._waking.close()
            self._wake.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether it still looks."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ends the thread, and waits for it unless called in it."""
        self._stopped.set()
        with contextlib.suppress(OSError):  # it has ended by itself
            self._wake.send(b"\0")
        if self._thread is not threading.current_thread():
            self._thread.join()

    def leave_to_the_parent(self) -> None:
        """In a forked child, where the thread is not."""
        self._waking.close()
        self._wake.close()
        self._store.abandon(self._ear)

    def _run(self) -> None:
        with self._waking, self._wake, selectors.DefaultSelector() as selector:
            selector.register(self._waking, selectors.EVENT_READ)
            try:
                lost, again = False, 0.0
                while not self._stopped.is_set():
                    if self._ear is None and self._store.dialect == "postgresql" and time.monotonic() >= again:
                        again = time.monotonic() + RETRY
                        self._listen(selector)
                    if not self._looked(lost):
                        return
                    heard = any(key.fileobj is self._ear for key, _ in selector.select(self._poll))
                    lost = heard and not self._heard(selector)
            finally:
                self._deaf(selector)

    def _looked(self, missed: bool) -> bool:
        """False: nobody wants to know any more."""
        look = self._look()
        if look is None:
            return False
        with contextlib.suppress(StoreUnavailable):
            look(missed)
        return True

    def _listen(self, selector: selectors.BaseSelector) -> None:
        with contextlib.suppress(StoreUnavailable):
            self._ear = Ear(self._store)
            selector.register(self._ear, selectors.EVENT_READ)

    def _heard(self, selector: selectors.BaseSelector) -> bool:
        """False: the connection is lost, so the server may have been put back to an earlier state."""
        if self._ear is not None and self._ear.heard():
            return True
        self._deaf(selector)
        return False

    def _deaf(self, selector: selectors.BaseSelector) -> None:
        if self._ear is not None:
            selector.unregister(self._ear)
            self._ear.close()
            self._ear = None


class Ear:
    """A connection to PostgreSQL, not one of the pool, that is notified of changes."""

    def __init__(self, store: Store) -> None:
        self._lost = (store.engine.dialect.loaded_dbapi.Error, OSError)
        with store.own_connection() as driver:
            driver.autocommit = True
            driver.execute(f"LISTEN {CHANNEL}")
            driver.patience = math.inf  # it is asked for what has come already, and for nothing else
        self._driver: Any = driver
        self._descriptor: int = driver.fileno()

    def fileno(self) -> int:
        """What to wait for."""
        return self._descriptor

    def heard(self) -> bool:
        """Takes what was notified, whatever it says: there is something to look at. False: the connection is lost."""
        try:
            for _notification in self._driver.notifies(timeout=0):
                pass
        except self._lost:
            return False
        return True

    def close(self) -> None:
        """Closes the connection."""
        self._driver.close()
