"""The pytest plugin: how much of a notice tests exercise, and how well they pin it.

`pytest --purposeguard` prints it after a run. The options are defined outside the package, in
`_purposeguard_pytest`. Without one of them, this module is not loaded.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

from purposeguard.extras import Needs
from purposeguard.testing import watching
from purposeguard.testing._comparison import Comparison, ReportError, read_report
from purposeguard.testing._mutation import Mutation, Mutator, find_consulting_tests
from purposeguard.testing._report import Collector, CoverageReport

with Needs(__name__, "pytest"):
    import pytest


class Session:
    """One run of tests, or of a worker's share of them."""

    def __init__(self, config: pytest.Config, *, mutates: bool) -> None:
        """Begin to watch: guards that are there already, and those to come.

        Raises:
            pytest.UsageError: The report to compare with cannot be read, or would be overwritten.
        """
        self._config = config
        self._previous = self._read_previous()
        self._passed: set[str] = set()
        self._fixtures: dict[str, tuple[Any, ...]] = {}
        self._tests: set[Path] = set()
        self._mutates = mutates
        self._collector = Collector(by_test=mutates, is_test=self._is_test)
        self._mutation: Mutation | None = None
        self._report: CoverageReport | None = None
        self._unwritten: str | None = None
        self._lost = 0
        self._ran = False
        watching.watch_all(self._collector)
        config.add_cleanup(functools.partial(watching.leave_all, self._collector))  # however the run ends
        self._collector.add_guards(watching.list_watched_guards())

    def _read_previous(self) -> Any:
        """Return the activities of the report to compare with. None if there is none, or if this process only helps."""
        option, folder = self._config.getoption, self._config.invocation_params.dir
        path, written = option("purposeguard_compare"), option("purposeguard_json")
        if path is None or option("collectonly") or hasattr(self._config, "workerinput"):
            return None
        if written is not None and (folder / path).resolve() == (folder / written).resolve():
            raise pytest.UsageError(
                f"--purposeguard-compare and --purposeguard-json name the same file, {path}, so that changes would be "
                "accepted unseen: compare without --purposeguard-json, and then write the file without comparing"
            )
        try:
            return read_report(folder, path)
        except ReportError as error:
            raise pytest.UsageError(f"--purposeguard-compare: {error}") from None

    # ---- while tests run ---------------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makemodule(self, module_path: Path) -> None:
        """Note which files hold tests: deselected ones too, but not files with doctests only."""
        self._tests.add(module_path)

    def _is_test(self, module: str) -> bool:
        file = getattr(sys.modules.get(module), "__file__", None)
        return file is not None and (Path(file) in self._tests or Path(file).name == "conftest.py")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Attribute decisions to this test."""
        self._collector.begin(item.nodeid)
        try:
            return (yield)
        finally:
            self._collector.end()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, Any, Any]:
        """Attribute decisions of a shared fixture to all tests that use it."""
        if not self._mutates or fixturedef.scope == "function":
            return (yield)
        self._collector.begin_fixture(fixturedef)
        try:
            return (yield)
        finally:
            self._collector.end_fixture()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """Note which fixtures a test used, including those requested at run time."""
        if self._mutates and item.nodeid not in self._fixtures:
            request: Any = getattr(item, "_request", None)
            self._fixtures[item.nodeid] = tuple(getattr(request, "_fixture_defs", {}).values())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note which tests passed."""
        if self._mutates and report.when == "call" and report.passed:
            self._passed.add(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Run the mutation after all tests have passed."""
        self._ran = not self._config.getoption("collectonly")
        result = yield
        if self._mutates and self._ran:
            self._mutation = self._run_mutants(session)
        return result

    def _run_mutants(self, session: pytest.Session) -> Mutation:
        if session.testsfailed or session.shouldfail or session.shouldstop:
            return Mutation(why_not="not all tests passed")
        collector = self._collector
        records = collector.finish(watching.list_watched_guards())
        order = CoverageReport(records).order
        tests, alone = find_consulting_tests(session.items, self._passed, collector, self._fixtures, order)
        granted: dict[watching.WatchedCell, bool] = {}
        for cell in tests:
            declared = records.universe.get(cell)
            granted[cell] = watching.is_granted(cell) if declared is None else declared
        collector.paused = True
        try:
            mutation = Mutator(session, tests, granted, self._config.getoption("purposeguard_mutate_seconds")).run()
        finally:
            collector.paused = False
        imported = collector.by_test.get(None, set())
        for cell in alone:
            why = (
                "since only modules consulted it while they were imported"
                if cell in imported
                else "since no test that passed consulted it"
            )
            mutation.untried[cell] = why
        return mutation

    # ---- when they have run ------------------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Merge the records of a pytest-xdist worker that has ended."""
        dump = getattr(node, "workeroutput", {}).get("purposeguard")
        if dump is not None:
            self._collector.records.merge(dump)
        else:
            self._lost += 1

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report, and fail the run if too little was exercised or something changed that matters."""
        config, collector = self._config, self._collector
        records = collector.finish(watching.list_watched_guards())
        watching.leave_all(collector)
        output: dict[str, Any] | None = getattr(config, "workeroutput", None)
        if output is not None:
            output["purposeguard"] = records.dump()
            return
        if not self._ran:  # pytest was asked for something else: `--collect-only`, `--fixtures`
            return
        self._report = report = CoverageReport(records)
        report.mutation = self._mutation
        if self._previous is not None:
            path = str(config.getoption("purposeguard_compare"))
            report.comparison = Comparison(path, self._previous, report.tables())
        self._write(report)
        if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            if self._unwritten is not None:
                session.exitstatus = pytest.ExitCode.USAGE_ERROR
            elif self._is_under(report) or (report.comparison is not None and report.comparison.failure):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write(self, report: CoverageReport) -> None:
        path = self._config.getoption("purposeguard_json")
        if path is None:
            return
        try:
            report.write(self._config.invocation_params.dir / path)
        except OSError as error:  # the report is still printed
            self._unwritten = f"ERROR: the report is not written to {path}: {error.strerror or error}"

    def _is_under(self, report: CoverageReport) -> bool:
        least = self._config.getoption("purposeguard_fail_under")
        return least is not None and (report.percent < least or not report.counted[1])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the report."""
        report = self._report
        if report is None:
            return
        terminalreporter.section("purposeguard")
        for line in report.lines(verbose=self._config.get_verbosity() > 0):
            terminalreporter.line(line)
        if self._mutation is not None:
            terminalreporter.section("purposeguard: cells turned")
            for line in self._mutation.lines():
                terminalreporter.line(line)
        if self._lost:
            terminalreporter.line(
                f"workers that crashed, so that what they saw is missing here: {self._lost}", yellow=True
            )
        if self._unwritten is not None:
            terminalreporter.line(self._unwritten, red=True)
        if report.comparison is not None and report.comparison.failure:
            terminalreporter.line(report.comparison.failure, red=True)
        if self._is_under(report):
            least = self._config.getoption("purposeguard_fail_under")
            percent = f"{report.floor_percentage(1):g} %" if report.counted[1] else "nothing is reached"
            terminalreporter.line(
                f"FAIL: reachable cells exercised: {percent}, and at least {least:g} % were asked for", red=True
            )
