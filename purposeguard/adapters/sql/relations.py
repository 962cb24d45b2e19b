"""Relations: what a table, a subquery or a common table hands on, and where each of its columns comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

Read = tuple[str, str]
"""A table and a column of it, by the names under which they were told."""

Flow = frozenset[Read]

NOTHING: Final[Flow] = frozenset()


class Column(NamedTuple):
    """One column of a relation.

    `flow`: the columns of tables that its value is made of. `reads`: what is read where somebody asks for it, which
    includes them. `key` is None where the engine makes up its name.
    """

    name: str
    key: str | None
    flow: Flow
    reads: Flow

    def named(self, name: str, key: str) -> Column:
        """The same under another name."""
        return Column(name, key, self.flow, self.reads)


def joined(columns: Sequence[Column]) -> Column:
    """One column for several that a name may mean: what it says of each is said of it."""
    if len(columns) == 1:
        return columns[0]
    first = columns[0]
    return Column(first.name, first.key, flows(one.flow for one in columns), flows(one.reads for one in columns))


def flows(parts: Iterable[Flow]) -> Flow:
    """All of several."""
    return NOTHING.union(*parts)


class Relation:
    """Columns in their order. Immutable.

    `rest`: what any other name would mean, where names are not all known; None where they are. `complete`: whether the
    columns are all there, in their order, so that they can be counted.
    """

    __slots__ = ("_by_key", "columns", "complete", "rest")

    def __init__(self, columns: Iterable[Column], rest: Column | None = None, *, complete: bool = True) -> None:
        self.columns: Final = tuple(columns)
        unnamed = [one for one in self.columns if one.key is None]
        if unnamed:
            rest = joined([*unnamed, rest] if rest is not None else unnamed)
        self.rest: Final = rest
        self.complete: Final = complete
        by_key: dict[str, Column] = {}
        for one in self.columns:
            if one.key is not None:
                other = by_key.get(one.key)
                by_key[one.key] = one if other is None else joined([other, one])
        self._by_key: Final = by_key

    def get(self, key: str) -> Column | None:
        """The column of a name; what several of one name are together."""
        return self._by_key.get(key)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are known, by which `get` finds columns."""
        return tuple(self._by_key)

    def everything(self) -> Iterator[Column]:
        """All columns, and what else there may be."""
        yield from self.columns
        if self.rest is not None:
            yield self.rest

    def flow(self) -> Flow:
        """What any of its values is made of."""
        return flows(one.flow for one in self.everything())

    def reads(self) -> Flow:
        """What is read where all of it is asked for."""
        return flows(one.reads for one in self.everything())

    def whole(self, name: str, key: str | None = None) -> Column:
        """All of it as one value."""
        return Column(name, key, self.flow(), self.reads())

    def renamed(self, names: Sequence[tuple[str, str]]) -> Relation:
        """Its first columns by other names; raises ValueError where it does not have so many."""
        if not names:
            return self
        if not self.complete:
            whole = self.whole("")
            return Relation((whole.named(*one) for one in names), whole, complete=False)
        if len(names) > len(self.columns):
            raise ValueError(f"{len(names)} names for {len(self.columns)} columns")
        first = [column.named(*one) for column, one in zip(self.columns, names, strict=False)]
        return Relation([*first, *self.columns[len(names) :]])

    def same(self, other: Relation) -> bool:
        """Whether both say the same of each column."""
        return self.columns == other.columns and self.rest == other.rest


def stacked(relations: Sequence[Relation], *, by_name: bool = False) -> Relation:
    """Several on top of each other, by position or by name; raises ValueError where they do not fit."""
    if not all(one.complete for one in relations) or (by_name and any(one.rest for one in relations)):
        first = relations[0]
        whole = joined([one.whole("") for one in relations])
        return Relation(
            (whole.named(one.name, one.key or "") for one in first.columns if one.key), whole, complete=False
        )
    if by_name:
        keys: dict[str, list[Column]] = {}
        for relation in relations:
            for column in relation.columns:
                keys.setdefault(column.key or "", []).append(column)
        return Relation(joined(columns) for columns in keys.values())
    if len({len(one.columns) for one in relations}) > 1:
        raise ValueError("its parts differ in their number of columns")
    return Relation(joined(columns) for columns in zip(*(one.columns for one in relations), strict=True))
