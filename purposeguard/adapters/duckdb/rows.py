"""Rows of a guarded connection to DuckDB: the tests for those that may be used, put into the text of a statement."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import pyarrow as pa
from sqlglot import exp

from purposeguard.adapters import duckdb_rows as frames
from purposeguard.adapters import row_values as values
from purposeguard.adapters.rowrule import KeySet, RowRule, clause_meant, rendered
from purposeguard.adapters.sql.analysis import Read
from purposeguard.adapters.sql.catalogue import Catalogue
from purposeguard.adapters.sql.narrowing import narrowed
from purposeguard.errors import PurposeGuardError, UnknownSource, UnlabelledData, UnresolvedStatement
from purposeguard.notice.notice import Notice

Types = Mapping[str, Any]
"""The types of a table's columns, as DuckDB has them."""


class Narrowed(NamedTuple):
    """A statement that reads of some tables certain rows alone: `holes` are the places for their tests, by table."""

    text: str
    holes: Mapping[str, str]


def with_holes(found: Read, catalogue: Catalogue, tables: Iterable[str]) -> Narrowed:
    """A statement in which each of these tables is replaced by rows of it, the test for which is put in later.

    Raises:
        UnresolvedStatement: rows cannot be left out of it.
    """
    token = secrets.token_hex(8)  # so that nothing in the statement is taken for a place of ours
    holes = {table: f"purposeguard_{token}_{number}_" for number, table in enumerate(tables)}
    tests: dict[str, exp.Expr] = {table: exp.var(hole) for table, hole in holes.items()}
    text = narrowed(found, catalogue, tests)
    lost = next((table for table, hole in holes.items() if hole not in text), None)
    if lost is not None:
        raise UnresolvedStatement(f"rows of `{lost}` cannot be left out of the statement")
    return Narrowed(text, holes)


class Ready(NamedTuple):
    """A statement to be run: its text, the tables of keys that it asks, by name, and what errors of its tests mean."""

    text: str
    keys: Mapping[str, pa.Table]
    meaning: Meaning | None


def with_tests(
    statement: Narrowed,
    rules: Mapping[str, RowRule | None],
    types: Mapping[str, Types],
    spelled: Mapping[str, Iterable[str]],
) -> Ready:
    """The statement, each hole filled with the test of its table. `spelled`: rare spellings of sources, by table."""
    text = statement.text
    keys: dict[str, pa.Table] = {}
    meaning = Meaning()
    for table, hole in statement.holes.items():
        rule = rules.get(table)
        if rule is None:
            test = "true"
        else:
            words = _Words(rule, types[table], f"{hole}keys", meaning)
            words.learn(spelled.get(table, ()))
            test = rendered(rule, words)
            held = words.keys()
            if held is not None:
                keys[f"{hole}keys"] = held
        text = text.replace(hole, f"({test})")
    return Ready(text, keys, meaning)


def readable(notice: Notice, texts: Iterable[object]) -> list[str]:
    """Those of these texts that the notice reads as sources."""
    found: list[str] = []
    for text in texts:
        if isinstance(text, str):
            with contextlib.suppress(UnknownSource):
                clause_meant(notice, text)
                found.append(text)
    return found


class Meaning:
    """What an error of DuckDB means that a test ended in; of other errors nothing is known here."""

    def __init__(self) -> None:
        self.mark: Final = f"purposeguard {secrets.token_hex(8)} "
        self._told: Final[list[UnlabelledData]] = []
        self._notice: Notice | None = None

    def learn(self, rule: RowRule) -> None:
        """The errors that this rule's test may end in."""
        self._notice = rule.notice
        if rule.source is not None:
            self._told.append(values.no_source(rule.source))
        self._told.extend(values.blank_subject(column) for column, _ in rule.subjects)

    def of(self, text: str) -> PurposeGuardError | None:
        """What an error of this text means; None where it is no error of a test."""
        for error in self._told:
            if str(error) in text:
                return error
        _, ours, rest = text.partition(f"{self.mark}unknown source `")
        if not ours or self._notice is None:
            return None
        given = rest.partition(f"`: {self._notice.id} has no such one")[0]
        return UnknownSource(given, f"a row names it, and {self._notice.id} has no such one")


class _Words(frames.Words):
    """The words of DuckDB, with a table of keys of its own for each table, and errors that are known again."""

    def __init__(self, rule: RowRule, types: Types, called: str, meaning: Meaning) -> None:
        super().__init__(rule, types)
        self._called: Final = called
        self._mark: Final = meaning.mark
        meaning.learn(rule)

    def learn(self, spelled: Iterable[str]) -> None:
        """Reads more spellings of sources, which the notice does."""
        self._spellings.learn(self._rule.source or "", spelled)

    def _refusal(self, column: str) -> str:
        # An unknown source is told by name. With the mark, no statement can make another text be taken for one.
        return (
            super()._refusal(column).replace("'unknown source `'", frames.literal(f"{self._mark}unknown source `"), 1)
        )

    def _in(self, here: str, keys: KeySet, form: str) -> str:
        text = super()._in(here, keys, form)
        before, ours, after = text.rpartition(f" FROM {frames.KEYS} WHERE ")
        if not ours or len(getattr(keys, form)) <= values.FEW:
            return text
        return f"{before} FROM {frames.name(self._called)} WHERE {after}"
