"""What is written follows its tags: tables that are made get them, and tables that are there must cover them."""

from typing import Any

import duckdb
import pyarrow as pa
import pytest

import purposeguard as pg
from purposeguard import ByRow, RowSource, Subject
from purposeguard.adapters.duckdb import connect
from purposeguard.errors import UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation
from tests.adapters.duckdb.places import GUARD, customer
from tests.oversights import STOPPED, Told


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "d.duckdb"
    with duckdb.connect(path) as own:
        own.execute("CREATE TABLE mailing (mail VARCHAR, plan VARCHAR, note VARCHAR)")
        own.execute("CREATE TABLE mixed (id INTEGER, source VARCHAR, email VARCHAR)")
        own.execute("INSERT INTO mixed VALUES (1, '1.1(a)', 'a'), (2, '2.1(a)', 'b')")
    return path


TAGS = {
    "mailing": {"mail": tm.Registration, "plan": [tm.Registration, tm.Contract]},
    "mixed": {"id": [pg.NotPersonal, Subject], "source": RowSource, "email": ByRow},
}


@pytest.fixture
def connection(tmp_path, database):
    with connect(GUARD, {"customer": customer(tmp_path / "c.parquet")}, tags=TAGS, database=database) as made:
        yield made


def test_a_table_that_is_made_has_the_tags_of_what_flows_into_it(connection):
    with GUARD.purpose(tm.RenewalGuidance):
        made = connection.sql("CREATE TABLE segment AS SELECT id, email, plan || email AS joint FROM customer")
        assert made.fetchall() == [(3,)]
        found = connection.sql("SELECT joint FROM segment")
        assert found.labels == {"joint": pg.Label(tm.Registration, tm.Contract)}
    with GUARD.purpose(tm.WebFeedback):
        assert connection.sql("SELECT id FROM segment ORDER BY 1").fetchall() == [(1,), (2,), (3,)]
        with pytest.raises(pg.PurposeViolation, match=r"`segment.email`"):
            connection.sql("SELECT email FROM segment")


def test_a_table_that_is_made_of_rows_with_sources_has_those_of_the_rows_that_are_kept(connection):
    with GUARD.purpose(tm.RenewalGuidance):
        connection.sql("CREATE TABLE kept AS SELECT email FROM mixed")
        found = connection.sql("SELECT * FROM kept")
        assert found.fetchall() == [("a",)]
        assert found.labels == {"email": pg.Label(tm.Registration, tm.Contract)}


def test_a_table_is_made_with_parameters_and_many_keys(database):
    guard = pg.Guard(tm.NOTICE, governance=Told({str(n): STOPPED for n in range(2, 3_000)}))
    with connect(guard, {}, tags=TAGS, database=database) as connection, guard.purpose(tm.RenewalGuidance):
        connection.sql("CREATE TABLE k AS SELECT email, ? AS x FROM mixed WHERE id < ?", ["x", 9])
        assert connection.sql("SELECT * FROM k").fetchall() == [("a", "x")]


@pytest.mark.parametrize(
    "text",
    [
        "CREATE OR REPLACE TABLE mailing AS SELECT id FROM customer",
        "CREATE TABLE IF NOT EXISTS mailing AS SELECT id FROM customer",
        "CREATE TEMP TABLE t AS SELECT id FROM customer", "CREATE TABLE main.t AS SELECT id FROM customer",
        "CREATE TABLE Mailing AS SELECT id FROM customer", "CREATE TABLE customer AS SELECT id FROM customer",
        "CREATE TABLE t (x INTEGER)", "CREATE TABLE t (x) AS SELECT id FROM customer",
        "CREATE VIEW v AS SELECT id FROM customer", "DROP TABLE mailing", "ALTER TABLE mailing ADD COLUMN x INTEGER",
        "TRUNCATE mailing",
    ],
)  # fmt: skip
def test_tables_are_made_in_one_way_alone(connection, text):
    with GUARD.purpose(tm.RenewalGuidance), pytest.raises(UnresolvedStatement):
        connection.sql(text)


