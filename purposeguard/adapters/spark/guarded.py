"""Wrappers around Spark frames. Derived frames are wrapped too, and methods that return data are checked first."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn, Protocol, TypeVar, cast

from pyspark.sql import Column, DataFrame, GroupedData

from purposeguard.adapters.spark.plan import words
from purposeguard.containers import map_values
from purposeguard.errors import SealedAttribute, UnresolvedStatement

_LAZY_METHODS: Final = words(
    "agg alias cache coalesce colRegex crossJoin cube describe distinct drop dropDuplicates "
    "dropDuplicatesWithinWatermark drop_duplicates dropna exceptAll exists fillna filter groupBy groupby "
    "groupingSets hint intersect intersectAll join lateralJoin limit mapInArrow mapInPandas melt metadataColumn "
    "observe offset orderBy persist randomSplit repartition repartitionByRange replace rollup sample sampleBy scalar "
    "select selectExpr sort sortWithinPartitions subtract summary to toDF union unionAll unionByName unpersist unpivot "
    "where withColumn withColumnRenamed withColumns withColumnsRenamed withMetadata withWatermark"
)
"""Methods that lazily make another frame, or a column, which holds no data."""

_READING_METHODS: Final = words(
    "approxQuantile collect corr count cov first foreach foreachPartition head isEmpty show tail take toArrow "
    "toJSON toLocalIterator toPandas"
)
"""Methods that return data or reveal something about them."""

_DESCRIPTIONS: Final = words(
    "columns createGlobalTempView createOrReplaceGlobalTempView createOrReplaceTempView createTempView dtypes explain "
    "isLocal isStreaming printSchema schema storageLevel"
)
"""Attributes that describe the frame and reveal no data. A view is a plan, which is traced wherever it is read."""

_GROUP_METHODS: Final = words("agg applyInArrow applyInPandas apply avg cogroup count max mean min sum")
"""Methods of groups that lazily make a frame, or another grouping."""

W = TypeVar("W", bound="_SparkWrapper")


class FrameChecker(Protocol):
    """The methods of `Spark` that wrappers call."""

    def is_observing(self) -> bool:
        """Return True if violations are only observed here, so that wrappers behave like what they wrap."""
        ...

    def check(self, frame: DataFrame) -> None:
        """Check that the use under way may use every column that the frame's result depends on."""

    def withhold(self, frame: DataFrame) -> DataFrame:
        """Return the frame without the columns that may not be used."""
        ...

    def permitted(self, frame: DataFrame, *, withhold: bool = False) -> DataFrame:
        """Return the frame with only the rows that may be used."""
        ...

    def checkpointed(self, frame: DataFrame, *, eager: bool = True, local: bool = False) -> DataFrame:
        """Check the frame, and return a checkpoint of it."""
        ...

    def save(self, frame: DataFrame, target: str, *, table: bool = False, mode: str = "errorifexists") -> None:
        """Check the frame, and write it to Parquet files or to a table."""


class _SparkWrapper:
    """Base class of wrappers. Only this module reaches the wrapped object."""

    __slots__ = ("__reach", "__weakref__")

    def __init__(self, *_: object, **__: object) -> None:
        raise TypeError("a guarded frame is made by `Spark(guard).guarded(frame)`")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a guarded frame is not pickled: it is of one session, and of one guard")

    def __copy__(self) -> NoReturn:
        self.__reduce__()

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__reduce__()


def make_wrapper(cls: type[W], spark: FrameChecker, content: Any) -> W:
    """Return a wrapper of this class around a Spark object."""
    wrapper = object.__new__(cls)
    object.__setattr__(wrapper, "_SparkWrapper__reach", lambda: (spark, content))
    return wrapper


def _open(wrapper: _SparkWrapper) -> tuple[FrameChecker, Any]:
    opened: tuple[FrameChecker, Any] = object.__getattribute__(wrapper, "_SparkWrapper__reach")()
    return opened


