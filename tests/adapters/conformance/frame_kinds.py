"""The same table as a frame of each library, and the rows of such a frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.dataframe as dd
import duckdb
import narwhals as nw
import pandas as pd
import polars as pl
import pyarrow as pa

from tests.adapters.conformance.cases import Table
from tests.adapters.conformance.engines import Row, plain_rows
from tests.adapters.frames.kinds import scanned

ARROW = {"int": pa.int64(), "text": pa.string(), "date": pa.date32(), "timestamp": pa.timestamp("us", "UTC")}
POLARS = {"int": pl.Int64(), "text": pl.String(), "date": pl.Date(), "timestamp": pl.Datetime("us", "UTC")}
PANDAS = {"int": "Int64", "text": "str", "date": pd.ArrowDtype(pa.date32()), "timestamp": "datetime64[us, UTC]"}


def _lists(table: Table) -> dict[str, list[Any]]:
    return {name: [row[place] for row in table.rows] for place, name in enumerate(table.names)}


def arrow(table: Table) -> pa.Table:
    schema = pa.schema([(one.name, ARROW[one.type]) for one in table.columns])
    return pa.table(_lists(table), schema=schema)


def pandas(table: Table) -> pd.DataFrame:
    held = _lists(table)
    types: dict[str, Any] = {**PANDAS, "any": "object"}
    return pd.DataFrame({one.name: pd.Series(held[one.name], dtype=types[one.type]) for one in table.columns})


def polars(table: Table) -> pl.DataFrame:
    return pl.DataFrame(_lists(table), schema={one.name: POLARS[one.type] for one in table.columns})


def polars_lazy(table: Table) -> pl.LazyFrame:
    return polars(table).lazy()


def pandas_of_arrow(table: Table) -> pd.DataFrame:
    return arrow(table).to_pandas(types_mapper=pd.ArrowDtype)


def polars_scanned(table: Table) -> pl.LazyFrame:
    return scanned(polars(table))


def dask(table: Table) -> Any:
    return dd.from_pandas(pandas(table), npartitions=2)


Maker = Callable[[Table], Any]

KINDS: dict[str, Maker] = {
    "pandas": pandas, "pandas-arrow": pandas_of_arrow, "polars": polars, "polars-lazy": polars_lazy,
    "polars-file": polars_scanned, "pyarrow": arrow, "dask": dask,
}  # fmt: skip


def relations(connection: duckdb.DuckDBPyConnection) -> Maker:
    """Makes relations of a connection."""
    return lambda table: connection.from_arrow(arrow(table))


def content(frame: Any) -> tuple[list[str], list[Row]]:
    """The names of the columns of a frame, of whichever library, and its rows."""
    held = nw.from_native(frame)
    eager = held.collect() if isinstance(held, nw.LazyFrame) else held
    return list(eager.columns), plain_rows(eager.iter_rows())
