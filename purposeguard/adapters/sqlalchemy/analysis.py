"""What is noted of a statement while it is compiled: what it reads, and where; and what flows into what it writes."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy.sql.selectable import Alias, TableClause, TableSample

from purposeguard.adapters.sqlalchemy.seals import SealedType

ALL: Final = "*"
"""In place of a column's name: every column of the table, as of a table that stands for its whole row."""

Key = tuple[str, str | None]
"""A table by its name, and by the alias that it has."""


class Occurrence(NamedTuple):
    """One place in which a statement reads a table.

    `names` are the columns that are used. `narrowings` are the tests by which rows of it are left out there, each with
    the names of the parameters that are bound in it. `written`: the rows are those that the statement inserts.
    """

    table: TableClause
    names: frozenset[str]
    narrowings: tuple[tuple[str, tuple[str, ...]], ...]
    written: bool


Source = tuple[TableClause, str] | SealedType
"""A column of a table, by its name; or a sealed value that is bound in the statement, by its type."""


class Flow(NamedTuple):
    """What flows into one column: `columns` into its values, `conditions` into that there is one."""

    table: TableClause
    column: str
    columns: frozenset[Source]
    conditions: frozenset[Source] = frozenset()


class Analysis:
    """What a statement reads and writes.

    `untold` says why that cannot be told of its structure alone: its text is to be asked.
    """

    __slots__ = ("flows", "occurrences", "plan", "sealed", "tables", "untold")

    def __init__(self) -> None:
        self.occurrences: tuple[Occurrence, ...] = ()
        self.tables: tuple[TableClause, ...] = ()
        self.flows: tuple[Flow, ...] = ()
        self.sealed: tuple[SealedType, ...] = ()
        self.untold: str | None = None
        self.plan: Any = None
        """What is to be asked of the guard, kept here by the one that asks."""


class Scope:
    """A SELECT, INSERT, UPDATE or DELETE, or some SELECTs put together, with what it reads from.

    `chosen` are the queries whose rows an INSERT inserts. `shared`: it is a common table expression, or in one, so
    that any part of the statement may read it. `meeting`: it stands in what an INSERT does to a row that is there.
    """

    __slots__ = ("chosen", "exists", "froms", "full", "inserts", "meeting", "parent", "shared")

    def __init__(
        self, parent: Scope | None, *, exists: bool = False, shared: bool = False, meeting: bool = False
    ) -> None:
        self.parent = parent
        self.froms: set[Key] = set()
        self.full = 0
        self.exists = exists
        self.shared = shared
        self.meeting = meeting
        self.inserts: Key | None = None
        self.chosen: list[Any] | None = None

    def holding(self, key: Key) -> Scope | None:
        """The scope, this one or one around it, whose FROM has the table."""
        one: Scope | None = self
        while one is not None and key not in one.froms:
            one = one.parent
        return one

    def within(self, other: Scope) -> bool:
        """Whether it is another scope, or stands in it."""
        one: Scope | None = self
        while one is not None and one is not other:
            one = one.parent
        return one is not None


class Written(NamedTuple):
    """An INSERT or UPDATE that was compiled: SQLAlchemy's state of that, and the scope in which it stands.

    `keys` are those of the parameters that come with its execution, of which some may be columns.
    """

    state: Any
    scope: Scope
    keys: tuple[str, ...]


class Deciding(NamedTuple):
    """What decides which rows there are in one place of a statement; `meeting`: of those that an INSERT meets there."""

    scope: Scope
    expressions: tuple[Any, ...]
    meeting: bool = False


def base_of(table: object) -> tuple[TableClause | None, str | None]:
    """The table that an alias is of, and the alias; None where it stands for something else than a table."""
    alias: str | None = None
    while isinstance(table, (Alias, TableSample)):
        if alias is None:
            alias = str(table.name)
        table = table.element
    return (table, alias) if isinstance(table, TableClause) else (None, None)
