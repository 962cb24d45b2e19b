"""The 22 queries of TPC-H and the 99 of TPC-DS: every column that they read is found.

Two other ways tell what is read: the columns that DuckDB itself scans, and its results where the values of all columns
that were not found are lost.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable

import pytest
from sqlglot import parse_one

from purposeguard.adapters.sql.lineage import Analysis, read_statement
from purposeguard.adapters.sql.rows import narrow_statement
from purposeguard.adapters.sql.scopes import DIALECTS
from purposeguard.adapters.sql.tags import Catalog
from purposeguard.errors import UnresolvedStatement
from tests.adapters.sql.engines import DuckDB, Engine
from tests.adapters.sql.summary import NAME, Property
from tests.adapters.sql.tpc import NUMBERS, SUITES, Column, Copy, Suite

TINY = 0.001
SMALL = 0.01
LARGER = 0.1
QUICK = [one for one in NUMBERS if one[0] == "tpch" or one[1] % 4 == 0]


@functools.cache
def suite_of(name: str, scale: float) -> Suite:
    return Suite(name, scale)


def analysed(suite: Suite, number: int) -> Analysis:
    return read_statement(suite.queries[number], suite.catalogue).analysis


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


SLOW = {("sqlite", 19), ("sqlite", 21), ("postgres", 20)}
"""Queries of TPC-H for which an engine finds no way but to try all pairs of rows."""


def perturbed(suite: Suite, engine: Engine, numbers: Iterable[int], record: Property) -> tuple[int, int, int]:
    """Loses single columns of the tables that queries name: those that change a result were found, one by one.

    How many queries ran, how many of the columns that were found change the result, and how many were found.
    """
    copy = Copy(suite, engine)
    catalogue = Catalog(suite.tables, engine.dialect)
    ran = moved = total = 0
    for number in numbers:
        text = suite.written(number, engine.dialect)
        try:
            whole = copy.result(text)
        except engine.errors:  # it does not know what the parser writes
            continue
        ran += 1
        used = read_statement(text, catalogue).analysis.used
        for table in (name for name in suite.tables if re.search(rf"\b{name}\b", text)):
            for column in suite.tables[table]:
                with copy.without(table, column):
                    changes = copy.result(text) != whole
                found = column in used.get(table, ())
                assert found or not changes, (number, table, column)
                total += found
                moved += changes
    name = "TPC-H" if "lineitem" in suite.tables else "TPC-DS"
    record(NAME, f"{engine.dialect:<10} {moved:>4} columns, each lost alone, change results of {name}, and were found")
    return ran, moved, total


def test_a_column_that_changes_a_result_is_found_on_each_engine(engine: Engine, record_property: Property):
    numbers = [number for name, number in NUMBERS if name == "tpch" and (engine.dialect, number) not in SLOW]
    suite = suite_of("tpch", TINY)
    ran, moved, total = perturbed(suite, engine, numbers, record_property)
    assert ran >= (16 if engine.dialect == "sqlite" else len(numbers))
    assert moved > total / 3


def test_a_column_that_changes_a_result_of_many_tables_is_found(record_property: Property):
    numbers = (18, 36)
    ran, moved, total = perturbed(suite_of("tpcds", SMALL), DuckDB(), numbers, record_property)
    assert ran == len(numbers)
    assert moved > total / 3


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_queries_are_read_in_each_dialect(dialect: str, record_property: Property):
    refused = Counter[str]()
    for name, number in NUMBERS:
        suite = suite_of(name, 0)
        try:
            read_statement(suite.written(number, dialect), Catalog(suite.tables, dialect))
        except UnresolvedStatement as error:
            refused[re.sub("`.*?`", "…", error.why)] += 1
    reasons = "".join(f"; {count} refused: {why}" for why, count in refused.most_common())
    read_ = len(NUMBERS) - refused.total()
    record_property(
        NAME, f"{dialect:<10} {read_:>4} of {len(NUMBERS)} statements of TPC-H and TPC-DS are read{reasons}"
    )
    assert read_ > 0.95 * len(NUMBERS)


def same_when_narrowed(name: str, number: int) -> None:
    """A query narrowed to all rows of every table is the same query: it reads the same, and gives the same."""
    suite = suite_of(name, SMALL)
    query = read_statement(suite.queries[number], suite.catalogue)
    every_row = parse_one("1 = 1")
    text = narrow_statement(query, suite.catalogue, dict.fromkeys(suite.tables, every_row))
    assert text.count("1 = 1") >= len(query.mentions)
    again = read_statement(text, suite.catalogue).analysis
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
