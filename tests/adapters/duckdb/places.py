"""Files and connections for the tests of the guarded DuckDB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import purposeguard as pg
from purposeguard.adapters import arrow
from purposeguard.notices import trendmicro_jp as tm

GUARD = pg.Guard(tm.NOTICE)

CUSTOMER = {
    "id": pg.NotPersonal,
    "email": tm.Registration,
    "device": tm.ProductData,
    "氏名": tm.Registration,
    "plan": tm.Contract,
}
ROWS = {
    "id": [1, 2, 3],
    "email": ["a@example.com", "b@example.com", "c@example.com"],
    "device": ["d1", "d2", "d3"],
    "氏名": ["太郎", "花子", "次郎"],
    "plan": ["A", "B", "A"],
}


def customer(path: Path) -> Path:
    """A Parquet file whose columns bear their tags."""
    pq.write_table(arrow.tagged(pa.table(ROWS), CUSTOMER, tm.NOTICE), path)
    return path


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def parquet(path: Path, table: pa.Table, **tags: Any) -> Path:
    """A Parquet file; of the columns that are named, with their tags."""
    if tags:
        bearing = arrow.tagged(table.select(list(tags)).schema, tags, tm.NOTICE)
        fields = [bearing.field(field.name) if field.name in tags else field for field in table.schema]
        table = table.cast(pa.schema(fields))
    pq.write_table(table, path)
    return path
