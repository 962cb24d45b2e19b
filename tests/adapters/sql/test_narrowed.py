"""Narrowed statements, run in DuckDB, SQLite and PostgreSQL: the rows that may be used, or a failure; never others."""

from __future__ import annotations

import contextlib
import datetime
import sqlite3
from typing import Any

import pytest
from sqlglot import exp, parse_one

from purposeguard import ByRow, Guard, NotPersonal, RowSource, Subject
from purposeguard.adapters.row_rule import KeySet, RowRule
from purposeguard.adapters.sql import Statements
from purposeguard.adapters.sql.conditions import SqlConditions
from purposeguard.adapters.sql.lineage import read_statement
from purposeguard.adapters.sql.rows import narrow_statement
from purposeguard.adapters.sql.scopes import DIALECTS, NameRules
from purposeguard.adapters.sql.tags import Catalog, Tables
from purposeguard.errors import PurposeGuardError, UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import SubjectPreferences
from tests.adapters.sql.engines import DuckDB, Engine
from tests.oversights import STOPPED, Told

RENEWAL = tm.RenewalGuidance

TABLES = {
    "crm": {"id": (Subject, NotPersonal), "mail": (ByRow, NotPersonal), "origin": RowSource},
    "plain": {"id": NotPersonal, "name": tm.Registration},
}
VIEWS = {"mails": "SELECT mail, id FROM crm WHERE id > 0"}


def filled(engine: Engine, *rows: tuple[Any, ...], kind: str = "INTEGER") -> None:
    engine.run(f"CREATE TEMP TABLE crm (id {kind}, mail TEXT, origin TEXT, hidden TEXT)")
    for row in rows:
        engine.run("INSERT INTO crm VALUES (?, ?, ?, 'x')", *row)


def shop(engine: Engine, all_preferences: dict[str, SubjectPreferences] | None = None) -> tuple[Guard, Statements]:
    guard = Guard(tm.NOTICE, governance=Told(all_preferences))
    return guard, Statements(guard, Tables(tm.NOTICE, TABLES, VIEWS), dialect=engine.dialect)


def narrow(engine: Engine, text: str, all_preferences: dict[str, SubjectPreferences] | None = None) -> str:
    guard, statements = shop(engine, all_preferences)
    with guard.purpose(RENEWAL):
        return statements.narrowed(text)


ROWS = [(1, "a", "1.1(a)"), (2, "b", "2.1"), (3, "c", "Contract"), (4, "d", "1.1a")]


PIVOTS = [
    "SELECT * FROM crm PIVOT (max(mail) FOR id IN (1, 2, 3))",
    "SELECT * FROM crm AS c PIVOT (count(mail) AS n FOR origin IN ('1.1(a)', '2.1')) AS p",
    "SELECT * FROM (SELECT mail, id FROM crm) PIVOT (max(mail) FOR id IN (1, 2))",
    "SELECT * FROM mails PIVOT (max(mail) FOR id IN (1, 2, 3))",
    "SELECT * FROM (PIVOT crm ON id IN (1, 2, 3) USING max(mail))",
    "SELECT n, v FROM crm UNPIVOT (v FOR n IN (mail, origin))",
]


@pytest.mark.parametrize("text", PIVOTS, ids=range(len(PIVOTS)))
def test_a_pivot_is_made_of_the_rows_that_may_be_used(text: str):
    engine = DuckDB()
    with contextlib.closing(engine.connection):
        filled(engine, *ROWS)
        engine.run("ALTER TABLE crm DROP COLUMN hidden")
        engine.run(f"CREATE TEMP VIEW mails AS {VIEWS['mails']}")
        kept, whole = engine.run(narrow(engine, text)), engine.run(text)
        engine.run("DELETE FROM crm WHERE origin = '2.1'")
        assert sorted(kept, key=repr) == sorted(engine.run(text), key=repr)
        assert sorted(kept, key=repr) != sorted(whole, key=repr)


def test_columns_that_were_not_told_are_out_of_reach(engine: Engine):
    filled(engine, *ROWS)
    assert len(engine.run(narrow(engine, "SELECT * FROM crm"))[0]) == 3


def test_a_row_that_names_no_source_or_an_unknown_one_makes_the_query_fail(engine: Engine):
    for origin, named in ((None, "none"), ("nonsense", "nonsense")):
        filled(engine, *ROWS, (5, "e", origin))
        with pytest.raises(engine.errors) as caught:
            engine.run(narrow(engine, "SELECT mail FROM crm"))
        # SQLite has no word for an error that says why.
        assert engine.dialect == "sqlite" or named in str(caught.value)
        engine.run("DROP TABLE crm")


