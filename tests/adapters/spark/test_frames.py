"""Frames checked, withheld, narrowed, tagged and written, on a session that runs them."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.functions import pandas_udf

import purposeguard as pg
from purposeguard.adapters import arrow
from purposeguard.adapters.spark import Spark
from purposeguard.adapters.tags import KEY, columns_of
from purposeguard.errors import UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.violations import FlowViolation
from purposeguard.values.markers import ByRow, RowSource
from tests.adapters.spark.relations import MIXED, frame
from tests.oversights import Told
from tests.support import RecordingLedger, RecordingObserver

pytestmark = pytest.mark.xdist_group("spark")


@pytest.fixture
def renewing(guard: pg.Guard) -> Iterator[None]:
    with guard.purpose(tm.RenewalGuidance):
        yield


@pytest.fixture
def improving(guard: pg.Guard) -> Iterator[None]:
    with guard.purpose(tm.ProductImprovement):
        yield


def test_what_may_be_used_may_be_read(sp: Spark, customers: DataFrame, renewing: None) -> None:
    made = customers.select("email")
    sp.check(made)
    sp.check(made)  # as it was found the first time


def test_a_view_is_named(session: SparkSession, sp: Spark, customers: DataFrame, renewing: None) -> None:
    with pytest.raises(pg.PurposeViolation) as caught:
        sp.check(session.sql("select c.device from customer c"))
    assert caught.value.field == "customer.device"


def test_outside_any_purpose_nothing_personal_is_read(sp: Spark, customers: DataFrame) -> None:
    sp.check(customers.select("id", F.lit(1)))
    for call in (sp.check, sp.withhold, sp.permitted, sp.narrowed):
        with pytest.raises(pg.PurposeMissing, match=r"^read of a frame( of `customer`)? in .* \(test_frames\.py:\d+\)"):
            call(customers.select("email"))


def test_what_is_checked_is_declared(session: SparkSession, customers: DataFrame) -> None:
    guard = pg.Guard(tm.NOTICE)
    with guard.purpose(tm.RenewalGuidance):
        Spark(guard).withhold(session.table("customer"))
    (table,) = guard.tables
    assert (table.name, dict(table.columns)["device"]) == ("customer", pg.Label(tm.ProductData))


def test_nothing_runs_when_a_frame_is_checked(session: SparkSession, sp: Spark, renewing: None) -> None:
    def fails(_: Any) -> Any:
        raise AssertionError("run")

    schema = sp.schema({"email": tm.Registration}, types={"email": "string"})
    made = session.createDataFrame(session.sparkContext.parallelize([("a",)]).map(fails), schema)
    sp.check(made.filter("email > ''"))


def test_a_frame_of_a_column_without_a_tag_is_refused_where_it_is_used(
    session: SparkSession, sp: Spark, renewing: None
) -> None:
    made = session.createDataFrame([(1, "x")], "a int, b string")
    with pytest.raises(pg.UnlabelledData, match="`a` carries no tag"):
        sp.check(made.select("a"))
    sp.check(made.agg(F.count("*")))


def test_what_is_no_frame_is_no_frame(sp: Spark) -> None:
    with pytest.raises(TypeError, match="DataFrame of Spark"):
        sp.check([1])  # type: ignore[arg-type]


def test_a_frame_of_spark_connect_is_refused(sp: Spark) -> None:
    class Remote(DataFrame):
        """As that of Spark Connect is: a DataFrame, and none of a classic session."""

    made = object.__new__(Remote)
    with pytest.raises(UnresolvedStatement, match="Spark Connect"):
        sp.check(made)


def test_in_observe_mode_a_refusal_is_recorded_alone(
    customers: DataFrame, mixed: DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    guard = pg.Guard(tm.NOTICE, mode="observe")
    spark = Spark(guard)
    with guard.purpose(tm.RenewalGuidance):
        spark.check(customers.select("device"))
        assert spark.withhold(customers) is customers
        assert spark.permitted(customers) is customers
        kept = spark.permitted(mixed)
        assert kept.count() == 4
        spark.check(kept)
    assert "observed, not enforced" in caplog.text


def test_what_is_only_observed_is_told_once(customers: DataFrame, mixed: DataFrame) -> None:
    ledger = RecordingLedger()
    guard = pg.Guard(tm.NOTICE, mode="observe", ledger=ledger)
    spark = Spark(guard)
    kept = spark.permitted(mixed)  # outside any purpose
    spark.check(kept)
    spark.withhold(customers)
    assert [type(error) for error, _ in ledger.denials] == [pg.PurposeMissing] * 3
    ledger.denials.clear()
    with guard.purpose(tm.RenewalGuidance):
        spark.permitted(customers.select("device"), withhold=True)
        spark.withhold(customers.select("device"))
    assert [type(error) for error, _ in ledger.denials] == [pg.PurposeViolation] * 2


def test_columns_that_may_not_be_used_are_withheld(sp: Spark, customers: DataFrame, renewing: None) -> None:
    made = customers.select("id", F.concat("email", "device").alias("both"), "city", "device")
    assert sp.withhold(made).columns == ["id", "city"]
    assert sp.withhold(customers.select("city")).columns == ["city"]


def test_columns_of_one_name_are_withheld_by_their_places(sp: Spark, customers: DataFrame, renewing: None) -> None:
    made = customers.select(F.col("device").alias("x"), F.col("city").alias("x"), "id")
    left = sp.withhold(made)
    assert left.columns == ["x", "id"]
    assert left.orderBy("id").first() == ("Kyoto", 1)


def test_a_condition_cannot_be_withheld(sp: Spark, customers: DataFrame, renewing: None) -> None:
    with pytest.raises(pg.PurposeViolation) as caught:
        sp.withhold(customers.filter("device = 'd1'").select("id"))
    assert caught.value.field == "device"


def test_a_frame_of_which_nothing_is_left_is_refused(sp: Spark, customers: DataFrame, renewing: None) -> None:
    with pytest.raises(pg.PurposeViolation):
        sp.withhold(customers.select("device"))


def test_columns_without_a_tag_are_not_merely_withheld(
    session: SparkSession, sp: Spark, customers: DataFrame, renewing: None
) -> None:
    other = session.createDataFrame([(1, "x")], "a int, b string")
    with pytest.raises(pg.UnlabelledData, match="`b` carries no tag"):
        sp.withhold(customers.crossJoin(other).select("id", "b"))


def test_rows_of_sources_that_may_not_be_used_are_left_out(sp: Spark, mixed: DataFrame, renewing: None) -> None:
    made = sp.permitted(mixed.select("id", "src", "name"))
    assert sorted(row.name for row in made.collect()) == ["Ann", "Cy"]
    sp.check(made.select("name"))
    sp.check(made.filter("name > 'A'").groupBy("name").count())


def test_rows_must_be_kept_before_they_are_used(sp: Spark, mixed: DataFrame, renewing: None) -> None:
    with pytest.raises(pg.UnlabelledData, match="permitted"):
        sp.check(mixed.select("name"))
    with pytest.raises(pg.UnlabelledData, match="permitted"):
        sp.permitted(mixed.filter("name > 'A'").select("id", "src", "name"))
    with pytest.raises(pg.UnlabelledData, match="permitted"):
        sp.permitted(mixed.groupBy("src").agg(F.max("name").alias("name")))
    sp.check(mixed.select("id", "src"))


def test_what_says_it_of_the_rows_must_be_there(sp: Spark, mixed: DataFrame, renewing: None) -> None:
    with pytest.raises(pg.UnlabelledData, match="src"):
        sp.permitted(mixed.select("name"))
    assert sp.permitted(mixed.select("name", F.col("src").alias("from"))).count() == 2


def test_rows_kept_for_one_purpose_are_not_kept_for_another(guard: pg.Guard, sp: Spark, mixed: DataFrame) -> None:
    with guard.purpose(tm.ProductImprovement):
        made = sp.permitted(mixed.select("id", "src", "name"))
        assert made.count() == 3
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.UnlabelledData, match="anew"):
        sp.check(made)
    with guard.purpose(tm.RenewalGuidance):
        assert sp.permitted(made).count() == 2


def test_rows_of_another_read_of_the_relation_are_not_kept(sp: Spark, mixed: DataFrame, renewing: None) -> None:
    made = sp.permitted(mixed.select("id", "src", "name"))
    with pytest.raises(pg.UnlabelledData, match="permitted"):
        sp.check(made.join(mixed.select("id", F.col("name").alias("other")), "id"))
    sp.check(made.join(made.select("id", F.col("name").alias("other")), "id"))
    with pytest.raises(pg.UnlabelledData, match="permitted"):
        sp.check(made.select("name").union(mixed.select("name")))


def test_the_other_rows_of_a_window_are_not_kept(
    session: SparkSession, sp: Spark, mixed: DataFrame, renewing: None
) -> None:
    made = session.sql("select id, src, lag(name) over (order by id) as name from mixed")
    with pytest.raises(pg.UnlabelledData, match="permitted"):
        sp.permitted(made)


def test_the_other_rows_of_a_batch_are_not_kept(sp: Spark, mixed: DataFrame, renewing: None) -> None:
    shifted: Any = pandas_udf(lambda names: names.shift(1), T.StringType())  # type: ignore[call-overload]
    with pytest.raises(pg.UnlabelledData, match="permitted"):
        sp.permitted(mixed.select("id", "src", shifted("name").alias("name")))
    sp.check(sp.permitted(mixed.select("id", "src", "name")).select(shifted("name")))


def test_of_two_reads_of_one_query_each_says_its_own(
    session: SparkSession, sp: Spark, mixed: DataFrame, renewing: None
) -> None:
    made = session.sql("with t as (select * from mixed) select a.id, a.src, b.name from t a cross join t b")
    with pytest.raises(pg.UnlabelledData):
        sp.permitted(made)


def test_columns_and_rows_at_once(sp: Spark, mixed: DataFrame, renewing: None) -> None:
    with pytest.raises(pg.PurposeViolation) as caught:
        sp.permitted(mixed)
    assert caught.value.field == "note"
    assert sp.permitted(mixed, withhold=True).columns == ["id", "src", "name"]


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "names no source"), ("9.9", "unknown source `9.9`"), ("１．１（ａ）", "unknown source")],
)
def test_a_row_whose_source_means_nothing_ends_the_query(
    text: str | None, message: str, session: SparkSession, sp: Spark, renewing: None
) -> None:
    made = sp.permitted(frame(session, sp, {"src": RowSource, "name": ByRow}, [("1.1(a)", "a"), (text, "b")]))
    with pytest.raises(PySparkException, match=message):
        made.filter("name = 'a'").collect()


def test_a_source_that_is_no_text_is_refused(session: SparkSession, sp: Spark, renewing: None) -> None:
    made = frame(session, sp, {"number": RowSource, "name": ByRow}, [(1, "a")])
    with pytest.raises(pg.UnlabelledData, match="ids of sources are text"):
        sp.permitted(made)


STOPPED = SubjectPreferences(suspended=frozenset({"1.2(1)①"}))


@pytest.mark.parametrize("count", [3, 2_000])
@pytest.mark.parametrize("kind", ["number", "who"])
def test_rows_of_subjects_who_stopped_the_use_are_left_out(kind: str, count: int, session: SparkSession) -> None:
    told = Told({str(number): STOPPED for number in range(count)})
    guard = pg.Guard(tm.NOTICE, governance=told)
    spark = Spark(guard)
    values: list[Any] = [1, count, 2, None] if kind == "number" else ["1", str(count), " 2", None]
    made = frame(session, spark, {kind: pg.Subject, "email": tm.Registration}, [(one, "x") for one in values])
    with guard.purpose(tm.RenewalGuidance):
        with pytest.raises(pg.UnlabelledData, match="permitted"):
            spark.check(made)
        kept = spark.permitted(made)
        assert {row[0] for row in kept.collect()} == {values[1], None}
        spark.check(kept.join(kept.withColumnRenamed("email", "other"), kind))
    with guard.purpose(tm.SecurityInformation):
        assert spark.permitted(made).count() == 4


def test_rows_kept_before_somebody_stopped_the_use_are_kept_anew(session: SparkSession) -> None:
    told = Told({})
    guard = pg.Guard(tm.NOTICE, governance=told)
    spark = Spark(guard)
    made = frame(session, spark, {"number": pg.Subject, "email": tm.Registration}, [(1, "a"), (2, "b")])
    with guard.purpose(tm.RenewalGuidance):
        kept = spark.permitted(made)
        spark.check(kept)
        told.all_preferences["1"] = STOPPED
        with pytest.raises(pg.UnlabelledData, match="anew"):
            spark.check(kept)
        assert [row.email for row in spark.permitted(kept).collect()] == ["b"]


def test_rows_that_were_only_observed_are_not_kept(sp: Spark, guard: pg.Guard, mixed: DataFrame) -> None:
    made = mixed.select("id", "src", "name")
    with guard.purpose(tm.RenewalGuidance, mode="observe"):
        seen = sp.permitted(made)
        assert seen.count() == 4
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.UnlabelledData, match="anew"):
        sp.check(seen)


def test_a_view_of_kept_rows_is_asked_by_queries(
    session: SparkSession, sp: Spark, mixed: DataFrame, renewing: None
) -> None:
    sp.narrowed(mixed).createOrReplaceTempView("kept")
    text = "with k as (select * from kept) select (select max(name) from k) as m, name from k where name > 'B'"
    assert sp.sql(session, text).collect() == [("Cy", "Cy")]
    with pytest.raises(pg.PurposeViolation) as caught:
        sp.sql(session, "select id from kept order by note")
    assert str(caught.value.field).endswith("note")


@dataclasses.dataclass
class Person:
    id: int
    email: Annotated[str, tm.Registration]
    device: Annotated[str | None, tm.ProductData]
    born: datetime.date
    tags: Annotated[list[str], tm.Registration]


def test_a_tagged_class_gives_a_schema(sp: Spark) -> None:
    schema = sp.schema(Person)
    assert [(one.name, one.dataType.simpleString(), one.nullable) for one in schema] == [
        ("id", "bigint", False),
        ("email", "string", False),
        ("device", "string", True),
        ("born", "date", False),
        ("tags", "array<string>", False),
    ]
    assert all(KEY in one.metadata for one in schema)


def test_a_column_of_no_type_is_asked_for(sp: Spark) -> None:
    with pytest.raises(TypeError, match="of which type `email` is"):
        sp.schema({"email": tm.Registration})


def test_a_tag_adds_to_what_is_known(sp: Spark, customers: DataFrame, guard: pg.Guard) -> None:
    made = sp.tagged(customers, {"email": [tm.Registration, tm.ProductData], "n": tm.Contract})
    assert repr(sp.columns(made)["email"].label) == "Label(1.1(a), 1.1(b))"
    assert repr(sp.columns(made)["n"].label) == "Label(1.1(c))"
    assert repr(sp.columns(made)["city"].label) == "Label(1.1(a))"
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation):
        sp.check(made.select("email"))


def test_a_tag_does_not_take_away(sp: Spark, customers: DataFrame) -> None:
    for tag in (pg.NotPersonal, tm.Contract):
        with pytest.raises(FlowViolation):
            sp.tagged(customers, {"email": tag})
    with pytest.raises(FlowViolation):
        sp.tagged(customers.select(F.upper("email").alias("x")), {"x": pg.NotPersonal})


def test_a_tag_of_what_is_not_there_is_refused(sp: Spark, customers: DataFrame) -> None:
    with pytest.raises(pg.UnlabelledData, match="not there"):
        sp.tagged(customers, {"phone": tm.Registration})
    with pytest.raises(pg.UnlabelledData, match="there twice"):
        sp.tagged(customers.select("id", "id"), {"id": pg.NotPersonal})


def test_a_tag_costs_nothing_when_it_runs(session: SparkSession, sp: Spark, folder: str) -> None:
    session.range(10).withColumn("x", F.col("id").cast("string")).write.parquet(folder)
    made = sp.tagged(session.read.parquet(folder), {"id": pg.NotPersonal, "x": tm.Cookie}).filter("x = '3'").select("x")
    java: Any = made._jdf
    physical = java.queryExecution().executedPlan().toString()
    assert "purposeguard" not in physical
    assert "EqualTo(x,3)" in physical  # as far as the files


def test_rows_of_what_was_tagged_are_kept(session: SparkSession, sp: Spark, renewing: None) -> None:
    plain = session.createDataFrame([(1, "1.1a", "a"), (2, "2.1a", "b")], "id int, src string, name string")
    made = sp.tagged(plain, {"id": pg.NotPersonal, "src": RowSource, "name": ByRow})
    with pytest.raises(pg.UnlabelledData, match="permitted"):
        sp.check(made.select("name"))
    kept = sp.permitted(made)
    assert [row.name for row in kept.collect()] == ["a"]
    sp.check(kept.join(kept.select("id", F.col("name").alias("n")), "id"))


def test_what_is_written_is_read_with_its_tags(
    sp: Spark, customers: DataFrame, orders: DataFrame, improving: None, folder: str
) -> None:
    made = customers.join(orders, customers.id == orders.customer).select(
        customers.id, F.concat("email", "device").alias("both"), F.lit("x").alias("mark"), "total"
    )
    sp.save(made, folder)
    tags = sp.columns(customers.sparkSession.read.parquet(folder))
    assert {name: repr(tag.label) for name, tag in tags.items()} == {
        "id": "Label(not-personal)",
        "both": "Label(1.1(a), 1.1(b))",
        "mark": "Label(not-personal)",
        "total": "Label(1.1(c))",
    }


def test_a_table_keeps_its_tags(session: SparkSession, sp: Spark, customers: DataFrame, improving: None) -> None:
    sp.save(customers.select("id", "email"), "kept_customers", table=True)
    try:
        assert repr(sp.columns(session.table("kept_customers"))["email"].label) == "Label(1.1(a))"
        with pytest.raises(FlowViolation) as caught:
            sp.save(customers.selectExpr("id", "device as email"), "kept_customers", table=True, mode="append")
        assert (caught.value.target, caught.value.column) == ("kept_customers", "email")
    finally:
        session.sql("drop table kept_customers")


def test_rows_by_their_source_stay_so_where_it_goes_along(
    session: SparkSession, sp: Spark, mixed: DataFrame, renewing: None, folder: str
) -> None:
    sp.save(sp.permitted(mixed.select("id", "src", "name")), folder)
    again = session.read.parquet(folder)
    assert sp.columns(again)["name"].by_row
    sp.save(sp.permitted(mixed.select("id", "src", "name")).drop("src"), f"{folder}2")
    assert repr(sp.columns(session.read.parquet(f"{folder}2"))["name"].label) == "Label(1.1(a), 1.1(c))"


def test_what_flows_must_be_covered(
    session: SparkSession, sp: Spark, customers: DataFrame, improving: None, folder: str
) -> None:
    sp.save(customers.select("id", "email"), folder)
    sp.save(customers.select("id", F.lower("email").alias("email")), folder, mode="append")
    with pytest.raises(FlowViolation):
        sp.save(customers.selectExpr("id", "device as email"), folder, mode="append")
    with pytest.raises(pg.UnlabelledData, match=r"no column `device`"):
        sp.save(customers.select("id", "device"), folder, mode="append")
    assert session.read.parquet(folder).count() == 8


def test_a_target_without_tags_is_refused(
    session: SparkSession, sp: Spark, customers: DataFrame, improving: None, folder: str
) -> None:
    session.createDataFrame([(1,)], "id bigint").write.parquet(folder)
    with pytest.raises(pg.UnlabelledData):
        sp.save(customers.select("id"), folder, mode="append")


def test_what_may_not_be_used_is_not_written(sp: Spark, customers: DataFrame, renewing: None, folder: str) -> None:
    with pytest.raises(pg.PurposeViolation):
        sp.save(customers, folder)


def test_a_query_is_checked_before_it_is_given(
    session: SparkSession, sp: Spark, customers: DataFrame, renewing: None
) -> None:
    assert sp.sql(session, "select email from customer where id = 1").collect() == [("a@x",)]
    assert sp.sql(session, "select email from customer where id = :id", {"id": 2}).collect() == [("b@x",)]
    assert sp.sql(session, "select email from {those} where id = 3", those=customers).collect() == [("c@x",)]
    with pytest.raises(pg.PurposeViolation):
        sp.sql(session, "select count(*) from customer group by device")


COMMANDS = """drop table customer
insert into orders select * from customer
with t as (select 1) insert into orders select * from t
from customer insert into a select id insert into b select n
create table x as select * from customer
create or replace temporary view v as select 1
cache table customer
set spark.sql.ansi.enabled = false
add jar 'x.jar'
create function f as 'x.Y'
explain select 1
execute immediate 'drop table customer'
declare x int
set var x = (select max(email) from customer)
merge into orders using customer on orders.id = customer.id when matched then delete
delete from customer
update customer set email = ''
truncate table customer
use other
refresh table customer
call p()
begin select 1; end
show tables
describe customer
analyze table customer compute statistics
load data inpath 'x' into table customer
insert overwrite directory '/tmp/x' using csv select * from customer"""


@pytest.mark.parametrize("text", COMMANDS.splitlines())
def test_a_command_is_refused_before_it_runs(text: str, session: SparkSession, sp: Spark, improving: None) -> None:
    with pytest.raises(UnresolvedStatement, match="no query"):
        sp.sql(session, text)


@pytest.mark.parametrize("text", ["select 1; drop table customer", "selec 1", ""])
def test_what_is_no_sql_is_refused(text: str, session: SparkSession, sp: Spark) -> None:
    with pytest.raises(UnresolvedStatement, match="PARSE_"):
        sp.sql(session, text)


@pytest.mark.parametrize(
    "text", ["select phone from customer", "select 'a@x' from nowhere", "select nosuch(email) from customer"]
)
def test_what_is_not_there_is_refused_without_saying_the_text(text: str, session: SparkSession, sp: Spark) -> None:
    with pytest.raises(UnresolvedStatement, match=r"phone|nowhere|nosuch") as caught:
        sp.sql(session, text)
    assert "a@x" not in str(caught.value)


QUERIES = """select * from customer
select * except (device) from customer
select listagg(email) within group (order by email) from customer
select rand() from customer
from customer |> aggregate count(*) group by email
with t as (select * from customer) select * from t
values (1)
table customer
from customer |> where id = 1
select * from range(3)
select city from customer group by cube (city, n) having count(*) > 1
select * from (select city, n, id from customer) pivot (max(id) for n in (1, 2))
select v from customer unpivot (v for k in (email, device))
select row_number() over w from customer window w as (order by id)
select * from customer c, lateral (select c.id)
select * from customer tablesample (10 percent)
select id from customer union all select id from orders intersect select 1
select /*+ broadcast(customer) */ id from customer -- drop table customer
select n from customer qualify row_number() over (order by id) = 1
with recursive t(k) as (select 1 union all select k + 1 from t where k < 3) select k from t
select x from customer lateral view explode(array(email)) as x
select transform(id) using 'cat' from customer
select * from customer order by 1 limit 2 offset 1"""


@pytest.mark.parametrize("text", QUERIES.splitlines())
def test_whatever_is_a_query_is_read_as_one(
    text: str, session: SparkSession, customers: DataFrame, orders: DataFrame
) -> None:
    from purposeguard.adapters.spark.statements import must_be_query

    must_be_query(session, text)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", pg.UnlabelledData),
        ("{", pg.UnlabelledData),
        ("null", pg.UnlabelledData),
        ('{"version":2,"notice":"trendmicro-jp","revision":"2024-04-01","sources":["1.1(a)"]}', pg.UnlabelledData),
        ('{"version":1,"notice":"trendmicro-jp","revision":"2024-04-01","sources":[]}', pg.UnlabelledData),
        ('{"version":1,"notice":"trendmicro-jp","revision":"2024-04-01","sources":["9.9"]}', pg.UnknownSource),
        ('{"version":1,"notice":"trendmicro-jp","revision":"2001-04-01","sources":["1.1(a)"]}', pg.UnknownSource),
        ('{"version":1,"notice":"another","revision":"2024-04-01","sources":["1.1(a)"]}', pg.UnknownSource),
        (7, pg.UnlabelledData),
        (["1.1(a)"], pg.UnlabelledData),
    ],
)
def test_broken_and_foreign_tags_are_refused(
    text: Any, error: type[Exception], session: SparkSession, sp: Spark, improving: None
) -> None:
    schema = T.StructType([T.StructField("email", T.StringType(), metadata={KEY: text})])
    with pytest.raises(error):
        sp.check(session.createDataFrame([("a",)], schema))


def test_an_empty_frame_is_a_frame(session: SparkSession, sp: Spark, renewing: None) -> None:
    made = frame(session, sp, MIXED, [])
    assert sp.permitted(made, withhold=True).collect() == []
    sp.check(session.createDataFrame([], T.StructType([])))


def test_a_frame_of_many_columns_is_followed_once(session: SparkSession, sp: Spark, renewing: None) -> None:
    names = [f"c{number}" for number in range(5_000)]
    tags = dict.fromkeys(names, tm.Registration) | {"c4999": tm.ProductData}
    made = frame(session, sp, tags, [], dict.fromkeys(names, "int"))
    with pytest.raises(pg.PurposeViolation) as caught:
        sp.check(made.toDF(*(f"{name}_x" for name in names)))
    assert caught.value.field == "c4999"
    assert len(sp.withhold(made).columns) == 4_999


def test_names_may_hold_anything(session: SparkSession, sp: Spark, renewing: None) -> None:
    tags = {"a`b": pg.NotPersonal, "a.b": tm.Registration, "": pg.NotPersonal, "d'\"\\": tm.ProductData}
    made = frame(session, sp, tags, [(1, "x", 2, "y")], {"a`b": "int", "a.b": "string", "": "int", "d'\"\\": "string"})
    assert sp.withhold(made).collect() == [(1, "x", 2)]
    assert sp.columns(sp.tagged(made, {"a.b": [tm.Registration, tm.Contract]}))["a.b"].label.sources == {
        tm.Registration,
        tm.Contract,
    }


def test_tags_go_from_arrow_to_spark_and_back(
    session: SparkSession, sp: Spark, customers: DataFrame, renewing: None, tmp_path: Path
) -> None:
    table = pa.table({"id": pa.array([1], pa.int64()), "email": ["a"], "device": ["d"]})
    tags = {"id": pg.Subject("customer"), "email": tm.Registration, "device": tm.ProductData}
    pq.write_table(arrow.tagged(table, tags, tm.NOTICE, spark=True), tmp_path / "made.parquet")
    made = session.read.parquet(str(tmp_path / "made.parquet"))
    assert sp.columns(made) == columns_of(tm.NOTICE, tags)
    with pytest.raises(pg.PurposeViolation):
        sp.check(made.filter("device > ''").select("id"))
    sp.save(made.select("id", "email"), str(tmp_path / "again"))
    part = next((tmp_path / "again").glob("*.parquet"))
    assert list(arrow.columns_of(pq.read_schema(part), tm.NOTICE).items()) == list(
        sp.columns(made.drop("device")).items()
    )


def test_observing_gives_what_spark_gives(session: SparkSession, customers: DataFrame, folder: str) -> None:
    observer = RecordingObserver()
    guard = pg.Guard(tm.NOTICE, mode="observe", observers=[observer])
    spark = Spark(guard)
    unreadable = customers.rdd.toDF(customers.schema.names)  # nothing says where it comes from
    for made in (customers, unreadable):
        rows = made.collect()
        spark.check(made)
        for given in (spark.withhold(made), spark.permitted(made, withhold=True), spark.narrowed(made)):
            assert given.collect() == rows
        assert spark.written(made).collect() == rows
        assert spark.checkpointed(made, local=True).collect() == rows
    spark.save(unreadable, folder)
    assert session.read.parquet(folder).count() == unreadable.count()
    assert {name.rpartition(".")[2] for name in observer.read_names} == {"email", "city", "device"}
    assert {type(error) for error in observer.errors} == {pg.UnlabelledData}


def test_observing_runs_every_text(session: SparkSession, customers: DataFrame) -> None:
    observer = RecordingObserver()
    spark = Spark(pg.Guard(tm.NOTICE, mode="observe", observers=[observer]))
    assert spark.sql(session, "SHOW TABLES").columns == session.sql("SHOW TABLES").columns
    assert spark.sql(session, "SELECT count(*) AS n FROM {c}", c=customers).collect() == [(customers.count(),)]
    with pytest.raises(AnalysisException):
        spark.sql(session, "SELECT * FROM nowhere_at_all")
    assert [type(error) for error in observer.errors] == [UnresolvedStatement] * 2


def test_a_guarded_frame_behaves_like_a_frame_when_observing(customers: DataFrame, folder: str) -> None:
    guard = pg.Guard(tm.NOTICE, mode="observe")
    guarded = Spark(guard).guarded(customers)
    assert guarded.sparkSession is customers.sparkSession
    assert guarded.groupBy("city").pivot("device").count().collect() == (
        customers.groupBy("city").pivot("device").count().collect()
    )
    guarded.write.mode("overwrite").json(folder)
    assert guarded.transform(lambda _: customers).count() == customers.count()
    with guard.purpose(tm.RenewalGuidance, mode="enforce"):
        for name in ("sparkSession", "semanticHash"):
            with pytest.raises(pg.PurposeGuardError, match=name):
                getattr(guarded, name)
        with pytest.raises(pg.PurposeGuardError):
            _ = guarded.write.json


def test_observing_a_tag_that_covers_less_keeps_the_tag_that_is_there(customers: DataFrame) -> None:
    observer = RecordingObserver()
    guard = pg.Guard(tm.NOTICE, mode="observe", observers=[observer])
    spark = Spark(guard)
    tagged = spark.tagged(customers.select("device"), {"device": pg.NotPersonal})
    assert [type(error) for error in observer.errors] == [FlowViolation]
    with guard.purpose(tm.RenewalGuidance, mode="enforce"), pytest.raises(pg.PurposeViolation):
        spark.check(tagged)
