"""The options of `Statements` beside its tables: the default schema, strings, and statements that run as they are."""

from __future__ import annotations

import sqlite3

import duckdb
import pytest

from purposeguard import Guard, NotPersonal, PurposeMissing, UnlabelledData
from purposeguard.adapters.sql import Statements
from purposeguard.adapters.sql.parsing import PassedForms
from purposeguard.errors import UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.sql.shop import read, used

GUARD = Guard(tm.NOTICE)
TABLES = {"customer": {"id": NotPersonal, "name": tm.Registration}, "crm.customer": {"id": NotPersonal}}


def test_a_name_in_double_quotes_that_is_no_column_is_a_text_to_sqlite():
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE customer (id, email, name, device)")
    database.execute("INSERT INTO customer VALUES (1, 'e', 'Bob', 'd')")
    for text, columns, row in (
        ('SELECT "text" FROM customer', "", ("text",)),
        ('SELECT id FROM customer WHERE name = "Bob"', "customer.id customer.name", (1,)),
        ('SELECT "email" FROM customer', "customer.email", ("e",)),
        ('SELECT (SELECT "device" || "x") FROM customer', "customer.device", ("dx",)),
        ('SELECT "b" FROM (SELECT name AS b FROM customer)', "customer.name", ("Bob",)),
    ):
        assert used("sqlite", text) == columns
        assert database.execute(text).fetchone() == row


def test_the_second_column_of_one_name_is_no_text():
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE customer (id, email, name, device)")
    database.execute("INSERT INTO customer VALUES (1, 'e', 'Bob', 'd')")
    for text in (
        'SELECT "id:1" FROM (SELECT id, email AS id FROM customer)',
        'SELECT "ID:1" FROM (SELECT a.id, b.email AS id FROM customer AS a, customer AS b)',
        'SELECT (SELECT "id:1") FROM (SELECT id, email AS id FROM customer)',
        'SELECT "a:2" FROM (SELECT 1 AS "a:1", email AS "a:1" FROM customer)',
    ):
        assert database.execute(text).fetchone() == ("e",)
        with pytest.raises(UnresolvedStatement, match="is no column that is known here"):
            read("sqlite", text)
    assert used("sqlite", 'SELECT "10:30", "at:1" FROM customer') == ""


def test_it_may_be_a_column_where_tables_are_known_in_part():
    part = Statements(GUARD, TABLES, dialect="sqlite", partial=True)
    with pytest.raises(UnresolvedStatement, match="`secret` is no column"):
        part.check('SELECT "secret" FROM customer')
    Statements(GUARD, TABLES, dialect="sqlite").check('SELECT "secret" FROM customer')


def test_a_backslash_is_plain_to_duckdb_but_in_a_text_that_escapes():
    text = "SELECT id FROM customer WHERE name LIKE 'a\\%' ESCAPE '\\' AND 'x' <> '\\'"
    assert used("duckdb", text) == "customer.id customer.name"
    assert duckdb.sql("SELECT 'a%' LIKE 'a\\%' ESCAPE '\\' AND 'x' <> '\\'").fetchall() == [(True,)]
    with pytest.raises(UnresolvedStatement, match="backslash"):
        read("duckdb", "SELECT E'a\\'b', email FROM customer")


def test_a_backslash_is_plain_to_postgresql_by_its_setting():
    text = "SELECT id FROM customer WHERE 'x' LIKE 'a\\%' ESCAPE '\\'"
    Statements(GUARD, TABLES, dialect="postgres", standard_strings=True).check(text)
    for statements, odd in (
        (Statements(GUARD, TABLES, dialect="postgres"), text),
        (Statements(GUARD, TABLES, dialect="postgres", standard_strings=True), "SELECT E'a\\'b', name FROM customer"),
        (
            Statements(GUARD, TABLES, dialect="postgres", standard_strings=True),
            "SELECT INTERVAL E'1'\n'\\' AS x, ', name FROM customer --', 1 FROM customer",
        ),
        (Statements(GUARD, TABLES, dialect="mysql", standard_strings=True), "SELECT 'a\\'b', name FROM customer"),
    ):
        with pytest.raises(UnresolvedStatement, match="backslash"):
            statements.check(odd)


