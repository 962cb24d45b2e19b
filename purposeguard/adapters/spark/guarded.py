"""A frame of Spark behind a wrapper: what is made of it is wrapped as well, and what gives data is checked first."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from pyspark.sql import Column, DataFrame, GroupedData

from purposeguard.adapters.spark.plan import words
from purposeguard.errors import SealedAttribute, UnresolvedStatement

if TYPE_CHECKING:
    from purposeguard.adapters.spark import Spark

_MADE: Final = words(
    "agg alias cache coalesce colRegex crossJoin cube describe distinct drop dropDuplicates "
    "dropDuplicatesWithinWatermark drop_duplicates dropna exceptAll exists fillna filter groupBy groupby "
    "groupingSets hint intersect intersectAll join lateralJoin limit mapInArrow mapInPandas melt metadataColumn "
    "observe offset orderBy persist randomSplit repartition repartitionByRange replace rollup sample sampleBy scalar "
    "select selectExpr sort sortWithinPartitions subtract summary to toDF union unionAll unionByName unpersist unpivot "
    "where withColumn withColumnRenamed withColumns withColumnsRenamed withMetadata withWatermark"
)
"""What makes another frame of one, lazily; or a column, which is no data."""

_GIVES: Final = words(
    "approxQuantile collect corr count cov first foreach foreachPartition head isEmpty show tail take toArrow "
    "toJSON toLocalIterator toPandas"
)
"""What gives data, or something of it."""

_TELLS: Final = words(
    "columns createGlobalTempView createOrReplaceGlobalTempView createOrReplaceTempView createTempView dtypes explain "
    "isLocal isStreaming printSchema schema storageLevel"
)
"""Attributes that describe the frame and reveal no data. A view is a plan, which is traced wherever it is read."""

_GROUPS: Final = words("agg applyInArrow applyInPandas apply avg cogroup count max mean min sum")


W = TypeVar("W", bound="_SparkWrapper")


class _SparkWrapper:
    """A wrapper. What is behind it is known to this module alone."""

    __slots__ = ("__reach", "__weakref__")

    def __init__(self, *_: object, **__: object) -> None:
        raise TypeError("a guarded frame is made by `Spark(guard).guarded(frame)`")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a guarded frame is not pickled: it is of one session, and of one guard")

    def __copy__(self) -> NoReturn:
        self.__reduce__()

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__reduce__()


def make_wrapper(cls: type[W], spark: Spark, content: Any) -> W:
    """Return a wrapper of this class around something of Spark's."""
    made = object.__new__(cls)
    object.__setattr__(made, "_Behind__reach", lambda: (spark, content))
    return made


def _open(wrapper: _SparkWrapper) -> tuple[Spark, Any]:
    opened: tuple[Spark, Any] = object.__getattribute__(wrapper, "_Behind__reach")()
    return opened


