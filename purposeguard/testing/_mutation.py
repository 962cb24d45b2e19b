"""Notice mutation: each cell that tests consulted is turned, and they are run again to see whether one notices."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import math
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

from purposeguard.errors import escape_controls
from purposeguard.extras import Needs
from purposeguard.notice.vocabulary import list_members
from purposeguard.testing import watching
from purposeguard.testing._report import Collector
from purposeguard.testing.watching import CellQuestion, WatchedCell, Watcher

with Needs(__name__, "pytest"):
    import pytest
    from _pytest.config import apply_warning_filters, parse_warning_filter
    from _pytest.outcomes import OutcomeException
    from _pytest.runner import runtestprotocol


class Rerun:
    """Runs tests of a session again. Inside the block nothing is printed, logged or counted of them."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._silence = contextlib.ExitStack()
        self._failed_parts = 0

    def __enter__(self) -> Self:
        session = self._session
        original = session.gethookproxy
        plugin = session.config.pluginmanager.get_plugin("logging-plugin")
        with contextlib.ExitStack() as stack:
            session.gethookproxy = lambda fspath: _Hooks(original(fspath), self._count_failure)  # type: ignore[assignment,method-assign,return-value]  # of this session alone
            stack.callback(delattr, session, "gethookproxy")
            for name in ("log_cli_handler", "log_file_handler"):
                handler = getattr(plugin, name, None)
                if isinstance(handler, logging.Handler):
                    handler.addFilter(_nothing)
                    stack.callback(handler.removeFilter, _nothing)
            if session.config.getoption("capture", "no") == "no":
                stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
                stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            self._silence = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._silence.close()

    def fails(self, item: pytest.Item, following: pytest.Item | None) -> bool:
        """Run a test again and say whether it, or a subtest, fails. Tear down what `following` does not need."""
        self._failed_parts = 0
        if isinstance(item, pytest.Function) and isinstance(item.parent, pytest.Class):
            # A new instance, as pytest makes for each test.
            for name in ("_instance", "_obj"):
                vars(item).pop(name, None)
        with _as_in_a_run(item):
            reports = runtestprotocol(item, log=False, nextitem=following)
        return self._failed_parts > 0 or any(report.failed for report in reports)

    def take_down(self) -> None:
        """Tear down all fixtures; the next test sets up its own."""
        with contextlib.suppress(Exception, OutcomeException):  # A finalizer of the tests may raise.
            self._session._setupstate.teardown_exact(None)

    def _count_failure(self, report: pytest.TestReport) -> None:
        self._failed_parts += report.failed


class _Hooks:
    """The hooks of a test that runs again.

    Subtests (`subtests`, and `subTest` of unittest) are reported by a hook at once, and their test passes.
    """

    def __init__(self, hooks: Any, report: Callable[[pytest.TestReport], None]) -> None:
        self._hooks = hooks
        self._report = report

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hooks, name)

    def pytest_runtest_logreport(self, *, report: pytest.TestReport) -> None:
        self._report(report)


def _nothing(_: logging.LogRecord) -> bool:
    return False


@contextlib.contextmanager
def _as_in_a_run(item: pytest.Item) -> Generator[None, None, None]:
    """Return a context manager that restores the conditions of a test run.

    These are the test's warning filters, and the same draws of hypothesis each time.
    """
    config = item.config
    with warnings.catch_warnings(record=True), _drawing_the_same(item):
        if config.pluginmanager.hasplugin("warnings"):
            apply_warning_filters(config.getini("filterwarnings"), config.known_args_namespace.pythonwarnings or [])
        for mark in item.iter_markers("filterwarnings"):
            for argument in mark.args:
                warnings.filterwarnings(*parse_warning_filter(argument, escape=False))
        yield


