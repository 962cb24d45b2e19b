"""The thread that looks at the store for a cache of preferences, and the requests that tasks make to it."""

from __future__ import annotations

import dataclasses
import math
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future

from purposeguard.errors import StoreUnavailable
from purposeguard.runtime.protocols import Roster


@dataclasses.dataclass(slots=True, eq=False)
class ReadRequest:
    """A request by a task of an event loop to read subjects, and the roster if it `wants_roster`."""

    subjects: Sequence[str] = ()
    wants_roster: bool = False
    roster: Roster | None = None
    until: float = -math.inf
    """The time after which the roster may no longer be used."""
    outcome: Future[StoreUnavailable | None] = dataclasses.field(default_factory=Future)
    """A future whose result is the error that prevented the reading, or None."""


def finish_requests(requests: Iterable[ReadRequest], failure: StoreUnavailable | None) -> None:
    """Finish these read requests, whose tasks wait for the outcome."""
    for request in requests:
        if request.outcome.set_running_or_notify_cancel():  # false if the task was cancelled
            request.outcome.set_result(failure)


class WatcherThread(threading.Thread):
    """A thread that takes a turn when it is rung, and after the seconds that the last turn returned."""

    def __init__(self, turn: weakref.WeakMethod[Callable[[], float]], poll: float) -> None:
        super().__init__(name="purposeguard-watcher", daemon=True)
        self._turn = turn
        self._poll = poll
        self._bell = threading.Event()
        self._stopping = False

    def run(self) -> None:
        """Take turns until the thread is stopped or the cache is gone."""
        while not self._stopping and (seconds := self._run_turn()) is not None:
            self._bell.wait(seconds)
            self._bell.clear()

    def _run_turn(self) -> float | None:
        turn = self._turn()
        return None if turn is None else turn()

    def ring(self) -> None:
        """Have the thread take a turn now."""
        self._bell.set()

    def stop(self) -> None:
        """End the thread, and wait for its end unless called in the thread itself."""
        self._stopping = True
        self._bell.set()
        if self is not threading.current_thread():
            self.join()
