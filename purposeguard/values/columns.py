"""Rows and the rows in their fields, column by column: read once for each class, and not row by row."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from purposeguard.values.plan import LEAVES, RowReader, ValuePlan, make_plan
from purposeguard.values.type_schema import Shape


class ValueColumn(NamedTuple):
    """The values of one field of many rows.

    Attributes:
        values: The values, one for each row.
        rows: The nested rows in them, which are of one class; None if there are none.
        lists: True if each value is a list of nested rows.
    """

    values: list[Any]
    rows: ColumnarRows | None = None
    lists: bool = False

    def replace_rows(self, rows: Sequence[Any]) -> list[Any]:
        """Return the values with other nested rows in them."""
        following = iter(rows)
        if not self.lists:
            return [None if value is None else next(following) for value in self.values]
        return [
            None if value is None else _replace_in_list(value, list(itertools.islice(following, len(value))))
            for value in self.values
        ]


def _replace_in_list(before: list[Any], after: list[Any]) -> list[Any]:
    return before if all(map(lambda old, new: old is new, before, after)) else after


class ColumnarRows(NamedTuple):
    """Rows of one class, with the columns of their fields; without columns if each row holds plain values alone."""

    items: list[Any]
    plan: ValuePlan
    reader: RowReader
    columns: dict[str, ValueColumn]


def to_columnar_rows(
    items: list[Any], shape: Shape, path: str, around: frozenset[int] = frozenset()
) -> ColumnarRows | None:
    """Arrange rows in columns. Return None if the rows must be looked at one by one.

    All rows must be of one class and have no marks. They either hold plain values alone, or have exactly the declared
    fields, which hold plain values and rows like these. No decision is made here.

    Args:
        items: The rows.
        shape: The shape that was announced for each row.
        path: The name of the rows in messages.
        around: The identities of the rows that these are in.

    Raises:
        UnlabelledData: as `make_plan`.
    """
    classes = set(map(type, items))
    if len(classes) != 1:
        return None
    plan = make_plan(classes.pop(), shape, path)
    reader = plan.reader
    if (
        reader is None
        or plan.computed
        or plan.marks
        or plan.whole is not None
        or plan.refusal is not None
        or plan.later
    ):
        return None
    if plan.quick is not None and plan.are_plain(items):
        return ColumnarRows(items, plan, plan.quick, {})
    inside = around.union(map(id, items))
    if len(inside) < len(around) + len(items):  # A row occurs twice, perhaps inside itself.
        return None
    columns = _read_columns(items, plan, reader, path, inside)
    return None if columns is None else ColumnarRows(items, plan, reader, columns)


def _read_columns(
    items: list[Any], plan: ValuePlan, reader: RowReader, path: str, around: frozenset[int]
) -> dict[str, ValueColumn] | None:
    fields = plan.fields or {}
    if issubclass(plan.cls, BaseModel) and any(row.__pydantic_extra__ for row in items):
        return None
    if reader.beside is not None and any(map(reader.beside, items)):
        return None
    columns: dict[str, ValueColumn] = {}
    try:
        rows = list(map(reader.held, items))
        if set(map(len, rows)) != {len(fields)}:
            return None
        for name, field in fields.items():
            column = _read_column([row[name] for row in rows], field, f"{path}.{name}" if path else name, around)
            if column is None:
                return None
            columns[name] = column
    except (AttributeError, KeyError):  # A field was never set.
        return None
    return columns


def _read_column(values: list[Any], shape: Shape, path: str, around: frozenset[int]) -> ValueColumn | None:
    if not shape.says_what:
        return ValueColumn(values) if LEAVES(map(type, values)) else None
    present_values = [value for value in values if value is not None]
    if not present_values:
        return ValueColumn(values)
    if set(map(type, present_values)) != {list}:
        rows = to_columnar_rows(present_values, shape, path, around)
        return None if rows is None else ValueColumn(values, rows)
    plan = make_plan(list, shape, path)
    items = list(itertools.chain.from_iterable(present_values))
    if not plan.contains or plan.whole is not None or plan.refusal is not None or plan.items.marks:
        return None
    if not items or (not plan.items.says_what and LEAVES(map(type, items))):
        return ValueColumn(values)
    rows = to_columnar_rows(items, plan.items, f"{path}[]", around)
    return None if rows is None else ValueColumn(values, rows, lists=True)