@contextlib.contextmanager
def _drawing_the_same(item: pytest.Item) -> Generator[None, None, None]:
    fn: Any = getattr(item, "obj", None)
    fn = getattr(fn, "__func__", fn)
    holder, name = fn, "_hypothesis_internal_use_settings"
    if hasattr(fn, "_hypothesis_state_machine_class"):
        holder, name = getattr(item.parent, "obj", None), "settings"
    configured = getattr(holder, name, None)
    if not getattr(fn, "is_hypothesis_test", False) or configured is None:
        yield
        return
    # No saved examples and no randomness, so that results are reproducible.
    setattr(holder, name, type(configured)(configured, database=None, derandomize=True))
    try:
        yield
    finally:
        setattr(holder, name, configured)


@dataclasses.dataclass
class Mutation:
    """The result: cell → the test that noticed; cells that no test noticed; cells not tried → why."""

    noticed: dict[WatchedCell, str] = dataclasses.field(default_factory=dict)
    survivors: list[WatchedCell] = dataclasses.field(default_factory=list)
    untried: dict[WatchedCell, str] = dataclasses.field(default_factory=dict)
    unsteady: list[str] = dataclasses.field(default_factory=list)
    granted: dict[WatchedCell, bool] = dataclasses.field(default_factory=dict)
    why_not: str | None = None

    def lines(self) -> Iterator[str]:
        """Yield the lines to print."""
        if self.why_not is not None:
            yield f"no cell was turned: {self.why_not}"
            return
        tried = len(self.noticed) + len(self.survivors)
        for cell in self.survivors:
            was = "may" if self.granted[cell] else "may not"
            yield f"  no test notices that {cell.source} {was} serve {cell.purpose} ({cell.notice})"
        for why in dict.fromkeys(self.untried.values()):
            those = " ".join(str(cell) for cell, reason in self.untried.items() if reason == why)
            yield escape_controls(f"  not tried, {why}: {those}")
        for test in self.unsteady:
            yield f"  left out, since it ends otherwise when it is run again: {test}"
        loose = f": {len(self.survivors)} can be turned, and no test notices" if self.survivors else ""
        yield f"{len(self.noticed)} of {tried} cells pinned{loose}"

    def tables(self) -> dict[str, Any]:
        """Return the result as JSON values, without times, so that equal runs give equal files."""
        return {
            "why_not": self.why_not,
            "pinned": [{**cell._asdict(), "test": test} for cell, test in self.noticed.items()],
            "not_pinned": [{**cell._asdict(), "granted": self.granted[cell]} for cell in self.survivors],
            "not_tried": [{**cell._asdict(), "why": why} for cell, why in self.untried.items()],
            "unsteady_tests": self.unsteady,
        }


class _TimeUp(Exception):
    """The time for mutation is used up."""


class _CellWatcher(Watcher):
    """Notes whether the turned cell was consulted: otherwise the tests say nothing about it."""

    def __init__(self) -> None:
        self.cell: WatchedCell | None = None
        self.consulted = False

    def decided(self, question: CellQuestion) -> None:
        cell = self.cell
        if cell is None or self.consulted:
            return
        # A family may be allowed by another member, so its answer need not be of the turned cell.
        members = list_members(question.purpose)
        if any((answer.notice, answer.source) == (cell.notice, cell.source) for answer, _ in question.answers):
            self.consulted = any(member.clause == cell.purpose for member in members)


