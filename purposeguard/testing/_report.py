"""What a run of tests exercised: told by watched guards, added up by names, merged from processes, and reported."""

from __future__ import annotations

import collections
import json
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from purposeguard.errors import printable
from purposeguard.guard import Guard
from purposeguard.locks import new_lock
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Family, Purpose
from purposeguard.runtime.registry import Access, Activity
from purposeguard.testing._flipping import Cell, notice_key
from purposeguard.testing.watching import Asked, Watcher

MOST_NOTICES: Final = 300
"""Revisions that are remembered; tests that make notices up may make any number."""


_MOST_YOUNG: Final = 20
"""Guards that are kept until the test ends that made them, to see what was declared by then."""

_MOST_AT_ONCE: Final = 5000
"""Different decisions that are counted before they are added up."""


class Records:
    """Names and numbers alone, so that they can go to another process.

    `cells`: how often each was consulted, by its answer. `universe`: the cells that count, each with whether it is
    granted. `used` and `denied`: by notice, activity, purpose and source.
    """

    def __init__(self) -> None:
        self.cells: Counter[tuple[str, str, str, bool]] = Counter()
        self.used: Counter[tuple[str, str, str, str]] = Counter()
        self.denied: Counter[tuple[str, str, str, str]] = Counter()
        self.ran: Counter[tuple[str, str]] = Counter()
        self.activities: dict[tuple[str, str, str], None] = {}
        self.accesses: dict[tuple[str, str, int], None] = {}
        self.called: Counter[tuple[str, int]] = Counter()
        self.universe: dict[tuple[str, str, str], bool] = {}
        self.terms: dict[str, tuple[list[str], list[tuple[str, str]]]] = {}

    _COUNTED: Final = ("cells", "used", "denied", "ran", "called")
    _LISTED: Final = ("activities", "accesses", "universe", "terms")

    def dump(self) -> dict[str, Any]:
        """Lists and texts, as JSON has them."""
        return {name: [[key, value] for key, value in getattr(self, name).items()] for name in _every()}

    def merge(self, given: Mapping[str, Any]) -> None:
        """Adds what another process dumped."""
        for name in self._COUNTED:
            for key, count in given[name]:
                getattr(self, name)[tuple(key)] += count
        for name in self._LISTED:
            held = getattr(self, name)
            for key, value in given[name]:
                plain = tuple(key) if isinstance(key, (list, tuple)) else key
                held[plain] = (value[0], [tuple(one) for one in value[1]]) if name == "terms" else value

    def knows(self, notice: str) -> bool:
        """Whether cells of a notice are remembered; of made-up ones the first are."""
        return notice in self.terms or len(self.terms) < MOST_NOTICES

    def declare(self, guard: Guard, notice: Notice, is_test: Callable[[str], bool]) -> None:
        """Takes down what a guard's code declares: its activities, its access functions, and the cells that count.

        `notice` is the one that it was made for: a test may have put another revision in force. `is_test`: whether a
        module is one of tests, which may declare what it likes.
        """
        key = notice_key(notice)
        activities = [one for one in guard.activities if not is_test(one.module)]
        accesses = [one for one in guard.accesses if not is_test(one.module)]
        if not (activities or accesses):
            return
        self.name(notice, always=True)
        self.accesses.update(((key, one.name, one.line), None) for one in accesses)
        sources = {one for label in _labels(guard, accesses) for one in label if one in notice.grants}
        for activity in activities:
            self.activities[key, activity.name, activity.purpose_id] = None
            members = [one for one in _members(activity.purpose) if one in notice.purposes]
            for source in sources:
                granted = [one for one in members if one in notice.grants.get(source, {})]
                for one in granted or members:
                    self.universe[key, source.clause, one.clause] = bool(granted)

    def name(self, notice: Notice, *, always: bool = False) -> None:
        """Takes down the terms of a notice, in its order; `always`: also where there are many already."""
        key = notice_key(notice)
        if key not in self.terms and (always or self.knows(key)):
            purposes = [(one.clause, one.slug) for one in notice.purposes]
            self.terms[key] = ([one.clause for one in notice.sources], purposes)


