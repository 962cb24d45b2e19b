"""Filtering the rows of Arrow tables, and of pandas and dask frames, whose columns are read as Arrow.

Dictionaries and categories are lists of values beside the rows. In the `revealing_columns`, which are personal or name
subjects, the values of dropped rows are removed from these lists.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import narwhals as nw

from purposeguard.adapters import row_values
from purposeguard.adapters.frames import rows
from purposeguard.adapters.frames.rows import PortableRule
from purposeguard.adapters.row_rule import RowRule
from purposeguard.extras import Needs

with Needs(__name__, "arrow"):
    import pyarrow as pa
    import pyarrow.compute

pc: Final[Any] = pyarrow.compute
"""`pyarrow.compute`. Its functions are created at import time, so type checkers do not know them."""

_MIN_ROWS_PER_PIECE: Final = 500_000
"""Minimum number of rows per piece. Threads filter pieces in parallel, since Arrow releases the interpreter's lock."""

_CATEGORY: Final = "category"


def filter_arrow(table: pa.Table, rule: RowRule, revealing_columns: Collection[str]) -> pa.Table:
    """Return the rows of a table that may be used.

    Dictionaries of `revealing_columns` keep only the values that occur in these rows.
    """
    mask = _make_mask(rule, {name: table.column(name) for name in rule.columns})
    if isinstance(mask, bool):
        return table if mask else table.schema.empty_table()
    filtered = table.filter(mask)
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type) and field.name in revealing_columns:
            chunks = list(map(_drop_unused_values, filtered.column(place).chunks))
            filtered = filtered.set_column(place, field, pa.chunked_array(chunks, field.type))
    return filtered


def _drop_unused_values(array: Any) -> Any:
    """Return a dictionary array without the values that no row uses. The order of the others stays."""
    used = pc.unique(array.indices.drop_null())
    used = used.take(pc.sort_indices(used))
    indices = pc.index_in(array.indices, used).cast(array.type.index_type)
    return pa.DictionaryArray.from_arrays(indices, array.dictionary.take(used), ordered=array.type.ordered)


