"""The supported kinds of frames: how to list the columns of each, and how to select columns and rows.

A library is used only for its own frames, so it has already been imported.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple

import narwhals as nw
from narwhals import dependencies as having

from purposeguard.adapters.row_rule import RowRule
from purposeguard.containers import drop_none, exclude, intersect
from purposeguard.errors import UnlabelledData, UnresolvedStatement, format_name


class FrameKind(NamedTuple):
    """The operations on frames of one library."""

    name: str
    packages: tuple[str, ...]
    """The packages that define the classes of the library."""
    matches: Callable[[Any], bool]
    """Return True for a frame of this kind."""
    list_names: Callable[[Any], list[Any]]
    """Return the names of a frame's columns."""
    filter_rows: Callable[[Any, RowRule, Collection[str]], Any]
    """Return the rows of a frame that a rule permits.

    The third argument names the columns that are personal or name subjects. A library may keep a list of a column's
    distinct values, and the values of dropped rows must leave that list too.
    """
    select_columns: Callable[[Any, Sequence[str]], Any]
    """Return some of a frame's columns."""
    settle: Callable[[Any, Any], Any] = lambda _, filtered: filtered
    """Return the filtered frame, cut off from the dropped data. Called with the original and the filtered frame."""


def find_frame_kind(frame: object) -> FrameKind:
    """Return the kind of a frame.

    Raises:
        TypeError: `frame` is not a supported frame, or its class derives from one and may report wrong columns.
    """
    for kind in _KINDS:
        if kind.matches(frame):
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
    for name, times in Counter(names).items():
        if times > 1:
            raise UnresolvedStatement(
                f"two columns are called {format_name(name)}, so a tag could be of either: rename one"
            )
    for name in names:
        if not isinstance(name, str):
            raise UnresolvedStatement(f"a column is called by a {type(name).__name__}, and tags are given by texts")


# ---- operations ------------------------------------------------------------------------------------------------------


def _select_columns(frame: Any, names: Sequence[str]) -> Any:
    return nw.from_native(frame).select(list(names)).to_native()


def _list_table_names(frame: Any) -> list[Any]:
    return list(frame.schema.names)  # six times as quick as `column_names`


def _list_columns(frame: Any) -> list[Any]:
    return list(frame.columns)


def _list_lazy_names(frame: Any) -> list[Any]:
    return list(frame.collect_schema().names())


def _numbers_rows(index: Any) -> bool:
    """Return True if a pandas index just numbers the rows from 0. Any other index may hold data."""
    return having.is_pandas_index(index) and (getattr(index, "start", None), getattr(index, "step", None)) == (0, 1)


def _list_pandas_names(frame: Any) -> list[Any]:
    """Return the names of the columns and of the index levels, since the index goes wherever the frame goes."""
    index = frame.index
    index_names = drop_none(index.names)
    if len(index_names) < index.nlevels and not _numbers_rows(index):
        raise UnlabelledData(
            "the index has no name, and holds more than the numbers of rows, so nothing says what it may be used for: "
            "give it one, and a tag, or number the rows anew, `reset_index(drop=True)`"
        )
    names: list[Any] = frame.columns.tolist()
    return [*index_names, *names]


def _select_pandas_columns(frame: Any, names: Sequence[str]) -> Any:
    """Return a copy of some columns.

    The copy has its own memory and no `attrs`: a view of the frame, and its `attrs`, could lead to the other columns.
    """
    gone = exclude(drop_none(frame.index.names), names)
    if gone:
        frame = frame.reset_index(level=gone, drop=True)
    selected = set(names)
    selection = frame[intersect(frame.columns, selected)].copy()
    selection.index = selection.index.copy(deep=True)
    selection.attrs = {}
    return selection


def _list_dask_names(frame: Any) -> list[Any]:
    return _list_pandas_names(frame._meta)  # dask has no other empty frame with the index


def _select_dask_columns(frame: Any, names: Sequence[str]) -> Any:
    meta = _select_pandas_columns(frame._meta, names)
    return frame.map_partitions(_select_pandas_columns, list(names), meta=meta)


# Each function imports the library whose frame it gets.


def _filter_by_arrow(frame: Any, rule: RowRule, revealing_columns: Collection[str]) -> Any:
    """Filter a frame of Arrow, pandas or dask. All three are read as Arrow."""
    from purposeguard.adapters.frames import arrow  # noqa: PLC0415  # Arrow may not be installed for other frames

    if having.is_pandas_dataframe(frame):
        return arrow.filter_pandas(frame, rule, revealing_columns)
    if having.is_dask_dataframe(frame):
        return arrow.filter_dask(frame, rule, revealing_columns)
    return arrow.filter_arrow(frame, rule, revealing_columns)


def _filter_polars(frame: Any, rule: RowRule, _revealing_columns: Collection[str]) -> Any:
    from purposeguard.adapters.frames import polars  # noqa: PLC0415  # only a frame of polars gets here

    return polars.filter_polars(frame, rule)


def _filter_lazy_polars(frame: Any, rule: RowRule, _revealing_columns: Collection[str]) -> Any:
    from purposeguard.adapters.frames import polars  # noqa: PLC0415  # only a frame of polars gets here

    return polars.filter_lazy_polars(frame, rule)


def _settle_lazy_polars(frame: Any, filtered: Any) -> Any:
    from purposeguard.adapters.frames import polars  # noqa: PLC0415  # only a frame of polars gets here

    return polars.settle_lazy_polars(frame, filtered)


def _filter_duckdb(frame: Any, rule: RowRule, _revealing_columns: Collection[str]) -> Any:
    from purposeguard.adapters.duckdb import rows as duckdb_rows  # noqa: PLC0415  # only a relation of DuckDB gets here

    return duckdb_rows.filter_relation(frame, rule)


def _filter_spark(frame: Any, rule: RowRule, _revealing_columns: Collection[str]) -> Any:
    from purposeguard.adapters.spark import rows as spark_rows  # noqa: PLC0415  # only a frame of Spark gets here

    return spark_rows.filter_frame(frame, rule)


# ---- the table of kinds ----------------------------------------------------------------------------------------------


def _is_spark(frame: Any) -> bool:
    connect = having.get_pyspark_connect() if "pyspark.sql.connect.dataframe" in sys.modules else None
    return having.is_pyspark_dataframe(frame) or (connect is not None and having.is_pyspark_connect_dataframe(frame))


SPARK: Final = "Spark"
ARROW: Final = "Arrow"

_KINDS: Final = (
    FrameKind(
        "pandas",
        ("pandas",),
        having.is_pandas_dataframe,
        _list_pandas_names,
        _filter_by_arrow,
        _select_pandas_columns,
    ),
    FrameKind("polars", ("polars",), having.is_polars_dataframe, _list_columns, _filter_polars, _select_columns),
    FrameKind(
        "polars (lazy)",
        ("polars",),
        having.is_polars_lazyframe,
        _list_lazy_names,
        _filter_lazy_polars,
        _select_columns,
        _settle_lazy_polars,
    ),
    FrameKind(ARROW, ("pyarrow",), having.is_pyarrow_table, _list_table_names, _filter_by_arrow, _select_columns),
    FrameKind(
        "DuckDB", ("duckdb", "_duckdb"), having.is_duckdb_relation, _list_columns, _filter_duckdb, _select_columns
    ),
    FrameKind(SPARK, ("pyspark",), _is_spark, _list_columns, _filter_spark, _select_columns),
    FrameKind("dask", ("dask",), having.is_dask_dataframe, _list_dask_names, _filter_by_arrow, _select_dask_columns),
)
