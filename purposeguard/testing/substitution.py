"""Another governance, clock and ledger for a guard that exists already, for the duration of a test."""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Generator
from typing import Final

from purposeguard.errors import PurposeMissing, UnknownRecipient
from purposeguard.guard import Guard, attach_governance, attach_observers
from purposeguard.locks import make_lock
from purposeguard.notice.label import Label
from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.policy.transfers import Provision, Recipient
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.clock import Clock, Now
from purposeguard.runtime.declarations import Reclassification
from purposeguard.runtime.observer import Ledger, Tick
from purposeguard.runtime.protocols import Oversight, Roster

__all__ = ["Office", "WrittenDown", "substituting"]


@contextlib.contextmanager
def substituting(
    guard: Guard,
    *,
    governance: Oversight | None = None,
    clock: Now | Clock | None = None,
    ledger: Ledger | None = None,
) -> Generator[None]:
    """Return a context manager: a block in which a guard has other governance, another clock or another ledger.

    Use it where the guard is made when its module is imported, so that a test cannot make it. What is not named stays.
    When the block ends, also by an error, all three are as before, and so is the notice, if `guard.replace` was called.
    Uses that began before the block or in it are decided by what the guard has at the time of the decision.

    Blocks for one guard can be nested, but two threads cannot substitute at the same time.

    Args:
        guard: The guard of the service.
        governance: Keeps what subjects ask for, for example an `Office`. As in `Guard`, its ledger is used if the guard
            had that of its governance.
        clock: Tells the time.
        ledger: Records denials and uses, for example a `WrittenDown`.

    Raises:
        TypeError: `guard` is not a Guard, `governance` cannot tell preferences, or the ledger lacks a method.
        RuntimeError: Another thread has a block for this guard, or a block ended before one that it contains.
        NoticeError: `governance` is of another notice.
    """
    if not isinstance(guard, Guard):
        raise TypeError(f"`substituting` takes the guard of the service, not {type(guard).__name__}")
    if governance is not None and (isinstance(governance, type) or not hasattr(governance, "preferences")):
        raise TypeError("`governance` tells the `preferences` of subjects: pass an object such as `Office()`")
    substitution = _begin(guard, governance, clock, ledger)
    try:
        if governance is not None:
            attach_governance(guard)
        attach_observers(guard)
        yield
    finally:
        _end(guard, substitution)


class _Substitution:
    """A block that has not ended: its thread, and what the guard had before, as `Engine.exchange` takes it."""

    __slots__ = ("before", "thread")

    def __init__(self, guard: Guard) -> None:
        engine = guard.engine
        self.thread = threading.current_thread()
        self.before = engine.oversight, engine.clock, engine.ledger, engine.table


_substitutions: Final[weakref.WeakKeyDictionary[Guard, list[_Substitution]]] = weakref.WeakKeyDictionary()
"""The blocks of each guard that have not ended, the outermost first. No decision depends on them."""

_lock: Final = make_lock()


def _begin(
    guard: Guard, governance: Oversight | None, clock: Now | Clock | None, ledger: Ledger | None
) -> _Substitution:
    with _lock:
        blocks = _substitutions.setdefault(guard, [])
        substitution = _Substitution(guard)
        if blocks and blocks[-1].thread is not substitution.thread:
            raise RuntimeError(
                f"thread {blocks[-1].thread.name} is substituting this guard already, and a guard has one governance, "
                "clock and ledger: run such tests one after another, or in processes of their own"
            )
        present_governance, present_clock, present_ledger, _ = substitution.before
        if ledger is None:
            ledger = present_ledger
            if governance is not None and present_governance is not None and present_governance.ledger is ledger:
                ledger = governance.ledger
        guard.engine.exchange(
            present_governance if governance is None else governance,
            present_clock if clock is None else Clock.of(clock),
            ledger,
        )
        blocks.append(substitution)
    return substitution


def _end(guard: Guard, substitution: _Substitution) -> None:
    engine = guard.engine
    with _lock:
        blocks = _substitutions[guard]
        place = blocks.index(substitution)
        del blocks[place]
        if place < len(blocks):
            blocks[place].before = substitution.before  # So the inner block restores it when it ends.
            raise RuntimeError("a block of `substituting` ended before one that it contains: end the inner one first")
        oversight, clock, ledger, table = substitution.before
        is_revised = engine.table is not table
        engine.exchange(oversight, clock, ledger, table)
    if is_revised:
        attach_observers(guard)


class WrittenDown:
    """A ledger that keeps its entries in lists."""

    def __init__(self) -> None:
        self.denials: list[PurposeViolation | PurposeMissing] = []
        self.uses: list[tuple[str | None, str, Label]] = []
        self.reclassifications: list[tuple[Reclassification, Label]] = []

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:  # noqa: ARG002  # as Ledger has it
        """Record the denial."""
        self.denials.append(error)

    def counter(self, activity: str | None, purpose: str, label: Label, /) -> Tick:
        """Return a function that records one use."""
        return functools.partial(self.uses.append, (activity, purpose, label))

    def reclassified(self, declared: Reclassification, label: Label, activity: str | None) -> None:  # noqa: ARG002  # as Ledger has it
        """Record the reclassification."""
        self.reclassifications.append((declared, label))


class Office:
    """Keeps the preferences of subjects in memory; for `governance=` of a guard in a test."""

    ledger: Ledger | None = None
    requires_subject = False

    def __init__(self) -> None:
        self.preferences_by_subject: dict[str, SubjectPreferences] = {}
        self.provisions: list[Provision] = []
        self.recipients: dict[str, Recipient] = {}
        self._roster = Roster({})

    def preferences(self, subject: str, /) -> SubjectPreferences:
        """Return the preferences of a subject."""
        return self.preferences_by_subject.get(subject, CLEAR)

    def provided(self, provision: Provision, /) -> None:
        """Record the hand-over."""
        self.provisions.append(provision)

    def recipient(self, recipient_id: str, /) -> Recipient:
        """Return a recipient from `recipients`, for hand-overs that name it by its id."""
        if recipient_id not in self.recipients:
            raise UnknownRecipient(recipient_id, "it is not in `recipients`")
        return self.recipients[recipient_id]

    def roster(self) -> Roster:
        """Return the preferences of all subjects."""
        groups: dict[SubjectPreferences, tuple[str, ...]] = {}
        for subject, preferences in sorted(self.preferences_by_subject.items()):
            groups[preferences] = (*groups.get(preferences, ()), subject)
        roster = Roster(groups)
        if roster.groups != self._roster.groups:
            self._roster = roster
        return self._roster
