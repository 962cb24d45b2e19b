"""Queries made at random: what was not found has no say in a result, and no output is made of what was not told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from sqlglot import parse_one

from purposeguard.adapters.sql.lineage import read_statement
from purposeguard.adapters.sql.rows import narrow_statement
from purposeguard.adapters.sql.tags import Catalog
from tests.adapters.sql.engines import DuckDB, Engine, SQLite
from tests.adapters.sql.queries import TABLES, choosing_statement, statement, statements
from tests.adapters.sql.summary import NAME, Property

EVERY = {(table, column) for table, columns in TABLES.items() for column in columns}
ROWS = 5

seeds = st.integers(0, 30)


def cell(seed: int, *place: object) -> int | None:
    """A value, the same for the same seed and place: null, or one of a few, so that many are equal."""
    number = hash((seed, *(sum(map(ord, str(one))) * 31 + len(str(one)) for one in place))) % 5
    return None if number == 4 else number


class World:
    """The tables on an engine, filled anew for each seed."""

    def __init__(self, engine: Engine) -> None:
        self.dialect = engine.dialect
        self.errors = engine.errors
        self.run = engine.run
        self.catalogue = Catalog(TABLES, engine.dialect)
        self._filled = dict[str, object]()
        for table, columns in TABLES.items():
            engine.run(f"CREATE TEMP TABLE {table} ({', '.join(f'{column} INTEGER' for column in columns)})")

    def result(self, text: str, seed: int, changed: Iterable[tuple[str, str]] = ()) -> list[Any]:
        """The rows of a query over tables that come of a seed, the values of some columns being others."""
        others = set(changed)
        for table, columns in TABLES.items():
            rows = [
                [cell(seed + 1_000 * ((table, column) in others), table, column, n) for column in columns]
                for n in range(ROWS)
            ]
            if self._filled.get(table) != rows:
                values = ", ".join(f"({', '.join('NULL' if one is None else str(one) for one in row)})" for row in rows)
                self.run(f"DELETE FROM {table}")  # noqa: S608  # our own
                self.run(f"INSERT INTO {table} VALUES {values}")  # noqa: S608  # our own
                self._filled[table] = rows
        return ordered(self.run(text))

    def without(self, tests: dict[str, str], text: str) -> list[object]:
        """The rows of a query where rows that do not meet the test of their table are deleted."""
        self._filled.clear()
        for table, test in tests.items():
            self.run(f"DELETE FROM {table} WHERE ({test}) IS NOT TRUE")  # noqa: S608  # our own
        return ordered(self.run(text))

    def found(self, text: str) -> set[tuple[str, str]]:
        """The columns that the statement is found to use."""
        used = read_statement(text, self.catalogue).analysis.used
        return {(table, column) for table, columns in used.items() for column in columns}


@pytest.fixture(scope="module")
def world(kept_engine: Engine) -> World:
    return World(kept_engine)


@pytest.fixture(scope="module")
def duckdb_world() -> World:
    return World(DuckDB())


def ordered(rows: Iterable[object]) -> list[object]:
    return sorted(rows, key=repr)


COUNTS: Final = {"sqlite": 800, "duckdb": 30, "postgres": 200}
"""How many queries an engine is asked in a few seconds."""


def run_statements(world: World, texts: Iterable[str]) -> Iterator[tuple[int, str, list[Any]]]:
    """Run queries over tables that come of their numbers. SQLite alone refuses a few of those with bare columns."""
    refused, count = 0, 0
    for count, text in enumerate(texts, 1):
        try:
            rows = world.result(text, count)
        except world.errors:
            assert world.dialect == "sqlite"
            refused += 1
        else:
            yield count, text, rows
    assert refused < max(count / 8, 4)


def perturbed(world: World, texts: Iterable[str]) -> tuple[int, int]:
    """Columns are changed together, and one by one: those that change a result were found.

    How many of them do, and how many were found.
    """
    moved = total = 0
    for number, text, whole in run_statements(world, texts):
        found = world.found(text)
        assert world.result(text, number, EVERY - found) == whole, text
        for column in sorted(EVERY):
            changes = world.result(text, number, {column}) != whole
            assert column in found or not changes, (column, text)
            moved += changes
        total += len(found)
    return moved, total


def statements_of(world: World, numbers: Iterable[int]) -> Iterator[str]:
    return (statement(number, world.dialect) for number in numbers)


def test_nothing_depends_on_what_was_not_found(world: World, record_property: Property):
    moved, total = perturbed(world, statements_of(world, range(COUNTS[world.dialect])))
    line = f"{moved:>4} columns, each changed alone, change results of queries made at random, and were found"
    record_property(NAME, f"{world.dialect:<10} {line}")
    # So that a miss would be seen.
    assert moved > total / 4


@pytest.mark.deep
def test_nothing_depends_on_what_was_not_found_in_many_more(world: World):
    perturbed(world, statements_of(world, range(1_000, 1_000 + 30 * COUNTS[world.dialect])))


def test_what_chooses_the_row_of_bare_columns_is_found():
    moved, total = perturbed(World(SQLite()), map(choosing_statement, range(400)))
    assert moved > total / 4


@pytest.mark.deep
def test_what_chooses_the_row_of_bare_columns_is_found_in_many_more():
    perturbed(World(SQLite()), map(choosing_statement, range(1_000, 20_000)))


@given(text=statements(guarded=True), seed=seeds)
def test_no_output_is_made_of_what_was_not_told(text: str, seed: int, duckdb_world: World):
    note(text)
    outputs = read_statement(text, duckdb_world.catalogue).analysis.outputs
    whole = duckdb_world.result(text, seed)
    values = {one for one in EVERY if one[1].startswith("v")}
    for number, flow in enumerate(outputs.values()):
        others = duckdb_world.result(text, seed, values - flow)
        assert ordered(row[number] for row in whole) == ordered(row[number] for row in others)


@given(text=statements(), seed=seeds)
def test_no_output_depends_on_what_was_not_told_of_it(text: str, seed: int, duckdb_world: World):
    note(text)
    analysis = read_statement(text, duckdb_world.catalogue).analysis
    assert analysis.columns is not None
    whole = duckdb_world.result(text, seed)
    for number, flow in enumerate(analysis.columns):
        others = duckdb_world.result(text, seed, EVERY - flow - analysis.conditions)
        assert ordered(row[number] for row in whole) == ordered(row[number] for row in others)


def test_a_narrowed_query_gives_what_it_gives_where_there_are_no_other_rows(world: World):
    tests = {"a": "k1 IS DISTINCT FROM 2", "b": "k3 > 0", "c": "v5 IS NULL OR k4 = 1"}
    conditions = {table: parse_one(test, dialect=world.dialect) for table, test in tests.items()}
    fewer, count = 0, COUNTS[world.dialect] // 2
    for number, text, whole in run_statements(world, statements_of(world, range(count))):
        short = narrow_statement(read_statement(text, world.catalogue), world.catalogue, conditions)
        left = world.result(short, number)
        assert left == world.without(tests, text), short
        fewer += left != whole
    assert fewer > count / 4
