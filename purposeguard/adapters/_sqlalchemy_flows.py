"""Which columns flow into the columns that a statement of SQLAlchemy writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Column
from sqlalchemy.sql.elements import BindParameter, ColumnClause, TextClause
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import (
    CTE,
    Alias,
    CompoundSelect,
    Exists,
    FromGrouping,
    ScalarSelect,
    Select,
    SelectStatementGrouping,
    TableClause,
    TableSample,
    TableValuedAlias,
    TextualSelect,
    Values,
)

Source = tuple[TableClause, str]
"""A column of a table, by its name."""


class Flow(NamedTuple):
    """What flows into one column."""

    table: TableClause
    column: str
    columns: frozenset[Source]


class Untold(Exception):
    """What flows into a column is text."""


def flows_of(state: Any, given: set[str]) -> Iterator[Flow]:
    """What flows into each column that an INSERT or UPDATE writes.

    `state` is SQLAlchemy's state of its compilation. Keys of parameters whose values are written as they are go to
    `given`.

    Raises:
        Untold: some of it is text.
    """
    statement = state.statement
    table: TableClause = statement.table
    for column, value in _written(state, statement):
        if isinstance(value, BindParameter):
            given.add(value.key)
        elif hasattr(value, "get_children"):
            yield Flow(table, _name(table, column), frozenset(sources_of([value])))
    chosen = getattr(statement, "select", None) if state.isinsert else None
    if chosen is not None:
        for names in _chosen(chosen):
            for column, expression in zip(statement._select_names, names, strict=False):
                yield Flow(table, _name(table, column), frozenset(sources_of([expression])))
    for column in getattr(table, "columns", ()):
        default = getattr(column, "default" if state.isinsert else "onupdate", None)
        if default is not None and getattr(default, "is_clause_element", False):
            yield Flow(table, column.name, frozenset(sources_of([default.arg])))


def _written(state: Any, statement: Any) -> Iterator[tuple[Any, Any]]:
    for values in (getattr(state, "_dict_parameters", None), *(getattr(state, "_multi_parameters", None) or ())):
        if isinstance(values, Mapping):
            yield from values.items()
    yield from getattr(state, "_ordered_values", None) or ()
    clause = getattr(statement, "_post_values_clause", None)
    updated = getattr(clause, "update_values_to_set", None) or getattr(clause, "update", None) or ()
    yield from updated.items() if isinstance(updated, Mapping) else updated


def _name(table: Any, column: Any) -> str:
    """The name of a column that is written, which may be given by its key."""
    if isinstance(column, ColumnClause):
        return column.name
    found = table.columns.get(column)
    return column if found is None else str(found.name)


def _chosen(chosen: Any) -> Iterator[list[Any]]:
    """The columns of a SELECT, or of each that a UNION is of."""
    pending = [chosen]
    while pending:
        one = pending.pop()
        if isinstance(one, SelectStatementGrouping):
            pending.append(one.element)
        elif isinstance(one, CompoundSelect):
            pending += one.selects
        elif isinstance(one, Select):
            yield list(one.selected_columns)
        else:
            raise Untold("what is inserted is text, or some of it is")


def sources_of(expressions: Iterable[Any]) -> set[Source]:
    """The columns of tables that flow into the value of expressions.

    Raises:
        Untold: some of it is text.
    """
    found: set[Source] = set()
    pending = list(expressions)
    seen: dict[int, Any] = {}
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one
        if isinstance(one, (TextClause, TextualSelect)):
            raise Untold("what is written is text, or some of it is")
        if isinstance(one, Exists):
            continue  # whether there is a row: its columns filter
        if is_count_of_all(one):
            continue
        if isinstance(one, ColumnClause):
            pending += _below(one, found)
        elif isinstance(one, (ScalarSelect, FromGrouping)):
            pending.append(one.element)
        elif isinstance(one, (Select, CompoundSelect, SelectStatementGrouping)):
            pending += [column for columns in _chosen(one) for column in columns]
        elif hasattr(one, "get_children"):
            pending += one.get_children()
    return found


def _below(column: ColumnClause[Any], found: set[Source]) -> Iterable[Any]:
    """Adds a column of a table to what was found; of any other, gives what it is made of."""
    table: Any = column.table
    if column.is_literal or table is None:
        if isinstance(column, Column) or not column.is_literal or not column.name.isdigit():
            raise Untold(f"what is written names `{column.name}`, which is text")
        return ()
    while isinstance(table, (Alias, TableSample)) and isinstance(table.element, (Alias, TableSample, TableClause)):
        table = table.element
    if isinstance(table, TableClause):
        found.add((table, column.name))
        return ()
    if isinstance(table, Values):
        return ()
    if isinstance(table, TableValuedAlias):
        return (table.element,)
    proxies: list[Any] = list(getattr(column, "_proxies", ()))
    if not proxies or (isinstance(table, CTE) and isinstance(table.element, TextualSelect)):
        raise Untold(f"what is written names `{column.name}`, and of what that is made is not told")
    return proxies


def is_count_of_all(element: Any) -> bool:
    """Whether an element is `count(*)`."""
    if not isinstance(element, FunctionElement) or getattr(element, "name", "").lower() != "count":
        return False
    args: list[Any] = list(element.clauses)
    return len(args) == 1 and getattr(args[0], "is_literal", False) and args[0].name == "*"
