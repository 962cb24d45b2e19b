"""Queries made at random: what was not found has no say in a result, and no output is made of what was not told."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import duckdb
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from sqlglot import parse_one

from purposeguard.adapters.sql.lineage import read
from purposeguard.adapters.sql.rows import narrowed
from purposeguard.adapters.sql.tags import Catalogue
from tests.adapters.sql.queries import TABLES, statements

EVERY = {(table, column) for table, columns in TABLES.items() for column in columns}
CATALOGUE = Catalogue(TABLES, "duckdb")
ROWS = 5

seeds = st.integers(0, 30)


@functools.cache
def database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def cell(seed: int, *place: object) -> int | None:
    """A value, the same for the same seed and place: null, or one of a few, so that many are equal."""
    number = hash((seed, *(sum(map(ord, str(one))) * 31 + len(str(one)) for one in place))) % 5
    return None if number == 4 else number


def result(text: str, seed: int, changed: Iterable[tuple[str, str]] = ()) -> list[tuple[Any, ...]]:
    """The rows of a query over tables that come of a seed, the values of some columns being others."""
    others = set(changed)
    connection = database()
    for table, columns in TABLES.items():
        rows = (
            [cell(seed + 1_000 * ((table, column) in others), table, column, n) for column in columns]
            for n in range(ROWS)
        )
        values = ", ".join(f"({', '.join('NULL::int' if one is None else str(one) for one in row)})" for row in rows)
        connection.execute(f"CREATE OR REPLACE TABLE {table} AS FROM (VALUES {values}) AS t ({', '.join(columns)})")
    return connection.execute(text).fetchall()


def ordered(rows: Iterable[object]) -> list[object]:
    return sorted(rows, key=repr)


@given(statements(), seeds)
def test_nothing_depends_on_what_was_not_found(text: str, seed: int):
    note(text)
    used = read(text, CATALOGUE).analysis.used
    found = {(table, column) for table, columns in used.items() for column in columns}
    assert ordered(result(text, seed)) == ordered(result(text, seed, EVERY - found))


@given(statements(guarded=True), seeds)
def test_no_output_is_made_of_what_was_not_told(text: str, seed: int):
    note(text)
    outputs = read(text, CATALOGUE).analysis.outputs
    whole = result(text, seed)
    values = {one for one in EVERY if one[1].startswith("v")}
    for number, flow in enumerate(outputs.values()):
        others = result(text, seed, values - flow)
        assert ordered(row[number] for row in whole) == ordered(row[number] for row in others)


@given(statements(), seeds)
def test_no_output_depends_on_what_was_not_told_of_it(text: str, seed: int):
    note(text)
    analysis = read(text, CATALOGUE).analysis
    assert analysis.columns is not None
    whole = result(text, seed)
    for number, flow in enumerate(analysis.columns):
        others = result(text, seed, EVERY - flow - analysis.conditions)
        assert ordered(row[number] for row in whole) == ordered(row[number] for row in others)


@given(statements(), seeds)
def test_a_narrowed_query_gives_what_it_gives_where_there_are_no_other_rows(text: str, seed: int):
    tests = {"a": "k1 IS DISTINCT FROM 2", "b": "k3 > 0", "c": "v5 IS NULL OR k4 = 1"}
    short = narrowed(read(text, CATALOGUE), CATALOGUE, {table: parse_one(test) for table, test in tests.items()})
    note(short)
    whole = result(short, seed)
    for table, test in tests.items():
        database().execute(f"DELETE FROM {table} WHERE ({test}) IS NOT TRUE")  # noqa: S608  # our own
    assert ordered(whole) == ordered(database().execute(text).fetchall())


@pytest.mark.deep
@settings(max_examples=20_000)
@given(statements(), seeds)
def test_nothing_depends_on_what_was_not_found_in_many_more(text: str, seed: int):
    used = read(text, CATALOGUE).analysis.used
    found = {(table, column) for table, columns in used.items() for column in columns}
    assert ordered(result(text, seed)) == ordered(result(text, seed, EVERY - found)), text


def test_much_of_what_was_found_does_have_a_say():
    """So that the first test would see a miss: over many queries, columns that were found do change results."""
    moved = total = 0

    @settings(max_examples=30, derandomize=True, database=None)
    @given(statements())
    def count(text: str) -> None:
        nonlocal moved, total
        used = read(text, CATALOGUE).analysis.used
        for column in sorted((table, column) for table, columns in used.items() for column in columns):
            total += 1
            moved += any(ordered(result(text, seed)) != ordered(result(text, seed, {column})) for seed in (1, 2, 3))

    count()
    assert moved > total / 4
