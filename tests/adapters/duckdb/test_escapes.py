"""Ways around the guard that were tried: each is refused, and once more by the real connection."""

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import purposeguard as pg
from purposeguard.adapters.duckdb import connect
from purposeguard.adapters.duckdb.locked import MEMORY, LockedDatabase
from purposeguard.adapters.duckdb.rows import ReadyStatement
from purposeguard.adapters.duckdb.tags import source_of
from purposeguard.errors import UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.duckdb.places import GUARD, customer, parquet, written
from tests.oversights import STOPPED, Told

REFUSED = (UnresolvedStatement, pg.UnlabelledData, pg.PurposeViolation)


@pytest.fixture
def folder(tmp_path):
    customer(tmp_path / "customer.parquet")
    parquet(tmp_path / "secret.parquet", pa.table({"word": ["hidden"]}))
    written(tmp_path / "secret.csv", "word\nhidden\n")
    with duckdb.connect(tmp_path / "other.duckdb") as other:
        other.execute("CREATE TABLE secret AS SELECT 'hidden' AS word")
    return tmp_path


@pytest.fixture
def connection(folder):
    tables = {"customer": folder / "customer.parquet", "plain": pa.table({"x": [1, 2]})}
    with connect(GUARD, tables, tags={"plain": {"x": pg.NotPersonal}}) as made:
        yield made