class GuardedFrame(_SparkWrapper):
    """A DataFrame behind a guard, with the methods of a DataFrame.

    Derived frames are guarded too. Methods that return data first check the purpose that is then under way. Unknown
    methods are refused.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        _, frame = _open(self)
        return f"<GuardedFrame {', '.join(frame.columns)}>"

    def __dir__(self) -> list[str]:
        names = {*_LAZY_METHODS, *_READING_METHODS, *_DESCRIPTIONS, "write", "rdd"}
        for name in vars(GuardedFrame):
            if not name.startswith("_"):
                names.add(name)
        return sorted(names)

    def __getitem__(self, item: Any) -> Any:
        spark, frame = _open(self)
        return _guard_result(spark, frame[item])

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("a guarded frame is not iterated over: `collect` it, under a purpose")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a guarded frame is not changed")

    def transform(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> GuardedFrame:
        """Call a function with the guarded frame. Its result must be a guarded frame too."""
        spark, _ = _open(self)
        result = fn(self, *args, **kwargs)
        if not isinstance(result, GuardedFrame) and not spark.is_observing():
            raise TypeError(f"the function given to `transform` gave a {type(result).__name__}, and no guarded frame")
        return cast("GuardedFrame", result)

    def checkpoint(self, eager: bool = True) -> GuardedFrame:
        """Return a checkpoint of the frame, as `Spark.checkpointed` does."""
        spark, frame = _open(self)
        return make_wrapper(GuardedFrame, spark, spark.checkpointed(frame, eager=eager))

    def localCheckpoint(self, eager: bool = True) -> GuardedFrame:  # noqa: N802  # as Spark calls it
        """Return a checkpoint on the executors, as `Spark.checkpointed` does with `local`."""
        spark, frame = _open(self)
        return make_wrapper(GuardedFrame, spark, spark.checkpointed(frame, eager=eager, local=True))

    def permitted(self, *, withhold: bool = False) -> GuardedFrame:
        """Return the frame with only the rows that may be used, as `Spark.permitted` does."""
        spark, frame = _open(self)
        return make_wrapper(GuardedFrame, spark, spark.permitted(frame, withhold=withhold))

    def withhold(self) -> GuardedFrame:
        """Return the frame without denied columns, as `Spark.withhold` does."""
        spark, frame = _open(self)
        return make_wrapper(GuardedFrame, spark, spark.withhold(frame))

    def __getattr__(self, name: str) -> Any:
        spark, frame = _open(self)
        if name == "rdd":
            spark.check(frame)
            return frame.rdd
        if name in _DESCRIPTIONS:
            attribute = getattr(frame, name)
            return _hide_method(attribute) if callable(attribute) else attribute
        if name in _READING_METHODS:
            return _hide_method(getattr(frame, name), lambda: spark.check(frame))
        if name in _LAZY_METHODS:
            return _wrap_lazy_method(spark, getattr(frame, name))
        if name == "write":
            return make_wrapper(GuardedWriter, spark, (frame, "errorifexists"))
        if name in frame.columns:
            return frame[name]
        if spark.is_observing():
            spark.check(frame)
            return getattr(frame, name)
        raise SealedAttribute(
            f"`{name}` of a guarded frame: it is not known whether it gives data that nobody checked; check the frame "
            "itself, `Spark(guard).check(frame)`, and use it as it is"
        )


def _hide_method(method: Callable[..., Any], check: Callable[[], None] = lambda: None) -> Callable[..., Any]:
    """Return a function that calls `check` and then the method.

    The bound method itself is not handed out, because it would lead to the frame.
    """

    def check_and_call(*args: Any, **kwargs: Any) -> Any:
        check()
        return method(*args, **kwargs)

    return _imitate(check_and_call, method)


def _imitate(function: Callable[..., Any], method: Callable[..., Any]) -> Callable[..., Any]:
    """Copy the name, docstring and signature of a method to a function.

    `functools.wraps` would also leave the method itself on the function.
    """
    imitation: Any = function
    imitation.__name__, imitation.__doc__, imitation.__signature__ = (
        method.__name__,
        method.__doc__,
        inspect.signature(method),
    )
    return function


def _wrap_lazy_method(spark: FrameChecker, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that takes guarded arguments and guards the result of the method."""

    def call_and_guard(*args: Any, **kwargs: Any) -> Any:
        plain_kwargs = map_values(_unwrap, kwargs)
        return _guard_result(spark, method(*map(_unwrap, args), **plain_kwargs))

    return _imitate(call_and_guard, method)


def _unwrap(value: Any) -> Any:
    """Return the Spark object behind a guarded argument, or the argument itself."""
    return _open(value)[1] if isinstance(value, _SparkWrapper) else value


def _guard_result(spark: FrameChecker, result: Any) -> Any:
    """Wrap the result of a method if it leads to data.

    Raises:
        UnresolvedStatement: the type of the result is unknown.
    """
    if isinstance(result, DataFrame):
        return make_wrapper(GuardedFrame, spark, result)
    if isinstance(result, list):
        return [_guard_result(spark, item) for item in result]
    if isinstance(result, Column):
        return result
    if isinstance(result, GroupedData) or type(result).__name__ == "PandasCogroupedOps":
        return make_wrapper(GuardedGroups, spark, result)
    if spark.is_observing():
        return result
    raise UnresolvedStatement(f"a guarded frame gave a {type(result).__name__}, of which it is not known what it gives")


class GuardedGroups(_SparkWrapper):
    """The groups of a guarded frame. Their methods return guarded frames."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<GuardedGroups>"

    def __getattr__(self, name: str) -> Any:
        spark, groups = _open(self)
        if name in _GROUP_METHODS and hasattr(groups, name):
            return _wrap_lazy_method(spark, getattr(groups, name))
        if name == "pivot":
            return lambda column, values=None: _pivot(spark, groups, column, values)
        if spark.is_observing():
            return getattr(groups, name)
        raise SealedAttribute(f"`{name}` of a guarded frame's groups: it is not known whether it gives data")


def _pivot(spark: FrameChecker, groups: Any, column: str, values: list[Any] | None = None) -> Any:
    if values is None and not spark.is_observing():
        raise UnresolvedStatement("without its values `pivot` reads them at once: name them, `pivot(column, [...])`")
    return _guard_result(spark, groups.pivot(column, values))


class GuardedWriter(_SparkWrapper):
    """The writer of a guarded frame. It checks the frame and writes Parquet files and tables with tags."""

    __slots__ = ()

    def mode(self, mode: str) -> GuardedWriter:
        """Return a writer with this mode, which says what happens if the target holds data already."""
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
        spark, (frame, mode) = _open(self)
        if spark.is_observing():
            spark.check(frame)
            return getattr(frame.write.mode(mode), name)
        raise SealedAttribute(f"`write.{name}` of a guarded frame: tags are kept by `parquet` and `saveAsTable` alone")
