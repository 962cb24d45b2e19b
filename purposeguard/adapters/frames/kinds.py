"""The supported kinds of frames: how to list the columns of each, and how to select columns and rows.

A library is used only for its own frames, so it has already been imported.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple

import narwhals as nw
from narwhals import dependencies as having

from purposeguard.adapters.frames import rows
from purposeguard.adapters.frames.rows import PortableRule
from purposeguard.adapters.row_rule import RowRule
from purposeguard.errors import UnknownSource, UnlabelledData, UnresolvedStatement, format_name


class FrameKind(NamedTuple):
    """The operations on frames of one library."""

    name: str
    packages: tuple[str, ...]
    """The packages that define the classes of the library."""
    is_one: Callable[[Any], bool]
    """Return True for a frame of this kind."""
    names: Callable[[Any], list[Any]]
    """Return the names of a frame's columns."""
    filtered: Callable[[Any, RowRule, Collection[str]], Any]
    """Return the rows of a frame that a rule permits.

    The third argument names the columns that are personal or name subjects. A library may keep a list of a column's
    distinct values, and the values of dropped rows must leave that list too.
    """
    selected: Callable[[Any, Sequence[str]], Any]
    """Return some of a frame's columns."""
    settled: Callable[[Any, Any], Any] = lambda _, filtered: filtered
    """Return the filtered frame, cut off from the dropped data. Called with the original and the filtered frame."""


def find_frame_kind(frame: object) -> FrameKind:
    """Return the kind of a frame.

    Raises:
        TypeError: `frame` is not a supported frame, or its class derives from one and may report wrong columns.
    """
    for kind in _KINDS:
        if kind.is_one(frame):
            if type(frame).__module__.partition(".")[0] in kind.packages:
                return kind
            raise TypeError(
                f"{type(frame).__qualname__} derives from a frame of {kind.name}, and may say otherwise than that what "
                "columns it has: give the frame itself"
            )
    kinds = ", ".join(kind.name for kind in _KINDS)
    raise TypeError(f"{type(frame).__qualname__} is no frame that is known here: give one of {kinds}")


def refuse_odd(names: Sequence[object]) -> None:
    """Check that each column has a name of its own.

    Raises:
        UnresolvedStatement: the name of a column is not a string, or two columns have the same name.
    """
    if len(set(names)) < len(names):
        twice = next(name for name, times in Counter(names).items() if times > 1)
        raise UnresolvedStatement(
            f"two columns are called {format_name(twice)}, so a tag could be of either: rename one"
        )
    for name in names:
        if not isinstance(name, str):
            raise UnresolvedStatement(f"a column is called by a {type(name).__name__}, and tags are given by texts")


# ---- operations ------------------------------------------------------------------------------------------------------


def _select_columns(frame: Any, names: Sequence[str]) -> Any:
    return nw.from_native(frame).select(list(names)).to_native()


def _table_names(frame: Any) -> list[Any]:
    return list(frame.schema.names)  # six times as quick as `column_names`


def _columns(frame: Any) -> list[Any]:
    return list(frame.columns)


def _lazy_names(frame: Any) -> list[Any]:
    return list(frame.collect_schema().names())


def _numbers_rows(index: Any) -> bool:
    """Return True if a pandas index just numbers the rows from 0. Any other index may hold data."""
    return having.is_pandas_index(index) and (getattr(index, "start", None), getattr(index, "step", None)) == (0, 1)


def _pandas_names(frame: Any) -> list[Any]:
    """Return the names of the columns and of the index levels, since the index goes wherever the frame goes."""
    index = frame.index
    index_names = [name for name in index.names if name is not None]
    if len(index_names) < index.nlevels and not _numbers_rows(index):
        raise UnlabelledData(
            "the index has no name, and holds more than the numbers of rows, so nothing says what it may be used for: "
            "give it one, and a tag, or number the rows anew, `reset_index(drop=True)`"
        )
    names: list[Any] = frame.columns.tolist()
    return [*index_names, *names]


def _pandas_selected(frame: Any, names: Sequence[str]) -> Any:
    """Return a copy of some columns.

    The copy has its own memory and no `attrs`: a view of the frame, and its `attrs`, could lead to the other columns.
    """
    gone = [name for name in frame.index.names if name is not None and name not in names]
    if gone:
        frame = frame.reset_index(level=gone, drop=True)
    selection = frame[[name for name in frame.columns if name in set(names)]].copy()
    selection.index = selection.index.copy(deep=True)
    selection.attrs = {}
    return selection


def _dask_names(frame: Any) -> list[Any]:
    return _pandas_names(frame._meta)


def _dask_selected(frame: Any, names: Sequence[str]) -> Any:
    return frame.map_partitions(_pandas_selected, list(names), meta=_pandas_selected(frame._meta, names))


# Each function imports the library whose frame it gets.


def _by_arrow(frame: Any, rule: RowRule, telling: Collection[str]) -> Any:
    """Filter a frame of Arrow, pandas or dask. All three are read as Arrow."""
    from purposeguard.adapters.frames import arrow  # noqa: PLC0415  # Arrow may not be installed for other frames

    if having.is_pandas_dataframe(frame):
        return arrow.filter_pandas(frame, rule, telling)
    filtered = arrow.filter_dask if having.is_dask_dataframe(frame) else arrow.filter_arrow
    return filtered(frame, rule, telling)


