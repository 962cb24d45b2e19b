"""A plugin that ends a run with the table of the type checkers that were asked, whichever process asked them."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

NAME = "type checkers"
"""Of the plugin, and of the property of a test's report that bears a row."""

HEADINGS = ["checker", "version", "legal lines accepted", "illegal lines refused", "agreement"]


def table(rows: list[list[str]]) -> Iterator[str]:
    """Rows such as `Findings.row` gives, under their headings, as lines."""
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    for row in (HEADINGS, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def add_to(config: pytest.Config) -> None:
    """Registers the plugin; again and again is once."""
    if not config.pluginmanager.has_plugin(NAME):
        config.pluginmanager.register(sys.modules[__name__], NAME)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [one for some in terminalreporter.stats.values() for one in some if isinstance(one, pytest.TestReport)]
    calls = [one for one in reports if one.when == "call"]
    rows = [row for one in calls for name, row in one.user_properties if name == NAME and isinstance(row, list)]
    if rows:
        terminalreporter.section("type checkers over the corpus")
        for line in table(sorted(rows)):
            terminalreporter.write_line(line)
