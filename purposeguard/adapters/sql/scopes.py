"""Names, relations and scopes, which resolve what a name in a statement may mean.

Only ASCII letters are folded: engines disagree about others, and an unknown name is refused. Where engines disagree on
what a name means, every meaning counts: a statement may be said to read more than it does, never less.
"""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, NoReturn

from sqlglot import exp

from purposeguard.errors import UnresolvedStatement
from purposeguard.notice.vocabulary import find_nearest

DIALECTS: Final = ("sqlite", "postgres", "mysql", "duckdb", "spark", "bigquery", "snowflake")

_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_UPPER: Final = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)


def lower(name: str) -> str:
    """Return a name with its ASCII letters in lower case."""
    return name.lower() if name.isascii() else name.translate(_LOWER)


def upper(name: str) -> str:
    """Return a name with its ASCII letters in upper case."""
    return name.upper() if name.isascii() else name.translate(_UPPER)


def perhaps(unknown: object, names: Iterable[str]) -> str:
    """Return a hint at the known names that are most like an unknown one; empty if none is similar."""
    similar_names = find_nearest(unknown, names, 0.6)
    if not similar_names:
        return ""
    return f" (did you mean {' or '.join(f'`{name}`' for name in similar_names)}?)"


def _cut(name: str) -> str:
    """Cut a name at 63 bytes, as PostgreSQL does."""
    return name if len(name) < 16 else name.encode()[:63].decode(errors="ignore")


class NameRules:
    """The rules by which a dialect compares names. Names with the same key mean the same."""

    def __init__(self, dialect: str) -> None:
        if dialect not in DIALECTS:
            raise ValueError(
                f"`{dialect}` is no dialect that is known here{perhaps(dialect, DIALECTS)}: {', '.join(DIALECTS)}"
            )
        self.dialect: Final = dialect
        self._quoting_counts: Final = dialect in {"postgres", "snowflake"}
        self.spelling_counts: Final = dialect in {"mysql", "bigquery"}
        """True if names of tables differ by case. It is uncertain whether common tables and aliases do."""

    def key(self, identifier: exp.Identifier) -> str:
        """Return the key of a name in a statement."""
        name: str = identifier.this
        if not self._quoting_counts:
            return lower(name)
        if self.dialect == "postgres":
            return _cut(name if identifier.args.get("quoted") else lower(name))
        return name if identifier.args.get("quoted") else upper(name)

    def make_column_key(self, name: str) -> str:
        """Return the key of a declared column.

        PostgreSQL compares the name as it is stored. In Snowflake a name in lower case means the one in upper case.
        """
        if not self._quoting_counts:
            return lower(name)
        if self.dialect == "postgres":
            return _cut(name)
        return upper(name) if name == lower(name) else name

    def table_key(self, identifier: exp.Identifier) -> str:
        """Return the key of one part of a table's name in a statement."""
        return str(identifier.this) if self.spelling_counts else self.key(identifier)

    def make_table_key(self, name: str) -> tuple[str, ...]:
        """Return the key of a declared table: a tuple of the keys of its parts."""
        parts = name.split(".")
        return tuple(parts if self.spelling_counts else map(self.make_column_key, parts))


Read = tuple[str, str]
"""A table and a column of it, by their declared names."""

Flow = frozenset[Read]

NOTHING: Final[Flow] = frozenset()


class QueryColumn(NamedTuple):
    """One column of a relation."""

    name: str
    key: str | None
    """The key of the name; None where the engine makes up the name."""
    flow: Flow
    """The table columns that the value is made of."""
    reads: Flow
    """The table columns that are read where this column is used. They include `flow`."""

    def with_name(self, name: str, key: str) -> QueryColumn:
        """Return a copy of the column with another name."""
        return QueryColumn(name, key, self.flow, self.reads)


def join_columns(columns: Sequence[QueryColumn]) -> QueryColumn:
    """Return one column that stands for several: it has the union of their flows and reads."""
    if len(columns) == 1:
        return columns[0]
    first = columns[0]
    return QueryColumn(
        first.name, first.key, flows(column.flow for column in columns), flows(column.reads for column in columns)
    )


def flows(parts: Iterable[Flow]) -> Flow:
    """Return the union of several flows."""
    return NOTHING.union(*parts)


