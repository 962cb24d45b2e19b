"""Attempts to read `email` past the analysis: each is refused, or seen through.

Where it cannot be told which columns a construct reads, all of the table count: more is asked for than is read.
"""

from __future__ import annotations

import pytest

from purposeguard.errors import UnresolvedStatement
from tests.adapters.sql.shop import read, used, writes

SEEN = [
    # A backslash is no escape in SQLite; and two of them leave the quote behind them as it is.
    ("sqlite", "SELECT id FROM customer WHERE name LIKE 'x' ESCAPE '\\' AND email <> '\\'"),
    ("sqlite", "SELECT 'a\\', email, 'b' FROM customer"),
    ("postgres", "SELECT id FROM customer WHERE name LIKE REPLACE(email, E'\\\\', E'\\\\\\\\')"),
    # Names that look like others.
    ("duckdb", "SELECT 1 AS email, email || 'x' FROM customer"),
    ("duckdb", "SELECT \"EMAIL\" FROM \"Customer\""),
    ("sqlite", "SELECT [EMAIL] FROM `customer`"),
    ("mysql", "SELECT `eMail` FROM customer"),
    ("snowflake", "SELECT \"EMAIL\" FROM \"CUSTOMER\""),
    ("postgres", "SELECT b FROM customer AS orders (a, b)"),
    ("postgres", "SELECT email FROM (SELECT email AS id, id AS email FROM customer) AS t"),
    ("postgres", "SELECT id FROM (SELECT email AS id FROM customer) AS t"),
    ("postgres", "WITH orders AS (SELECT email AS total FROM customer) SELECT total FROM orders"),
    ("postgres", "WITH customer AS (SELECT email AS id FROM customer) SELECT id FROM customer"),
    ("duckdb", "SELECT mail FROM recent"),
    ("duckdb", "FROM c: customer SELECT x: c.email"),
    # Whole rows.
    ("postgres", "SELECT c FROM customer c"),
    ("postgres", "SELECT (c).email FROM customer c"),
    ("postgres", "SELECT (c).* FROM customer c"),
    ("postgres", "SELECT c.*::text FROM customer c"),
    ("postgres", "SELECT c::text FROM customer c"),
    ("postgres", "SELECT row_to_json(c) FROM customer c"),
    ("postgres", "SELECT to_jsonb(c.*) -> 'email' FROM customer c"),
    ("postgres", "SELECT json_agg(customer) FROM customer"),
    ("postgres", "SELECT count(c) FROM customer c"),
    ("postgres", "SELECT id FROM customer c WHERE c = ROW (1, 'a', 'b', 'c')"),
    ("postgres", "SELECT id FROM customer c ORDER BY c"),
    ("postgres", "SELECT jsonb_path_query(to_jsonb(t), '$.email') FROM (SELECT * FROM customer) AS t"),
    ("duckdb", "SELECT customer.email FROM (SELECT customer FROM customer)"),
    ("duckdb", "SELECT struct_pack(x := c) FROM customer c"),
    ("duckdb", "SELECT hash(*) FROM customer"),
    ("duckdb", "SELECT count(DISTINCT *) FROM customer"),
    ("duckdb", "SELECT COLUMNS('em.*') FROM customer"),
    ("duckdb", "SELECT COLUMNS(c -> c LIKE 'e%') FROM customer"),
    ("duckdb", "SELECT max(COLUMNS(*)) FROM customer"),
    ("duckdb", "SELECT * LIKE 'e%' FROM customer"),
    ("bigquery", "SELECT AS STRUCT c FROM customer c"),
    ("bigquery", "SELECT AS VALUE c FROM customer c"),
    ("bigquery", "SELECT TO_JSON_STRING(c) FROM customer c"),
    ("bigquery", "SELECT FORMAT('%t', c) FROM customer c"),
    ("snowflake", "SELECT OBJECT_CONSTRUCT(*) FROM customer"),
    ("snowflake", "SELECT HASH(*) FROM customer"),
    ("spark", "SELECT to_json(struct(*)) FROM customer"),
    ("spark", "SELECT to_json(named_struct('a', customer.email)) FROM customer"),
    # Where nobody looks for a column.
    ("postgres", "SELECT date_trunc(email, now()) FROM customer"),
    ("postgres", "SELECT date_part(email, now()) FROM customer"),
    ("duckdb", "SELECT date_diff(email, now(), now()) FROM customer"),
    ("postgres", "SELECT coalesce(email -> 'a', 'b') FROM customer"),
    ("mysql", "SELECT coalesce(email -> '$.a', 'b') FROM customer"),
    ("sqlite", "SELECT coalesce(email -> '$.a', 'b') FROM customer"),
    ("duckdb", "SELECT coalesce(email -> 'a', 'b') FROM customer"),
    ("postgres", "SELECT '{}'::json -> email FROM customer"),
    ("mysql", "SELECT JSON_EXTRACT('{}', email) FROM customer"),
    ("duckdb", "SELECT email.upper().lower() FROM customer"),
    ("duckdb", "SELECT customer.email.upper() FROM customer"),
    ("duckdb", "SELECT upper(email).lower() FROM customer"),
    ("duckdb", "SELECT list_transform([1], x -> email) FROM customer"),
    ("duckdb", "SELECT [x || email FOR x IN ['a']] FROM customer"),
    ("duckdb", "SELECT [x FOR x IN ['a'] IF x = email] FROM customer"),
    ("spark", "SELECT transform(array(1), x -> email) FROM customer"),
    ("mysql", "SELECT id --email\n FROM customer"),
    ("mysql", "SELECT NOW() + INTERVAL email DAY FROM customer"),
    ("postgres", "SELECT now() AT TIME ZONE email FROM customer"),
    ("postgres", "SELECT overlay(name PLACING email FROM 1) FROM customer"),
    ("postgres", "SELECT trim(BOTH email FROM name) FROM customer"),
    ("postgres", "SELECT (ARRAY[1, 2])[email::int : 2] FROM customer"),
    ("postgres", "SELECT lag(id, email::int) OVER () FROM customer"),
    ("postgres", "SELECT max(id) FILTER (WHERE email > 'x') FROM customer"),
    ("postgres", "SELECT sum(id) OVER (ORDER BY id ROWS email::int PRECEDING) FROM customer"),
    ("postgres", "SELECT id FROM customer ORDER BY (SELECT email)"),
    ("postgres", "SELECT id FROM customer ORDER BY id LIMIT (SELECT length(max(email)) FROM customer)"),
    ("postgres", "SELECT id FROM customer OFFSET (SELECT length(max(email)) FROM customer)"),
    ("postgres", "SELECT (SELECT v.e FROM orders, (SELECT email AS e) AS v LIMIT 1) FROM customer"),
    ("postgres", "SELECT (SELECT 1 FROM orders JOIN mailing ON orders.id = email) FROM customer"),
    ("postgres", "SELECT (WITH t AS (SELECT email) SELECT * FROM t) FROM customer"),
    ("postgres", "SELECT EXISTS (SELECT WHERE email = 'x') FROM customer"),
    ("postgres", "SELECT x FROM customer, unnest(string_to_array(email, '@')) AS x"),
    ("postgres", "SELECT id FROM customer TABLESAMPLE SYSTEM (10) WHERE email IS NULL"),
    ("duckdb", "SELECT id FROM orders ANTI JOIN customer ON orders.customer = customer.email"),
    ("duckdb", "SELECT o.id FROM orders o ASOF JOIN customer c ON o.total >= c.id AND o.id = c.email"),
    ("duckdb", "SELECT o.id FROM orders o POSITIONAL JOIN customer c WHERE c.email = 'x'"),
    ("duckdb", "SELECT email, count(*) FROM customer GROUP BY ALL ORDER BY ALL"),
    ("duckdb", "SELECT id FROM (SELECT * FROM customer ORDER BY ALL LIMIT 1)"),
    ("duckdb", "SELECT id FROM (SELECT * FROM customer ORDER BY 2 LIMIT 1)"),
    ("duckdb", "SELECT id FROM customer UNION BY NAME SELECT email FROM customer"),
    ("duckdb", "SELECT id FROM (SELECT * FROM customer EXCEPT SELECT * FROM customer)"),
    ("duckdb", "SELECT * FROM customer UNPIVOT (v FOR n IN (name, device))"),
    ("duckdb", "SELECT id FROM ((customer)) PIVOT (max(email) FOR name IN ('x'))"),
    ("snowflake", "SELECT id FROM ((customer)) PIVOT (max(email) FOR name IN ('x'))"),
    ("duckdb", "SELECT id FROM customer QUALIFY count(*) OVER (PARTITION BY email) > 1"),
    ("spark", "SELECT id FROM customer CLUSTER BY email"),
    ("bigquery", "SELECT id FROM customer GROUP BY ROLLUP (id, email)"),
    ("snowflake", "SELECT id FROM customer CONNECT BY PRIOR id = email"),
    # `customer` is a column of the inner table as well, and holds no fields.
    ("duckdb", "SELECT (SELECT max(total) FROM orders WHERE customer.email = 'x') FROM customer"),
    # Writes that read.
    ("postgres", "INSERT INTO mailing (address) VALUES ((SELECT max(email) FROM customer))"),
    ("postgres", "INSERT INTO mailing (kind) VALUES (1) RETURNING (SELECT max(email) FROM customer)"),
    ("postgres", "INSERT INTO customer (id) VALUES (1) RETURNING *"),
    ("postgres", "INSERT INTO customer (id) VALUES (1) ON CONFLICT (email) DO NOTHING"),
    ("postgres", "INSERT INTO customer (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = customer.email"),
    ("postgres", "INSERT INTO customer (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 1 WHERE customer.email = 2"),
    ("postgres", "UPDATE customer SET name = email"),
    ("postgres", "UPDATE customer SET name = 1 RETURNING email"),
    ("postgres", "DELETE FROM customer WHERE email = 'x'"),
    ("mysql", "DELETE FROM customer ORDER BY email LIMIT 1"),
    ("postgres", "MERGE INTO mailing m USING customer c ON m.id = c.id WHEN MATCHED AND c.email = 'x' THEN DELETE"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "text"), SEEN, ids=range(len(SEEN)))
