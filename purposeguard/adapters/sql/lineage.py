"""Lineage: the columns that a statement reads and writes, those that its outputs are made of, and their tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from sqlglot import exp

from purposeguard.adapters.enforcement import NO_RULES, label_in, require_covering, require_tag
from purposeguard.adapters.row_rule import RowRule
from purposeguard.adapters.sql.parsing import parse_statement
from purposeguard.adapters.sql.scopes import NOTHING, Flow, Read, Relation
from purposeguard.adapters.sql.tags import Catalog, Tables, TablesLike
from purposeguard.adapters.sql.writes import StatementEffect, StatementReader
from purposeguard.adapters.tags import NOT_PERSONAL, Columns, Tag
from purposeguard.errors import UnlabelledData, UnresolvedStatement
from purposeguard.values.markers import RowSource


class StatementChange(NamedTuple):
    """A change that a statement makes, or a common table in it: `WITH gone AS (DELETE … RETURNING …)` of PostgreSQL.

    The attributes are those of `Analysis`.
    """

    kind: str
    target: str
    writes: Mapping[str, Flow]
    conditions: Flow
    keys: Flow


class Analysis(NamedTuple):
    """The columns that one statement reads and writes."""

    kind: str
    """`select`, `insert`, `create`, `update`, `delete` or `merge`."""
    used: Mapping[str, frozenset[str]]
    """By table, the columns that the statement reads."""
    outputs: Mapping[str, Flow]
    """By output, the table columns that its values are made of.

    An output without a name is called `#2` if it is the second. `*` stands for outputs whose number is unknown.
    """
    target: str | None
    """The table that the statement writes to; None for a query."""
    writes: Mapping[str, Flow]
    """By column of the target, the columns that flow into it."""
    conditions: Flow
    """The columns that decide which rows, and which of several values, the statement returns or writes.

    The result depends on these columns as well, and reveals them.
    """
    columns: tuple[Flow, ...] | None
    """The flow of each output in order, also where two have the same name; None if their number is unknown."""
    keys: Flow = NOTHING
    """The part of `conditions` that only identifies the row to write, by a key from the application (ON CONFLICT)."""
    changes: tuple[StatementChange, ...] = ()
    """The changes that common tables make before the statement."""

    @property
    def depends(self) -> dict[str, Flow]:
        """By output, all columns that it depends on: those that it is made of, and the conditions."""
        return {name: flow | self.conditions for name, flow in self.outputs.items()}

    def __repr__(self) -> str:
        return f"<Analysis of a statement: {self.kind} of {', '.join(self.used) or 'nothing'}>"


class ReadStatement(NamedTuple):
    """An analyzed statement with its tree."""

    tree: exp.Expr
    analysis: Analysis
    mentions: tuple[tuple[exp.Table, str], ...]
    """The nodes that name tables and views, each with the declared name."""
    targets: frozenset[int]
    """The ids of the nodes that name the written table."""
    outputs: Relation
    """The outputs, with the names by which the engine knows them."""


def read_statement(text: str, catalogue: Catalog) -> ReadStatement:
    """Parse and analyze one statement.

    Raises:
        UnresolvedStatement: it is unknown what the statement reads or writes.
    """
    tree = parse_statement(text, catalogue)
    reader = StatementReader(catalogue)
    try:
        done = reader.statement(tree)
    except RecursionError:
        pass
    else:
        outputs = done.outputs
        analysis = Analysis(
            done.kind,
            MappingProxyType(_group_by_table(reader.reads, catalogue)),
            MappingProxyType(_outputs(outputs)),
            done.target,
            MappingProxyType(dict(done.writes)),
            done.conditions,
            tuple(column.flow for column in outputs.columns) if outputs.complete else None,
            done.keys,
            tuple(map(_change, reader.changes)),
        )
        return ReadStatement(tree, analysis, tuple(reader.mentions.values()), frozenset(reader.targets), outputs)
    raise UnresolvedStatement("the statement is nested too deeply to be looked into")


def _group_by_table(reads: Iterable[Read], catalogue: Catalog) -> dict[str, frozenset[str]]:
    """Return the columns that are read, by table and in the order of the tables."""
    names_by_table: dict[str, set[str]] = {}
    for table, column in reads:
        names_by_table.setdefault(table, set()).add(column)
    used: dict[str, frozenset[str]] = {}
    for declared in catalogue.tables.values():
        if declared.name in names_by_table:
            used[declared.name] = frozenset(names_by_table[declared.name])
    return used


def _change(done: StatementEffect) -> StatementChange:
    return StatementChange(
        done.kind, done.target or "", MappingProxyType(dict(done.writes)), done.conditions, done.keys
    )


def analyse(text: str, tables: TablesLike, dialect: str, functions: Iterable[str] = ()) -> Analysis:
    """Analyze what a statement reads and writes, without deciding anything.

    Args:
        text: The statement.
        tables: By table, the names of its columns in their order. By view, its text.
        dialect: The dialect of the statement, one of `DIALECTS`.
        functions: The database's own functions that read nothing but their arguments.

    Raises:
        UnresolvedStatement: it is unknown what the statement reads or writes.
        ValueError: the dialect is unknown, or two tables or two columns have the same name in it.
    """
    return read_statement(text, Catalog(tables, dialect, functions)).analysis


Used = dict[str, tuple[Columns, tuple[str, ...]]]
"""By table, its tags and the names of the columns that a statement uses."""


def list_used_columns(tables: Tables, analysis: Analysis) -> Used:
    """Return the columns that a statement uses, by table and in the order of the table."""
    used: Used = {}
    for table, names in analysis.used.items():
        used[table] = (tables[table], tuple(filter(names.__contains__, tables.names[table])))
    return used


def _outputs(relation: Relation) -> dict[str, Flow]:
    outputs: dict[str, Flow] = {}
    for number, column in enumerate(relation.columns, 1):
        name = column.name or f"#{number}"
        outputs[name] = outputs.get(name, frozenset()) | column.flow
    if not relation.complete and relation.rest is not None:
        outputs["*"] = relation.rest.flow
    return outputs


class FlowLabels:
    """Computation of the tags of values from the columns that they are made of and the row rules of their tables."""

    def __init__(self, tables: Tables, rules: Mapping[str, RowRule | None] = NO_RULES) -> None:
        self._tables: Final = tables
        self._rules: Final = rules

    def of(self, flow: Flow) -> Tag:
        """Return the tag of a value that is made of these columns.

        The tag is `by_row` if the value comes from rows that name their sources and whose table has no row rule.

        Raises:
            UnlabelledData: a column carries no tag.
        """
        label, by_row = NOT_PERSONAL, False
        for table, column in sorted(flow):
            tag = require_tag(self._tables[table], column, table)
            rule = self._rules.get(table)
            label |= label_in(rule, tag)
            by_row |= tag.by_row and rule is None
        return Tag(label, by_row=by_row)

    def must_cover(self, statement: ReadStatement, *, narrowed: bool = True) -> None:
        """Check that the tag of each column that a statement writes covers what flows into it.

        A value keeps the source of its row only in a column that is `ByRow` too, if that source is written along.
        Elsewhere every source counts that the remaining rows may have.

        Args:
            statement: The statement.
            narrowed: False to allow values whose rows name their own sources, which are checked later.

        Raises:
            FlowViolation: a tag does not cover what flows into its column.
            UnlabelledData: a column carries no tag, or rows name their own sources and no row rule applies.
        """
        analysis = statement.analysis
        for change in analysis.changes:
            self._must_cover(statement, change, narrowed=narrowed)
        if analysis.target is not None:
            own = StatementChange(analysis.kind, analysis.target, analysis.writes, analysis.conditions, analysis.keys)
            self._must_cover(statement, own, narrowed=narrowed)

    def _must_cover(self, statement: ReadStatement, change: StatementChange, *, narrowed: bool) -> None:
        target, columns = change.target, self._tables[change.target]
        conditions = change.conditions - change.keys  # Such a key says which row it is, and not what is in it.
        for column, flow in change.writes.items():
            into = require_tag(columns, column, target)
            along = into.by_row and self._goes_along(statement, change, flow, columns)
            value = (FlowLabels(self._tables) if along else self).of(flow | conditions)
            if value.by_row and narrowed and not along:
                raise UnlabelledData(
                    f"`{target}.{column}` would hold values whose sources their rows name: mark it `ByRow`, and put "
                    "the column that names the source along"
                )
            require_covering(target, column, into.label, value.label)

    def _goes_along(self, statement: ReadStatement, change: StatementChange, flow: Flow, columns: Columns) -> bool:
        """Return True if the column that names the source is written together with these values."""
        into = columns.columns_with_mark(RowSource)
        if into is None:
            return False
        if change.kind == "update" and into not in change.writes and len(statement.mentions) == 1:
            return True  # The values stay in their row, whose source does not change.
        by_row = {table for table, name in flow if self._tables[table][name].by_row}
        needed = {(table, self._tables[table].columns_with_mark(RowSource)) for table in by_row}
        return len(needed) == 1 and needed == set(change.writes.get(into, ()))
