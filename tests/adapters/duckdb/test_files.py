import gzip
import os
import shutil

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

import purposeguard as pg
from purposeguard.adapters import arrow
from purposeguard.adapters.duckdb import connect
from purposeguard.adapters.duckdb.locked import MAX_HIDEABLE_COLUMNS
from purposeguard.adapters.tags import KEY
from purposeguard.errors import UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.duckdb.places import CUSTOMER, GUARD, ROWS, customer, parquet, written

TAGS = {"id": pg.NotPersonal, "total": tm.Contract}
SOUND = '{"notice":"trendmicro-jp","revision":"2024-04-01","sources":["1.1(a)"],"version":1}'


def rows(path, text, tags=None, purpose=tm.RenewalGuidance):
    told = {} if tags is None else {"t": tags}
    with connect(GUARD, {"t": path}, tags=told) as connection, GUARD.purpose(purpose):
        return connection.sql(text).fetchall()


def test_feather_bears_its_tags(tmp_path):
    path = tmp_path / "c.feather"
    feather.write_feather(arrow.tagged(pa.table(ROWS), CUSTOMER, tm.NOTICE), path)
    assert rows(path, "SELECT 氏名 FROM t WHERE id = 1") == [("太郎",)]
    with pytest.raises(pg.PurposeViolation):
        rows(path, "SELECT device FROM t")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("o.csv", "id,total\n1,10\n2,20\n"),
        ("o.CSV", "\ufeffid,total\n1,10\n2,20\n"),
        ("o.tsv", "id\ttotal\n1\t10\n2\t20\n"),
        ("o.txt", "id;total\r\n1;10\r\n2;20\r\n"),
        ("o.json", '[{"id": 1, "total": 10}, {"id": 2, "total": 20}]'),
        ("o.jsonl", '{"id": 1, "total": 10}\n{"id": 2, "total": 20}\n'),
        ("o.ndjson", '{"id": 1, "total": 10}\n{"id": 2, "total": 20}\n'),
    ],
)
def test_csv_and_json_are_read_with_the_tags_that_are_told(tmp_path, name, text):
    path = written(tmp_path / name, text)
    assert rows(path, "SELECT id, total FROM t ORDER BY id", TAGS) == [(1, 10), (2, 20)]
    with pytest.raises(pg.PurposeViolation):
        rows(path, "SELECT total FROM t", TAGS, tm.TrafficAnalysis)


def test_compressed_csv_is_read(tmp_path):
    path = written(tmp_path / "o.csv.gz", gzip.compress(b"id,total\n1,10\n"))
    assert rows(path, "SELECT total FROM t", TAGS) == [(10,)]


def test_types_of_csv_are_those_of_the_whole_file(tmp_path):
    lines = "".join(f"{number},{number}\n" for number in range(50_000))
    path = written(tmp_path / "o.csv", f"id,total\n{lines}x,y\n")
    assert rows(path, "SELECT count(*), max(total) FROM t WHERE id = 'x'", TAGS) == [(1, "y")]


def test_names_of_columns_beyond_ascii(tmp_path):
    path = written(tmp_path / "顧客.csv", "番号,氏名,メール\n1,太郎,a@example.com\n")
    tags = {"番号": pg.NotPersonal, "氏名": tm.Registration, "メール": tm.WebContact}
    assert rows(path, 'SELECT "氏名" FROM t', tags) == [("太郎",)]
    with pytest.raises(pg.PurposeViolation, match=r"`t.メール`"):
        rows(path, "SELECT メール FROM t", tags)


def test_a_file_without_tags_has_columns_that_nobody_may_use(tmp_path):
    path = parquet(tmp_path / "t.parquet", pa.table({"x": [1]}))
    with pytest.raises(pg.UnlabelledData, match=r"`t\.x` carries no tag"):
        rows(path, "SELECT x FROM t")
    with pytest.raises(pg.UnlabelledData, match=r"`t\.x` carries no tag"):
        rows(path, "SELECT * FROM t")
    assert rows(path, "SELECT count(*) AS n FROM t") == [(1,)]


