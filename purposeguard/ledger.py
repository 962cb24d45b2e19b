"""The seat of a ledger: what a guard tells about what was used, and what was refused."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import Protocol

from purposeguard.errors import PurposeMissing, PurposeViolation
from purposeguard.inventory import Reclassification
from purposeguard.label import Label


class Ledger(Protocol):
    """Told by a guard, synchronously and from any thread; a guard without one pays nothing for it.

    What a ledger raises is not caught: a use that cannot be recorded does not happen.
    """

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """A use was refused, or would have been (`observed`) if the guard or the activity were enforcing."""

    def allowed(self, activity: str | None, purpose: str, label: Label, count: int) -> None:
        """An activity (None: a bare `guard.check`) used data of this label so often since it was last told.

        Told when a use ends. `purpose` is the canonical id of a purpose or the name of a family.
        """

    def reclassified(self, declared: Reclassification, label: Label, activity: str | None) -> None:
        """A declared function is about to see a value of this label, and to give a result that leaves it.

        Told before anything is seen: also of a run that then fails, or gives no figure since the subjects are too few.
        `activity` is what is under way, None where nothing is: a reclassification needs no purpose.
        """


class Tally:
    """How often one use has opened what, from any thread, until it ends and the ledger is told."""

    __slots__ = ("_activity", "_counts", "_ended", "_ledger", "_lock")

    def __init__(self, ledger: Ledger, activity: str) -> None:
        self._ledger = ledger
        self._activity = activity
        self._ended = False
        self.forget()

    def forget(self) -> None:
        """Forgets what was counted: in a forked process, since the parent tells of it."""
        self._lock = threading.Lock()  # another thread of the parent may have held it when the process was forked
        self._counts: dict[tuple[str, Label], int] = {}

    def add(self, purpose: str, used: Mapping[Label, int]) -> None:
        """Counts what was used for a purpose (or as a family), by its id or name."""
        with self._lock:
            late = self._ended  # in another thread, which had been let in before the use ended
            for label, count in () if late else used.items():
                self._counts[purpose, label] = self._counts.get((purpose, label), 0) + count
        if late:
            self._tell({(purpose, label): count for label, count in used.items()})

    def tell(self) -> None:
        """Tells the ledger of everything counted; what is counted from now on, it is told at once."""
        with self._lock:
            self._ended = True
            counts, self._counts = self._counts, {}
        self._tell(counts)

    def _tell(self, counts: Mapping[tuple[str, Label], int]) -> None:
        # What the ledger raises is raised once it has been told of the rest.
        with contextlib.ExitStack() as rest:
            for (purpose, label), count in reversed(list(counts.items())):
                rest.callback(self._ledger.allowed, self._activity, purpose, label, count)
