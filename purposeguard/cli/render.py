"""What the command line prints: tables in a terminal for people, and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, Literal

from purposeguard.cli.words import Language, language, translate
from purposeguard.errors import escape_controls
from purposeguard.extras import Needs

with Needs(__name__, "cli"):
    from rich.cells import cell_len
    from rich.console import Console, Group
    from rich.containers import Lines
    from rich.padding import Padding
    from rich.table import Table as Grid
    from rich.text import Text

Cell = str | bool

ColumnKind = Literal["text", "under", "mark", "verdict", "group"]
"""How a column looks in a terminal.

`under`: its cells stand beneath those of the column before it. `mark`: its cells are keys of `MARKS`. `verdict`: its
cells are colored by their first word. `group`: a cell is printed once for all rows that share it.
"""

CONSENT = "consent"
"""In the place of a yes: of subjects who consent."""

OPT_OUT = "opt-out"
"""In the place of a yes: of subjects who are named, until they object."""

FORBIDDEN = "forbidden"
"""In the place of a no: a prohibition says so."""

CONDITIONS = "conditions"
"""In the place of a yes: where conditions hold that were not stated."""

MARKS: dict[Cell, Text] = {
    True: Text("✓", "bold green"),
    CONSENT: Text("c", "bold yellow"),
    OPT_OUT: Text("o", "bold yellow"),
    CONDITIONS: Text("?", "bold yellow"),
    FORBIDDEN: Text("✗", "bold red"),
    False: Text("·", "dim"),
}
LEGEND: dict[Cell, str] = {
    True: "may serve",
    CONSENT: "of subjects who consent",
    OPT_OUT: "until the person objects",
    CONDITIONS: "under conditions",
    FORBIDDEN: "forbidden",
    False: "no clause grants it",
}
"""Mark → its meaning."""
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
SHOWN_AS_TEXT: Final[tuple[ColumnKind, ...]] = ("text", "verdict", "group")
"""The kinds of columns with a column of text of their own in a terminal."""
NARROWEST_TEXT = 24
"""Columns that a text column of a terminal's table gets at least beside marks."""


SHORT = 240
"""How many characters of a text are shown unless all of it is wanted."""

NOT_FIRST = frozenset(" 、。，．」』）】〉》：；！？・…ー々ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ),.:;!?]")
NOT_LAST = frozenset("「『（【〈《([")
"""Characters that begin no line of Japanese, and those that end none."""


class Prose(Text):
    """A text that also wraps between Japanese characters, which have no blanks between them."""

    def wrap(self, console: Console, width: int, **options: Any) -> Lines:
        """Return the lines of the text at this width."""
        if cell_len(self.plain) == len(self.plain):
            return super().wrap(console, width, **options)
        lines = Lines()
        for line in self.split(allow_blank=True):
            lines.extend(line.divide(_breaks(line.plain, width)))
        for line in lines:
            line.rstrip_end(width)
        return lines


def _breaks(text: str, width: int) -> list[int]:
    """Return the positions at which the lines of a text begin, except the first one."""
    breaks: list[int] = []
    start = chance = cells = 0
    for place, char in enumerate(text):
        before = text[place - 1] if place else char
        divides = before == " " or cell_len(before) > 1 or cell_len(char) > 1
        if divides and char not in NOT_FIRST and before not in NOT_LAST:
            chance = place
        cells += cell_len(char)
        if cells > width and char != " " and place > start:
            start = chance if chance > start else place
            breaks.append(start)
            cells = cell_len(text[start : place + 1])
    return breaks


Format = Literal["table", "json"]
"""The format of a report."""


TextFormat = Literal["text", "json"]
"""The format of an answer."""


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a table's column, and what the column looks like in a terminal."""

    name: str
    """The heading."""
    kind: ColumnKind = "text"
    """How the cells look."""
    words: bool = False
    """True if the cells are words of this program, which are translated. Those of a verdict always are."""
    data: bool = False
    """True if the heading is data, too, which is not translated."""

    @property
    def head(self) -> str:
        """The heading in the language of the reader."""
        return self.name if self.data else translate(self.name)


@dataclass(frozen=True, slots=True)
class RenderedTable:
    """A table for people: rows of text, and in `mark` columns keys of `MARKS`."""

    title: str
    """The line above the table; empty for none."""
    columns: tuple[Column, ...]
    """The heads of the columns."""
    rows: tuple[tuple[Cell, ...], ...]
    """The rows, each with a cell for each column."""

    def place(self, *kinds: ColumnKind) -> list[int]:
        """Return the positions of the columns of these kinds."""
        return [position for position, column in enumerate(self.columns) if column.kind in kinds]


@dataclass(frozen=True, slots=True)
class Report:
    """One answer: `data` for JSON, `tables` for people, `warnings` for standard error."""

    data: object
    tables: tuple[RenderedTable, ...]
    warnings: tuple[str, ...] = field(default=())