class Relation:
    """The columns of a table or query, in their order. Immutable.

    `rest` is the column that any other name means; it is None if all names are known. `complete` is True if all
    columns are present and in order, so that they can be counted.
    """

    __slots__ = ("_by_key", "columns", "complete", "rest")

    def __init__(
        self, columns: Iterable[QueryColumn], rest: QueryColumn | None = None, *, complete: bool = True
    ) -> None:
        self.columns: Final = tuple(columns)
        unnamed = [column for column in self.columns if column.key is None]
        if unnamed:
            rest = join_columns([*unnamed, rest] if rest is not None else unnamed)
        self.rest: Final = rest
        self.complete: Final = complete
        by_key: dict[str, QueryColumn] = {}
        for column in self.columns:
            if column.key is not None:
                other = by_key.get(column.key)
                by_key[column.key] = column if other is None else join_columns([other, column])
        self._by_key: Final = by_key

    def get(self, key: str) -> QueryColumn | None:
        """Return the column of a name; the union if several columns have this name."""
        return self._by_key.get(key)

    def find_folded(self, word: str) -> list[QueryColumn]:
        """Return the columns whose name in lower case is a word; `rest`, if there is one, if no column has it."""
        columns = [column for key, column in self._by_key.items() if lower(key) == word]
        if not columns and self.rest is not None:
            columns.append(self.rest)
        return columns

    @property
    def names(self) -> tuple[str, ...]:
        """The keys of the known names, by which `get` finds columns."""
        return tuple(self._by_key)

    def everything(self) -> Iterator[QueryColumn]:
        """Yield all columns, and then `rest` if some names are unknown."""
        yield from self.columns
        if self.rest is not None:
            yield self.rest

    def flow(self) -> Flow:
        """Return the union of the flows of all columns."""
        return flows(column.flow for column in self.everything())

    def reads(self) -> Flow:
        """Return the union of the reads of all columns."""
        return flows(column.reads for column in self.everything())

    def whole(self, name: str, key: str | None = None) -> QueryColumn:
        """Return one column that stands for a whole row."""
        return QueryColumn(name, key, self.flow(), self.reads())

    def rename_columns(self, names: Sequence[tuple[str, str]]) -> Relation:
        """Return a relation whose first columns have other names.

        Args:
            names: The name and the key of each column.

        Raises:
            ValueError: there are more names than columns.
        """
        if not names:
            return self
        if not self.complete:
            whole = self.whole("")
            return Relation((whole.with_name(*alias) for alias in names), whole, complete=False)
        if len(names) > len(self.columns):
            raise ValueError(f"{len(names)} names for {len(self.columns)} columns")
        first = [column.with_name(*alias) for column, alias in zip(self.columns, names, strict=False)]
        return Relation([*first, *self.columns[len(names) :]])

    def same(self, other: Relation) -> bool:
        """Return True if the other relation has equal columns and an equal `rest`."""
        return self.columns == other.columns and self.rest == other.rest


def stack_relations(relations: Sequence[Relation], *, by_name: bool = False) -> Relation:
    """Return the union of several relations, by position or by name.

    Raises:
        ValueError: the relations differ in their number of columns.
    """
    if not all(relation.complete for relation in relations) or (by_name and any(part.rest for part in relations)):
        whole = join_columns([relation.whole("") for relation in relations])
        named = [whole.with_name(column.name, column.key) for column in relations[0].columns if column.key]
        return Relation(named, whole, complete=False)
    if by_name:
        columns_by_key: dict[str, list[QueryColumn]] = {}
        for relation in relations:
            for column in relation.columns:
                columns_by_key.setdefault(column.key or "", []).append(column)
        return Relation(map(join_columns, columns_by_key.values()))
    rows = [relation.columns for relation in relations]
    if len(set(map(len, rows))) > 1:
        raise ValueError("its parts differ in their number of columns")
    return Relation(map(join_columns, zip(*rows, strict=True)))


def refuse(why: str) -> NoReturn:
    """Raise UnresolvedStatement with a reason."""
    raise UnresolvedStatement(why)


WITH_FIELDS: Final = frozenset({"duckdb", "spark", "bigquery"})
"""Dialects in which `a.b` may be the field `b` of the column `a`."""


class CommonTable(NamedTuple):
    """A common table (WITH). `relation` is None while its query is analyzed; any use of the table reads `reads`."""

    relation: Relation | None
    reads: Flow
    spelled: str


Commons = Mapping[str, CommonTable]