def test_what_is_inserted_must_be_covered_by_the_tags_of_the_table(connection):
    with GUARD.purpose(tm.RenewalGuidance):
        found = connection.sql("INSERT INTO mailing (mail, plan) SELECT email, plan FROM customer WHERE id < ?", [3])
        assert found.fetchall() == [(2,)]
        assert connection.sql("SELECT count(mail) AS n FROM mailing").fetchall() == [(2,)]
        with pytest.raises(FlowViolation) as caught:
            connection.sql("INSERT INTO mailing (mail) SELECT plan FROM customer")
        assert (caught.value.target, caught.value.column) == ("mailing", "mail")
        assert caught.value.missing is pg.Label(tm.Contract)
        with pytest.raises(pg.UnlabelledData, match=r"`mailing.note`"):
            connection.sql("INSERT INTO mailing (note) SELECT email FROM customer")
        with pytest.raises(pg.PurposeViolation):
            connection.sql("INSERT INTO mailing (mail) SELECT device FROM customer")
        connection.sql("INSERT INTO mailing (mail) VALUES ('x')")
        with pytest.raises(FlowViolation):  # that there is a plan would be told by the mail
            connection.sql("UPDATE mailing SET mail = 'y' WHERE plan IS NULL")
        connection.sql("UPDATE mailing SET mail = 'y' WHERE mail = 'x'")
        connection.sql("DELETE FROM mailing WHERE mail <> 'y'")
        assert connection.sql("SELECT mail FROM mailing").fetchall() == [("y",)]


def test_values_that_rows_tell_of_go_only_where_their_source_goes_along(connection):
    with GUARD.purpose(tm.RenewalGuidance):
        with pytest.raises((FlowViolation, pg.UnlabelledData)):
            connection.sql("INSERT INTO mailing (mail) SELECT email FROM mixed")
        connection.sql("INSERT INTO mailing (plan) SELECT email FROM mixed")  # of the rows kept: 1.1(a), 1.1(c)
        connection.sql("INSERT INTO mixed SELECT id + 10, source, email FROM mixed")
        with pytest.raises((FlowViolation, pg.UnlabelledData)):
            connection.sql("INSERT INTO mixed (email) SELECT email FROM mixed")
        with pytest.raises((FlowViolation, pg.UnlabelledData)):
            connection.sql("INSERT INTO mixed (source, email) SELECT '2.1(a)', email FROM customer")
        assert connection.sql("SELECT id, email FROM mixed ORDER BY id").fetchall() == [(1, "a"), (11, "a")]


def test_returning_is_refused(connection):
    with GUARD.purpose(tm.RenewalGuidance), pytest.raises(UnresolvedStatement, match="RETURNING"):
        connection.sql("INSERT INTO mailing (mail) SELECT email FROM customer RETURNING mail")


def test_files_and_frames_are_not_written_to(connection, tmp_path):
    with GUARD.purpose(tm.RenewalGuidance), pytest.raises(duckdb.Error):
        connection.sql("DELETE FROM customer WHERE id = 1")
    frame = pa.table({"x": [1]})
    with connect(GUARD, {"t": frame}, tags={"t": {"x": pg.NotPersonal}}) as other, pytest.raises(duckdb.Error):
        other.sql("INSERT INTO t VALUES (2)")


def test_what_is_made_stays_in_the_database_and_is_named_again_with_its_tags(connection, database):
    with GUARD.purpose(tm.RenewalGuidance):
        connection.sql("CREATE TABLE segment AS SELECT email FROM customer")
    connection.close()
    with (
        connect(GUARD, {}, tags={"segment": {"email": tm.Registration}}, database=database) as again,
        GUARD.purpose(tm.RenewalGuidance),
    ):
        assert len(again.sql("SELECT email FROM segment")) == 3


def test_a_table_that_fails_to_be_made_is_not_there(connection):
    with GUARD.purpose(tm.RenewalGuidance):
        with pytest.raises(duckdb.ConversionException):
            connection.sql("CREATE TABLE t AS SELECT email::INTEGER AS n FROM customer")
        with pytest.raises((UnresolvedStatement, pg.UnlabelledData)):
            connection.sql("SELECT n FROM t")
        connection.sql("CREATE TABLE t AS SELECT email AS n FROM customer")


def test_what_would_not_be_put_where_it_goes_is_explained(connection):
    with GUARD.purpose(tm.RenewalGuidance):
        for text in (
            "INSERT INTO mailing (mail) SELECT plan FROM customer",
            "UPDATE mailing SET mail = 'x' WHERE plan = 'y'",
        ):
            found = connection.explain(text)
            assert all(one.allowed for one in found.used)
            assert not found.allowed
            assert isinstance(found.refused, FlowViolation)
            assert found.refused.missing == pg.Label(tm.Contract)
            with pytest.raises(FlowViolation):
                connection.sql(text)
        found = connection.explain("INSERT INTO mailing (note) SELECT 'x'")
        assert isinstance(found.refused, pg.UnlabelledData)
        assert connection.explain("INSERT INTO mailing (mail, plan) SELECT email, plan || email FROM customer").allowed
        assert connection.explain("DELETE FROM mailing").refused is None


