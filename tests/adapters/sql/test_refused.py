"""What is refused: what cannot be read, and of what it cannot be told what it reads. No message repeats the text."""

from __future__ import annotations

import logging

import pytest

from purposeguard import UnlabelledData
from purposeguard.adapters.sql import analyse
from purposeguard.errors import UnresolvedStatement
from tests.adapters.sql.shop import TABLES, read

COMMANDS = [
    "EXPLAIN SELECT email FROM customer", "COPY customer TO '/tmp/x'", "COPY (SELECT email FROM customer) TO STDOUT",
    "DO $$ BEGIN PERFORM 1; END $$", "CALL p(1)", "EXECUTE p", "EXECUTE IMMEDIATE 'SELECT email FROM customer'",
    "PREPARE p AS SELECT email FROM customer", "DECLARE c CURSOR FOR SELECT email FROM customer",
    "ATTACH 'other.db' AS other", "PRAGMA table_info(customer)", "SET search_path = other", "INSTALL httpfs",
    "LOAD httpfs", "EXPORT DATABASE 'x'", "DESCRIBE customer", "SUMMARIZE customer", "SHOW TABLES", "BEGIN",
    "DROP TABLE customer", "ALTER TABLE customer ADD COLUMN x int", "TRUNCATE customer",
    "GRANT SELECT ON customer TO x", "CREATE INDEX i ON customer (lower(email))",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE TABLE mailing (LIKE customer)",
    "CREATE TABLE mailing AS EXECUTE p", "CREATE MACRO f(x) AS x", "HANDLER customer OPEN",
    "LOAD DATA INFILE 'x' INTO TABLE customer", "IF 1 = 1 THEN SELECT 1; END IF",
]  # fmt: skip


@pytest.mark.parametrize("text", COMMANDS)
@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql", "duckdb", "spark", "bigquery", "snowflake"])
def test_what_is_no_query_and_no_write_is_refused(dialect: str, text: str, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING), pytest.raises(UnresolvedStatement):
        read(dialect, text)
    assert not caplog.records  # the parser would warn of some, and repeat the text


