"""Ten million rows: those kept whose own source a purpose may use, or whose subjects did not stop it; by each engine.

Against what one would write by hand for that engine: a filter on the ids, and an anti-join with the million who
stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.data.measured import TimedRow, time_alternately, time_calls
from benchmarks.data.office import Office
from purposeguard import ByRow, Guard, NotPersonal, RowSource, Subject
from purposeguard.adapters import arrow
from purposeguard.adapters.frames import Frames
from purposeguard.adapters.tags import columns_of
from purposeguard.notices import trendmicro_jp as tm

PACKAGES = ("pyarrow", "polars", "pandas", "duckdb", "narwhals")

ROWS = 10_000_000
SOURCES = ("1.1(a)", "1.1(b)", "1.1(c)", "2.1(a)", "2.1(b)", "2.1(c)", "2.3", "3.1(a)", "3.1(b)", "3.1(c)", "2.1")
KEPT = SOURCES[:3]
"""What 1.2(2)④ may use: 27 % of the rows."""

BY_SOURCE = {"source": RowSource, "subject": NotPersonal, "amount": ByRow}
BY_SUBJECT = {"source": NotPersonal, "subject": Subject, "amount": tm.ProductData}

KNOWN = [source.clause for source in tm.NOTICE.sources]
"""A filter by hand refuses the rows that name another source, as the adapters do."""

BY_HAND = "CASE WHEN source IN ({kept}) THEN true WHEN source IN ({known}) THEN false ELSE {failure} END"
"""The same in SQL."""


class UnknownIds(Exception):
    """A row names a source that is not known."""


def by_hand(failure: str) -> str:
    """Return the filter in SQL; `failure` is an expression that fails."""
    return BY_HAND.format(kept=_quote_ids(KEPT), known=_quote_ids(KNOWN), failure=failure)


def _quote_ids(ids: Iterable[str]) -> str:
    return ", ".join(f"'{clause}'" for clause in ids)


def _all_known(known: Any) -> None:
    if not known:
        raise UnknownIds


def rows(quick: bool = False) -> list[TimedRow]:
    """Return the rows of the table."""
    count, rounds = (ROWS // 10, 3) if quick else (ROWS, 7)
    random = np.random.default_rng(7)
    codes = pa.array(random.integers(0, len(SOURCES), count).astype("int32"))
    table = pa.table(
        {
            "source": pa.DictionaryArray.from_arrays(codes, pa.array(SOURCES)).cast(pa.string()),
            "subject": pa.array(random.permutation(count)),
            "amount": pa.array(random.random(count)),
        }
    )
    stopped = np.sort(random.choice(count, count // 10, replace=False))
    found = _columns()
    for name, (frame, hand, anti, read) in _engines(table, stopped).items():
        found += _engine(name, (frame, hand, anti, read), stopped.tolist(), rounds)
    return found


def _engine(name: str, engine: tuple[Any, ...], stopped: list[int], rounds: int) -> list[TimedRow]:
    frame, hand, anti, read = engine
    found = []
    guard = Guard(tm.NOTICE)
    frames = Frames(guard)
    with guard.purpose(tm.SecurityInformation):
        cases: dict[str, Callable[[], object]] = {
            "hand": lambda: read(hand(frame)),
            "ours": lambda: read(frames.permitted(frame, BY_SOURCE)),
        }
        assert len(cases["hand"]()) == len(cases["ours"]()), name  # type: ignore[arg-type]  # frames
        took = time_alternately(cases, rounds)
    found.append(TimedRow(f"{name}: rows by their sources", took["ours"], "a filter by hand", took["hand"], 1.15))
    if anti is None:
        return found
    guard = Guard(tm.NOTICE, governance=Office(stopped))
    frames = Frames(guard)
    with guard.purpose(tm.SecurityInformation):
        cases = {
            "hand": lambda: read(anti(frame)),
            "ours": lambda: read(frames.permitted(frame, BY_SUBJECT)),
        }
        assert len(cases["hand"]()) == len(cases["ours"]()), name  # type: ignore[arg-type]  # frames
        took = time_alternately(cases, rounds)
    found.append(
        TimedRow(f"{name}: one subject in ten stopped it", took["ours"], "its own anti-join", took["hand"], 1.25)
    )
    return found


def _same(frame: Any) -> Any:
    return frame


def _engines(table: pa.Table, stopped: Any) -> dict[str, tuple[Any, ...]]:
    """Return a frame, a filter by sources, an anti-join and a reader for each engine.

    The anti-join is None if it is measured elsewhere.
    """
    keys = pa.table({"subject": pa.array(stopped)})
    polars, polars_keys = pl.DataFrame(pl.from_arrow(table)), pl.DataFrame(pl.from_arrow(keys))
    pandas, pandas_keys = table.to_pandas(), keys.to_pandas()
    connection = duckdb.connect()
    connection.register("given", table)
    connection.execute("CREATE TABLE held AS SELECT * FROM given")
    connection.register("given_keys", keys)
    connection.execute("CREATE TABLE keys AS SELECT * FROM given_keys")
    held = connection.table("held")

    def pandas_anti(frame: Any) -> Any:
        return frame[~frame["subject"].isin(pandas_keys["subject"])]

    def relation_anti(frame: Any) -> Any:
        return frame.join(connection.table("keys"), "subject", "anti")

    def by_field(frame: Any) -> Any:
        _all_known(pc.all(pc.is_in(frame["source"], value_set=pa.array(KNOWN))).as_py())
        return frame.filter(pc.field("source").isin(KEPT))

    def by_isin(frame: Any) -> Any:
        _all_known(frame["source"].isin(KNOWN).all())
        return frame[frame["source"].isin(KEPT)]

    def by_expression(frame: Any) -> Any:
        _all_known(frame.lazy().select(pl.col("source").is_in(KNOWN).all()).collect().item())
        return frame.filter(pl.col("source").is_in(KEPT))

    def read_relation(frame: Any) -> Any:
        return frame.to_arrow_table()

    return {
        "pyarrow": (table, by_field, lambda frame: frame.join(keys, "subject", join_type="left anti"), _same),
        "pyarrow, ids as dictionary": (
            table.set_column(0, "source", table["source"].dictionary_encode()),
            by_field,
            None,
            _same,
        ),
        "polars": (polars, by_expression, lambda frame: frame.join(polars_keys, on="subject", how="anti"), _same),
        "polars, lazy": (
            polars.lazy(),
            by_expression,
            lambda frame: frame.join(polars_keys.lazy(), on="subject", how="anti"),
            lambda frame: frame.collect(),
        ),
        "polars, ids as categories": (
            polars.with_columns(pl.col("source").cast(pl.Categorical)),
            by_expression,
            None,
            _same,
        ),
        "pandas": (pandas, by_isin, pandas_anti, _same),
        "pandas, ids as categories": (pandas.astype({"source": "category"}), by_isin, None, _same),
        "duckdb": (held, lambda frame: frame.filter(by_hand("error('unknown source')")), relation_anti, read_relation),
    }


def _columns() -> list[TimedRow]:
    """Return a check of a hundred columns: of a table that bears its tags, and of frames with a tagged class."""
    names = [f"column_{number}" for number in range(100)]
    tags = dict.fromkeys(names, tm.ProductData)
    known = columns_of(tm.NOTICE, tags)
    guard = Guard(tm.NOTICE)
    frames = Frames(guard)
    found = []
    for count in (1, 1_000_000):
        plain = pa.table({name: pa.array(np.zeros(count, dtype="int8")) for name in names})
        table = arrow.tagged(plain, tags, tm.NOTICE)
        checks: dict[str, Callable[[], object]] = {
            "pyarrow, its own tags": partial(frames.check, table),
            "polars": partial(frames.check, pl.DataFrame(pl.from_arrow(plain)), known),
            "pandas": partial(frames.check, plain.to_pandas(), known),
        }
        with guard.purpose(tm.SecurityInformation):
            for name, call in checks.items():
                what = f"{name}: a check of 100 columns, {count:,} rows"
                found.append(TimedRow(what, time_calls(call), limit=50_000))
    return found