def test_ids_that_are_neither_whole_numbers_nor_texts_make_the_query_fail(engine: Engine):
    filled(engine, (7.0, "a", "1.1(a)"), kind="REAL")
    with pytest.raises(engine.errors):
        engine.run(narrow(engine, "SELECT mail FROM crm", {"7": STOPPED}))


def test_of_a_table_that_is_changed_the_other_rows_are_left_alone(engine: Engine):
    filled(engine, *ROWS)
    engine.run(narrow(engine, "UPDATE crm SET mail = upper(mail)"))
    engine.run(narrow(engine, "DELETE FROM crm WHERE mail = 'b' OR mail = 'C'"))
    assert engine.run("SELECT mail FROM crm ORDER BY id") == [("A",), ("b",), ("D",)]


def test_a_row_that_may_not_be_used_is_left_alone_by_an_insert(engine: Engine):
    filled(engine, *ROWS)
    engine.run("CREATE UNIQUE INDEX only_one ON crm (id)")
    text = "INSERT INTO crm (id, mail, origin) VALUES (1, 'x', '1.1(a)') ON CONFLICT (id) DO"
    update = f"{text} UPDATE SET mail = excluded.mail, origin = excluded.origin RETURNING"
    for returned in ("mail", "mail, id, length(mail)"):
        assert engine.run(narrow(engine, f"{update} {returned}", {"1": STOPPED})) == []
    assert engine.run(narrow(engine, f"{text} NOTHING RETURNING mail", {"1": STOPPED})) == []
    assert engine.run(narrow(engine, f"{update} mail".replace("(1,", "(2,"))) == []  # Its source may not be used.
    assert engine.run("SELECT mail FROM crm ORDER BY id") == [("a",), ("b",), ("c",), ("d",)]
    assert engine.run(narrow(engine, f"{update} mail", {"4": STOPPED})) == [("x",)]
    where = update.replace("RETURNING", "WHERE crm.id < 3 OR crm.id > 8 RETURNING").replace("'x'", "'y'")
    assert engine.run(narrow(engine, f"{where} mail", {"1": STOPPED})) == []
    assert engine.run("SELECT mail FROM crm WHERE id = 1") == [("x",)]
    # A key that is not personal tells what any query that asks for it alone does.
    text = "INSERT INTO crm (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 1 RETURNING id"
    assert engine.run(narrow(engine, text, {"1": STOPPED})) == [(1,)]
    # It looks at no row that is there.
    narrow(engine, "INSERT INTO crm (id, mail, origin) VALUES (9, 'x', '1.1(a)')", {"1": STOPPED})


def test_a_row_that_may_not_be_used_is_not_replaced():
    guard = Guard(tm.NOTICE, governance=Told({"1": STOPPED}))
    for dialect, text in (
        ("sqlite", "INSERT OR REPLACE INTO crm (id, mail, origin) VALUES (1, 'x', '1.1(a)')"),
        ("sqlite", "REPLACE INTO crm (id, mail, origin) VALUES (1, 'x', '1.1(a)')"),
        (
            "sqlite",
            "INSERT OR REPLACE INTO crm (id, mail, origin) VALUES (1, 'x', '1.1(a)') ON CONFLICT (id) DO NOTHING",
        ),
        ("mysql", "INSERT INTO crm (id, mail, origin) VALUES (1, 'x', '1.1(a)') ON DUPLICATE KEY UPDATE mail = 'x'"),
    ):
        statements = Statements(guard, Tables(tm.NOTICE, TABLES, VIEWS), dialect=dialect)
        with guard.purpose(RENEWAL), pytest.raises(PurposeGuardError):
            statements.narrowed(text)


def test_parameters_stay_where_they_are(engine: Engine):
    filled(engine, *ROWS)
    mark = "%s" if engine.dialect == "postgres" else "?"
    text = narrow(engine, "SELECT mail FROM crm WHERE id > ? AND id < ? ORDER BY id".replace("?", mark))
    assert engine.run(text, 1, 4) == [("c",)]


