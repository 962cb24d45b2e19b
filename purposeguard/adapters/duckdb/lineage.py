"""Lineage of statements of a guarded connection to DuckDB: what each reads and writes, read before it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import cachetools
import duckdb
from sqlglot import exp

from purposeguard.adapters.duckdb.locked import LockedDatabase, Shown
from purposeguard.adapters.duckdb.rows import DIALECT, NarrowedStatement, with_holes
from purposeguard.adapters.enforcement import Decider, Demand, label_known
from purposeguard.adapters.row_rule import RowRule
from purposeguard.adapters.sql.functions import NAMED_TABLE_FUNCTIONS
from purposeguard.adapters.sql.lineage import Analysis, FlowLabels, ReadStatement, list_used_columns, read_statement
from purposeguard.adapters.sql.parsing import parse_statement
from purposeguard.adapters.sql.rows import write_as_parsed
from purposeguard.adapters.sql.tags import Catalog, Tables
from purposeguard.adapters.tags import NOT_PERSONAL, Tag
from purposeguard.errors import UnlabelledData, UnresolvedStatement
from purposeguard.notice.label import Label
from purposeguard.policy.explanation import Decision
from purposeguard.policy.violations import FlowViolation

_STATEMENTS_KEPT: Final = 1000
"""Statements that are remembered by a connection."""

_FUNCTIONS: Final = NAMED_TABLE_FUNCTIONS[DIALECT] | {"unnest", "range", "generate_series"}
_CREATE: Final = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*+CREATE\b", re.IGNORECASE | re.DOTALL)
"""CREATE behind blanks and comments. The loop is possessive: otherwise n comments may be split in 2ⁿ ways."""
_PLAIN_CREATE: Final = "of CREATE only `CREATE TABLE name AS SELECT …` is run here"
_WRITES: Final = MappingProxyType(
    {
        "insert": duckdb.StatementType.INSERT,
        "update": duckdb.StatementType.UPDATE,
        "delete": duckdb.StatementType.DELETE,
        "merge": duckdb.StatementType.MERGE_INTO,
    }
)


class DuckdbStatement(NamedTuple):
    """An analysed statement.

    `made`: the table that it makes, or None. `query`: the query that this table is made of, or else the whole
    statement. `narrowed`: the same with holes for conditions of rows; None if no row is left out.
    """

    read: ReadStatement
    demand: Demand
    made: str | None
    query: str
    narrowed: NarrowedStatement | None


class World:
    """The tables and views that statements may name, and the statements analysed against them."""

    def __init__(self, tables: Tables, decider: Decider, locked: LockedDatabase) -> None:
        """Raise UnresolvedStatement where it cannot be told what a view reads."""
        self.tables: Final = tables
        self._decider: Final = decider
        self._locked: Final = locked
        self._catalogue: Final = Catalog(tables, DIALECT, functions=None, schema="main")
        self._names: Final = frozenset(name.lower() for name in (*tables, *tables.views))
        self._types: Final[dict[str, Mapping[str, Any]]] = {}
        self._known: Final[cachetools.LRUCache[str, DuckdbStatement]] = cachetools.LRUCache(_STATEMENTS_KEPT)
        for text in tables.views.values():
            read_statement(text, self._catalogue)

    def with_table(self, name: str, columns: Mapping[str, Tag]) -> World:
        """Return the same with one more table."""
        known = {
            table: {column: own.get(column) for column in self.tables.names[table]}
            for table, own in self.tables.items()
        }
        return World(
            Tables(self.tables.revisions, {**known, name: columns}, self.tables.views), self._decider, self._locked
        )

    def types(self, table: str) -> Mapping[str, Any]:
        """Return the types of a table's columns."""
        known = self._types.get(table)
        if known is None:
            known = self._types[table] = self._locked.types_of(table.split("."))
        return known

    def statement(self, text: str) -> DuckdbStatement:
        """Return a statement, read here and once more by DuckDB's own parser.

        Raises:
            UnresolvedStatement: what it reads is unknown, or the two readings differ.
            UnlabelledData: it uses a column or table without tags.
        """
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = self._statement(text)
        return known

    def _statement(self, text: str) -> DuckdbStatement:
        made, query = self._split_target(text)
        statement = read_statement(query, self._catalogue)
        kind = statement.analysis.kind
        if kind == "create":
            raise UnresolvedStatement(_PLAIN_CREATE)
        if kind != "select":
            # DuckDB shows its own reading of queries only. A write runs from the tree that was analysed here.
            query = write_as_parsed(statement.tree, DIALECT)
        used = list_used_columns(self.tables, statement.analysis)
        demand = self._decider.demand(
            used, used, kind="create" if made else kind, target=made or statement.analysis.target
        )
        by_rows = dict.fromkeys(table for _, table, _ in demand.rows)
        narrowed = with_holes(statement, self._catalogue, by_rows) if by_rows else None
        for candidate in (query, narrowed.text) if narrowed is not None else (query,):
            if kind == "select":
                self._locked.look_again(candidate, self._names, _FUNCTIONS)
            else:
                self._locked.must_be_one(candidate, _WRITES[kind])
        return DuckdbStatement(statement, demand, made, query, narrowed)

    def _split_target(self, text: str) -> tuple[str | None, str]:
        """Return the table that a statement makes, or None; and its query, or all of it."""
        if _CREATE.match(text) is None:
            return None, text
        tree = parse_statement(text, self._catalogue)
        target, query = tree.this, tree.expression
        plain = isinstance(tree, exp.Create) and str(tree.args.get("kind")).upper() == "TABLE"
        if not plain or not isinstance(target, exp.Table) or not isinstance(query, exp.Query):
            raise UnresolvedStatement(_PLAIN_CREATE)
        clauses = {name for name, part in tree.args.items() if part} - {"this", "kind", "expression"}
        if clauses or {name for name, part in target.args.items() if part} != {"this"}:
            raise UnresolvedStatement(
                "`CREATE TABLE name AS SELECT …` is run as it is, without OR REPLACE, IF NOT EXISTS, TEMP or a schema"
            )
        self.must_be_new(target.name)
        return target.name, write_as_parsed(query, DIALECT)

    def must_be_new(self, name: str) -> None:
        """Raise UnresolvedStatement where there is a table or view of this name."""
        if name.lower() in self._names:
            raise UnresolvedStatement(f"there is a table `{name}` already: call the new one otherwise")

    def explain(self, text: str) -> Explanation:
        """What a statement would do; see `Connection.explain`."""
        made, query = self._split_target(text)
        statement = read_statement(query, self._catalogue)
        decider = self._decider
        use = decider.current_use("explanation", statement.analysis.used)
        notice = decider.engine.snapshot.matrix.notice
        narrows = use is not None and not use.activity.observing
        labels: dict[tuple[str, str], Label | None] = {}
        columns_used: list[Used] = []
        rules: dict[str, RowRule | None] = {}
        for table, (columns, names) in list_used_columns(self.tables, statement.analysis).items():
            tagged = [name for name in names if name in columns]
            denied = decider.find_denied_columns(use, columns, tagged, table) if use is not None else {}
            allowed = [name for name in tagged if name not in denied]
            rule = decider.make_row_rule(use, columns, allowed, table) if use is not None and narrows else None
            rules[table] = rule
            for name in names:
                tag = columns.get(name)
                label = labels[table, name] = None if tag is None else label_known(rule, tag, notice)
                by_row = tag is not None and decider.asks_rows(columns, {name: tag})
                columns_used.append(Used(table, name, label, by_row, denied.get(name)))
        outputs: dict[str, Label | None] = {}
        for name, flow in statement.analysis.depends.items():
            known = [label for part in flow if (label := labels[part]) is not None]
            outputs[name] = Label.join(NOT_PERSONAL, *known) if len(known) == len(flow) else None
        refused: FlowViolation | UnlabelledData | None = None
        if None not in labels.values():
            try:
                FlowLabels(self.tables, rules).must_cover(statement)
            except (FlowViolation, UnlabelledData) as error:
                refused = error.with_traceback(None)
        kind = "create" if made else statement.analysis.kind
        return Explanation(kind, tuple(columns_used), MappingProxyType(outputs), refused)


