"""Fifty million rows in Spark, on as many cores as there are: the bare plan, and the same held to a notice."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # as everybody calls it

from benchmarks.data.frames import BY_SOURCE, BY_SUBJECT, SOURCES, by_hand
from benchmarks.data.measured import TimedRow, time_alternately, time_calls
from benchmarks.data.office import Office
from purposeguard import Guard
from purposeguard.adapters.spark import Spark
from purposeguard.notices import trendmicro_jp as tm

PACKAGES = ("pyspark", "py4j")

ROWS = 50_000_000
STOPPED = 1_000_000


def rows(quick: bool = False) -> list[TimedRow]:
    """Return the rows of the table."""
    count, rounds = (ROWS // 10, 2) if quick else (ROWS, 5)
    stopped = np.sort(np.random.default_rng(7).choice(count, STOPPED * count // ROWS, replace=False))
    with _session() as (session, folder):
        path = str(folder / "rows.parquet")
        ids = F.array(*map(F.lit, SOURCES))
        session.range(count).select(
            F.element_at(ids, (F.hash("id") % len(SOURCES) + len(SOURCES)).cast("int") % len(SOURCES) + 1).alias(
                "source"
            ),
            # All of them, in no order: a permutation, since the factor shares no divisor with the count.
            (F.col("id") * 7_368_787 % count).alias("subject"),
            F.rand(7).alias("amount"),
        ).write.parquet(path)
        keys = str(folder / "keys.parquet")
        session.createDataFrame([(int(one),) for one in stopped], "subject long").write.parquet(keys)
        data = session.read.parquet(path)
        return [
            *_checks(data, rounds),
            *_by_source(data, rounds),
            *_by_subject(data, session.read.parquet(keys), stopped.tolist(), rounds),
        ]


@contextmanager
def _session() -> Generator[tuple[SparkSession, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        session = (
            SparkSession.builder.master("local[*]")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.memory", "4g")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.log.level", "ERROR")
            .config("spark.sql.warehouse.dir", f"{folder}/warehouse")
            .getOrCreate()
        )
        try:
            yield session, Path(folder)
        finally:
            session.stop()


def _read(frame: DataFrame) -> Any:
    """Return all the rows, read and counted, and none brought here."""
    return frame.agg(F.count("subject"), F.round(F.sum("amount"), 3), F.count("source")).collect()


def _checks(data: DataFrame, rounds: int) -> list[TimedRow]:
    guard = Guard(tm.NOTICE)
    spark = Spark(guard)
    tagged = spark.tagged(data, dict.fromkeys(data.columns, tm.ProductData))

    def plan() -> DataFrame:
        return tagged.groupBy("source").agg(F.sum("amount").alias("all")).filter("all > 1")

    def new() -> object:
        frame = plan()
        spark.check(frame)
        return frame

    with guard.purpose(tm.SecurityInformation):
        known = plan()
        spark.check(known)
        checks = [
            TimedRow("a check of a frame that was checked before", time_calls(partial(spark.check, known), 20, 100)),
            TimedRow("a check of a new frame", _more(plan, new, 40)),
        ]

        def bare() -> object:
            return _read(data)

        def guarded() -> object:
            spark.check(tagged)
            return _read(tagged)

        if bare() != guarded():
            raise RuntimeError("the two do not give the same")
        took = time_alternately({"hand": bare, "ours": guarded}, rounds)
    return [
        *checks,
        TimedRow("all rows, checked", took["ours"], "the bare plan", took["hand"], 1.05),
    ]


def _more(plain: Callable[[], object], ours: Callable[[], object], rounds: int) -> float:
    took = time_alternately({"plain": plain, "ours": ours}, rounds)
    return took["ours"] - took["plain"]


def _by_source(data: DataFrame, rounds: int) -> list[TimedRow]:
    guard = Guard(tm.NOTICE)
    spark = Spark(guard)
    tagged = spark.tagged(data, BY_SOURCE)
    condition = by_hand("CAST(raise_error('unknown source') AS boolean)")
    hand, ours = _time_both(guard, lambda: data.filter(condition), lambda: spark.permitted(tagged), rounds)
    return [TimedRow("rows by their sources", ours, "a filter by hand", hand, 1.15)]


def _by_subject(data: DataFrame, keys: DataFrame, stopped: list[int], rounds: int) -> list[TimedRow]:
    guard = Guard(tm.NOTICE, governance=Office(stopped))
    spark = Spark(guard)
    tagged = spark.tagged(data, BY_SUBJECT)
    hand, ours = _time_both(
        guard, lambda: data.join(keys, "subject", "left_anti"), lambda: spark.permitted(tagged), rounds
    )
    return [TimedRow(f"{len(stopped):,} subjects stopped it", ours, "its own anti-join", hand, 1.25)]


def _time_both(
    guard: Guard, hand: Callable[[], DataFrame], ours: Callable[[], DataFrame], rounds: int
) -> tuple[float, float]:
    """Return the times of both, including the time to make the plan."""
    with guard.purpose(tm.SecurityInformation):
        if _read(hand()) != _read(ours()):
            raise RuntimeError("the two do not give the same")
        took = time_alternately({"hand": lambda: _read(hand()), "ours": lambda: _read(ours())}, rounds)
    return took["hand"], took["ours"]