@dataclasses.dataclass(slots=True, eq=False)
class FromSource:
    """One relation in FROM, under the name that it has there."""

    key: str
    spelled: str
    relation: Relation
    path: tuple[str, ...] = ()
    """The whole name of a table without an alias."""
    group: int = 0
    """The number of commas in FROM before the relation."""
    hidden: bool = False
    """True if the relation only tests whether rows exist (SEMI, ANTI), so that its columns cannot be named."""


class Scope:
    """The names within one SELECT: its sources, its aliases and those around it."""

    def __init__(self, parent: Scope | None, commons: Commons) -> None:
        self.parent: Final = parent
        self.commons = commons
        self.sources: list[FromSource] = []
        self.merged: dict[str, QueryColumn] = {}
        self.aliases: dict[str, QueryColumn] = {}
        self.windows: dict[str, Flow] = {}
        self.parameters: dict[str, QueryColumn] = {}
        self.group = 0
        """The number of the present comma-separated part of FROM."""
        self.strict_group: int | None = None
        """In ON, the group whose sources are certainly meant. Only some engines also look before a comma."""

    @property
    def visible(self) -> Iterator[FromSource]:
        """The sources whose columns can be named."""
        return (source for source in self.sources if not source.hidden)

    def add(self, source: FromSource) -> None:
        """Add a source of FROM."""
        source.group = self.group
        self.sources.append(source)

    def alias(self, column: QueryColumn) -> None:
        """Record the name of an item of SELECT."""
        if column.key is not None:
            other = self.aliases.get(column.key)
            self.aliases[column.key] = column if other is None else join_columns([other, column])


