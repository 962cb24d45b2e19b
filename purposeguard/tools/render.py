"""What the command line prints: tables as data, and how they look in a terminal, as Markdown, as CSV and as JSON.

Only the terminal's form is coloured, wrapped to the width at hand and laid out to fit it; the others hold every cell
whole, so that they can be piped on.
"""

from __future__ import annotations

import csv
import io
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
"""Columns that a text column of a terminal's table gets at least, before the marks beside it are stood upright."""


class Format(StrEnum):
    """How a report is printed."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"


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
    """Rows under columns: text, or under a `mark` True, False or `consent`."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """One answer in all its forms: `data` for JSON, `tables` for people, `flat`, one table with everything, for CSV."""

    data: object
    tables: tuple[Table, ...]
    flat: Table
    warnings: tuple[str, ...] = field(default=())


def show(report: Report, form: Format, console: Console) -> None:
    """Prints a report to the console, in this form."""
    if form is Format.table:
        for table in report.tables:
            for grid in grids(table, console.width):
                console.print(grid)
                console.print()
        return
    if form is Format.json:
        text = json_text(report.data)
    elif form is Format.csv:
        text = csv_text(report.flat)
    else:
        text = "\n".join(markdown_text(table) for table in report.tables)
    # Not by the console, which would wrap it.
    console.file.write(text)


def json_text(data: object) -> str:
    """Data as JSON, in the order it is in."""
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def csv_text(table: Table) -> str:
    """A table as CSV with a heading line; yes and no for marks."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(column.name for column in table.columns)
    writer.writerows([_word(cell) for cell in row] for row in table.rows)
    return out.getvalue()


def markdown_text(table: Table) -> str:
    """A table as GitHub-flavoured Markdown, under its title."""
    lines = [f"## {table.title}", "", _markdown_row(column.name for column in table.columns)]
    lines.append(_markdown_row(":-:" if column.kind == "mark" else "---" for column in table.columns))
    lines += (
        _markdown_row(("✓" if cell else "") if isinstance(cell, bool) else cell for cell in row) for row in table.rows
    )
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"


def _word(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return cell


def grids(table: Table, width: int) -> Iterator[Grid]:
    """A table for a terminal of this width: several where its marks do not fit beside each other."""
    marks = [index for index, column in enumerate(table.columns) if column.kind == "mark"]
    room = width - _text_width(table)
    upright = sum(cell_len(table.columns[index].name) + 1 for index in marks) > room
    blocks: list[list[int]] = [[]]
    used = 0
    for index in marks:
        needed = (1 if upright else cell_len(table.columns[index].name)) + 1
        if used + needed > room and blocks[-1]:
            blocks.append([])
            used = 0
        blocks[-1].append(index)
        used += needed
    for number, block in enumerate(blocks, 1):
        title = table.title if len(blocks) == 1 else f"{table.title} ({number} of {len(blocks)})"
        yield _grid(table, title, block, upright)


def _text_width(table: Table) -> int:
    """What the columns that are no marks need: the first its longest word, the next ones room to wrap in."""
    first, *others = [column for column in table.columns if column.kind not in ("mark", "under")]
    index = table.columns.index(first)
    longest = max((cell_len(str(row[index])) for row in table.rows), default=0)
    return min(longest, NARROWEST_TEXT) + 1 + len(others) * (NARROWEST_TEXT + 1)


def _grid(table: Table, title: str, marks: Sequence[int], upright: bool) -> Grid:
    grid = Grid(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    shown = [index for index, column in enumerate(table.columns) if column.kind not in ("mark", "under")]
    names = [_letters(table.columns[index].name) for index in marks]
    height = max(map(len, names), default=1) if upright else 1
    for index in shown:
        name = table.columns[index].name
        grid.add_column(Text("\n" * (height - 1) + name, "bold cyan"), overflow="fold", min_width=min(len(name), 8))
    for index, letters in zip(marks, names, strict=True):
        stacked = "\n".join([" "] * (height - len(letters)) + letters)
        heading = stacked if upright else table.columns[index].name
        grid.add_column(Text(heading, "bold cyan"), justify="center", no_wrap=True)
    leading = [index for index in shown if table.columns[index].kind == "group"]
    groups = groupby(table.rows, key=lambda row: [row[index] for index in leading])
    for number, (_, rows) in enumerate(groups):
        if number:
            grid.add_row()
        for line, row in enumerate(rows):
            cells = [Text("") if line and index in leading else _with_those_under(table, row, index) for index in shown]
            grid.add_row(*cells, *(MARKS[row[index]] for index in marks))
    return grid


def _letters(name: str) -> list[str]:
    """A clause id standing upright, without its brackets."""
    return [char for char in name if char not in "()[] "]


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
    """Prints an answer: its word in colour, then why, set in beneath it."""
    console.print(Text.assemble((word, VERDICTS[word]), f": {headline}"))
    for line in details:
        console.print(Padding(Text(line), (0, 0, 0, 2)))


def complain(console: Console, kind: str, text: str) -> None:
    """Prints an error or a warning: its lines as they are, so that paths in them stay whole."""
    style = "bold red" if kind == "error" else "bold yellow"
    console.print(Text.assemble((f"{kind}:", style), " ", text), soft_wrap=True)