def _make_mask(rule: RowRule, columns: Mapping[str, Any]) -> Any:
    """Return which rows may be used, as an array, or as one bool for all rows."""
    readable_columns: dict[str, Any] = {}
    for name, column in columns.items():
        is_coded_source = name == rule.source and _are_coded_texts(column.type)
        readable_columns[name] = column if is_coded_source else _to_supported_type(column)
    table = pa.table(readable_columns)
    uuids = [name for name, column in columns.items() if isinstance(column.type, pa.UuidType)]
    size = max(_MIN_ROWS_PER_PIECE, -(-len(table) // pa.cpu_count()))
    pieces = [table.slice(start, size) for start in range(0, len(table), size)] or [table]

    def mask_piece(piece: pa.Table) -> Any:
        return rows.mask(rule, nw.from_native(piece, eager_only=True), uuids)

    if len(pieces) == 1:
        masks = [mask_piece(table)]
    else:
        with ThreadPoolExecutor(len(pieces)) as pool:
            masks = list(pool.map(mask_piece, pieces))
    if isinstance(masks[0], bool) and all(mask is masks[0] for mask in masks):
        return masks[0]
    chunks: list[Any] = []
    for piece, mask in zip(pieces, masks, strict=True):
        chunks += [pa.repeat(mask, len(piece))] if isinstance(mask, bool) else mask.to_native().chunks
    return pa.chunked_array(chunks, pa.bool_())


def _are_coded_texts(type_: Any) -> bool:
    """Return True for a dictionary of texts, whose sources are looked up once per distinct value, not per row."""
    return pa.types.is_dictionary(type_) and type_.value_type in (pa.string(), pa.large_string())


def _to_supported_type(column: Any) -> Any:
    """Return a column in a type that narwhals supports: without a dictionary, and with UUIDs as bytes."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if isinstance(column.type, pa.UuidType):
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        return pa.chunked_array([chunk.storage for chunk in chunks], pa.binary(16)).cast(pa.binary())
    if pa.types.is_string_view(column.type):
        return column.cast(pa.large_string())
    return column.cast(pa.date32()) if pa.types.is_date64(column.type) else column


# ---- pandas ----------------------------------------------------------------------------------------------------------


def filter_pandas(frame: Any, rule: RowRule, revealing_columns: Collection[str]) -> Any:
    """Return the rows of a pandas frame that may be used.

    `revealing_columns` keep only the categories that occur here. An index without a name numbers the rows. It is
    reset, because a gap would reveal a dropped row.
    """
    filtered = _filter_pandas_rows(frame, rule, revealing_columns)
    if filtered is not frame and filtered.index.names == [None]:
        return filtered.reset_index(drop=True)
    return filtered


def _filter_pandas_rows(frame: Any, rule: RowRule, revealing_columns: Collection[str]) -> Any:
    """Return the rows of a pandas frame that may be used, with their index as it was."""
    mask = _make_mask(rule, {name: _from_pandas(frame, rule, name) for name in rule.columns})
    if mask is True:
        return frame
    # `take([])` copies. An empty slice would keep a reference to all rows.
    filtered = frame.take([]) if mask is False else frame[mask.combine_chunks().to_numpy(zero_copy_only=False)]
    filtered.attrs = {}
    for name in _iter_categorical(filtered, revealing_columns):
        filtered = filtered.assign(**{name: filtered[name].cat.remove_unused_categories()})
    index = filtered.index
    if hasattr(index, "remove_unused_levels"):
        filtered = filtered.set_axis(index.remove_unused_levels())
    elif index.name in revealing_columns and index.dtype.name == _CATEGORY:
        filtered = filtered.set_axis(index.remove_unused_categories())
    return filtered


def _iter_categorical(frame: Any, revealing_columns: Collection[str]) -> Iterator[str]:
    """Yield the names of the `revealing_columns` that are categorical."""
    for name, dtype in frame.dtypes.items():
        if name in revealing_columns and dtype.name == _CATEGORY:
            yield name


def _from_pandas(frame: Any, rule: RowRule, name: str) -> Any:
    """Return a column of a pandas frame, or a level of its index, as Arrow."""
    is_day = name in (rule.collected, rule.ended)
    try:
        column = frame[name] if name in frame.columns else frame.index.get_level_values(name)
        if is_day and column.dtype == object and not _are_of_one_kind(column):
            raise row_values.not_days(name, "dates and moments, or moments with and without a time zone")
        if getattr(column.dtype, "tz", None) is not None:
            # The moments are converted to UTC here, because earlier releases of Arrow make pandas emit a warning.
            naive = (column.dt if hasattr(column, "dt") else column).tz_convert(None)
            return pa.array(naive, from_pandas=True).cast(pa.timestamp(column.dtype.unit, "UTC"))
        return pa.array(column, from_pandas=True)
    except OverflowError:
        refusal, description = row_values.not_subjects, "numbers of more than 64 bits"
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        description = "values of several types"
        if is_day:
            refusal = row_values.not_days
        elif name == rule.source:
            refusal = row_values.not_sources
        else:
            refusal = row_values.not_subjects
    # Raised outside `except`, because the error of Arrow shows a value.
    raise refusal(name, description)


def _are_of_one_kind(column: Any) -> bool:
    """Return True if all objects are dates, or all are moments with a time zone, or all are moments without one.

    Arrow would convert mixed objects to the type of one of them.
    """
    kinds = {(isinstance(day, datetime.datetime), getattr(day, "tzinfo", None) is None) for day in column.dropna()}
    return len(kinds) < 2


# ---- dask ------------------------------------------------------------------------------------------------------------


def filter_dask(frame: Any, rule: RowRule, revealing_columns: Collection[str]) -> Any:
    """Return a dask frame whose partitions, once computed, hold only the rows that may be used."""
    meta = frame._meta  # dask has no other empty frame with the types
    names = list(_iter_categorical(meta, revealing_columns))
    if names:
        from dask.dataframe.utils import clear_known_categories  # noqa: PLC0415  # only a dask frame gets here

        meta = clear_known_categories(meta, cols=names)  # type: ignore[no-untyped-call]  # dask has no types
    return frame.map_partitions(_PartRows(rule, revealing_columns), meta=meta)


class _PartRows:
    """A callable that filters the rows of a partition. Its token tells dask which tasks are the same."""

    def __init__(self, rule: RowRule, revealing_columns: Collection[str]) -> None:
        self._rule = PortableRule(rule)
        self._revealing_columns = revealing_columns
        self._token = uuid.uuid4().hex

    def __call__(self, frame: Any) -> Any:
        return _filter_pandas_rows(frame, self._rule.rule, self._revealing_columns)

    def __dask_tokenize__(self) -> str:
        return self._token
