"""What decides which rows there are, and which value of several: it labels all that is given or written."""

from __future__ import annotations

import contextlib
import sqlite3

import duckdb
import pytest

from purposeguard.adapters.sql import analyse
from purposeguard.adapters.sql.lineage import ReadStatement
from purposeguard.adapters.sql.lineage import read_statement as parse
from purposeguard.adapters.sql.tags import Catalog
from purposeguard.errors import UnresolvedStatement
from tests.adapters.sql.shop import TABLES, flows, read, used, writes


def parsed_by(text: str, dialect: str) -> ReadStatement:
    return parse(text, Catalog(TABLES, dialect))


def conditions(dialect: str, text: str) -> str:
    return " ".join(sorted(".".join(one) for one in read(dialect, text).conditions))


WRITES = [
    # What chooses the row whose values are set chooses each of them, also where it is one of them.
    ("postgres", "UPDATE mailing m SET (address, kind) = (SELECT email, name FROM customer WHERE email = 'x')",
     "customer.email"),
    ("postgres", "UPDATE mailing m SET (address, kind) = (SELECT email, name FROM customer ORDER BY email LIMIT 1)",
     "customer.email"),
    ("postgres", ("MERGE INTO mailing m USING customer c ON m.id = c.id WHEN NOT MATCHED THEN "
     "INSERT (address, kind) VALUES (c.name, (SELECT max(total) FROM orders WHERE c.name = 'x'))"),
     "customer.id customer.name mailing.id"),
    ("postgres", "UPDATE mailing SET kind = (SELECT 1 FROM customer WHERE email = 'x'), address = 'y'",
     "customer.email"),
    # The row that was to be inserted, in conditions.
    ("postgres", ("INSERT INTO mailing (address, id) SELECT email, id FROM customer "
     "ON CONFLICT (id) DO UPDATE SET kind = 1 WHERE excluded.address > 'a'"),
     "customer.email customer.id mailing.id"),
    ("sqlite", ("INSERT INTO mailing (address, id) SELECT email, id FROM customer WHERE true "
     "ON CONFLICT (id) DO UPDATE SET kind = (SELECT max(total) FROM orders WHERE excluded.address > 'a')"),
     "customer.email customer.id mailing.id"),
    # A key that nobody names.
    ("sqlite", "INSERT OR IGNORE INTO mailing (address, kind) SELECT email, 1 FROM customer",
     "customer.email mailing.address mailing.kind"),
    ("sqlite", "REPLACE INTO mailing (address, kind) SELECT email, 1 FROM customer",
     "customer.email mailing.address mailing.kind"),
    ("postgres", "INSERT INTO mailing (address, kind) SELECT email, 1 FROM customer ON CONFLICT DO NOTHING",
     "customer.email mailing.address mailing.kind"),
    ("postgres", "INSERT INTO mailing (address) VALUES (%s) ON CONFLICT ON CONSTRAINT only_one DO NOTHING",
     "mailing.address"),
    ("duckdb", "INSERT OR REPLACE INTO mailing (address, kind) SELECT email, 1 FROM customer",
     "customer.email mailing.address mailing.kind"),
    ("duckdb", "INSERT INTO mailing BY NAME SELECT 'a' AS address ON CONFLICT DO NOTHING", "mailing.address"),
    ("sqlite", "INSERT OR IGNORE INTO mailing (address, kind) VALUES (?, ?)", "mailing.address mailing.kind"),
    ("sqlite", "REPLACE INTO mailing DEFAULT VALUES", "mailing.address mailing.id mailing.kind"),
    ("postgres", "INSERT INTO mailing (id, address) SELECT id, email FROM customer ON CONFLICT (id) DO NOTHING",
     "customer.id mailing.id"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "text", "expected"), WRITES, ids=range(len(WRITES)))
def test_what_is_written_is_chosen_by(dialect: str, text: str, expected: str):
    assert conditions(dialect, text) == expected