def _every() -> tuple[str, ...]:
    return (*Records._COUNTED, *Records._LISTED)


def _members(purpose: type[Purpose] | Family) -> tuple[type[Purpose], ...]:
    return purpose.members if isinstance(purpose, Family) else (purpose,)


def _labels(guard: Guard, accesses: Iterable[Access]) -> Iterator[Label]:
    """The labels that the code behind a guard declares."""
    given: list[Label | None] = []
    for access in accesses:
        given += [access.label, access.named, access.whole, *access.fields.values(), *access.sealed.values()]
    for handed in guard.entrustments:
        given += [handed.label, handed.named]
    for declared in guard.reclassifications:
        given += [declared.sources, declared.to]
    return (one for one in given if one is not None)


class Collector(Watcher):
    """Adds up what is told: quickly while a test runs, by names when it ends."""

    def __init__(self, *, by_test: bool, is_test: Callable[[str], bool]) -> None:
        """`by_test`: it is remembered which test consulted which cells; `is_test` as in `Records.declare`."""
        self.records = Records()
        self.by_test: dict[str | None, set[Cell]] = {}
        self.by_fixture: dict[Any, set[Cell]] = {}
        self.paused = False
        self._by_test = by_test
        self._is_test = is_test
        self._test: str | None = None
        self._fixtures: list[Any] = []
        self._lock = new_lock()  # finalisers may decide as well
        self._counts: dict[tuple[int, int, bool], list[Any]] = {}
        self._entered: dict[int, list[Any]] = {}
        self._called: dict[int, list[Any]] = {}
        self._young: collections.deque[Guard] = collections.deque()
        self._made_for: weakref.WeakKeyDictionary[Guard, Notice] = weakref.WeakKeyDictionary()

    def decided(self, asked: Asked) -> None:
        if self.paused:
            return
        key = (id(asked.activity), id(asked.answers), asked.used)
        with self._lock:
            held = self._counts.get(key)
            if held is not None:
                held[0] += 1
                return
            self._counts[key] = [1, asked]  # which keeps what the key names
            if len(self._counts) > _MOST_AT_ONCE:
                self.fold()

    def entered(self, activity: Activity) -> None:
        if not self.paused:
            self._count(self._entered, activity)

    def _count(self, counts: dict[int, list[Any]], what: object) -> None:
        with self._lock:
            held = counts.get(id(what))
            if held is None:
                counts[id(what)] = [1, what]  # which keeps what the key names
            else:
                held[0] += 1

    def called(self, access: Access) -> None:
        if not self.paused:
            self._count(self._called, access)

    def made(self, guard: Guard) -> None:
        if not self.paused:
            with self._lock:
                self._young.append(guard)
                self._made_for[guard] = guard.notice
                if self._test is None:  # by a module that is imported, and by no test
                    self.records.name(guard.notice, always=True)
                if len(self._young) > _MOST_YOUNG:  # a test may make any number
                    self._declare(self._young.popleft())

    def met(self, guards: Iterable[Guard]) -> None:
        """These guards were there before."""
        for one in guards:
            self._made_for[one] = one.notice
            self.records.name(one.notice, always=True)

    def begin(self, test: str) -> None:
        """A test begins: what was decided before was so while modules were imported."""
        self.fold()
        self._test = test

    def end(self) -> None:
        """It has ended."""
        self.fold()
        self._test = None

    def begin_fixture(self, fixture: Any) -> None:
        """A fixture that several tests share is made: what it decides is consulted by all of them."""
        self.fold()
        self._fixtures.append(fixture)

    def end_fixture(self) -> None:
        """It is there."""
        self.fold()
        self._fixtures.pop()

    def fold(self) -> None:
        """Adds what was counted to the records; guards that were made meanwhile may go."""
        with self._lock:
            counts, self._counts = self._counts, {}
            entered, self._entered = self._entered, {}
            called, self._called = self._called, {}
            young, self._young = self._young, collections.deque()
            if self.paused:
                return
            records = self.records
            for guard in young:
                self._declare(guard)
            for count, access in called.values():
                records.called[access.name, access.line] += count
            for count, activity in entered.values():
                records.ran[activity.name, activity.purpose_id] += count
            for count, asked in counts.values():
                self._add(asked, count)

    def _add(self, asked: Asked, count: int) -> None:
        records = self.records
        notice = asked.answers[0][0].notice
        if not records.knows(notice):
            return
        records.name(asked.notice)
        cells = [cell for cell, _ in asked.answers]
        for cell, allowed in asked.answers:
            records.cells[cell.notice, cell.source, cell.purpose, allowed] += count
        if asked.activity is not None and asked.used:
            held = records.used if asked.allowed else records.denied
            sources = dict.fromkeys(cell.source for cell, may in asked.answers if asked.allowed or not may)
            for source in sources:
                held[notice, asked.activity.name, asked.activity.purpose_id, source] += count
        if self._by_test:
            self.by_test.setdefault(self._test, set()).update(cells)
            for fixture in self._fixtures:
                self.by_fixture.setdefault(fixture, set()).update(cells)

    def _declare(self, guard: Guard) -> None:
        self.records.declare(guard, self._made_for.get(guard, guard.notice), self._is_test)

    def finish(self, guards: Iterable[Guard]) -> Records:
        """The records, once all is told."""
        self.fold()
        for guard in guards:
            self._declare(guard)
        return self.records


