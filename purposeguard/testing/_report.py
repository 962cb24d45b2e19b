"""What a test run exercised: collected from watched guards, merged from worker processes, and reported."""

from __future__ import annotations

import collections
import functools
import itertools
import json
import operator
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from purposeguard.adoption.evidence import Evidence
from purposeguard.adoption.evidence_store import EvidenceKey, EvidenceMemory, EvidenceRow
from purposeguard.containers import drop_none, intersect
from purposeguard.errors import escape_controls
from purposeguard.guard import Guard
from purposeguard.locks import make_lock
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Family, Purpose, list_members
from purposeguard.runtime.entry_point import EntryPoint
from purposeguard.runtime.registry import Access, Activity
from purposeguard.testing._comparison import FORMAT, Comparison
from purposeguard.testing.watching import CellQuestion, WatchedCell, Watcher, notice_key

MOST_NOTICES: Final = 300
"""Revisions that are recorded; generated tests may make any number."""

MAX_CACHED_KEYS: Final = 10_000
"""The number of decisions whose keys are remembered."""

_DECLARED: Final = ("activities", "accesses", "contents", "universe", "terms")
"""The attributes of `Records` about declarations."""

_NAME_OF_TESTS: Final = EntryPoint.test("").name
"""The beginning of the names of activities that `purposes.toml` states for tests."""

_MODULES_OF_TOOLS: Final = "purposeguard.testing."
"""The beginning of the names of modules whose activities stand for those of a test."""

_MOST_YOUNG: Final = 20
"""Guards kept until their test ends, when all their declarations are there."""


class DeclaredActivity(NamedTuple):
    """An activity that the code declares."""

    notice: str
    name: str
    purpose: str
    channel: str
    """Empty if there is none."""
    place: str
    """The function and line, or only the line if the activity has the name of the function."""
    module: str
    members: tuple[str, ...]
    """The purposes of the notice that it may serve: those of the family, or the only one."""

    def __str__(self) -> str:
        return f"{self.name} ({self.place}) for {self.purpose}"


class Records:
    """The evidence of a run of tests, and what its guards declare.

    They contain names alone, so that they can be sent to another process.

    Attributes:
        evidence: The counters of decisions, of runs of activities and of calls of access functions.
        activities: The declared activities: the fields of `DeclaredActivity`.
        accesses: The declared access functions, by notice, name and line.
        contents: The sources of each access function: its notice, name, line and module, and the source.
        universe: Cell of a declared purpose and a declared source → whether the notice grants it.
        terms: Notice → its sources, and its purposes with their slugs.
        is_complete: False if some events were not counted, because a test had too many different ones.
    """

    def __init__(self) -> None:
        self.evidence: Final = EvidenceMemory()
        self.activities: dict[tuple[Any, ...], None] = {}
        self.accesses: dict[tuple[str, str, int], None] = {}
        self.contents: dict[tuple[str, str, int, str, str], None] = {}
        self.universe: dict[tuple[str, str, str], bool] = {}
        self.terms: dict[str, tuple[list[str], list[tuple[str, str]]]] = {}
        self.is_complete = True

    def dump(self) -> dict[str, Any]:
        """Return the records as plain values, which pytest-xdist sends to another process."""
        dump = {name: dict(getattr(self, name)) for name in _DECLARED}
        counts = {tuple(row.key): row.times for row in self.evidence.load()}
        return {**dump, "counts": counts, "is_complete": self.is_complete}

    def merge(self, dump: Mapping[str, Any]) -> None:
        """Add what another process dumped."""
        for name in _DECLARED:
            getattr(self, name).update(dump[name])
        self.evidence.add({EvidenceKey(*key): times for key, times in dump["counts"].items()})
        self.is_complete = self.is_complete and dump["is_complete"]

    def knows(self, notice: str) -> bool:
        """Return True if cells of a notice are recorded: there is a limit on the number of notices."""
        return notice in self.terms or len(self.terms) < MOST_NOTICES

    def declare(self, guard: Guard, notice: Notice, is_test: Callable[[str], bool]) -> None:
        """Record what a guard's code declares: activities, access functions, and cells.

        `notice`: the one that the guard was made with; a test may have replaced it. `is_test`: whether a module holds
        tests, whose declarations do not count. Purposes that `purposes.toml` states for tests do not count either.
        """
        key = notice_key(notice)
        activities = [
            activity
            for activity in guard.activities
            if not (
                is_test(activity.module)
                or activity.module.startswith(_MODULES_OF_TOOLS)
                or activity.name.startswith(_NAME_OF_TESTS)
            )
        ]
        accesses = [access for access in guard.accesses if not is_test(access.module)]
        if not (activities or accesses):
            return
        self.name(notice, always=True)
        for access in accesses:
            self.accesses[key, access.name, access.line] = None
            for source in notice.grants.keys() & itertools.chain.from_iterable(_labels_of_access(access)):
                self.contents[key, access.name, access.line, access.module, source.clause] = None
        sources = notice.grants.keys() & itertools.chain.from_iterable(_labels(guard, accesses))
        for activity in activities:
            members = intersect(list_members(activity.purpose), notice.purposes)
            place = activity.site.dotted if activity.site.dotted != activity.name else ""
            declared = DeclaredActivity(
                notice=key,
                name=activity.name,
                purpose=activity.purpose_id,
                channel=activity.channel or "",
                place=f"{place} line {activity.line}".lstrip(),
                module=activity.module,
                members=tuple(member.clause for member in members),
            )
            self.activities[tuple(declared)] = None
            for source in sources:
                granted = intersect(members, notice.grants[source])
                for member in granted or members:
                    self.universe[key, source.clause, member.clause] = bool(granted)

    def name(self, notice: Notice, *, always: bool = False) -> None:
        """Record the terms of a notice, in its order; `always`: beyond the limit too."""
        key = notice_key(notice)
        if key not in self.terms and (always or self.knows(key)):
            sources = list(map(operator.attrgetter("clause"), notice.sources))
            self.terms[key] = (sources, list(map(operator.attrgetter("clause", "slug"), notice.purposes)))


