"""The tables and views that statements may name, with the tags of their columns, prepared for one dialect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from sqlglot import exp

from purposeguard.adapters.sql.scopes import Flow, NameRules, QueryColumn, Relation, lower
from purposeguard.adapters.tags import Columns, Revisions, Tag, columns_of, complete_table, read_class
from purposeguard.containers import drop_none_values
from purposeguard.notice.immutable import Immutable
from purposeguard.project.tags import TagFile
from purposeguard.values.annotations import is_taggable


class Tables(Immutable, Mapping[str, Columns]):
    """`Tables(notice, {"crm.customer": Customer, "orders": {"id": NotPersonal, "total": tm.Contract}})`.

    Names are as statements write them, `schema.table` where there is a schema; the adapter folds their case by dialect.
    Each table has what `columns_of` takes, with all its columns: in a mapping, None stands for a column without a tag.
    `views`: by name, the texts of views. A statement that reads a view reads its tables.
    `file`: the file `tags.toml` of the guard, which may tag the columns too.

    Raises:
        TypeError, UnknownSource, UnlabelledData, NoticeError: as `columns_of`.
        ValueError: a name is blank, or a table and a view have the same name.
    """

    __slots__ = ("_columns", "is_complete", "names", "revisions", "views")

    revisions: Revisions
    views: Mapping[str, str]
    names: Mapping[str, tuple[str, ...]]
    """By table, the names of all its columns in their order, including those without a tag."""
    is_complete: bool
    """True if the tags of `tags.toml` have been added, as far as there are any."""
    _columns: Mapping[str, Columns]

    def __init__(
        self,
        revisions: Revisions,
        tables: Mapping[str, object],
        views: Mapping[str, str] = MappingProxyType({}),
        file: TagFile | None = None,
        *,
        is_complete: bool = False,
    ) -> None:
        for name in (*tables, *views):
            if not all(part.strip() for part in name.split(".")):
                raise ValueError(f"`{name}` is no name of a table: `table`, or `schema.table`")
        both = sorted(set(tables) & set(views))
        if both:
            raise ValueError(f"`{both[0]}` is declared both as a table and as a view")
        columns: dict[str, Columns] = {}
        names: dict[str, tuple[str, ...]] = {}
        for name, described in tables.items():
            tags: dict[str, Tag | None] = {}
            if is_taggable(described):
                tags.update(read_class(revisions, described, file))
            elif isinstance(described, Mapping) and not isinstance(described, Columns):
                tags.update(dict.fromkeys(map(str, described)))
                tags.update(columns_of(revisions, drop_none_values(described)))
            else:
                tags.update(columns_of(revisions, described))
            names[name] = tuple(tags)
            columns[name] = Columns(drop_none_values(complete_table(revisions, file, name, tags)))
        self._fill(
            revisions=revisions,
            is_complete=is_complete or file is not None,
            views=MappingProxyType(dict(views)),
            names=MappingProxyType(names),
            _columns=MappingProxyType(columns),
        )

    def complete(self, file: TagFile | None) -> Tables:
        """Return the tables with the tags that a file `tags.toml` adds, unless they have been added.

        Raises:
            NoticeError: the file says otherwise of a column.
        """
        if file is None or self.is_complete:
            return self
        tables: dict[str, dict[str, Tag | None]] = {}
        for name, columns in self._columns.items():
            tables[name] = {column: columns.get(column) for column in self.names[name]}
        return Tables(self.revisions, tables, self.views, file)

    def __getitem__(self, name: str) -> Columns:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"<Tables {', '.join((*self._columns, *self.views))}>"


def several(values: object, name: str, example: str) -> Iterable[Any]:
    """Return an argument that holds several values.

    Raises:
        TypeError: the argument is a single value. A string would be read letter by letter.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"`{name}` takes several: `{name}={example}`")
    return values


TablesLike = Mapping[str, Iterable[str] | str]
"""By name, the columns of each table in their order, or the text of a view."""


