"""Plugins that end a run with what tests recorded of themselves, whichever process ran them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest


class Summary:
    """Prints under `title` the lines that `lines` makes of what was recorded as a property of this name."""

    def __init__(self, name: str, title: str, lines: Callable[[list[Any]], Iterable[str]] = sorted) -> None:
        self.name = name
        self._title = title
        self._lines = lines

    def add_to(self, config: pytest.Config) -> None:
        """Registers the plugin; again and again is once."""
        if not config.pluginmanager.has_plugin(self.name):
            config.pluginmanager.register(self, self.name)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Asked by pytest at the end."""
        some = [one for reports in terminalreporter.stats.values() for one in reports]
        calls = [one for one in some if isinstance(one, pytest.TestReport) and one.when == "call"]
        told = [value for one in calls for name, value in one.user_properties if name == self.name]
        if told:
            terminalreporter.section(self._title)
            for line in self._lines(told):
                terminalreporter.write_line(line)