CASES = [
    ("postgres", "", "holds no statement"),
    ("postgres", "  -- nothing\n", "holds no statement"),
    ("postgres", "SELCT id FROM customer", "the first word begins no statement (did you mean `SELECT`?); only queries"),
    ("duckdb", "(udpate customer SET id = 1)", "(did you mean `UPDATE`?)"),
    ("postgres", "SET id = 1", "only queries, INSERT"),
    ("postgres", "SELECT id FROM customer; DELETE FROM customer", "holds 2 statements"),
    ("postgres", "SELECT id FROM customer; -- DELETE FROM customer\n DELETE FROM customer", "holds 2 statements"),
    ("postgres", "SELECT (id FROM customer", "the parser stops at line 1, column 15"),
    ("postgres", "SELECT 'x", "not closed"),
    ("postgres", "SELECT /* x", "be read"),
    ("postgres", "SELECT " + "(" * 2_000 + "1" + ")" * 2_000, "nested too deeply"),
    ("postgres", "SELECT " + "lower(" * 300 + "name" + ")" * 300 + " FROM customer", "nested too deeply"),
    ("postgres", "SELECT 1" + " " * 1_000_001, "1,000,009 characters"),
    ("postgres", "SELECT id FROM nowhere", "`nowhere` is no table that is known"),
    ("postgres", "SELECT id FROM other.customer", "`other.customer` is no table"),
    ("postgres", "SELECT id FROM information_schema.columns", "`information_schema.columns` is no table"),
    ("postgres", "SELECT * FROM pg_catalog.pg_class", "is no table"),
    ("postgres", "SELECT * FROM pg_class", "is no table"),
    ("sqlite", "SELECT * FROM sqlite_master", "is no table"),
    ("sqlite", "SELECT * FROM pragma_table_info('customer')", "is no function"),
    ("postgres", "SELECT nothing FROM customer", "`nothing` is no column"),
    ("postgres", "SELECT c.nothing FROM customer c", "`c.nothing` is no column"),
    ("postgres", "SELECT id FROM customer, orders", "a column of several tables"),
    ("postgres", "SELECT c.id FROM customer c, orders c", "several tables"),
    ("postgres", "SELECT c.* FROM customer c, orders c", "several tables"),
    ("postgres", "SELECT o.id FROM customer c", "`o.id` is no column"),
    ("postgres", "SELECT id FROM customer JOIN orders USING (name)", "`name` in USING"),
    ("postgres", "SELECT id FROM customer UNION SELECT id, total FROM orders", "differ in their number"),
    ("postgres", "SELECT a FROM customer AS c (a, b, d, e, f)", "5 names for 4 columns"),
    ("postgres", "SELECT rank() OVER w FROM customer", "`w` is no window"),
    ("postgres", "SELECT ctid FROM customer", "`ctid` is no column"),
    ("postgres", "SELECT id INTO copied FROM customer", "`into`"),
    ("sqlite", "WITH d AS (DELETE FROM customer RETURNING email) SELECT email FROM d", "Delete"),
    ("duckdb", "WITH d AS (DELETE FROM customer RETURNING email) SELECT email FROM d", "Delete"),
    (
        "postgres",
        "WITH RECURSIVE a AS (SELECT id FROM b), b AS (SELECT id FROM customer) SELECT id FROM a",
        "defined later",
    ),
    ("sqlite", "WITH customer AS (SELECT * FROM customer) SELECT email FROM customer", "names itself"),
    ("postgres", "SELECT dblink('x', 'SELECT 1')", "`dblink` is no function"),
    ("postgres", "SELECT query_to_xml('SELECT 1', true, true, '')", "is no function"),
    ("postgres", "SELECT pg_read_file('/etc/passwd')", "is no function"),
    ("postgres", "SELECT pg_catalog.pg_read_file('/etc/passwd')", "is no function"),
    ("postgres", "SELECT \"pg_read_file\"('/etc/passwd')", "is no function"),
    ("postgres", "SELECT lo_import('/etc/passwd')", "is no function"),
    ("postgres", "SELECT nextval('s')", "is no function"),
    ("postgres", "SELECT set_config('a', 'b', false)", "is no function"),
    ("postgres", "SELECT * FROM crosstab('SELECT 1')", "is no function"),
    ("postgres", "SELECT my_function(email) FROM customer", 'functions={"my_function"}'),
    ("postgres", "SELECT crm.hash(email) FROM customer", "`crm.hash` is no function"),
    ("sqlite", "SELECT load_extension('x')", "is no function"),
    ("sqlite", "SELECT readfile('/etc/passwd')", "is no function"),
    ("mysql", "SELECT LOAD_FILE('/etc/passwd')", "is no function"),
    ("mysql", "SELECT SLEEP(1)", "is no function"),
    ("mysql", "SELECT email INTO @v FROM customer", "`into`"),
    ("mysql", "SELECT email FROM customer INTO OUTFILE '/tmp/x'", "the parser stops"),
    ("mysql", "SELECT @@secure_file_priv", "`SessionParameter`"),
    ("duckdb", "SELECT * FROM read_csv('x.csv')", "ReadCSV"),
    ("duckdb", "SELECT * FROM read_parquet('x')", "ReadParquet"),
    ("duckdb", "SELECT * FROM read_json_auto('x')", "is no function"),
    ("duckdb", "SELECT * FROM 'x.parquet'", "is no table"),
    ("duckdb", "SELECT * FROM frame_of_python", "is no table"),
    ("duckdb", "SELECT * FROM glob('*')", "is no function"),
    ("duckdb", "SELECT getvariable('x')", "is no function"),
    ("duckdb", "SELECT getenv('HOME')", "is no function"),
    ("duckdb", "PIVOT customer ON name USING count(*)", "only queries"),
    ("duckdb", "SELECT * FROM customer PIVOT (secrets(email) FOR id IN (1))", "`secrets` is no function"),
    ("duckdb", "SELECT * FROM customer PIVOT (max(getenv(email)) FOR id IN (1))", "`getenv` is no function"),
    ("duckdb", "SELECT * FROM customer PIVOT (max(email) FOR id IN (getvariable('x')))", "is no function"),
    ("duckdb", "SELECT * FROM customer PIVOT (max(email) FOR id IN (1) GROUP BY getenv('x'))", "is no function"),
    ("duckdb", "SELECT * FROM (PIVOT customer ON getenv(email) USING count(*))", "`getenv` is no function"),
    ("duckdb", "SELECT * FROM customer PIVOT (max(crm.lower(email)) FOR id IN (1))", "`crm.lower` is no function"),
    ("duckdb", "SELECT * FROM customer PIVOT (max(email) FOR id IN (read_csv('x.csv')))", "`ReadCSV` in PIVOT"),
    ("spark", "SELECT reflect('java.lang.System', 'exit', 1)", "is no function"),
    ("spark", "SELECT IDENTIFIER('email') FROM customer", "is no function"),
    ("spark", "SELECT ${column} FROM customer", "replaced before"),
    ("spark", "SELECT TRANSFORM(email) USING 'cat' FROM customer", "QueryTransform"),
    ("spark", "SELECT * FROM parquet.`/x`", "is no table"),
    ("spark", "FROM customer INSERT INTO mailing SELECT email", "only queries"),
    ("bigquery", "SELECT * FROM EXTERNAL_QUERY('c', 'SELECT 1')", "is no function"),
    ("bigquery", "SELECT * FROM ML.PREDICT(MODEL m, TABLE customer)", "ML.predict"),
    ("bigquery", "SELECT * FROM `customer_*`", "is no table"),
    ("bigquery", "FROM customer |> SELECT email", "pipe syntax"),
    ("bigquery", "SELECT _TABLE_SUFFIX FROM customer", "is no column"),
    ("snowflake", "SELECT * FROM IDENTIFIER('customer')", "DynamicIdentifier"),
    ("snowflake", "SELECT * FROM TABLE('customer')", "Literal in FROM"),
    ("snowflake", "SELECT * FROM TABLE(RESULT_SCAN(LAST_QUERY_ID()))", "is no function"),
    ("snowflake", "SELECT * FROM @stage/x.csv", "in FROM is not looked into"),
    ("snowflake", "SELECT SYSTEM$TYPEOF(email) FROM customer", "is no function"),
    ("snowflake", "SELECT * FROM customer MATCH_RECOGNIZE (PATTERN (x+) DEFINE x AS email = 'a')", "`match`"),
    ("snowflake", "CREATE TABLE mailing CLONE customer", "`clone`"),
    ("snowflake", "INSERT ALL INTO mailing SELECT email FROM customer", "only queries"),
    ("postgres", "INSERT INTO nowhere SELECT 1", "writes to no table"),
    ("postgres", "INSERT INTO recent SELECT 1", "writes to no table"),
    ("postgres", "INSERT INTO mailing (nothing) VALUES (1)", "`mailing.nothing` is no column"),
    ("postgres", "INSERT INTO mailing SELECT * FROM customer", "4 values are put into 3 columns"),
    ("postgres", "INSERT INTO mailing (id) VALUES (1, 2)", "2 values are put into 1 columns"),
    ("postgres", "CREATE TABLE mailing AS SELECT email FROM customer", "`mailing.email` is no column"),
    ("postgres", "CREATE TABLE mailing AS SELECT lower(email) FROM customer", "gets a name"),
    ("postgres", "CREATE TABLE elsewhere AS SELECT email FROM customer", "writes to no table"),
    ("spark", "CREATE TABLE mailing USING parquet LOCATION '/x' AS SELECT email AS address FROM customer", "Location"),
    ("mysql", "UPDATE customer, mailing SET mailing.address = customer.email", "another table than the first"),
    ("mysql", "DELETE customer, mailing FROM customer JOIN mailing ON 1", "another table than the first"),
    ("postgres", "UPDATE mailing SET nothing = 1", "`mailing.nothing` is no column"),
]


