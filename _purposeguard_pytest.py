"""What pytest loads of purposeguard: the options of its plugin, and hooks that let tests run for their purposes.

It stands beside the package, for whatever lies inside loads the core with it. pytest loads this in every run where the
library is installed, also in those that ask for nothing, and before a coverage tool begins to measure.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator
from typing import Any

import pytest

NAME = "purposeguard-session"
"""What the plugin that watches is registered as, where a run asks for it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the command line."""
    group = parser.getgroup("purposeguard", "how much of a privacy notice the tests exercise")
    group.addoption("--purposeguard", action="store_true", help="report what guards decided while the tests ran")
    group.addoption(
        "--purposeguard-fail-under",
        type=percent,
        metavar="PERCENT",
        help="fail where fewer of the cells (source, purpose) that the service can reach were exercised",
    )
    group.addoption("--purposeguard-json", metavar="FILE", help="write the report as JSON")
    group.addoption(
        "--purposeguard-compare",
        metavar="PATH",
        help="report what has changed since this JSON report, and fail where a purpose, a channel or a source has",
    )
    group.addoption(
        "--purposeguard-mutate",
        action="store_true",
        help="turn each cell that was exercised, run the tests again that consulted it, and report what none notices",
    )
    group.addoption(
        "--purposeguard-mutate-seconds",
        type=seconds,
        metavar="SECONDS",
        help="the same, and start no further test after this time",
    )


def percent(text: str) -> float:
    number = float(text)
    if 0 <= number <= 100:  # which NaN is not
        return number
    raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 100")


def seconds(text: str) -> float:
    number = float(text)
    if number >= 0:  # which NaN is not
        return number
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")


def pytest_configure(config: pytest.Config) -> None:
    """Begins to watch where any of the options is given."""
    option = config.getoption
    mutates = option("purposeguard_mutate") or option("purposeguard_mutate_seconds") is not None
    named = ("purposeguard_fail_under", "purposeguard_json", "purposeguard_compare")
    asked = any(option(name) is not None for name in named)
    if not (option("purposeguard") or mutates or asked):
        return
    if mutates:
        if hasattr(config, "workerinput") or option("numprocesses", None) or option("tx", None):
            raise pytest.UsageError("--purposeguard-mutate runs tests again in this process: leave -n out, or say -n0")
        if option("usepdb", False):
            raise pytest.UsageError("--purposeguard-mutate expects tests to fail: leave --pdb out")
    from purposeguard.testing.plugin import Session  # noqa: PLC0415  # loads the core

    config.pluginmanager.register(Session(config, mutates=mutates), NAME)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let the test run at its entry point, and for the purpose that `purposes.toml` states for it."""
    is_watched = item.config.pluginmanager.has_plugin(NAME)
    if is_watched or _is_loaded():
        from purposeguard.integrations.pytest import enter_test  # noqa: PLC0415  # loads the core

        enter_test(item, always=is_watched)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> None:
    """Regard guards that an earlier fixture has created."""
    if _is_loaded():
        from purposeguard.integrations.pytest import enter_new_purposes  # noqa: PLC0415  # loads the core

        enter_new_purposes(request.config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Regard guards that a fixture has created, and let a coroutine run for the purpose."""
    if not _is_loaded():
        return (yield)
    from purposeguard.integrations.pytest import enter_call  # noqa: PLC0415  # loads the core

    with enter_call(item):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Leave the purpose and the entry point after the fixtures."""
    try:
        return (yield)
    finally:
        if _is_loaded():
            from purposeguard.integrations.pytest import leave_test  # noqa: PLC0415  # loads the core

            leave_test(item.config)


def _is_loaded() -> bool:
    """Return True if the tests have loaded the library. Without it there is no guard that states a purpose."""
    return "purposeguard.guard" in sys.modules
