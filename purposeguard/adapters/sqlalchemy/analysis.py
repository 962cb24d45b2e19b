"""What is noted of a statement while it is compiled: what it reads, and where; and what flows into what it writes."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy.sql.selectable import Alias, TableClause, TableSample

from purposeguard.adapters.sqlalchemy.flows import Flow
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
    """A SELECT, INSERT, UPDATE or DELETE, with what it reads from."""

    __slots__ = ("exists", "froms", "full", "inserts", "parent")

    def __init__(self, parent: Scope | None, *, exists: bool = False) -> None:
        self.parent = parent
        self.froms: set[Key] = set()
        self.full = 0
        self.exists = exists
        self.inserts: Key | None = None

    def holding(self, key: Key) -> Scope | None:
        """The scope, this one or one around it, whose FROM has the table."""
        one: Scope | None = self
        while one is not None and key not in one.froms:
            one = one.parent
        return one


def base_of(table: object) -> tuple[TableClause | None, str | None]:
    """The table that an alias is of, and the alias; None where it stands for something else than a table."""
    alias: str | None = None
    while isinstance(table, (Alias, TableSample)):
        if alias is None:
            alias = str(table.name)
        table = table.element
    return (table, alias) if isinstance(table, TableClause) else (None, None)
