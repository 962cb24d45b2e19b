"""Runs tests of a session once more, after it has run them: as they ran there, and without a word about it."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Generator
from typing import Any, Self

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
        given = session.gethookproxy
        plugin = session.config.pluginmanager.get_plugin("logging-plugin")
        with contextlib.ExitStack() as stack:
            session.gethookproxy = lambda fspath: _Hooks(given(fspath), self._told)  # type: ignore[assignment,method-assign,return-value]  # of this session alone
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
        """Runs a test; what `following` does not need is taken down. Whether it fails, or a part of it."""
        self._failed_parts = 0
        if isinstance(item, pytest.Function) and isinstance(item.parent, pytest.Class):
            # On an instance of its own, as each test has one.
            for name in ("_instance", "_obj"):
                vars(item).pop(name, None)
        with _as_in_a_run(item):
            reports = runtestprotocol(item, log=False, nextitem=following)
        return self._failed_parts > 0 or any(report.failed for report in reports)

    def take_down(self) -> None:
        """Ends all fixtures that are there; the next test makes its own anew."""
        with contextlib.suppress(Exception, OutcomeException):  # of a finaliser of the tests' own
            self._session._setupstate.teardown_exact(None)

    def _told(self, report: pytest.TestReport) -> None:
        self._failed_parts += report.failed


class _Hooks:
    """The hooks of a test that runs again.

    Of parts of tests (`subtests`, and `subTest` of unittest) reports are made at once, and the test goes on and passes.
    """

    def __init__(self, hooks: Any, told: Callable[[pytest.TestReport], None]) -> None:
        self._hooks = hooks
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hooks, name)

    def pytest_runtest_logreport(self, *, report: pytest.TestReport) -> None:
        self._told(report)


def _nothing(_: logging.LogRecord) -> bool:
    return False


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
    holder, name = fn, "_hypothesis_internal_use_settings"
    if hasattr(fn, "_hypothesis_state_machine_class"):
        holder, name = getattr(item.parent, "obj", None), "settings"
    given = getattr(holder, name, None)
    if not getattr(fn, "is_hypothesis_test", False) or given is None:
        yield
        return
    # Neither examples found earlier nor chance: what is pinned today is pinned tomorrow.
    setattr(holder, name, type(given)(given, database=None, derandomize=True))
    try:
        yield
    finally:
        setattr(holder, name, given)
