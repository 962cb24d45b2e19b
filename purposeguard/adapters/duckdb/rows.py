"""Rows of a guarded connection to DuckDB: the conditions for those that may be used, put into a statement."""

from __future__ import annotations

import contextlib
import secrets
import weakref
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import pyarrow as pa
from sqlglot import exp

from purposeguard.adapters import row_values as values
from purposeguard.adapters.row_rule import KeySet, RowRule, clause_meant
from purposeguard.adapters.sql.lineage import Read
from purposeguard.adapters.sql.rows import NO_SOURCE, NO_SUBJECT, Conditions, narrowed
from purposeguard.adapters.sql.scopes import Names
from purposeguard.adapters.sql.tags import Catalogue
from purposeguard.errors import PurposeGuardError, UnknownSource, UnresolvedStatement
from purposeguard.notice.notice import Notice

DIALECT: Final = "duckdb"

FEW: Final = 1000
"""Keys that are written into a statement; more are registered as a table."""

_WHOLE: Final = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(_WHOLE, "whole"),
        **dict.fromkeys(("UBIGINT", "HUGEINT", "UHUGEINT"), "larger"),
        "VARCHAR": "text",
        "UUID": "uuid",
        "DATE": "date",
        "TIMESTAMP WITH TIME ZONE": "moment",
        '"NULL"': "null",
    }
)
"""How `Conditions` calls the types of DuckDB."""

Types = Mapping[str, Any]
"""The types of a table's columns, as DuckDB has them."""


class Narrowed(NamedTuple):
    """A statement that reads certain rows of some tables: `holes` are the places of their conditions, by table."""

    text: str
    holes: Mapping[str, str]


def with_holes(statement: Read, catalogue: Catalogue, tables: Iterable[str]) -> Narrowed:
    """A statement in which each of these tables is replaced by those of its rows that meet a condition, still to come.

    Raises:
        UnresolvedStatement: rows cannot be left out of it.
    """
    token = secrets.token_hex(8)  # so that nothing in the statement is taken for a hole
    holes = {table: f"purposeguard_{token}_{number}_" for number, table in enumerate(tables)}
    conditions: dict[str, exp.Expr] = {table: exp.var(hole) for table, hole in holes.items()}
    text = narrowed(statement, catalogue, conditions)
    lost = next((table for table, hole in holes.items() if hole not in text), None)
    if lost is not None:
        raise UnresolvedStatement(f"rows of `{lost}` cannot be left out of the statement")
    return Narrowed(text, holes)


class Ready(NamedTuple):
    """A statement to be run: its text, the tables of keys that it reads, and by the mark of its errors each rule."""

    text: str
    keys: Mapping[str, pa.Table]
    rules: Mapping[str, RowRule]

    def meaning(self, error: str) -> PurposeGuardError | None:
        """The refusal that an error of DuckDB stands for; None if no condition raised it."""
        for mark, rule in self.rules.items():
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


def with_conditions(
    statement: Narrowed,
    rules: Mapping[str, RowRule | None],
    types: Mapping[str, Types],
    others: Mapping[str, Collection[str]],
) -> Ready:
    """The statement, each hole filled with the condition of its table. `others`: rare spellings of sources, by table.

    Raises:
        UnlabelledData: a column that decides is of a type that holds no ids, or no days.
    """
    text = statement.text
    keys: dict[str, pa.Table] = {}
    marks: dict[str, RowRule] = {}
    for table, hole in statement.holes.items():
        rule = rules.get(table)
        condition = "true"
        if rule is not None:
            mark = f"purposeguard {secrets.token_hex(8)} "  # so that no statement passes a text off as such an error
            conditions = _Conditions(rule, types[table], others.get(table, ()), mark, hole)
            condition = conditions.rendered().sql(dialect=DIALECT)
            keys.update(conditions.keys)
            marks[mark] = rule
        text = text.replace(hole, f"({condition})")
    return Ready(text, keys, marks)


def readable(notice: Notice, texts: Iterable[object]) -> list[str]:
    """The texts that the notice reads as sources."""
    readable_texts: list[str] = []
    for text in texts:
        if isinstance(text, str):
            with contextlib.suppress(UnknownSource):
                clause_meant(notice, text)
                readable_texts.append(text)
    return readable_texts


class _Conditions(Conditions):
    """Conditions over columns whose types are known; many keys are tables of their own, `keys` by name."""

    def __init__(self, rule: RowRule, types: Types, others: Collection[str], mark: str, hole: str) -> None:
        super().__init__(rule, Names(DIALECT), others, mark)
        self._types: Final = types
        self._hole: Final = hole
        self.keys: Final[dict[str, pa.Table]] = {}
        if rule.source is not None and self._known(rule.source) != "text":
            raise values.not_sources(rule.source, types[rule.source])

    def _known(self, column: str) -> str | None:
        type_ = self._types[column]
        return "text" if type_.id == "enum" else _KINDS.get(str(type_))

    def kind(self, column: str) -> str | None:
        kind = self._known(column)
        if column in (self._rule.collected, self._rule.ended):
            if kind in ("date", "moment", "null"):
                return kind
            type_name = str(self._types[column])
            raise values.naive(column) if type_name.startswith("TIMESTAMP") else values.not_days(column, type_name)
        if kind in (None, "date", "moment"):
            raise values.not_subjects(column, self._types[column])
        return kind

    def among(self, value: exp.Expr, keys: KeySet, form: str) -> exp.Expr:
        if len(getattr(keys, form)) <= FEW:
            return super().among(value, keys, form)
        name = f"{self._hole}{id(keys)}_{form}"
        self.keys[name] = _table(keys, form)
        return exp.In(this=value.copy(), query=exp.select("key").from_(name).subquery())


_tables: Final[weakref.WeakKeyDictionary[KeySet, dict[str, pa.Table]]] = weakref.WeakKeyDictionary()
"""Keys as tables of Arrow: there may be millions, and they change only with somebody's preferences."""


def _table(keys: KeySet, form: str) -> pa.Table:
    known = _tables.setdefault(keys, {})
    table = known.get(form)
    if table is None:
        kind = pa.int64() if form == "ints" else pa.string()
        table = known[form] = pa.table({"key": pa.array(getattr(keys, form), kind)})
    return table