UPSERTS = [
    ("sqlite", "INSERT OR IGNORE INTO mailing (address) VALUES (?)", "mailing.address"),
    ("sqlite", "INSERT OR REPLACE INTO mailing (address, id) VALUES (?, 1)", "mailing.address mailing.id"),
    ("sqlite", "REPLACE INTO mailing (address) VALUES (?)", "mailing.address"),
    ("mysql", "REPLACE INTO mailing (address) VALUES (%s)", "mailing.address"),
    ("mysql", "INSERT IGNORE INTO mailing (address) VALUES (%s)", "mailing.address"),
    ("mysql", "INSERT INTO mailing SET address = %s ON DUPLICATE KEY UPDATE kind = 1", "mailing.address"),
    ("postgres", "INSERT INTO mailing (address) VALUES (%s) ON CONFLICT DO NOTHING", "mailing.address"),
    ("postgres", "INSERT INTO mailing (address, id) VALUES (%s, 1) ON CONFLICT (id) DO NOTHING", "mailing.id"),
    ("postgres", "INSERT INTO mailing (address) VALUES (%s)", ""),
]


@pytest.mark.parametrize(("dialect", "text", "expected"), UPSERTS, ids=range(len(UPSERTS)))
def test_whether_a_row_is_there_already_is_asked_of_its_keys(dialect: str, text: str, expected: str):
    assert used(dialect, text) == expected
    mentions = parsed_by(text, dialect).mentions
    assert [name for _, name in mentions] == (["mailing"] if expected else [])


def test_what_mysql_sets_where_a_row_is_there_tells_that_it_is():
    text = "INSERT INTO mailing (address, kind) SELECT email, 1 FROM customer ON DUPLICATE KEY UPDATE"
    told = "customer.email mailing.address mailing.kind"
    assert writes("mysql", f"{text} kind = 'again'") == {"address": "customer.email", "kind": told}
    # What would have been inserted is there afterwards in either case.
    for same in ("kind = VALUES(kind)", "mailing.kind = VALUES(kind)"):
        assert writes("mysql", f"{text} {same}") == {"address": "customer.email", "kind": "mailing.kind"}
    assert writes("mysql", f"{text} kind = VALUES(kind) + 1")["kind"] == told
    assert writes("mysql", f"{text} kind = VALUES(address)")["kind"] == told
    rows = "INSERT INTO mailing (address, kind) VALUES (%s, 1) AS new ON DUPLICATE KEY UPDATE"
    assert writes("mysql", f"{rows} kind = new.kind") == {"address": "", "kind": "mailing.kind"}
    assert writes("mysql", f"{rows} kind = new.address")["kind"] == "mailing.address mailing.kind"
    assert writes("mysql", f"{rows} kind = mailing.kind")["kind"] == "mailing.address mailing.kind"


def test_what_is_read_for_an_item_of_returning_is_its_own():
    text = "UPDATE mailing SET kind = 1 RETURNING id, (SELECT max(name) FROM customer WHERE email = 'x') AS n"
    found = read("postgres", text)
    assert flows(found.depends) == {"id": "mailing.id", "n": "customer.email customer.name"}
    assert not found.conditions
    assert read("duckdb", "DELETE FROM mailing RETURNING COLUMNS('.*')").outputs["*"]


def test_a_row_of_mysql_that_was_to_be_inserted_may_have_a_name():
    text = "INSERT INTO mailing (address, id) VALUES ((SELECT max(email) FROM customer), 1) AS new"
    keys = "customer.email mailing.address mailing.id"
    assert writes("mysql", f"{text} ON DUPLICATE KEY UPDATE kind = new.address")["kind"] == keys
    assert writes("mysql", f"{text} (kind, id) ON DUPLICATE KEY UPDATE kind = new.kind")["kind"] == keys
    text = "INSERT INTO mailing (address, id) VALUES (1, (SELECT max(email) FROM customer)) AS new"
    assert used("mysql", f"{text} (a, b) ON DUPLICATE KEY UPDATE kind = a") == keys
    assert writes("mysql", f"{text} (a, b) ON DUPLICATE KEY UPDATE id = new.b")["id"] == keys