def show(report: Report, form: Format, console: Console) -> None:
    """Print a report in this format."""
    if form == "table":
        for table in report.tables:
            for grid in grids(table, console.width):
                console.print(grid)
                console.print()
        return
    console.file.write(json_text(report.data))  # not by the console, which would wrap it


def json_text(data: object) -> str:
    """Return data as JSON, in its own order."""
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def grids(table: RenderedTable, width: int) -> Iterator[Group]:
    """Yield a table for a terminal of this width, split if its mark columns do not fit."""
    blocks = _blocks_of_marks(table, width)
    for number, block in enumerate(blocks, 1):
        title = table.title if len(blocks) == 1 else f"{table.title} ({number} of {len(blocks)})"
        parts: list[Text | Grid] = [Prose(translate(title), "bold")] if title else []
        parts.append(_grid(table, block))
        if block and number == len(blocks):
            parts.append(_legend(table))
        yield Group(*parts)


def _blocks_of_marks(table: RenderedTable, width: int) -> list[list[int]]:
    """Return the positions of the mark columns, in blocks that fit beside the text.

    Returns:
        The blocks; a table without marks has one empty block.
    """
    marks = table.place("mark")
    if not marks:
        return [[]]
    widest = max((cell_len(str(row[0])) for row in table.rows), default=0)
    texts = len(table.place(*SHOWN_AS_TEXT))
    room = width - min(widest, NARROWEST_TEXT) - 1 - (texts - 1) * (NARROWEST_TEXT + 1)
    widest_mark = max(cell_len(table.columns[position].head) + 1 for position in marks)
    fitting = max(room // widest_mark, 1)
    return [marks[start : start + fitting] for start in range(0, len(marks), fitting)]


def _legend(table: RenderedTable) -> Text:
    """Return the meanings of the marks that the table contains."""
    marks = table.place("mark")
    cells: set[Cell] = set()
    for row in table.rows:
        for position in marks:
            cells.add(row[position])
    legend = Text()
    for cell, meaning in LEGEND.items():
        if cell in cells:
            legend.append("   " if legend else "")
            legend.append_text(Text.assemble(MARKS[cell], " ", translate(meaning)))
    return legend


def _grid(table: RenderedTable, marks: Sequence[int]) -> Grid:
    """Return a table with those of its mark columns that are at these positions."""
    grid = Grid(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    texts = table.place(*SHOWN_AS_TEXT)
    for position in texts:
        name = table.columns[position].head
        grid.add_column(Text(name, "bold cyan"), overflow="fold", min_width=min(cell_len(name), 8))
    for position in marks:
        grid.add_column(Text(table.columns[position].head, "bold cyan"), justify="center", no_wrap=True)
    leading = table.place("group")
    groups = groupby(table.rows, key=lambda row: [row[position] for position in leading])
    for number, (_, rows) in enumerate(groups):
        if number:
            grid.add_row()
        for line, row in enumerate(rows):
            cells: list[Text] = []
            for position in texts:
                repeated = line and position in leading
                cells.append(Text("") if repeated else _with_those_under(table, row, position))
            grid.add_row(*cells, *(MARKS[row[position]] for position in marks))
    return grid


def _with_those_under(table: RenderedTable, row: tuple[Cell, ...], index: int) -> Text:
    text = Prose(_cell(table.columns[index], row[index]))
    if table.columns[index].kind == "verdict":
        text.stylize(VERDICTS.get(str(row[index]).partition(" ")[0].lower(), ""))
    for column, cell in zip(table.columns[index + 1 :], row[index + 1 :], strict=True):
        if column.kind != "under":
            break
        if cell:
            text.append(f"\n{_cell(column, cell)}", "dim")
    return text


def _cell(column: Column, cell: Cell) -> str:
    return translate(str(cell)) if column.words or column.kind == "verdict" else str(cell)


def verdict(console: Console, word: str, headline: str, details: Iterable[str]) -> None:
    """Print an answer: its word in colour, then the reasons, indented."""
    answer = Prose(f"{translate(word)}: {translate(headline)}")
    answer.stylize(VERDICTS[word], 0, len(translate(word)))
    console.print(answer if language() is Language.en else Padding(answer, 0))  # by itself it becomes a plain Text
    for line in details:
        console.print(Padding(Prose(translate(line)), (0, 0, 0, 2)))


def quote(console: Console, headline: str, words: str, *, whole: bool) -> None:
    """Print words of a notice unchanged below a headline, completely or their beginning."""
    line = " ".join(words.split())
    shown = words if whole else line if len(line) <= SHORT else f"{line[:SHORT].rstrip()}…"
    console.print(Padding(Prose(translate(headline)), (0, 0, 0, 2)))
    console.print(Padding(Prose(escape_controls(shown), "dim"), (0, 0, 0, 4)))


def complain(console: Console, kind: str, text: str) -> None:
    """Print an error, a warning or a note without wrapping, so that paths stay on one line."""
    style = {"error": "bold red", "notice": "bold cyan"}.get(kind, "bold yellow")
    console.print(Text.assemble((translate(f"{kind}:"), style), " ", translate(text)), soft_wrap=True)