def test_of_a_file_with_some_tags_the_others_are_told(tmp_path):
    path = parquet(tmp_path / "t.parquet", pa.table({"id": [1], "email": ["a"]}), email=tm.Registration)
    with pytest.raises(pg.UnlabelledData, match=r"`t\.id` carries no tag"):
        rows(path, "SELECT * FROM t")
    assert rows(path, "SELECT * FROM t", {"id": pg.NotPersonal}) == [(1, "a")]
    assert rows(path, "SELECT * FROM t", {"id": pg.NotPersonal, "email": "1.1a"}) == [(1, "a")]


def test_what_a_file_says_itself_is_not_talked_out_of_it(tmp_path):
    path = parquet(tmp_path / "t.parquet", pa.table({"email": ["a"]}), email=tm.ProductData)
    for told in (pg.NotPersonal, tm.Registration, [tm.ProductData, tm.Contract]):
        with pytest.raises(pg.UnlabelledData, match=r"says itself of `email` otherwise"):
            rows(path, "SELECT email FROM t", {"email": told})


@pytest.mark.parametrize(
    ("tag", "error"),
    [
        ("{", pg.UnlabelledData),
        ("[]", pg.UnlabelledData),
        (b"\xff\xfe", pg.UnlabelledData),
        (SOUND.replace('"version":1', '"version":2'), pg.UnlabelledData),
        (SOUND.replace('["1.1(a)"]', "[]"), pg.UnlabelledData),
        (SOUND.replace('["1.1(a)"]', '["1.1(a)","not-personal"]'), pg.UnlabelledData),
        (SOUND.replace("trendmicro-jp", "other-notice"), pg.UnknownSource),
        (SOUND.replace("2024", "1999"), pg.UnknownSource),
        (SOUND.replace("1.1(a)", "7.7(z)"), pg.UnknownSource),
    ],
    ids=lambda value: "" if isinstance(value, type) else None,
)
def test_a_file_with_a_broken_or_foreign_tag_is_refused(tmp_path, tag, error):
    path = tmp_path / "t.parquet"
    pq.write_table(
        pa.table({"email": ["a"]}, schema=pa.schema([pa.field("email", pa.string(), metadata={KEY: tag})])), path
    )
    with pytest.raises(error, match=r"t\.parquet"):
        connect(GUARD, {"t": path})


