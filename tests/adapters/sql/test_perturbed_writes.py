"""Statements that write, run on each engine while one column at a time has other values.

A column that changes what comes back, or what is written, was found to be used, or to flow there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from purposeguard.adapters.sql.lineage import Analysis, StatementChange, read_statement
from purposeguard.adapters.sql.tags import Catalog
from purposeguard.errors import UnresolvedStatement
from tests.adapters.sql.engines import Engine

Column = tuple[str, str]

TABLES: Final = {"jobs": ["id", "k", "v", "w"], "other": ["id", "k", "v"]}
ROWS: Final[dict[str, list[tuple[Any, ...]]]] = {
    "jobs": [(1, 10, 5, 3), (2, 20, 6, 2), (3, 30, 7, 1), (4, 40, None, 0)],
    "other": [(1, 10, 9), (2, 50, 8), (5, 20, 7)],
}
OTHERS: Final[dict[str, list[tuple[Any, ...]]]] = {
    "id": [(4, 3, 2, 1), (9, 8, 7, 6)],
    "k": [(20, 10, 40, 30), (50, 60, 70, 80)],
    "v": [(7, 6, 5, 9), (None, 1, 2, 3)],
    "w": [(0, 1, 2, 3), (8, None, 9, 7)],
}
"""By column, values that take the place of its own."""

UPSERT: Final = "INSERT INTO jobs (id, k, v) VALUES (9, 20, 4)"
UPSERTS: Final = [
    f"{UPSERT} ON CONFLICT (k) DO NOTHING RETURNING id",
    f"{UPSERT} ON CONFLICT DO NOTHING RETURNING id, v",
    f"{UPSERT} ON CONFLICT (k) DO UPDATE SET v = excluded.v RETURNING id",
    f"{UPSERT} ON CONFLICT (k) DO UPDATE SET w = jobs.v + 1",
    f"{UPSERT} ON CONFLICT (k) DO UPDATE SET w = excluded.v + 1 WHERE jobs.v > 5 RETURNING w",
    "INSERT INTO jobs (id, k, v) VALUES (9, (SELECT min(k) FROM other), 4) ON CONFLICT (k) DO UPDATE SET w = 1",
    "INSERT INTO jobs (id, k) SELECT id + 10, k FROM other WHERE v > 7 ON CONFLICT (k) DO NOTHING",
    "INSERT INTO jobs (id, k) SELECT id + 10, k FROM other WHERE v > 7 ON CONFLICT (k) DO UPDATE SET w = excluded.id",
]
CHANGES: Final = [
    """WITH taken AS (DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE v > 4 ORDER BY w LIMIT 2 FOR UPDATE
      SKIP LOCKED) RETURNING id, k) SELECT k FROM taken""",
    "WITH taken AS (DELETE FROM jobs WHERE v > 5 RETURNING *) SELECT count(*) FROM taken",
    "WITH taken AS (DELETE FROM jobs USING other WHERE jobs.k = other.k RETURNING other.v AS o) SELECT o FROM taken",
    "WITH moved AS (DELETE FROM jobs WHERE v > 5 RETURNING id, w) INSERT INTO other (id, v) SELECT id, w FROM moved",
    "WITH done AS (UPDATE jobs SET w = v + 1 WHERE k > 15 RETURNING id) SELECT id FROM done",
    """WITH few AS (SELECT id FROM other WHERE v > 7), done AS (UPDATE jobs SET w = 0 FROM few WHERE jobs.id = few.id
      RETURNING jobs.k) SELECT k FROM done""",
    f"WITH new AS ({UPSERT} ON CONFLICT (k) DO UPDATE SET w = jobs.v RETURNING w) SELECT w FROM new",  # noqa: S608
    "WITH new AS (INSERT INTO other (id, v) SELECT id, v FROM jobs WHERE w > 1 RETURNING v) SELECT max(v) FROM new",
    "WITH gone AS (DELETE FROM jobs WHERE v > 5) SELECT k FROM other",
    "WITH gone AS (DELETE FROM jobs WHERE v > 5 RETURNING k) UPDATE other SET v = 0 WHERE k IN (SELECT k FROM gone)",
    """WITH gone AS (DELETE FROM jobs WHERE v > 5 RETURNING k), every AS (SELECT k FROM gone UNION SELECT 50)
      DELETE FROM other WHERE k IN (SELECT k FROM every WHERE k > 15) RETURNING id""",
]


def run_statement(
    engine: Engine, text: str, changed: Column = ("", ""), values: tuple[Any, ...] = ()
) -> dict[str | Column, list[Any]]:
    """Return what a statement returns, and by column what is in the tables afterwards."""
    for table, names in TABLES.items():
        engine.run(f"DELETE FROM {table}")  # noqa: S608  # our own
        for number, row in enumerate(ROWS[table]):
            cells = list(row)
            if table == changed[0]:
                cells[names.index(changed[1])] = values[number]
            engine.run(f"INSERT INTO {table} VALUES ({', '.join('?' * len(cells))})", *cells)  # noqa: S608  # our own
    after: dict[str | Column, list[Any]] = {"returned": sorted(engine.run(text), key=repr)}
    for table, names in TABLES.items():
        for name in names:
            after[table, name] = sorted(engine.run(f"SELECT {name} FROM {table}"), key=repr)  # noqa: S608  # our own
    return after


@pytest.fixture
def filled(engine: Engine) -> Engine:
    for table, names in TABLES.items():
        kinds = ("INTEGER UNIQUE" if (table, name) == ("jobs", "k") else "INTEGER" for name in names)
        listed = ", ".join(f"{name} {kind}" for name, kind in zip(names, kinds, strict=True))
        engine.run(f"CREATE TEMP TABLE {table} ({listed})")
    return engine


def find_dependencies(engine: Engine, text: str) -> Iterator[tuple[Column, str | Column]]:
    """Yield columns, each with a place that has other values where the column has."""
    whole = run_statement(engine, text)
    for table, names in TABLES.items():
        for name in names:
            for values in OTHERS[name]:
                after = run_statement(engine, text, (table, name), values)
                for place in after:
                    if after[place] != whole[place] and place != (table, name):
                        yield (table, name), place


def check_dependencies(engine: Engine, text: str) -> None:
    analysis = read_statement(text, Catalog(TABLES, engine.dialect)).analysis
    used = {(table, column) for table, columns in analysis.used.items() for column in columns}
    chosen_by: dict[str, set[Column]] = {table: set() for table in TABLES}
    made_of: dict[Column, set[Column]] = {(table, name): set() for table, names in TABLES.items() for name in names}
    changes: list[Analysis | StatementChange] = [analysis, *analysis.changes]
    for change in changes:
        if change.target is not None:
            chosen_by[change.target] |= change.conditions
            for column, flow in change.writes.items():
                made_of[change.target, column] |= flow
    dependencies = list(find_dependencies(engine, text))
    assert dependencies  # So that a miss would be seen.
    for dependency, place in dependencies:
        if isinstance(place, str):
            assert dependency in used
        else:
            assert dependency in chosen_by[place[0]] | made_of[place]


@pytest.mark.parametrize("text", UPSERTS, ids=range(len(UPSERTS)))
def test_what_finds_a_row_that_is_there_already_is_found(filled: Engine, text: str):
    check_dependencies(filled, text)


@pytest.mark.parametrize("text", CHANGES, ids=range(len(CHANGES)))
def test_what_common_tables_change_is_found(filled: Engine, text: str):
    if filled.dialect == "postgres":
        check_dependencies(filled, text)
        return
    with pytest.raises(filled.errors):  # The other engines have no such common tables.
        filled.run(text)
    with pytest.raises(UnresolvedStatement):
        read_statement(text, Catalog(TABLES, filled.dialect))


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
@pytest.mark.parametrize("write", ["DELETE FROM jobs WHERE v > 5", "UPDATE jobs SET w = 0 WHERE v > 5"])
def test_a_common_table_is_not_taken_for_the_table_that_is_written_to(dialect: str, write: str):
    text = f"WITH jobs AS (SELECT 1 AS v, 2 AS w) {write}"
    with pytest.raises(UnresolvedStatement, match="names a common table"):
        read_statement(text, Catalog(TABLES, dialect))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT k FROM (WITH gone AS (DELETE FROM jobs RETURNING k) SELECT k FROM gone) AS q",
        "SELECT k FROM other WHERE k IN (WITH gone AS (DELETE FROM jobs RETURNING k) SELECT k FROM gone)",
        "WITH outermost AS (WITH gone AS (DELETE FROM jobs RETURNING k) SELECT k FROM gone) SELECT k FROM outermost",
    ],
    ids=range(3),
)
def test_a_common_table_within_a_query_changes_nothing(text: str):
    with pytest.raises(UnresolvedStatement, match="stands before the whole statement"):
        read_statement(text, Catalog(TABLES, "postgres"))