def test_is_seen_through(dialect: str, text: str):
    assert "email" in read(dialect, text).used.get("customer", ())


REFUSED = [
    ("postgres", "SELECT emaıl FROM customer"),
    ("postgres", "SELECT еmail FROM customer"),  # Cyrillic
    ("postgres", "SELECT \"EMAIL\" FROM customer"),
    ("snowflake", "SELECT \"email\" FROM customer"),
    ("postgres", "SELECT U&\"\\0065mail\" FROM customer"),
    ("postgres", "SELECT id\u00a0email FROM customer"),
    ("sqlite", "SELECT id,\u3000email FROM customer"),
    ("mysql", "SELECT id,\u200bemail FROM customer"),
    ("sqlite", "SELECT id -- \r , email\n FROM customer"),
    ("sqlite", "SELECT id\x00, email FROM customer"),
    ("postgres", "SELECT id /* /* */ , email -- */ */\n FROM customer"),
    ("mysql", "SELECT id /*! , email */ FROM customer"),
    ("mysql", "SELECT id /*!50000 , email */ FROM customer"),
    ("mysql", "SELECT id /*M!100100 , email */ FROM customer"),
    ("mysql", "SELECT 'a\\', ', email, ' FROM customer"),
    ("postgres", "SELECT 'a\\' || email || ' FROM customer"),
    ("postgres", "SELECT E'\\\\\\' || email || ' FROM customer"),
    ("mysql", "SELECT \"email\" FROM customer"),
    ("spark", "SELECT \"email\" FROM customer"),
    ("sqlite", "SELECT \"rowid\" FROM customer"),
    ("sqlite", "SELECT customer.\"nosuch\" FROM customer"),
    ("duckdb", "SELECT \"nosuch\" FROM customer"),
    ("sqlite", "SELECT c.'email' FROM customer c"),
    ("sqlite", "SELECT id FROM orders WHERE customer IN customer"),
    ("sqlite", "SELECT rowid FROM customer"),
    ("sqlite", "SELECT oid, _rowid_ FROM customer"),
    ("duckdb", "SELECT rowid FROM customer"),
    ("postgres", "SELECT tableoid::regclass, xmin FROM customer"),
    ("postgres", "SELECT email(c) FROM customer c"),
    ("postgres", "SELECT c.row_to_json FROM customer c"),
    ("duckdb", "SELECT #2 FROM customer"),
    ("snowflake", "SELECT $2 FROM customer"),
    ("snowflake", "SELECT c.$2 FROM customer c"),
    ("snowflake", "SELECT $1:email FROM customer"),
    ("mysql", "SELECT @v := email FROM customer"),
    ("mysql", "WITH Customer AS (SELECT 1 AS email) SELECT email FROM customer"),
    ("mysql", "SELECT C.email FROM customer c"),
    ("postgres", ("WITH RECURSIVE a AS (SELECT total FROM orders), orders AS (SELECT email AS total FROM customer) "
     "SELECT total FROM a")),
    ("postgres", "SELECT email FROM customer WHERE CURRENT OF c"),
    ("postgres", "SELECT name LIKE 'x' ESCAPE email FROM customer"),
    ("duckdb", "SELECT * FROM query('SELECT email FROM customer')"),
    ("duckdb", "SELECT * FROM query_table('customer')"),
    ("duckdb", "SELECT * FROM histogram_values('customer', 'email')"),
    ("duckdb", "SELECT json_execute_serialized_sql('{}')"),
    ("postgres", "SELECT ts_rewrite('a'::tsquery, 'SELECT email, email FROM customer')"),
    ("postgres", "SELECT table_to_xml('customer', true, true, '')"),
    # Another function than the engine's own.
    ("postgres", 'SELECT "Lower"(email) FROM customer'),
    ("postgres", 'SELECT id, "JSON_AGG" (email) FROM customer'),
    ("postgres", 'SELECT * FROM "Json_Each"(\'{}\')'),
    ("snowflake", 'SELECT "lower"(EMAIL) FROM customer'),
    ("bigquery", "SELECT KEYS.NEW_KEYSET('AEAD_AES_GCM_256')"),
    ("bigquery", "SELECT NET.NOSUCH(id), mine.init(id) FROM customer"),
    # A name that the parser knows from other engines: behind a dot, a macro or function of this database may bear it.
    ("duckdb", "SELECT name.pad() FROM customer"),
    ("duckdb", "SELECT name.host() FROM customer"),
    ("postgres", "SELECT pg_catalog.safe_divide(id, id) FROM customer"),
    ("spark", "SELECT * FROM customer TABLESAMPLE (BUCKET 1 OUT OF 2 ON my_function(email))"),
    # To some drivers one parameter, with all that stands in it; to a parser two texts.
    *((dialect, "SELECT ('%(a')s, ') || email FROM customer WHERE name <> ' FROM customer --'")
      for dialect in ("postgres", "mysql", "bigquery", "snowflake")),
    ("postgres", "SELECT id FROM customer WHERE name = '%(a' OR id = 1 OR name = ')s'"),
    ("postgres", "SELECT id FROM customer WHERE id = %(a--)s\n)s"),
    ("mysql", "SELECT id FROM customer WHERE id = %(a(b)')s', email, ''"),
    ("sqlite", "CREATE TRIGGER t AFTER INSERT ON orders BEGIN SELECT email FROM customer; END"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "text"), REFUSED, ids=range(len(REFUSED)))