@pytest.mark.parametrize("name", ["c.csv", "c.parquet"])
def test_tags_of_a_column_that_is_not_there_are_refused(tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".csv":
        written(path, "id,total\n1,2\n")
    else:
        parquet(path, pa.table({"id": [1], "total": [2]}))
    with pytest.raises(ValueError, match=r"`mail` is tagged, and .*; does its first line name the columns\?$"):
        connect(GUARD, {"t": path}, tags={"t": {**TAGS, "mail": tm.Registration}})


def test_tags_of_a_table_that_is_not_there_are_refused():
    with pytest.raises(duckdb.CatalogException, match="nobody"):
        connect(GUARD, {"t": pa.table({"x": [1]})}, tags={"nobody": {"x": pg.NotPersonal}})


def test_a_tagged_class_tells_the_columns(tmp_path):
    from typing import Annotated

    from pydantic import BaseModel

    class Order(BaseModel):
        id: int
        total: Annotated[int, tm.Contract]

    path = written(tmp_path / "o.csv", "id,total\n1,10\n")
    assert rows(path, "SELECT * FROM t", Order) == [(1, 10)]


@pytest.mark.parametrize("name", ["no.parquet", "no.csv", "no.feather", "folder/no.parquet"])
def test_a_file_that_is_not_there(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        connect(GUARD, {"t": tmp_path / name})


def test_a_folder(tmp_path):
    (tmp_path / "t.parquet").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        connect(GUARD, {"t": tmp_path / "t.parquet"})


@pytest.mark.parametrize("name", ["e.parquet", "e.csv", "e.json", "e.feather"])
def test_an_empty_file(tmp_path, name):
    with pytest.raises(ValueError, match="is empty"):
        connect(GUARD, {"t": written(tmp_path / name, "")})


@pytest.mark.parametrize("name", ["b.parquet", "b.feather", "b.json"])
def test_a_file_of_another_kind_than_its_ending_says(tmp_path, name):
    with pytest.raises(ValueError, match="cannot be read as") as caught:
        connect(GUARD, {"t": written(tmp_path / name, "{secret: a@example.com")})
    assert "example.com" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_text_that_is_not_utf_8(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("id,氏名\n1,愛子\n".encode("cp932"))
    with pytest.raises(ValueError, match=r"cannot be read as CSV .*: it is not UTF-8, broken, or of another kind"):
        connect(GUARD, {"t": path})


@pytest.mark.parametrize("name", ["t", "t.xlsx", "t.gz", "t.parquet.gz"])
def test_a_file_of_a_kind_that_is_not_known(tmp_path, name):
    with pytest.raises(ValueError, match="of no kind that is known"):
        connect(GUARD, {"t": written(tmp_path / name, "x")})


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(ValueError, match="no regular file"):
        connect(GUARD, {"t": tmp_path / "t.csv"})


def test_a_path_that_duckdb_takes_for_a_pattern_is_refused(tmp_path):
    # Its tags would be of this file, and its rows of the other one.
    path = customer(tmp_path / "c[ab].parquet")
    parquet(tmp_path / "ca.parquet", pa.table(ROWS))
    with pytest.raises(ValueError, match="a pattern to DuckDB"):
        connect(GUARD, {"t": path})


def test_a_folder_whose_name_tells_a_value_adds_no_column(tmp_path):
    (tmp_path / "day=1").mkdir()
    path = parquet(tmp_path / "day=1" / "t.parquet", pa.table({"x": [1]}), x=pg.NotPersonal)
    assert rows(path, "SELECT * FROM t") == [(1,)]


def test_a_file_with_a_quote_in_its_path(tmp_path):
    (tmp_path / "it's").mkdir()
    path = customer(tmp_path / "it's" / "c'); --.parquet")
    assert len(rows(path, "SELECT email FROM t")) == 3


def test_a_file_without_rows_gives_none(tmp_path):
    path = parquet(tmp_path / "t.parquet", pa.table({"x": pa.array([], pa.string())}), x=tm.Registration)
    assert rows(path, "SELECT x FROM t") == []
    assert rows(written(tmp_path / "h.csv", "id,total\n"), "SELECT * FROM t", TAGS) == []


@pytest.mark.parametrize("names", [["a", "A"], ["a", "a"], ["", "a"]])
def test_columns_that_duckdb_would_call_otherwise_are_refused(tmp_path, names):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table([[1], [2]], names=names), path)
    with pytest.raises(pg.UnlabelledData, match=r"one name to DuckDB|without a name|two columns are called"):
        connect(GUARD, {"t": path})


def test_a_ragged_csv_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be read as CSV|no such column"):
        connect(GUARD, {"t": written(tmp_path / "t.csv", "id,total\n1,2\n3\n4,5,6\n")}, tags={"t": TAGS})


def test_a_very_wide_file(tmp_path):
    names = [f"c{number}" for number in range(MAX_HIDEABLE_COLUMNS + 100)]
    tags = dict.fromkeys(names, tm.Registration) | {names[-1]: tm.ProductData}
    path = parquet(tmp_path / "t.parquet", pa.table({name: [1] for name in names}), **tags)
    assert rows(path, f"SELECT c0, {names[-2]} FROM t") == [(1, 1)]  # noqa: S608  # names made here
    with pytest.raises(pg.PurposeViolation, match=rf"`t.{names[-1]}`"):
        rows(path, "SELECT * FROM t")


def test_a_file_that_has_changed_is_refused(tmp_path):
    path = customer(tmp_path / "c.parquet")
    with connect(GUARD, {"t": path}) as connection, GUARD.purpose(tm.RenewalGuidance):
        assert len(connection.sql("SELECT email FROM t").fetchall()) == 3
        parquet(path, pa.table({**ROWS, "email": ["x", "y", "z"]}), **(CUSTOMER | {"email": tm.ProductData}))
        with pytest.raises(UnresolvedStatement, match="has changed"):
            connection.sql("SELECT email FROM t")
        path.unlink()
        with pytest.raises(UnresolvedStatement, match="has changed"):
            connection.sql("SELECT email FROM t")


def test_a_link_that_points_elsewhere_later_changes_nothing(tmp_path):
    path, link = customer(tmp_path / "c.parquet"), tmp_path / "link.parquet"
    link.symlink_to(path)
    with connect(GUARD, {"t": link}) as connection, GUARD.purpose(tm.RenewalGuidance):
        other = parquet(tmp_path / "o.parquet", pa.table({**ROWS, "email": ["x", "y", "z"]}), **CUSTOMER)
        link.unlink()
        link.symlink_to(other)
        assert connection.sql("SELECT min(email) AS m FROM t").fetchall() == [("a@example.com",)]


def test_what_is_no_parquet_is_read_when_it_is_opened(tmp_path):
    path = written(tmp_path / "o.csv", "id,total\n1,10\n")
    with connect(GUARD, {"t": path}, tags={"t": TAGS}) as connection, GUARD.purpose(tm.RenewalGuidance):
        path.unlink()
        assert connection.sql("SELECT total FROM t").fetchall() == [(10,)]


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(path) as own:
        own.execute("CREATE TABLE customer (id INTEGER, email VARCHAR, note VARCHAR)")
        own.execute("INSERT INTO customer VALUES (1, 'a', 'n')")
        own.execute("CREATE SCHEMA crm")
        own.execute("CREATE TABLE crm.device AS SELECT 1 AS id, 'd' AS name")
        own.execute("CREATE VIEW mail AS SELECT email FROM customer")
        own.execute("CREATE TABLE hidden AS SELECT 'x' AS word")
    return path


def test_tables_of_a_database_can_be_named_that_have_tags(database):
    tags = {
        "customer": {"id": pg.NotPersonal, "email": tm.Registration},
        "crm.device": {"id": pg.NotPersonal, "name": tm.ProductData},
        "mail": {"email": tm.Registration},
    }
    with (
        connect(GUARD, {"plan": pa.table({"x": [1]})}, tags=tags, database=database) as connection,
        GUARD.purpose(tm.RenewalGuidance),
    ):
        assert connection.sql("SELECT id, email FROM customer").fetchall() == [(1, "a")]
        assert connection.sql("SELECT email FROM mail").fetchall() == [("a",)]
        assert connection.sql("SELECT crm.device.id FROM crm.device").fetchall() == [(1,)]
        with pytest.raises(pg.UnlabelledData, match=r"`customer.note`"):
            connection.sql("SELECT note FROM customer")
        with pytest.raises(pg.PurposeViolation, match=r"`crm.device.name`"):
            connection.sql("SELECT name FROM crm.device")
        with pytest.raises((pg.UnlabelledData, UnresolvedStatement), match="hidden"):
            connection.sql("SELECT word FROM hidden")


@pytest.mark.parametrize("name", ["Customer", "mail"])
def test_a_file_may_not_be_called_as_a_table_of_the_database(database, name):
    with pytest.raises(ValueError, match="has a table"):
        connect(GUARD, {name: pa.table({"x": [1]})}, database=database)


def test_a_database_that_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="no database"):
        connect(GUARD, {}, database=tmp_path / "no.duckdb")
    with pytest.raises(duckdb.Error):
        connect(GUARD, {}, database=written(tmp_path / "bad.duckdb", "x" * 5000))


def test_nothing_is_left_in_a_database(database, tmp_path):
    path = customer(tmp_path / "c.parquet")
    with (
        connect(
            GUARD, {"file": path, "frame": pa.table(ROWS)}, tags={"frame": CUSTOMER}, database=database
        ) as connection,
        GUARD.purpose(tm.RenewalGuidance),
    ):
        connection.sql("SELECT f.email FROM file AS f JOIN frame USING (id)").fetchall()
    copy = shutil.copy(database, tmp_path / "copy.duckdb")
    with duckdb.connect(copy) as own:
        names = {name for (name,) in own.execute("SELECT table_name FROM information_schema.tables").fetchall()}
    assert names == {"customer", "device", "mail", "hidden"}
