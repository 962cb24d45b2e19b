"""Cursors of the real connection to DuckDB, in each of which a statement finds of its tables what it was found to use.

Every source is a view, and for each statement the view gives nulls in place of the columns that the statement was not
found to use. So what analysis had missed would read nothing; and DuckDB does not touch those columns.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import duckdb

from purposeguard.adapters.duckdb.sources import Parquet, Source

WIDEST: Final = 1000
"""Columns of a source of which those are hidden that are not used: of more, making the view takes too long."""

Shown = Mapping[str, Collection[str]]
"""By source, the columns that a statement uses; of a source that is not in it, it uses none."""


class Cursor:
    """One cursor, with a view of each source in it. For one thread at a time."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        sources: Mapping[str, Source],
        called: Mapping[str, str],
        hideable: Mapping[str, frozenset[str]],
    ) -> None:
        """`called`: by what names tables of Arrow are registered, which no statement can guess."""
        self.connection: Final = connection
        self._sources: Final = sources
        self._hideable: Final = hideable
        self._below: Final[dict[str, str]] = {}
        self._hidden: Final[dict[str, frozenset[str]]] = {}
        for name, source in sources.items():
            if isinstance(source.data, Parquet):
                self._below[name] = (
                    f"read_parquet({literal(source.data.path)}, hive_partitioning=false, union_by_name=false)"
                )
            else:
                connection.register(called[name], source.data)
                self._below[name] = quoted(called[name])
            self._make(name, frozenset())

    def show(self, shown: Shown) -> None:
        """Hides all columns but these."""
        for name in self._sources:
            hidden = self._hideable.get(name, frozenset[str]()).difference(shown.get(name, ()))
            if self._hidden[name] != hidden:
                self._make(name, hidden)

    def hideable(self, name: str) -> frozenset[str]:
        """The columns of a source that can be hidden: those that keep their type, which views over it rely on."""
        source = self._sources[name]
        if len(source.names) > WIDEST:
            return frozenset()
        types = self._types(name)
        self._make(name, frozenset(source.names))
        hidden = self._types(name)
        self._make(name, frozenset())
        return frozenset(one for one, this, other in zip(source.names, types, hidden, strict=True) if this == other)

    def _types(self, name: str) -> list[str]:
        relation: Any = self.connection.sql(f"FROM {quoted(name)}")
        return [str(one) for one in relation.types]

    def _make(self, name: str, hidden: Collection[str]) -> None:
        columns = ", ".join(
            # It is folded to a null, and has the type.
            f"CASE WHEN false THEN {quoted(one)} END AS {quoted(one)}" if one in hidden else quoted(one)
            for one in self._sources[name].names
        )
        rows = f"SELECT {columns} FROM {self._below[name]}"  # noqa: S608  # names and paths in quotes
        self.connection.execute(f"CREATE OR REPLACE TEMP VIEW {quoted(name)} AS {rows}")
        self._hidden[name] = frozenset(hidden)

    def add_views(self, views: Mapping[str, str]) -> None:
        """Makes views, by the texts of their queries."""
        for name, text in views.items():
            self.connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS {text}")


# ---- text ------------------------------------------------------------------------------------------------------------


def quoted(name: str) -> str:
    """A name in a statement."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text in a statement."""
    return "'" + text.replace("'", "''") + "'"