def _labels_of_access(access: Access) -> list[Label]:
    """Return the labels that an access function declares."""
    return drop_none([access.label, access.named, access.whole, *access.fields.values(), *access.sealed.values()])


def _labels(guard: Guard, accesses: Iterable[Access]) -> list[Label]:
    """Return the labels that the code behind a guard declares."""
    labels: list[Label | None] = []
    for access in accesses:
        labels += _labels_of_access(access)
    for handed in guard.entrustments:
        labels += [handed.label, handed.named]
    for table in guard.tables:
        labels += map(operator.itemgetter(1), table.columns)
    for declared in guard.reclassifications:
        labels += [declared.sources, declared.to]
    return drop_none(labels)


class Collector(Watcher):
    """Counts what watched guards do as evidence.

    The evidence names no entry points, as the report adds up all of them: it stays small however many tests there are.
    """

    def __init__(self, *, by_test: bool, is_test: Callable[[str], bool]) -> None:
        """Start without records.

        With `by_test`, record which test consulted which cells. `is_test` works as in `Records.declare`.
        """
        self.records = Records()
        self.by_test: dict[str | None, set[WatchedCell]] = {}
        self.by_fixture: dict[Any, set[WatchedCell]] = {}
        self.paused = False
        self._evidence = Evidence(self.records.evidence, interval=None)
        self._by_test = by_test
        self._is_test = is_test
        self._test: str | None = None
        self._fixtures: list[Any] = []
        self._lock = make_lock()  # finalisers may decide as well
        self._young: collections.deque[Guard] = collections.deque()
        self._made_for: weakref.WeakKeyDictionary[Guard, Notice] = weakref.WeakKeyDictionary()

    def decided(self, question: CellQuestion) -> None:
        notice = question.answers[0][0].notice
        # Under an activity, the guard may be the service's own, whose declarations are read when the test ends.
        if self.paused or not (self.records.knows(notice) or question.activity is not None):
            return
        name, purpose = _identify(question.activity)
        purpose = purpose or _get_purpose_id(question.purpose)
        for key in _make_keys(question.answers, name, purpose, used=question.used, allowed=question.allowed):
            self._evidence.add(key)
        with self._lock:
            self.records.name(question.notice)
            if self._by_test:
                cells = list(map(operator.itemgetter(0), question.answers))
                self.by_test.setdefault(self._test, set()).update(cells)
                for fixture in self._fixtures:
                    self.by_fixture.setdefault(fixture, set()).update(cells)

    def entered(self, activity: Activity, outer: Activity | None) -> None:
        if self.paused:
            return
        outer_name, outer_purpose = _identify(outer)
        if (outer_name, outer_purpose) != _identify(activity):  # Otherwise it runs already.
            self._evidence.add(EvidenceKey("", "", *_identify(activity), outcome="entered"))
        if outer_name not in ("", activity.name):
            key = EvidenceKey("", "", outer_name, outer_purpose, field=activity.name, outcome="delegated")
            self._evidence.add(key)

    def called(self, access: Access, activity: Activity | None) -> None:
        if not self.paused:
            line = str(access.line)
            key = EvidenceKey("", "", *_identify(activity), field=access.name, outcome="called", detail=line)
            self._evidence.add(key)

    def made(self, guard: Guard) -> None:
        if not self.paused:
            with self._lock:
                self._young.append(guard)
                self._made_for[guard] = guard.notice
                if self._test is None:  # made while a module is imported
                    self.records.name(guard.notice, always=True)
                if len(self._young) > _MOST_YOUNG:  # a test may make any number
                    self._declare(self._young.popleft())

    def add_guards(self, guards: Iterable[Guard]) -> None:
        """Record guards that exist already."""
        for guard in guards:
            self._made_for[guard] = guard.notice
            self.records.name(guard.notice, always=True)

    def begin(self, test: str) -> None:
        """Attribute decisions to a test that begins; earlier decisions belong to the import of modules."""
        self._test = test

    def end(self) -> None:
        """Record the declarations of the guards that a test made, now that it has ended."""
        self._test = None
        with self._lock:
            young, self._young = self._young, collections.deque()
            for guard in young:
                self._declare(guard)
        self._evidence.flush()
        if self._evidence.has_stopped:
            self.records.is_complete = False

    def begin_fixture(self, fixture: Any) -> None:
        """Begin to attribute decisions to a shared fixture: they count for all tests that use it."""
        self._fixtures.append(fixture)

    def end_fixture(self) -> None:
        """Stop attributing decisions to the shared fixture that was made."""
        self._fixtures.pop()

    def _declare(self, guard: Guard) -> None:
        self.records.declare(guard, self._made_for.get(guard, guard.notice), self._is_test)

    def finish(self, guards: Iterable[Guard]) -> Records:
        """Return the records, complete."""
        self.end()
        for guard in guards:
            self._declare(guard)
        return self.records


