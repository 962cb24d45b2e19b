"""What the command line prints: tables in a terminal for people, and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

Cell = str | bool

CONSENT = "consent"
"""In the place of a yes: of subjects who consent."""

CONSENT_MARK = "c"
MARKS: dict[Cell, Text] = {
    True: Text("✓", "bold green"),
    False: Text("·", "dim red"),
    CONSENT: Text(CONSENT_MARK, "bold yellow"),
}
VERDICTS = {
    "allowed": "green",
    "broken": "bold red",
    "denied": "bold red",
    "intact": "green",
    "overdue": "bold red",
    "refused": "bold red",
    "unknown": "magenta",
    "withheld": "yellow",
}
NARROWEST_TEXT = 24
"""Columns that a text column of a terminal's table gets at least beside marks."""


class Format(StrEnum):
    """The format of a report."""

    table = "table"
    json = "json"


class TextFormat(StrEnum):
    """The format of an answer."""

    text = "text"
    json = "json"


class Language(StrEnum):
    """The language of titles."""

    en = "en"
    ja = "ja"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, and what it looks like in a terminal.

    `text`; `under`: beneath the column before it, in the same place; `mark`: yes, no or `consent`; `verdict`: coloured
    by its first word; `group`: said once for all rows that share it.
    """

    name: str
    kind: Literal["text", "under", "mark", "verdict", "group"] = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; in a `mark` column, True, False or `consent`."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """One answer: `data` for JSON, `tables` for people, `warnings` for standard error."""

    data: object
    tables: tuple[Table, ...]
    warnings: tuple[str, ...] = field(default=())


def show(report: Report, form: Format, console: Console) -> None:
    """Prints a report in this format."""
    if form is Format.table:
        for table in report.tables:
            for grid in grids(table, console.width):
                console.print(grid)
                console.print()
        return
    console.file.write(json_text(report.data))  # not by the console, which would wrap it


def json_text(data: object) -> str:
    """Data as JSON, in its own order."""
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def grids(table: Table, width: int) -> Iterator[Grid]:
    """A table for a terminal of this width, split if its mark columns do not fit."""
    marks = [index for index, column in enumerate(table.columns) if column.kind == "mark"]
    texts = [column for column in table.columns if column.kind not in ("mark", "under")]
    widest = max((cell_len(str(row[0])) for row in table.rows), default=0)
    room = width - min(widest, NARROWEST_TEXT) - 1 - (len(texts) - 1) * (NARROWEST_TEXT + 1)
    wide = max((cell_len(table.columns[index].name) + 1 for index in marks), default=1)
    fitting = max(room // wide, 1)
    blocks = [marks[start : start + fitting] for start in range(0, len(marks), fitting)] or [[]]
    for number, block in enumerate(blocks, 1):
        yield _grid(table, table.title if len(blocks) == 1 else f"{table.title} ({number} of {len(blocks)})", block)


def _grid(table: Table, title: str, marks: Sequence[int]) -> Grid:
    grid = Grid(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    shown = [index for index, column in enumerate(table.columns) if column.kind not in ("mark", "under")]
    for index in shown:
        name = table.columns[index].name
        grid.add_column(Text(name, "bold cyan"), overflow="fold", min_width=min(len(name), 8))
    for index in marks:
        grid.add_column(Text(table.columns[index].name, "bold cyan"), justify="center", no_wrap=True)
    leading = [index for index in shown if table.columns[index].kind == "group"]
    groups = groupby(table.rows, key=lambda row: [row[index] for index in leading])
    for number, (_, rows) in enumerate(groups):
        if number:
            grid.add_row()
        for line, row in enumerate(rows):
            cells = [Text("") if line and index in leading else _with_those_under(table, row, index) for index in shown]
            grid.add_row(*cells, *(MARKS[row[index]] for index in marks))
    return grid


def _with_those_under(table: Table, row: tuple[Cell, ...], index: int) -> Text:
    text = Text(str(row[index]))
    if table.columns[index].kind == "verdict":
        text.stylize(VERDICTS.get(str(row[index]).partition(" ")[0].lower(), ""))
    for column, cell in zip(table.columns[index + 1 :], row[index + 1 :], strict=True):
        if column.kind != "under":
            break
        if cell:
            text.append(f"\n{cell}", "dim")
    return text


def verdict(console: Console, word: str, headline: str, details: Iterable[str]) -> None:
    """Prints an answer: its word in colour, then the reasons, indented."""
    console.print(Text.assemble((word, VERDICTS[word]), f": {headline}"))
    for line in details:
        console.print(Padding(Text(line), (0, 0, 0, 2)))


def complain(console: Console, kind: str, text: str) -> None:
    """Prints an error or a warning without wrapping, so that paths stay on one line."""
    style = "bold red" if kind == "error" else "bold yellow"
    console.print(Text.assemble((f"{kind}:", style), " ", text), soft_wrap=True)