class DeclaredTable:
    """A declared table: its name, the names of its columns, and its relation.

    A column without a name, `""`, stands for the unknown columns: any other name may mean it.
    """

    __slots__ = ("columns", "name", "relation")

    def __init__(self, name: str, columns: Iterable[str], names: NameRules) -> None:
        self.name: Final = name
        self.columns: Final = tuple(columns)
        query_columns: list[QueryColumn] = []
        for column in self.columns:
            read = frozenset({(name, column)})
            query_columns.append(QueryColumn(column, names.make_column_key(column) if column else None, read, read))
        counts = Counter(column.key for column in query_columns)
        for query_column in query_columns:
            if counts[query_column.key] > 1:
                raise ValueError(f"`{name}` has several columns that {names.dialect} calls `{query_column.name}`")
        self.relation: Final = Relation(query_columns)


_SCHEMAS: Final[Mapping[str, str]] = MappingProxyType({"sqlite": "main"})
"""The default schema of each dialect whose default does not depend on a setting."""

_PLAIN_BACKSLASHES: Final = frozenset({"sqlite", "duckdb"})
"""Dialects in which a backslash within `'…'` is an ordinary character, as in `LIKE … ESCAPE '\\'`."""


class Catalog:
    """The tables and views of a database, and its own functions that read nothing but their arguments.

    Args:
        tables: By table, the names of its columns in their order. By view, its text.
        dialect: The dialect, one of `DIALECTS`.
        functions: The names of the functions. None if the user has no way to name any.
        schema: The default schema, which a table name without a schema means.
        partial: True if tables may have columns that are not declared.
        standard_strings: True if PostgreSQL's setting `standard_conforming_strings` is on, so that a backslash within
            `'…'` is an ordinary character.
    """

    def __init__(
        self,
        tables: TablesLike,
        dialect: str,
        functions: Iterable[str] | None = (),
        *,
        schema: str | None = None,
        partial: bool = False,
        standard_strings: bool = False,
    ) -> None:
        self.names: Final = NameRules(dialect)
        self._schema: Final = self.names.make_table_key(schema or _SCHEMAS.get(dialect, ""))
        self.partial: Final = partial
        self.standard_strings: Final = dialect in _PLAIN_BACKSLASHES or (standard_strings and dialect == "postgres")
        self.functions: Final = frozenset(map(lower, functions or ()))
        self.functions_named_by: str | None = None if functions is None else "functions"
        views: dict[str, str] = dict(getattr(tables, "views", {}))
        # The names include columns without a tag.
        column_names: Mapping[str, tuple[str, ...]] = getattr(tables, "names", {})
        self.tables: Final[dict[tuple[str, ...], DeclaredTable]] = {}
        self.views: Final[dict[tuple[str, ...], tuple[str, str]]] = {}
        self.read_views: Final[dict[tuple[str, ...], tuple[Relation, Flow]]] = {}
        """By view, its columns, and the reads that count whichever of them is used."""
        for name, described in tables.items():
            if isinstance(described, str):
                views[name] = described
            else:
                self._add(self.tables, name, DeclaredTable(name, column_names.get(name, described), self.names))
        for name, text in views.items():
            self._add(self.views, name, (name, text))
        column_keys: set[str] = set()
        for table in self.tables.values():
            column_keys.update(map(lower, filter(None, table.columns)))
        self.column_keys: Final = frozenset(column_keys)

    def _add(self, entries: dict[tuple[str, ...], Any], name: str, value: object) -> None:
        key = self.names.make_table_key(name)
        if key in self.tables or key in self.views:
            raise ValueError(f"`{name}` is told twice: {self.names.dialect} calls two tables or views so")
        entries[key] = value

    def resolve_key(self, key: tuple[str, ...]) -> tuple[str, ...]:
        """Return the key under which a table is declared: a statement may name the default schema or omit it."""
        is_declared = key in self.tables or key in self.views
        return key[1:] if not is_declared and len(key) == 2 and key[:1] == self._schema else key

    def key(self, node: exp.Table) -> tuple[str, ...] | None:
        """Return the key of a table in a statement; None if the table is not given by a plain name."""
        parts = list(filter(None, (node.args.get("catalog"), node.args.get("db"), node.this)))
        if not all(type(part) is exp.Identifier for part in parts):
            return None
        return tuple(map(self.names.table_key, parts))