@functools.lru_cache(MAX_CACHED_KEYS)
def _make_keys(
    answers: tuple[tuple[WatchedCell, bool], ...], activity: str, purpose: str, *, used: bool, allowed: bool
) -> tuple[EvidenceKey, ...]:
    """Return the keys under which a decision is counted: one for each source."""
    keys: list[EvidenceKey] = []
    for (notice, source, may), cells in itertools.groupby(answers, _get_source):
        members = [cell.purpose for cell, _ in cells]
        outcome = "allowed" if may else "refused"
        if used and (allowed or not may):
            outcome = "read" if allowed else "denied"
        key = EvidenceKey(
            notice=notice.replace(" ", "@"),
            activity=activity,
            purpose=purpose,
            sources=source,
            outcome=outcome,
            detail="" if members == [purpose] else " ".join(members),
        )
        keys.append(key)
    return tuple(keys)


def _identify(activity: Activity | None) -> tuple[str, str]:
    """Return the name and the purpose of an activity; empty texts if there is none."""
    return ("", "") if activity is None else (activity.name, activity.purpose_id)


def _get_purpose_id(purpose: type[Purpose] | Family) -> str:
    return purpose.name if isinstance(purpose, Family) else purpose.clause


def _get_source(answer: tuple[WatchedCell, bool]) -> tuple[str, str, bool]:
    cell, allowed = answer
    return cell.notice, cell.source, allowed


