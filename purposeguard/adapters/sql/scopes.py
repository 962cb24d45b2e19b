"""Scopes: where a name is looked for, and what it may mean there.

Where engines disagree on what a name means, all that it may mean counts: more is asked for than is read, never less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, NoReturn

from sqlglot import exp

from purposeguard.adapters.sql.names import Names, lower, perhaps
from purposeguard.adapters.sql.relations import Column, Flow, Relation, flows, joined
from purposeguard.errors import UnresolvedStatement


def refuse(why: str) -> NoReturn:
    """Raises UnresolvedStatement."""
    raise UnresolvedStatement(why)


WITH_FIELDS: Final = frozenset({"duckdb", "spark", "bigquery"})
"""Dialects in which `a.b` may be the field `b` of the column `a`."""


class Common(NamedTuple):
    """A common table (WITH): None as long as its own query is being read; `reads`: whichever column is asked for."""

    relation: Relation | None
    reads: Flow
    spelled: str


Commons = Mapping[str, Common]


class Source:
    """One relation in FROM, by the name that it has there.

    `path`: the whole name of a table that was given no other. `group`: how many commas of FROM stand before it.
    `hidden`: it only tests whether rows are there (SEMI, ANTI), so that its columns cannot be named any more.
    """

    __slots__ = ("group", "hidden", "key", "path", "relation", "spelled")

    def __init__(self, key: str, spelled: str, relation: Relation, path: tuple[str, ...] = (), group: int = 0) -> None:
        self.key = key
        self.spelled = spelled
        self.relation = relation
        self.path = path
        self.group = group
        self.hidden = False


class Scope:
    """The names within one SELECT: its sources, its aliases and those around it."""

    def __init__(self, parent: Scope | None, commons: Commons) -> None:
        self.parent: Final = parent
        self.commons = commons
        self.sources: list[Source] = []
        self.merged: dict[str, Column] = {}
        self.aliases: dict[str, Column] = {}
        self.windows: dict[str, Flow] = {}
        self.parameters: dict[str, Column] = {}
        self.group = 0
        self.strict_group: int | None = None
        """In ON: the group whose sources are meant; those before a comma are only where engines take them."""

    @property
    def visible(self) -> Iterator[Source]:
        """The sources whose columns can be named."""
        return (source for source in self.sources if not source.hidden)

    def add(self, source: Source) -> None:
        """One more source of FROM."""
        source.group = self.group
        self.sources.append(source)

    def alias(self, column: Column) -> None:
        """A name that an item of SELECT gives."""
        if column.key is not None:
            other = self.aliases.get(column.key)
            self.aliases[column.key] = column if other is None else joined([other, column])


class Lookup:
    """Finds what names mean, in one dialect."""

    def __init__(self, names: Names) -> None:
        self.names: Final = names

    def column(self, parts: Sequence[exp.Identifier], scope: Scope) -> Column:
        """What a name of these parts may mean.

        Raises:
            UnresolvedStatement: nothing that is known here, or one of several columns.
        """
        found = self.find(parts, scope)
        if found is None:
            name = ".".join(str(part.this) for part in parts)
            refuse(
                f"`{name}` is no column that is known here{self._perhaps(parts, scope)}, so it cannot be told what it "
                "reads: tell the tables with all their columns"
            )
        return found

    def _perhaps(self, parts: Sequence[exp.Identifier], scope: Scope | None) -> str:
        """What may have been meant by a name that means nothing: a column, or the table that it is said to be of."""
        sources: list[Source] = []
        while scope is not None:
            sources += scope.visible
            scope = scope.parent
        if len(parts) > 1:
            table = parts[-2]
            own = [source for source in sources if source.key == self.names.key(table)]
            if not own:
                return perhaps(table.this, (source.spelled for source in sources))
            sources = own
        columns = (column.name for source in sources for column in source.relation.columns if column.key is not None)
        return perhaps(parts[-1].this, columns)

    def find(self, parts: Sequence[exp.Identifier], scope: Scope | None) -> Column | None:
        """As `column`; None where it means nothing."""
        keys = [self.names.key(part) for part in parts]
        perhaps: list[Column] = []
        while scope is not None:
            hits, sure = self._one(keys[0], scope) if len(keys) == 1 else self._dotted(keys, parts, scope)
            perhaps += hits
            if sure:
                break
            scope = scope.parent
        return joined(perhaps) if perhaps else None

    def anyhow(self, word: str, scope: Scope | None) -> Column | None:
        """What a word may mean, however it is written: for words of which the parser does not keep the spelling."""
        found: list[Column] = []
        while scope is not None:
            known = [*(source.relation for source in scope.visible), Relation(scope.aliases.values())]
            for relation in known:
                hits = [relation.get(key) for key in relation.names if lower(key) == word] or [relation.rest]
                found += [column for column in hits if column is not None]
            # A table's name in place of a column's: its whole row.
            found += [source.relation.whole(word) for source in scope.visible if lower(source.key) == word]
            scope = scope.parent
        return joined(found) if found else None

    def plain(self, key: str, scope: Scope) -> tuple[list[Column], bool]:
        """The columns of the sources here that bear a name, and whether it surely means them."""
        parameter = scope.parameters.get(key)
        if parameter is not None:
            return [parameter], True
        merged = scope.merged.get(key)
        if merged is not None:
            return [merged], True
        hits: list[Column] = []
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

    def _one(self, key: str, scope: Scope) -> tuple[list[Column], bool]:
        hits, sure = self.plain(key, scope)
        alias = scope.aliases.get(key)
        if alias is not None:
            hits.append(alias)
        if not sure:
            # A table's name in place of a column's: its whole row.
            hits += [source.relation.whole(key) for source in scope.visible if source.key == key]
        return hits, sure

    def _dotted(self, keys: Sequence[str], parts: Sequence[exp.Identifier], scope: Scope) -> tuple[list[Column], bool]:
        hits: list[Column] = []
        sure = 0  # how many are surely meant
        for source, depth in self._qualified(keys, parts, scope):
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
        # A field of what a column holds, or of an item of SELECT: where it has such fields, which is not known here.
        columns, _ = self.plain(keys[0], scope)
        alias = scope.aliases.get(keys[0])
        return [*hits, *columns, *([] if alias is None else [alias])], False

    def _qualified(
        self, keys: Sequence[str], parts: Sequence[exp.Identifier], scope: Scope
    ) -> Iterator[tuple[Source, int]]:
        """The sources that a name begins with, each with the number of parts that it takes."""
        for source in scope.visible:
            length = len(source.path)
            if source.key == keys[0]:
                if self.names.spelling_counts and source.spelled != parts[0].this:
                    refuse(f"whether `{parts[0].this}` is `{source.spelled}` is a matter of settings: spell them alike")
                yield source, 1
            elif 1 < length < len(keys) and tuple(keys[:length]) == source.path:
                yield source, length

    def relations(self, parts: Sequence[exp.Identifier], scope: Scope) -> list[Relation]:
        """The relations that a qualifier (`t` of `t.*`) may mean, in the nearest scope that has any."""
        keys = [self.names.key(part) for part in parts]
        around: Scope | None = scope
        while around is not None:
            found = [
                source.relation for source, depth in self._qualified([*keys, ""], parts, around) if depth == len(keys)
            ]
            if found:
                return found
            around = around.parent
        return []

    def star(self, scope: Scope) -> tuple[list[Column], Column | None, bool]:
        """What `*` means: columns, what else there may be, and whether they are all there in their order."""
        columns: list[Column] = []
        rests: list[Column] = []
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
            # The standard puts merged columns first, some engines leave them in their places: sure where both agree.
            first = [column.key for column in columns[: len(scope.merged)]]
            complete &= first == list(scope.merged)[::-1] if len(scope.merged) > 1 else first == list(scope.merged)
        return columns, joined(rests) if rests else None, complete


def everything(scope: Scope) -> Column:
    """All columns of all sources here as one."""
    return Column(
        "*",
        None,
        flows(one.relation.flow() for one in scope.visible),
        flows(one.relation.reads() for one in scope.visible),
    )
