"""Lineage: what a compiled statement reads and writes, what flows into its columns, and what decides its rows."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Column, select, union_all
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ColumnClause,
    TableValuedColumn,
    TextClause,
    _textual_label_reference,
)
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
    TableClause,
    TableSample,
    TableValuedAlias,
    TextualSelect,
    Values,
)
from sqlalchemy.sql.visitors import iterate

from purposeguard.adapters.sql.functions import NAMED, NAMED_TABLE_FUNCTIONS, words
from purposeguard.adapters.sql.scopes import lower
from purposeguard.adapters.sqlalchemy.rows import Narrowed
from purposeguard.adapters.sqlalchemy.seals import SealedType

ALL: Final = "*"
"""In place of a column's name: every column of the table."""

Key = tuple[str, str | None]
"""A table by its name, and by the alias that it has."""


class Occurrence(NamedTuple):
    """One place in which a statement reads a table.

    `names` are the columns that are used. `narrowings` are the tests by which rows of it are left out there, each with
    the names of the parameters that are bound in it. `written`: the rows are those that the statement inserts.
    """

    table: TableClause
    names: frozenset[str]
    narrowings: tuple[tuple[str, tuple[str, ...]], ...]
    written: bool


Source = tuple[TableClause, str] | SealedType
"""A column of a table, by its name; or a sealed value that is bound in the statement, by its type."""


class Flow(NamedTuple):
    """What flows into one column: `columns` into its values, `conditions` into that there is one."""

    table: TableClause
    column: str
    columns: frozenset[Source]
    conditions: frozenset[Source] = frozenset()


class Analysis:
    """What a statement reads and writes.

    `untold`: why its structure does not show it, so that its text has to be analysed.
    """

    __slots__ = ("flows", "occurrences", "plan", "sealed", "tables", "untold")

    def __init__(self) -> None:
        self.occurrences: tuple[Occurrence, ...] = ()
        self.tables: tuple[TableClause, ...] = ()
        self.flows: tuple[Flow, ...] = ()
        self.sealed: tuple[SealedType, ...] = ()
        self.untold: str | None = None
        self.plan: Any = None
        """The plan that `Watch` caches here."""


class Scope:
    """A SELECT, INSERT, UPDATE or DELETE, or some SELECTs put together, with what it reads from.

    `chosen` are the queries whose rows an INSERT inserts. `shared`: it is a common table expression, or in one, so
    that any part of the statement may read it. `meeting`: it stands in what an INSERT does to a row that is there.
    """

    __slots__ = ("chosen", "exists", "froms", "full", "inserts", "meeting", "parent", "shared")

    def __init__(
        self, parent: Scope | None, *, exists: bool = False, shared: bool = False, meeting: bool = False
    ) -> None:
        self.parent = parent
        self.froms: set[Key] = set()
        self.full = 0
        self.exists = exists
        self.shared = shared
        self.meeting = meeting
        self.inserts: Key | None = None
        self.chosen: list[Any] | None = None

    def holding(self, key: Key) -> Scope | None:
        """The scope, this one or one around it, whose FROM has the table."""
        scope: Scope | None = self
        while scope is not None and key not in scope.froms:
            scope = scope.parent
        return scope

    def within(self, other: Scope) -> bool:
        """True if it is another scope, or stands in it."""
        scope: Scope | None = self
        while scope is not None and scope is not other:
            scope = scope.parent
        return scope is not None


class Written(NamedTuple):
    """An INSERT or UPDATE that was compiled: SQLAlchemy's state of that, and the scope in which it stands.

    `keys` are those of the parameters that come with its execution, of which some may be columns.
    """

    state: Any
    scope: Scope
    keys: tuple[str, ...]


class Deciding(NamedTuple):
    """What decides which rows there are in one place of a statement; `meeting`: of those that an INSERT meets there."""

    scope: Scope
    expressions: tuple[Any, ...]
    meeting: bool = False