def must_be_query(text: str) -> None:
    """Raise UnresolvedStatement where a text is not one query, so that no view can be made of it."""
    if not isinstance(parse_statement(text, Catalog({}, DIALECT)), exp.Query):
        raise UnresolvedStatement("a view is told by the text of one query")


def columns_to_show(analysis: Analysis, rules: Mapping[str, RowRule | None]) -> Shown:
    """By table, the columns that a statement uses, and those by which its rows are kept."""
    return {
        table: used.union(rule.columns if (rule := rules.get(table)) else ()) for table, used in analysis.used.items()
    }


def tags_of_outputs(names: Sequence[str], analysis: Analysis, labels: FlowLabels) -> list[Tag]:
    """Return the tags of the columns that DuckDB returned. If they cannot be matched, each has the tags of all.

    Raises:
        UnresolvedStatement: they are others than were read.
    """
    columns, conditions = analysis.columns, analysis.conditions
    if columns is not None and len(columns) == len(names):
        return [labels.of(flow | conditions) for flow in columns]
    if columns is not None and len(columns) > len(names):
        raise UnresolvedStatement(f"DuckDB gave {len(names)} columns, and {len(columns)} were read")
    return [labels.of(conditions.union(*analysis.outputs.values()))] * len(names)


# ---- explanations ----------------------------------------------------------------------------------------------------


class Used(NamedTuple):
    """A column that a statement uses, and what the present purpose may do with it.

    `label`: the sources of the rows that would be kept; None if it bears no tag. `by_row`: each row is decided by
    itself, and those that may not be used would be left out. `decision`: why it may not be used in any row; None if it
    may.
    """

    table: str
    column: str
    label: Label | None
    by_row: bool
    decision: Decision | None

    @property
    def allowed(self) -> bool:
        """True if it may be used."""
        return self.label is not None and self.decision is None


class Explanation(NamedTuple):
    """What a statement would do: of which `kind` it is, the columns that it uses, and the labels of what it gives.

    Of a column whose rows name their sources the label has those whose rows would be kept, or, where none would be left
    out, all of the notice. It is None where a tag is missing. `refused`: why what it writes may not be put there.
    """

    kind: str
    used: tuple[Used, ...]
    outputs: Mapping[str, Label | None]
    refused: FlowViolation | UnlabelledData | None = None

    @property
    def allowed(self) -> bool:
        """True if the statement would run."""
        return self.refused is None and all(column.allowed for column in self.used)