ROWS = [
    # Functions that make several rows of one, whoever asks for what they give.
    ("postgres", "SELECT id FROM (SELECT id, pg_catalog.regexp_split_to_table(email, ',') FROM customer) AS t",
     "customer.email customer.id"),
    ("postgres", "SELECT id FROM (SELECT id, pg_catalog.unnest(items) FROM orders) AS t", "orders.id orders.items"),
    ("duckdb", "SELECT id FROM (SELECT * REPLACE (unnest(items) AS items) FROM orders)", "orders.id orders.items"),
    ("spark", "SELECT id FROM (SELECT id, explode_outer(items) FROM orders)", "orders.id orders.items"),
    # Positions, where it is not known how many columns stand before.
    ("duckdb", "SELECT x FROM (SELECT COLUMNS('i.*'), id AS x, total FROM orders ORDER BY 4 LIMIT 1)",
     "orders.customer orders.day orders.id orders.items orders.total"),
    # `t.a` of a star without some columns is of one table.
    ("duckdb", "SELECT c.* EXCLUDE (c.email) FROM customer AS c", "customer.device customer.id customer.name"),
    ("duckdb", "SELECT * EXCLUDE (o.id) FROM orders AS o JOIN mailing AS m ON true",
     "mailing.address mailing.id mailing.kind orders.customer orders.day orders.items orders.total"),
    ("spark", "SELECT * EXCEPT (items.id) FROM orders",
     "orders.customer orders.day orders.id orders.items orders.total"),
    ("bigquery", "SELECT id, email FROM customer INNER UNION ALL BY NAME SELECT email, name FROM customer",
     "customer.email"),
    ("bigquery", "SELECT id, email FROM customer LEFT UNION ALL BY NAME SELECT email, name FROM customer",
     "customer.email customer.id"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "text", "expected"), ROWS, ids=range(len(ROWS)))
def test_a_query_uses(dialect: str, text: str, expected: str):
    assert used(dialect, text) == expected


def test_by_name_what_both_have_stands_in_the_order_of_the_first():
    text = "SELECT id, email, name FROM customer INNER UNION ALL BY NAME SELECT name, email FROM customer"
    assert writes("bigquery", f"INSERT INTO mailing (address, kind) {text}") == {
        "address": "customer.email",
        "kind": "customer.name",
    }


BARE = [
    ("SELECT max(total), customer FROM orders", "orders.total"),
    ("SELECT x FROM (SELECT min(total), customer AS x FROM orders)", "orders.total"),
    ("SELECT max(total), * FROM orders", "orders.total"),
    ("SELECT customer, max(total), day FROM orders GROUP BY customer", "orders.customer orders.total"),
    ("SELECT customer, max(total) FROM orders GROUP BY customer", "orders.customer"),
    ("SELECT customer AS c, max(total) FROM orders GROUP BY c", "orders.customer"),
    ("SELECT lower(customer), day, max(total) FROM orders GROUP BY lower(customer), 2", "orders.customer orders.day"),
    ("SELECT max(total) - min(total), count(*) FROM orders", ""),
    ("SELECT customer, max(total) OVER () FROM orders", ""),
    ("SELECT customer, (SELECT max(name) FROM customer) FROM orders", ""),
    ("SELECT customer, (SELECT max(o.total)) FROM orders AS o", "orders.total"),
    ("SELECT customer, (SELECT max(o.total) FROM customer) FROM orders AS o", "orders.total"),
    ("SELECT customer, (VALUES (max(o.total))) FROM orders AS o", "orders.total"),
    ("SELECT id, (SELECT max(v.t) FROM (SELECT total AS t, id AS i FROM orders) AS v WHERE v.i = c.id) FROM customer c",
     "customer.id orders.id"),
    ("SELECT customer, max(total) AS most, count(*) AS n FROM orders GROUP BY customer HAVING n > 1 ORDER BY most, n",
     "orders.customer orders.total"),
    ("SELECT customer, max(total) AS most, count(*) AS n FROM orders GROUP BY orders.customer HAVING n > 1",
     "orders.customer"),
    ("SELECT customer, max(total) FROM orders GROUP BY customer ORDER BY day",
     "orders.customer orders.day orders.total"),
    ("SELECT customer || ?, max(total) FROM orders GROUP BY customer || ?", "orders.customer orders.total"),
    ("SELECT lower(customer) AS c, max(total) FROM orders GROUP BY 1", "orders.customer"),
    ("SELECT c, max(total) FROM (SELECT max(customer) AS c, total FROM orders GROUP BY total) GROUP BY c",
     "orders.customer orders.total"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), BARE, ids=range(len(BARE)))
def test_a_bare_column_of_sqlite_is_of_the_row_that_has_the_greatest(text: str, expected: str):
    assert conditions("sqlite", text) == expected


