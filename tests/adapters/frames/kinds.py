"""Rows as a frame of each library, in each way in which a library may hold what is said of a row."""

from __future__ import annotations

import atexit
import dataclasses
import datetime
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dask.dataframe as dd
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa

from purposeguard.adapters.tags import Columns
from purposeguard.values.markers import Collected, Ended, RowSource

Row = Mapping[str, Any]
_FOLDER = tempfile.mkdtemp()
atexit.register(shutil.rmtree, _FOLDER)

NUMBER = "number"
"""The column that tells rows apart."""


@dataclasses.dataclass(frozen=True)
class Held:
    """How columns are held: ids of sources as categories, subjects as numbers, days as moments with a time zone."""

    categories: bool = False
    numbers: bool = False
    moments: bool = False


def arrow(columns: Columns, rows: Sequence[Row], held: Held = Held()) -> pa.Table:
    found: dict[str, pa.Array] = {NUMBER: pa.array(range(len(rows)), pa.int64())}
    for name, tag in columns.items():
        given = [row[name] for row in rows]
        if tag.mark is RowSource:
            found[name] = pa.array(given, pa.string())
            if held.categories:
                found[name] = found[name].dictionary_encode()
        elif tag.mark in (Collected, Ended):
            found[name] = pa.array(given, pa.timestamp("us", "UTC") if held.moments else pa.date32())
        elif tag.mark is not None:
            found[name] = pa.array(given, pa.int64() if held.numbers else pa.string())
        else:
            found[name] = pa.array(given)
    return pa.table(found)


def arrow_pieces(columns: Columns, rows: Sequence[Row], held: Held = Held()) -> pa.Table:
    table = arrow(columns, rows, held)
    return pa.concat_tables([table.slice(start, 3) for start in range(0, max(len(rows), 1), 3)])


def pandas(columns: Columns, rows: Sequence[Row], held: Held = Held()) -> pd.DataFrame:
    table = arrow(columns, rows, held)
    dates = [field.name for field in table.schema if field.type == pa.date32()]
    frame = table.to_pandas().astype(dict.fromkeys(dates, pd.ArrowDtype(pa.date32())))
    for name, _ in columns.subjects():
        if held.numbers:
            frame[name] = pd.array([row[name] for row in rows], dtype="Int64")
    return frame


def pandas_of_arrow(columns: Columns, rows: Sequence[Row], held: Held = Held()) -> pd.DataFrame:
    return arrow(columns, rows, held).to_pandas(types_mapper=pd.ArrowDtype)


def pandas_of_objects(columns: Columns, rows: Sequence[Row], held: Held = Held()) -> pd.DataFrame:
    frame = arrow(columns, rows, held).to_pandas(date_as_object=True)
    for name, _ in columns.subjects():
        if held.numbers:
            frame[name] = pd.array([row[name] for row in rows], dtype="Int64")
    texts = [name for name in frame if frame[name].dtype == "str"]
    return frame.astype(dict.fromkeys(texts, object))


def polars(columns: Columns, rows: Sequence[Row], held: Held = Held()) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(arrow(columns, rows, held)))


def polars_lazy(columns: Columns, rows: Sequence[Row], held: Held = Held()) -> pl.LazyFrame:
    return polars(columns, rows, held).lazy()


def scanned(frame: pl.DataFrame) -> pl.LazyFrame:
    """A lazy frame that does nothing but read a file, so it stays lazy."""
    path = f"{_FOLDER}/{uuid.uuid4().hex}.parquet"
    frame.write_parquet(path)
    return pl.scan_parquet(path)


def polars_scanned(columns: Columns, rows: Sequence[Row], held: Held = Held()) -> pl.LazyFrame:
    return scanned(polars(columns, rows, held))


def polars_enum(columns: Columns, rows: Sequence[Row], held: Held = Held()) -> pl.DataFrame:
    frame = polars(columns, rows, dataclasses.replace(held, categories=False))
    source = columns.columns_with_mark(RowSource)
    if source is None:
        return frame
    texts = dict.fromkeys(["nothing", *(row[source] for row in rows)])
    return frame.with_columns(pl.col(source).cast(pl.Enum(list(texts))))


def relation(columns: Columns, rows: Sequence[Row], held: Held = Held()) -> duckdb.DuckDBPyRelation:
    return duckdb.from_arrow(arrow(columns, rows, held))


def dask(columns: Columns, rows: Sequence[Row], held: Held = Held()) -> Any:
    return dd.from_pandas(pandas(columns, rows, held), npartitions=2)


Maker = Callable[[Columns, Sequence[Row], Held], Any]

KINDS: dict[str, Maker] = {
    "arrow": arrow, "arrow in pieces": arrow_pieces, "pandas": pandas, "pandas of Arrow": pandas_of_arrow,
    "pandas of objects": pandas_of_objects, "polars": polars, "polars, lazy": polars_lazy,
    "polars, of a file": polars_scanned, "polars, enum": polars_enum, "duckdb": relation, "dask": dask,
}  # fmt: skip


def content(frame: Any) -> pa.Table:
    """What a frame holds, as a table."""
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, dd.DataFrame):
        frame = frame.compute()
    if isinstance(frame, pd.DataFrame):
        zoned = [name for name in frame if isinstance(frame[name].dtype, pd.DatetimeTZDtype)]
        frame = frame.assign(**{name: frame[name].dt.tz_convert(None) for name in zoned})  # as every pyarrow takes them
        return pa.Table.from_pandas(frame, preserve_index=False)
    if isinstance(frame, duckdb.DuckDBPyRelation):
        return frame.to_arrow_table()
    return frame if isinstance(frame, pa.Table) else frame.to_arrow()


def numbers(frame: Any) -> list[int]:
    """The numbers of the rows in a frame."""
    return [int(one) for one in content(frame).column(NUMBER).to_pylist()]


def as_held(columns: Columns, rows: Sequence[Row], held: Held) -> list[Row]:
    """The rows with their values as they are held: what the core is asked about."""
    letters = {"a": 6, "b": 7, "z": 8}
    made: list[Row] = []
    for place, row in enumerate(rows):
        changed = dict(row)
        for name, tag in columns.items():
            day = row[name]
            if day is None:
                continue
            if tag.mark in (Collected, Ended) and held.moments:
                hour = datetime.time((place * 7) % 24, 59, 59, 999_999)
                changed[name] = datetime.datetime.combine(day, hour, datetime.UTC)
            elif name in dict(columns.subjects()) and held.numbers:
                changed[name] = letters.get(day) or int(day)
        made.append(changed)
    return made
