"""Texts with words changed, lost and put in at random: where DuckDB runs one, nothing depends on what was not found.

So the parser is asked about texts that nobody would write, and that it may take for something else than DuckDB does.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any, Final

import duckdb
import pytest
from sqlglot.dialects.dialect import Dialect

from purposeguard import PurposeGuardError
from purposeguard.adapters.sql.lineage import read_statement
from purposeguard.adapters.sql.tags import Catalog
from tests.adapters.sql.shop import TABLES
from tests.adapters.sql.test_escapes import SEEN
from tests.adapters.sql.test_reads import EVERYWHERE, OF_A_DIALECT

TYPES: Final = {
    "customer": {"id": "INT", "email": "TEXT", "name": "TEXT", "device": "TEXT"},
    "orders": {"id": "INT", "customer": "INT", "total": "INT", "day": "DATE", "items": "INT[]"},
    "mailing": {"address": "TEXT", "kind": "INT", "id": "INT"},
}
ROWS: Final = """
INSERT INTO customer VALUES (1, 'a', 'b', 'x'), (2, 'd', 'e', 'f'), (3, 'a', 'b', 'x'), (4, NULL, '4', NULL);
INSERT INTO orders VALUES (1, 1, 5, '2020-01-01', [1, 2]), (2, 1, 6, '2020-01-02', []), (3, 2, 7, NULL, NULL);
INSERT INTO mailing VALUES ('a', 1, 1), ('q', 2, 3), (NULL, 3, 3);
"""
WORDS: Final = """
COLUMNS(*) * count(*) c.* t.* EXISTS ALL DISTINCT ORDER BY LATERAL USING (id) NATURAL SEMI ANTI JOIN ON OVER ( ) , .
PARTITION UNION INTERSECT EXCEPT FILTER QUALIFY GROUPING SETS CUBE ROLLUP VALUES EXCLUDE REPLACE -> :: [ ] { } : = ||
date_trunc upper( struct_pack( list_transform( x SELECT AS lower( 'email' "email" email email NOT IN LIKE CASE WHEN THEN
ELSE END date interval year extract( ASOF POSITIONAL LIMIT OFFSET HAVING WHERE FROM WITH PIVOT UNPIVOT FOR
row( hash( unnest( customer orders mailing recent c t id name total (SELECT max(email) 1 2 NULL IS
""".split()  # noqa: SIM905  # it reads as what it is
WANDERING: Final = re.compile(r"(?i)\b(now|sample|random|tablesample|uuid|current_\w+|recursive|generate_series)\b")
"""What has another result each time, or may have no end."""

BASE: Final = [
    *(text for text, _ in EVERYWHERE),
    *(text for dialect, text, _ in OF_A_DIALECT if dialect in {"duckdb", "postgres"}),
    *(text for dialect, text in SEEN if dialect in {"duckdb", "postgres"} and text.startswith(("SELECT", "FROM"))),
]


def texts(seed: int, count: int) -> Iterator[str]:
    """Texts, each one of those above with up to four words changed."""
    chance = random.Random(seed)
    tokenize = Dialect.get_or_raise("duckdb").tokenize
    given = [[text[token.start : token.end + 1] for token in tokenize(text)] for text in BASE]
    pool = [*WORDS, *(word for words in given for word in words)]
    for _ in range(count):
        words = list(chance.choice(given))
        for _ in range(chance.choice([1, 1, 2, 2, 3, 4])):
            place = chance.randrange(len(words))
            what = chance.random()
            if what < 0.4:
                words[place] = chance.choice(pool)
            elif what < 0.6 and len(words) > 1:
                del words[place]
            else:
                words.insert(place, chance.choice(pool))
        text = " ".join(words)
        if not WANDERING.search(text):
            yield text


class World:
    """The shop in DuckDB, as it is and with the values of columns lost."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(config={"threads": 1})
        for table, columns in TYPES.items():
            listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            self.connection.execute(f"CREATE TABLE {table} ({listed})")
        self.connection.execute(ROWS)
        self.connection.execute(f"CREATE VIEW recent AS {TABLES['recent']}")
        self.catalogue = Catalog(TABLES, "duckdb")

    def rows(self, text: str) -> list[Any] | None:
        """The result, in an order of its own; None where DuckDB does not run it."""
        try:
            return sorted(self.connection.execute(text).fetchall(), key=repr)
        except duckdb.Error:
            return None

    def rows_without(self, text: str, used: set[tuple[str, str]]) -> list[Any] | None:
        """The same where the values of all columns but these are lost."""
        self.connection.execute("CREATE SCHEMA lost; SET search_path = 'lost'")
        try:
            for table, columns in TYPES.items():
                items = (name if (table, name) in used else f"NULL::{kind} AS {name}" for name, kind in columns.items())
                view = f"CREATE VIEW {table} AS SELECT {', '.join(items)} FROM main.{table}"  # noqa: S608  # our names
                self.connection.execute(view)
            self.connection.execute(f"CREATE VIEW recent AS {TABLES['recent']}")
            return self.rows(text)
        finally:
            self.connection.execute("SET search_path = 'main'; DROP SCHEMA lost CASCADE")


def moved(seed: int, count: int) -> tuple[int, list[str]]:
    """How many texts DuckDB runs, and those whose result depends on what was not found."""
    world = World()
    ran, wrong = 0, []
    for text in texts(seed, count):
        whole = world.rows(text) if text.startswith(("SELECT", "FROM", "WITH", "(", "VALUES")) else None
        if whole is None:
            continue
        ran += 1
        try:
            used = read_statement(text, world.catalogue).analysis.used
        except PurposeGuardError:
            continue
        found = {(table, column) for table, columns in used.items() for column in columns}
        if world.rows_without(text, found) != whole:
            wrong.append(text)
    return ran, wrong


def test_a_changed_text_depends_on_nothing_that_was_not_found():
    ran, wrong = moved(20251125, 3_000)
    assert not wrong
    assert ran > 50


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(10))
def test_many_changed_texts_depend_on_nothing_that_was_not_found(seed: int):
    _, wrong = moved(seed, 20_000)
    assert not wrong
