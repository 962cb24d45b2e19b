"""The row rule of frames: which rows may be used, as a column of truth values, written once in narwhals.

The columns that decide are of polars or of Arrow. Those of pandas are read as Arrow (see `arrow`).
"""

from __future__ import annotations

import dataclasses
import datetime
import operator
import unicodedata
import weakref
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import reduce
from typing import Any, Final, TypeVar, cast

import narwhals as nw

from purposeguard.adapters import row_values
from purposeguard.adapters.row_rule import LONGEST, NO_ID, KeySet, RowRule, render_rule, spellings
from purposeguard.locks import make_lock

Series = nw.Series[Any]
Rows = TypeVar("Rows", nw.DataFrame[Any], nw.LazyFrame[Any])
Mask = Series | bool
"""A column of truth values without nulls; or True for all rows, False for none."""

_TEXTS: Final[tuple[Any, ...]] = (nw.String, nw.Categorical, nw.Enum)
_BEYOND_64_BITS: Final[tuple[Any, ...]] = (nw.UInt64, nw.Int128, nw.UInt128)


def mask(rule: RowRule, frame: nw.DataFrame[Any], uuids: Collection[str] = ()) -> Mask:
    """Returns which rows of a frame may be used; the frame holds the columns that the rule names.

    The columns of `uuids` hold the 16 bytes of a UUID: narwhals knows no type for them.

    Raises:
        UnlabelledData: a column has a type that cannot be read, a row has no source, or a text is no id of a subject.
        UnknownSource: a row names a source that the notice does not have.
    """
    return render_rule(rule, _FrameRenderer(rule, frame, uuids))


def drop_denied_sources(rule: RowRule, frame: Rows) -> Rows:
    """Returns a frame without the rows whose source no row may have, as the engine itself leaves them out.

    What is left is for `mask`: a row without a source stays, as does one of an unknown source, to be refused.
    """
    schema = frame.collect_schema()
    if rule.source is None or (dtype := schema[rule.source]) not in _TEXTS:
        return frame
    source = nw.nth(schema.names().index(rule.source))  # by its place: a name could be read as a pattern of names
    permitted = rule.permitted
    texts = [text for text, id_ in spellings(rule.notice).items() if id_ not in permitted]
    return frame.filter(~source.is_in(_members(dtype, texts)).fill_null(False))


class PortableRule:
    """A row rule that can be pickled: the classes of its notice are made anew in the process that reads it."""

    def __init__(self, rule: RowRule) -> None:
        self.rule = rule

    def __reduce__(self) -> tuple[Any, ...]:
        bare = dataclasses.replace(self.rule, notice=cast("Any", None))
        return _portable, (row_values.as_text(self.rule.notice), bare)


def _portable(notice: str, bare: RowRule) -> PortableRule:
    return PortableRule(dataclasses.replace(bare, notice=row_values.from_text(notice)))


class _FrameRenderer:
    """Renders a rule over the columns of one frame (see `Renderer`)."""

    def __init__(self, rule: RowRule, frame: nw.DataFrame[Any], uuids: Collection[str]) -> None:
        self._rule = rule
        self._frame = frame
        self._uuids = uuids
        self._spellings = row_values.Spellings(rule.notice)
        self._coded: Any = None
        self._are_known = False

    def constant(self, *, value: bool) -> Mask:
        return value

    def all_of(self, parts: Sequence[Mask]) -> Mask:
        return _join_masks(operator.and_, parts, neutral=True)

    def any_of(self, parts: Sequence[Mask]) -> Mask:
        return _join_masks(operator.or_, parts, neutral=False)

    def negate(self, part: Mask) -> Mask:
        return not part if isinstance(part, bool) else ~part

    def absent(self, column: str) -> Mask:
        series = self._frame[column]
        return series.is_null() if series.null_count() else False

    def source_in(self, column: str, ids: frozenset[str]) -> Mask:
        series = self._frame[column]
        if _holds_nothing(series) and not len(series):
            return False
        if series.null_count():
            raise row_values.no_source(column)
        if series.dtype not in _TEXTS:
            raise row_values.not_sources(column, series.dtype)
        if series.implementation.is_polars():
            return self._texts_in(series, column, ids)
        return self._codes_in(series, column, ids)

    def _texts_in(self, series: Series, column: str, ids: frozenset[str]) -> Mask:
        usual = _is_in(series, _members(series.dtype, self._spellings.of(ids)))
        if not isinstance(usual, bool) and usual.all():
            return True
        if not self._are_known:
            self._spellings.learn(column, series.unique().cast(nw.String).to_list())
            self._are_known = True
        return _is_in(series, _members(series.dtype, self._spellings.of(ids)))

    def _codes_in(self, series: Series, column: str, ids: frozenset[str]) -> Mask:
        """As `_texts_in`, for Arrow: each distinct text is looked at once."""
        import pyarrow as pa  # noqa: PLC0415  # an array of it is there

        if self._coded is None:
            self._coded = series.to_native().dictionary_encode()
        flags: list[Any] = []
        for chunk in self._coded.chunks:
            texts = chunk.dictionary.to_pylist()
            if not self._spellings.ids.keys() >= set(texts):  # though one of no row says nothing
                self._spellings.learn(column, [texts[place] for place in chunk.indices.unique().to_pylist()])
            permitted = pa.array([self._spellings.ids.get(text) in ids for text in texts], pa.bool_())
            flags.append(permitted.take(chunk.indices))
        kept: Series = nw.from_native(pa.chunked_array(flags, pa.bool_()), series_only=True)
        return kept

    def days_in(self, column: str, since: datetime.date | None, before: datetime.date | None, timezone: str) -> Mask:
        series = self._frame[column]
        bounds: tuple[Any, Any] | None
        if _holds_nothing(series):
            return False
        if series.dtype == nw.Date:
            bounds = since, before
        elif isinstance(series.dtype, nw.Datetime):
            if series.dtype.time_zone is None:
                raise row_values.naive(column)
            bounds = row_values.day_range_to_ticks(since, before, timezone, series.dtype.time_unit)
            series = series.cast(nw.Int64)
        else:
            raise row_values.not_days(column, series.dtype)
        if bounds is None:
            return False
        low, high = bounds
        parts: list[Mask] = [~series.is_null()]
        if low is not None:
            parts.append((series >= low).fill_null(False))
        if high is not None:
            parts.append((series < high).fill_null(False))
        return self.all_of(parts)

    def subject_in(self, column: str, keys: KeySet) -> Mask:
        series = self._frame[column]
        dtype = series.dtype
        if _holds_nothing(series):
            return False
        if dtype in _BEYOND_64_BITS:
            return _is_in(series.cast(nw.String), keys, "texts")
        if dtype.is_integer():
            return _is_in(series.cast(nw.Int64), keys, "ints")
        if column in self._uuids:
            return _is_in(series, [bytes.fromhex(digits) for digits in keys.uuids])
        if dtype in _TEXTS:
            return _text_in(series.cast(nw.String), column, keys)
        raise row_values.not_subjects(column, dtype)