def base_of(table: object) -> tuple[TableClause | None, str | None]:
    """The table that an alias is of, and the alias; None where it stands for something else than a table."""
    alias: str | None = None
    while isinstance(table, (Alias, TableSample)):
        if alias is None:
            alias = str(table.name)
        table = table.element
    return (table, alias) if isinstance(table, TableClause) else (None, None)


DIALECTS: Final = {
    "sqlite": "sqlite",
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "duckdb": "duckdb",
}
"""How the SQL adapter calls the dialects of SQLAlchemy that it knows."""

_GENERIC: Final = words(
    """
    aggregate_strings any_value array array_agg bernoulli char_length coalesce concat count cube cume_dist current_date
    current_time current_timestamp current_user dense_rank grouping_sets localtime localtimestamp max min mode now
    percent_rank percentile_cont percentile_disc random rank rollup session_user sum sysdate system user
    """
)
"""Functions that SQLAlchemy knows by itself, and the methods of TABLESAMPLE."""


def untold_of(func: Any, dialect: str, harmless: Container[str], *, as_table: bool = False) -> str | None:
    """Why it is unknown what a function reads; None if it reads its arguments alone.

    `harmless` are those that the application says read nothing else. In the place of a table only those are known that
    make rows of their arguments.
    """
    name = lower(str(func.name))
    known = DIALECTS.get(dialect, "")
    own = not getattr(func, "packagenames", ())
    if own and (name in NAMED_TABLE_FUNCTIONS.get(known, ()) or name in harmless):
        return None
    if own and not as_table and (name in _GENERIC or name in NAMED.get(known, ())):
        return None
    return f"it is not known what the function `{func.name}` reads"


def makes_rows(func: Any) -> bool:
    """True if a function may return several rows, even in place of a value."""
    name = lower(str(getattr(func, "name", "")))
    return any(name in names for names in NAMED_TABLE_FUNCTIONS.values())


class Untold(Exception):
    """What flows into a column is text."""


def flows_of(written: Written, bound: set[str], decided: Iterable[Deciding]) -> Iterator[Flow]:
    """What flows into each column that an INSERT or UPDATE writes.

    Adds to `bound` the keys of parameters that are written as they are. `decided`: what decides which rows there are,
    in each part of the whole statement.

    Raises:
        Untold: some of it is text.
    """
    state, scope, _ = written
    statement = state.statement
    table, _ = base_of(statement.table)
    if table is None:
        raise Untold("it writes several tables at once")
    own = [place for place in decided if place.scope.within(scope)]
    # The result of a common table expression may be read here.
    others = [place for place in decided if place.scope.shared and place not in own]
    deciding = [place for place in own if not (place.meeting or place.scope.meeting)] + others
    inserted = [*_written(state), *_chosen(statement, scope.chosen or ())]
    yield from _from_outside(written, deciding)
    # The key that finds an existing row decides what becomes of it. MySQL has no syntax for a key: there it decides
    # only what is set in that row.
    names = keys_of(written)
    keys = [value for column, value in inserted if _name(table, column) in names]
    key_sources = frozenset((*sources_of(_elements(keys)), *((table, name) for name in names)))
    conditions = frozenset(sources_of(part for place in deciding for part in place.expressions))
    if names and hasattr(statement._post_values_clause, "inferred_target_elements"):
        conditions |= key_sources
        yield from (Flow(table, name, frozenset(), key_sources) for name in _from_parameters(written))
    yield from _into(table, inserted, conditions, bound)
    # A condition on an existing row decides only what is set in it.
    meeting = sources_of(part for place in own for part in place.expressions)
    for column, value in _updated(statement):
        same = _is_excluded(value, _name(table, column))  # it is the same in either case
        yield from _into(table, [(column, value)], conditions | meeting | (frozenset() if same else key_sources), bound)
    for column, default in _defaults(state):
        # SQLAlchemy may execute it beforehand, so every name in it counts.
        named = [part for part in iterate(default) if isinstance(part, (ColumnClause, TextClause))]
        yield Flow(table, column.name, frozenset(sources_of(named)), conditions)