_MOST_LINES: Final = 30


class CoverageReport:
    """A view of the evidence of a run of tests.

    A cell that the service can reach is exercised if it was consulted, and the answer was that of the notice.

    Attributes:
        records: The evidence and the declarations.
        cells: How often each cell was consulted, by notice, source, purpose and answer.
        used: How often each activity used a source, by notice, activity, purpose and source.
        denied: How often an activity was denied a source, likewise.
        ran: How often each activity ran, by name and purpose.
        called: How often each access function was called, by name and line.
        declared: The declared activities.
        reached_by: Cell that the service can reach → the names of the activities that reach it.
        unknown: The activities that never ran, and of which nothing tells the sources.
        idle: The activities that ran, without a decision, a call of an access function or another activity within.
        comparison: The comparison with a previous report, if there is one.
        mutation: The result of the mutation, if there was one.
    """

    def __init__(self, records: Records) -> None:
        self.records: Final = records
        self.cells: Final[Counter[tuple[str, str, str, bool]]] = Counter()
        self.used: Final[Counter[tuple[str, str, str, str]]] = Counter()
        self.denied: Final[Counter[tuple[str, str, str, str]]] = Counter()
        self.ran: Final[Counter[tuple[str, str]]] = Counter()
        self.called: Final[Counter[tuple[str, int]]] = Counter()
        self.declared: Final = sorted(itertools.starmap(DeclaredActivity, records.activities))
        self.reached_by: Final[defaultdict[tuple[str, str, str], set[str]]] = defaultdict(set)
        self.unknown: Final[list[DeclaredActivity]] = []
        self.idle: Final[list[DeclaredActivity]] = []
        self.comparison: Comparison | None = None
        self.mutation: Any = None
        self._decided: Final[defaultdict[tuple[str, str], set[tuple[str, str]]]] = defaultdict(set)
        self._calls: Final[defaultdict[tuple[str, str], set[tuple[str, int]]]] = defaultdict(set)
        for row in records.evidence.load():
            self._add_row(row)
        self._find_reachable_cells()

    def _add_row(self, row: EvidenceRow) -> None:
        key = row.key
        if key.outcome == "entered":
            self.ran[key.activity, key.purpose] += row.times
            return
        if key.outcome == "delegated":
            self._calls[key.activity, key.purpose].add((key.field, 0))
            return
        if key.outcome == "called":
            self.called[key.field, int(key.detail)] += row.times
            self._calls[key.activity, key.purpose].add((key.field, int(key.detail)))
            return
        notice = key.notice.replace("@", " ")
        for member in key.detail.split() or [key.purpose]:
            self.cells[notice, key.sources, member, key.outcome in ("read", "allowed")] += row.times
        self._decided[key.activity, key.purpose].add((notice, key.sources))
        if key.activity and key.outcome in ("read", "denied"):
            counts = self.used if key.outcome == "read" else self.denied
            counts[notice, key.activity, key.purpose, key.sources] += row.times

    def _find_reachable_cells(self) -> None:
        """Find what each activity reaches: `reached_by`, `unknown` and `idle`."""
        of_function: defaultdict[tuple[str, str, int], set[str]] = defaultdict(set)
        of_module: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for notice, name, line, module, source in self.records.contents:
            of_function[notice, name, line].add(source)
            of_module[notice, module].add(source)
        for activity in self.declared:
            notice = activity.notice
            decided: set[tuple[str, str]] = set()
            calls: set[tuple[str, int]] = set()
            for purpose in {activity.purpose, *activity.members}:
                decided |= self._decided[activity.name, purpose]
                calls |= self._calls[activity.name, purpose]
            sources = {source for noticed, source in decided if noticed == notice}
            sources = sources.union(*(of_function[notice, *call] for call in calls))
            if not (decided or calls):
                sources = of_module[notice, activity.module]
            for cell in self._select_cells(activity, sources):
                self.reached_by[cell].add(activity.name)
            if not self.ran[activity.name, activity.purpose]:
                if not sources:
                    self.unknown.append(activity)
            elif not (decided or calls):
                self.idle.append(activity)

    def _select_cells(self, activity: DeclaredActivity, sources: Iterable[str]) -> Iterator[tuple[str, str, str]]:
        """Yield the cells of an activity: of a family, those of the members that may serve the source, or of all."""
        universe = self.records.universe
        for source in sources:
            cells = [(activity.notice, source, member) for member in activity.members]
            cells = list(filter(universe.__contains__, cells))
            yield from [cell for cell in cells if universe[cell]] or cells

    @property
    def counted(self) -> tuple[int, int]:
        """The numbers of exercised cells, and of those that the service can reach.

        An activity of which nothing tells the sources counts as one cell.
        """
        hit = sum(map(self._is_exercised, self.reached_by))
        return hit, len(self.reached_by) + len(self.unknown)

    def _is_exercised(self, cell: tuple[str, str, str]) -> bool:
        return self.cells[(*cell, self.records.universe[cell])] > 0

    @property
    def percent(self) -> float:
        """The percentage exercised; 100 if there are none."""
        hit, of = self.counted
        return 100 * hit / of if of else 100.0

    def floor_percentage(self, places: int) -> float:
        """Return the percentage, rounded down, so that a value below a bound is not shown as the bound."""
        hit, of = self.counted
        scale = 10**places
        return 100 * scale * hit // of / scale if of else 100.0

    @property
    def activities(self) -> list[tuple[str, str, str]]:
        """(notice, activity, purpose): those declared, and for a family also the members that were asked for."""
        names = {(activity.notice, activity.name) for activity in self.declared}
        activities = {(activity.notice, activity.name, activity.purpose) for activity in self.declared}
        for notice, name, purpose, _ in (*self.used, *self.denied):
            if (notice, name) in names:
                activities.add((notice, name, purpose))
        return sorted(activities)

    # ---- for people ------------------------------------------------------------------------------------------------

    def lines(self, verbose: bool = False) -> Iterator[str]:
        """Yield the lines to print: first those that ask for something to be done."""
        idle = [f"  {activity}: ran {self.ran[activity.name, activity.purpose]}×" for activity in self.idle]
        yield from _list("activities that ran and used nothing: they may read around the guard", idle, verbose)
        if self.comparison is not None:
            yield from _list(self.comparison.title, self.comparison.lines(), verbose)
        title = "cells that the service can reach and no test exercises"
        yield from _list(title, self._describe_missed_cells(), verbose)
        for notice in self.records.terms:
            yield from _list(notice, self._describe_activities(notice), verbose)
        accesses = dict.fromkeys((name, line) for _, name, line in self.records.accesses)
        uncalled = [f"  {name} (line {line})" for name, line in accesses if not self.called[name, line]]
        yield from _list("access functions never called", uncalled, verbose)
        hit, of = self.counted
        yield (
            f"{hit} of {of} reachable cells exercised ({self.floor_percentage(1):g} %)"
            if of
            else "no cells: no activity reaches a source"
        )
        if not self.records.is_complete:
            yield "the figures are too low: one test had so many different decisions that counting stopped"

    def _describe_activities(self, notice: str) -> Iterator[str]:
        idle = {(activity.name, activity.purpose) for activity in self.idle}
        for declared_in, name, purpose in self.activities:
            if declared_in != notice or (name, purpose) in idle:
                continue
            used = _sources(self.used, (notice, name, purpose))
            denied = _sources(self.denied, (notice, name, purpose))
            use = f"used {_times(used)}" if used else "used nothing"
            use += f"; denied {_times(denied)}" if denied else ""
            yield f"  {name} for {purpose}: {use if self.ran[name, purpose] else 'never ran'}"

    def _describe_missed_cells(self) -> Iterator[str]:
        """Yield a line for each purpose and the activities that reach the same cells of it."""
        missed: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for cell in sorted(self.reached_by, key=self.order):
            if not self._is_exercised(cell):
                notice, source, purpose = cell
                word = "granted" if self.records.universe[cell] else "not granted"
                names = ", ".join(sorted(self.reached_by[cell]))
                slug = dict(self.records.terms[notice][1])[purpose]
                missed[f"{purpose} {slug}", names].append(f"{source} ({word})")
        for (purpose, names), cells in missed.items():
            yield f"  {purpose}: {' '.join(cells)} by {names}"
        for activity in self.unknown:
            yield f"  whatever {activity} reads, which never ran"

    # ---- for programs ------------------------------------------------------------------------------------------------

    def tables(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        records = self.records
        hit, of = self.counted
        cells = sorted({cell[:3] for cell in self.cells} | set(self.reached_by), key=self.order)
        made: dict[str, Any] = {
            "format": FORMAT,
            "complete": records.is_complete,
            "percent": self.floor_percentage(2),
            "cells_exercised": hit,
            "cells_reachable": of,
            "cells": list(itertools.starmap(self._cell_table, cells)),
            "activities": list(itertools.starmap(self._activity_table, self.activities)),
            "accesses": list(itertools.starmap(self._access_table, sorted(records.accesses))),
        }
        if self.comparison is not None:
            made["changes"] = self.comparison.tables()
        if self.mutation is not None:
            made["mutation"] = self.mutation.tables()
        return made

    def _cell_table(self, notice: str, source: str, purpose: str) -> dict[str, Any]:
        records = self.records
        return {
            "notice": notice,
            "source": source,
            "purpose": purpose,
            "granted": records.universe.get((notice, source, purpose)),
            "reached_by": sorted(self.reached_by.get((notice, source, purpose), ())),
            "allowed": self.cells[notice, source, purpose, True],
            "denied": self.cells[notice, source, purpose, False],
        }

    def _activity_table(self, notice: str, name: str, purpose: str) -> dict[str, Any]:
        declared = [activity for activity in self.declared if activity[:3] == (notice, name, purpose)]
        return {
            "notice": notice,
            "activity": name,
            "purpose": purpose,
            "channels": list(dict.fromkeys(activity.channel or None for activity in declared)),
            "places": list(dict.fromkeys(activity.place for activity in declared)),
            "ran": self.ran[name, purpose],
            "used_nothing": not set(declared).isdisjoint(self.idle),
            "used": _sources(self.used, (notice, name, purpose)),
            "denied": _sources(self.denied, (notice, name, purpose)),
        }

    def _access_table(self, notice: str, name: str, line: int) -> dict[str, Any]:
        return {"notice": notice, "function": name, "line": line, "called": self.called[name, line]}

    def order(self, cell: tuple[str, str, str]) -> tuple[str, int, int, str, str]:
        """Sort key of a cell: the order of its notice."""
        notice, source, purpose = cell
        sources, purposes = self.records.terms.get(notice, ([], []))
        clauses = list(map(operator.itemgetter(0), purposes))
        return (
            notice,
            clauses.index(purpose) if purpose in clauses else -1,
            sources.index(source) if source in sources else -1,
            purpose,
            source,
        )

    def write(self, path: Path) -> None:
        """Write the tables to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.tables(), ensure_ascii=False, indent=2) + "\n", "utf-8")


def _sources(counts: Counter[tuple[str, str, str, str]], key: tuple[str, str, str]) -> dict[str, int]:
    """Return the counts of an activity by source."""
    count_by_source: dict[str, int] = {}
    for cell in sorted(counts):
        *activity, source = cell
        if source and tuple(activity) == key:
            count_by_source[source] = counts[cell]
    return count_by_source


def _times(sources: dict[str, int]) -> str:
    return ", ".join(f"{source} {count}×" for source, count in sources.items())


def _list(title: str, lines: Iterable[str], verbose: bool) -> Iterator[str]:
    """Yield a title, the first lines (all if verbose) and how many are left out. Without lines, yield nothing."""
    shown = list(map(escape_controls, lines))
    if shown:
        yield title
    yield from shown if verbose else shown[:_MOST_LINES]
    if not verbose and len(shown) > _MOST_LINES:
        yield f"  … and {len(shown) - _MOST_LINES} more: -v, or --purposeguard-json=FILE"
