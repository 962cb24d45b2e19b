"""What a statement reads: every construct through which a column can have a say in its result, dialect by dialect."""

from __future__ import annotations

import pytest

from tests.adapters.sql.shop import EVERY, read, used

ALL = " ".join(EVERY)
DIALECTS = ("sqlite", "postgres", "mysql", "duckdb", "spark", "bigquery", "snowflake")

EVERYWHERE = [
    ("SELECT email FROM customer", "customer.email"),
    ("SELECT * FROM customer", ALL),
    ("SELECT c.* FROM customer AS c", ALL),
    ("SELECT 1 FROM customer", ""),
    ("SELECT COUNT(*) FROM customer", ""),
    ("SELECT COUNT(email) FROM customer", "customer.email"),
    ("SELECT id FROM customer WHERE email = 'x'", "customer.email customer.id"),
    ("SELECT id FROM customer ORDER BY email", "customer.email customer.id"),
    ("SELECT COUNT(*) FROM customer GROUP BY email", "customer.email"),
    ("SELECT id FROM customer GROUP BY id HAVING MAX(email) > 'x'", "customer.email customer.id"),
    ("SELECT c.id FROM customer c JOIN orders o ON o.customer = c.id", "customer.id orders.customer"),
    ("SELECT c.name FROM customer c JOIN orders o USING (id)", "customer.id customer.name orders.id"),
    ("SELECT c.id FROM customer c, orders o WHERE o.total > c.id", "customer.id orders.total"),
    ("SELECT CASE WHEN email = 'x' THEN 1 ELSE 2 END FROM customer", "customer.email"),
    ("SELECT id FROM customer WHERE id IN (SELECT customer FROM orders WHERE total > 1)",
     "customer.id orders.customer orders.total"),
    ("SELECT id FROM customer c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer = c.id)",
     "customer.id orders.customer"),
    ("SELECT id FROM customer c WHERE EXISTS (SELECT * FROM orders o WHERE o.customer = c.id)",
     "customer.id orders.customer"),
    ("SELECT (SELECT MAX(total) FROM orders o WHERE o.customer = c.id) FROM customer c",
     "customer.id orders.customer orders.total"),
    ("SELECT id FROM customer UNION ALL SELECT total FROM orders", "customer.id orders.total"),
    # What nobody asks a subquery for is not used.
    ("SELECT x FROM (SELECT email AS x, name FROM customer) AS t", "customer.email"),
    ("SELECT x FROM (SELECT email AS x, name FROM customer WHERE device = 'x') AS t", "customer.device customer.email"),
    ("SELECT x FROM (SELECT id AS x, RANK() OVER (ORDER BY email) AS r FROM customer) AS t WHERE r = 1",
     "customer.email customer.id"),
    ("SELECT id FROM customer c WHERE EXISTS (SELECT o.total FROM orders o WHERE o.customer = c.id)",
     "customer.id orders.customer"),
    ("SELECT x FROM (SELECT id AS x, email AS y FROM customer UNION ALL SELECT total, day FROM orders) AS t",
     "customer.id orders.total"),
    ("SELECT t.id FROM (SELECT * FROM customer) AS t", "customer.id"),
    ("SELECT t.id FROM (SELECT DISTINCT * FROM customer) AS t", ALL),
    ("SELECT t.id FROM (SELECT * FROM customer ORDER BY 2) AS t", "customer.email customer.id"),
    ("SELECT t.id FROM (SELECT * FROM customer UNION ALL SELECT * FROM customer) AS t", "customer.id"),
    ("SELECT COUNT(*) FROM (SELECT * FROM customer) AS t", ""),
    ("WITH t AS (SELECT id, email FROM customer WHERE name = 'x') SELECT id FROM t", "customer.id customer.name"),
    ("WITH t AS (SELECT * FROM customer), u AS (SELECT * FROM t) SELECT name FROM u", "customer.name"),
    ("WITH t AS (SELECT email FROM customer WHERE name = 'x') SELECT 1", ""),
    ("WITH t (a, b) AS (SELECT id, email FROM customer) SELECT b FROM t", "customer.email"),
    ("SELECT ROW_NUMBER() OVER (PARTITION BY name ORDER BY email) FROM customer", "customer.email customer.name"),
    ("SELECT SUM(id) OVER (ORDER BY email ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM customer",
     "customer.email customer.id"),
    ("SELECT id FROM customer LIMIT 3", "customer.id"),
    ("SELECT mail FROM recent", "customer.device customer.email"),
    ("SELECT id FROM recent", "customer.device customer.id"),
    ("SELECT r.both FROM recent AS r", "customer.device customer.name"),
    ("SELECT email AS e FROM customer ORDER BY e", "customer.email"),
    ("SELECT id AS email FROM customer ORDER BY email", "customer.id"),
    ("SELECT COALESCE(email, name), CAST(id AS CHAR) FROM customer", "customer.email customer.id customer.name"),
    ("SELECT id /* email */ FROM customer -- name", "customer.id"),
    ("SELECT 'email' FROM customer", ""),
]  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("text", "expected"), EVERYWHERE, ids=range(len(EVERYWHERE)))
def test_every_dialect_finds_the_columns_of(dialect: str, text: str, expected: str):
    assert used(dialect, text) == expected


