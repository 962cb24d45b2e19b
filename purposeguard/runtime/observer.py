"""Observers and ledgers: what a guard tells of decisions, of what was used, and of what was refused."""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from purposeguard.errors import PurposeMissing
from purposeguard.notice.label import Label
from purposeguard.policy.verdict import Verdict
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.registry import Access, Activity, Reclassification


class Observer(Protocol):
    """Told by an engine of all that is decided for whoever asks it, as it is decided, from any thread.

    While an engine has observers it remembers nothing, so that each question is decided, and seen. What it asks by
    itself (the alternatives in a message, which of a million rows to keep) nobody asked for, and is not told.
    """

    def decided(
        self, verdict: Verdict, *, used: bool, activity: Activity | None, access: Access | None, field: str | None
    ) -> None:
        """A decision: `used`, data is about to be used if it is allowed; otherwise it was only asked.

        `activity` is None where a guard was asked and no use. `access` is the access function that reads the data,
        `field` a field or column that it lies in; None where there is none, or none is known.
        """

    def refused(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """A use is refused, or would be (`observed`) if the guard or the activity were enforcing."""

    def entered(self, activity: Activity) -> None:
        """An activity runs; also told when it goes on."""

    def called(self, access: Access) -> None:
        """An access function was called; whether it may run is decided next."""

    def replaced(self) -> None:
        """Another revision is in force."""


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


Tick = Callable[[], object]
"""Counts one use, in one step: it is called from any thread, and from signal handlers and finalisers."""

NO_COUNTS: Final[Mapping[object, Tick]] = MappingProxyType({})


class CountingLedger(Ledger, Protocol):
    """A ledger that counts uses itself, one by one as they happen, so that a long use that is killed loses little."""

    def counter(self, activity: str | None, purpose: str, label: Label) -> Tick:
        """Gives what is to be called at each use of data of this label by an activity (None: by bare checks).

        Asked for at the first such use, and perhaps again; kept, and called, for as long as the activity is declared,
        also in processes forked meanwhile. `purpose` is as in `allowed`, which is not told of what is counted so.
        """
        ...


class Tally:
    """How often one use has opened what, until it ends and the ledger is told.

    Counted from any thread, and from signal handlers and finalisers, which interrupt a thread anywhere: so what is used
    is noted in one step, and added up now and then by whoever gets to it.
    """

    __slots__ = ("_activity", "_ended", "_ledger", "_most", "_noted")

    def __init__(self, ledger: Ledger, activity: str) -> None:
        self._ledger = ledger
        self._activity = activity
        self._ended = False
        self.forget()

    def forget(self) -> None:
        """Forgets what was counted: in a forked process, since the parent tells of it."""
        self._noted: collections.deque[tuple[str, Label, int]] = collections.deque()
        self._most = _NOTED_AT_MOST

    def add(self, purpose: str, used: Mapping[Label, int]) -> None:
        """Counts what was used for a purpose (or as a family), by its id or name."""
        self._noted.extend([(purpose, label, count) for label, count in used.items()])
        if self._ended:  # in another thread, which had been let in before
            self._tell_all()
        elif len(self._noted) > self._most:
            # Without a lock: whoever else is at it, or interrupts this, takes what is left, and puts it back likewise.
            counts: collections.Counter[tuple[str, Label]] = collections.Counter()
            try:
                self._add_up(counts)
            finally:  # also where it is interrupted for good
                self._noted.extend([(*used, count) for used, count in counts.items()])
            self._most = _NOTED_AT_MOST + len(self._noted)
            if self._ended:
                self._tell_all()  # type: ignore[unreachable]  # another thread, or what interrupts this, has ended it

    def tell(self) -> None:
        """Tells the ledger of everything counted; what is counted from now on, it is told at once."""
        self._ended = True
        self._tell_all()

    def _add_up(self, counts: collections.Counter[tuple[str, Label]]) -> None:
        while True:
            try:
                purpose, label, count = self._noted.popleft()
            except IndexError:  # nothing is left; another thread may be at it too
                return
            counts[purpose, label] += count

    def _tell_all(self) -> None:
        counts: collections.Counter[tuple[str, Label]] = collections.Counter()
        self._add_up(counts)
        failed: Exception | None = None
        for (purpose, label), count in counts.items():
            try:
                self._ledger.allowed(self._activity, purpose, label, count)
            except Exception as error:  # noqa: BLE001  # raised below, once the ledger has been told of the rest
                failed = failed or error
        if failed is not None:
            raise failed


_NOTED_AT_MOST: Final = 1000
"""How much is noted before it is added up."""
