"""How things stand for all subjects at once, kept up to date by what changes: asked where a query reads many rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from purposeguard.governance.declarations import NOTHING_DECLARED, Stands, all_stands, stands
from purposeguard.governance.subjects import Subjects
from purposeguard.locks import new_lock
from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.runtime.clock import Span
from purposeguard.runtime.protocols import Roster

MOST_ASKED_SINGLY: Final = 200
"""Subjects who are asked about one by one where they changed; of more than that all is read again."""


class Rolls:
    """Keeps a roster of subjects: read whole once, and then of those alone who changed.

    What has changed it is told (`changed`, `forget`); that it is told in time is the matter of who tells. A change that
    it is told of while it reads is read again the next time, so none is lost.
    """

    def __init__(self, subjects: Subjects) -> None:
        self._subjects = subjects
        self._lock = new_lock()  # held while reading: others wait for the same answer
        self._reading = False
        self._telling = new_lock()  # of the three that follow; never held for long
        self._dirty: set[str] = set()
        self._unknown = True
        self._roster = Roster({})
        self._all_preferences: dict[str, Stands] = {}
        self._changing = Stands(CLEAR, None)  # the first that does

    def changed(self, subjects: Collection[str], /) -> None:
        """These stand otherwise from now on."""
        with self._telling:
            if not self._unknown:
                self._dirty.update(subjects)

    def forget(self) -> None:
        """Everything may be otherwise."""
        with self._telling:
            self._unknown = True
            self._dirty.clear()

    def roster(self) -> Roster:
        """How things stand for all; the same object as long as nothing has changed.

        Raises:
            StoreUnavailable: it cannot be read now.
        """
        with self._lock:
            now = self._subjects.clock.span()
            if self._reading:  # a signal handler or finaliser, which cannot wait for the answer of what it interrupts
                return _grouped(self._all(now))
            due = not self._changing.holds(now)
            if not self._unknown and not self._dirty and not due:
                return self._roster
            self._reading = True
            with self._telling:
                whole, dirty = self._unknown, set(self._dirty)
                self._unknown, self._dirty = False, set()
            try:
                if due:
                    dirty.update(one for one, stood in self._all_preferences.items() if not stood.holds(now))
                if whole or len(dirty) > MOST_ASKED_SINGLY:
                    self._all_preferences = self._all(now)
                else:
                    self._read(dirty, now)
            except BaseException:
                self.forget()
                raise
            finally:
                self._reading = False
            self._changing = Stands(
                CLEAR,
                min((one.until for one in self._all_preferences.values() if one.until is not None), default=None),
                max((one.since for one in self._all_preferences.values() if one.since is not None), default=None),
            )
            found = _grouped(self._all_preferences)
            if found.groups != self._roster.groups:  # a change that was told twice is none the second time
                self._roster = found
            return self._roster

    def _all(self, now: Span) -> dict[str, Stands]:
        with self._subjects.store.reading() as connection:
            return all_stands(connection, now, self._subjects.clause_now)

    def _read(self, dirty: Collection[str], now: Span) -> None:
        with self._subjects.store.reading() as connection:
            for subject in dirty:
                stood = stands(connection, subject, now, self._subjects.clause_now)
                if stood == NOTHING_DECLARED:
                    self._all_preferences.pop(subject, None)
                else:
                    self._all_preferences[subject] = stood


def _grouped(all_preferences: Mapping[str, Stands]) -> Roster:
    groups: dict[SubjectPreferences, list[str]] = {}
    for subject, stood in all_preferences.items():
        if stood.preferences == CLEAR:  # and may be otherwise at another time
            continue
        groups.setdefault(stood.preferences, []).append(subject)
    return Roster({preferences: tuple(sorted(of)) for preferences, of in groups.items()})
