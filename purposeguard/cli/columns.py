"""Columns of a report, each defined once: for the JSON output, for the table of a terminal, or for both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from purposeguard.cli.render import Cell, Column, ColumnKind, RenderedTable

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class ReportColumn(Generic[Row]):
    """A column of a report, as functions of an item that the report lists.

    The JSON output has its keys in the order of the columns, and so has a table, except for columns that are shown
    beneath another one.
    """

    key: str
    """The key in the JSON output. `under` refers to a column by it."""
    data: Callable[[Row], object] | None = None
    """Returns the JSON value; None for a column that only a table has."""
    heading: str | None = None
    """The heading in a table; None for a column that has none there, or that only the JSON output has."""
    text: Callable[[Row], Cell] | None = None
    """Returns the cell of a table; None if it is the JSON value as text."""
    kind: ColumnKind = "text"
    """How a table shows the column."""
    words: bool = False
    """True if the cells are words of this program, which are translated, and not data."""
    under: str | None = None
    """The key of the column beneath whose cells a table shows these."""
    optional: bool = False
    """True if the JSON output lacks the key where the value is None."""

    def cell(self, row: Row) -> Cell:
        """Return the cell of an item in a table."""
        if self.text is not None:
            return self.text(row)
        return "" if self.data is None else str(self.data(row))


def list_rows(columns: Sequence[ReportColumn[Row]], rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the items of a report as JSON values.

    Args:
        columns: The columns; those without `data` are left out.
        rows: The items.
    """
    listed: list[dict[str, Any]] = []
    for row in rows:
        values: dict[str, Any] = {}
        for column in columns:
            if column.data is not None:
                value = column.data(row)
                if value is not None or not column.optional:
                    values[column.key] = value
        listed.append(values)
    return listed


def make_table(title: str, columns: Sequence[ReportColumn[Row]], rows: Iterable[Row]) -> RenderedTable:
    """Return a table with a row for each item.

    Args:
        title: The line above the table.
        columns: The columns; those with neither heading nor `under` are left out.
        rows: The items.
    """
    shown = tuple(_in_order_of_table(columns))
    cells: list[tuple[str | bool, ...]] = []
    for row in rows:
        row_cells = tuple(column.cell(row) for column in shown)
        cells.append(row_cells)
    return RenderedTable(title, tuple(map(_make_head, shown)), tuple(cells))


def _in_order_of_table(columns: Sequence[ReportColumn[Row]]) -> Iterator[ReportColumn[Row]]:
    """Yield the columns of a table, each followed by those that are shown beneath it."""
    for column in columns:
        if column.heading is None or column.under is not None:
            continue
        yield column
        for beneath in columns:
            if beneath.under == column.key:
                yield beneath


def _make_head(column: ReportColumn[Any]) -> Column:
    kind: ColumnKind = column.kind if column.under is None else "under"
    return Column(column.heading or "", kind, column.words, data=kind == "mark")  # Marks are headed by terms.
