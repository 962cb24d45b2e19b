"""Relations with tags, and what frames over them are seen to use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from purposeguard import NotPersonal
from purposeguard.adapters.spark import Spark
from purposeguard.adapters.spark.operators import TracedPlan, trace_frame
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.markers import ByRow, RowSource

CUSTOMER: Mapping[str, Any] = {
    "id": NotPersonal, "email": tm.Registration, "city": tm.Registration, "device": tm.ProductData, "n": NotPersonal,
}  # fmt: skip
ORDERS: Mapping[str, Any] = {"id": NotPersonal, "customer": NotPersonal, "total": tm.Contract, "page": tm.Cookie}
MIXED: Mapping[str, Any] = {"id": NotPersonal, "src": RowSource, "name": ByRow, "note": (tm.ProductData, ByRow)}

TYPES = {
    "id": "bigint", "email": "string", "city": "string", "device": "string", "n": "int", "customer": "bigint",
    "total": "int", "page": "string", "src": "string", "name": "string", "note": "string", "tags": "array<string>",
    "who": "string", "number": "bigint", "day": "date", "moment": "timestamp",
}  # fmt: skip

CUSTOMERS = [
    (1, "a@x", "Kyoto", "d1", 3),
    (2, "b@x", "Osaka", "d2", 1),
    (3, "c@x", "Kyoto", "d3", 2),
    (4, None, "Kobe", "d1", 2),
]
ORDERED = [(10, 1, 100, "/a"), (11, 1, 50, "/b"), (12, 3, 70, "/a"), (13, 9, 1, "/c")]


def frame(session: SparkSession, spark: Spark, tags: Any, rows: Any, types: Mapping[str, str] = TYPES) -> DataFrame:
    """A relation whose columns bear their tags."""
    return session.createDataFrame(rows, spark.schema(tags, types=types))


def plan_of(spark: Spark, given: DataFrame) -> TracedPlan:
    return trace_frame(given, spark._memory)


def used(spark: Spark, given: DataFrame) -> set[str]:
    """The columns of relations that a frame is seen to use."""
    found = plan_of(spark, given)
    return {found.name_of(atom) for atom in found.used}


def from_where(spark: Spark, given: DataFrame) -> dict[str, set[str]]:
    """The columns that each column of a frame is seen to come from."""
    found = plan_of(spark, given)
    return {name: {found.name_of(atom) for atom in flow.atoms} for name, flow in found.outputs}
