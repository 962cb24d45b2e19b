import copy
import datetime
import decimal
import pickle
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import purposeguard as pg
from purposeguard.adapters import arrow
from purposeguard.adapters.duckdb import connect
from purposeguard.adapters.tags import KEY, decode
from purposeguard.errors import UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.duckdb.places import CUSTOMER, GUARD, ROWS, customer
from tests.support import RecordingLedger


@pytest.fixture
def connection(tmp_path):
    with connect(GUARD, {"customer": customer(tmp_path / "customer.parquet")}) as made:
        yield made


def test_a_query_gives_its_rows_and_labels_its_columns(connection):
    with GUARD.purpose(tm.RenewalGuidance):
        found = connection.sql("SELECT 氏名, email || plan AS both, 1 AS one FROM customer ORDER BY id")
        assert found.columns == ("氏名", "both", "one")
        assert found.labels == {
            "氏名": pg.Label(tm.Registration),
            "both": pg.Label(tm.Registration, tm.Contract),
            "one": pg.Label(pg.NotPersonal),
        }
        assert found.fetchone() == ("太郎", "a@example.comA", 1)
        assert found.fetchall() == [("花子", "b@example.comB", 1), ("次郎", "c@example.comA", 1)]
        assert found.fetchone() is None
        assert found.fetchall() == []
        assert len(found) == 3


def test_rows_read_where_a_condition_holds_are_fetched_where_it_holds_alone():
    tables = tm.NOTICE.dump()
    tables["condition"] = [{"id": "adult", "title": {"en": "is of age", "ja": "成人"}}]
    tables["grant"][0]["purpose"][0]["when"] = ["adult"]
    guard = pg.Guard(pg.Notice.parse(tables))
    given, tags = {"t": pa.table({"email": ["a", "b"]})}, {"t": {"email": "1.1(a)"}}
    with connect(guard, given, tags=tags) as connection:
        with guard.purpose("1.2(1)①"), pytest.raises(pg.ConditionViolation):
            connection.sql("SELECT email FROM t")
        with guard.purpose("1.2(1)①", conditions={"adult"}):
            found = connection.sql("SELECT email FROM t")
            with guard.purpose("1.2(1)①"), pytest.raises(pg.PurposeMissing, match="has another purpose"):
                found.fetchone()
            assert found.fetchall() == [("a",), ("b",)]


def test_without_a_purpose_only_what_is_not_personal_is_answered(connection):
    assert connection.sql("SELECT count(*) AS n, max(id) FROM customer").fetchall() == [(3, 3)]
    with pytest.raises(
        pg.PurposeMissing, match=r"^select of `customer` in .*\.test_without_a_purpose.*_connection\.py:"
    ):
        connection.sql("SELECT email FROM customer WHERE email <> 'secret'")
    with pytest.raises(pg.PurposeMissing, match=r"^create of `kept`, `customer` in "):
        connection.sql("CREATE TABLE kept AS SELECT email FROM customer")
    with pytest.raises(pg.PurposeMissing, match=r"^explanation of `customer` in "):
        connection.explain("SELECT email FROM customer")


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("SELECT email FROM customer WHERE id = ?", [2]),
        ("SELECT email FROM customer WHERE id = $1", (2,)),
        ("SELECT email FROM customer WHERE id = $which", {"which": 2}),
    ],
)
def test_parameters_are_given_apart(connection, text, parameters):
    with GUARD.purpose(tm.RenewalGuidance):
        assert connection.sql(text, parameters).fetchall() == [("b@example.com",)]


@pytest.mark.parametrize(
    "text", ["SELECT 1; SELECT 2", "DROP TABLE customer", "SELECT nobody FROM customer", "SELECT * FROM elsewhere", ""]
)
def test_a_view_that_cannot_be_looked_into_is_refused(tmp_path, text):
    with pytest.raises((UnresolvedStatement, pg.UnlabelledData)):
        connect(GUARD, {"customer": customer(tmp_path / "c.parquet")}, views={"v": text})


