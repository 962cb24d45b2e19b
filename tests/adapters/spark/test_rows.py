"""The rows that Spark keeps are those that the core permits, asked about each by itself."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

import purposeguard as pg
from purposeguard import ChannelViolation, Guard, UnlabelledData
from purposeguard.adapters.row_rule import Branch, DaySpan, KeySet, RowRule, SubjectTest, ZoneRule, id_meant, spellings
from purposeguard.adapters.spark import Spark, rows
from purposeguard.adapters.spark.rows import SparkConditions, key_relation, quote_text
from purposeguard.adapters.tags import KEY, encode
from purposeguard.errors import UnknownSource
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.markers import Collected, Ended, Subject
from tests.adapters.test_several_notices import FAR, KEPT, NEAR, ROWS, dated_guard
from tests.adapters.worlds import World, worlds
from tests.unit.together import term

pytestmark = pytest.mark.xdist_group("spark")


def _rule(*branches: Branch, **columns: Any) -> RowRule:
    return RowRule(tm.NOTICE, (ZoneRule("Asia/Tokyo", branches),), **columns)


def _frame(session: SparkSession, world: World, days: T.DataType) -> Any:
    fields = []
    for name, tag in world.columns.items():
        type_: T.DataType = T.LongType()
        if tag.mark in (Collected, Ended):
            type_ = days
        elif tag.mark is not None:
            type_ = T.StringType()
        fields.append(T.StructField(name, type_, metadata={KEY: encode(tag, world.guard.history)}))
    rows = [tuple(row[name] for name in world.columns) for row in world.rows]
    return session.createDataFrame(rows, T.StructType(fields))


def _with_moments(world: World, hour: int) -> World:
    """The same with moments in the notice's time zone in place of days."""
    zone = ZoneInfo(world.guard.notice.document.timezone)

    def moment(value: Any) -> Any:
        return datetime.datetime.combine(value, datetime.time(hour), zone) if type(value) is datetime.date else value

    world.rows = [{name: moment(value) for name, value in row.items()} for row in world.rows]
    return world


@settings(max_examples=12)
@given(world=worlds(), hour=st.sampled_from([None, 0, 23]), few=st.sampled_from([0, 500]))
def test_spark_keeps_the_rows_that_the_core_permits(world: World, hour: int | None, few: int, spark: Any) -> None:
    if hour is None:
        made = _frame(spark, world, T.DateType())
    else:
        made = _frame(spark, _with_moments(world, hour), T.TimestampType())
    adapter = Spark(world.guard)
    with contextlib.ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setattr(rows, "MOST_IN_A_CONDITION", few)
        try:
            use = stack.enter_context(world.using())
        except ChannelViolation:
            return
        refused = adapter._decider.find_denied_columns(use, world.columns, list(world.columns))
        names = [name for name in world.columns if name not in refused]
        kept = [tuple(row) for row in adapter.permitted(made.select(*names)).collect()]
        expected = [tuple(row[name] for name in names) for row in world.permitted(use, names)]
        assert len(kept) == len(expected)
        if hour is None:  # Spark gives moments without their time zone
            assert sorted(map(repr, kept)) == sorted(map(repr, expected))
        event(f"kept {'all' if len(kept) == len(world.rows) else 'some' if kept else 'none'}")


def test_rows_of_two_notices_by_the_time_zone_of_theirs(session: SparkSession) -> None:
    guard = dated_guard()
    adapter = Spark(guard)
    by_row = {"mail": pg.ByRow, "phone": pg.NotPersonal, "src": pg.RowSource, "got": Collected}
    of_both = {**by_row, "mail": term(FAR, "Account"), "phone": term(NEAR, "Account"), "src": pg.NotPersonal}
    for tags, (_, kept) in zip((by_row, of_both), KEPT, strict=True):
        columns = "mail string, phone string, src string, got timestamp"
        frame = session.createDataFrame([("m", "p", *row) for row in ROWS], columns)
        with guard.purpose("AnyRenewal", channel="email"):
            found = adapter.permitted(adapter.tagged(frame, tags)).collect()
        assert sorted((row["src"], row["got"].timestamp()) for row in found) == sorted(
            (source, got.timestamp()) for source, got in kept
        )


IDS = ["7", " 7", "07", "x", "Ä", "A\u0308", "0b5f3d0e-8f3c-4d36-9a5e-0d7f6f2b8a11", None]
UUIDS = [
    "0B5F3D0E-8F3C-4D36-9A5E-0D7F6F2B8A11",
    "{0b5f3d0e8f3c4d369a5e0d7f6f2b8a11}",
    "urn:uuid:0b5f3d0e8f3c4d369a5e0d7f6f2b8a11",
]


