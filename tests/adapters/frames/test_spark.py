"""Frames of Spark with tags that are given: where columns come from is for `purposeguard.adapters.spark` to tell."""

from __future__ import annotations

from typing import Any

import pytest

from purposeguard import ByRow, Guard, PurposeViolation, RowSource, Subject, UnlabelledData
from purposeguard.adapters.frames import Frames
from purposeguard.notices import trendmicro_jp as tm
from tests.oversights import STOPPED, Told

TAGS = {"source": RowSource, "id": Subject, "email": ByRow, "device": tm.ProductData}


def test_columns_and_rows_of_spark_are_told_by_the_tags_that_are_given(spark: Any) -> None:
    rows = [("1.1(a)", 1, "a", "x"), ("1.1(c)", 2, "b", "y"), ("2.3", 3, "c", "z"), ("1.1a", 4, "d", "w")]
    frame = spark.createDataFrame(rows, "source string, id long, email string, device string")
    guard = Guard(tm.NOTICE, governance=Told({"2": STOPPED}))
    frames = Frames(guard)
    with guard.purpose(tm.RenewalGuidance):
        with pytest.raises(PurposeViolation) as refused:
            frames.permitted(frame, TAGS)
        assert refused.value.field == "device"
        left = frames.permitted(frame, TAGS, withhold=True)
        assert type(left) is type(frame)
        assert left.columns == ["source", "id", "email"]
        assert [row.email for row in left.orderBy("id").collect()] == ["a", "d"]
        with pytest.raises(UnlabelledData, match=r"purposeguard\.adapters\.spark"):
            frames.check(frame)
        frames.check(frame, TAGS, columns=["source"])


def test_an_unknown_source_and_none_make_the_query_of_spark_fail(spark: Any, guard: Guard) -> None:
    for odd, message in (("9.9", "unknown source `9.9`"), (None, "no source")):
        frame = spark.createDataFrame([("1.1(a)", "a"), (odd, "b")], "source string, email string")
        with guard.purpose(tm.RenewalGuidance):
            left = Frames(guard).permitted(frame, {"source": RowSource, "email": ByRow})
        with pytest.raises(Exception, match=message):
            left.collect()
