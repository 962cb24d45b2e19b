"""The analysts' warehouse: a DuckDB file, filled from the exported files.

A statement must fit the current purpose, as on the guarded engine. In addition, the tag of a column must cover what is
written into it, because others use the table for everything that its tags allow.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Annotated

import duckdb

import purposeguard as pg
from examples.shop.models import Model
from examples.shop.privacy import guard
from examples.shop.reports import files
from purposeguard.adapters.duckdb import Connection, connect
from purposeguard.notices import trendmicro_jp as tm

MADE = """
CREATE TABLE IF NOT EXISTS speed (product VARCHAR, runs BIGINT, mean DOUBLE);
CREATE TABLE IF NOT EXISTS segments (person VARCHAR, segment VARCHAR);
"""

TAGS = {
    "speed": {"product": tm.ProductData, "runs": tm.ProductData, "mean": tm.ProductData},
    "segments": {"person": pg.Subject, "segment": tm.Contract},  # for letters about renewals
}


class Speed(Model):
    product: Annotated[str, tm.ProductData]
    runs: Annotated[int, tm.ProductData]
    mean: Annotated[float, tm.ProductData]


_alone = Lock()
"""DuckDB lets one connection of a kind have the file."""


@contextmanager
def open_warehouse(folder: Path) -> Generator[Connection]:
    """Open the warehouse, guarded, with the exported files as tables."""
    tables = {
        "contacts": files.find_exported_file(folder, files.CONTACTS),
        "events": files.find_exported_file(folder, files.EVENTS),
    }
    path = folder / "warehouse.duckdb"
    with _alone:
        with duckdb.connect(path) as plain:
            plain.execute(MADE)
        with connect(guard, tables, tags=TAGS, database=path) as connection:
            yield connection


@guard.purpose(tm.ProductImprovement)
def fill(folder: Path) -> list[Speed]:
    with open_warehouse(folder) as warehouse:
        warehouse.sql("DELETE FROM speed")
        warehouse.sql("INSERT INTO speed SELECT product, count(*), round(avg(seconds), 1) FROM events GROUP BY product")
        found = warehouse.sql("SELECT product, runs, mean FROM speed ORDER BY product")
        return [Speed.model_validate(dict(zip(found.columns, row, strict=True))) for row in found.fetchall()]