class NameLookup:
    """Resolver of names in one dialect."""

    def __init__(self, names: NameRules) -> None:
        self.names: Final = names

    def column(self, parts: Sequence[exp.Identifier], scope: Scope) -> QueryColumn:
        """Return the column that a name means.

        Raises:
            UnresolvedStatement: no known column has this name, or it may be one of several columns.
        """
        column = self.find(parts, scope)
        if column is None:
            name = ".".join(str(part.this) for part in parts)
            refuse(
                f"`{name}` is no column that is known here{self._perhaps(parts, scope)}, so it cannot be told what it "
                "reads: tell the tables with all their columns"
            )
        return column

    def _perhaps(self, parts: Sequence[exp.Identifier], scope: Scope | None) -> str:
        """Return a hint at similar columns, or at similar tables if the name begins with an unknown one."""
        sources: list[FromSource] = []
        while scope is not None:
            sources += scope.visible
            scope = scope.parent
        if len(parts) > 1:
            table = parts[-2]
            own = [source for source in sources if source.key == self.names.key(table)]
            if not own:
                return perhaps(table.this, (source.spelled for source in sources))
            sources = own
        names: list[str] = []
        for source in sources:
            names += [column.name for column in source.relation.columns if column.key is not None]
        return perhaps(parts[-1].this, names)

    def find(self, parts: Sequence[exp.Identifier], scope: Scope | None) -> QueryColumn | None:
        """Return the column that a name means; None if no known column has this name.

        Raises:
            UnresolvedStatement: the name may be one of several columns.
        """
        keys = list(map(self.names.key, parts))
        columns: list[QueryColumn] = []
        while scope is not None:
            if len(keys) == 1:
                hits, sure = self._find_single(keys[0], scope)
            else:
                hits, sure = self._find_dotted(keys, parts, scope)
            columns += hits
            if sure:
                break
            scope = scope.parent
        return join_columns(columns) if columns else None

    def anyhow(self, word: str, scope: Scope | None) -> QueryColumn | None:
        """Return the union of all that a word may mean, ignoring case; None if nothing in scope has this name.

        The parser does not keep the spelling of some words.
        """
        columns: list[QueryColumn] = []
        while scope is not None:
            columns += Relation(scope.aliases.values()).find_folded(word)
            for source in scope.visible:
                columns += source.relation.find_folded(word)
                if lower(source.key) == word:  # The name of a table in place of a column means its whole row.
                    columns.append(source.relation.whole(word))
            scope = scope.parent
        return join_columns(columns) if columns else None

    def plain(self, key: str, scope: Scope) -> tuple[list[QueryColumn], bool]:
        """Return the columns of this scope with a name, and whether the name certainly means them.

        Raises:
            UnresolvedStatement: several tables have a column with this name.
        """
        parameter = scope.parameters.get(key)
        if parameter is not None:
            return [parameter], True
        merged = scope.merged.get(key)
        if merged is not None:
            return [merged], True
        hits: list[QueryColumn] = []
        sure = False
        several = False
        for source in scope.visible:
            column = source.relation.get(key)
            if column is None:
                if source.relation.rest is not None:
                    hits.append(source.relation.rest)
            elif scope.strict_group is not None and source.group != scope.strict_group:
                hits.append(column)
            else:
                several |= sure
                sure = True
                hits.append(column)
        if several and key not in scope.aliases:
            refuse(f"`{key}` is a column of several tables here: say of which")
        return hits, sure

    def _find_single(self, key: str, scope: Scope) -> tuple[list[QueryColumn], bool]:
        """Return the columns of this scope that a name without a qualifier means, and whether that is certain."""
        hits, sure = self.plain(key, scope)
        alias = scope.aliases.get(key)
        if alias is not None:
            hits.append(alias)
        if not sure:
            # The name of a table in place of a column means its whole row.
            hits += [source.relation.whole(key) for source in scope.visible if source.key == key]
        return hits, sure

    def _find_dotted(
        self, keys: Sequence[str], parts: Sequence[exp.Identifier], scope: Scope
    ) -> tuple[list[QueryColumn], bool]:
        """Return the columns of this scope that a name of several parts means, and whether that is certain."""
        hits: list[QueryColumn] = []
        sure = 0  # The number of columns that are certainly meant.
        for source, depth in self._iter_qualified(keys, parts, scope):
            column = source.relation.get(keys[depth])
            if column is not None:
                sure += scope.strict_group is None or source.group == scope.strict_group
                hits.append(column)
            elif source.relation.rest is not None:
                hits.append(source.relation.rest)
        if sure > 1:
            refuse(f"`{parts[0].this}` names several tables here: give each its own name")
        if sure or self.names.dialect not in WITH_FIELDS:
            return hits, bool(sure)
        # The name may be a field of a column or of an item of SELECT.
        columns, _ = self.plain(keys[0], scope)
        hits += columns
        alias = scope.aliases.get(keys[0])
        if alias is not None:
            hits.append(alias)
        return hits, False

    def _iter_qualified(
        self, keys: Sequence[str], parts: Sequence[exp.Identifier], scope: Scope
    ) -> Iterator[tuple[FromSource, int]]:
        """Yield the sources that a name may begin with, each with the number of name parts that it takes."""
        for source in scope.visible:
            length = len(source.path)
            if source.key == keys[0]:
                if self.names.spelling_counts and source.spelled != parts[0].this:
                    refuse(f"whether `{parts[0].this}` is `{source.spelled}` is a matter of settings: spell them alike")
                yield source, 1
            elif 1 < length < len(keys) and tuple(keys[:length]) == source.path:
                yield source, length

    def relations(self, parts: Sequence[exp.Identifier], scope: Scope) -> list[Relation]:
        """Return the relations that a qualifier (`t` of `t.*`) may mean, in the nearest scope that has any."""
        keys = list(map(self.names.key, parts))
        around: Scope | None = scope
        while around is not None:
            relations: list[Relation] = []
            for source, depth in self._iter_qualified([*keys, ""], parts, around):
                if depth == len(keys):
                    relations.append(source.relation)
            if relations:
                return relations
            around = around.parent
        return []

    def star(self, scope: Scope) -> tuple[list[QueryColumn], QueryColumn | None, bool]:
        """Return the columns of `*`, the column for unknown names, and whether the columns are complete and ordered."""
        columns: list[QueryColumn] = []
        rests: list[QueryColumn] = []
        complete = True
        seen: set[str] = set()
        for source in scope.visible:
            complete &= source.relation.complete
            if source.relation.rest is not None:
                rests.append(source.relation.rest)
            for column in source.relation.columns:
                merged = None if column.key is None else scope.merged.get(column.key)
                if merged is None:
                    columns.append(column)
                elif column.key not in seen:
                    seen.add(merged.key or "")
                    columns.append(merged)
        if scope.merged:
            # The standard puts merged columns first, some engines leave them in place. The order is certain where both
            # agree.
            first = [column.key for column in columns[: len(scope.merged)]]
            complete &= first == list(reversed(scope.merged))
        return columns, join_columns(rests) if rests else None, complete


def everything(scope: Scope) -> QueryColumn:
    """Return one column that stands for all columns of all sources in a scope."""
    return QueryColumn(
        "*",
        None,
        flows(source.relation.flow() for source in scope.visible),
        flows(source.relation.reads() for source in scope.visible),
    )
