"""Statements that run unchanged in observe mode: the faults that analysis finds, and the columns within their reach."""

from __future__ import annotations

import functools
import re
from collections.abc import Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, NamedTuple

from purposeguard.adapters.enforcement import require_tag
from purposeguard.adapters.sql.functions import words
from purposeguard.adapters.tags import Columns
from purposeguard.errors import PurposeGuardError, PurposeMissing
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.observer import Fields

_MAX_DESCRIPTIONS: Final = 1000
"""The number of descriptions of statements in a cache."""

_WORD: Final = re.compile(r"\w+")
_STATEMENTS: Final = words("""
    alter analyze attach begin call comment commit copy create deallocate declare delete detach do drop execute explain
    fetch grant insert listen load lock merge notify pragma prepare refresh reindex release replace reset revoke
    rollback savepoint select set show table truncate update vacuum values with
""")
"""The first words of statements. Another first word may be personal, so no report contains it."""


class Faults:
    """The errors that the analysis of one statement finds in observe mode, in place of raising them."""

    def __init__(self, errors: Iterable[PurposeGuardError] = ()) -> None:
        self.errors: tuple[PurposeGuardError, ...] = tuple(errors)

    @contextmanager
    def collect(self) -> Generator[None]:
        """Collect an error of the library's own analysis.

        Denials pass. An activity that enforces raises them, also where the guard observes.
        """
        try:
            yield
        except (PurposeMissing, PurposeViolation):
            raise
        except PurposeGuardError as error:
            # The frames of the analysis hold the text of the statement, and the error may be cached.
            error.__context__ = error.__cause__ = None
            self.errors = (*self.errors, error.with_traceback(None))

    def drop_untagged(
        self, used: Mapping[str, tuple[Columns, tuple[str, ...]]]
    ) -> dict[str, tuple[Columns, tuple[str, ...]]]:
        """Return the used columns that carry a tag. An error is collected for each of the others."""
        tagged: dict[str, tuple[Columns, tuple[str, ...]]] = {}
        for table, (columns, names) in used.items():
            for name in names:
                with self.collect():
                    require_tag(columns, name, table)
            tagged[table] = columns, tuple(filter(columns.__contains__, names))
        return tagged


def collect_or_raise(faults: Faults | None) -> AbstractContextManager[None]:
    """Return a block whose errors are collected in `faults`, or raised if it is None."""
    return nullcontext() if faults is None else faults.collect()


class ObservedStatement(NamedTuple):
    """A statement that runs unchanged in observe mode."""

    text: str
    prepared: Any
    """The analyzed statement; None if it cannot be analyzed."""
    errors: tuple[PurposeGuardError, ...]
    """The errors that would be raised in enforce mode, however the statement is decided."""


class ReachableColumns:
    """The personal columns that statements could touch, as far as their texts tell.

    Args:
        tables: The tables with their tags, and the texts of views if it has them.
        untagged: The names of further tables, which have no tags.
    """

    def __init__(self, tables: Mapping[str, Columns], untagged: Iterable[str] = ()) -> None:
        self._by_table: Final[dict[str, Fields]] = dict.fromkeys(untagged, ())
        for table, columns in tables.items():
            fields: list[tuple[str, Any]] = []
            for name, tag in columns.items():
                if tag.is_personal:
                    fields.append((f"{table}.{name}", tag.label))
            self._by_table[table] = tuple(fields)
        self._views: Final[Mapping[str, str]] = getattr(tables, "views", {})
        self.describe = functools.lru_cache(_MAX_DESCRIPTIONS)(self._describe)

    @functools.cached_property
    def all_columns(self) -> Fields:
        """The personal columns of all tables."""
        return self._collect(self._by_table)

    def _describe(self, text: str) -> tuple[str, Fields]:
        """Describe a statement without its text.

        Returns:
            The first word of the statement with the tables that it names, and their personal columns. If it names no
            known table, the personal columns of all tables.
        """
        folded = text.casefold()
        for name, view in self._views.items():
            if _get_last_part(name) in folded:
                folded = f"{folded} {view.casefold()}"
        written = set(_WORD.findall(folded))
        named: list[str] = []
        for table in self._by_table:
            name = _get_last_part(table)
            if name in written or (not name.isidentifier() and name in folded):
                named.append(table)
        first = _WORD.search(folded)
        event = first.group() if first is not None and first.group() in _STATEMENTS else "statement"
        if not named:
            return event, self.all_columns
        return f"{event} of {', '.join(named)}", self._collect(named)

    def _collect(self, tables: Iterable[str]) -> Fields:
        fields: list[tuple[str, Any]] = []
        for table in tables:
            fields += self._by_table[table]
        return tuple(fields)


def _get_last_part(name: str) -> str:
    return name.rpartition(".")[2].casefold()
