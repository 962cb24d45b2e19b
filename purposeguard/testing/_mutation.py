"""Notice mutation: each cell that tests consulted is turned, and they are run again to see whether one notices."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from _pytest.config import apply_warning_filters, parse_warning_filter
from _pytest.runner import runtestprotocol

from purposeguard.errors import wrapped
from purposeguard.testing import watching
from purposeguard.testing._flipping import Cell


@dataclasses.dataclass
class Mutation:
    """What came of it: by cell the test that noticed; those that none did, and those that were not tried, with why."""

    noticed: dict[Cell, str] = dataclasses.field(default_factory=dict)
    survivors: list[Cell] = dataclasses.field(default_factory=list)
    untried: dict[Cell, str] = dataclasses.field(default_factory=dict)
    unsteady: list[str] = dataclasses.field(default_factory=list)
    granted: dict[Cell, bool] = dataclasses.field(default_factory=dict)
    why_not: str | None = None

    def lines(self) -> Iterator[str]:
        """What is printed."""
        if self.why_not is not None:
            yield f"no cell was turned: {self.why_not}"
            return
        tried = len(self.noticed) + len(self.survivors)
        for cell in self.survivors:
            was = "may" if self.granted[cell] else "may not"
            yield f"  no test notices that {cell.source} {was} serve {cell.purpose} ({cell.notice})"
        for why in dict.fromkeys(self.untried.values()):
            those = " ".join(str(cell) for cell, given in self.untried.items() if given == why)
            yield wrapped(f"not tried, {why}: {those}", "  ")
        for test in self.unsteady:
            yield f"  left out, since it fails when it is run again as it is: {test}"
        loose = f": {len(self.survivors)} can be turned, and no test notices" if self.survivors else ""
        yield f"{len(self.noticed)} of {tried} cells pinned{loose}"

    def tables(self) -> dict[str, Any]:
        """The same as plain JSON values; without times, so that equal runs give equal files."""
        return {
            "why_not": self.why_not,
            "pinned": [{**cell._asdict(), "test": test} for cell, test in self.noticed.items()],
            "not_pinned": [{**cell._asdict(), "granted": self.granted[cell]} for cell in self.survivors],
            "not_tried": [{**cell._asdict(), "why": why} for cell, why in self.untried.items()],
            "unsteady_tests": self.unsteady,
        }


class Mutator:
    """Turns cells one at a time, and runs tests in this process."""

    def __init__(
        self,
        session: pytest.Session,
        consulted: Mapping[Cell, Sequence[pytest.Item]],
        granted: Mapping[Cell, bool],
        seconds: float | None,
    ) -> None:
        """`consulted`: the tests to run for each cell, those first that are most likely to notice."""
        self._session = session
        self._consulted = consulted
        self._seconds = seconds
        self._steady: dict[str, bool] = {}
        self.found = Mutation(granted=dict(granted))

    def run(self) -> Mutation:
        """Tries each cell; all is as before when it returns."""
        found, began = self.found, time.monotonic()
        try:
            for cell, items in self._consulted.items():
                if self._seconds is not None and time.monotonic() - began > self._seconds:
                    found.untried[cell] = "since the time was up"
                    continue
                noticed = self._notices(cell, items)
                if noticed is not None:
                    found.noticed[cell] = noticed
                elif any(self._steady.get(item.nodeid, True) for item in items):
                    found.survivors.append(cell)
                else:
                    found.untried[cell] = "since its tests cannot be run again"
        finally:
            watching.turn(None)
        found.unsteady = [test for test, steady in self._steady.items() if not steady]
        return found

    def _notices(self, cell: Cell, items: Sequence[pytest.Item]) -> str | None:
        """The first test that fails with the cell turned, and does not otherwise."""
        left = [item for item in items if self._steady.get(item.nodeid, True)]
        while left:
            watching.turn(cell)
            failed = self._first_failure(left)
            watching.turn(None)
            if failed is None:
                return None
            if failed.nodeid not in self._steady:
                self._steady[failed.nodeid] = self._first_failure([failed]) is None
            if self._steady[failed.nodeid]:
                return failed.nodeid
            left = left[left.index(failed) + 1 :]
        return None

    def _first_failure(self, items: Sequence[pytest.Item]) -> pytest.Item | None:
        """The first of these that fails, in this order; what they set up is taken down."""
        failed = None
        try:
            for item, following in zip(items, [*items[1:], None], strict=True):
                with _as_in_a_run(item):
                    reports = runtestprotocol(item, log=False, nextitem=following)
                if any(report.failed for report in reports):
                    failed = item
                    break
        finally:
            # Fixtures of a session or module saw the cell turned: nothing of them stays for the next.
            self._take_down()
        return failed

    def _take_down(self) -> None:
        with contextlib.suppress(Exception):  # of a finaliser of the tests' own; the next test makes its fixtures anew
            self._session._setupstate.teardown_exact(None)


@contextlib.contextmanager
def _as_in_a_run(item: pytest.Item) -> Generator[None, None, None]:
    """What surrounds a test in a run: its warning filters; and that hypothesis draws the same each time."""
    config = item.config
    with warnings.catch_warnings(record=True), _drawing_the_same(item):
        if config.pluginmanager.hasplugin("warnings"):
            apply_warning_filters(config.getini("filterwarnings"), config.known_args_namespace.pythonwarnings or [])
        for mark in item.iter_markers("filterwarnings"):
            for given in mark.args:
                warnings.filterwarnings(*parse_warning_filter(given, escape=False))
        yield


@contextlib.contextmanager
def _drawing_the_same(item: pytest.Item) -> Generator[None, None, None]:
    fn: Any = getattr(item, "obj", None)
    fn = getattr(fn, "__func__", fn)
    given = getattr(fn, "_hypothesis_internal_use_settings", None)
    if not getattr(fn, "is_hypothesis_test", False) or given is None:
        yield
        return
    # Neither examples found earlier nor chance: what is pinned today is pinned tomorrow.
    fn._hypothesis_internal_use_settings = type(given)(given, database=None, derandomize=True)
    try:
        yield
    finally:
        fn._hypothesis_internal_use_settings = given


def tests_by_cell(
    items: Iterable[pytest.Item],
    passed: set[str],
    by_test: Mapping[str | None, set[Cell]],
    by_fixture: Mapping[Any, set[Cell]],
    order: Callable[[Cell], Any],
) -> tuple[dict[Cell, list[pytest.Item]], list[Cell]]:
    """The tests that consulted each cell, themselves or by their fixtures; and the cells that none of them did."""
    cells_of: dict[pytest.Item, set[Cell]] = {}
    for item in items:
        if item.nodeid in passed:
            cells = set(by_test.get(item.nodeid, ()))
            info: Any = getattr(item, "_fixtureinfo", None)
            for defs in info.name2fixturedefs.values() if info is not None else ():
                for one in defs:
                    cells |= by_fixture.get(one, set())
            cells_of[item] = cells
    every = sorted(set().union(*by_test.values()), key=order)
    found: dict[Cell, list[pytest.Item]] = {}
    alone: list[Cell] = []
    for cell in every:
        # A test that consults little is likely to be about it.
        tests = sorted(
            (item for item, cells in cells_of.items() if cell in cells), key=lambda item: len(cells_of[item])
        )
        if tests:
            found[cell] = tests
        else:
            alone.append(cell)
    return found, alone
