"""Rows of pandas, and of dask, whose parts are of pandas: columns are read by Arrow where they lie."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Callable, Collection
from typing import Any, Final, cast

import pyarrow as pa

from purposeguard.adapters.frames import arrow as arrow_rows
from purposeguard.adapters.rowrule import RowRule
from purposeguard.adapters.words import values


def filtered(frame: Any, rule: RowRule, telling: Collection[str]) -> Any:
    """The rows of a pandas frame that may be used; `telling` columns have no other categories than stand in these.

    Where an index without a name numbers them they are numbered anew: a gap tells of a row.
    """
    kept = _rows(frame, rule, telling)
    return kept.reset_index(drop=True) if kept is not frame and kept.index.names == [None] else kept


def _rows(frame: Any, rule: RowRule, telling: Collection[str]) -> Any:
    found = arrow_rows.mask(rule, _columns(frame, rule))
    if found is True:
        return frame
    if found is False:
        kept = frame.take([])  # an empty part of it would lead to all rows
    else:
        flat = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
        kept = frame[flat.to_numpy(zero_copy_only=False)]
    kept.attrs = {}
    return _with_what_stands_there(kept, telling)


def _with_what_stands_there(frame: Any, telling: Collection[str]) -> Any:
    """A frame whose categories, and levels of the index, are those of its rows: the others tell who was left out."""
    for name in _categorical(frame, telling):
        frame = frame.assign(**{name: frame[name].cat.remove_unused_categories()})
    index = frame.index
    if hasattr(index, "remove_unused_levels"):
        frame = frame.set_axis(index.remove_unused_levels())
    elif index.name in telling and index.dtype.name == _CATEGORY:
        frame = frame.set_axis(index.remove_unused_categories())
    return frame


_CATEGORY: Final = "category"


def _categorical(frame: Any, telling: Collection[str]) -> list[str]:
    return [name for name, kind in frame.dtypes.items() if name in telling and kind.name == _CATEGORY]


def filtered_parts(frame: Any, rule: RowRule, telling: Collection[str]) -> Any:
    """The same of a dask frame: of each part, when it is computed."""
    meta = frame._meta
    names = _categorical(meta, telling)
    if names:
        from dask.dataframe.utils import clear_known_categories  # noqa: PLC0415  # there is a frame of it

        meta = clear_known_categories(meta, cols=names)  # type: ignore[no-untyped-call]  # dask has no types
    return frame.map_partitions(_Rows(rule, telling), meta=meta)


class _Rows:
    """Keeps the rows of a part; dask tells one from another by its name."""

    def __init__(self, rule: RowRule, telling: Collection[str]) -> None:
        self._rule = rule
        self._telling = telling
        self._name = uuid.uuid4().hex

    def __call__(self, frame: Any) -> Any:
        return _rows(frame, self._rule, self._telling)

    def __dask_tokenize__(self) -> str:
        return self._name

    def __reduce__(self) -> tuple[Any, ...]:
        rule = dataclasses.replace(self._rule, notice=cast("Any", None))
        return _thaw, (values.as_text(self._rule.notice), rule, self._telling)


def _thaw(told: str, rule: RowRule, telling: Collection[str]) -> _Rows:
    return _Rows(dataclasses.replace(rule, notice=values.from_text(told)), telling)


def _columns(frame: Any, rule: RowRule) -> Callable[[str], Any]:
    def column(name: str) -> Any:
        try:
            held = frame[name] if name in frame.columns else frame.index.get_level_values(name)
            if name in (rule.collected, rule.ended) and held.dtype == object and not _are_of_one_kind(held):
                raise values.not_days(name, "dates and moments, or moments with and without a time zone")
            if getattr(held.dtype, "tz", None) is not None:
                # As moments of UTC: earlier releases of Arrow ask pandas for them in a way that it warns of.
                naive = (held.dt if hasattr(held, "dt") else held).tz_convert(None)
                return pa.array(naive, from_pandas=True).cast(pa.timestamp(held.dtype.unit, "UTC"))
            return pa.array(held, from_pandas=True)
        except OverflowError:
            refusal, what = values.not_subjects, "numbers of more than 64 bits"
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            what = "values of several types"
            refusal = values.not_sources if name == rule.source else values.not_subjects
            refusal = values.not_days if name in (rule.collected, rule.ended) else refusal
        # Without the error of Arrow, which shows a value.
        raise refusal(name, what)

    return column


def _are_of_one_kind(held: Any) -> bool:
    """Whether objects are all dates, or moments with a time zone, or without one: Arrow takes all for what one is."""
    kinds = {(isinstance(one, datetime.datetime), getattr(one, "tzinfo", None) is None) for one in held.dropna()}
    return len(kinds) < 2
