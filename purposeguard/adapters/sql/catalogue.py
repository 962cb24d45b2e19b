"""The catalogue: the tables and views that statements may name, made ready for one dialect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlglot import exp

from purposeguard.adapters.sql.names import Names, lower
from purposeguard.adapters.sql.relations import Column, Flow, Relation

TablesLike = Mapping[str, Iterable[str] | str]
"""Tables by name, each with the names of its columns in their order; a view is told by the text of its query."""


class Table:
    """A table as it was told: its name, its columns as a relation, and their names by key."""

    __slots__ = ("columns", "name", "relation")

    def __init__(self, name: str, columns: Iterable[str], names: Names) -> None:
        self.name: Final = name
        self.columns: Final = tuple(columns)
        given = [
            Column(column, names.declared(column), read := frozenset({(name, column)}), read) for column in self.columns
        ]
        keys = [one.key for one in given]
        twice = next((one.name for one in given if keys.count(one.key) > 1), None)
        if twice is not None:
            raise ValueError(f"`{name}` has several columns that {names.dialect} calls `{twice}`")
        self.relation: Final = Relation(given)


class Catalogue:
    """What is known of a database: tables, views, and functions that are told to read nothing by themselves.

    `functions` is None where nobody can tell any.
    """

    def __init__(self, tables: TablesLike, dialect: str, functions: Iterable[str] | None = ()) -> None:
        self.names: Final = Names(dialect)
        self.functions: Final = frozenset(lower(name) for name in functions or ())
        self.functions_are_told: Final = functions is not None
        views: dict[str, str] = dict(getattr(tables, "views", {}))
        known: Mapping[str, tuple[str, ...]] = getattr(tables, "names", {})  # those without a tag as well
        self.tables: Final[dict[tuple[str, ...], Table]] = {}
        self.views: Final[dict[tuple[str, ...], tuple[str, str]]] = {}
        self.read_views: Final[dict[tuple[str, ...], tuple[Relation, Flow]]] = {}
        """What views were found to hand on, and what they read whichever of their columns is asked for."""
        for name, given in tables.items():
            if isinstance(given, str):
                views[name] = given
            else:
                self._add(self.tables, name, Table(name, known.get(name, given), self.names))
        for name, text in views.items():
            self._add(self.views, name, (name, text))
        self.column_keys: Final = frozenset(lower(column) for table in self.tables.values() for column in table.columns)

    def _add(self, known: dict[tuple[str, ...], Any], name: str, given: object) -> None:
        key = self.names.table_declared(name)
        if key in self.tables or key in self.views:
            raise ValueError(f"`{name}` is told twice: {self.names.dialect} calls two tables or views so")
        known[key] = given

    def key(self, node: exp.Table) -> tuple[str, ...] | None:
        """The name of a table in a statement; None where it is no plain name."""
        parts = [node.args.get("catalog"), node.args.get("db"), node.this]
        given = [part for part in parts if part]
        if not all(type(part) is exp.Identifier for part in given):
            return None
        return tuple(self.names.table_key(part) for part in given)
