"""The 22 queries of TPC-H and the 99 of TPC-DS: every column that they read is found.

Two other ways tell what is read: the columns that DuckDB itself scans, and its results where the values of all columns
that were not found are lost.
"""

from __future__ import annotations

import functools

import pytest
from sqlglot import parse_one

from purposeguard.adapters.sql.lineage import Analysis, read
from purposeguard.adapters.sql.rows import narrowed
from tests.adapters.sql.tpc import NUMBERS, SUITES, Column, Suite

SMALL = 0.01
LARGER = 0.1
QUICK = [one for one in NUMBERS if one[0] == "tpch" or one[1] % 4 == 0]


@functools.cache
def suite_of(name: str, scale: float) -> Suite:
    return Suite(name, scale)


def analysed(suite: Suite, number: int) -> Analysis:
    return read(suite.queries[number], suite.catalogue).analysis


def found(suite: Suite, number: int) -> set[Column]:
    return {(table, column) for table, columns in analysed(suite, number).used.items() for column in columns}


@pytest.mark.parametrize("name", SUITES)
def test_all_queries_are_there(name: str):
    assert len(suite_of(name, 0).queries) == SUITES[name][1]


@pytest.mark.parametrize("name", SUITES)
def test_the_columns_that_are_found_are_those_that_duckdb_scans(name: str):
    suite = suite_of(name, 0)
    differ = {number for number in suite.queries if found(suite, number) != suite.scanned(suite.queries[number])}
    assert not differ


@pytest.mark.parametrize("name", SUITES)
def test_the_outputs_are_those_that_duckdb_gives(name: str):
    suite = suite_of(name, 0)
    for number, text in suite.queries.items():
        given = [column[0] for column in suite.connection.execute(text).description]
        outputs = list(analysed(suite, number).outputs)
        # DuckDB makes up a name where none is given.
        assert [one for one in outputs if not one.startswith("#")] == [
            one for one, our in zip(dict.fromkeys(given), outputs, strict=True) if not our.startswith("#")
        ]


def unmoved(suite: Suite, number: int) -> None:
    """The result of a query is the same where the values of all columns that were not found are lost."""
    every = {(table, column) for table, columns in suite.tables.items() for column in columns}
    text = suite.queries[number]
    assert suite.result(text) == suite.result_without(text, every - found(suite, number))


@pytest.mark.parametrize(("name", "number"), NUMBERS, ids=str)
def test_nothing_depends_on_what_was_not_found(name: str, number: int):
    unmoved(suite_of(name, SMALL), number)


@pytest.mark.deep
@pytest.mark.parametrize(("name", "number"), NUMBERS, ids=str)
def test_nothing_depends_on_what_was_not_found_in_larger_tables(name: str, number: int):
    unmoved(suite_of(name, LARGER), number)


def test_the_results_do_depend_on_what_was_found():
    """So that the tests above would see a miss: with the values of one column lost, most results are others."""
    suite = suite_of("tpch", SMALL)
    moved = total = 0
    for number in (1, 3, 5, 10, 12):
        text = suite.queries[number]
        whole = suite.result(text)
        for column in found(suite, number):
            total += 1
            moved += suite.result_without(text, {column}) != whole
    assert moved > 0.9 * total


def same_when_narrowed(name: str, number: int) -> None:
    """A query narrowed to all rows of every table is the same query: it reads the same, and gives the same."""
    suite = suite_of(name, SMALL)
    query = read(suite.queries[number], suite.catalogue)
    every_row = parse_one("1 = 1")
    text = narrowed(query, suite.catalogue, dict.fromkeys(suite.tables, every_row))
    assert text.count("1 = 1") >= len(query.mentions)
    again = read(text, suite.catalogue).analysis
    assert again.used == query.analysis.used
    assert list(again.outputs.values()) == list(query.analysis.outputs.values())
    assert suite.result(text) == suite.result(suite.queries[number])


@pytest.mark.parametrize(("name", "number"), QUICK, ids=str)
def test_narrowed_to_all_rows_a_query_is_the_same(name: str, number: int):
    same_when_narrowed(name, number)


@pytest.mark.deep
@pytest.mark.parametrize(("name", "number"), [one for one in NUMBERS if one not in QUICK], ids=str)
def test_narrowed_to_all_rows_other_queries_are_the_same(name: str, number: int):
    same_when_narrowed(name, number)
