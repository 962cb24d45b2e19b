"""The table of the type checkers that were asked, told at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator

from tests.summaries import Summary

NAME = "type checkers"
"""Of the plugin, and of the property of a test's report that bears a row."""

HEADINGS = ["checker", "version", "legal lines accepted", "illegal lines refused", "agreement"]


def table(rows: list[list[str]]) -> Iterator[str]:
    """Rows such as `Findings.row` gives, under their headings, as lines."""
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    for row in (HEADINGS, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


add_to = Summary(NAME, "type checkers over the corpus", lambda rows: table(sorted(rows))).add_to