@pytest.mark.parametrize("most", [0, 500])
def test_ids_are_found_in_any_spelling(most: int, session: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MOST_IN_A_CONDITION", most)
    keys = KeySet(["7", "Ä", "0b5f3d0e-8f3c-4d36-9a5e-0d7f6f2b8a11"])
    text = session.createDataFrame([(one,) for one in [*IDS, *UUIDS]], "who string")
    assert _named(text, keys) == {"7", " 7", "Ä", "A\u0308", IDS[6], *UUIDS}
    for odd in ("", "  ", "7\t", "7\r\n", "7\n", "\xa07", "7\u3000", "7\u200b", "\ufeff7", "7\0", "7" * 201):
        with pytest.raises(Exception, match="a row holds a text that is no id"):
            _named(session.createDataFrame([("8",), (odd,)], "who string"), keys)
    whole = session.createDataFrame([(7,), (8,), (None,)], "who int")
    assert _named(whole, keys) == {7}
    exact = session.createDataFrame([(7,), (8,), (None,)], "who int").select(F.col("who").cast("decimal(20,0)"))
    assert {int(one) for one in _named(exact, keys)} == {7}


def _named(frame: Any, keys: KeySet) -> set[Any]:
    branch = Branch(subjects=SubjectTest(keys, only=True, nobody=False))
    rule = _rule(branch, subjects=(("who", Subject),))
    conditions = SparkConditions(rule, {"who": ("who", frame.schema["who"].dataType)}, frame.sparkSession)
    return {row.who for row in frame.filter(conditions.column_of_rule()).collect()}


@pytest.mark.parametrize("type_", ["double", "boolean", "array<string>", "decimal(10,2)", "struct<a:int>"])
def test_what_is_no_id_is_refused(type_: str, session: SparkSession) -> None:
    frame = session.createDataFrame([], f"who {type_}")
    with pytest.raises(UnlabelledData, match="`who` is marked Subject and holds"):
        _named(frame, KeySet(["7"]))


@pytest.mark.parametrize("type_", ["timestamp_ntz", "string", "bigint"])
def test_what_is_no_day_is_refused(type_: str, session: SparkSession) -> None:
    branch = Branch(collected=DaySpan(datetime.date(2024, 1, 1), None, absent=False))
    rule = _rule(branch, collected="day")
    conditions = SparkConditions(rule, {"day": ("day", T.DataType.fromDDL(type_))}, session)
    with pytest.raises(UnlabelledData, match="to hold days"):
        conditions.column_of_rule()


@pytest.mark.parametrize(
    "set_otherwise", [{"timestampType": "TIMESTAMP_NTZ", "session.timeZone": "UTC"}], indirect=True
)
def test_days_begin_in_the_time_zone_of_the_notice_by_every_setting(set_otherwise: SparkSession) -> None:
    texts = [None, "2023-12-31 14:59:59.999999", "2023-12-31 15:00:00", "2024-01-01 14:59:59", "2024-01-01 15:00:00"]
    frame = set_otherwise.createDataFrame([(text,) for text in texts], "day string")
    frame = frame.select(F.col("day").cast(T.TimestampType()))
    day = datetime.date(2024, 1, 1)
    branch = Branch(collected=DaySpan(day, day + datetime.timedelta(1), absent=False))
    kept = rows.filter_frame(frame, _rule(branch, collected="day")).select(F.col("day").cast("string"))
    assert [row.day for row in kept.collect()] == texts[2:4]


def test_a_relation_of_subjects_is_made_once(session: SparkSession) -> None:
    keys = KeySet(["1", "2"])
    ints = key_relation(session, keys, "ints")
    assert key_relation(session, keys, "ints") is ints
    assert key_relation(session, keys, "texts") is not ints
    assert key_relation(session, KeySet(["1", "2"]), "ints") is not ints


@pytest.mark.parametrize("form", ["ints", "texts"])
def test_a_relation_of_many_subjects_is_planned_as_few_rows(form: str, session: SparkSession) -> None:
    count = 2 * rows._KEYS_PER_ROW + 1
    relation = key_relation(session, KeySet(map(str, range(count))), form)
    assert sorted(int(row[0]) for row in relation.collect()) == list(range(count))
    plan = relation._jdf.queryExecution().analyzed().collectLeaves().head()
    assert plan.data().size() == 3


SPELT = st.one_of(
    st.sampled_from(sorted(spellings(tm.NOTICE))),
    st.text("0123456789.()[] abcABC①②③⑴１２３（）－-_:§/　", max_size=8),
    st.sampled_from(
        ["2.3③", "2.3 (3)", "2.3❸", "LINKED USAGE", "linked_usage", "Not-Personal", "web contact", "１．１"]
    ),
)


@settings(max_examples=3)
@given(texts=st.lists(SPELT, min_size=30, max_size=60, unique=True))
def test_what_spark_reads_as_a_source_the_notice_reads_as_the_same(texts: list[str], spark: Any) -> None:
    frame = spark.createDataFrame([(one,) for one in texts], "src string")
    rule = _rule(source="src")
    conditions = SparkConditions(rule, {"src": ("src", T.StringType())}, spark)
    clauses = sorted(one.clause for one in tm.NOTICE.sources)
    named = {one: conditions.column_of(conditions.source_in("src", frozenset({one}))) for one in clauses}
    found = frame.select("src", *(column.alias(one) for one, column in named.items())).collect()
    for row in found:
        meant = [one for one in clauses if row[one]]
        try:
            assert meant in ([], [id_meant(tm.NOTICE, row.src)])  # in none: it is refused
        except UnknownSource:
            assert meant == []


SETTINGS = [
    {"ansi.enabled": "true"},
    {"ansi.enabled": "false", "parser.escapedStringLiterals": "true", "caseSensitive": "true"},
    {"ansi.doubleQuotedIdentifiers": "true", "legacy.consecutiveStringLiterals.enabled": "true"},
]


@pytest.fixture(params=SETTINGS, ids=", ".join)
def set_otherwise(request: pytest.FixtureRequest, session: SparkSession) -> Iterator[SparkSession]:
    for name, value in request.param.items():
        session.conf.set(f"spark.sql.{name}", value)
    yield session
    for name in request.param:
        session.conf.unset(f"spark.sql.{name}")


ODD = [
    "", "it's", "''", '"', "\\", "a\\'\\", "\\n\n", "${spark.sql.caseSensitive}", "$${env:HOME}", "`", "1.1①",
    r"\p{L}$", "--",
]  # fmt: skip


def test_texts_are_read_as_they_are_by_every_setting(set_otherwise: SparkSession) -> None:
    assert list(set_otherwise.range(1).select(*map(F.expr, map(quote_text, ODD))).first() or ()) == ODD


@pytest.mark.parametrize("name", ["a.b `it's` \\", "${spark.sql.caseSensitive}`"])
def test_a_source_is_read_from_its_column_whatever_that_is_called(name: str, set_otherwise: SparkSession) -> None:
    texts = ["1.1(a)", "Registration", "1.1a", "REGISTRATION", "2.1(a)", "2.1a", "WebContact"]
    frame = set_otherwise.createDataFrame([(one,) for one in texts], "src string").toDF(name)
    rule = _rule(Branch(sources=frozenset({"1.1(a)"})), source="src")
    condition = SparkConditions(rule, {"src": (name, T.StringType())}, set_otherwise).column_of_rule()
    assert [row[0] for row in frame.filter(condition).collect()] == texts[:4]
    for odd, said in ((None, "a row names no source, in `"), ("it's \\ 9", "unknown source `it's \\ 9`, in `")):
        other = set_otherwise.createDataFrame([(odd,)], "src string").toDF(name)
        with pytest.raises(Exception, match=re.escape(said + name)):
            other.filter(condition).collect()


def test_rows_are_kept_within_the_code_that_is_made_of_the_plan(
    mixed: Any, sp: Spark, guard: Guard, session: SparkSession
) -> None:
    made = str(session.conf.get("spark.sql.codegen.wholeStage"))
    session.conf.set("spark.sql.codegen.wholeStage", "true")
    try:
        with guard.purpose(tm.SecurityInformation):
            plan = sp.permitted(mixed)._jdf.queryExecution().executedPlan().toString()
    finally:
        session.conf.set("spark.sql.codegen.wholeStage", made)
    assert re.search(r"\*\(1\) Filter CASE WHEN", plan)


def test_a_notice_without_sources_that_may_be_used_is_asked_too(session: SparkSession) -> None:
    frame = session.createDataFrame([("1.1(a)",), ("web-contact",)], "src string")
    every = frozenset(one.clause for one in tm.NOTICE.sources)
    for clauses, left in ((frozenset[str](), 0), (every, 2)):
        rule = _rule(Branch(sources=clauses), source="src")
        conditions = SparkConditions(rule, {"src": ("src", T.StringType())}, session)
        assert frame.filter(conditions.column_of_rule()).count() == left
