"""How far the property tests go.

Every run draws the same examples: few, and more with `HYPOTHESIS_PROFILE=thorough`, as `make test-all` says. `explore`
draws others each time, and `deep` many of them.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings

from purposeguard.runtime import forking
from purposeguard.runtime.entry_point import suspend_entry_point
from tests.adapters.sql import summary as sql
from tests.exporting import summary as cedar
from tests.faults import summary as faults
from tests.heap import only_new_objects
from tests.typing import summary

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """End a run with what tools said of programs: the process that prints it may have collected no test.

    Until the tests are collected, nearly all objects that are made are kept, so to look for garbage costs seconds.
    """
    gc.disable()
    summary.add_to(config)
    cedar.add_to(config)
    faults.add_to(config)
    sql.add_to(config)


KINDS = {
    "tests/adapters/frames/test_rows.py": "faults",
    "tests/adapters/spark": "spark",
    "tests/adapters/sql/test_generated.py": "faults",
    "tests/adapters/sql/test_tpc.py": "faults",
    "tests/adapters/sqlalchemy/test_changed_columns.py": "faults",
    "tests/adapters/test_row_rules.py": "faults",
    "tests/docs/test_examples.py": "pages",
    "tests/docs/test_site.py": "browser",
    "tests/end_to_end/test_demo.py": "processes",
    "tests/end_to_end/test_officer_report.py": "browser",
    "tests/end_to_end/test_shop_canaries.py": "faults",
    "tests/end_to_end/test_shop_noninterference.py": "faults",
    "tests/end_to_end/test_shop_request_desk.py": "browser",
    "tests/end_to_end/test_shop_stories.py": "faults",
    "tests/end_to_end/test_shop_types.py": "checkers",
    "tests/exporting/test_cedar_agreement.py": "faults",
    "tests/faults": "faults",
    "tests/governance/ledger/test_killed.py": "processes",
    "tests/governance/test_requests_at_once.py": "processes",
    "tests/governance/test_rolling_upgrade.py": "processes",
    "tests/integrations/test_fastapi_server.py": "processes",
    "tests/testing/canaries": "faults",
    "tests/testing/checking": "faults",
    "tests/testing/effects": "faults",
    "tests/testing/noninterference": "faults",
    "tests/testing/plugin": "processes",
    "tests/testing/stateful": "faults",
    "tests/testing/strategies": "faults",
    "tests/testing_kit": "faults",
    "tests/third_party": "faults",
    "tests/typing": "checkers",
}
"""Folder or file → the slow kind that its tests are. Other tests are marked where they stand."""

STARTS = {
    "broker": "processes",
    "browser": "browser",
    "postgresql": "processes",
    "postgresql_url": "processes",
    "spark": "spark",
}
"""Fixture → the slow kind of what it starts."""

RUNNING = pytest.StashKey[pytest.Item]()
"""The test whose fixtures are being set up."""

SLOW_KINDS: Final = ("browser", "checkers", "deep", "faults", "pages", "processes", "spark")


def _deselected_kinds(config: pytest.Config) -> list[str]:
    """Return the kinds that the run leaves out."""
    expression: str = config.getoption("markexpr")
    return [kind for kind in SLOW_KINDS if expression.startswith("not ") and kind in expression]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files of kinds that the run deselects: what they import takes long, or is not installed."""
    kind = KINDS.get(str(collection_path.relative_to(ROOT))) if collection_path.is_relative_to(ROOT) else None
    return True if kind in _deselected_kinds(config) else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> Generator[None]:
    """End the summary with the kinds of tests that the run left out, and how to run them."""
    yield
    kinds = _deselected_kinds(config)
    if len(kinds) > 1:  # `make test-all` leaves out `deep` alone.
        terminalreporter.line(
            f"Left out, for they are slow: {', '.join(kinds)}. `make test-all` runs all of them but deep, "
            '`make test-all ARGS="-m spark"` one of them, `make deep` deep.'
        )


LONGEST = ("tests/faults/test_table.py", "tests/integrations/test_shop_telemetry.py")
"""Files whose tests take a minute or so each; others of the kinds `checkers` and `pages` take ten seconds and more."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Marks the slow kinds, before some of them are deselected; then puts the rest in order for several processes."""
    kinds = {ROOT / place: kind for place, kind in KINDS.items()}
    for item in items:
        for place in (item.path, *item.path.parents):
            if place in kinds:
                item.add_marker(kinds[place])
        for name in STARTS.keys() & getattr(item, "fixturenames", ()):
            item.add_marker(STARTS[name])
    yield
    if processes := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
        items[:] = _in_order(items, processes)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remember the test, for `pytest_fixture_setup`."""
    item.config.stash[RUNNING] = item


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Fail a test that starts a server although it is not of the kind that does.

    Collection sees the fixtures that a test names. A fixture may also ask for another one by `getfixturevalue`, for
    one of its parameters: such a parameter needs the marker, as `ON_POSTGRESQL` has it.
    """
    kind = STARTS.get(fixturedef.argname)
    test = request.config.stash[RUNNING]
    if kind is not None and test.get_closest_marker(kind) is None:
        pytest.fail(f"{test.nodeid} starts {fixturedef.argname!r}, so it needs the marker {kind!r}")
    with suspend_entry_point():  # As in `pytest_runtest_call`.
        return (yield)


def pytest_collection_finish() -> None:
    """Keeps the collector from going through what was imported and collected, which is most."""
    only_new_objects()
    gc.enable()


def _in_order(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """The tests of Spark first, the long ones where the last process begins.

    Each process begins with an equal part of them, and then takes from the ends of the others' parts. So one alone
    starts Spark, and nobody waits in the end for a long one.
    """
    parts: dict[str, list[pytest.Item]] = {"spark": [], "long": [], "other": []}
    longest = {ROOT / file for file in LONGEST}
    for item in items:
        kinds = {mark.name for mark in item.iter_markers()}
        long = item.path in longest or kinds & {"checkers", "pages"}
        parts["spark" if "spark" in kinds else "long" if long else "other"].append(item)
    before = max(0, len(items) - len(items) // processes - len(parts["spark"]))
    return [*parts["spark"], *parts["other"][:before], *parts["long"], *parts["other"][before:]]


# No deadlines: a machine under load is no fault of the code, and nothing here is a measurement. No explanations: to
# give one of a failure, hypothesis traces each line of every test.
_always = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[phase for phase in Phase if phase is not Phase.explain],
)

_fixed = settings(_always, derandomize=True, database=None, print_blob=True)

settings.register_profile("fixed", _fixed, max_examples=15)
settings.register_profile("thorough", _fixed, max_examples=20)
settings.register_profile("explore", _always, max_examples=100, print_blob=True)
settings.register_profile("deep", _always, max_examples=1_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "fixed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    """Run tests at no entry point, also while they are watched, since they compare whole messages."""
    with suspend_entry_point():
        return (yield)


@pytest.fixture
def no_greenlets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have forks happen as in a process that has not imported gevent.

    Collection imports the tests of greenlets as well. Where there may be greenlets, each forked child visits all
    objects of the process, which takes two seconds when all tests have been collected.
    """
    monkeypatch.setattr(forking, "modules", {})


# Of a module: while its driver runs, nothing else can run an event loop in this thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    from tests.browsing import chromium  # most runs start none

    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def remembers(request: pytest.FixtureRequest) -> None:
    """For tests of what a guard remembers: one that is watched decides each question anew."""
    if request.config.pluginmanager.hasplugin("purposeguard-session"):
        pytest.skip("a watched guard remembers nothing")