def test_frames_and_tables_of_arrow_are_read_as_they_are(tmp_path):
    tagged = arrow.tagged(pa.table(ROWS), CUSTOMER, tm.NOTICE)
    tables = {
        "arrow": tagged,
        "batch": tagged.to_batches()[0],
        "pandas": pd.DataFrame(ROWS),
        "polars": pl.DataFrame(ROWS),
    }
    tags = {"pandas": CUSTOMER, "polars": CUSTOMER}
    with connect(GUARD, tables, tags=tags) as connection, GUARD.purpose(tm.RenewalGuidance):
        for name in tables:
            assert connection.sql("SELECT 氏名 FROM any_of WHERE id = 2".replace("any_of", name)).fetchall() == [
                ("花子",)
            ]
            with pytest.raises(pg.PurposeViolation):
                connection.sql("SELECT device FROM any_of".replace("any_of", name))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"id": [1]}, "is given as dict"),
        (3, "is given as int"),
        (None, "is given as NoneType"),
        (pl.LazyFrame({"id": [1]}), "collect"),
    ],
    ids=["dict", "int", "nothing", "lazy"],
)
def test_what_is_no_table_is_refused(given, told):
    with pytest.raises(TypeError, match=told):
        connect(GUARD, {"t": given}, tags={"t": {"id": pg.NotPersonal}})


def test_a_frame_of_mixed_values_is_refused():
    with pytest.raises(ValueError, match="values of several types"):
        connect(GUARD, {"t": pd.DataFrame({"x": ["a", 1]})}, tags={"t": {"x": pg.NotPersonal}})


@pytest.mark.parametrize("names", [["t", "T"], ["a.b"], [" "], [""]])
def test_names_that_statements_cannot_tell_apart_are_refused(names):
    with pytest.raises(ValueError, match=r"one name to DuckDB|no name for a table"):
        connect(GUARD, {name: pa.table({"x": [1]}) for name in names})


def test_a_table_and_a_view_of_one_name_are_refused():
    with pytest.raises(ValueError, match="one name"):
        connect(GUARD, {"t": pa.table({"x": [1]})}, views={"T": "SELECT 1 AS x"})


def test_names_beyond_ascii_and_with_quotes_work(tmp_path):
    table = pa.table({'番"号': [1], "the name": ["x"]})
    tags = {'番"号': pg.NotPersonal, "the name": tm.Registration}
    with connect(GUARD, {'顧"客': table}, tags={'顧"客': tags}) as connection, GUARD.purpose(tm.RenewalGuidance):
        assert connection.sql('SELECT "番""号", "the name" FROM "顧""客"').fetchall() == [(1, "x")]


def test_rows_are_handed_out_while_their_use_is_under_way(connection):
    with GUARD.purpose(tm.RenewalGuidance, activity="remind"):
        found = connection.sql("SELECT email FROM customer")
    for fetch in (found.fetchall, found.fetchone, found.arrow, found.df, found.pl, lambda: len(found)):
        with pytest.raises(pg.PurposeMissing, match=r"^fetch of `customer` in .*:\d+\) outside any purpose: .* ended"):
            fetch()
    with GUARD.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeMissing):
        found.fetchall()  # another use of the same purpose


def test_rows_are_not_handed_out_within_another_purpose(connection):
    with GUARD.purpose(tm.ProductImprovement):
        found = connection.sql("SELECT device FROM customer ORDER BY 1")
        with (
            GUARD.purpose(tm.RenewalGuidance, activity="b"),
            pytest.raises(pg.PurposeMissing, match=r"another purpose"),
        ):
            found.fetchall()
        with GUARD.purpose(tm.ProductImprovement):
            assert found.fetchone() == ("d1",)
        assert len(found.fetchall()) == 2