class Mutator:
    """Turns cells one at a time, and runs the tests that consult them."""

    def __init__(
        self,
        session: pytest.Session,
        consulting_tests: Mapping[WatchedCell, Sequence[pytest.Item]],
        granted: Mapping[WatchedCell, bool],
        seconds: float | None,
    ) -> None:
        """Prepare the mutation of each cell.

        Args:
            session: The session of the tests.
            consulting_tests: The tests to run for each cell, those first that are most likely to fail.
            granted: True for each cell that is a granted purpose, False for each that is not.
            seconds: The time after which no further test starts; None for no limit.
        """
        self._rerun = Rerun(session)
        self._consulting_tests = consulting_tests
        self._until = math.inf if seconds is None else time.monotonic() + seconds
        self._watcher = _CellWatcher()
        self._unsteady: dict[str, None] = {}
        self.mutation = Mutation(granted=dict(granted))

    def run(self) -> Mutation:
        """Try each cell, and restore everything."""
        mutation = self.mutation
        try:
            with watching.watching(self._watcher), self._rerun:
                for cell, items in self._consulting_tests.items():
                    self._try(cell, items)
        finally:
            watching.turn(None)
        mutation.unsteady = list(self._unsteady)
        return mutation

    def _try(self, cell: WatchedCell, items: Sequence[pytest.Item]) -> None:
        mutation = self.mutation
        self._watcher.consulted = False
        try:
            noticed = self._notices(cell, items)
        except _TimeUp:
            mutation.untried[cell] = "since the time was up"
            return
        if noticed is not None:
            mutation.noticed[cell] = noticed
        elif all(item.nodeid in self._unsteady for item in items):
            mutation.untried[cell] = "since its tests cannot be run again"
        elif not self._watcher.consulted:
            mutation.untried[cell] = "since no test asked again: something keeps the answer"
        else:
            mutation.survivors.append(cell)

    def _notices(self, cell: WatchedCell, items: Sequence[pytest.Item]) -> str | None:
        """Return the first test that fails with the cell turned, passes without, and fails again with it."""
        candidates = [item for item in items if item.nodeid not in self._unsteady]
        while candidates:
            with self._turn_cell(cell):
                failed = self._first_failure(candidates)
            if failed is None:
                return None
            # Repeat both runs each time, because tests that fail by chance fail only now and then.
            if self._first_failure([failed]) is None:
                with self._turn_cell(cell):
                    again = self._first_failure([failed])
                if again is not None:
                    return failed.nodeid
            self._unsteady[failed.nodeid] = None
            candidates = candidates[candidates.index(failed) + 1 :]
        return None

    @contextlib.contextmanager
    def _turn_cell(self, cell: WatchedCell) -> Generator[None, None, None]:
        watching.turn(cell)
        self._watcher.cell = cell
        try:
            yield
        finally:
            self._watcher.cell = None
            watching.turn(None)

    def _first_failure(self, items: Sequence[pytest.Item]) -> pytest.Item | None:
        """Return the first of these tests that fails, and tear down what they set up."""
        try:
            for item, following in zip(items, [*items[1:], None], strict=True):
                if time.monotonic() >= self._until:
                    raise _TimeUp
                if self._rerun.fails(item, following):
                    return item
        finally:
            # Fixtures of a session or module saw the turned cell, so they must not be kept for the next run.
            self._rerun.take_down()
        return None


def find_consulting_tests(
    items: Iterable[pytest.Item],
    passed: set[str],
    collector: Collector,
    fixtures: Mapping[str, Iterable[Any]],
    order: Callable[[WatchedCell], Any],
) -> tuple[dict[WatchedCell, list[pytest.Item]], list[WatchedCell]]:
    """Find the tests that consulted each cell, by themselves or through a fixture.

    Args:
        items: The tests that were collected.
        passed: The ids of the tests that passed. Others are left out.
        collector: The record of which test or fixture consulted which cells.
        fixtures: The id of a test → its fixtures, as the collector knows them.
        order: The key by which cells are sorted.

    Returns:
        A mapping of each cell to its tests, those first that consulted the fewest cells, and a list of the cells that
        no test consulted.
    """
    cells_of: dict[pytest.Item, set[WatchedCell]] = {}
    for item in items:
        if item.nodeid in passed:
            cells = set(collector.by_test.get(item.nodeid, ()))
            for fixture in fixtures.get(item.nodeid, ()):
                cells.update(collector.by_fixture.get(fixture, ()))
            cells_of[item] = cells
    every = sorted(set().union(*collector.by_test.values()), key=order)
    by_cell: dict[WatchedCell, list[pytest.Item]] = {}
    alone: list[WatchedCell] = []
    for cell in every:
        # A test that consults little is likely to be about it.
        tests = sorted(
            (item for item, cells in cells_of.items() if cell in cells), key=lambda item: len(cells_of[item])
        )
        if tests:
            by_cell[cell] = tests
        else:
            alone.append(cell)
    return by_cell, alone