TELLING = [
    "SELECT a FROM (SELECT max(secret), id AS a FROM t)",
    # The query has bare columns in another place than its items.
    "SELECT EXISTS (SELECT max(secret) FROM t HAVING id = 1)",
    "SELECT EXISTS (SELECT min(secret) FROM t GROUP BY name HAVING id = 1)",
    "SELECT count(*) FROM (SELECT max(secret) FROM t HAVING (SELECT id) = 1)",
    "SELECT name FROM (SELECT name, max(secret) FROM t GROUP BY name ORDER BY id = 1, name LIMIT 1)",
    "WITH w AS (SELECT name, max(secret) FROM t GROUP BY name HAVING id = 1) SELECT name FROM w",
    "SELECT n FROM (SELECT 1 AS n, group_concat(name), max(secret) FILTER (WHERE id < 3) FROM t HAVING id = 1)",
    ("SELECT name FROM (SELECT name, rank() OVER w AS n, max(secret) FROM t GROUP BY name "
     "WINDOW w AS (ORDER BY id = 1, name)) WHERE n = 1"),
    # A minimum or maximum within another query, and one that is none of a window.
    "SELECT id, EXISTS (SELECT max(t.secret)) FROM t",
    "SELECT EXISTS (SELECT (SELECT max(t.secret)) FROM t HAVING id = 1)",
    "SELECT EXISTS (SELECT count(*) FROM t HAVING EXISTS (SELECT max(t.secret)) AND id = 1)",
    "SELECT a FROM (SELECT id AS a, rank() OVER (PARTITION BY max(secret)) FROM t)",
    # Functions that look like aggregates.
    "SELECT a FROM (SELECT max(id, 0) AS a, max(secret) FROM t)",
    "SELECT a FROM (SELECT sum(id) OVER () AS a, max(secret) FROM t)",
    "SELECT a FROM (SELECT sum(id) FILTER (WHERE 1) OVER () AS a, max(secret) FROM t)",
    "SELECT a FROM (SELECT (SELECT sum(u.id * 0 + t.id) FROM t AS u) AS a, max(secret) FROM t)",
    # What looks as if it were grouped by.
    "SELECT name FROM (SELECT id AS name, max(secret) FROM t GROUP BY name)",
    "SELECT id FROM (SELECT *, max(secret) FROM t GROUP BY 2)",
    "SELECT id FROM (SELECT t.*, max(secret) FROM t GROUP BY 2)",
]  # fmt: skip
"""Queries of SQLite whose result tells whose secret is the greatest, or the least, and that use no secret."""


@pytest.mark.parametrize("text", TELLING, ids=range(len(TELLING)))
def test_a_bare_column_tells_in_sqlite(text: str):
    columns = ["id", "name", "secret"]
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE t (id INTEGER, name TEXT, secret INTEGER)")
        results: set[str] = set()
        for secrets in ((5, 6, 1), (6, 5, 1), (5, 6, 9)):
            database.execute("DELETE FROM t")
            rows = zip((1, 2, 3), ("a", "a", "b"), secrets, strict=True)
            database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
            results.add(repr(database.execute(text).fetchall()))
    assert len(results) > 1
    assert "secret" in analyse(text, {"t": columns}, "sqlite").used["t"]
    if not text.startswith("SELECT id, EXISTS"):
        for write in ("DELETE FROM other WHERE 1 IN ({})", "UPDATE other SET id = 1 WHERE id < ({})"):
            found = analyse(write.format(text), {"t": columns, "other": ["id"]}, "sqlite")
            assert ("t", "secret") in found.conditions


def test_a_column_left_out_of_a_star_is_of_one_table_in_duckdb():
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE a AS SELECT 1 AS id")
        connection.execute("CREATE TABLE b AS SELECT 2 AS id")
        assert connection.execute("SELECT * EXCLUDE (b.id) FROM a JOIN b ON true").fetchall() == [(1,)]


REFUSED = [
    # A schema's own function of a usual name.
    ("postgres", "SELECT g FROM crm.generate_series(1, 3) AS g"),
    ("postgres", "SELECT * FROM crm.json_each('{}')"),
    ("duckdb", "SELECT stats(email) FROM customer"),
    ("spark", "FROM customer |> SELECT id"),
    # Rows of both are deleted.
    ("mysql", "DELETE FROM mailing, customer USING mailing JOIN customer ON mailing.id = customer.id"),
]


@pytest.mark.parametrize(("dialect", "text"), REFUSED, ids=range(len(REFUSED)))
def test_is_refused(dialect: str, text: str):
    with pytest.raises(UnresolvedStatement):
        read(dialect, text)


