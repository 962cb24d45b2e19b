"""Filtering the rows of polars frames, eager and lazy."""

from __future__ import annotations

import re
from typing import Any, Final

import narwhals as nw
import polars as pl

from purposeguard.adapters.frames import rows
from purposeguard.adapters.frames.rows import PortableRule
from purposeguard.adapters.row_rule import RowRule
from purposeguard.errors import UnknownSource


def filter_polars(frame: Any, rule: RowRule) -> Any:
    """Return the rows of a polars frame that may be used."""
    return _filter_by_mask(rows.drop_denied_sources(rule, nw.from_native(frame, eager_only=True)), rule)


def _filter_by_mask(frame: nw.DataFrame[Any], rule: RowRule) -> Any:
    mask = rows.mask(rule, frame)
    if isinstance(mask, bool):
        return frame.to_native() if mask else frame.to_native().clear()
    return frame.filter(mask).to_native()


def filter_lazy_polars(frame: Any, rule: RowRule) -> Any:
    """Return a lazy frame with the rows that may be used."""
    remaining: Any = rows.drop_denied_sources(rule, nw.from_native(frame))
    if not _reads_file(frame):  # collected now, as in `settle_lazy_polars`
        return _filter_by_mask(remaining.collect(), rule).lazy()
    names = list(rule.columns)
    mask_name = max(frame.collect_schema().names(), key=len) + "_"  # no column has this name
    empty = pl.DataFrame(schema=frame.select(names).collect_schema())
    rows.mask(rule, nw.from_native(empty, eager_only=True))  # raises now for unsupported types
    mask = pl.struct(names).map_batches(_RowTest(rule), return_dtype=pl.Boolean, is_elementwise=True)
    # The mask is a column of its own, because polars also runs filters on the statistics of a file, which are no rows.
    return remaining.to_native().with_columns(mask.alias(mask_name)).filter(pl.col(mask_name)).drop(mask_name)


class _RowTest:
    """A callable for `map_batches` that returns which rows of a series of structs may be used. It can be pickled."""

    def __init__(self, rule: RowRule) -> None:
        self._rule = PortableRule(rule)

    def __call__(self, series: Any) -> Any:
        try:
            mask = rows.mask(self._rule.rule, nw.from_native(series.struct.unnest(), eager_only=True))
        except UnknownSource as error:
            message = str(error)
        else:
            if isinstance(mask, bool):
                return pl.repeat(mask, len(series), dtype=pl.Boolean, eager=True)
            return mask.to_native()
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


def settle_lazy_polars(frame: Any, filtered: Any) -> Any:
    """Return the filtered lazy frame with a plan that holds no dropped rows.

    A plan, even a pickled one, contains all data that the frame was made of. So the frame is collected now, unless the
    original does nothing but read a file.
    """
    return filtered if _reads_file(frame) else filtered.collect().lazy()


def _reads_file(frame: Any) -> bool:
    """Return True if the plan of a lazy frame only reads a file."""
    first = frame.explain(optimized=False).lstrip().partition("\n")[0]
    return _FILE_SCAN.match(first) is not None and "in-mem" not in first
