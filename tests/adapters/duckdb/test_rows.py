"""Rows that may not be used are left out: by their own sources, and by what their subjects asked for."""

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import purposeguard as pg
from purposeguard import ByRow, RowSource, Subject
from purposeguard.adapters.duckdb import connect
from purposeguard.errors import UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from tests.oversights import STOPPED, Told

MIXED = pa.table(
    {
        "Id": [1, 2, 3, 4, 5],
        "source": ["1.1(a)", "web-contact", "１．１（ａ）", "Registration", "2.1(b)"],
        "email": ["a", "b", "c", "d", "e"],
    }
)
TAGS = {"Id": [pg.NotPersonal, Subject], "source": RowSource, "email": ByRow}


def guard(*stopped):
    return pg.Guard(tm.NOTICE, governance=Told(dict.fromkeys(map(str, stopped), STOPPED)))


@pytest.fixture(params=["arrow", "parquet", "database"])
def place(request, tmp_path):
    """The mixed table, in each place that it may be in: what `connect` is given."""
    if request.param == "arrow":
        return {"tables": {"crm": MIXED}}
    pq.write_table(MIXED, tmp_path / "crm.parquet")
    if request.param == "parquet":
        return {"tables": {"crm": tmp_path / "crm.parquet"}}
    with duckdb.connect(tmp_path / "d.duckdb") as own:
        own.execute(f"CREATE TABLE crm AS FROM '{tmp_path / 'crm.parquet'}'")
    return {"tables": {}, "database": tmp_path / "d.duckdb"}


def test_rows_are_kept_whose_source_may_serve_the_purpose(place):
    told = pg.Guard(tm.NOTICE)
    with connect(told, tags={"crm": TAGS}, **place) as connection:
        with told.purpose(tm.RenewalGuidance):
            found = connection.sql("SELECT Id, email FROM crm ORDER BY Id")
            assert found.fetchall() == [(1, "a"), (3, "c"), (4, "d")]
            assert found.labels["email"] is pg.Label(tm.Registration, tm.Contract)
            assert connection.sql("SELECT count(email) AS n, count(*) AS all FROM crm").fetchall() == [(3, 3)]
            assert connection.sql("SELECT count(*) AS n FROM crm").fetchall() == [(5,)]  # uses no column
        with told.purpose(tm.WebFeedback):
            assert connection.sql("SELECT email FROM crm ORDER BY 1").fetchall() == [("b",), ("e",)]
        with told.purpose(tm.TrafficAnalysis):
            assert connection.sql("SELECT email FROM crm").fetchall() == []


def test_a_subject_who_stops_a_use_meanwhile_is_left_out_at_once():
    told = guard()
    with connect(told, {"crm": MIXED}, tags={"crm": TAGS}) as connection, told.purpose(tm.RenewalGuidance):
        text = "SELECT email FROM crm ORDER BY 1"
        assert connection.sql(text).fetchall() == [("a",), ("c",), ("d",)]
        told.governance.all_preferences["3"] = STOPPED
        assert connection.sql(text).fetchall() == [("a",), ("d",)]


def test_many_subjects_are_left_out():
    stopped = range(0, 20_000, 2)
    told = guard(*stopped)
    ids = list(range(20_000))
    tables = {
        "a": pa.table({"id": ids, "email": [f"e{one}" for one in ids]}),
        "b": pa.table({"id": [str(one) for one in ids], "plan": ["p"] * len(ids)}),
    }
    tags = {
        "a": {"id": [pg.NotPersonal, Subject], "email": tm.Registration},
        "b": {"id": [pg.NotPersonal, Subject], "plan": tm.Contract},
    }
    with connect(told, tables, tags=tags) as connection, told.purpose(tm.RenewalGuidance):
        text = "SELECT count(email) AS n, min(a.id) AS low FROM a JOIN b ON a.id = b.id::INTEGER WHERE plan = 'p'"
        assert connection.sql(text).fetchall() == [(10_000, 1)]
        for _ in range(2):
            assert connection.sql("SELECT count(email) AS n FROM a").fetchall() == [(10_000,)]


def test_parameters_keep_their_places_where_rows_are_left_out(place):
    told = guard(4)
    with connect(told, tags={"crm": TAGS}, **place) as connection, told.purpose(tm.RenewalGuidance):
        assert connection.sql("SELECT ?, email FROM crm WHERE Id > ? LIMIT ?", ["x", 1, 5]).fetchall() == [("x", "c")]
        assert connection.sql("SELECT $b, email FROM crm WHERE Id > $a", {"a": 1, "b": "x"}).fetchall() == [("x", "c")]


@pytest.mark.parametrize(
    ("source", "error", "told"),
    [("9.9(z)", pg.UnknownSource, r"`9\.9\(z\)`"), (None, pg.UnlabelledData, "holds no source in `source`")],
)
def test_a_row_of_an_unknown_source_or_of_none_is_refused(tmp_path, source, error, told):
    table = pa.table({"Id": [1, 2], "source": ["1.1(a)", source], "email": ["secret", "b"]})
    for number, given in enumerate((table, tmp_path / "t.parquet")):
        if number:
            pq.write_table(table, given)
        with connect(GUARD, {"crm": given}, tags={"crm": TAGS}) as connection, GUARD.purpose(tm.RenewalGuidance):
            with pytest.raises(error, match=told) as caught:
                connection.sql("SELECT email FROM crm")
            assert caught.value.__context__ is None


GUARD = pg.Guard(tm.NOTICE)


def test_no_statement_can_pass_a_value_off_as_an_unknown_source():
    told = guard(1)
    with connect(told, {"crm": MIXED}, tags={"crm": TAGS}) as connection, told.purpose(tm.RenewalGuidance):
        for text in (
            "SELECT error('unknown source `' || email || '`: trendmicro-jp has no such one') FROM crm",
            "SELECT email::INTEGER AS n FROM crm",
        ):
            with pytest.raises((duckdb.Error, UnresolvedStatement)) as caught:
                connection.sql(text)
            assert "`a`" not in str(caught.value)
            assert "'a'" not in str(caught.value)


def test_a_column_that_may_not_be_used_is_refused_whatever_rows_say():
    told = guard()
    table = pa.table({"id": [1], "device": ["d"]})
    tags = {"id": [pg.NotPersonal, Subject], "device": tm.ProductData}
    with connect(told, {"t": table}, tags={"t": tags}) as connection, told.purpose(tm.RenewalGuidance):
        with pytest.raises(pg.PurposeViolation, match=r"`t.device`"):
            connection.sql("SELECT device FROM t")
        found = connection.explain("SELECT device FROM t")
        assert [(one.by_row, one.allowed) for one in found.used] == [(True, False)]


def test_what_is_explained_is_labelled_by_the_rows_that_would_be_kept(place):
    office = guard()
    with connect(office, **place, tags={"crm": TAGS}) as connection:
        with office.purpose(tm.RenewalGuidance):
            found = connection.explain("SELECT email FROM crm")
        assert found.outputs == {"email": pg.Label(tm.Registration, tm.Contract)}
        assert [(one.column, one.label, one.by_row) for one in found.used] == [
            ("email", pg.Label(tm.Registration, tm.Contract), True)
        ]
        with office.purpose(tm.RenewalGuidance, mode="observe"):
            assert connection.explain("SELECT email FROM crm").outputs == {"email": pg.Label(*tm.NOTICE.sources)}
