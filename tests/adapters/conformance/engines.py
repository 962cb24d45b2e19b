"""Engines: whatever a case is run through. Each says which cases it can express, and answers them."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from purposeguard import Guard
from purposeguard.adapters.tags import Columns
from tests.adapters.conformance.cases import Case, Table

Row = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back; None of what this engine does not tell."""

    columns: list[str] | None = None
    rows: list[Row] | None = None
    labels: Mapping[str, list[str]] | None = None
    used: frozenset[str] | None = None
    after: list[Row] | None = None


class Engine(ABC):
    """Something that answers cases.

    `names` are those by which cases say that they are not, or only, for it. `own_errors` are what it raises itself
    where it looks at rows. `tables_have_names`: a refusal names a column with its table.
    """

    name: ClassVar[str]
    names: ClassVar[frozenset[str]]
    own_errors: ClassVar[tuple[type[Exception], ...]] = ()
    tables_have_names: ClassVar[bool] = True

    def cannot(self, case: Case) -> str | None:
        """Why it does not express a case; None where it does."""
        if any(table.has_metadata for table in case.tables) and not self.reads_metadata:
            return "tags do not come with the data"
        return case.cannot(self.name, *self.names) or self.lacks(case)

    reads_metadata: ClassVar[bool] = False

    @abstractmethod
    def lacks(self, case: Case) -> str | None:
        """Why it does not express a case, besides what the case says itself."""

    def close(self) -> None:  # noqa: B027  # most have nothing to close
        """Lets go of what it holds, at the end."""

    @abstractmethod
    def answer(self, case: Case, guard: Guard) -> Answer:
        """Its answer, asked outside any purpose: it enters that of the case by `under`. Raises where it is refused."""


def under(case: Case, guard: Guard) -> AbstractContextManager[Any]:
    """The purpose of a case, for as long as the block lasts."""
    if case.purpose is None:
        return nullcontext()
    enter: Any = guard.purpose
    entered: AbstractContextManager[Any] = enter(case.purpose, channel=case.channel)
    return entered


def declared(case: Case, table: Table) -> dict[str, object]:
    """How the columns of a table are told to an adapter: as people write it, ids in any spelling included."""
    found: dict[str, object] = {}
    tags: Columns | None = None
    for column in table.columns:
        if column.tag is None:
            continue
        if isinstance(column.tag, str):
            found[column.name] = column.tag
        elif isinstance(column.tag, list):
            found[column.name] = tuple(column.tag)
        else:
            tags = tags or case.tags(table.name)
            found[column.name] = tags[column.name]
    return found


# ---- values --------------------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """A value as a case writes it."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if hasattr(value, "item") and not isinstance(value, (datetime.date, datetime.datetime)):
        value = value.item()  # of numpy
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, (float, decimal.Decimal)) and value == int(value):
        return int(value)
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            return value.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return value.date().isoformat()  # a day, in a library that has moments alone
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def plain_rows(rows: Iterable[Iterable[Any]]) -> list[Row]:
    return [tuple(plain(value) for value in row) for row in rows]
