"""Cases on Spark: frames by way of their plans, and texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

import narwhals as nw

from purposeguard import Guard
from purposeguard.adapters.tags import KEY, encode
from tests.adapters.conformance import frame_kinds
from tests.adapters.conformance.as_frames import applied
from tests.adapters.conformance.as_sql import statement
from tests.adapters.conformance.cases import Case, Table
from tests.adapters.conformance.engines import Answer, Engine, declared, plain_rows, under
from tests.adapters.conformance.run_frames import needed_in

if TYPE_CHECKING:
    # Cases are collected where Spark is not installed, so what runs them imports it.
    from pyspark.sql import DataFrame, SparkSession

    from purposeguard.adapters.spark import Spark

TYPES: Mapping[str, str] = {"int": "long", "text": "string", "date": "date", "timestamp": "timestamp"}
"""Type of a case → Spark's name of it."""


class _OnSpark(Engine):
    names: ClassVar[frozenset[str]] = frozenset({"spark"})
    reads_metadata = True
    tables_have_names: ClassVar[bool] = False

    def __init__(self, session: Callable[[], SparkSession]) -> None:
        self._session = session

    @property
    def own_errors(self) -> tuple[type[Exception], ...]:  # type: ignore[override]
        from pyspark.errors import PySparkException

        return (PySparkException,)

    def _bare(self, case: Case, table: Table) -> DataFrame:
        """A frame whose columns bear their tags as metadata."""
        from pyspark.sql.types import StructType

        tags = None if _declares(case) else case.tags(table.name)
        schema = StructType()
        for column in table.columns:
            text = column.metadata
            if text is None and tags is not None and column.name in tags:
                text = encode(tags[column.name], case.history)
            metadata = None if text is None else {KEY: text}
            schema.add(column.name, TYPES[column.type], metadata=metadata)
        return self._session().createDataFrame(frame_kinds.arrow(table), schema)

    def _frame(self, case: Case, spark: Spark, table: Table) -> DataFrame:
        frame = self._bare(case, table)
        return spark.tagged(frame, declared(case, table)) if _declares(case) else frame

    def _labels(self, spark: Spark, frame: DataFrame) -> dict[str, list[str]]:
        columns = spark.columns(frame)
        return {name: sorted(one.clause for one in tag.label.sources) for name, tag in columns.items()}


def _declares(case: Case) -> bool:
    """Whether its tags are told to the adapter: they may be wrong, and no text could be written of them."""
    return case.theme == "bad" and not any(table.has_metadata for table in case.tables)


class SparkPlan(_OnSpark):
    """Frames: what was done to them is told by their plans."""

    name = "spark-plan"
    names = frozenset({"spark", "frames"})

    def lacks(self, case: Case) -> str | None:
        return None if case.frame is not None else "has a text alone"

    def answer(self, case: Case, guard: Guard) -> Answer:
        from purposeguard.adapters.spark import Spark

        assert case.frame is not None
        spark = Spark(guard)
        with under(case, guard):
            frames = {table.name: self._frame(case, spark, table) for table in case.tables}
            if case.op == "withhold":
                return self._answered(spark, spark.withhold(frames[case.tables[0].name]))
            if case.op == "permitted-withhold":
                return self._answered(spark, spark.permitted(frames[case.tables[0].name], withhold=True))
            if case.op == "permitted":
                frames = {name: spark.permitted(one.select(*needed_in(case, name))) for name, one in frames.items()}
            made: DataFrame = nw.to_native(applied(case.frame, {name: nw.from_native(f) for name, f in frames.items()}))
            return self._answered(spark, made)

    def _answered(self, spark: Spark, frame: DataFrame) -> Answer:
        spark.check(frame)
        return Answer(frame.columns, plain_rows(frame.collect()), self._labels(spark, frame))


class SparkText(_OnSpark):
    """Texts, over temporary views of tagged frames."""

    name = "spark-sql"
    names = frozenset({"spark", "sql"})

    def lacks(self, case: Case) -> str | None:
        if case.op.startswith("write"):
            return "temporary views are not written to"
        if case.op not in ("check", "permitted"):
            return "a statement names its columns"
        return "parameters are told apart" if not case.runs else None

    def answer(self, case: Case, guard: Guard) -> Answer:
        from purposeguard.adapters.spark import Spark

        text = statement(case, "spark")
        assert text is not None
        spark = Spark(guard)
        session = self._session()
        made: list[str] = []
        try:
            with under(case, guard):
                for table in case.tables:
                    frame = self._frame(case, spark, table)
                    if case.op == "permitted":
                        frame = spark.narrowed(frame.select(*_used(case, table)))
                    frame.createOrReplaceTempView(table.name)
                    made.append(table.name)
                for name, view in case.views.items():
                    session.sql(view).createOrReplaceTempView(name)
                    made.append(name)
                found = spark.sql(session, text)
                return Answer(found.columns, plain_rows(found.collect()), self._labels(spark, found))
        finally:
            for name in made:
                session.catalog.dropTempView(name)


def _used(case: Case, table: Table) -> list[str]:
    """As `needed_in`; of a case that is a text, all columns."""
    if case.frame is not None:
        return needed_in(case, table.name)
    return list(table.names)