@pytest.mark.parametrize(("dialect", "text", "why"), CASES, ids=range(len(CASES)))
def test_is_refused(dialect: str, text: str, why: str):
    untold = ("is no table", "writes to no table", "`mailing.")
    with pytest.raises(
        UnlabelledData if why.startswith(untold) or "no table" in why else UnresolvedStatement
    ) as caught:
        read(dialect, text)
    assert why in " ".join(str(caught.value).split())
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT emial FROM customer", "`emial` is no column that is known here (did you mean `email`?), so"),
        ("SELECT c.emial FROM customer c, orders", "`c.emial` is no column that is known here (did you mean `email`?)"),
        ("SELECT custmer.email FROM customer", "known here (did you mean `customer`?), so"),
        ("SELECT x.email FROM customer", "`x.email` is no column that is known here, so"),
        ("SELECT mial FROM (SELECT email AS mail FROM customer) t", "(did you mean `mail`?)"),
        ("SELECT 1 FROM orders WHERE EXISTS (SELECT 1 FROM mailing WHERE itemz = 1)", "(did you mean `items`?)"),
        ("SELECT 1 FROM custmer", "`custmer` is no table that is known here (did you mean `customer`?): tell"),
        ("SELECT 1 FROM recnt", "(did you mean `recent`?)"),
        ("SELECT 1 FROM elsewhere", "`elsewhere` is no table that is known here: tell"),
        ("INSERT INTO mailings SELECT 1", "but to `mailings` (did you mean `mailing`?): tell"),
        ("INSERT INTO recent SELECT 1", "but to `recent`: tell"),
        (
            "UPDATE mailing SET adress = 'x'",
            "`mailing.adress` is no column that is known here (did you mean `address`?)",
        ),
    ],
)
def test_names_that_look_alike_are_suggested(text: str, told: str):
    with pytest.raises((UnlabelledData, UnresolvedStatement)) as caught:
        read("postgres", text)
    assert told in " ".join(str(caught.value).split())


