"""Which columns a frame uses, and where its columns come from, however it was made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.functions import pandas_udf

from purposeguard import NotPersonal, UnlabelledData
from purposeguard.adapters.spark import Spark
from purposeguard.errors import UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.spark.relations import from_where, used

pytestmark = pytest.mark.xdist_group("spark")

Made = Callable[[DataFrame, DataFrame], DataFrame]
EVERYTHING = "id email city device n"


PANDAS: Any = pandas_udf(lambda x: x, T.StringType())  # type: ignore[call-overload]

MADE: dict[str, tuple[Made, str]] = {
    "a column": (lambda c, o: c.select("email"), "email"),
    "all columns": (lambda c, o: c, EVERYTHING),
    "a column renamed": (lambda c, o: c.withColumnRenamed("email", "x").select("x"), "email"),
    "columns by their places": (lambda c, o: c.toDF("a", "b", "c", "d", "e").select("d"), "device"),
    "a column that is dropped": (lambda c, o: c.drop("device"), "id email city n"),
    "an expression that is dropped": (lambda c, o: c.withColumn("u", F.upper("device")).select("email"), "email"),
    "an expression": (lambda c, o: c.select(F.concat("email", "city").alias("x")), "email city"),
    "a literal": (lambda c, o: c.select(F.lit(1)), ""),
    "a count of rows": (lambda c, o: c.agg(F.count("*")), ""),
    "a condition": (lambda c, o: c.filter("device = 'd1'").select("id"), "id device"),
    "a condition on what is dropped later": (
        lambda c, o: c.withColumn("k", F.length("device")).filter("k > 1").drop("k", "device"),
        EVERYTHING,
    ),
    "an order": (lambda c, o: c.select("id", "device").orderBy("device").select("id"), "id device"),
    "an order by what is not selected": (lambda c, o: c.select("id").orderBy(c.device), "id device"),
    "a limit": (lambda c, o: c.select("id").limit(2), "id"),
    "an offset": (lambda c, o: c.select("id").offset(2), "id"),
    "a sample": (lambda c, o: c.select("id").sample(0.5), "id"),
    "a sample by a column": (lambda c, o: c.sampleBy("city", {"Kyoto": 0.5}).select("id"), "id city"),
    "distinct rows": (lambda c, o: c.select("email", "n").distinct().select("n"), "email n"),
    "distinct by keys": (lambda c, o: c.dropDuplicates(["device"]).select("n"), "device n"),
    "groups": (lambda c, o: c.groupBy("city").agg(F.max("n").alias("m")).select("m"), "city n"),
    "an aggregate that is dropped": (
        lambda c, o: c.groupBy("city").agg(F.max("n").alias("m"), F.max("device").alias("d")).select("m"),
        "city n",
    ),
    "an aggregate of some": (lambda c, o: c.agg(F.expr("count(*) filter (where device = 'd1')").alias("x")), "device"),
    "groups filtered": (
        lambda c, o: c.groupBy("city").agg(F.max("device").alias("m")).filter("m > 'd'"),
        "city device",
    ),
    "a cube": (lambda c, o: c.cube("city", "n").count(), "city n"),
    "a cube, of which one is asked": (lambda c, o: c.cube("city", "n").agg(F.max("device")).select("city"), "city n"),
    "a pivot": (lambda c, o: c.groupBy("n").pivot("city", ["Kyoto", "Kobe"]).agg(F.max("email")), "n city email"),
    "an inner join": (lambda c, o: c.join(o, c.id == o.customer).select("email", "total"), "id customer email total"),
    "a join by a name": (lambda c, o: c.join(o.select("id", "total"), "id").select("total"), "id total"),
    "a full join": (lambda c, o: c.join(o, "id", "full").select("id"), "id"),
    "a semi join": (lambda c, o: c.join(o, c.email == o.page, "left_semi").select("n"), "email page n"),
    "an anti join": (lambda c, o: c.join(o, c.email == o.page, "left_anti").select("n"), "email page n"),
    "a cross join": (lambda c, o: c.crossJoin(o).select("total", c.n), "total n"),
    "a join with itself": (
        lambda c, o: c.alias("a").join(c.alias("b"), F.col("a.id") == F.col("b.n")).select("a.city", "b.device"),
        "id n city device",
    ),
    "a union": (lambda c, o: c.select("email").union(o.select("page")), "email page"),
    "a union by name": (
        lambda c, o: (
            c.select("id", "email").unionByName(o.select("page", "id"), allowMissingColumns=True).select("page")
        ),
        "page",
    ),
    "an intersection": (lambda c, o: c.select("email").intersect(o.select("page")), "email page"),
    "a difference": (
        lambda c, o: c.select("email", "n").exceptAll(o.select("page", "total")).select("n"),
        "email page n total",
    ),
    "a window": (
        lambda c, o: c.select("id", F.row_number().over(Window.partitionBy("city").orderBy("device")).alias("r")),
        "id city device",
    ),
    # Rows lie in its order, for whoever reads them from a cache.
    "a window that is dropped": (
        lambda c, o: c.select("id", F.row_number().over(Window.orderBy("device")).alias("r")).select("id"),
        "id device",
    ),
    "an array taken apart": (
        lambda c, o: c.select("n", F.explode(F.array("email", "device")).alias("z")),
        "n email device",
    ),
    "an array taken apart, of which only the rows are asked": (
        lambda c, o: c.select("n", F.explode(F.split("email", "@")).alias("z")).select("n"),
        "n email",
    ),
    "a struct": (lambda c, o: c.selectExpr("struct(*) s"), EVERYTHING),
    "a field of a struct": (lambda c, o: c.selectExpr("struct(*) s").select("s.email"), EVERYTHING),
    "JSON": (lambda c, o: c.selectExpr("to_json(struct(email, device)) j"), "email device"),
    "a higher-order function": (
        lambda c, o: c.select(F.transform(F.array("email"), lambda x: F.concat(x, "device")).alias("t")),
        "email device",
    ),
    "a function of Python": (lambda c, o: c.select(F.udf(lambda x: x, "string")("device").alias("u")), "device"),
    "a function of pandas": (lambda c, o: c.select(PANDAS("device").alias("u")), "device"),
    "frames of pandas": (lambda c, o: c.mapInPandas(lambda them: them, "x bigint").select("x"), EVERYTHING),
    "batches of Arrow": (lambda c, o: c.mapInArrow(lambda them: them, "x bigint").select("x"), EVERYTHING),
    "groups of pandas": (lambda c, o: c.groupBy("n").applyInPandas(lambda one: one, "x bigint"), EVERYTHING),
    "two groups of pandas": (
        lambda c, o: (
            c.groupBy("n")
            .cogroup(o.select("id", "page").groupBy("id"))
            .applyInPandas(lambda one, other: one, "x bigint")
        ),
        f"{EVERYTHING} page",
    ),
    "rows to columns": (
        lambda c, o: c.select("id", "email", "device").melt("id", ["email", "device"], "k", "v"),
        "id email device",
    ),
    "nulls filled": (lambda c, o: c.fillna("-", ["email"]).select("email"), "email"),
    "rows without nulls": (lambda c, o: c.dropna(subset=["device"]).select("id"), "id device"),
    "partitions": (lambda c, o: c.repartition(2, "city").select("id"), "id city"),
    "fewer partitions": (lambda c, o: c.coalesce(1).select("id"), "id"),
    "a hint": (lambda c, o: c.hint("broadcast").select("id"), "id"),
    "metrics observed": (lambda c, o: c.select("id", "device").observe("m", F.max("device")).select("id"), "id device"),
    "a frame that is cached": (lambda c, o: c.select("id", "device").cache().select("id"), "id"),
    "figures": (lambda c, o: c.summary("max").select("n"), "n"),
    "a scalar query": (lambda c, o: o.select("id", c.agg(F.max("device").alias("m")).scalar().alias("m")), "id device"),
    "a range": (lambda c, o: c.sparkSession.range(3).join(c, "id").select("n"), "id n"),
    "a schema of another order": (lambda c, o: c.to(T.StructType([T.StructField("city", T.StringType())])), "city"),
}

TEXTS: dict[str, str] = {
    "select email from customer": "email",
    "select * from customer": EVERYTHING,
    "select * except (device, n) from customer": "id email city",
    "select count(*) from customer": "",
    "select count(device) from customer": "device",
    "select 1 from customer c where exists (select * from orders where orders.customer = c.id)": "customer id",
    "select n from customer where email in (select page from orders where total > 3)": "n email page total",
    "select n from customer where email not in (select page from orders)": "n email page",
    "select (select max(total) from orders where customer = c.id) from customer c": "total customer id",
    "select n from customer c where n > (select avg(total) from orders o where o.page = c.city)": "n total page city",
    "with t as (select id, email, device from customer) select id from t where email = 'a'": "id email",
    "with t as (table customer), u as (select n, device d from t) select d from u join t on u.n = t.n": "n device",
    "with recursive t(k, e) as (select id, email from customer union all select k, e from t) table t": "id email",
    "select x from customer lateral view explode(split(email, '@')) v as x": "email",
    "select * from customer c, lateral (select page from orders where customer = c.id)": f"{EVERYTHING} page customer",
    "select n from customer group by n having max(device) > 'd'": "n device",
    "select city from customer group by grouping sets ((city), (n))": "city n",
    "select n, rank() over (order by device) r from customer qualify r = 1": "n device",
    "select * from (select city, n, email from customer) pivot (max(email) for n in (1, 2))": "city n email",
    "select v from customer unpivot (v for k in (email, device))": "email device",
    "from customer |> where device = 'd' |> aggregate count(*) group by city": "device city",
    "select transform(id, email) using 'cat' as (a, b) from customer": "id email",
    "select case when device = 'd1' then n end from customer": "device n",
    "select email from customer union select page from orders order by 1": "email page",
    "select a.email from customer a natural join orders b": "id email",
    "select n from customer tablesample (10 percent)": "n",
    "select id from customer order by device limit 2": "id device",
    "select id from customer distribute by device sort by n": "id device n",
    "table customer": EVERYTHING,
    "select named_struct('a', email).a from customer": "email",
    "select filter(array(email, city), x -> x = device) from customer": "email city device",
    "select max(struct(n, device)).n from customer": "n device",
    "select /*+ broadcast(o) */ n from customer c join orders o on c.id = o.id": "n id",
    "select * from (select id from customer) where 1 = 0": "id",
    "values (1)": "col1",
}


@pytest.mark.parametrize("name", MADE)
def test_frames_use(name: str, sp: Spark, customers: DataFrame, orders: DataFrame) -> None:
    made, expected = MADE[name]
    assert used(sp, made(customers, orders)) == set(expected.split())


@pytest.mark.parametrize("text", TEXTS)
def test_texts_use(text: str, session: SparkSession, sp: Spark, customers: DataFrame, orders: DataFrame) -> None:
    assert used(sp, session.sql(text)) == set(TEXTS[text].split())


def test_outputs_come_from_values_and_not_from_conditions(sp: Spark, customers: DataFrame, orders: DataFrame) -> None:
    made = (
        customers.join(orders, customers.id == orders.customer)
        .filter("device > 'd'")
        .groupBy("city")
        .agg(F.max("total").alias("most"), F.count("*").alias("rows"), F.max(F.concat("email", "page")).alias("both"))
    )
    assert from_where(sp, made) == {"city": {"city"}, "most": {"total"}, "rows": set(), "both": {"email", "page"}}


def test_a_column_of_a_union_comes_from_all_that_stand_in_its_place(
    sp: Spark, customers: DataFrame, orders: DataFrame
) -> None:
    made = customers.select("id", "email").union(orders.select("total", "page")).withColumnRenamed("email", "x")
    assert from_where(sp, made) == {"id": {"id", "total"}, "x": {"email", "page"}}


def test_a_column_within_a_union_is_not_taken_for_that_of_the_union(sp: Spark, customers: DataFrame) -> None:
    # Spark gives both the same id.
    left = customers.select("email")
    made = left.union(customers.select("device"))
    assert from_where(sp, made) == {"email": {"email", "device"}}
    assert from_where(sp, left) == {"email": {"email"}}


def test_views_over_views_are_followed(session: SparkSession, sp: Spark, customers: DataFrame) -> None:
    customers.selectExpr("device as city", "n as email").createOrReplaceTempView("turned")
    session.sql("select city c, email e from turned").createOrReplaceTempView("turned_again")
    assert used(sp, session.sql("select c from turned_again where e > 0")) == {"device", "n"}


def test_a_plan_of_a_thousand_operators_is_followed(sp: Spark, customers: DataFrame) -> None:
    made = customers.select("email")
    for _ in range(300):
        made = made.filter("email > ''")
    assert used(sp, made) == {"email"}


def test_tags_that_were_told_are_known_in_a_join_with_itself(session: SparkSession, sp: Spark) -> None:
    told = sp.tagged(session.createDataFrame([(1, "x")], "id int, name string"), {"id": NotPersonal, "name": tm.Cookie})
    made = told.join(told.withColumnRenamed("name", "other"), "id")
    assert {name: repr(tag) for name, tag in sp.columns(made).items()} == {
        "id": "<Tag Label(not-personal)>",
        "name": "<Tag Label(2.3)>",
        "other": "<Tag Label(2.3)>",
    }


def test_a_variable_of_the_session_is_not_followed(session: SparkSession, sp: Spark, customers: DataFrame) -> None:
    session.sql("declare or replace told = 'x'")
    with pytest.raises(UnresolvedStatement, match="variable of the session"):
        sp.check(session.sql("select told, id from customer"))
    session.sql("drop temporary variable told")


def test_what_spark_tells_of_itself_carries_no_tag(session: SparkSession, sp: Spark, customers: DataFrame) -> None:
    with pytest.raises(UnlabelledData, match="carries no tag"):
        sp.check(session.sql("show tables"))


def test_files_tell_no_tag_of_where_they_lie(
    session: SparkSession, sp: Spark, customers: DataFrame, folder: str
) -> None:
    customers.write.parquet(folder)
    with pytest.raises(UnlabelledData, match="_metadata"):
        sp.check(session.read.parquet(folder).select("_metadata.file_path"))