def expressions_of(state: Any) -> Iterator[Any]:
    """The expressions that an INSERT or UPDATE writes; not all of them are found by walking through it."""
    _, met = deciding_writes(state.statement)
    values = [value for _, value in (*_written(state), *_updated(state.statement), *_defaults(state))]
    yield from _elements([*values, *met])


def cells_of(values: Values) -> list[Any]:
    """The expressions in a VALUES used as a table."""
    return _elements(cell for rows in values._data for row in rows for cell in row)


def _into(
    table: TableClause, values: Iterable[tuple[Any, Any]], conditions: frozenset[Source], bound: set[str]
) -> Iterator[Flow]:
    for column, value in values:
        if isinstance(value, BindParameter):
            bound.add(value.key)
        yield Flow(table, _name(table, column), frozenset(sources_of(_elements([value]))), conditions)


def _from_outside(written: Written, deciding: Iterable[Deciding]) -> Iterator[Flow]:
    """What decides of columns whose values come with the execution, as those of objects that are flushed do."""
    names = _from_parameters(written)
    # A row named by its key from outside says which row is written, and not what.
    parts = [part for place in deciding for part in place.expressions if not _names_row(part)]
    conditions = frozenset(sources_of(parts)) if names else frozenset()
    table, _ = base_of(written.state.statement.table)
    yield from (Flow(table, name, frozenset(), conditions) for name in names if table is not None)


def _from_parameters(written: Written) -> list[str]:
    """The columns whose values come with the execution."""
    columns = getattr(written.state.statement.table, "columns", {})
    return [column.name for key in written.keys if (column := columns.get(key)) is not None]


def _names_row(test: Any) -> bool:
    """True if a test, or each of several, compares a column of the key to a value that is bound."""
    if isinstance(test, BooleanClauseList):
        return test.operator is operators.and_ and all(map(_names_row, test.clauses))
    if not isinstance(test, BinaryExpression) or test.operator is not operators.eq:
        return False
    left, right = test.left, test.right
    return isinstance(left, Column) and bool(left.primary_key) and isinstance(right, BindParameter)


def _elements(values: Iterable[Any]) -> list[Any]:
    """Those that are expressions, and no plain values of Python."""
    return [value for value in values if hasattr(value, "get_children")]


