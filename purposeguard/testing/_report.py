"""What a run of tests exercised, for people, for programs and for JUnit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from purposeguard.errors import wrapped
from purposeguard.testing._records import Records

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
        if records.swallowed:
            yield "violations swallowed by a clause that catches anything"
            yield from _short(self._swallowed(), verbose)
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
            found.append(wrapped(f"{name} for {purpose}: {told}", "  "))
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
            yield wrapped(f"{purpose} {slug}: {' | '.join(told)}", "  ")

    def _swallowed(self) -> list[str]:
        found: dict[tuple[str, int, int, str], list[str]] = {}
        for file, line, at, clause, test in sorted(self.records.swallowed):
            found.setdefault((file, line, at, clause), []).append(test)
        lines = []
        for (file, line, at, clause), tests in found.items():
            more = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
            lines.append(f"  {file}:{line}: by `{clause}` in line {at}, in {tests[0] or 'no test'}{more}")
        return lines

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
            "swallowed": [
                {"file": file, "line": line, "clause": clause, "clause_line": at, "test": test or None, "times": times}
                for (file, line, at, clause, test), times in sorted(records.swallowed.items())
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

    def properties(self) -> dict[str, str]:
        """What JUnit's report says of the whole run."""
        hit, of = self.counted
        told = {
            "purposeguard.percent": f"{self._floored(2):.2f}",
            "purposeguard.cells_exercised": str(hit),
            "purposeguard.cells_declared": str(of),
            "purposeguard.accesses_never_called": str(len(self.uncalled)),
            "purposeguard.violations_swallowed": str(sum(self.records.swallowed.values())),
        }
        if self.mutation is not None:
            told["purposeguard.cells_not_pinned"] = str(len(self.mutation.survivors))
        return told


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
