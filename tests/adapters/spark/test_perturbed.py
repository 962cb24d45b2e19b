"""A second way to see what a frame uses: other values in columns that were not reported make no other result."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from purposeguard.adapters.spark import Spark
from tests.adapters.spark.relations import used

pytestmark = pytest.mark.xdist_group("spark")

COLUMNS = {"r": ["ra", "rb", "rc", "rd", "re"], "s": ["sa", "sb", "sc"]}
ROWS = 8
Data = dict[str, list[list[int]]]


@dataclasses.dataclass
class Relations:
    """The relations of one run, and what a frame is made with."""

    session: SparkSession
    data: Data
    chance: random.Random

    def read(self, name: str) -> DataFrame:
        rows = ", ".join(str(row) for row in zip(*self.data[name], strict=True))
        return self.session.sql(f"select * from values {rows} as {name}({', '.join(COLUMNS[name])})")  # noqa: S608  # of numbers made here


@pytest.fixture
def interpreting(session: SparkSession) -> Iterator[SparkSession]:
    """A session that compiles nothing: of so few rows each is computed once."""
    names = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
    for name, value in names.items():
        session.conf.set(name, value)
    yield session
    for name in names:
        session.conf.unset(name)


def _numbers(frame: DataFrame) -> list[str]:
    return [name for name, type_ in frame.dtypes if type_ in ("int", "bigint")]


def _one(relations: Relations, frame: DataFrame) -> Any:
    return F.col(relations.chance.choice(_numbers(frame)))


def _expression(relations: Relations, frame: DataFrame) -> Any:
    one, other, third = (_one(relations, frame) for _ in range(3))
    return relations.chance.choice(
        [
            lambda: one + other,
            lambda: F.when(one > other, third),
            lambda: F.coalesce(F.nullif(one, other), third),
            lambda: F.greatest(one, other),
            lambda: F.size(F.array_distinct(F.array(one, other, third))),
            lambda: F.get_json_object(F.to_json(F.struct(one.alias("x"), other.alias("y"))), "$.x").cast("int"),
            lambda: F.aggregate(F.array(one, other), F.lit(0), lambda a, b: a + b),
        ]
    )().cast("int")


def _select(relations: Relations, frame: DataFrame) -> DataFrame:
    names = relations.chance.sample(frame.columns, max(2, len(frame.columns) - 2))
    return frame.select(*names)


def _with_column(relations: Relations, frame: DataFrame) -> DataFrame:
    return frame.withColumn(f"x{relations.chance.randrange(100)}", _expression(relations, frame))


def _instead(relations: Relations, frame: DataFrame) -> DataFrame:
    return frame.withColumn(relations.chance.choice(frame.columns), _expression(relations, frame))


def _filter(relations: Relations, frame: DataFrame) -> DataFrame:
    return frame.filter(_expression(relations, frame) > relations.chance.randrange(3))


def _group(relations: Relations, frame: DataFrame) -> DataFrame:
    keys = relations.chance.sample(frame.columns, min(2, len(frame.columns)))
    return frame.groupBy(*keys).agg(
        F.max(_one(relations, frame)).cast("int").alias("m"),
        F.sum(_expression(relations, frame)).cast("int").alias("t"),
        F.count("*").cast("int").alias("k"),
    )


def _join(relations: Relations, frame: DataFrame) -> DataFrame:
    number = relations.chance.randrange(1000)
    other = relations.read("s").toDF(*(f"{one}_{number}" for one in COLUMNS["s"]))
    how = relations.chance.choice(["inner", "left", "full", "left_semi", "left_anti"])
    return frame.join(other, _one(relations, frame) == F.col(f"sa_{number}"), how)


def _union(relations: Relations, frame: DataFrame) -> DataFrame:
    numbers = _numbers(frame)  # which change places; a text that came from `_melt` is no number
    moved = dict(zip(numbers, relations.chance.sample(numbers, len(numbers)), strict=True))
    other = frame.filter(_one(relations, frame) > 2).select(*(moved.get(name, name) for name in frame.columns))
    return frame.union(other)


def _except(relations: Relations, frame: DataFrame) -> DataFrame:
    names = _numbers(frame)[:2]
    return frame.select(*names).exceptAll(frame.select(*reversed(names)))


def _distinct(relations: Relations, frame: DataFrame) -> DataFrame:
    return frame.distinct()


def _window(relations: Relations, frame: DataFrame) -> DataFrame:
    window = Window.partitionBy(_one(relations, frame)).orderBy(*frame.columns)
    return frame.withColumn(f"w{relations.chance.randrange(100)}", F.row_number().over(window))


def _explode(relations: Relations, frame: DataFrame) -> DataFrame:
    rows = F.array_distinct(F.array(_one(relations, frame), _one(relations, frame)))
    return frame.withColumn(f"e{relations.chance.randrange(100)}", F.explode(rows))


def _limit(relations: Relations, frame: DataFrame) -> DataFrame:
    return frame.orderBy(*frame.columns).limit(5)


def _within(relations: Relations, frame: DataFrame) -> DataFrame:
    other = relations.read("s")
    scalar: Any = other.agg(F.max(_one(relations, other)).alias("m")).scalar()
    return frame.filter(_one(relations, frame) < scalar)


def _where_there_is(relations: Relations, frame: DataFrame) -> DataFrame:
    other = relations.read("s")
    return frame.where(other.where(F.col("sa") == _one(relations, frame).outer()).exists())


def _cube(relations: Relations, frame: DataFrame) -> DataFrame:
    return frame.cube(*frame.columns[:2]).agg(F.max(_one(relations, frame)).alias("q"))


def _melt(relations: Relations, frame: DataFrame) -> DataFrame:
    one, *others = frame.columns[:4]
    return frame.withColumns({name: F.col(name).cast("int") for name in others}).melt(
        one, [F.col(name) for name in others], "key", "value"
    )


STEPS: list[Callable[[Relations, DataFrame], DataFrame]] = [
    *(_select, _with_column, _instead, _filter, _group, _join, _union, _except, _distinct, _window, _explode, _limit),
    *(_within, _where_there_is, _cube, _melt),
]


def _made(session: SparkSession, data: Data, seed: int) -> DataFrame:
    """The frame of a seed, over these data: the same steps whatever is in them."""
    relations = Relations(session, data, random.Random(seed))
    frame = relations.read("r")
    for step in relations.chance.sample(STEPS, relations.chance.randint(2, 4)):
        frame = step(relations, frame)
    return frame.select(*relations.chance.sample(frame.columns, max(1, len(frame.columns) - 2)))


def _data(chance: random.Random) -> Data:
    return {name: [[chance.randrange(5) for _ in range(ROWS)] for _ in columns] for name, columns in COLUMNS.items()}


def _changed(data: Data, names: set[str], chance: random.Random) -> Data:
    """The same with other values in these columns."""
    return {
        name: [
            [chance.randrange(7) for _ in range(ROWS)] if column in names else list(values)
            for column, values in zip(columns, data[name], strict=True)
        ]
        for name, columns in COLUMNS.items()
    }


def _results(frames: list[DataFrame]) -> list[Counter[str]]:
    """What each gives, run as one."""
    told = [
        frame.toDF(*(f"c{number}" for number in range(len(frame.columns)))).select(
            F.lit(place).alias("place"), F.to_json(F.struct("*"), {"ignoreNullFields": "false"}).alias("row")
        )
        for place, frame in enumerate(frames)
    ]
    found: list[Counter[str]] = [Counter() for _ in frames]
    for place, row in reduce(DataFrame.union, told).collect():
        found[place][row] += 1
    return found


def _compare(session: SparkSession, sp: Spark, seed: int) -> bool:
    """Whether other values in the columns that were reported make another result; those in others must not."""
    chance = random.Random(seed)
    data = _data(chance)
    base = _made(session, data, seed)
    reported = used(sp, base)
    unreported = {column for columns in COLUMNS.values() for column in columns} - reported
    others = [_changed(data, unreported, chance) for _ in range(2)]
    frames = [_made(session, one, seed) for one in (*others, _changed(data, reported, chance))]
    first, *same, other = _results([base, *frames])
    assert all(one == first for one in same), seed
    return first != other


def test_other_values_in_columns_that_were_not_reported_make_no_other_result(
    interpreting: SparkSession, sp: Spark
) -> None:
    assert sum(_compare(interpreting, sp, seed) for seed in range(6)) > 3


@pytest.mark.deep
def test_other_values_in_columns_that_were_not_reported_make_no_other_result_in_many_frames(
    interpreting: SparkSession, sp: Spark
) -> None:
    assert sum(_compare(interpreting, sp, seed) for seed in range(100, 400)) > 150
