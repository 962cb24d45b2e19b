"""The roster of all subjects who declared something: read whole once, then updated by the changes."""

from __future__ import annotations

import bisect
import datetime
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from purposeguard.governance.deadlines import current_deadline
from purposeguard.governance.engines import UNREACHED, make_unavailable_error
from purposeguard.governance.loops import warn_if_blocking
from purposeguard.governance.restrictions import NOTHING_DECLARED, SubjectState, read_all_states, read_states
from purposeguard.governance.subjects import Subjects
from purposeguard.locks import make_lock
from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.runtime.clock import Span
from purposeguard.runtime.protocols import Roster

BATCH: Final = 1_000
"""The number of subjects that one query asks for."""

AHEAD: Final = "`await governance.aroster()` before"
"""The call by which a coroutine gets the roster without blocking its event loop."""


class Rosters:
    """A roster of all subjects that is read whole once, then only where something changed.

    A change that is reported during a reading is read the next time, so none is lost.
    """

    def __init__(self, subjects: Subjects) -> None:
        self._subjects = subjects
        self._lock = make_lock()  # held while reading: others wait for the same answer
        self._reading = False
        self._noting = make_lock()  # guards the two attributes that follow; never held for long
        self._changed: set[str] = set()
        self._must_read_all = True
        self._roster = Roster({})
        self._state_by_subject: dict[str, SubjectState] = {}
        self._validity = NOTHING_DECLARED
        """A state that holds only while the states of all subjects hold."""

    def invalidate(self, subjects: Collection[str], /) -> None:
        """Have these subjects read again at the next use."""
        with self._noting:
            if not self._must_read_all:
                self._changed.update(subjects)

    def forget(self) -> None:
        """Have all subjects read again at the next use."""
        with self._noting:
            self._must_read_all = True
            self._changed.clear()

    def roster(self) -> Roster:
        """Return the roster of all subjects: the same object until something changes. Raise StoreUnavailable."""
        patience = min(current_deadline() - time.monotonic(), threading.TIMEOUT_MAX)
        if not self._lock.acquire(timeout=max(0.0, patience)):
            raise make_unavailable_error(self._subjects.store.where, "has not told of all subjects in time", UNREACHED)
        try:
            return self._get_current()
        finally:
            self._lock.release()

    def get_if_current(self) -> Roster | None:
        """Return the roster if nothing needs to be read for it; otherwise None. Does not wait."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self._roster if not self._reading and self._is_current(self._subjects.clock.span()) else None
        finally:
            self._lock.release()

    def _is_current(self, now: Span) -> bool:
        return not self._must_read_all and not self._changed and self._validity.holds(now)

    def _get_current(self) -> Roster:
        now = self._subjects.clock.span()
        if self._reading:  # a signal handler or finaliser cannot wait for the thread that it interrupts
            return Roster(_group_by_preferences(self._read_all(now)))
        if self._is_current(now):
            return self._roster
        due = not self._validity.holds(now)
        self._reading = True
        with self._noting:
            whole, changed = self._must_read_all, self._changed
            self._must_read_all, self._changed = False, set()
        try:
            groups = self._build(now) if whole else self._update_groups(changed, now, due=due)
            if groups != self._roster.groups:  # A change that was reported twice has no effect the second time.
                self._roster = Roster(groups)
        except BaseException:
            self.forget()
            raise
        finally:
            self._reading = False
        return self._roster

    def _build(self, now: Span) -> Mapping[SubjectPreferences, tuple[str, ...]]:
        self._state_by_subject = self._read_all(now)
        self._validity = _intersect_validity(self._state_by_subject.values())
        return _group_by_preferences(self._state_by_subject)

    def _update_groups(
        self, changed: set[str], now: Span, *, due: bool
    ) -> Mapping[SubjectPreferences, tuple[str, ...]]:
        """Update the groups: read the changed subjects again, and those whose state changed by itself."""
        if due:
            for subject, state in self._state_by_subject.items():
                if not state.holds(now):
                    changed.add(subject)
        leaving: dict[SubjectPreferences, list[str]] = {}
        joining: dict[SubjectPreferences, list[str]] = {}
        for subject, present in self._read(list(changed), now).items():
            before = self._state_by_subject.pop(subject, NOTHING_DECLARED)
            if present != NOTHING_DECLARED:
                self._state_by_subject[subject] = present
            if before.preferences != present.preferences:
                leaving.setdefault(before.preferences, []).append(subject)
                joining.setdefault(present.preferences, []).append(subject)
            self._validity = _intersect_validity((self._validity, present))
        if due:
            self._validity = _intersect_validity(self._state_by_subject.values())
        groups = dict(self._roster.groups)
        for preferences in (leaving.keys() | joining.keys()) - {CLEAR}:
            members = _update_members(
                groups.pop(preferences, ()), leaving.get(preferences, ()), joining.get(preferences, ())
            )
            if members:
                groups[preferences] = members
        return groups

    def _read(self, subjects: Sequence[str], now: Span) -> dict[str, SubjectState]:
        read: dict[str, SubjectState] = {}
        warn_if_blocking(AHEAD)
        with self._subjects.store.reading() as connection:
            for first in range(0, len(subjects), BATCH):
                read |= read_states(
                    connection,
                    subjects[first : first + BATCH],
                    now,
                    self._subjects.clause_now,
                    self._subjects.has_words,
                )
        return read

    def _read_all(self, now: Span) -> dict[str, SubjectState]:
        warn_if_blocking(AHEAD)
        with self._subjects.store.reading() as connection:
            return read_all_states(connection, now, self._subjects.clause_now, self._subjects.has_words)


def _update_members(members: tuple[str, ...], leaving: Iterable[str], joining: Iterable[str]) -> tuple[str, ...]:
    """Return the members of a group, in order, without those who left and with those who joined."""
    updated = list(members)
    for subject in leaving:
        del updated[bisect.bisect_left(updated, subject)]
    for subject in joining:
        bisect.insort(updated, subject)
    return tuple(updated)


def _intersect_validity(states: Collection[SubjectState]) -> SubjectState:
    """Return a state that holds as long as all of these hold. Its preferences mean nothing."""
    until: datetime.datetime | None = None
    since: datetime.datetime | None = None
    for state in states:
        if state.until is not None:
            until = state.until if until is None else min(until, state.until)
        if state.since is not None:
            since = state.since if since is None else max(since, state.since)
    return SubjectState(CLEAR, until, since)


def _group_by_preferences(states: Mapping[str, SubjectState]) -> dict[SubjectPreferences, tuple[str, ...]]:
    groups: dict[SubjectPreferences, list[str]] = {}
    for subject, present in states.items():
        if present.preferences != CLEAR:  # A state that is clear now may change later.
            groups.setdefault(present.preferences, []).append(subject)
    return {preferences: tuple(sorted(subjects)) for preferences, subjects in groups.items()}