ESCAPES = {
    "several statements": "SELECT 1 AS one; SELECT device FROM customer",
    "a statement behind a comment": "SELECT 1 AS one --\n; SELECT device FROM customer",
    "a statement in a comment within a comment": "SELECT 1 /* /* */ */, device FROM customer /* */",
    "an alias": "SELECT c.d FROM (SELECT device AS d FROM customer) AS c",
    "names for columns": "SELECT e FROM customer AS t(a, b, e, f, g)",
    "the whole row": "SELECT customer FROM customer",
    "a star": "SELECT * EXCLUDE (email) FROM customer",
    "columns by a pattern": "SELECT COLUMNS('dev.*') FROM customer",
    "a lambda": "SELECT list_transform([device], x -> x) FROM customer",
    "a struct": "SELECT {'d': device}.d FROM customer",
    "JSON": "SELECT to_json(customer) FROM customer",
    "counting by a condition": "SELECT count(*) FROM customer WHERE device = 'd1'",
    "a subquery in WHERE": "SELECT 1 AS one FROM plain WHERE EXISTS (SELECT 1 FROM customer WHERE device > 'a')",
    "ORDER BY": "SELECT id FROM customer ORDER BY device",
    "a window": "SELECT row_number() OVER (ORDER BY device) FROM customer",
    "QUALIFY": "SELECT id FROM customer QUALIFY row_number() OVER (PARTITION BY device) = 1",
    "a join": "SELECT x FROM plain JOIN customer ON device = 'd1'",
    "NATURAL JOIN": "SELECT a.id FROM customer AS a NATURAL JOIN customer AS b",
    "a positional join": "SELECT device FROM plain POSITIONAL JOIN customer",
    "PIVOT": "PIVOT customer ON device USING count(*)",
    "UNPIVOT": "UNPIVOT customer ON device INTO NAME n VALUE v",
    "SUMMARIZE": "SUMMARIZE customer",
    "DESCRIBE": "DESCRIBE customer",
    "SHOW": "SHOW TABLES",
    "a relation that shows": "SELECT * FROM (SUMMARIZE customer)",
    "the file, by its path": "SELECT * FROM '{folder}/customer.parquet'",
    "the file, in quotes": 'SELECT * FROM "{folder}/customer.parquet"',
    "the file, by a function": "SELECT * FROM read_parquet('{folder}/customer.parquet')",
    "another file": "SELECT * FROM '{folder}/secret.parquet'",
    "another file as CSV": "SELECT * FROM read_csv('{folder}/secret.csv')",
    "another file as text": "SELECT content FROM read_text('{folder}/secret.csv')",
    "another file as bytes": "SELECT content FROM read_blob('{folder}/secret.csv')",
    "files by a pattern": "SELECT * FROM read_parquet('{folder}/*.parquet')",
    "names of files": "SELECT * FROM glob('{folder}/*')",
    "what a file holds": "SELECT * FROM parquet_metadata('{folder}/customer.parquet')",
    "smallest and largest values": "SELECT stats_min FROM parquet_metadata('{folder}/customer.parquet')",
    "how CSV is read": "SELECT * FROM sniff_csv('{folder}/secret.csv')",
    "a file of the web": "SELECT * FROM 'https://example.com/x.parquet'",
    "another database": "ATTACH '{folder}/other.duckdb' AS other",
    "COPY to a file": "COPY customer TO '{folder}/out.csv'",
    "COPY of a query": "COPY (SELECT device FROM customer) TO '{folder}/out.csv'",
    "COPY from a file": "COPY plain FROM '{folder}/secret.csv'",
    "EXPORT": "EXPORT DATABASE '{folder}/out'",
    "IMPORT": "IMPORT DATABASE '{folder}'",
    "INSTALL": "INSTALL httpfs",
    "LOAD": "LOAD httpfs",
    "SET": "SET enable_external_access = true",
    "RESET": "RESET lock_configuration",
    "PRAGMA": "PRAGMA enable_profiling",
    "a variable": "SET VARIABLE x = (SELECT max(device) FROM customer)",
    "a macro": "CREATE MACRO m() AS (SELECT max(device) FROM customer)",
    "a macro that gives a table": "CREATE MACRO m() AS TABLE SELECT * FROM customer",
    "a view": "CREATE VIEW v AS SELECT device FROM customer",
    "a type": "CREATE TYPE t AS ENUM (SELECT device FROM customer)",
    "a secret": "CREATE SECRET (TYPE s3)",
    "PREPARE": "PREPARE p AS SELECT device FROM customer",
    "EXECUTE": "EXECUTE p",
    "EXPLAIN ANALYZE": "EXPLAIN ANALYZE SELECT device FROM customer",
    "CALL": "CALL pragma_version()",
    "a text run as a query": "SELECT * FROM query('SELECT device FROM customer')",
    "a table named by a text": "SELECT * FROM query_table('customer')",
    "the environment": "SELECT getenv('HOME')",
    "a setting": "SELECT current_setting('allowed_paths')",
    "settings": "SELECT * FROM duckdb_settings()",
    "views of DuckDB": "SELECT sql FROM duckdb_views()",
    "secrets of DuckDB": "SELECT * FROM duckdb_secrets()",
    "the catalogue": "SELECT * FROM information_schema.columns",
    "the catalogue of SQLite": "SELECT * FROM sqlite_master",
    "an error that tells a value": "SELECT error(device) FROM customer",
    "a frame that a variable holds": "SELECT * FROM frame",
    "deleting": "DELETE FROM customer WHERE device = 'd1' RETURNING device",
    "writing into a file's table": "INSERT INTO customer SELECT * FROM customer",
    "a table of what may not be read": "CREATE TABLE t AS SELECT device FROM customer",
    "a transaction": "BEGIN TRANSACTION",
    "another schema": "USE temp",
    "a checkpoint": "CHECKPOINT",
}


@pytest.mark.parametrize("text", ESCAPES.values(), ids=ESCAPES.keys())
def test_no_statement_gets_around_the_guard(connection, folder, text):
    frame = pa.table({"device": ["d1"]})  # what DuckDB would find by its name otherwise
    assert frame.num_rows
    with GUARD.purpose(tm.RenewalGuidance), pytest.raises(REFUSED):
        connection.sql(text.replace("{folder}", str(folder)))
    assert not (folder / "out.csv").exists()
    assert not (folder / "out").exists()
    with GUARD.purpose(tm.RenewalGuidance):
        assert len(connection.sql("SELECT email FROM customer").fetchall()) == 3  # as before