WRITTEN_AGAIN = {
    "sqlite": """
        SELECT iif(id > 1, hex(mail), 0x1F), ifnull(mail, ''), date('2024-01-31', '+1 month'), mod(5.5, id + 1), 7 % 4,
          log10(1000), log2(8 * id), log(10, 1000), '{"a.b": 1, "a": {"b": 2}}' ->> 'a.b' FROM crm
    """,
    "postgres": """
        SELECT to_hex(length(mail)), to_hex(255), date '2024-01-31' + id * interval '1 month 2 h',
          log10(1000::float8), log10(1000.0), mod(5.5, 2) FROM crm
    """,
    "duckdb": """
        SELECT DATE '2024-01-31' + INTERVAL (id) MONTH, DATE '2024-01-31' - INTERVAL '3' HOUR, INTERVAL '1 year 2 days',
          INTERVAL 1 WEEK * id, id * INTERVAL (length(mail) || ' minutes'),
          time_bucket(INTERVAL '2 days', TIMESTAMP '2024-01-01'),
          sum(id) OVER (ORDER BY DATE '2024-01-31' + id RANGE BETWEEN INTERVAL 1 DAYS PRECEDING AND CURRENT ROW),
          'abc' ~ 'b', 'abc' !~ 'b', mail ~ '.', regexp_matches('abc', 'b'), log10(1000), log2(8),
          '{"a.b": 1, "a": {"b": 2}}' ->> 'a.b', json_extract('{"a": {"b": 2}}', '$.a.b')
        FROM crm
    """,
}


def test_what_is_written_down_again_means_the_same(engine: Engine):
    filled(engine, *(row for row in ROWS if row[2] != "2.1"))
    text = f"{WRITTEN_AGAIN[engine.dialect]} ORDER BY id"
    short = narrow(engine, text)
    assert "CASE" in short
    assert engine.run(short) == engine.run(text) != []


DAY = datetime.date(2024, 4, 1)


def on_days(engine: Engine, since: datetime.date | None, before: datetime.date | None) -> list[int]:
    conditions = SqlConditions(RowRule(tm.NOTICE, ()), NameRules(engine.dialect))
    test = conditions.days_in("day", since, before, "Asia/Tokyo").sql(dialect=engine.dialect)
    return [row[0] for row in engine.run(f"SELECT id FROM days WHERE {test} ORDER BY id")]  # noqa: S608  # our test


def test_days_are_compared_as_days(engine: Engine):
    engine.run("CREATE TEMP TABLE days (id INTEGER, day DATE)")
    for number, day in enumerate(("2024-03-31", "2024-04-01", "2024-04-02", None)):
        engine.run("INSERT INTO days VALUES (?, ?)", number, day)
    assert on_days(engine, DAY, None) == [1, 2]
    assert on_days(engine, None, DAY) == [0]
    assert on_days(engine, DAY, DAY + datetime.timedelta(days=1)) == [1]
    assert on_days(engine, None, None) == [0, 1, 2]


def test_moments_are_on_the_day_that_it_was_where_the_notice_is(engine: Engine):
    if engine.dialect == "sqlite":
        engine.run("CREATE TEMP TABLE days (id INTEGER, day TEXT)")
        engine.run("INSERT INTO days VALUES (1, '2024-03-31 15:30:00+00:00')")
        with pytest.raises(engine.errors):
            on_days(engine, DAY, None)
        return
    engine.run("CREATE TEMP TABLE days (id INTEGER, day TIMESTAMPTZ)")
    for number, moment in enumerate(("2024-03-31 14:59:00+00", "2024-03-31 15:00:00+00", "2024-04-01 15:00:00+00")):
        engine.run("INSERT INTO days VALUES (?, ?)", number, moment)
    for zone in ("UTC", "America/New_York"):  # whatever the session's is
        engine.run(f"SET TimeZone = '{zone}'")
        assert on_days(engine, DAY, None) == [1, 2]
        assert on_days(engine, DAY, DAY + datetime.timedelta(days=1)) == [1]


def test_moments_without_their_time_zone_make_the_query_fail(engine: Engine):
    engine.run("CREATE TEMP TABLE days (id INTEGER, day TIMESTAMP)")
    engine.run("INSERT INTO days VALUES (1, '2024-04-01 00:00:00')")
    with pytest.raises(engine.errors):
        on_days(engine, DAY, None)


KEYS = KeySet(["7", "six", "6f1a6a3e-2b1c-4a5e-9d3b-0a1b2c3d4e5f"])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_has_words_that_its_parser_reads(dialect: str):
    words = SqlConditions(RowRule(tm.NOTICE, ()), NameRules(dialect))
    for condition in (
        words.constant(value=True),
        words.negate(words.constant(value=False)),
        words.any_of([words.absent("a"), words.source_in("b", frozenset({"1.1(a)"}))]),
        words.all_of([words.days_in("c", DAY, DAY, "Asia/Tokyo"), words.subject_in("d", KEYS)]),
    ):
        text = condition.sql(dialect=dialect)
        assert parse_one(text, dialect=dialect).sql(dialect=dialect) == text