def _chosen(statement: Any, queries: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """What an INSERT of the rows of queries writes, which are as they were compiled."""
    for query in queries:
        yield from zip(statement._select_names, query.selected_columns, strict=False)


def keys_of(written: Written) -> frozenset[str]:
    """The columns by which an INSERT may find an existing row: all that it writes, if it names none."""
    state, scope, _ = written
    statement = state.statement
    clause: Any = getattr(statement, "_post_values_clause", None)
    if clause is None:
        return frozenset()
    table = statement.table
    named: Iterable[Any] = getattr(clause, "inferred_target_elements", None) or ()
    constraint = getattr(clause, "constraint_target", None)
    if constraint is not None:
        known = (*getattr(table, "constraints", ()), *getattr(table, "indexes", ()))
        named = next(
            (
                tuple(constraint_or_index.columns)
                for constraint_or_index in known
                if constraint_or_index.name == constraint
            ),
            (),
        )
        key: Any = getattr(table, "primary_key", None)
        if not named and key is not None and key.name is None and constraint == f"{table.name}_pkey":
            named = tuple(key.columns)  # as PostgreSQL calls it where nobody names it
    if named:
        return frozenset(
            part if isinstance(part, str) else part.name
            for target in named
            for part in ([target] if isinstance(target, str) else iterate(target))
            if isinstance(part, (str, ColumnClause))
        )
    values = (*_written(state), *_chosen(statement, scope.chosen or ()), *_defaults(state))
    names = {_name(table, column) for column, _ in values}.union(_from_parameters(written))
    return frozenset(names or (str(column.name) for column in table.columns))


def _is_excluded(value: Any, name: str) -> bool:
    """True if a value is what would have been inserted into the column."""
    alias = getattr(value, "table", None)
    new = isinstance(alias, Alias) and str(alias.name) in ("excluded", "inserted", "new")
    return new and isinstance(value, ColumnClause) and value.name == name


# ---- what decides which rows there are -------------------------------------------------------------------------------


def deciding_in(query: Any, froms: Iterable[Any]) -> list[Any]:
    """What decides which rows a SELECT gives; `query` and `froms` are as they were compiled.

    What relationships, inheritance and loader criteria add stands in them, and queries within are asked by themselves.
    """
    items = list(query.selected_columns)
    expressions = [*query._where_criteria, *query._having_criteria, *_ordering(query), *query._distinct_on]
    expressions += [clause for name in _EXTENSIONS if (clause := getattr(query, name, None)) is not None]
    if query._distinct or _by_place(query):
        expressions += items
    # Some functions give several rows, in the place of one value.
    expressions += [
        part for item in items for part in iterate(item) if isinstance(part, FunctionElement) and makes_rows(part)
    ]
    pending = list(froms)
    while pending:
        source = pending.pop()
        if isinstance(source, Join):
            pending += [source.left, source.right]
            if source.onclause is not None:
                expressions.append(source.onclause)
        elif isinstance(source, FunctionElement):  # it stands for rows, whose number it decides
            expressions.append(source)
        elif isinstance(source, TableSample):
            expressions.append(source.sampling)
            pending.append(source.element)
        elif isinstance(source, (Alias, Lateral, FromGrouping)):
            pending.append(source.element)
    return expressions


def deciding_between(query: Any) -> list[Any]:
    """What decides the rows of a set operation."""
    expressions = _ordering(query)
    if query.keyword is not _UNION_ALL or _by_place(query):
        expressions += [column for columns in _columns_of(query) for column in columns]
    return expressions


def deciding_writes(statement: Any) -> tuple[list[Any], list[Any]]:
    """What chooses the rows that a statement changes or deletes; and those that an INSERT meets and changes."""
    clause = getattr(statement, "_post_values_clause", None)
    choosing = [*getattr(statement, "_where_criteria", ()), getattr(statement, "_post_criteria_clause", None)]
    met = [getattr(clause, "update_whereclause", None), getattr(clause, "inferred_target_whereclause", None)]
    return [expression for expression in choosing if expression is not None], [
        expression for expression in met if expression is not None
    ]


_UNION_ALL: Final = union_all(select(1), select(1)).keyword
_EXTENSIONS: Final = ("_post_select_clause", "_pre_columns_clause", "_post_criteria_clause", "_post_body_clause")
"""Where clauses stand that dialects, or an application, add to a SELECT."""


def _ordering(query: Any) -> list[Any]:
    expressions = [*query._group_by_clauses, *query._order_by_clauses]
    expressions += [query._limit_clause, query._offset_clause, query._fetch_clause]
    return [expression for expression in expressions if expression is not None]


def _by_place(query: Any) -> bool:
    """True if a query is sorted or grouped by columns that are named by their places."""
    return any(map(is_place, (*query._group_by_clauses, *query._order_by_clauses)))


def is_place(clause: Any) -> bool:
    """True if in a clause of ORDER BY or GROUP BY a number, or a name that is text, stands for a column."""
    return any(map(_says_place, iterate(clause)))


def _says_place(part: Any) -> bool:
    return isinstance(part, _textual_label_reference) or (getattr(part, "is_literal", False) and part.name.isdigit())


# ---- what flows into a value -----------------------------------------------------------------------------------------


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


def _defaults(state: Any) -> Iterator[tuple[Any, Any]]:
    """Default expressions of the columns that a statement does not name."""
    for column in getattr(state.statement.table, "columns", ()):
        default = getattr(column, "default" if state.isinsert else "onupdate", None)
        if default is not None and getattr(default, "is_clause_element", False):
            yield column, default.arg


def _name(table: Any, column: Any) -> str:
    """The name of a column that is written, which may be given by its key."""
    if isinstance(column, ColumnClause):
        return column.name
    known = table.columns.get(column)
    return column if known is None else str(known.name)


def _columns_of(query: Any) -> Iterator[list[Any]]:
    """The columns of a SELECT, or of each that a UNION is of."""
    pending = [query]
    while pending:
        select_or_union = pending.pop()
        if isinstance(select_or_union, SelectStatementGrouping):
            pending.append(select_or_union.element)
        elif isinstance(select_or_union, CompoundSelect):
            pending += select_or_union.selects
        elif isinstance(select_or_union, Select):
            yield list(select_or_union.selected_columns)
        else:
            raise Untold("what is inserted is text, or some of it is")


def sources_of(expressions: Iterable[Any]) -> set[Source]:
    """The columns of tables, and the sealed values, that flow into the value of expressions.

    Raises:
        Untold: some of it is text.
    """
    sources: set[Source] = set()
    pending = list(expressions)
    seen: dict[int, Any] = {}
    while pending:
        expression = pending.pop()
        if id(expression) in seen:
            continue
        seen[id(expression)] = expression
        if isinstance(expression, Narrowed):
            continue  # which rows may be used: that is not told of any of them
        if isinstance(expression, Exists) or is_count_of_all(expression):
            continue  # whether there is a row, and how many: what decides that is noted by itself
        if isinstance(expression, BindParameter):
            if isinstance(expression.type, SealedType):
                sources.add(expression.type)
        elif isinstance(expression, (ColumnClause, TableValuedColumn)):
            pending += _below(expression, sources)
        else:
            pending += _parts(expression)
    return sources


def _parts(expression: Any) -> Iterable[Any]:
    """What an expression is made of."""
    if isinstance(expression, (TextClause, TextualSelect)):
        raise Untold("what is written is text, or some of it is")
    if isinstance(expression, (ScalarSelect, FromGrouping)):
        return (expression.element,)
    if isinstance(expression, (Select, CompoundSelect, SelectStatementGrouping)):
        return [column for columns in _columns_of(expression) for column in columns]
    children: Iterable[Any] = expression.get_children() if hasattr(expression, "get_children") else ()
    return children


def _below(column: Any, sources: set[Source]) -> Iterable[Any]:
    """Adds a column of a table to the sources; for any other column, returns what it is made of."""
    if isinstance(column, TableValuedColumn):  # it stands for whole rows
        base, _ = base_of(column.scalar_alias)
        if base is None:
            return list(column.scalar_alias.columns)
        sources.add((base, ALL))
        return ()
    table: Any = column.table
    if column.is_literal or table is None:
        if isinstance(column, Column) or not column.is_literal or not column.name.isdigit():
            raise Untold(f"what is written names `{column.name}`, which is text")
        return ()
    while isinstance(table, (Alias, TableSample)) and isinstance(table.element, (Alias, TableSample, TableClause)):
        table = table.element
    if isinstance(table, TableClause):
        sources.add((table, column.name))
        return ()
    if isinstance(table, Values):
        return cells_of(table)
    if isinstance(table, TableValuedAlias):
        return (table.element,)
    proxies: list[Any] = list(getattr(column, "_proxies", ()))
    if not proxies or (isinstance(table, CTE) and isinstance(table.element, TextualSelect)):
        raise Untold(f"what is written names `{column.name}`, and it is not known what that is made of")
    return proxies


def is_count_of_all(element: Any) -> bool:
    """True if an element is `count(*)`."""
    if not isinstance(element, FunctionElement) or getattr(element, "name", "").lower() != "count":
        return False
    args: list[Any] = list(element.clauses)
    return len(args) == 1 and getattr(args[0], "is_literal", False) and args[0].name == "*"
