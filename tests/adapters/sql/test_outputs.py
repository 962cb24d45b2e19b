"""What the outputs of a query are made of: values, and not what they were chosen by."""

from __future__ import annotations

import pytest

from tests.adapters.sql.shop import EVERY, outputs, read

ALL = " ".join(EVERY)

CASES = [
    ("duckdb", "SELECT id, email AS e FROM customer WHERE name = 'x'", {"id": "customer.id", "e": "customer.email"}),
    ("duckdb", "SELECT lower(email) || name FROM customer", {"#1": "customer.email customer.name"}),
    ("duckdb", "SELECT count(*) AS n, max(total) AS m FROM orders GROUP BY customer", {"n": "", "m": "orders.total"}),
    ("duckdb", "SELECT 1 AS one, now() AS t", {"one": "", "t": ""}),
    ("duckdb", "SELECT CASE WHEN email = 'x' THEN 1 END AS f FROM customer", {"f": "customer.email"}),
    ("duckdb", "SELECT (SELECT max(total) FROM orders o WHERE o.customer = c.id) AS m FROM customer c",
     {"m": "orders.total"}),
    # Whether there is a row is made of all that is asked of it.
    ("duckdb", "SELECT EXISTS (SELECT 1 FROM orders o WHERE o.customer = c.id) AS f FROM customer c",
     {"f": "customer.id orders.customer"}),
    ("duckdb", "SELECT id IN (SELECT customer FROM orders WHERE total > 1) AS f FROM customer",
     {"f": "customer.id orders.customer"}),
    ("duckdb", "SELECT rank() OVER (PARTITION BY name ORDER BY email) AS r FROM customer",
     {"r": "customer.email customer.name"}),
    ("duckdb", "SELECT count(*) FILTER (WHERE email = 'x') AS n FROM customer", {"n": "customer.email"}),
    ("duckdb", "SELECT email AS x FROM customer UNION ALL SELECT total FROM orders",
     {"x": "customer.email orders.total"}),
    ("duckdb", "SELECT id FROM customer JOIN mailing USING (id)", {"id": "customer.id mailing.id"}),
    ("duckdb", "SELECT * FROM recent",
     {"id": "customer.id", "mail": "customer.email", "small": "customer.name",
      "both": "customer.device customer.name"}),
    ("duckdb", "WITH t AS (SELECT email || name AS x FROM customer) SELECT x AS y FROM t",
     {"y": "customer.email customer.name"}),
    ("duckdb", "SELECT email AS a, a || 'x' AS b FROM customer", {"a": "customer.email", "b": "customer.email"}),
    ("duckdb", "SELECT id AS x, email AS x FROM customer", {"x": "customer.email customer.id"}),
    ("duckdb", "SELECT COLUMNS('e.*') FROM customer", {"#1": ALL, "*": ALL}),
    ("duckdb", "SELECT * FROM customer UNPIVOT (v FOR n IN (email, name))", {"*": ALL}),
    ("postgres", "SELECT email::text FROM customer", {"email": "customer.email"}),
    ("postgres", "SELECT c FROM customer c", {"c": ALL}),
    ("postgres", "SELECT (c).email FROM customer c", {"email": ALL}),
    ("postgres", ("WITH RECURSIVE r AS (SELECT id AS a, name AS b FROM customer UNION ALL SELECT b, email "
     "FROM r, customer) SELECT a FROM r"), {"a": "customer.email customer.id customer.name"}),
    ("bigquery", "SELECT AS STRUCT id, email FROM customer", {"id": "customer.id", "email": "customer.email"}),
    ("spark", "SELECT stack(2, id, email) AS (a, b) FROM customer",
     {"a": "customer.email customer.id", "b": "customer.email customer.id"}),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "text", "expected"), CASES, ids=range(len(CASES)))
def test_outputs_are_made_of(dialect: str, text: str, expected: dict[str, str]):
    assert outputs(dialect, text) == expected


def test_outputs_stand_in_their_order():
    assert list(read("duckdb", "SELECT name, 1 AS a, email FROM customer").outputs) == ["name", "a", "email"]
