"""In observe mode a connection runs every text as DuckDB itself does, and reports what it would have refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import duckdb
import pyarrow as pa
import pytest

import purposeguard as pg
from purposeguard.adapters.duckdb import Connection, connect
from purposeguard.errors import UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.duckdb.places import CUSTOMER, ROWS
from tests.support import RecordingObserver

TAGS = {"customer": CUSTOMER, "kept": {"id": pg.NotPersonal, "text": pg.NotPersonal}}
SETUP = """
CREATE TABLE customer AS SELECT * FROM rows;
CREATE TABLE kept (id INTEGER PRIMARY KEY, text VARCHAR);
CREATE TABLE untagged AS SELECT 1 AS a;
CREATE MACRO shortened(text) AS left(text, 2);
"""

# The statements of one session, one after the other, and whether each would be refused whatever the purpose.
STATEMENTS: list[tuple[str, bool]] = [
    ("SELECT id, email FROM customer ORDER BY id", False),
    ("SELECT device, count(*) FROM customer GROUP BY ALL ORDER BY 1", False),
    ("SELECT sum(id), max(plan) FROM customer", False),
    ("INSERT INTO kept SELECT id, email FROM customer", True),
    ("INSERT INTO kept VALUES (9, 'nine') RETURNING id", False),
    ("UPDATE kept SET text = 'none' WHERE id = 9", False),
    ("DELETE FROM kept WHERE id = 9", False),
    ("SELECT * FROM kept ORDER BY id", False),
    ("CREATE TABLE derived AS SELECT email, plan FROM customer", False),
    ("SELECT * FROM derived ORDER BY 1", False),
    ("CREATE OR REPLACE TABLE derived AS SELECT email FROM customer", True),
    ("SELECT a FROM untagged", True),
    ("SELECT shortened(email) FROM customer ORDER BY 1", True),
    ("SELECT * FROM range(3)", False),
    ("SELECT count(*) > 0 FROM duckdb_functions()", True),
    ("PRAGMA table_info('customer')", True),
    ("EXPLAIN SELECT 1", True),
    ("DESCRIBE customer", True),
    ("SET threads = 1", True),
    ("BEGIN", True),
    ("DROP TABLE untagged", True),
    ("ROLLBACK", True),
    ("SELECT a FROM untagged; SELECT 2", True),
    ("COPY customer TO '{folder}/copied.csv'", True),
    ("SELECT count(*) FROM '{folder}/copied.csv'", True),
    ("ATTACH '{folder}/other.db' AS other", True),
    ("CREATE TABLE other.t AS SELECT email FROM customer", True),
    ("CREATE VIEW v AS SELECT email FROM customer", True),
    ("SELECT * FROM v ORDER BY 1", True),
    ("SELEKT", True),
    ("SELECT nobody FROM customer", True),
    ("INSERT INTO kept VALUES (1, 'a'), (1, 'b')", False),
    ("SELECT 1 // 0, CAST(email AS INTEGER) FROM customer", False),
]


def made(folder: Path) -> Path:
    folder.mkdir()
    with duckdb.connect(folder / "shop.db") as connection:
        connection.register("rows", pa.table(ROWS))
        connection.execute(SETUP)
    return folder / "shop.db"


def outcome(run: Any, text: str) -> object:
    """The rows, or the error, of a statement."""
    try:
        return run(text).fetchall()
    except duckdb.Error as error:
        return type(error), str(error)


@pytest.mark.parametrize("purpose", [None, tm.RenewalGuidance])
def test_each_statement_gives_what_duckdb_gives(tmp_path: Path, purpose: Any) -> None:
    observer = RecordingObserver()
    guard = pg.Guard(tm.NOTICE, mode="observe", observers=[observer])
    bare_folder, folder = tmp_path / "bare", tmp_path / "seen"
    bare_file, file = made(bare_folder), made(folder)
    with duckdb.connect(bare_file) as bare, connect(guard, {}, tags=TAGS, database=file) as connection:
        for text, is_refused in STATEMENTS:
            observer.errors.clear()
            # Before DuckDB 2, `sql` gives nothing for statements without rows.
            run = bare.sql if int(duckdb.__version__.partition(".")[0]) >= 2 else bare.execute
            expected = outcome(run, text.format(folder=bare_folder))
            if purpose is None:
                found = outcome(connection.sql, text.format(folder=folder))
            else:
                with guard.purpose(purpose):
                    found = outcome(connection.sql, text.format(folder=folder))
            assert repr(found).replace(str(folder), "") == repr(expected).replace(str(bare_folder), ""), text
            assert len(observer.errors) == is_refused, text
    assert {"customer.email", "customer.device", "customer.plan"} <= set(observer.read_names)
    assert {"customer.email", "customer.device", "customer.氏名"} <= set(observer.unresolved_names)
    assert {type(denial) for denial in observer.denials} == {
        pg.PurposeMissing if purpose is None else pg.PurposeViolation
    }


def connected(guard: pg.Guard, file: Path) -> Connection:
    return connect(guard, {}, tags=TAGS, database=file)


def test_an_activity_that_enforces_is_enforced_by_a_guard_that_observes(tmp_path: Path) -> None:
    guard = pg.Guard(tm.NOTICE, mode="observe")
    with connected(guard, made(tmp_path / "a")) as connection, guard.purpose(tm.RenewalGuidance, mode="enforce"):
        with pytest.raises(UnresolvedStatement, match="`shortened`, a macro"):
            connection.sql("SELECT email FROM customer")
        with guard.purpose(tm.RenewalGuidance, mode="observe"):
            assert connection.sql("DROP MACRO shortened").fetchall() == []
        assert len(connection.sql("SELECT email FROM customer").fetchall()) == 3
        with pytest.raises(pg.PurposeViolation):
            connection.sql("SELECT device FROM customer")
        with pytest.raises(UnresolvedStatement):
            connection.sql("PRAGMA version")


@pytest.mark.parametrize("mode", ["enforce", "observe"])
@pytest.mark.parametrize(
    "definition",
    [
        "CREATE MACRO lower(text) AS (SELECT max(device) FROM customer)",
        "CREATE TEMP MACRO lower(text) AS (SELECT max(device) FROM customer)",
    ],
)
def test_a_macro_of_an_observed_statement_takes_no_enforced_one_to_other_data(
    tmp_path: Path, mode: Literal["enforce", "observe"], definition: str
) -> None:
    file = made(tmp_path / "a")
    with duckdb.connect(file) as bare:
        bare.execute("DROP MACRO shortened; INSERT INTO kept VALUES (1, 'A')")
    guard = pg.Guard(tm.NOTICE, mode=mode)
    with connected(guard, file) as connection:
        with guard.purpose(tm.RenewalGuidance, mode="enforce"):
            assert connection.sql("SELECT lower(text) FROM kept").fetchall() == [("a",)]
        with guard.purpose(tm.RenewalGuidance, mode="observe"):
            connection.sql(definition)
        with (
            guard.purpose(tm.RenewalGuidance, mode="enforce"),
            pytest.raises(UnresolvedStatement, match="defines `lower`, a macro"),
        ):
            connection.sql("SELECT lower(text) FROM kept")


def test_a_statement_that_is_only_observed_runs_on_a_locked_connection(tmp_path: Path) -> None:
    guard = pg.Guard(tm.NOTICE)
    with connect(guard, {"customer": pa.table(ROWS)}, tags={"customer": CUSTOMER}) as connection:
        with guard.purpose(tm.RenewalGuidance):
            connection.sql("SELECT email FROM customer")  # Its other columns are hidden.
            with pytest.raises(UnresolvedStatement):
                connection.sql("DESCRIBE customer")
        with guard.purpose(tm.RenewalGuidance, mode="observe"):
            found = connection.sql("FROM customer ORDER BY id; FROM customer ORDER BY id")
            assert found.fetchall() == list(zip(*ROWS.values(), strict=True))
            assert set(found.labels["id"]) == {tm.Registration, tm.ProductData, tm.Contract}
            with pytest.raises(duckdb.PermissionException, match=re.escape("disabled by configuration")):
                connection.sql("SELECT * FROM '/nowhere.csv'")


def test_a_view_that_cannot_be_analysed_is_reported() -> None:
    observer = RecordingObserver()
    guard = pg.Guard(tm.NOTICE, mode="observe", observers=[observer])
    views = {"v": "SELECT tables.email FROM query_table('customer') AS tables ORDER BY 1"}
    tables = {"customer": pa.table(ROWS)}
    with connect(guard, tables, tags={"customer": CUSTOMER}, views=views) as connection:
        assert [type(error) for error in observer.errors] == [UnresolvedStatement]
        assert connection.sql("FROM v LIMIT 1").fetchall() == [("a@example.com",)]