def test_rows_are_not_handed_out_to_another_thread(connection):
    with GUARD.purpose(tm.RenewalGuidance), ThreadPoolExecutor(1) as pool:
        found = connection.sql("SELECT email FROM customer")
        with pytest.raises(pg.PurposeMissing):
            pool.submit(found.fetchall).result()
        assert len(pool.submit(GUARD.carry(found.fetchall)).result()) == 3


def test_rows_that_are_not_personal_are_handed_out_anywhere(connection):
    with GUARD.purpose(tm.RenewalGuidance):
        found = connection.sql("SELECT id FROM customer ORDER BY 1")
    assert found.fetchall() == [(1,), (2,), (3,)]


def test_a_result_as_a_table_of_arrow_bears_its_tags(connection):
    with GUARD.purpose(tm.RenewalGuidance):
        table = connection.sql("SELECT email, plan || email AS joint, id FROM customer").arrow()
    found = arrow.columns_of(table, tm.NOTICE)
    assert {name: tag.label for name, tag in found.items()} == {
        "email": pg.Label(tm.Registration),
        "joint": pg.Label(tm.Registration, tm.Contract),
        "id": pg.Label(pg.NotPersonal),
    }
    with connect(GUARD, {"again": table}) as other, GUARD.purpose(tm.RenewalGuidance):
        assert len(other.sql("SELECT joint FROM again")) == 3


def test_a_result_as_a_frame_has_its_tags_beside_it(connection):
    with GUARD.purpose(tm.RenewalGuidance):
        found = connection.sql("SELECT 氏名, id FROM customer ORDER BY id")
        assert list(found.df()["氏名"]) == ["太郎", "花子", "次郎"]
        assert found.pl()["id"].to_list() == [1, 2, 3]
    assert found.tags["氏名"].label is pg.Label(tm.Registration)
    assert not found.tags["id"].is_personal


def test_columns_of_one_name_are_labelled_by_both(connection):
    with GUARD.purpose(tm.RenewalGuidance):
        found = connection.sql("SELECT email AS x, plan AS x FROM customer ORDER BY id")
        assert found.columns == ("x", "x")
        assert found.labels == {"x": pg.Label(tm.Registration, tm.Contract)}
        assert found.fetchone() == ("a@example.com", "A")


def test_values_are_those_of_python(connection):
    found = connection.sql(
        "SELECT sum(id) AS s, 1.50::DECIMAL(5,2) AS d, DATE '2025-06-01' AS day, TRUE AS yes, NULL AS nothing, "
        "[1, 2] AS list, {'a': 'x'} AS struct, TIME '10:00' AS t, 'x'::BLOB AS b FROM customer"
    )
    assert found.fetchall() == [
        (6, decimal.Decimal("1.50"), datetime.date(2025, 6, 1), True, None, [1, 2], {"a": "x"}, datetime.time(10), b"x")
    ]
    assert type(connection.sql("SELECT sum(id) FROM customer").fetchall()[0][0]) is int


VALUES = [
    "INTERVAL '1 year 2 days 3.5 seconds'", "INTERVAL (-5) HOUR", "[INTERVAL 1 MONTH, NULL]",
    "{'a': INTERVAL 1 DAY, 'b': [{'c': INTERVAL (-5) HOUR}], 'd': 1}", "MAP {'x': INTERVAL 1 HOUR, 'y': NULL}",
    "MAP {1: [2]}", "MAP {}", "array_value(INTERVAL 1 HOUR, INTERVAL 2 HOUR)", "array_value(1, NULL, 3)",
    "[array_value(1, 2)]", "TIMESTAMP_NS '2024-01-01 00:00:00.123456789'",
    "'6f1a6a3e-2b1c-4a5e-9d3b-0a1b2c3d4e5f'::UUID", "12345678901234567890123::HUGEINT",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_values_have_the_types_of_a_connection_without_a_guard(connection, value):
    text = f"SELECT * FROM (VALUES ({value}), (NULL)) AS t (x)"  # noqa: S608  # of ours
    with duckdb.connect() as bare:
        expected, frame = bare.execute(text).fetchall(), bare.execute(text).df()
    rows = connection.sql(text)
    assert repr(rows.fetchall()) == repr(expected)
    assert repr(connection.sql(text).fetchone()) == repr(expected[0])
    if value.startswith("INTERVAL"):
        assert connection.sql(text).df().dtypes.equals(frame.dtypes)
        assert connection.sql(text).pl()["x"].to_list() == [row[0] for row in expected]


def test_comments_before_a_statement_take_no_time(connection):
    comments = "/* a */ -- b\n" * 200
    assert connection.sql(f"{comments} SELECT 1 AS one").fetchall() == [(1,)]
    assert connection.sql(f"{comments} CREATE TABLE made AS SELECT 1 AS one").columns == ("Count",)


def test_results_and_connections_are_not_copied_and_show_no_rows(connection):
    with GUARD.purpose(tm.RenewalGuidance):
        found = connection.sql("SELECT email FROM customer")
        assert repr(found) == "<Result email>"
        assert "customer" not in repr(connection)
        for one in (found, connection):
            for way in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError):
                    way(one)