def test_functions_of_a_schema_stand_for_rows_where_they_are_told():
    assert used("postgres", "SELECT * FROM pg_catalog.generate_series(1, 3)") == ""
    found = read("postgres", "SELECT a FROM orders, crm.parts(items) AS x (a)", {"crm.parts"})
    assert found.used == {"orders": {"items"}}
    text = "SELECT id FROM (SELECT id, crm.parts(items) FROM orders) AS t"
    assert read("postgres", text, {"crm.parts"}).used == {"orders": {"id", "items"}}


def test_postgres_reads_63_bytes_of_a_name():
    begin = "あ" * 21
    text = """
        SELECT (SELECT "?x" FROM (SELECT email AS "?y" FROM customer) AS inner_one LIMIT 1)
        FROM (SELECT id AS "?x" FROM orders) AS outer_one
    """
    assert used("postgres", text.replace("?", begin)) == "customer.email"


def test_bigquery_deletes_without_from():
    assert used("bigquery", "DELETE mailing AS m WHERE m.kind = 'x'") == "mailing.kind"


SEEN = [
    ("sqlite", "SELECT id FROM (SELECT *, -id AS email FROM customer ORDER BY email LIMIT 1)",
     "customer.email customer.id"),
    ("snowflake", "SELECT OBJECT_CONSTRUCT(email, 1, 'k', name) FROM customer", "customer.email customer.name"),
    ("duckdb", "SELECT @total FROM orders", "orders.total"),
    ("duckdb", "SELECT name[1:id] FROM customer", "customer.id customer.name"),
    ("duckdb", "SELECT name[:-1], name[:3], name[:$1] FROM customer", "customer.name"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "text", "expected"), SEEN, ids=range(len(SEEN)))
def test_what_looks_like_something_else_is_seen(dialect: str, text: str, expected: str):
    assert used(dialect, text) == expected


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("postgres", "SELECT id FROM orders WHERE @ total > 1"),
        ("postgres", "SELECT id, @total FROM orders"),
        ("postgres", "SELECT (ARRAY[1, 2])[:id] FROM customer"),
        ("duckdb", "SELECT 'secret'[:id] FROM customer"),
        ("duckdb", "SELECT 'secret'[:c.id + 1] FROM customer c"),
        ("duckdb", "SELECT 'secret'[ : \"id\" ] FROM customer"),
    ],
    ids=range(6),
)
def test_operators_that_the_parser_takes_for_parameters_are_refused(dialect: str, text: str):
    with pytest.raises(UnresolvedStatement, match=r"write `(abs|\[1)"):
        read(dialect, text)


def test_these_operators_read_columns_in_duckdb():
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT @n, 'secret'[:n] FROM (VALUES (-3), (2)) AS t (n)").fetchall()
    assert rows == [(3, "secr"), (2, "se")]


def test_a_row_with_fewer_values_is_no_row_in_duckdb():
    # A struct stands for several of them, so that the others are put elsewhere.
    text = "INSERT INTO mailing SELECT unnest({'a': 1, 'b': 2}) AS x, name FROM customer"
    with pytest.raises(UnresolvedStatement, match="2 values are put into 3 columns"):
        read("duckdb", text)
    assert writes("sqlite", "INSERT INTO mailing VALUES (1, 2, 3)") == {"address": "", "kind": "", "id": ""}


def test_a_row_of_mysql_has_several_values():
    text = (
        "INSERT INTO mailing (address, kind) VALUES ROW ((SELECT MAX(id) FROM customer), (SELECT 1)), ROW (1, DEFAULT)"
    )
    assert writes("mysql", text) == {"address": "customer.id", "kind": ""}


@pytest.mark.parametrize(("dialect", "name"), [("spark", "col2"), ("mysql", "column_1"), ("duckdb", "col1")])
def test_columns_of_values_are_called_as_the_engine_does(dialect: str, name: str):
    rows = "ROW (1, (SELECT MAX(id) FROM customer))" if dialect == "mysql" else "(1, (SELECT MAX(id) FROM customer))"
    assert used(dialect, f"SELECT {name} FROM (VALUES {rows}) AS t") == "customer.id"  # noqa: S608  # names


def test_outputs_of_one_name_are_told_apart_by_their_places():
    found = read("duckdb", "SELECT id AS x, lower(email), 1 AS x FROM customer")
    assert found.columns == (frozenset({("customer", "id")}), frozenset({("customer", "email")}), frozenset())
    assert read("duckdb", "SELECT COLUMNS('.*') FROM customer").columns is None
