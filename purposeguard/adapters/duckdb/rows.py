"""Row rules in DuckDB: the condition of a rule, put into a statement or into the filter of a relation."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import weakref
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import pyarrow as pa
from sqlglot import exp
from typing_extensions import override

from purposeguard.adapters import row_values as values
from purposeguard.adapters.row_rule import KeySet, RowRule, id_meant
from purposeguard.adapters.sql.conditions import NO_SOURCE, NO_SUBJECT, SqlConditions
from purposeguard.adapters.sql.lineage import ReadStatement
from purposeguard.adapters.sql.rows import is_only_inserted, narrow_statement
from purposeguard.adapters.sql.scopes import NameRules
from purposeguard.adapters.sql.tags import Catalog
from purposeguard.errors import PurposeGuardError, UnknownSource, UnresolvedStatement
from purposeguard.notice.notice import Notice

DIALECT: Final = "duckdb"

MAX_INLINE_KEYS: Final = 1000
"""Maximum number of keys that are written into a condition. More keys are put into a table."""

_KEYS_TABLE: Final = "purposeguard_keys"
"""The name of the table of keys in the query of a relation."""

_VIEW_NUMBERS: Final = itertools.count(1)

_WHOLE: Final = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(_WHOLE, "whole"),
        **dict.fromkeys(("UBIGINT", "HUGEINT", "UHUGEINT"), "larger"),
        "VARCHAR": "text",
        "UUID": "uuid",
        "DATE": "date",
        **dict.fromkeys(("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS"), "moment"),
        '"NULL"': "null",
    }
)
"""The names that `SqlConditions` uses for DuckDB's types."""

Types = Mapping[str, Any]
"""The DuckDB types of a table's columns, by column."""


