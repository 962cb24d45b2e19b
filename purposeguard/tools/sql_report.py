"""What `purposeguard sql` prints: the rows of a query, or the columns that it uses."""

from __future__ import annotations

import base64
import datetime
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from purposeguard.notice.label import Label
from purposeguard.tools.render import Column, Report, Table

if TYPE_CHECKING:
    # Its libraries may be missing.
    from purposeguard.adapters.duckdb import Explanation, Result

NULL: Final = "NULL"
WIDEST: Final = 40
"""Columns that a terminal's table has at most."""


def rows_report(result: Result, limit: int | None) -> tuple[Report, str]:
    """The rows of a result, the first `limit` of them; and how many there are."""
    from purposeguard.adapters.duckdb.result import plain  # noqa: PLC0415  # its libraries may be missing

    everything = len(result)
    table = result.arrow().slice(0, limit)
    rows = list(zip(*map(plain, table.columns), strict=True))
    columns = [{"name": name, "sources": _sources(result.labels[name])} for name in result.columns]
    data = {"columns": columns, "rows": [[_plain(value) for value in row] for row in rows]}
    flat = Table(
        "rows",
        tuple(Column(name) for name in result.columns),
        tuple(tuple("" if value is None else _text(value) for value in row) for row in rows),
    )
    shown = tuple(Column(_printable(name)) for name in result.columns[:WIDEST])
    cells = tuple(tuple(_cell(value) for value in row[:WIDEST]) for row in rows)
    counted = "1 row" if everything == 1 else f"{everything:,} rows"
    warnings: list[str] = []
    if len(rows) < everything:
        warnings.append(f"the first {len(rows):,} of {counted} are printed: `--limit N` prints more")
    if len(result.columns) > WIDEST:
        warnings.append(f"the first {WIDEST} of {len(result.columns):,} columns are printed: `--format csv` has all")
    return Report(data, (Table("", shown, cells),), flat, tuple(warnings)), counted


def explain_report(found: Explanation) -> Report:
    """The columns that a statement uses, and whether they may be."""
    data: dict[str, Any] = {
        "allowed": found.allowed,
        "used": [
            {
                "table": one.table,
                "column": one.column,
                "sources": _sources(one.label),
                "by_row": one.by_row,
                "allowed": one.allowed,
                "reasons": [] if one.decision is None else [str(reason) for reason in one.decision.reasons],
            }
            for one in found.used
        ],
        "outputs": [{"column": name, "sources": _sources(label)} for name, label in found.outputs.items()],
    }
    reads = tuple(
        (
            _printable(one.table),
            _printable(one.column),
            _named(one.label),
            "row by row" if one.by_row else "",
            "allowed" if one.allowed else "denied",
            "" if one.allowed else "no tag says what it is" if one.decision is None else one.decision.headline,
        )
        for one in found.used
    )
    columns = (
        Column("table", "group"),
        Column("column"),
        Column("sources"),
        Column("", "under"),
        Column("verdict", "verdict"),
        Column("why", "under"),
    )
    outputs = tuple((_printable(name), _named(label)) for name, label in found.outputs.items())
    tables = (
        Table("Used", columns, reads),
        Table("Given", (Column("column"), Column("sources")), outputs),
    )
    names = ("table", "column", "sources", "by_row", "allowed", "why")
    flat = Table(
        "used",
        tuple(Column(name) for name in names),
        tuple(
            (row[0], row[1], row[2], one.by_row, one.allowed, row[5])
            for row, one in zip(reads, found.used, strict=True)
        ),
    )
    return Report(data, tables, flat, () if found.refused is None else (str(found.refused),))


def _sources(label: Label | None) -> list[str] | None:
    return None if label is None else [source.clause for source in label]


def _named(label: Label | None) -> str:
    return "no tag" if label is None else " ".join(source.clause for source in label)


def _cell(value: Any) -> str:
    return NULL if value is None else _printable(_text(value))


def _printable(text: str) -> str:
    """A text in which nothing but letters comes to the terminal: no control characters of what was read."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat(" ") if isinstance(value, datetime.datetime) else value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return str(value)
