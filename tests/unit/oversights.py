"""What tests of subjects share: an oversight that says what a test wants, and a ledger that counts for itself."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.policy.transfers import Provision
from purposeguard.runtime.declarations import LegalException
from purposeguard.runtime.observer import Ledger, Tick
from tests.unit.samples import Tape

STOPPED = SubjectPreferences(all_suspended=True)
ERASED = SubjectPreferences(erased=True)

SUSPENDED = 7
"""The id of a subject who stopped all use; everybody else asked for nothing."""


class Office:
    """Keeps how subjects stand, by their keys; `asked` are those it was asked about, in turn."""

    def __init__(
        self,
        all_preferences: dict[str, SubjectPreferences] | None = None,
        *,
        requires_subject: bool = False,
        ledger: Ledger | None = None,
    ) -> None:
        self.all_preferences = {str(SUSPENDED): STOPPED} if all_preferences is None else all_preferences
        self.asked: list[str] = []
        self.closed = False
        self._requires_subject = requires_subject
        self._ledger = ledger

    @property
    def ledger(self) -> Ledger | None:
        return self._ledger

    @property
    def requires_subject(self) -> bool:
        return self._requires_subject

    def preferences(self, subject: str, /) -> SubjectPreferences:
        assert type(subject) is str
        self.asked.append(subject)
        if self.closed:
            raise StoreUnavailable("the store is closed")
        return self.all_preferences.get(subject, CLEAR)

    def provided(self, provision: Provision, /) -> None:
        raise AssertionError("nothing is handed over here")


class Many(Office):
    """An office that can be asked about many subjects at once. Each of `batches` was asked about together."""

    def __init__(self, all_preferences: dict[str, SubjectPreferences] | None = None) -> None:
        super().__init__(all_preferences)
        self.batches: list[list[str]] = []

    def preferences_of_each(self, subjects: list[str], /) -> list[SubjectPreferences]:
        self.batches.append(list(subjects))
        return [self.all_preferences.get(subject, CLEAR) for subject in subjects]


class Counting(Tape):
    """A ledger that counts uses itself, and is told of exceptions."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: collections.Counter[tuple[str | None, str, pg.Label]] = collections.Counter()
        self.exceptions: list[tuple[LegalException, pg.Label, str | None, int]] = []
        self.counters = 0

    def counter(self, activity: str | None, purpose: str, label: pg.Label) -> Tick:
        self.counters += 1
        key = (activity, purpose, label)

        def tick() -> None:
            self.counts[key] += 1

        return tick

    def excepted(self, exception: LegalException, label: pg.Label, subject: str | None, count: int) -> None:
        self.exceptions.append((exception, label, subject, count))


def guarded(office: Office | None = None, notice: Any = tm.NOTICE, **options: Any) -> pg.Guard:
    """A guard whose office knows of one suspended subject, unless another is given."""
    return pg.Guard(notice, governance=Office() if office is None else office, **options)


WAYS_TO_READ: list[dict[str, Any]] = [{}, {"narrow": True}, {"withhold": True}]
"""Options of an access function: rows are refused, left out, or withheld."""


def listing(guard: pg.Guard, row: Any, **options: Any) -> Callable[..., Any]:
    """An access function that gives the rows of the keys that it is called with."""

    def load(*keys: int) -> Any:
        return [row(key=key) for key in keys]

    load.__annotations__["return"] = list[row]
    return guard.access(**options)(load)