OF_A_DIALECT = [
    ("postgres", "SELECT string_agg(name, ',' ORDER BY email) FILTER (WHERE device = 'x') FROM customer",
     "customer.device customer.email customer.name"),
    ("postgres", "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total) FROM orders", "orders.total"),
    ("postgres", "SELECT rank() OVER w FROM customer WINDOW w AS (PARTITION BY name), v AS (w ORDER BY email)",
     "customer.email customer.name"),
    ("postgres", "SELECT DISTINCT ON (email) id FROM customer", "customer.email customer.id"),
    ("postgres", "SELECT 1 FROM customer GROUP BY GROUPING SETS ((email), ROLLUP (name))",
     "customer.email customer.name"),
    ("postgres", "SELECT x FROM customer, LATERAL (SELECT email AS x) AS t", "customer.email"),
    ("postgres", "SELECT x FROM customer, LATERAL (VALUES (email)) AS t (x)", "customer.email"),
    ("postgres", "SELECT id FROM customer WHERE id IN (VALUES (1), (2))", "customer.id"),
    ("sqlite", "SELECT 1 FROM customer WHERE (id, 'x') IN (VALUES (1, 'a'), (2, email))", "customer.email customer.id"),
    ("postgres", "SELECT u FROM orders CROSS JOIN LATERAL unnest(items) WITH ORDINALITY AS t (u, n)", "orders.items"),
    ("postgres", "SELECT g FROM generate_series(1, 3) AS g", ""),
    ("postgres", "SELECT b FROM customer AS c (a, b)", "customer.email"),
    ("postgres", "SELECT id FROM customer NATURAL JOIN mailing", "customer.id mailing.id"),
    ("postgres", "SELECT id FROM customer c WHERE c IS NOT NULL", ALL),
    ("postgres", "SELECT j.id FROM (customer JOIN mailing USING (id)) AS j", "customer.id mailing.id"),
    ("postgres", "SELECT c.id FROM customer c JOIN (orders o JOIN mailing m ON m.kind = o.total) ON o.customer = c.id",
     "customer.id mailing.kind orders.customer orders.total"),
    ("postgres", ("WITH RECURSIVE r (n, e) AS (SELECT id, name FROM customer UNION ALL SELECT n + 1, e FROM r) "
     "SELECT e FROM r WHERE n < 9"), "customer.id customer.name"),
    ("postgres", ("WITH RECURSIVE r (a, b) AS (SELECT id, name FROM customer UNION ALL SELECT b, email "
     "FROM r, customer) SELECT a FROM r"), "customer.email customer.id customer.name"),
    ("postgres", "SELECT id FROM customer WHERE (id, email) IN (SELECT customer, total FROM orders)",
     "customer.email customer.id orders.customer orders.total"),
    ("postgres", "SELECT id FROM customer WHERE id = ANY (SELECT customer FROM orders)",
     "customer.id orders.customer"),
    ("postgres", "SELECT id FROM customer WHERE id = $1 AND name = %(email)s AND device = %s",
     "customer.device customer.id customer.name"),
    ("postgres", "SELECT id FROM customer FOR UPDATE", "customer.id"),
    ("postgres", "SELECT id FROM customer TABLESAMPLE SYSTEM (10) FETCH FIRST 3 ROWS ONLY", "customer.id"),
    ("postgres", "(SELECT id FROM customer) UNION (SELECT total FROM orders) ORDER BY 1", "customer.id orders.total"),
    ("postgres", "SELECT x FROM (SELECT id AS x, email AS y FROM customer UNION SELECT total, day FROM orders) AS t",
     "customer.email customer.id orders.day orders.total"),
    ("postgres", "VALUES (1), ((SELECT max(email) FROM customer))", "customer.email"),
    ("postgres", "TABLE customer", ALL),
    ("sqlite", "SELECT [email], `name`, \"device\" FROM customer", "customer.device customer.email customer.name"),
    ("sqlite", "SELECT value FROM orders, json_each(orders.items)", "orders.items"),
    ("sqlite", "SELECT id FROM customer WHERE id = ? AND name = :email AND device = @device",
     "customer.device customer.id customer.name"),
    ("sqlite", "SELECT id FROM customer WHERE id = $email", "customer.id"),
    ("sqlite", "SELECT id FROM customer WHERE email GLOB 'x*'", "customer.email customer.id"),
    ("sqlite", "WITH r AS (SELECT id FROM customer UNION SELECT id + 1 FROM r) SELECT id FROM r", "customer.id"),
    ("mysql", "SELECT GROUP_CONCAT(id ORDER BY email SEPARATOR ',') FROM customer", "customer.email customer.id"),
    ("mysql", "SELECT id FROM customer WHERE id = %s AND name = %(email)s AND id % 3 = 1 LIMIT %s",
     "customer.id customer.name"),
    ("mysql", "SELECT MATCH (name) AGAINST ('x') FROM customer", "customer.name"),
    ("mysql", "SELECT id --email\n FROM customer", "customer.email customer.id"),
    ("mysql", "SELECT a FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a INT PATH '$')) AS t", ""),
    ("mysql", "SELECT 1 FROM DUAL", ""),
    ("mysql", "SELECT \"some text\" FROM customer", ""),
    ("duckdb", "FROM customer", ALL),
    ("duckdb", "FROM customer SELECT email", "customer.email"),
    ("duckdb", "SELECT * EXCLUDE (email) FROM customer", "customer.device customer.id customer.name"),
    ("duckdb", "SELECT * REPLACE (upper(name) AS email) FROM customer", "customer.device customer.id customer.name"),
    ("duckdb", "SELECT c.id FROM customer c ASOF JOIN orders o ON c.id >= o.total", "customer.id orders.total"),
    ("duckdb", "SELECT id FROM orders SEMI JOIN customer ON orders.customer = customer.email",
     "customer.email orders.customer orders.id"),
    ("duckdb", "SELECT id FROM customer QUALIFY row_number() OVER (ORDER BY email) = 1", "customer.email customer.id"),
    ("duckdb", "SELECT x FROM orders, unnest(items) AS t (x)", "orders.items"),
    ("duckdb", "SELECT unnest(items) FROM orders", "orders.items"),
    ("duckdb", "SELECT x FROM customer, (SELECT email AS x) AS t", "customer.email"),
    ("duckdb", "SELECT lower(email) AS e, e || 'x' AS f FROM customer WHERE f = 'y'", "customer.email"),
    ("duckdb", "SELECT items.price, items['price'] FROM orders", "orders.items"),
    ("duckdb", "SELECT {'a': email} FROM customer", "customer.email"),
    ("duckdb", "SELECT id FROM customer UNION BY NAME SELECT email FROM customer", "customer.email customer.id"),
    ("duckdb", "SELECT * FROM customer PIVOT (count(*) FOR name IN ('a', 'b'))", ALL),
    ("duckdb", "SELECT id FROM customer WHERE id = $id OR id = $1", "customer.id"),
    ("spark", "SELECT x FROM orders LATERAL VIEW explode(items) t AS x", "orders.items"),
    ("spark", "SELECT * EXCEPT (email) FROM customer", "customer.device customer.id customer.name"),
    ("spark", "SELECT o.id FROM orders o LEFT ANTI JOIN customer c ON o.customer = c.email",
     "customer.email orders.customer orders.id"),
    ("spark", "SELECT /*+ BROADCAST(c) */ id FROM customer c DISTRIBUTE BY name SORT BY email",
     "customer.email customer.id customer.name"),
    ("spark", "SELECT transform(items, x -> x + total) FROM orders", "orders.items orders.total"),
    ("spark", "SELECT items.price FROM orders", "orders.items"),
    ("spark", "SELECT stack(2, id, email) AS (a, b) FROM customer", "customer.email customer.id"),
    ("bigquery", "SELECT c.* EXCEPT (email) FROM customer c", "customer.device customer.id customer.name"),
    ("bigquery", "SELECT x FROM orders, UNNEST(items) AS x WITH OFFSET AS n", "orders.items"),
    ("bigquery", "SELECT x.price FROM orders AS o, o.items AS x", "orders.items"),
    ("bigquery", "SELECT AS STRUCT id, email FROM customer", "customer.email customer.id"),
    ("bigquery", "SELECT ARRAY(SELECT email FROM customer)", "customer.email"),
    ("bigquery", "SELECT id FROM customer WHERE id = @email", "customer.id"),
    ("bigquery", "SELECT ANY_VALUE(id HAVING MAX name) FROM customer", "customer.id customer.name"),
    ("snowflake", "SELECT f.value FROM orders, LATERAL FLATTEN(input => items) f", "orders.items"),
    ("snowflake", "SELECT items:a.b::string FROM orders", "orders.items"),
    ("snowflake", "SELECT \"EMAIL\", Name FROM Customer", "customer.email customer.name"),
    ("snowflake", "SELECT * EXCLUDE email FROM customer", "customer.device customer.id customer.name"),
    ("snowflake", "SELECT id FROM customer START WITH email = 'x' CONNECT BY PRIOR id = name",
     "customer.email customer.id customer.name"),
    ("snowflake", "SELECT id FROM customer AT (OFFSET => -60)", "customer.id"),
    ("snowflake", "SELECT c.id FROM customer c ASOF JOIN orders o MATCH_CONDITION (c.id >= o.total) ON c.name = o.day",
     "customer.id customer.name orders.day orders.total"),
    ("postgres", ("SELECT a.id FROM ((SELECT id FROM customer) AS a JOIN orders AS o ON o.id = a.id) "
     "JOIN mailing AS m ON m.kind = 1"), "customer.id mailing.kind orders.id"),
    ("postgres", "SELECT jsonb_each.key FROM customer, jsonb_each(customer.name)", "customer.name"),
    ("sqlite", "SELECT json_each.value FROM orders, json_each(orders.items)", "orders.items"),
    ("postgres", "SELECT JSON_VALUE(name, '$.a'), JSON_QUERY(device, '$.b') FROM customer",
     "customer.device customer.name"),
    ("postgres", "SELECT pg_catalog.date_trunc('day', day), pg_catalog.stddev(total) FROM orders",
     "orders.day orders.total"),
    ("duckdb", "SELECT * FROM (PIVOT customer ON name USING max(email))", ALL),
    ("bigquery", "SELECT items, items.price FROM orders, UNNEST(items) AS items", "orders.items"),
    ("bigquery", "SELECT id FROM orders, UNNEST([total]) AS id", "orders.id orders.total"),
    ("bigquery", "SELECT HLL_COUNT.INIT(name), NET.IP_TRUNC(device, 1) FROM customer", "customer.device customer.name"),
    ("snowflake", "SELECT TRY_TO_TIMESTAMP_NTZ(name) FROM customer", "customer.name"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "text", "expected"), OF_A_DIALECT, ids=range(len(OF_A_DIALECT)))
