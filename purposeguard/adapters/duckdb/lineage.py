"""Lineage of the statements of a guarded DuckDB connection: what each reads and writes, analysed before it runs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import cachetools
import duckdb
from sqlglot import exp

from purposeguard.adapters.duckdb.explanation import Explanation, explain_statement
from purposeguard.adapters.duckdb.locked import LockedDatabase, Shown
from purposeguard.adapters.duckdb.rows import DIALECT, NarrowedStatement, insert_placeholders
from purposeguard.adapters.enforcement import Decider, Demand
from purposeguard.adapters.row_rule import RowRule
from purposeguard.adapters.sql.functions import NAMED_TABLE_FUNCTIONS
from purposeguard.adapters.sql.lineage import Analysis, FlowLabels, ReadStatement, list_used_columns, read_statement
from purposeguard.adapters.sql.parsing import parse_statement
from purposeguard.adapters.sql.tags import Catalog, Tables
from purposeguard.adapters.sql.unresolved import ReachableColumns
from purposeguard.adapters.sql.writing import write_as_parsed
from purposeguard.adapters.tags import Tag
from purposeguard.errors import UnresolvedStatement

_MAX_CACHED_STATEMENTS: Final = 1000
"""Maximum number of analysed statements that a connection caches."""

_FUNCTIONS: Final = NAMED_TABLE_FUNCTIONS[DIALECT] | {"unnest", "range", "generate_series"}
_CREATE: Final = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*+CREATE\b", re.IGNORECASE | re.DOTALL)
"""CREATE after blanks and comments. The loop is possessive, because n comments could otherwise be split in 2ⁿ ways."""
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
    """An analysed statement."""

    read: ReadStatement
    demand: Demand
    made: str | None
    """The table that the statement creates, or None."""
    query: str
    """The query whose rows fill the created table, or the whole statement."""
    narrowed: NarrowedStatement | None
    """The query with placeholders for row conditions, or None if no rows must be left out."""


class World:
    """The tables and views that statements may name, and the statements analysed against them."""

    def __init__(self, tables: Tables, decider: Decider, locked: LockedDatabase) -> None:
        """Analyse the views.

        Raises:
            UnresolvedStatement: the tables that a view reads are unknown.
        """
        self.tables: Final = tables
        self.reachable: Final = ReachableColumns(tables)
        self._decider: Final = decider
        self._locked: Final = locked
        self._catalogue: Final = Catalog(tables, DIALECT, functions=None, schema="main")
        self._names: Final = frozenset(map(str.lower, itertools.chain(tables, tables.views)))
        self._types: Final[dict[str, Mapping[str, Any]]] = {}
        self._statements: Final[cachetools.LRUCache[str, DuckdbStatement]] = cachetools.LRUCache(_MAX_CACHED_STATEMENTS)
        for text in tables.views.values():
            with decider.report_unresolved("view of DuckDB"):
                read_statement(text, self._catalogue)

    def with_table(self, name: str, columns: Mapping[str, Tag]) -> World:
        """Return a copy of this world with one more table."""
        columns_by_table: dict[str, Mapping[str, Tag | None]] = {}
        for table, tags in self.tables.items():
            columns_by_table[table] = {column: tags.get(column) for column in self.tables.names[table]}
        columns_by_table[name] = columns
        tables = Tables(self.tables.revisions, columns_by_table, self.tables.views)
        return World(tables, self._decider, self._locked)

    def types(self, table: str) -> Mapping[str, Any]:
        """Return the types of a table's columns."""
        types = self._types.get(table)
        if types is None:
            types = self._types[table] = self._locked.read_types(table.split("."))
        return types

    def statement(self, text: str) -> DuckdbStatement:
        """Analyse a statement, and check the analysis with DuckDB's own parser.

        Raises:
            UnresolvedStatement: the tables that it reads are unknown, or the two parsers disagree.
            UnlabelledData: it uses a column or table without tags.
        """
        cached = self._statements.get(text)
        if cached is None:
            cached = self._statements[text] = self._analyse(text)
        return cached

    def _analyse(self, text: str) -> DuckdbStatement:
        created_table, query = self._split_target(text)
        statement = read_statement(query, self._catalogue)
        kind = statement.analysis.kind
        if kind == "create":
            raise UnresolvedStatement(_PLAIN_CREATE)
        if kind != "select":
            # DuckDB's parser shows only queries. So a write is generated anew from the tree that was analysed here.
            query = write_as_parsed(statement.tree, DIALECT)
        used = list_used_columns(self.tables, statement.analysis)
        demand = self._decider.demand(
            used, used, kind="create" if created_table else kind, target=created_table or statement.analysis.target
        )
        by_rows = dict.fromkeys(table for _, table, _ in demand.rows)
        narrowed = insert_placeholders(statement, self._catalogue, by_rows) if by_rows else None
        candidates = [query] if narrowed is None else [query, narrowed.text]
        for candidate in candidates:
            if kind == "select":
                self._locked.verify_with_own_parser(candidate, self._names, _FUNCTIONS)
            else:
                self._locked.must_be_one(candidate, _WRITES[kind])
        return DuckdbStatement(statement, demand, created_table, query, narrowed)

    def _split_target(self, text: str) -> tuple[str | None, str]:
        """Return the table that a statement creates and its query, or None and the whole statement."""
        if _CREATE.match(text) is None:
            return None, text
        tree = parse_statement(text, self._catalogue)
        target, query = tree.this, tree.expression
        creates_table = isinstance(tree, exp.Create) and str(tree.args.get("kind")).upper() == "TABLE"
        if not creates_table or not isinstance(target, exp.Table) or not isinstance(query, exp.Query):
            raise UnresolvedStatement(_PLAIN_CREATE)
        if _list_clauses(tree) - {"this", "kind", "expression"} or _list_clauses(target) != {"this"}:
            raise UnresolvedStatement(
                "`CREATE TABLE name AS SELECT …` is run as it is, without OR REPLACE, IF NOT EXISTS, TEMP or a schema"
            )
        self.must_be_new(target.name)
        return target.name, write_as_parsed(query, DIALECT)

    def must_be_new(self, name: str) -> None:
        """Raise UnresolvedStatement if there is a table or view of this name already."""
        if name.lower() in self._names:
            raise UnresolvedStatement(f"there is a table `{name}` already: call the new one otherwise")

    def explain(self, text: str) -> Explanation:
        """Explain the effects of a statement, as `Connection.explain` does."""
        created_table, query = self._split_target(text)
        statement = read_statement(query, self._catalogue)
        kind = "create" if created_table else statement.analysis.kind
        return explain_statement(statement, kind, self.tables, self._decider)