WALL = [
    name
    for name, text in ESCAPES.items()
    if any(word in text for word in ("{folder}", "https:", "httpfs", "SET ", "getenv", "FROM frame", "SECRET"))
    and "customer.parquet" not in text  # which the connection itself reads
    and not name.startswith("a variable")
]


@pytest.mark.parametrize("name", WALL)
def test_the_real_connection_refuses_what_would_slip_through(folder, name):
    frame = pa.table({"device": ["d1"]})
    assert frame.num_rows
    sources = {"customer": source_of("customer", folder / "customer.parquet", None, tm.NOTICE)}
    locked = LockedDatabase(MEMORY, sources)
    try:
        with locked.lend_cursor() as cursor, pytest.raises((duckdb.Error, OSError)):
            cursor.execute(ESCAPES[name].replace("{folder}", str(folder))).fetchall()
    finally:
        locked.close()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM '{folder}/customer.parquet'",
        "SELECT 1 WHERE EXISTS (FROM read_parquet('{folder}/customer.parquet'))", "SELECT * FROM (SUMMARIZE customer)",
        "WITH a AS (SELECT 1) SELECT * FROM a, information_schema.tables", "SELECT 1; SELECT 2", "DROP VIEW customer",
        "SELECT * FROM query('SELECT 1')",
    ],
)  # fmt: skip
def test_the_parser_of_duckdb_is_asked_as_well(folder, text):
    sources = {"customer": source_of("customer", folder / "customer.parquet", None, tm.NOTICE)}
    locked = LockedDatabase(MEMORY, sources)
    try:
        locked.verify_with_own_parser(
            "WITH a AS (SELECT email FROM Customer) SELECT * FROM a", {"customer"}, frozenset()
        )
        with pytest.raises(UnresolvedStatement):
            locked.verify_with_own_parser(text.replace("{folder}", str(folder)), {"customer"}, frozenset({"unnest"}))
    finally:
        locked.close()


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_what_analysis_would_miss_reads_as_nothing(folder, kind):
    given = folder / "customer.parquet"
    sources = {"customer": source_of("customer", given if kind == "parquet" else pq.read_table(given), None, tm.NOTICE)}
    locked = LockedDatabase(MEMORY, sources)
    try:
        locked.add_views({"v": "SELECT email, device FROM customer"})
        for text, rows in (
            ("SELECT email, device FROM customer ORDER BY id LIMIT 1", [("a@example.com", None)]),
            ("SELECT email, device FROM v WHERE device = 'd1'", []),
            ("SELECT count(device) FROM v", [(0,)]),
            ("SELECT max(device), min(id) FROM customer", [(None, 1)]),
        ):
            whole = ReadyStatement(text, {}, {})
            with locked.lend_cursor({"customer": ("email", "id", "device")}) as cursor:
                assert cursor.sql("SELECT max(device) FROM v").fetchall() == [("d3",)]
            found = locked.read(whole, None, {"customer": {"email", "id"}}).table
            assert list(zip(*(column.to_pylist() for column in found.columns), strict=True)) == rows
        nothing = locked.read(ReadyStatement("SELECT email FROM customer", {}, {}), None, {}).table
        assert nothing.column(0).null_count == 3
    finally:
        locked.close()


def test_columns_whose_type_would_change_are_left_as_they_are():
    table = pa.table({"e": pa.array(["x", "y"]).dictionary_encode(), "n": pa.nulls(2), "t": ["a", "b"]})
    tags = {"e": tm.Registration, "n": tm.Registration, "t": tm.Registration}
    views = {"v": "SELECT * FROM t"}
    with connect(GUARD, {"t": table}, tags={"t": tags}, views=views) as made, GUARD.purpose(tm.RenewalGuidance):
        for name in ("e", "n", "t", "*", "e, t"):
            assert len(made.sql("SELECT names FROM v".replace("names", name)).fetchall()) == 2