def test_a_dialect_finds_the_columns_of(dialect: str, text: str, expected: str):
    assert used(dialect, text) == expected


def test_tables_are_told_in_the_order_in_which_they_were_told():
    found = read("duckdb", "SELECT o.id, c.id FROM orders o JOIN customer c ON o.customer = c.id")
    assert (found.kind, list(found.used), found.target) == ("select", ["customer", "orders"], None)
    assert repr(found) == "<Analysis of a statement: select of customer, orders>"


def test_a_function_of_the_database_may_be_told_to_read_nothing_else():
    assert read("postgres", "SELECT my_hash(email), crm.hash(name) FROM customer", {"MY_HASH", "crm.hash"}).used == {
        "customer": {"email", "name"}
    }


def test_a_name_in_a_schema_is_found_by_the_whole_of_it():
    from purposeguard.adapters.sql import analyse

    tables = {"crm.customer": ["id", "email"], "customer": ["id"]}
    for text in (
        "SELECT email FROM crm.customer",
        "SELECT customer.email FROM crm.customer",
        "SELECT crm.customer.email FROM crm.customer",
        "SELECT crm.customer.email FROM crm.customer, customer",
    ):
        assert analyse(text, tables, "postgres").used == {"crm.customer": {"email"}}


def test_thousands_of_conditions_and_parts_are_read():
    conditions = " OR ".join(["email = 'x'", *(f"id = {n}" for n in range(3_000))])
    text = f"SELECT id FROM customer WHERE {conditions}"  # noqa: S608  # numbers
    assert used("postgres", text) == "customer.email customer.id"
    parts = " UNION ALL ".join("SELECT id FROM customer" for _ in range(300))
    assert used("postgres", parts) == "customer.id"
