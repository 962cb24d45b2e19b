"""Tables: the tables of a database by name, each with the tags of its columns, and the views over them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from purposeguard.adapters.tags import Columns, Revisions, columns_of
from purposeguard.notice.vocabulary import Immutable


class Tables(Immutable, Mapping[str, Columns]):
    """`Tables(notice, {"crm.customer": Customer, "orders": {"id": NotPersonal, "total": tm.Contract}})`.

    Names are as statements write them, `schema.table` where there is a schema; how dialects fold their case is the
    adapter's matter. Each is told by what `columns_of` takes, with all its columns: in a mapping, None tells one that
    carries no tag. `views` are the texts of views, by name: what a statement reads of one it reads of the tables below.

    Raises:
        TypeError, UnknownSource, UnlabelledData: as `columns_of`.
        ValueError: a name is blank, or a table and a view have the same name.
    """

    __slots__ = ("_columns", "names", "revisions", "views")

    revisions: Revisions
    views: Mapping[str, str]
    names: Mapping[str, tuple[str, ...]]
    """By table, the names of all its columns in their order, those that carry no tag too."""
    _columns: Mapping[str, Columns]

    def __init__(
        self, revisions: Revisions, tables: Mapping[str, object], views: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        for name in (*tables, *views):
            if not all(part.strip() for part in name.split(".")):
                raise ValueError(f"`{name}` is no name of a table: `table`, or `schema.table`")
        both = sorted(set(tables) & set(views))
        if both:
            raise ValueError(f"`{both[0]}` is told both as a table and as a view")
        columns: dict[str, Columns] = {}
        names: dict[str, tuple[str, ...]] = {}
        for name, given in tables.items():
            if isinstance(given, Mapping) and not isinstance(given, Columns):
                told = {str(column): spec for column, spec in given.items()}
                columns[name] = columns_of(revisions, {one: spec for one, spec in told.items() if spec is not None})
                names[name] = tuple(told)
            else:
                columns[name] = columns_of(revisions, given)
                names[name] = tuple(columns[name])
        self._fill(
            revisions=revisions,
            views=MappingProxyType(dict(views)),
            names=MappingProxyType(names),
            _columns=MappingProxyType(columns),
        )

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


def several(given: object, name: str, example: str) -> Iterable[Any]:
    """What is given as several; raises TypeError where it is one, of which a text would be read letter by letter."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(f"`{name}` takes several: `{name}={example}`")
    return given