@pytest.mark.parametrize(
    ("dialect", "schema", "called"),
    [("sqlite", None, "main"), ("postgres", "public", "public"), ("postgres", "public", "PUBLIC"),
     ("duckdb", "main", "main"), ("snowflake", "public", "PUBLIC"), ("mysql", "shop", "shop")],
)  # fmt: skip
def test_the_schema_that_is_meant_may_be_named(dialect: str, schema: str | None, called: str):
    statements = Statements(GUARD, TABLES, dialect=dialect, schema=schema)
    for text in (
        "SELECT S.customer.name FROM S.customer",
        "WITH customer AS (SELECT 1 AS name) SELECT c.name FROM S.customer AS c",
        "UPDATE S.customer SET name = 'x' WHERE name = 'y'",
    ):
        assert statements.analyse(text.replace("S.", f"{called}.")).used == {"customer": {"name"}}, text
    assert statements.analyse("SELECT id FROM crm.customer").used == {"crm.customer": {"id"}}


def test_another_schema_is_another_one():
    for statements in (
        Statements(GUARD, TABLES, dialect="postgres"),
        Statements(GUARD, TABLES, dialect="postgres", schema="app"),
    ):
        with pytest.raises(UnlabelledData, match=r"`public.customer` is no table"):
            statements.check("SELECT id FROM public.customer")
    taken = Statements(GUARD, {**TABLES, "main.customer": {"id": NotPersonal}}, dialect="sqlite")
    assert taken.analyse("SELECT id FROM main.customer").used == {"main.customer": {"id"}}


FORMS = [
    *("PRAGMA foreign_keys", "SET LOCAL", "TRUNCATE", "NOTIFY", "LOCK TABLE", "VACUUM", "SET"),
    *("CREATE INDEX", "CREATE SCHEMA", "ALTER SEQUENCE"),
]


@pytest.mark.parametrize(
    "text",
    [
        "PRAGMA foreign_keys = ON;", " pragma\n foreign_keys ", "SET LOCAL statement_timeout = '5s'",
        "SET search_path TO app, public", "SET x = %s", "SET x = '10 %'", "TRUNCATE TABLE customer, orders CASCADE",
        "NOTIFY jobs, 'it''s done'", "LOCK TABLE customer IN SHARE MODE", "VACUUM",
        "CREATE INDEX i ON customer (lower(email))", "ALTER SEQUENCE a RESTART", "SET a = (1)",
        "SET application_name = 'shop (b)'",
    ],
)  # fmt: skip
def test_a_form_passes(text: str):
    assert PassedForms(FORMS).is_passed(text)


@pytest.mark.parametrize(
    "text",
    [
        "PRAGMA foreign_keys_of_all", "PRAGMA table_info(customer)", "TRUNCATE customer; SELECT email FROM customer",
        "VACUUM INTO '/tmp/copy.db'", "SET @a = (SELECT email FROM customer LIMIT 1)", "SET @a = (TABLE customer)",
        "SET @a = (\n VALUES (1))", "SET a TO /*! 1, b = */ 2", "SET a = 1 -- '", "SET a = 'b\\'", "SET a = $$b$$",
        "SET a = 'b", "CREATE INDEX i ON customer (id); --", "EXPLAIN SELECT 1", "",
        "SET VARIABLE a = (PIVOT customer ON name USING first(email))", "SET VARIABLE a = (UNPIVOT customer ON name)",
        "SET VARIABLE a = (pivot_wider customer ON name USING first(email))", "SET a = '%s'", "SET a = 'b %(c)s'",
        'SET "%s" = 1', "SET @a = email_of(1)", 'SET @a = "email_of" (1)', "SET standard_conforming_strings = off",
        'SET "standard_conforming_strings" TO off', "CREATE SCHEMA a CREATE VIEW customer AS TABLE secret",
    ],
)  # fmt: skip
def test_nothing_else_passes(text: str):
    assert not PassedForms(FORMS).is_passed(text)
    assert not PassedForms().is_passed(text)