def _members(dtype: Any, texts: Iterable[str]) -> list[str]:
    """Returns those of the texts that the type of a column allows: polars compares an enum with no others."""
    members = set(dtype.categories) if isinstance(dtype, nw.Enum) else None
    return [text for text in texts if members is None or text in members]


def _join_masks(join: Callable[[Any, Any], Any], parts: Sequence[Mask], *, neutral: bool) -> Mask:
    if any(part is (not neutral) for part in parts):
        return not neutral
    columns = [part for part in parts if part is not neutral]
    return reduce(join, columns) if columns else neutral


def _holds_nothing(series: Series) -> bool:
    """True if the column is of the type that has no values but null."""
    return series.dtype == nw.Unknown and series.null_count() == len(series)


# ---- ids of subjects -------------------------------------------------------------------------------------------------


def _text_in(series: Series, column: str, keys: KeySet) -> Mask:
    length = series.str.len_chars()
    if series.str.contains(NO_ID).any() or (length > LONGEST).any():
        raise row_values.blank_subject(column)
    parts = [_is_in(series, keys, "texts")]
    long = (length >= 32).fill_null(False)
    if keys.uuids and long.any():
        digits = series.str.replace_all(r"^(?:urn:uuid:)?\{?|\}$", "").str.replace_all("-", "", literal=True)
        parts.append(_join_masks(operator.and_, [long, _is_in(digits.str.to_lowercase(), keys, "uuids")], neutral=True))
    if not all(text.isascii() for text in keys.texts):
        # A letter may be composed in more ways than the two that `KeySet.texts` has.
        others = series.filter(series.str.contains(r"[^\x00-\x7F]").fill_null(False)).unique().to_list()
        known = frozenset(keys.texts)
        parts.append(_is_in(series, [text for text in others if unicodedata.normalize("NFC", text) in known]))
    return _join_masks(operator.or_, parts, neutral=False)


_kept: weakref.WeakKeyDictionary[KeySet, dict[tuple[str, object], Any]] = weakref.WeakKeyDictionary()
_keeping: Final = make_lock()

_SPREAD: Final = 128
"""Flags a number, at most: they take as much memory as a set."""


def _is_in(series: Series, values: Sequence[object] | KeySet, form: str = "") -> Mask:
    """Returns where the column holds one of these; of a `KeySet` one of its `form`, which the engine keeps."""
    series = series.alias("")  # polars would read the name as a pattern of names
    if not isinstance(values, KeySet):
        return series.is_in(values).fill_null(False) if values else False
    held: Sequence[Any] = getattr(values, form)
    if not held:
        return False
    key = form, series.implementation
    with _keeping:
        forms = _kept.setdefault(values, {})
    if form == "ints" and series.implementation.is_pyarrow() and held[-1] - held[0] < _SPREAD * len(held):
        low, high = max(held[0] - 1, -row_values.LARGEST - 1), min(held[-1] + 1, row_values.LARGEST)
        if key not in forms:
            forms[key] = _flags(held, low, high)
        found: Series = forms[key][series.clip(low, high) - low]
        return found.fill_null(False)
    if key not in forms:
        dtype = nw.Int64 if form == "ints" else nw.String
        native = nw.new_series("", held, dtype, backend=series.implementation).to_native()
        # Polars takes one list of many values for what they are.
        forms[key] = native.implode() if series.implementation.is_polars() else native
    return series.is_in(forms[key]).fill_null(False)


def _flags(numbers: Iterable[int], low: int, high: int) -> Series:
    """Returns for each number from `low` to `high` whether it is one of these, for Arrow, which is slow in sets."""
    import pyarrow as pa  # noqa: PLC0415  # an array of it is there

    flags = bytearray(high - low + 1)
    for number in numbers:
        flags[number - low] = 1
    array: Any = pa.Array.from_buffers(pa.uint8(), len(flags), [None, pa.py_buffer(flags)])
    return nw.from_native(pa.chunked_array([array.cast(pa.bool_())]), series_only=True)