def test_a_row_that_is_there_already_is_found_for_a_purpose_alone(tmp_path):
    path = tmp_path / "d.duckdb"
    with duckdb.connect(path) as own:
        own.execute("CREATE TABLE mailing (id INTEGER PRIMARY KEY, mail VARCHAR UNIQUE)")
        own.execute("INSERT INTO mailing VALUES (1, 'there')")
    guard = pg.Guard(tm.NOTICE, governance=Told({"1": STOPPED}))
    tags: dict[str, Any] = {"mailing": {"id": pg.NotPersonal, "mail": tm.Registration}}
    with connect(guard, {}, tags=tags, database=path) as connection:
        for text in (
            "INSERT OR IGNORE INTO mailing (mail) VALUES ('there')",
            "INSERT INTO mailing (id, mail) VALUES (2, 'there') ON CONFLICT (mail) DO NOTHING",
            "INSERT OR REPLACE INTO mailing VALUES (2, 'there')",
            "MERGE INTO mailing AS m USING (SELECT 'there' AS x) AS s ON m.mail = s.x WHEN MATCHED THEN DELETE",
        ):
            with pytest.raises(pg.PurposeMissing):
                connection.sql(text)
            with guard.purpose(tm.WebFeedback), pytest.raises(pg.PurposeViolation):
                connection.sql(text)
        text = "INSERT INTO mailing VALUES (1, 'new') ON CONFLICT (id) DO UPDATE SET mail = excluded.mail"
        assert connection.sql(text).fetchall() == [(1,)]
    tags["mailing"]["id"] = [pg.NotPersonal, Subject]
    with connect(guard, {}, tags=tags, database=path) as connection, guard.purpose(tm.RenewalGuidance):
        for text in (
            "INSERT OR IGNORE INTO mailing VALUES (1, 'new')",
            "INSERT INTO mailing VALUES (1, 'new') ON CONFLICT DO NOTHING",
            "INSERT INTO mailing VALUES (1, 'new') ON CONFLICT (mail) DO UPDATE SET id = mailing.id + 9",
        ):
            assert connection.sql(text).fetchall() == [(0,)] or "DO UPDATE" in text
        with pytest.raises(UnresolvedStatement, match="are left out"):
            connection.sql("INSERT OR REPLACE INTO mailing VALUES (1, 'new')")
        assert connection.sql("INSERT INTO mailing VALUES (3, 'other')").fetchall() == [(1,)]


MATCHES = [
    "email ~ 'example'", "email ~ '.*example.*'", "NOT email ~ 'example'", "email !~ 'example'",
    "(email !~ 'example') = (id > 1)", "id > 1 AND email || 'x' ~ 'examplex' OR id = 4",
    "regexp_matches(email, 'exam')", "regexp_full_match(email, 'exam')", "email SIMILAR TO 'exam.*'",
    "log10(id) = 0 OR log2(id) = 1",
]  # fmt: skip
"""Conditions that mean one thing to DuckDB, whichever release it is, and another one where an operator is replaced."""


@pytest.mark.parametrize("condition", MATCHES)
def test_a_guarded_statement_keeps_the_operators_of_the_engine(tmp_path, condition):
    path = tmp_path / "m.duckdb"
    with duckdb.connect(path) as own:
        own.execute("CREATE TABLE people (id INTEGER, source VARCHAR, email VARCHAR)")
        own.execute(
            "INSERT INTO people SELECT id, '1.1(a)', email FROM (VALUES (1, 'example'), (2, 'a@example.com'), "
            "(3, 'other'), (4, 'exam')) AS rows (id, email)"
        )
        expected = own.execute(f"SELECT id FROM people WHERE {condition} ORDER BY id").fetchall()  # noqa: S608  # a condition of ours
    tags: dict[str, dict[str, object]] = {
        "plain": {"people": {"id": pg.NotPersonal, "source": pg.NotPersonal, "email": tm.Registration}},
        "by row": {"people": {"id": [pg.NotPersonal, Subject], "source": RowSource, "email": ByRow}},
    }
    for kind, declared in tags.items():
        copy = tmp_path / f"{kind}.duckdb"
        copy.write_bytes(path.read_bytes())
        with connect(GUARD, {}, tags=declared, database=copy) as connection, GUARD.purpose(tm.RenewalGuidance):
            text = f"SELECT id FROM people WHERE {condition} ORDER BY id"  # noqa: S608  # the same
            assert connection.sql(text).fetchall() == expected
            connection.sql(f"CREATE TABLE made AS SELECT id, email FROM people WHERE {condition}")  # noqa: S608  # the same
            assert connection.sql("SELECT id FROM made ORDER BY id").fetchall() == expected
            connection.sql(f"DELETE FROM people WHERE {condition}")  # noqa: S608  # the same
            left = connection.sql("SELECT id FROM people ORDER BY id").fetchall()
            assert left == [(number,) for number in range(1, 5) if (number,) not in expected]