def _by_polars(frame: Any, rule: RowRule, _telling: Collection[str]) -> Any:
    return _polars_rows(rows.drop_denied_sources(rule, nw.from_native(frame, eager_only=True)), rule)


def _polars_rows(frame: nw.DataFrame[Any], rule: RowRule) -> Any:
    mask = rows.mask(rule, frame)
    if isinstance(mask, bool):
        return frame.to_native() if mask else frame.to_native().clear()
    return frame.filter(mask).to_native()


def _by_duckdb(frame: Any, rule: RowRule, _telling: Collection[str]) -> Any:
    from purposeguard.adapters.duckdb import rows as duckdb_rows  # noqa: PLC0415  # only a relation of DuckDB gets here

    return duckdb_rows.filter_relation(frame, rule)


def _by_spark(frame: Any, rule: RowRule, _telling: Collection[str]) -> Any:
    from purposeguard.adapters.spark import rows as spark_rows  # noqa: PLC0415  # only a frame of Spark gets here

    return spark_rows.filter_frame(frame, rule)


# ---- lazy frames of polars -------------------------------------------------------------------------------------------


def _by_lazy_polars(frame: Any, rule: RowRule, _telling: Collection[str]) -> Any:
    import polars as pl  # noqa: PLC0415  # a frame of it is there

    remaining: Any = rows.drop_denied_sources(rule, nw.from_native(frame))
    if not _reads_file(frame):  # collected now, as in `_settle_lazy_polars`
        return _polars_rows(remaining.collect(), rule).lazy()
    names, mask_name = list(rule.columns), max(_lazy_names(frame), key=len) + "_"  # no column has this name
    empty = pl.DataFrame(schema=frame.select(names).collect_schema())
    rows.mask(rule, nw.from_native(empty, eager_only=True))  # raises now for unsupported types
    mask = pl.struct(names).map_batches(_PolarsTest(rule), return_dtype=pl.Boolean, is_elementwise=True)
    # The mask is a column of its own, because polars also runs filters on the statistics of a file, which are no rows.
    return remaining.to_native().with_columns(mask.alias(mask_name)).filter(pl.col(mask_name)).drop(mask_name)


class _PolarsTest:
    """A callable for `map_batches` that returns which rows of a series of structs may be used. It can be pickled."""

    def __init__(self, rule: RowRule) -> None:
        self._rule = PortableRule(rule)

    def __call__(self, series: Any) -> Any:
        import polars as pl  # noqa: PLC0415  # only a series of polars gets here

        try:
            mask = rows.mask(self._rule.rule, nw.from_native(series.struct.unnest(), eager_only=True))
        except UnknownSource as error:
            message = str(error)
        else:
            return (
                pl.repeat(mask, len(series), dtype=pl.Boolean, eager=True)
                if isinstance(mask, bool)
                else mask.to_native()
            )
        raise _UnknownSourceInPolars(message)


class _UnknownSourceInPolars(UnknownSource):
    """A row names an unknown source. Polars rebuilds errors from their class and message, so this needs no more."""

    def __init__(self, message: str) -> None:
        super().__init__(message.partition("`")[2].partition("`")[0])
        self._message = message

    def __str__(self) -> str:
        return self._message

    def __reduce__(self) -> tuple[Any, ...]:
        return _UnknownSourceInPolars, (self._message,)


_FILE_SCAN: Final = re.compile(r"(?:Parquet|Csv|Ipc|NDJson) SCAN \[", re.IGNORECASE)
"""The start of a plan that only reads a file."""


def _settle_lazy_polars(frame: Any, filtered: Any) -> Any:
    """Return the filtered lazy frame with a plan that holds no dropped rows.

    A plan, even a pickled one, contains all data that the frame was made of. So the frame is collected now, unless the
    original does nothing but read a file.
    """
    return filtered if _reads_file(frame) else filtered.collect().lazy()


def _reads_file(frame: Any) -> bool:
    first = frame.explain(optimized=False).lstrip().partition("\n")[0]
    return _FILE_SCAN.match(first) is not None and "in-mem" not in first


# ---- the table of kinds ----------------------------------------------------------------------------------------------


def _is_spark(frame: Any) -> bool:
    connect = having.get_pyspark_connect() if "pyspark.sql.connect.dataframe" in sys.modules else None
    return having.is_pyspark_dataframe(frame) or (connect is not None and having.is_pyspark_connect_dataframe(frame))


SPARK: Final = "Spark"
ARROW: Final = "Arrow"

_KINDS: Final = (
    FrameKind("pandas", ("pandas",), having.is_pandas_dataframe, _pandas_names, _by_arrow, _pandas_selected),
    FrameKind("polars", ("polars",), having.is_polars_dataframe, _columns, _by_polars, _select_columns),
    FrameKind(
        "polars (lazy)",
        ("polars",),
        having.is_polars_lazyframe,
        _lazy_names,
        _by_lazy_polars,
        _select_columns,
        _settle_lazy_polars,
    ),
    FrameKind(ARROW, ("pyarrow",), having.is_pyarrow_table, _table_names, _by_arrow, _select_columns),
    FrameKind("DuckDB", ("duckdb", "_duckdb"), having.is_duckdb_relation, _columns, _by_duckdb, _select_columns),
    FrameKind(SPARK, ("pyspark",), _is_spark, _columns, _by_spark, _select_columns),
    FrameKind("dask", ("dask",), having.is_dask_dataframe, _dask_names, _by_arrow, _dask_selected),
)