def test_is_refused(dialect: str, text: str):
    with pytest.raises(UnresolvedStatement):
        read(dialect, text)


def test_letters_beyond_ascii_are_read_where_all_agree_on_them():
    assert used("postgres", "SELECT id AS 顧客, '山田　太郎' AS \"x　y\" FROM customer -- 何か　も") == "customer.id"


def test_functions_of_the_engine_and_tables_may_be_quoted():
    assert used("postgres", 'SELECT "lower"(email) FROM customer') == "customer.email"
    assert used("snowflake", 'SELECT "LOWER"(EMAIL) FROM customer') == "customer.email"
    assert used("postgres", 'WITH "Log" ("A") AS (SELECT id FROM customer) SELECT "A" FROM "Log"') == "customer.id"
    assert used("postgres", 'SELECT "A" FROM customer AS "Log" ("A", "B")') == "customer.id"
    assert used("mysql", "SELECT `Lower`(email) FROM customer") == "customer.email"


def test_a_percent_sign_and_a_bracket_are_read_where_no_driver_takes_more_for_a_parameter():
    assert used("sqlite", "SELECT id FROM customer WHERE name LIKE '%(' || ? || ')%'") == "customer.id customer.name"
    for like in ("'%%(' || %s", "'50%(x)%'", "%(name)s"):
        assert used("postgres", f"SELECT id FROM customer WHERE name LIKE {like}") == "customer.id customer.name"  # noqa: S608
    assert used("postgres", "SELECT id % (length(email)) FROM customer") == "customer.email customer.id"


def test_an_update_of_what_was_excluded_flows_on():
    text = (
        "INSERT INTO mailing (address) SELECT email FROM customer "
        "ON CONFLICT (address) DO UPDATE SET kind = upper(excluded.address)"
    )
    assert writes("postgres", text)["kind"] == "customer.email mailing.address"