def test_an_error_while_it_runs_tells_no_values(connection):
    with GUARD.purpose(tm.RenewalGuidance), pytest.raises(duckdb.ConversionException) as caught:
        connection.sql("SELECT email::INTEGER FROM customer")
    assert "example.com" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_an_error_of_types_says_what_is_wrong(connection):
    with pytest.raises(duckdb.BinderException, match="date_part"):
        connection.sql("SELECT date_part('year', id) FROM customer")


def test_a_connection_works_in_many_threads(connection):
    barrier = threading.Barrier(8)

    own = "SELECT device AS x, count(*) AS n FROM customer GROUP BY ALL ORDER BY 1"
    other = "SELECT plan AS x, count(*) AS n FROM customer GROUP BY ALL ORDER BY 1"
    asked = [(tm.ExperienceHearing, own), (tm.RenewalGuidance, other)]

    def ask(number):
        barrier.wait()
        purpose, text = asked[number % 2]
        rows = []
        for _ in range(5):
            with GUARD.purpose(purpose):
                rows = connection.sql(text).fetchall()
            with GUARD.purpose(tm.TrafficAnalysis), pytest.raises(pg.PurposeViolation):
                connection.sql(text)
        return rows

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))
    assert found[0] == [("d1", 1), ("d2", 1), ("d3", 1)]
    assert found[1] == [("A", 2), ("B", 1)]


def test_frames_are_there_in_every_thread():
    with connect(GUARD, {"t": pa.table({"x": list(range(10))})}, tags={"t": {"x": pg.NotPersonal}}) as connection:
        barrier = threading.Barrier(4)

        def ask(_):
            barrier.wait()
            return connection.sql("SELECT sum(x) AS s FROM t, range(1000)").fetchall()

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(ask, range(4))) == [[(45_000,)]] * 4


def test_a_closed_connection_answers_nothing(connection):
    connection.sql("SELECT 1 AS one")
    connection.close()
    connection.close()
    with pytest.raises(duckdb.ConnectionException):
        connection.sql("SELECT 1 AS one")


def test_a_statement_is_explained_without_being_run(connection):
    with GUARD.purpose(tm.RenewalGuidance):
        found = connection.explain("SELECT email, upper(device) AS d FROM customer WHERE plan = 'A'")
    assert found.kind == "select"
    assert not found.allowed
    assert [(one.table, one.column, one.allowed) for one in found.used] == [
        ("customer", "email", True),
        ("customer", "device", False),
        ("customer", "plan", True),
    ]
    # The plan chooses rows.
    labels = {"email": pg.Label(tm.Registration, tm.Contract), "d": pg.Label(tm.ProductData, tm.Contract)}
    assert found.outputs == labels


