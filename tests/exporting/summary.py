"""A plugin that ends a run with what Cedar was asked and what became of it, whichever process asked."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

NAME = "Cedar"
"""Of the plugin, and of the property of a test's report that bears a line."""

Property = Callable[[str, object], None]
"""pytest's `record_property`."""


def add_to(config: pytest.Config) -> None:
    """Registers the plugin; again and again is once."""
    if not config.pluginmanager.has_plugin(NAME):
        config.pluginmanager.register(sys.modules[__name__], NAME)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [one for some in terminalreporter.stats.values() for one in some if isinstance(one, pytest.TestReport)]
    calls = [one for one in reports if one.when == "call"]
    lines = [line for one in calls for name, line in one.user_properties if name == NAME and isinstance(line, str)]
    if lines:
        terminalreporter.section("the exported notices, asked of Cedar")
        for line in sorted(lines):
            terminalreporter.write_line(line)