@pytest.mark.parametrize(
    ("dialect", "told"),
    [
        ("postgresql", " (did you mean `postgres`?): sqlite, postgres, mysql"),
        ("sqlite3", " (did you mean `sqlite`?): sqlite,"),
        ("cobol", "here: sqlite,"),
    ],
)
def test_dialects_that_look_alike_are_suggested(dialect: str, told: str):
    with pytest.raises(ValueError, match="is no dialect") as caught:
        analyse("SELECT 1", {}, dialect)
    assert told in str(caught.value)


def test_no_message_repeats_a_value():
    for text in ("SELECT 'taro@example.jp' FROM (", "SELECT f('taro@example.jp')", "SELECT 'taro@example.jp"):
        with pytest.raises(UnresolvedStatement) as caught:
            read("postgres", text)
        assert "taro" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("views", "why"),
    [
        ({"v": "SELECT * FROM w", "w": "SELECT * FROM v"}, "reads itself"),
        ({"v": "DELETE FROM customer"}, "`v` is no query"),
        ({"v": "SELECT nothing FROM customer"}, "`nothing` is no column"),
        ({"v": "SELECT 1; SELECT 2"}, "2 statements"),
    ],
    ids=["circle", "write", "column", "several"],
)
def test_a_view_that_cannot_be_read_is_refused_where_it_is_used(views: dict[str, str], why: str):
    tables = {**TABLES, **views}
    assert analyse("SELECT id FROM customer", tables, "duckdb").used == {"customer": {"id"}}
    with pytest.raises(UnresolvedStatement, match=why):
        analyse("SELECT * FROM v", tables, "duckdb")


@pytest.mark.parametrize(
    ("tables", "dialect", "why"),
    [
        ({"t": ["a"]}, "oracle", "`oracle` is no dialect"),
        ({"t": ["a", "A"]}, "duckdb", "several columns"),
        ({"t": ["a"], "T": ["a"]}, "duckdb", "told twice"),
        ({"t": ["a"], "T": "SELECT 1"}, "duckdb", "told twice"),
    ],
    ids=["dialect", "columns", "tables", "views"],
)
def test_tables_of_which_two_have_one_name_are_refused(tables: dict[str, list[str] | str], dialect: str, why: str):
    with pytest.raises(ValueError, match=why):
        analyse("SELECT 1", tables, dialect)


def test_names_that_differ_in_case_are_two_where_the_dialect_says_so():
    tables = {"t": ["a", "A"], "T": ["b"]}
    assert analyse('SELECT "A", b FROM t, "T"', tables, "postgres").used == {"t": {"A"}, "T": {"b"}}
    assert analyse("SELECT a FROM t", tables, "postgres").used == {"t": {"a"}}
    assert analyse("SELECT b FROM T", {"t": ["a"], "T": ["b"]}, "mysql").used == {"T": {"b"}}
