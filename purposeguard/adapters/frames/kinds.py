"""The kinds of frames: what columns there are, and how some of them, or some rows, are kept.

Each library is asked only where a frame of it is there, so it has been imported already.
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
    """The operations on frames of one library; `packages`: where its classes are defined.

    `settled` gets a frame and what is left of it, and cuts every path from there to what was left out.

    `filtered` gets the columns that are personal, or name subjects: a library may keep a list of a column's distinct
    values, and values of the left-out rows must leave it too.
    """

    name: str
    packages: tuple[str, ...]
    is_one: Callable[[Any], bool]
    names: Callable[[Any], list[Any]]
    filtered: Callable[[Any, RowRule, Collection[str]], Any]
    selected: Callable[[Any, Sequence[str]], Any]
    settled: Callable[[Any, Any], Any] = lambda _, left: left


def find_frame_kind(frame: object) -> FrameKind:
    """The kind of a frame.

    Raises:
        TypeError: it is none, or of a class that derives from one, which may say of itself what it likes.
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
    """Checks that each column has a name of its own.

    Raises:
        UnresolvedStatement: a column has no text for a name, or the name of another one.
    """
    if len(set(names)) < len(names):
        twice = next(name for name, times in Counter(names).items() if times > 1)
        raise UnresolvedStatement(
            f"two columns are called {format_name(twice)}, so a tag could be of either: rename one"
        )
    for name in names:
        if not isinstance(name, str):
            raise UnresolvedStatement(f"a column is called by a {type(name).__name__}, and tags are given by texts")


# ---- what each does --------------------------------------------------------------------------------------------------


def _select_columns(frame: Any, names: Sequence[str]) -> Any:
    return nw.from_native(frame).select(list(names)).to_native()


def _table_names(frame: Any) -> list[Any]:
    return list(frame.schema.names)  # six times as quick as `column_names`


def _columns(frame: Any) -> list[Any]:
    return list(frame.columns)


def _lazy_names(frame: Any) -> list[Any]:
    return list(frame.collect_schema().names())


def _numbers_rows(index: Any) -> bool:
    """True if an index of pandas counts the rows, from 0: other numbers may be anybody's."""
    return having.is_pandas_index(index) and (getattr(index, "start", None), getattr(index, "step", None)) == (0, 1)


def _pandas_names(frame: Any) -> list[Any]:
    """The columns, and what stands in the index: it goes wherever the frame goes."""
    index = frame.index
    named = [name for name in index.names if name is not None]
    if len(named) < index.nlevels and not _numbers_rows(index):
        raise UnlabelledData(
            "the index has no name, and holds more than the numbers of rows, so nothing says what it may be used for: "
            "give it one, and a tag, or number the rows anew, `reset_index(drop=True)`"
        )
    names: list[Any] = frame.columns.tolist()
    return [*named, *names]


def _pandas_selected(frame: Any, names: Sequence[str]) -> Any:
    """Some columns, with memory of their own: a view of the frame would lead to the others, and so may its `attrs`."""
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


# Each library is imported where a frame of it is there.


def _by_arrow(frame: Any, rule: RowRule, telling: Collection[str]) -> Any:
    """Of Arrow, and of pandas and dask, whose rows are read by it."""
    from purposeguard.adapters.frames import arrow  # noqa: PLC0415  # there may be none for other frames

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
    from purposeguard.adapters.duckdb import rows as duckdb_rows  # noqa: PLC0415  # a relation of it is there

    return duckdb_rows.filter_relation(frame, rule)


def _by_spark(frame: Any, rule: RowRule, _telling: Collection[str]) -> Any:
    from purposeguard.adapters.spark import rows as spark_rows  # noqa: PLC0415  # a frame of it is there

    return spark_rows.filter_frame(frame, rule)


# ---- lazy frames of polars -------------------------------------------------------------------------------------------


def _by_lazy_polars(frame: Any, rule: RowRule, _telling: Collection[str]) -> Any:
    import polars as pl  # noqa: PLC0415  # a frame of it is there

    left: Any = rows.drop_denied_sources(rule, nw.from_native(frame))
    if not _reads_file(frame):  # it is carried out now, see `_settle_lazy_polars`
        return _polars_rows(left.collect(), rule).lazy()
    names, kept = list(rule.columns), max(_lazy_names(frame), key=len) + "_"  # no column is called so
    empty = pl.DataFrame(schema=frame.select(names).collect_schema())
    rows.mask(rule, nw.from_native(empty, eager_only=True))  # what is wrong with the types is told at once
    mask = pl.struct(names).map_batches(_PolarsTest(rule), return_dtype=pl.Boolean, is_elementwise=True)
    # A column of its own: a filter would also be asked about the statistics of a file, of which no row need be.
    return left.to_native().with_columns(mask.alias(kept)).filter(pl.col(kept)).drop(kept)


class _PolarsTest:
    """Returns which rows of a series of structs may be used; for `map_batches`, in another process as well."""

    def __init__(self, rule: RowRule) -> None:
        self._rule = PortableRule(rule)

    def __call__(self, series: Any) -> Any:
        import polars as pl  # noqa: PLC0415  # a series of it is there

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
    """A row names a source that means nothing. Polars makes errors anew, of their class and their message alone."""

    def __init__(self, message: str) -> None:
        super().__init__(message.partition("`")[2].partition("`")[0])
        self._message = message

    def __str__(self) -> str:
        return self._message

    def __reduce__(self) -> tuple[Any, ...]:
        return _UnknownSourceInPolars, (self._message,)


_FILE_SCAN: Final = re.compile(r"(?:Parquet|Csv|Ipc|NDJson) SCAN \[", re.IGNORECASE)
"""How a plan begins that is the reading of a file, and nothing else."""


def _settle_lazy_polars(frame: Any, left: Any) -> Any:
    """Returns what is left of a lazy frame, with a plan that holds no other rows.

    A plan goes along wherever the frame goes, in a pickle as well, with all that it was made of. So it is carried out
    now, unless the frame does nothing but read a file.
    """
    return left if _reads_file(frame) else left.collect().lazy()


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