def _list_clauses(tree: exp.Expr) -> set[str]:
    """Return the names of the parts that a piece of SQL has."""
    return {name for name, part in tree.args.items() if part}


def must_be_query(text: str) -> None:
    """Raise UnresolvedStatement unless the text is one query, from which a view can be made."""
    if not isinstance(parse_statement(text, Catalog({}, DIALECT)), exp.Query):
        raise UnresolvedStatement("a view is told by the text of one query")


def columns_to_show(analysis: Analysis, rules: Mapping[str, RowRule | None]) -> Shown:
    """Return by table the columns that a statement uses, and those that its row conditions use."""
    shown: dict[str, Collection[str]] = {}
    for table, used in analysis.used.items():
        rule = rules.get(table)
        shown[table] = used if rule is None else used.union(rule.columns)
    return shown


def tags_of_outputs(names: Sequence[str], analysis: Analysis, labels: FlowLabels) -> list[Tag]:
    """Return the tags of the columns that DuckDB returned.

    If the columns cannot be matched with those of the analysis, each gets the joint tag of all.

    Raises:
        UnresolvedStatement: DuckDB returned fewer columns than the analysis found.
    """
    columns, conditions = analysis.columns, analysis.conditions
    if columns is not None and len(columns) == len(names):
        return [labels.of(flow | conditions) for flow in columns]
    if columns is not None and len(columns) > len(names):
        raise UnresolvedStatement(f"DuckDB gave {len(names)} columns, and {len(columns)} were read")
    return [labels.of(conditions.union(*analysis.outputs.values()))] * len(names)
