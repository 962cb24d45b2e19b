"""No label misses a source: models made of one another, run on DuckDB with one column of a seed changed at a time."""

from __future__ import annotations

import random

import duckdb
import pytest

pytestmark = pytest.mark.faults

SOURCES = {
    "raw_customers": {"id": "1.1(a)", "email": "1.1(b)", "first_name": "1.1(c)", "last_name": "2.1(a)"},
    "raw_orders": {"id": "2.1(b)", "user_id": "2.1(c)", "order_date": "2.3", "status": "3.1(a)", "amount": "3.1(b)"},
}
QUERIES = (
    "select C1 as x, C2 as y from T where C3 > 2",
    "with a as (select * from T), b as (select C1 as x, C2 as y from a where C3 <> 1) select * from b",
    "select C1 as x, count(*) as y from T group by C1", "select C1 as x, sum(C2) over (partition by C3) as y from T",
    "select a.C1 as x, b.D1 as y from T a left join U b on a.C2 = b.D2",
    "select C1 as x, C2 as y from T union all select D1, D2 from U",
    "select C1 as x, C2 as y from T except select D1, D2 from U",
    "select C1 as x, (select count(*) from U) as y from T",
    "select C1 as x, 1 as y from T where exists (select 1 from U u where u.D1 = 2)",
    "select count(*) as x, 3 as y from T", "select 1 as x, 2 as y from T, U", "select distinct C1 as x, 2 as y from T",
    "select C1 as x, C2 as y from T order by C3, C1, C2 limit 2",
    "select case when C1 > 2 then C2 else C3 end as x, 5 as y from T",
    "select C1 as x, C2 as y from T qualify row_number() over (order by C3, C1, C2) <= 2",
    "select a.C1 as x, 2 as y from T a anti join U b on a.C2 = b.D1",
)  # fmt: skip


def results(rows, models):
    """By model and column, the values of it."""
    with duckdb.connect() as database:
        for table, columns in SOURCES.items():
            database.execute(f"CREATE TABLE {table} ({', '.join(f'{column} int' for column in columns)})")
            database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", rows[table])  # noqa: S608  # names of this test
        values = {}
        for name, query in models.items():
            database.execute(f"CREATE TABLE {name} AS {query}")
            for column in "xy":
                found = database.execute(f"SELECT {column} FROM {name} ORDER BY ALL").fetchall()  # noqa: S608  # likewise
                values[name, column] = found
        return values


@pytest.mark.parametrize("seed", range(12))
def test_what_changes_a_column_is_in_its_label(seeds, seed):
    chance = random.Random(seed)
    seeds.catalog, seeds.manifest["sources"] = None, {}
    for table, columns in SOURCES.items():
        seeds[table].update(meta={}, config={"materialized": "seed"})
        for column, tag in columns.items():
            seeds.tag(table, column, tag)
    known = {table: list(columns) for table, columns in SOURCES.items()}
    models = {}
    for number in range(4):
        of, other = chance.choice(list(known)), chance.choice(list(known))
        query = chance.choice(QUERIES)
        for place in ("C1", "C2", "C3", "D1", "D2"):
            query = query.replace(place, chance.choice(known[of if place[0] == "C" else other]))
        words = query.split(" ")
        tables = {"T": of, "U": other}
        name = f"m{number}"
        models[name] = " ".join(_put(word, tables) for word in words)
        seeds.model(
            name, " ".join(_put(word, {key: f"{{{table}}}" for key, table in tables.items()}) for word in words)
        )
        known[name] = ["x", "y"]
    assert seeds.found() == []
    labels = {(name, column): label for name in models for column, label in seeds.labels(name).items()}
    rows = {table: [[chance.randint(0, 4) for _ in columns] for _ in range(5)] for table, columns in SOURCES.items()}
    before = results(rows, models)
    for table, columns in SOURCES.items():
        for index, tag in enumerate(columns.values()):
            changed = {**rows, table: [[*row[:index], chance.randint(0, 4), *row[index + 1 :]] for row in rows[table]]}
            after = results(changed, models)
            missed = [key for key, value in before.items() if after[key] != value and tag not in labels[key]]
            assert not missed, (tag, models)


def _put(word, tables):
    """A word of a query with the name of a table in its place."""
    bare = word.rstrip("),")
    return tables.get(bare, bare) + word[len(bare) :]