def test_the_ledger_is_told_of_each_statement(tmp_path):
    ledger = RecordingLedger()
    guard = pg.Guard(tm.NOTICE, ledger=ledger)
    with (
        connect(guard, {"customer": customer(tmp_path / "c.parquet")}) as connection,
        guard.purpose(tm.RenewalGuidance),
    ):
        connection.sql("SELECT email, plan FROM customer").fetchall()
        connection.sql("SELECT email FROM customer").fetchall()
        with pytest.raises(pg.PurposeViolation):
            connection.sql("SELECT device FROM customer")
    uses = Counter(
        {label: sum(count for *_, of, count in ledger.uses if of is label) for _, _, label, _ in ledger.uses}
    )
    assert uses == {pg.Label(tm.Registration): 2, pg.Label(tm.Contract): 1}
    ((denial, observed),) = ledger.denials
    assert isinstance(denial, pg.PurposeViolation)
    assert (denial.field, observed) == ("customer.device", False)


def test_where_it_is_only_observed_a_missing_purpose_is_told_once(tmp_path):
    ledger = RecordingLedger()
    guard = pg.Guard(tm.NOTICE, mode="observe", ledger=ledger)
    with connect(guard, {"customer": customer(tmp_path / "c.parquet")}) as connection:
        assert len(connection.sql("SELECT device FROM customer").fetchall()) == 3
    ((missing, observed),) = ledger.denials
    assert isinstance(missing, pg.PurposeMissing)
    assert observed


def test_a_name_that_duckdb_makes_up_is_not_taken_for_another_output():
    table = pa.table({"id": [1], "email": ["a@example.com"]})
    tags = {"id": pg.NotPersonal, "email": tm.Registration}
    with connect(GUARD, {"t": table}, tags={"t": tags}) as made, GUARD.purpose(tm.RenewalGuidance):
        found = made.sql('SELECT id AS "lower(email)", lower(email), id, id FROM t').arrow()
        assert found.column_names == ["lower(email)", "lower(email)", "id", "id"]
        labels = [decode(field.metadata[KEY.encode()].decode(), tm.NOTICE, "x").label for field in found.schema]
    assert [str(label) for label in labels] == ["Label(not-personal)", "Label(1.1(a))"] + ["Label(not-personal)"] * 2


def test_days_that_python_does_not_have_are_texts(connection):
    found = connection.sql("SELECT * FROM (VALUES (DATE '2020-01-01', 1), (DATE '20000-01-01', 2)) AS t (day, n)")
    assert found.fetchone() == (datetime.date(2020, 1, 1), 1)
    assert found.fetchall() == [("20000-01-01", 2)]
    assert connection.sql("SELECT TIMESTAMP 'infinity' AS t").fetchone() is not None


def test_half_a_character_is_refused_without_the_text(connection):
    with pytest.raises(UnresolvedStatement, match=r"U\+D800") as error:
        connection.sql("SELECT 'secret \ud800' AS x")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("word", ["current_user", "session_user", "localtime", "current_date", "current_catalog"])
def test_a_word_without_brackets_is_the_column_of_this_name(word):
    # DuckDB reads the column, and gives the function's value where there is none.
    tags = {"t": {"id": pg.NotPersonal, word: tm.Registration}}
    with connect(GUARD, {"t": pa.table({"id": [1], word: ["mine"]})}, tags=tags) as connection:
        text = f"SELECT {word}, upper({word}) FROM t WHERE {word} = 'mine'"  # noqa: S608  # words of ours
        with GUARD.purpose(tm.RenewalGuidance):
            found = connection.sql(text)
            assert found.fetchall() == [("mine", "MINE")]
            assert set(found.labels.values()) == {pg.Label(tm.Registration)}
        with GUARD.purpose(tm.WebFeedback):
            with pytest.raises(pg.PurposeViolation):
                connection.sql(text)
            with pytest.raises(pg.PurposeViolation):
                connection.sql(f"SELECT id FROM t ORDER BY {word}")  # noqa: S608
            assert connection.sql("SELECT id FROM t").fetchall() == [(1,)]
        assert connection.sql(f"SELECT {word} IS NOT NULL FROM (SELECT 1 AS x)").fetchall() == [(True,)]  # noqa: S608
