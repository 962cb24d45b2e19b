"""Ways around: each is blocked, or it is said of it that it is none of what is promised."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from purposeguard import Guard, Label, NotPersonal, PurposeViolation, UnlabelledData
from purposeguard.adapters.spark import Spark
from purposeguard.adapters.spark.guarded import GuardedFrame
from purposeguard.adapters.spark.plan import words
from purposeguard.adapters.tags import KEY, Tag, encode
from purposeguard.errors import SealedAttribute, UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation
from tests.adapters.spark.relations import MIXED, frame, used

pytestmark = pytest.mark.xdist_group("spark")

FORGED = {KEY: encode(Tag(), tm.NOTICE)}


@pytest.fixture(autouse=True)
def renewing(guard: Guard) -> Iterator[None]:
    with guard.purpose(tm.RenewalGuidance):
        yield


Made = Callable[[DataFrame], DataFrame]

FRAMES: dict[str, Made] = {
    "an alias that says it is not personal": lambda c: c.select(F.col("device").alias("x", metadata=FORGED)),
    "metadata said anew": lambda c: c.withMetadata("device", FORGED).select("device"),
    "an alias over an alias": lambda c: c.select(F.col("device").alias("x", metadata=FORGED)).select("x"),
    "a name that may be used": lambda c: c.selectExpr("device as email"),
    "names exchanged": lambda c: c.toDF("id", "device", "city", "email", "n").select("email"),
    "a struct of all": lambda c: c.selectExpr("struct(*) as id"),
    "a field of a struct of all": lambda c: c.selectExpr("struct(*) as s").selectExpr("s.device"),
    "JSON of all": lambda c: c.selectExpr("to_json(struct(*)) as id"),
    "CSV of all": lambda c: c.selectExpr("to_csv(struct(*)) as id"),
    "a map of all": lambda c: c.select(F.create_map(F.lit("x"), "device").alias("id")).select(F.col("id")["x"]),
    "a map taken apart": lambda c: c.select(F.explode(F.create_map(F.lit("x"), "device"))),
    "an array sorted": lambda c: c.agg(F.sort_array(F.collect_list("device")).alias("n")),
    "a hash": lambda c: c.select(F.xxhash64("device").alias("n")),
    "a length": lambda c: c.select(F.length("device").alias("n")),
    "a comparison": lambda c: c.select((F.col("device") == "d1").alias("n")),
    "a function of Python": lambda c: c.select(F.udf(lambda x: x, "string")("device").alias("id")),
    "frames of pandas": lambda c: c.mapInPandas(lambda them: them, "id bigint"),
    "groups of pandas": lambda c: c.groupBy("id").applyInPandas(lambda one: one, "id bigint"),
    "a condition": lambda c: c.filter("device like 'd%'").select("id"),
    "an order": lambda c: c.orderBy("device").select("id"),
    "rows counted by it": lambda c: c.groupBy("device").count().select("count"),
    "a join on it": lambda c: c.join(c.select("device").distinct().toDF("d"), F.col("d") == c.device).select("id"),
    "a join of two columns of one name": lambda c: c.select("id").join(
        c.selectExpr("id as k", "device as id"), F.lit(True)
    ),
    "a union by name": lambda c: c.select("email").unionByName(c.selectExpr("device as email")),
    "a union by place": lambda c: c.select("id", "email").union(c.select("n", "device")).select("email"),
    "the second side of a difference": lambda c: c.select("email").exceptAll(c.select("device")),
    "a window": lambda c: c.selectExpr("id", "rank() over (order by device) as r"),
    "a query within": lambda c: c.selectExpr("(select max(device) from customer) as id"),
    "a query that only asks": lambda c: c.select("id").where("exists (select 1 from customer where device = 'd1')"),
    "a cache": lambda c: c.select("device").cache(),
    "a frame told to be small": lambda c: F.broadcast(c.select("device")),
    "metrics": lambda c: c.select("id", "device").observe("m", F.max("device")).select("id"),
    "a schema of another name": lambda c: c.selectExpr("device as email").to(
        T.StructType([T.StructField("email", T.StringType())])
    ),
    "a schema that says it": lambda c: c.select("device").to(
        T.StructType([T.StructField("device", T.StringType(), True, FORGED)])
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_do_not_hide_what_they_read(name: str, sp: Spark, customers: DataFrame) -> None:
    with pytest.raises(PurposeViolation) as caught:
        sp.check(FRAMES[name](customers))
    assert str(caught.value.field).endswith("device")


def test_a_checkpoint_does_not_make_true_what_an_alias_says(
    session: SparkSession, sp: Spark, customers: DataFrame
) -> None:
    forged = customers.select(F.concat("device", F.lit("")).alias("x", metadata=FORGED))
    for made in (forged.checkpoint(), forged.localCheckpoint()):
        assert KEY in made.schema["x"].metadata
        with pytest.raises(UnlabelledData, match="`x` carries no tag"):
            sp.check(made)


def test_what_chose_the_rows_behind_a_checkpoint_is_known_or_it_is_refused(
    guard: Guard, sp: Spark, customers: DataFrame
) -> None:
    chosen = customers.filter("device = 'd1'").select("id", "email")
    for made in (chosen.checkpoint(), chosen.localCheckpoint()):
        with pytest.raises(UnlabelledData, match="carries no tag"):
            sp.check(made)
    with guard.purpose(tm.ProductImprovement):
        kept = [sp.checkpointed(chosen), sp.checkpointed(chosen, local=True), sp.checkpointed(chosen, eager=False)]
    for made in kept:
        assert sp.columns(made)["email"].label == Label(tm.Registration, tm.ProductData)
        with pytest.raises(PurposeViolation):
            sp.check(made)


def test_checkpoints_of_the_same_columns_are_told_apart(guard: Guard, sp: Spark, customers: DataFrame) -> None:
    ids = customers.select("id", "email")
    every = sp.checkpointed(ids)
    sp.check(every)
    with guard.purpose(tm.ProductImprovement):
        some = sp.checkpointed(customers.filter("device = 'd1'").select("id", "email"))
        again = sp.checkpointed(some.filter("id > 1"))
    sp.check(every.join(every.groupBy("id").count(), "id").where(every.select("id").where("id = 1").exists()))
    for made in (some, again, every.join(some, "id", "left_semi"), every.join(again, "id", "left_anti")):
        with pytest.raises(PurposeViolation):
            sp.check(made)
    with pytest.raises(UnlabelledData):
        sp.check(every.filter("email > 'b'").localCheckpoint())


def test_columns_of_one_name_are_told_apart_behind_a_checkpoint(guard: Guard, sp: Spark, customers: DataFrame) -> None:
    twice = customers.select(F.upper("device").alias("x"), F.lit(1).alias("x"))
    assert sp.columns(twice)["x"].label == Label(tm.ProductData)
    assert sp.columns(customers.select("n", F.col("id").alias("n")))["n"] == Tag()
    with guard.purpose(tm.ProductImprovement):
        made = sp.checkpointed(twice).toDF("a", "b")
    sp.check(made.select("b"))
    with pytest.raises(PurposeViolation):
        sp.check(made.select("a"))


def test_a_file_tells_of_the_columns_that_it_is_named_by(
    session: SparkSession, guard: Guard, sp: Spark, customers: DataFrame, folder: str
) -> None:
    customers.select("id", F.col("device").alias("part")).write.partitionBy("part").parquet(folder)
    tags = {"id": NotPersonal, "part": tm.ProductData}
    named = sp.tagged(session.read.parquet(folder), tags).select("id", "part")
    for told in ("input_file_name()", "input_file_block_start()", "input_file_block_length()"):
        with pytest.raises(PurposeViolation):
            sp.check(named.select("id").selectExpr(told))
    with guard.purpose(tm.ProductImprovement):
        sp.check(named.select("id", F.input_file_name()))
        named.createOrReplaceTempView("named")
        sp.sql(session, "with c as (select * from named) select id, input_file_name() as file from c")
    before = session.read.parquet(folder).withColumn("file", F.input_file_name())
    assert all("part=d" in row["file"] for row in before.collect())
    with pytest.raises(UnlabelledData):
        sp.check(before.select("file"))
    sp.check(sp.tagged(before, {**tags, "file": NotPersonal}).select("file"))


def test_a_file_of_rows_that_were_kept_tells_of_these(sp: Spark, mixed: DataFrame) -> None:
    made = sp.permitted(mixed.select("id", "src", "name")).drop("note")
    with pytest.raises(PurposeViolation):
        sp.check(made.select("id", F.input_file_name()))  # of the note as well, which is telemetry


def test_rows_lie_in_the_order_of_a_window(sp: Spark, session: SparkSession) -> None:
    found = []
    for devices in (("a", "b"), ("b", "a")):
        made = frame(session, sp, {"id": NotPersonal, "device": tm.ProductData}, list(enumerate(devices)))
        first = F.row_number().over(Window.orderBy("device"))
        kept = made.withColumn("r", first).cache()
        found.append(kept.select("id").first())
        with pytest.raises(PurposeViolation):
            sp.check(kept.select("id"))
        kept.unpersist()
    assert found[0] != found[1]


def test_limit_rows_lie_where_all_that_they_hold_put_them(sp: Spark, session: SparkSession) -> None:
    found = []
    for step in (1, 7):
        rows = [(number, f"d{number * step % 9}") for number in range(60)]
        made = frame(session, sp, {"id": NotPersonal, "device": tm.ProductData}, rows).repartition(3).cache()
        sp.check(made.select("id"))
        found.append(made.select("id").limit(9).collect())
        made.unpersist()
    assert found[0] != found[1]


@pytest.mark.parametrize("mode", ["append", "Append", "APPEND"])
def test_what_is_appended_is_covered_however_the_mode_is_spelt(
    mode: str, guard: Guard, sp: Spark, customers: DataFrame, folder: str
) -> None:
    with guard.purpose(tm.ProductImprovement):
        sp.save(customers.select("email"), folder)
        with pytest.raises(FlowViolation):
            sp.save(customers.selectExpr("device as email"), folder, mode=mode)
        with pytest.raises(FlowViolation):
            sp.guarded(customers.selectExpr("device as email")).write.mode(mode).parquet(folder)


@pytest.mark.parametrize("name", ["a[1]", "b{2}", "c*", "d?", "e\\f", "year=2024"])
def test_a_path_is_no_pattern(name: str, guard: Guard, sp: Spark, customers: DataFrame, folder: str) -> None:
    with guard.purpose(tm.ProductImprovement):
        sp.save(customers.select("email"), f"{folder}/{name}")
        with pytest.raises(FlowViolation):
            sp.save(customers.selectExpr("device as email"), f"{folder}/{name}", mode="append")


@pytest.mark.parametrize("table", [False, True])
def test_what_is_appended_does_not_take_tags_away(
    table: bool, guard: Guard, sp: Spark, customers: DataFrame, folder: str
) -> None:
    session = customers.sparkSession
    target = "appended" if table else folder
    with guard.purpose(tm.ProductImprovement):
        sp.save(customers.select("id", F.concat("email", "device").alias("text")), target, table=table)
        for _ in range(3):
            sp.save(customers.selectExpr("id", "email as text").limit(1), target, table=table, mode="append")
    files = session.table(target).inputFiles() if table else session.read.parquet(target).inputFiles()
    assert len(files) > 3
    for file in files:
        assert sp.columns(session.read.parquet(file))["text"].label == Label(tm.Registration, tm.ProductData)
    if table:
        session.sql("drop table appended")


def test_rows_of_an_rdd_lose_their_tags(sp: Spark, customers: DataFrame) -> None:
    with pytest.raises(UnlabelledData):
        sp.check(customers.select("device").rdd.toDF())


def test_a_view_and_a_view_in_its_place_are_followed(session: SparkSession, sp: Spark, customers: DataFrame) -> None:
    customers.select("email").createOrReplaceTempView("harmless")
    before = session.sql("select * from harmless")
    customers.selectExpr("device as email").createOrReplaceTempView("harmless")
    sp.check(before)
    with pytest.raises(PurposeViolation):
        sp.check(session.sql("select * from harmless"))


def test_a_table_that_was_written_with_tags_is_known_by_them(
    session: SparkSession, guard: Guard, sp: Spark, customers: DataFrame
) -> None:
    with guard.purpose(tm.ProductImprovement):
        sp.save(customers.selectExpr("id", "device as email"), "turned", table=True)
    try:
        with pytest.raises(PurposeViolation):
            sp.check(session.sql("select email from turned"))
    finally:
        session.sql("drop table turned")


def test_a_token_in_a_condition_of_ones_own_keeps_no_rows(sp: Spark, mixed: DataFrame) -> None:
    made = sp.permitted(mixed.select("id", "src", "name"))
    java: Any = made._jdf
    plan = json.loads(java.queryExecution().analyzed().toJSON())
    token = plan[0]["condition"][3]["value"]
    told = (F.lit(token) == F.lit(token)) | F.col("src").isNull()
    forged = mixed.select("id", "src", "name").filter(told & F.lit(True))
    with pytest.raises(UnlabelledData, match="permitted"):
        sp.check(forged)
    swapped = mixed.selectExpr("id", "name as src", "src as name").filter(java_condition(made, sp))
    with pytest.raises(UnlabelledData):
        sp.check(swapped.select(F.col("src")))


def java_condition(made: DataFrame, sp: Spark) -> Any:
    """A condition that looks like that of a frame whose rows were kept."""
    java: Any = made._jdf
    token = json.loads(java.queryExecution().analyzed().toJSON())[0]["condition"][3]["value"]
    return ((F.lit(token) == F.lit(token)) | F.col("src").isNull()) & F.col("src").isin("1.1(a)")


def test_a_token_of_a_tag_does_not_take_away(session: SparkSession, sp: Spark, customers: DataFrame) -> None:
    plain = session.createDataFrame([("x",)], "a string")
    java: Any = sp.tagged(plain, {"a": NotPersonal})._jdf
    token = json.loads(java.queryExecution().analyzed().toJSON())[0]["projectList"][0][3]["value"]
    forged = customers.select(F.when(F.lit(token) == F.lit(token), F.col("device")).alias("x"))
    assert used(sp, forged) == {"device", "x"}
    with pytest.raises(PurposeViolation):
        sp.check(forged)


def test_a_tag_is_not_taken_away_by_way_of_a_function(sp: Spark, customers: DataFrame) -> None:
    with pytest.raises(FlowViolation):
        sp.tagged(customers.mapInPandas(lambda them: them, "x string"), {"x": NotPersonal})


GIVING: dict[str, Callable[[Any], Any]] = {
    "collect": lambda g: g.collect(),
    "toPandas": lambda g: g.toPandas(),
    "toArrow": lambda g: g.toArrow(),
    "show": lambda g: g.show(),
    "count": lambda g: g.count(),
    "take": lambda g: g.take(1),
    "first": lambda g: g.first(),
    "head": lambda g: g.head(),
    "tail": lambda g: g.tail(1),
    "isEmpty": lambda g: g.isEmpty(),
    "foreach": lambda g: g.foreach(print),
    "foreachPartition": lambda g: g.foreachPartition(print),
    "toLocalIterator": lambda g: list(g.toLocalIterator()),
    "toJSON": lambda g: g.toJSON().collect(),
    "rdd": lambda g: g.rdd.collect(),
    "checkpoint": lambda g: g.checkpoint(),
    "localCheckpoint": lambda g: g.localCheckpoint(),
    "approxQuantile": lambda g: g.approxQuantile("n", [0.5], 0.1),
    "write": lambda g: g.write.mode("overwrite").parquet("/nowhere"),
    "a table": lambda g: g.write.saveAsTable("nowhere"),
    "a transformation": lambda g: g.transform(lambda one: one.select("device")).collect(),
    "what a transformation makes": lambda g: g.select("device").limit(1).collect(),
    "what a join makes": lambda g: g.select("id").join(g.select("id", "device"), "id").collect(),
    "groups": lambda g: g.groupBy("device").count().collect(),
    "parts": lambda g: g.randomSplit([0.5, 0.5])[0].collect(),
    "a column's query": lambda g: g.select(g.agg(F.max("device").alias("d")).scalar().alias("m")).collect(),
}


@pytest.mark.parametrize("name", GIVING)
def test_what_gives_data_is_checked_before(name: str, sp: Spark, customers: DataFrame) -> None:
    with pytest.raises(PurposeViolation):
        GIVING[name](sp.guarded(customers))


HIDDEN = words(
    "_jdf sparkSession sql_ctx _sc _session writeTo writeStream pandas_api to_pandas_on_spark stat na plot "
    "registerTempTable inputFiles semanticHash sameSemantics freqItems crosstab mergeInto asTable _jseq "
    "_collect_as_arrow __dict__ __wrapped__ nothing"
)


@pytest.mark.parametrize("name", sorted(HIDDEN))
def test_nothing_else_is_reached_through_the_wrapper(name: str, sp: Spark, customers: DataFrame) -> None:
    made = sp.guarded(customers)
    assert not hasattr(made, name)
    with pytest.raises(AttributeError):
        getattr(made, name)


def test_methods_of_the_wrapper_have_no_frame(sp: Spark, customers: DataFrame) -> None:
    made = sp.guarded(customers)
    names = [name for name in dir(made) if name not in ("rdd", "write") and callable(getattr(made, name))]
    assert len(names) > 80
    for found in [*(getattr(made, name) for name in names), made.groupBy("n").agg, made.groupBy("n").pivot]:
        for hidden in ("__self__", "__wrapped__", "func", "args"):
            assert getattr(found, hidden, made) is made  # nothing behind the wrapper that the method is of
    assert made.select.__name__ == "select"
    assert "cols" in inspect.signature(made.select).parameters
    made.explain()
    assert made.isLocal() is customers.isLocal()


def test_the_writer_writes_what_keeps_tags(sp: Spark, customers: DataFrame) -> None:
    for name in ("csv", "json", "jdbc", "insertInto", "option", "_jwrite", "_df", "format"):
        with pytest.raises(SealedAttribute):
            getattr(sp.guarded(customers).write, name)


def test_what_may_be_used_is_given(session: SparkSession, sp: Spark, customers: DataFrame, folder: str) -> None:
    made = sp.guarded(customers)
    assert made.select("email").filter(made.id == 1).collect() == [("a@x",)]
    assert made.groupBy("city").agg(F.count("*").alias("n")).filter("n > 1").collect() == [("Kyoto", 2)]
    assert made.withhold().columns == ["id", "email", "city", "n"]
    made.withhold().write.parquet(folder)
    assert session.read.parquet(folder).count() == 4
    assert made.withhold().cache().count() == 4
    assert isinstance(made.select(F.upper("email").alias("E")).localCheckpoint(), GuardedFrame)
    assert made.select(F.upper("email").alias("E")).checkpoint().select("E").count() == 4
    made.createOrReplaceTempView("guarded_customers")
    with pytest.raises(PurposeViolation):
        sp.sql(session, "select device from guarded_customers")
    assert made.schema == customers.schema
    assert repr(made) == "<GuardedFrame id, email, city, device, n>"
    assert "collect" in dir(made)


def test_rows_are_kept_behind_the_wrapper(session: SparkSession, sp: Spark, mixed: DataFrame) -> None:
    made = sp.guarded(mixed).select("id", "src", "name")
    with pytest.raises(UnlabelledData):
        made.collect()
    kept = made.permitted()
    assert {row.name for row in kept.collect()} == {"Ann", "Cy"}
    empty = sp.guarded(frame(session, sp, MIXED, []))
    assert empty.permitted(withhold=True).collect() == []


def test_a_pivot_without_its_values_is_refused(sp: Spark, customers: DataFrame) -> None:
    groups = sp.guarded(customers).groupBy("n")
    with pytest.raises(UnresolvedStatement, match="name them"):
        groups.pivot("device")
    with pytest.raises(PurposeViolation):
        groups.pivot("device", ["d1"]).count().collect()
    with pytest.raises(SealedAttribute):
        _ = groups._df


def test_the_purpose_is_that_of_the_action(guard: Guard, sp: Spark, customers: DataFrame) -> None:
    made = sp.guarded(customers).select("device")
    with guard.purpose(tm.ProductImprovement):
        assert made.count() == 4
    with pytest.raises(PurposeViolation):
        made.count()


def test_a_guarded_frame_is_not_taken_along(sp: Spark, customers: DataFrame) -> None:
    made = sp.guarded(customers)
    for taken in (pickle.dumps, copy.copy, copy.deepcopy, iter, list):
        with pytest.raises(TypeError):
            taken(made)
    with pytest.raises(AttributeError):
        made.id = 1
    with pytest.raises(TypeError, match="is made by"):
        GuardedFrame()
    with pytest.raises(TypeError, match="no guarded frame"):
        made.transform(lambda one: customers)