def test_no_attribute_leads_to_the_real_connection(connection):
    with GUARD.purpose(tm.RenewalGuidance):
        found = connection.sql("SELECT email FROM customer")
    for one in (connection, found):
        assert not hasattr(one, "__dict__")
        held = [getattr(one, name) for name in dir(one) if not name.startswith("__")]
        assert not any(isinstance(value, (duckdb.DuckDBPyConnection, duckdb.DuckDBPyRelation)) for value in held)
        assert not any(isinstance(value, pa.Table) for value in held)


def test_the_connection_that_comes_with_duckdb_knows_no_table_of_it(connection):
    with pytest.raises(duckdb.Error):
        duckdb.sql("SELECT * FROM customer")


def test_a_database_in_memory_that_has_a_name_is_refused():
    # Anybody in this process could open it.
    with pytest.raises(FileNotFoundError, match="no database"):
        connect(GUARD, {}, database=":memory:shared")


def test_a_database_with_macros_is_refused(tmp_path):
    with duckdb.connect(tmp_path / "d.duckdb") as own:
        own.execute("CREATE TABLE t AS SELECT 'x' AS device")
        own.execute("CREATE MACRO lower(x) AS (SELECT max(device) FROM t)")
    with pytest.raises(ValueError, match="a macro"):
        connect(GUARD, {}, tags={"t": {"device": tm.ProductData}}, database=tmp_path / "d.duckdb")


def test_an_id_of_a_subject_cannot_be_sql(tmp_path):
    evil = "x') OR error('y"
    guard = pg.Guard(tm.NOTICE, governance=Told({evil: STOPPED}))
    table = pa.table({"id": [evil, "b"], "email": ["a", "b"]})
    tags = {"id": [pg.NotPersonal, pg.Subject], "email": tm.Registration}
    with connect(guard, {"t": table}, tags={"t": tags}) as connection, guard.purpose(tm.RenewalGuidance):
        assert connection.sql("SELECT email FROM t").fetchall() == [("b",)]


def test_statistics_of_rows_that_are_left_out_are_not_shown(tmp_path):
    with duckdb.connect(tmp_path / "d.duckdb") as own:
        own.execute("CREATE TABLE crm AS SELECT * FROM (VALUES ('1.1(a)', 'a'), ('2.1(a)', 'zoe')) t (source, email)")
        shown = own.execute("SELECT stats(email) FROM crm WHERE email = 'a'").fetchall()[0][0]
        assert "zoe" in str(shown)  # a text before DuckDB 2, and a mapping since
    tags = {"source": pg.RowSource, "email": pg.ByRow}
    with (
        connect(GUARD, {}, tags={"crm": tags}, database=tmp_path / "d.duckdb") as made,
        GUARD.purpose(tm.RenewalGuidance),
        pytest.raises(UnresolvedStatement, match="stats"),
    ):
        made.sql("SELECT stats(email) FROM crm")


@pytest.mark.parametrize("comment", ["-- all\n", "/* all */ ", "/* a */-- b\n\n"])
def test_a_comment_before_create_changes_nothing(connection, comment):
    create = "CREATE TABLE made AS SELECT email FROM customer"
    with GUARD.purpose(tm.RenewalGuidance):
        connection.sql(comment + create)
        assert connection.sql("SELECT email FROM made").labels["email"] == pg.Label(tm.Registration)
        with pytest.raises(UnresolvedStatement, match="without OR REPLACE"):
            connection.sql(comment + create.replace("TABLE", "OR REPLACE TABLE"))


def test_no_functions_are_asked_for_where_none_can_be_told(connection):
    with GUARD.purpose(tm.RenewalGuidance), pytest.raises(UnresolvedStatement) as error:
        connection.sql("SELECT getenv('HOME')")
    assert error.value.why.startswith(
        "`getenv` is no function that is known to read nothing but its arguments: write it"
    )