class GuardedFrame(_SparkWrapper):
    """A DataFrame behind a guard. It has a DataFrame's methods: what they give is guarded too, or checked before.

    What gives data is checked under the purpose that is then under way. What is not known here is refused.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        _, frame = _open(self)
        return f"<GuardedFrame {', '.join(frame.columns)}>"

    def __dir__(self) -> list[str]:
        own = (name for name in vars(GuardedFrame) if not name.startswith("_"))
        return sorted({*_MADE, *_GIVES, *_TELLS, *own, "write", "rdd"})

    def __getitem__(self, item: Any) -> Any:
        spark, frame = _open(self)
        return _guard_result(spark, frame[item])

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("a guarded frame is not iterated over: `collect` it, under a purpose")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a guarded frame is not changed")

    def transform(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> GuardedFrame:
        """What a function makes of the guarded frame, which is one as well."""
        made = fn(self, *args, **kwargs)
        if not isinstance(made, GuardedFrame):
            raise TypeError(f"the function given to `transform` gave a {type(made).__name__}, and no guarded frame")
        return made

    def checkpoint(self, eager: bool = True) -> GuardedFrame:
        """As `Spark.checkpointed`."""
        spark, frame = _open(self)
        return make_wrapper(GuardedFrame, spark, spark.checkpointed(frame, eager=eager))

    def localCheckpoint(self, eager: bool = True) -> GuardedFrame:  # noqa: N802  # as Spark calls it
        """As `Spark.checkpointed`, on the executors."""
        spark, frame = _open(self)
        return make_wrapper(GuardedFrame, spark, spark.checkpointed(frame, eager=eager, local=True))

    def permitted(self, *, withhold: bool = False) -> GuardedFrame:
        """As `Spark.permitted`."""
        spark, frame = _open(self)
        return make_wrapper(GuardedFrame, spark, spark.permitted(frame, withhold=withhold))

    def withhold(self) -> GuardedFrame:
        """As `Spark.withhold`."""
        spark, frame = _open(self)
        return make_wrapper(GuardedFrame, spark, spark.withhold(frame))

    def __getattr__(self, name: str) -> Any:
        spark, frame = _open(self)
        if name == "rdd":
            spark.check(frame)
            return frame.rdd
        if name in _TELLS:
            attribute = getattr(frame, name)
            return _plainly(attribute) if callable(attribute) else attribute
        if name in _GIVES:
            return _plainly(getattr(frame, name), lambda: spark.check(frame))
        if name in _MADE:
            return _making(spark, getattr(frame, name))
        if name == "write":
            return make_wrapper(GuardedWriter, spark, (frame, "errorifexists"))
        if name in frame.columns:
            return frame[name]
        raise SealedAttribute(
            f"`{name}` of a guarded frame: it is not known whether it gives data that nobody checked; check the frame "
            "itself, `Spark(guard).check(frame)`, and use it as it is"
        )


def _plainly(method: Callable[..., Any], check: Callable[[], None] = lambda: None) -> Callable[..., Any]:
    """A method of a frame that can be called, and nothing else: a bound one has its frame. `check` runs before it."""

    def check_and_call(*args: Any, **kwargs: Any) -> Any:
        check()
        return method(*args, **kwargs)

    return _like(check_and_call, method)


def _like(made: Callable[..., Any], method: Callable[..., Any]) -> Callable[..., Any]:
    """With the name and signature of a method, which `functools.wraps` would leave there as well."""
    imitation: Any = made
    imitation.__name__, imitation.__doc__, imitation.__signature__ = (
        method.__name__,
        method.__doc__,
        inspect.signature(method),
    )
    return made


def _making(spark: Spark, method: Callable[..., Any]) -> Callable[..., Any]:
    def making(*args: Any, **kwargs: Any) -> Any:
        plain = [_plain(argument) for argument in args]
        return _guard_result(spark, method(*plain, **{key: _plain(argument) for key, argument in kwargs.items()}))

    return _like(making, method)


def _plain(value: Any) -> Any:
    """What a guarded argument has behind it, for Spark alone."""
    return _open(value)[1] if isinstance(value, _SparkWrapper) else value


def _guard_result(spark: Spark, made: Any) -> Any:
    """What a method gave, wrapped where data can be had from it."""
    if isinstance(made, DataFrame):
        return make_wrapper(GuardedFrame, spark, made)
    if isinstance(made, list):
        return [_guard_result(spark, item) for item in made]
    if isinstance(made, Column):
        return made
    if isinstance(made, GroupedData) or type(made).__name__ == "PandasCogroupedOps":
        return make_wrapper(GuardedGroups, spark, made)
    raise UnresolvedStatement(f"a guarded frame gave a {type(made).__name__}, of which it is not known what it gives")


class GuardedGroups(_SparkWrapper):
    """The groups of a guarded frame: what is made of them is a guarded frame."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<GuardedGroups>"

    def __getattr__(self, name: str) -> Any:
        spark, groups = _open(self)
        if name in _GROUPS and hasattr(groups, name):
            return _making(spark, getattr(groups, name))
        if name == "pivot":
            return lambda column, values=None: _pivot(spark, groups, column, values)
        raise SealedAttribute(f"`{name}` of a guarded frame's groups: it is not known whether it gives data")


def _pivot(spark: Spark, groups: Any, column: str, values: list[Any] | None = None) -> Any:
    if values is None:
        raise UnresolvedStatement("without its values `pivot` reads them at once: name them, `pivot(column, [...])`")
    return _guard_result(spark, groups.pivot(column, values))


class GuardedWriter(_SparkWrapper):
    """What `write` of a guarded frame gives: it writes Parquet and tables, checked, with tags."""

    __slots__ = ()

    def mode(self, mode: str) -> GuardedWriter:
        """What is done where there are data already."""
        spark, (frame, _) = _open(self)
        return make_wrapper(GuardedWriter, spark, (frame, mode))

    def parquet(self, path: str) -> None:
        """Write Parquet files, as `Spark.save` does."""
        spark, (frame, mode) = _open(self)
        spark.save(frame, path, mode=mode)

    def saveAsTable(self, name: str) -> None:  # noqa: N802  # as Spark calls it
        """Write a table, as `Spark.save` does."""
        spark, (frame, mode) = _open(self)
        spark.save(frame, name, table=True, mode=mode)

    def __getattr__(self, name: str) -> Any:
        raise SealedAttribute(f"`write.{name}` of a guarded frame: tags are kept by `parquet` and `saveAsTable` alone")