def quote_name(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """Quote a text for SQL."""
    return "'" + text.replace("'", "''") + "'"


class NarrowedStatement(NamedTuple):
    """A statement that reads certain rows of some tables."""

    text: str
    placeholders: Mapping[str, str]
    """The placeholder of each table's row condition, by table."""


def insert_placeholders(statement: ReadStatement, catalogue: Catalog, tables: Iterable[str]) -> NarrowedStatement:
    """Rewrite a statement so that it reads only some rows of these tables.

    The conditions on the rows are placeholders, which `fill_placeholders` replaces.

    Raises:
        UnresolvedStatement: rows of a table cannot be left out of the statement.
    """
    token = secrets.token_hex(8)  # random, so that nothing else in the statement looks like a placeholder
    placeholders: dict[str, str] = {}
    conditions: dict[str, exp.Expr] = {}
    for number, table in enumerate(tables):
        placeholders[table] = f"purposeguard_{token}_{number}_"
        conditions[table] = exp.var(placeholders[table])
    text = narrow_statement(statement, catalogue, conditions)
    for table, placeholder in placeholders.items():
        if placeholder not in text and not is_only_inserted(statement, table):
            raise UnresolvedStatement(f"rows of `{table}` cannot be left out of the statement")
    return NarrowedStatement(text, placeholders)


class ReadyStatement(NamedTuple):
    """A statement that is ready to run."""

    text: str
    key_tables: Mapping[str, pa.Table]
    """The tables of keys that the statement reads, by name."""
    rules_by_mark: Mapping[str, RowRule]
    """The row rules in the statement, by the mark with which their errors begin."""

    def translate_error(self, error: str) -> PurposeGuardError | None:
        """Return the exception for an error of DuckDB that a row condition raised. Return None for any other error."""
        for mark, rule in self.rules_by_mark.items():
            _, unknown, rest = error.partition(mark + NO_SOURCE)
            if unknown:
                source = rest.partition("\n")[0]
                if source == "none":
                    return values.no_source(rule.source or "")
                return UnknownSource(source, f"a row names it, and {rule.notice.id} has no such one")
            _, blank, rest = error.partition(mark + NO_SUBJECT)
            if blank:
                return values.blank_subject(rest.partition("\n")[0])
        return None


def fill_placeholders(
    statement: NarrowedStatement,
    rules: Mapping[str, RowRule | None],
    types: Mapping[str, Types],
    spellings: Mapping[str, Collection[str]],
) -> ReadyStatement:
    """Replace each placeholder in a statement with the condition of its table.

    Args:
        statement: The statement with placeholders.
        rules: The row rule of each table.
        types: The types of each table's columns.
        spellings: All spellings of sources that occur in the rows, by table. It is empty at the first attempt, which
            knows only the usual spellings.

    Returns:
        The text, the tables of keys to register, and the marks of errors with their rules.

    Raises:
        UnlabelledData: a column that decides about rows has a type that holds neither ids nor days.
    """
    text = statement.text
    key_tables: dict[str, pa.Table] = {}
    rules_by_mark: dict[str, RowRule] = {}
    for table, placeholder in statement.placeholders.items():
        rule = rules.get(table)
        condition = "true"
        if rule is not None:
            mark = f"purposeguard {secrets.token_hex(8)} "  # random, so that no statement can fake such an error
            conditions = _DuckdbConditions(rule, types[table], spellings.get(table, ()), mark, placeholder)
            condition = conditions.render().sql(dialect=DIALECT)
            keys = conditions.keys
            if keys is not None:
                key_tables[placeholder] = keys
            rules_by_mark[mark] = rule
        text = text.replace(placeholder, f"({condition})")
    return ReadyStatement(text, key_tables, rules_by_mark)


def list_source_spellings(notice: Notice, texts: Iterable[object]) -> list[str]:
    """Return the texts that name a source of the notice."""
    spellings: list[str] = []
    for text in texts:
        if isinstance(text, str):
            with contextlib.suppress(UnknownSource):
                id_meant(notice, text)
                spellings.append(text)
    return spellings


class _DuckdbConditions(SqlConditions):
    """Row conditions over columns with known types. Many keys go into a separate table, `keys_name`."""

    def __init__(self, rule: RowRule, types: Types, spellings: Collection[str], mark: str, keys_name: str) -> None:
        super().__init__(rule, NameRules(DIALECT), spellings, mark)
        self._types: Final = types
        self._keys_name: Final = keys_name
        self._numbers_of_key_sets: Final[dict[tuple[KeySet, str], int]] = {}
        if rule.source is not None and self._find_kind(rule.source) != "text":
            raise values.not_sources(rule.source, types[rule.source])

    def _find_kind(self, column: str) -> str | None:
        type_ = self._types[column]
        return "text" if type_.id == "enum" else _KINDS.get(str(type_))

    @override
    def kind(self, column: str) -> str | None:
        kind = self._find_kind(column)
        if column in (self._rule.collected, self._rule.ended):
            if kind in ("date", "moment", "null"):
                return kind
            type_name = str(self._types[column])
            raise values.naive(column) if type_name.startswith("TIMESTAMP") else values.not_days(column, type_name)
        if kind in (None, "date", "moment"):
            raise values.not_subjects(column, self._types[column])
        return kind

    @override
    def among(self, value: exp.Expr, keys: KeySet, form: str) -> exp.Expr:
        if len(getattr(keys, form)) <= MAX_INLINE_KEYS:
            return super().among(value, keys, form)
        number = self._numbers_of_key_sets.setdefault((keys, form), len(self._numbers_of_key_sets))
        column = "number" if form == "ints" else "text"
        query = exp.select(column).from_(self._keys_name).where(exp.column("form").eq(number))
        return exp.In(this=value.copy(), query=query.subquery())

    @override
    def among_texts(self, value: exp.Expr, forms: Sequence[str]) -> exp.Expr:
        # DuckDB would turn IN into a join and compute `value` for all rows.
        listed = exp.cast(exp.array(*map(exp.Literal.string, forms)), "TEXT[]")
        return exp.func("LIST_CONTAINS", listed, value.copy())

    @property
    def keys(self) -> pa.Table | None:
        """The table of the keys that are not in the condition itself, or None."""
        tables = [_make_keys_table(keys, form, number) for (keys, form), number in self._numbers_of_key_sets.items()]
        return pa.concat_tables(tables) if tables else None


_arrays: Final[weakref.WeakKeyDictionary[KeySet, dict[str, pa.Array]]] = weakref.WeakKeyDictionary()
"""Keys as Arrow arrays, cached because there may be millions and they change only when preferences change."""


def _make_keys_table(keys: KeySet, form: str, number: int) -> pa.Table:
    """Return a table of keys. Its column `form` has the number by which conditions refer to these keys."""
    arrays = _arrays.setdefault(keys, {})
    array = arrays.get(form)
    if array is None:
        array = arrays[form] = pa.array(getattr(keys, form), pa.int64() if form == "ints" else pa.string())
    numbers = array if form == "ints" else pa.nulls(len(array), pa.int64())
    texts = pa.nulls(len(array), pa.string()) if form == "ints" else array
    forms = pa.repeat(pa.scalar(number, pa.int32()), len(array))
    return pa.table({"form": forms, "number": numbers, "text": texts})


# ---- relations -------------------------------------------------------------------------------------------------------


class _RelationConditions(_DuckdbConditions):
    """Row conditions for a relation.

    DuckDB resolves unusual spellings of sources itself, because they cannot be read beforehand.
    """

    folds = True  # The filter of a relation is made before its rows can be looked at.


def filter_relation(relation: Any, rule: RowRule) -> Any:
    """Return a relation with only the rows that may be used.

    DuckDB tests the rows when the relation is read, and fails then if a row cannot be decided.

    Raises:
        UnlabelledData: a column that decides about rows has a type that holds neither ids nor days.
    """
    types = dict(zip(relation.columns, relation.types, strict=True))
    conditions = _RelationConditions(rule, types, (), "", _KEYS_TABLE)
    condition = conditions.render().sql(dialect=DIALECT)
    keys = conditions.keys
    if keys is None:
        return relation.filter(condition)
    view = f"purposeguard_rows_{next(_VIEW_NUMBERS)}"
    return _query_relation(relation, view, f"SELECT * FROM {view} WHERE {condition}", keys)  # noqa: S608  # names of ours


def _query_relation(relation: Any, view: str, text: str, purposeguard_keys: pa.Table) -> Any:  # noqa: ARG001  # see below
    # DuckDB finds the table of keys by the name of the argument, and keeps it alive with the new relation.
    return relation.query(view, text)
