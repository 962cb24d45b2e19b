"""Which columns flow into the columns that a statement of SQLAlchemy writes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Column, select, union_all
from sqlalchemy.exc import NoForeignKeysError
from sqlalchemy.sql.elements import BindParameter, ColumnClause, TextClause
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import (
    CTE,
    Alias,
    CompoundSelect,
    Exists,
    FromGrouping,
    Join,
    Lateral,
    ScalarSelect,
    Select,
    SelectStatementGrouping,
    Subquery,
    TableClause,
    TableSample,
    TableValuedAlias,
    TextualSelect,
    Values,
)
from sqlalchemy.sql.util import join_condition
from sqlalchemy.sql.visitors import iterate

Source = tuple[TableClause, str]
"""A column of a table, by its name."""


class Flow(NamedTuple):
    """What flows into one column: `columns` into its values, `conditions` into that there is one."""

    table: TableClause
    column: str
    columns: frozenset[Source]
    conditions: frozenset[Source] = frozenset()


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
    chosen = getattr(statement, "select", None) if state.isinsert else None
    written, updated = list(_written(state)), list(_updated(statement))
    own = [*_within(value for _, value in (*written, *updated))]
    which = frozenset(sources_of([*own, *_which(statement)]))
    own += [] if chosen is None else conditions_of(chosen)
    # The row that is inserted is there anyway; what is looked at in the one that it meets decides of that alone.
    conditions = frozenset(sources_of(own)) if state.isinsert else which
    for values, chosen_by in ((written, conditions), (updated, which)):
        for column, value in values:
            if isinstance(value, BindParameter):
                given.add(value.key)
                yield Flow(table, _name(table, column), frozenset(), chosen_by)
            elif hasattr(value, "get_children"):
                yield Flow(table, _name(table, column), frozenset(sources_of([value])), chosen_by)
    if chosen is not None:
        for names in _chosen(chosen):
            for column, expression in zip(statement._select_names, names, strict=False):
                yield Flow(table, _name(table, column), frozenset(sources_of([expression])), conditions)
    for column in getattr(table, "columns", ()):
        default = getattr(column, "default" if state.isinsert else "onupdate", None)
        if default is not None and getattr(default, "is_clause_element", False):
            within = frozenset(sources_of(_within([default.arg])))
            yield Flow(table, column.name, frozenset(sources_of([default.arg])), conditions | within)


def _which(statement: Any) -> list[Any]:
    """What chooses the rows that an UPDATE changes, or that an INSERT meets and changes."""
    conflict = getattr(getattr(statement, "_post_values_clause", None), "update_whereclause", None)
    found = [*getattr(statement, "_where_criteria", ()), conflict]
    return [part for one in found if one is not None for part in (one, *_within([one]))]


def conditions_of(query: Any) -> Iterator[Any]:
    """What decides which rows a query gives, in it and in the queries below.

    Raises:
        Untold: some of it is text.
    """
    pending, seen = [query], set[int]()
    while pending:
        one = pending.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, (TextClause, TextualSelect)):
            raise Untold("what is written comes from text")
        if isinstance(one, FunctionElement):  # it stands for rows, whose number it decides
            yield one
            pending += _queries([one])
        elif isinstance(one, _AROUND):
            pending.append(one.element)
        elif isinstance(one, Join):
            pending += [one.left, one.right]
            found = [one.onclause]
            yield from found
            pending += _queries(found)
        elif isinstance(one, CompoundSelect):
            if one.keyword is not _UNION_ALL:
                yield from (column for columns in _chosen(one) for column in columns)
            found = _ordering(one)
            yield from found
            pending += [*one.selects, *_queries(found)]
        elif isinstance(one, Select):
            items = list(one.selected_columns)
            found = [*one._where_criteria, *one._having_criteria, *one._group_by_clauses, *_ordering(one)]
            found += [*one._distinct_on, *(items if one._distinct else ())]
            yield from found
            joined = list(_joined(one))
            yield from joined
            pending += [*_froms(one), *_queries([*items, *found, *joined])]


_AROUND: Final = (
    SelectStatementGrouping, FromGrouping, ScalarSelect, Exists, Alias, TableSample, CTE, Subquery, Lateral,
)  # fmt: skip
"""What stands around a query, or a table."""

_QUERIES: Final = (ScalarSelect, Exists, CompoundSelect, Select)
_UNION_ALL: Final = union_all(select(1), select(1)).keyword


def _froms(query: Any) -> list[Any]:
    """What a SELECT reads from, without compiling it anew."""
    found = [*query._from_obj, *query.columns_clause_froms]
    found += [one for part in query._where_criteria for one in part._from_objects]
    return [*found, *(join[0] for join in query._setup_joins if join[0] is not None)]


def _joined(query: Any) -> Iterator[Any]:
    """By what a SELECT joins: as it is told, as a relationship is, or as foreign keys are."""
    for right, onclause, left, _ in query._setup_joins:
        told = getattr(onclause, "property", None)
        if told is not None and hasattr(told, "primaryjoin"):
            yield from (one for one in (told.primaryjoin, told.secondaryjoin) if one is not None)
        elif onclause is not None:
            yield onclause
        else:
            for one in _froms(query) if left is None else [left]:
                with contextlib.suppress(NoForeignKeysError):
                    yield join_condition(one, right)


def _ordering(query: Any) -> list[Any]:
    found = [*query._order_by_clauses, query._limit_clause, query._offset_clause, query._fetch_clause]
    return [one for one in found if one is not None]


def _queries(expressions: Iterable[Any]) -> list[Any]:
    """The queries that stand within expressions."""
    found: list[Any] = []
    for expression in expressions:
        if expression is not None:
            found += [
                one for one in iterate(expression) if isinstance(one, (ScalarSelect, Exists, CompoundSelect, Select))
            ]
    return found


def _within(expressions: Iterable[Any]) -> Iterator[Any]:
    """What decides in the queries that stand within expressions; of those that ask whether there is a row, all."""
    for query in _queries(one for one in expressions if hasattr(one, "get_children")):
        yield from conditions_of(query)


def _written(state: Any) -> Iterator[tuple[Any, Any]]:
    for values in (getattr(state, "_dict_parameters", None), *(getattr(state, "_multi_parameters", None) or ())):
        if isinstance(values, Mapping):
            yield from values.items()
    yield from getattr(state, "_ordered_values", None) or ()


def _updated(statement: Any) -> Iterator[tuple[Any, Any]]:
    """What an INSERT sets in a row that is there already."""
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