@pytest.mark.parametrize(
    "form",
    ["SELECT", "select id", "INSERT", "TABLE", "COPY", "DO", "CALL p", "EXECUTE", "PREPARE", "CREATE", "CREATE TABLE",
     "create view", "ALTER", "ALTER TABLE", "alter view", "REFRESH MATERIALIZED VIEW", "RENAME TABLE", "SUMMARIZE",
     "PIVOT", "UNPIVOT", "pivot_longer", "CACHE TABLE", "PRAGMA storage_info", "SET standard_conforming_strings",
     "IMPORT DATABASE", "", " ", "SET a = 1", "SET;"],
)  # fmt: skip
def test_what_may_read_rows_is_no_form(form: str):
    with pytest.raises(ValueError, match=r"cannot pass|no beginning"):
        PassedForms([form])
    with pytest.raises(ValueError, match=r"cannot pass|no beginning"):
        Statements(GUARD, TABLES, dialect="postgres", passes=[form])


def test_a_pragma_that_shows_values_or_runs_statements_does_not_pass():
    database = duckdb.connect()
    database.execute("CREATE TABLE customer (email TEXT)")
    database.execute("INSERT INTO customer VALUES ('secret')")
    query = database.execute("SELECT json_serialize_sql('SELECT email FROM customer')").fetchone()
    for text in (
        "PRAGMA storage_info('customer')",
        "PRAGMA \"storage_info\"('customer')",
        f"PRAGMA json_execute_serialized_sql('{query[0] if query else ''}')",
    ):
        assert "secret" in str(database.execute(text).fetchall())
        assert not PassedForms(["PRAGMA"]).is_passed(text)
    assert PassedForms(["PRAGMA"]).is_passed("PRAGMA table_info('customer')")


def test_forms_are_several():
    with pytest.raises(TypeError, match="several"):
        Statements(GUARD, TABLES, dialect="sqlite", passes="VACUUM")


def test_a_long_statement_is_looked_at_in_one_go():
    # A pattern that tries each length takes minutes.
    for text in ("SET " + "'" * 100_001, "SET" + " " * 100_000 + "\\", "SET " + "a" * 200_000 + "\\"):
        assert not PassedForms(FORMS).is_passed(text)


def test_what_passes_needs_no_purpose_and_the_rest_is_decided():
    statements = Statements(GUARD, TABLES, dialect="postgres", passes=["SET LOCAL"])
    statements.check("SET LOCAL statement_timeout = 100")
    assert statements.narrowed("SET LOCAL statement_timeout = 100") == "SET LOCAL statement_timeout = 100"
    with pytest.raises(PurposeMissing):
        statements.check("SELECT name FROM customer")
    with pytest.raises(UnresolvedStatement, match="by its first words, `passes="):
        statements.check("SET SESSION AUTHORIZATION x")


def test_what_is_explained_is_decided_as_if_it_ran():
    statements = Statements(GUARD, TABLES, dialect="postgres", passes=["EXPLAIN", "EXPLAIN ANALYZE"])
    for text in (
        "EXPLAIN SELECT id FROM customer",
        "EXPLAIN (COSTS off) SELECT id FROM customer",
        "explain analyze SELECT 1",
    ):
        assert statements.narrowed(text) == text
    for text in ("EXPLAIN SELECT name FROM customer", "EXPLAIN ANALYZE DELETE FROM customer WHERE name = 'x'"):
        with pytest.raises(PurposeMissing):
            statements.narrowed(text)
        with pytest.raises(PurposeMissing):
            statements.check(text)
    for text in (
        "EXPLAIN",
        "EXPLAIN (SELECT name FROM customer)",
        "EXPLAIN VERBOSE SELECT 1",
        "EXPLAIN SELECT 1; SELECT 2",
    ):
        with pytest.raises(UnresolvedStatement):
            statements.check(text)