FORMAT: Final = 1
_MOST_LINES: Final = 30


class Report:
    """Reads records. A cell that counts is exercised once it was consulted and answered as the notice has it."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.mutation: Any = None

    @property
    def counted(self) -> tuple[int, int]:
        """How many of the cells that count were exercised, and how many there are."""
        universe = self.records.universe
        hit = sum(self.records.cells[(*cell, granted)] > 0 for cell, granted in universe.items())
        return hit, len(universe)

    @property
    def percent(self) -> float:
        """The same in percent; 100 where there are none."""
        hit, of = self.counted
        return 100 * hit / of if of else 100.0

    @property
    def told_percent(self) -> str:
        """The same as text."""
        return f"{self._floored(1):g} %"

    def _floored(self, places: int) -> float:
        """The same to so many decimal places, rounded down: what is short of a bound is seen to be."""
        hit, of = self.counted
        scale = 10**places
        return 100 * scale * hit // of / scale if of else 100.0

    @property
    def activities(self) -> list[tuple[str, str, str]]:
        """By notice, name and purpose: those declared, of a family also for the members that `guard.use` asked for."""
        records = self.records
        names = {(notice, name) for notice, name, _ in records.activities}
        others = {one[:3] for one in (*records.used, *records.denied) if one[:2] in names}
        return sorted({*records.activities, *others})

    @property
    def uncalled(self) -> list[tuple[str, int]]:
        """The access functions that were never called."""
        called = self.records.called
        found = dict.fromkeys((name, line) for _, name, line in self.records.accesses)
        return [one for one in found if not called[one]]

    # ---- for people ------------------------------------------------------------------------------------------------

    def lines(self, verbose: bool = False) -> Iterator[str]:
        """What is printed."""
        records = self.records
        declared = {notice for notice, _, _ in records.activities}
        for notice in (one for one in records.terms if one in declared):
            yield notice
            yield from _short(self._activities(notice), verbose)
            yield from self._matrix(notice)
        others = len({notice for notice, *_ in records.cells} - declared)
        if others:
            noun = "revision" if others == 1 else "revisions"
            yield f"{others} other {noun} of notices decided something, for which no guard declares an activity"
        uncalled = self.uncalled
        if uncalled:
            yield "access functions never called"
            yield from _short([f"  {name} (line {line})" for name, line in uncalled], verbose)
        hit, of = self.counted
        yield (
            f"{hit} of {of} cells exercised ({self.told_percent})"
            if of
            else "no cells: no activity and no source is declared"
        )

    def _activities(self, notice: str) -> list[str]:
        records = self.records
        found: list[str] = []
        for given, name, purpose in self.activities:
            if given != notice:
                continue
            if not records.ran[name, purpose]:
                found.append(f"  {name} for {purpose}: never ran")
                continue
            used = _sources(records.used, (notice, name, purpose))
            denied = _sources(records.denied, (notice, name, purpose))
            told = f"used {_times(used)}" if used else "used nothing"
            told += f"; denied {_times(denied)}" if denied else ""
            found.append(printable(f"  {name} for {purpose}: {told}"))
        return found

    def _matrix(self, notice: str) -> Iterator[str]:
        records = self.records
        sources, purposes = records.terms[notice]
        for purpose, slug in purposes:
            cells = [one for one in sources if (notice, one, purpose) in records.universe]
            if not cells:
                continue
            told: list[str] = []
            for word, may in (("allowed", True), ("denied", False)):
                hit = [one for one in sources if records.cells[notice, one, purpose, may]]
                if hit:
                    told.append(f"{word} {' '.join(hit)}")
            missed = [
                f"{one} ({'granted' if records.universe[notice, one, purpose] else 'not granted'})"
                for one in cells
                if not records.cells[notice, one, purpose, records.universe[notice, one, purpose]]
            ]
            if missed:
                told.append(f"never {' '.join(missed)}")
            yield printable(f"  {purpose} {slug}: {' | '.join(told)}")

    # ---- for programs ------------------------------------------------------------------------------------------------

    def tables(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        records = self.records
        hit, of = self.counted
        cells = sorted({one[:3] for one in records.cells} | set(records.universe), key=self.order)
        made: dict[str, Any] = {
            "format": FORMAT,
            "percent": self._floored(2),
            "cells_exercised": hit,
            "cells_declared": of,
            "cells": [
                {
                    "notice": notice,
                    "source": source,
                    "purpose": purpose,
                    "declared": (notice, source, purpose) in records.universe,
                    "granted": records.universe.get((notice, source, purpose)),
                    "allowed": records.cells[notice, source, purpose, True],
                    "denied": records.cells[notice, source, purpose, False],
                }
                for notice, source, purpose in cells
            ],
            "activities": [
                {
                    "notice": notice,
                    "activity": name,
                    "purpose": purpose,
                    "ran": records.ran[name, purpose] > 0,
                    "used": _sources(records.used, (notice, name, purpose)),
                    "denied": _sources(records.denied, (notice, name, purpose)),
                }
                for notice, name, purpose in self.activities
            ],
            "accesses": [
                {"notice": notice, "function": name, "line": line, "called": records.called[name, line]}
                for notice, name, line in sorted(records.accesses)
            ],
        }
        if self.mutation is not None:
            made["mutation"] = self.mutation.tables()
        return made

    def order(self, cell: tuple[str, str, str]) -> tuple[str, int, int, str, str]:
        """What sorts cells as their notice has them."""
        notice, source, purpose = cell
        sources, purposes = self.records.terms.get(notice, ([], []))
        clauses = [clause for clause, _ in purposes]
        return (
            notice,
            clauses.index(purpose) if purpose in clauses else -1,
            sources.index(source) if source in sources else -1,
            purpose,
            source,
        )

    def write(self, path: Path) -> None:
        """Writes the tables to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.tables(), ensure_ascii=False, indent=2) + "\n", "utf-8")


def _sources(counts: Counter[tuple[str, str, str, str]], key: tuple[str, str, str]) -> dict[str, int]:
    return {source: counts[one] for one in sorted(counts) if (source := one[3]) and one[:3] == key}


def _times(sources: dict[str, int]) -> str:
    return ", ".join(f"{source} {count}×" for source, count in sources.items())


def _short(lines: Iterable[str], verbose: bool) -> Iterator[str]:
    """The first of many lines."""
    found = list(lines)
    yield from found if verbose else found[:_MOST_LINES]
    if not verbose and len(found) > _MOST_LINES:
        yield f"  … and {len(found) - _MOST_LINES} more: -v, or --purposeguard-json=FILE"