def test_a_row_without_a_source_makes_the_query_fail_on_mysql_and_on_mariadb():
    # Neither is asked here. MariaDB gives NULL for what is no JSON, and an error for a number of more than 64 bits.
    guard = Guard(tm.NOTICE)
    with guard.purpose(RENEWAL):
        text = Statements(guard, Tables(tm.NOTICE, TABLES), dialect="mysql").narrowed("SELECT mail FROM crm")
    _, _, failing = text.partition(" ELSE ")
    assert failing.startswith("18446744073709551615 + CHAR_LENGTH(CONCAT('unknown source of a row: ', ")
    assert "JSON" not in text


TESTS: dict[str, exp.Expr] = {"customer": parse_one("id <> 7"), "crm.customer": parse_one("id <> 8")}
CATALOGUE = {
    "customer": ["id", "name"],
    "crm.customer": ["id", "name"],
    "orders": ["id", "customer"],
    "named": "SELECT id, name FROM customer",
    "again": "(SELECT id FROM named)",
}

CASES = [
    ("SELECT name FROM customer", "SELECT name FROM ({}) AS customer"),
    ("SELECT c.name FROM customer AS c", "SELECT c.name FROM ({}) AS c"),
    ("SELECT b FROM customer AS c (a, b)", "SELECT b FROM ({}) AS c(a, b)"),
    ("SELECT customer.name, o.id FROM customer JOIN orders AS o ON o.customer = customer.id",
     "SELECT customer.name, o.id FROM ({}) AS customer JOIN orders AS o ON o.customer = customer.id"),
    ("SELECT crm.customer.name FROM crm.customer",
     'SELECT customer.name FROM (SELECT "id", "name" FROM crm.customer WHERE id <> 8) AS customer'),
    ("SELECT c.name FROM orders AS o LEFT JOIN (customer AS b JOIN customer AS c ON b.id = c.id) ON o.id = c.id",
     "SELECT c.name FROM orders AS o LEFT JOIN (({}) AS b JOIN ({}) AS c ON b.id = c.id) ON o.id = c.id"),
    # PostgreSQL knows the key of a table, and none of a subquery.
    ("SELECT c.id, c.name, COUNT(*) FROM customer AS c LEFT JOIN orders ON TRUE GROUP BY c.id",
     "SELECT c.id, c.name, COUNT(*) FROM customer AS c LEFT JOIN orders ON TRUE WHERE c.id <> 7 GROUP BY c.id"),
    ("SELECT o.id FROM orders AS o LEFT JOIN customer AS d ON o.id = 1 OR o.id = 2 GROUP BY o.id",
     "SELECT o.id FROM orders AS o LEFT JOIN customer AS d ON d.id <> 7 AND (o.id = 1 OR o.id = 2) GROUP BY o.id"),
    ("SELECT customer.id FROM customer, orders WHERE orders.customer = 1 GROUP BY customer.id",
     "SELECT customer.id FROM customer, orders WHERE customer.id <> 7 AND orders.customer = 1 GROUP BY customer.id"),
    ("SELECT * FROM customer GROUP BY id", "SELECT * FROM ({}) AS customer GROUP BY id"),
    ("SELECT MAX(CAST(c AS TEXT)) FROM customer AS c GROUP BY id",
     "SELECT MAX(CAST(c AS TEXT)) FROM ({}) AS c GROUP BY id"),
    ("SELECT crm.customer.id, name FROM crm.customer, orders WHERE orders.id = 1 GROUP BY 1",
     "SELECT crm.customer.id, name FROM crm.customer, orders WHERE customer.id <> 8 AND orders.id = 1 GROUP BY 1"),
    ("SELECT d.id FROM orders FULL JOIN customer AS d ON TRUE GROUP BY d.id",
     "SELECT d.id FROM orders FULL JOIN ({}) AS d ON TRUE GROUP BY d.id"),
    ("SELECT d.id FROM orders LEFT JOIN customer AS d USING (id) GROUP BY d.id",
     "SELECT d.id FROM orders LEFT JOIN ({}) AS d USING (id) GROUP BY d.id"),
    ("SELECT a FROM customer AS d(a, b) GROUP BY a", "SELECT a FROM ({}) AS d(a, b) GROUP BY a"),
    ("SELECT id FROM orders", "SELECT id FROM orders"),
    ("SELECT id FROM again",
     "SELECT id FROM (SELECT id FROM (SELECT id, name FROM ({}) AS customer) AS named) AS again"),
    ("WITH customer AS (SELECT * FROM customer) SELECT name FROM customer",
     "WITH customer AS (SELECT * FROM ({}) AS customer) SELECT name FROM customer"),
    ("SELECT id FROM orders WHERE customer IN (SELECT id FROM customer)",
     "SELECT id FROM orders WHERE customer IN (SELECT id FROM ({}) AS customer)"),
    ("UPDATE customer AS c SET name = o.id FROM orders AS o WHERE o.id = c.id OR o.id = 1",
     "UPDATE customer AS c SET name = o.id FROM orders AS o WHERE c.id <> 7 AND (o.id = c.id OR o.id = 1)"),
    ("DELETE FROM customer", "DELETE FROM customer WHERE customer.id <> 7"),
    ("INSERT INTO orders (id) SELECT id FROM customer", "INSERT INTO orders (id) SELECT id FROM ({}) AS customer"),
    ("SELECT name::INTERVAL (3), name::INTERVAL(3)[] FROM customer",
     "SELECT CAST(name AS INTERVAL(3)), CAST(name AS INTERVAL(3)[]) FROM ({}) AS customer"),
    ("SELECT name FROM customer /* a comment */", "SELECT name FROM ({}) AS customer"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES, ids=range(len(CASES)))
def test_a_table_is_replaced_by_its_rows(text: str, expected: str):
    catalogue = Catalog(CATALOGUE, "postgres")
    found = read_statement(text, catalogue)
    inner = 'SELECT "id", "name" FROM customer WHERE id <> 7'
    assert narrow_statement(found, catalogue, TESTS) == expected.replace("{}", inner)
    # What was read stays as it was.
    assert narrow_statement(found, catalogue, {}) == narrow_statement(read_statement(text, catalogue), catalogue, {})


def test_replace_into_stays_what_it_is():
    for dialect, expected in (("mysql", "REPLACE INTO orders (id)"), ("sqlite", "INSERT OR REPLACE INTO orders (id)")):
        catalogue = Catalog(CATALOGUE, dialect)
        text = "REPLACE INTO orders (id) SELECT id FROM customer WHERE id = %s"
        assert narrow_statement(read_statement(text, catalogue), catalogue, TESTS).startswith(expected)
        assert narrow_statement(read_statement(text, catalogue), catalogue, TESTS).endswith("id = %s")


def test_what_would_be_read_in_another_way_is_refused():
    catalogue = Catalog(CATALOGUE, "postgres")
    for text, why in (
        ("WITH customer AS (SELECT 1 AS id) SELECT * FROM named", "call it otherwise"),
        ("MERGE INTO customer USING orders ON orders.id = customer.id WHEN MATCHED THEN DELETE", "it is written to"),
    ):
        with pytest.raises(UnresolvedStatement, match=why):
            narrow_statement(read_statement(text, catalogue), catalogue, TESTS)


def test_a_statement_is_rewritten_once_for_the_same_rules():
    told = Told({"7": STOPPED})
    guard = Guard(tm.NOTICE, governance=told)
    statements = Statements(guard, Tables(tm.NOTICE, TABLES, VIEWS), dialect="sqlite")
    text = "SELECT mail FROM crm WHERE id = %s"
    with guard.purpose(RENEWAL):
        first = statements.narrowed(text)
        assert statements.narrowed(text) is first
        assert statements.narrowed(text, percent=True) == first
    with guard.purpose(tm.ProductProvision):
        other = statements.narrowed(text)
    assert other != first
    with guard.purpose(RENEWAL):
        assert statements.narrowed(text) == first


def test_an_id_is_no_parameter_of_a_driver_that_looks_for_them():
    guard = Guard(tm.NOTICE, governance=Told({"50%s": STOPPED}))
    statements = Statements(guard, Tables(tm.NOTICE, TABLES, VIEWS), dialect="sqlite")
    with guard.purpose(RENEWAL):
        text = statements.narrowed("SELECT mail FROM crm WHERE id = %s", percent=True)
        assert text.replace("%%", "").count("%s") == 1
        assert statements.narrowed("SELECT mail FROM crm WHERE id = %s").count("50%s") == 1


@pytest.mark.parametrize(
    "kind", ["NUMERIC", "NUMERIC(10, 2)", "BOOLEAN", "DATE", "TIMESTAMP", "VARCHAR(5)", "FLOAT", "BLOB"]
)
def test_sqlite_casts_as_it_did_before(kind: str):
    catalogue = Catalog({"t": ["a"]}, "sqlite")
    for value in ("7", "3.5", "'2024-05-01'"):
        text = f"SELECT CAST({value} AS {kind}), CAST({value} AS {kind}) / 2"
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            before, after = (
                [repr(cell) for row in connection.execute(one) for cell in row]
                for one in (text, narrow_statement(read_statement(text, catalogue), catalogue, {}))
            )
        assert before == after
