"""Rows of pandas, and of dask, whose parts are of pandas: columns are read by Arrow where they lie."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from typing import Any, cast

import pyarrow as pa

from purposeguard.adapters.frames import arrow as arrow_rows
from purposeguard.adapters.rowrule import RowRule
from purposeguard.adapters.words import values


def filtered(frame: Any, rule: RowRule) -> Any:
    """The rows of a pandas frame that may be used."""
    found = arrow_rows.mask(rule, _columns(frame, rule))
    if isinstance(found, bool):
        return frame if found else frame.iloc[:0]
    flat = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    return frame[flat.to_numpy(zero_copy_only=False)]


def filtered_parts(frame: Any, rule: RowRule) -> Any:
    """The same of a dask frame: of each part, when it is computed."""
    return frame.map_partitions(_Rows(rule), meta=frame._meta)


class _Rows:
    """Keeps the rows of a part; dask tells one from another by its name."""

    def __init__(self, rule: RowRule) -> None:
        self._rule = rule
        self._name = uuid.uuid4().hex

    def __call__(self, frame: Any) -> Any:
        return filtered(frame, self._rule)

    def __dask_tokenize__(self) -> str:
        return self._name

    def __reduce__(self) -> tuple[Any, ...]:
        return _thaw, (values.as_text(self._rule.notice), dataclasses.replace(self._rule, notice=cast("Any", None)))


def _thaw(told: str, rule: RowRule) -> _Rows:
    return _Rows(dataclasses.replace(rule, notice=values.from_text(told)))


def _columns(frame: Any, rule: RowRule) -> Callable[[str], Any]:
    def column(name: str) -> Any:
        try:
            held = frame[name] if name in frame.columns else frame.index.get_level_values(name)
            if getattr(held.dtype, "tz", None) is not None:
                # As moments of UTC: earlier releases of Arrow ask pandas for them in a way that it warns of.
                naive = (held.dt if hasattr(held, "dt") else held).tz_convert(None)
                return pa.array(naive, from_pandas=True).cast(pa.timestamp(held.dtype.unit, "UTC"))
            return pa.array(held, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            refusal = values.not_sources if name == rule.source else values.not_subjects
            refusal = values.not_days if name in (rule.collected, rule.ended) else refusal
        # Without the error of Arrow, which shows a value.
        raise refusal(name, "values of several types")

    return column
