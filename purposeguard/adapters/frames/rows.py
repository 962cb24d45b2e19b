"""Row rules over frames: which rows may be used, as a column of truth values, computed with narwhals.

The columns that decide are polars or Arrow columns. Columns of pandas are read as Arrow (see `arrow`).
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
from purposeguard.containers import intersect
from purposeguard.locks import make_lock

Series = nw.Series[Any]
Rows = TypeVar("Rows", nw.DataFrame[Any], nw.LazyFrame[Any])
Mask = Series | bool
"""A column of truth values without nulls; or True for all rows, False for none."""

_TEXTS: Final[tuple[Any, ...]] = (nw.String, nw.Categorical, nw.Enum)
_SAMPLE_SIZE: Final = 1000
"""About the number of rows in a sample of the sources in a column."""

_BEYOND_64_BITS: Final[tuple[Any, ...]] = (nw.UInt64, nw.Int128, nw.UInt128)


def mask(rule: RowRule, frame: nw.DataFrame[Any], uuids: Collection[str] = ()) -> Mask:
    """Return which rows of a frame may be used.

    Args:
        rule: The row rule.
        frame: A frame with the columns that the rule names.
        uuids: The columns that hold UUIDs as 16 bytes, for which narwhals has no type.

    Raises:
        UnlabelledData: a column has an unsupported type, a row has no source, or a text is not the id of a subject.
        UnknownSource: a row names a source that the notice does not have.
    """
    return render_rule(rule, _FrameRenderer(rule, frame, uuids))


def drop_denied_sources(rule: RowRule, frame: Rows) -> Rows:
    """Drop the rows whose source is never permitted, with a filter that the engine runs itself.

    `mask` must still filter the result: rows without a source, or with an unknown one, stay and are refused there.
    """
    schema = frame.collect_schema()
    if rule.source is None or (dtype := schema[rule.source]) not in _TEXTS:
        return frame
    source = nw.nth(schema.names().index(rule.source))  # by position: polars could read the name as a pattern
    permitted = rule.permitted
    texts = [text for text, id_ in spellings(rule.notice).items() if id_ not in permitted]
    if dtype == nw.Categorical and isinstance(frame, nw.DataFrame):
        # Polars looks for up to eight categories much quicker than for more. `mask` drops what the sample misses.
        sample = frame[rule.source].gather_every(max(1, len(frame) // _SAMPLE_SIZE))
        texts = intersect(sample.unique().cast(nw.String).to_list(), set(texts))
        if not texts:
            return frame
    return frame.filter(~source.is_in(_members(dtype, texts)).fill_null(False))


class PortableRule:
    """A row rule that can be pickled. The process that unpickles it rebuilds the classes of its notice."""

    def __init__(self, rule: RowRule) -> None:
        self.rule = rule

    def __reduce__(self) -> tuple[Any, ...]:
        bare = dataclasses.replace(self.rule, notice=cast("Any", None))
        return _rebuild_rule, (row_values.as_text(self.rule.notice), bare)


def _rebuild_rule(notice: str, bare: RowRule) -> PortableRule:
    return PortableRule(dataclasses.replace(bare, notice=row_values.from_text(notice)))


class _FrameRenderer:
    """A renderer of a rule over the columns of one frame (see `Renderer`)."""

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
            return self._test_texts(series, column, ids)
        return self._test_codes(series, column, ids)

    def _test_texts(self, series: Series, column: str, ids: frozenset[str]) -> Mask:
        """Return where a polars column holds a spelling of one of these ids."""
        usual = _is_in(series, _members(series.dtype, self._spellings.of(ids)))
        if not isinstance(usual, bool) and usual.all():
            return True
        if not self._are_known:
            self._spellings.learn(column, series.unique().cast(nw.String).to_list())
            self._are_known = True
        return _is_in(series, _members(series.dtype, self._spellings.of(ids)))

    def _test_codes(self, series: Series, column: str, ids: frozenset[str]) -> Mask:
        """Return where an Arrow column holds a spelling of one of these ids, looking at each distinct text once."""
        import pyarrow as pa  # noqa: PLC0415  # only an Arrow column gets here

        if self._coded is None:
            self._coded = series.to_native().dictionary_encode()
        flags: list[Any] = []
        for chunk in self._coded.chunks:
            texts = chunk.dictionary.to_pylist()
            if not self._spellings.ids.keys() >= set(texts):  # the dictionary may hold texts that no row uses
                used_texts = chunk.dictionary.take(chunk.indices.unique())
                self._spellings.learn(column, used_texts.to_pylist())
            permitted = pa.array([self._spellings.ids.get(text) in ids for text in texts], pa.bool_())
            flags.append(permitted.take(chunk.indices))
        mask_series: Series = nw.from_native(pa.chunked_array(flags, pa.bool_()), series_only=True)
        return mask_series

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
            return _is_in(series, list(map(bytes.fromhex, keys.uuids)))
        if dtype in _TEXTS:
            return _test_subject_texts(series.cast(nw.String), column, keys)
        raise row_values.not_subjects(column, dtype)


def _members(dtype: Any, texts: Iterable[str]) -> list[str]:
    """Return the texts that a column of this type can hold. Polars cannot compare an enum with any other text."""
    return list(filter(set(dtype.categories).__contains__, texts) if isinstance(dtype, nw.Enum) else texts)


def _join_masks(join: Callable[[Any, Any], Any], parts: Sequence[Mask], *, neutral: bool) -> Mask:
    """Join masks, as far as they are columns. `neutral` is the truth value that changes nothing in the result."""
    if any(part is (not neutral) for part in parts):
        return not neutral
    columns = [part for part in parts if part is not neutral]
    return reduce(join, columns) if columns else neutral


def _holds_nothing(series: Series) -> bool:
    """Return True if the column has the null type, whose only value is null."""
    return series.dtype == nw.Unknown and series.null_count() == len(series)


# ---- ids of subjects -------------------------------------------------------------------------------------------------


def _test_subject_texts(series: Series, column: str, keys: KeySet) -> Mask:
    """Return where a column of texts holds the id of one of these subjects."""
    length = series.str.len_chars()
    if series.str.contains(NO_ID).any() or (length > LONGEST).any():
        raise row_values.blank_subject(column)
    parts = [_is_in(series, keys, "texts")]
    long = (length >= 32).fill_null(False)
    if keys.uuids and long.any():
        digits = series.str.replace_all(r"^(?:urn:uuid:)?\{?|\}$", "").str.replace_all("-", "", literal=True)
        parts.append(_join_masks(operator.and_, [long, _is_in(digits.str.to_lowercase(), keys, "uuids")], neutral=True))
    if not all(map(str.isascii, keys.texts)):
        # A letter may be composed in more ways than the two that `KeySet.texts` has.
        others = series.filter(series.str.contains(r"[^\x00-\x7F]").fill_null(False)).unique().to_list()
        normalized = frozenset(keys.texts)
        parts.append(_is_in(series, [text for text in others if unicodedata.normalize("NFC", text) in normalized]))
    return _join_masks(operator.or_, parts, neutral=False)


_native_keys: weakref.WeakKeyDictionary[KeySet, dict[tuple[str, object], Any]] = weakref.WeakKeyDictionary()
"""Keys as columns of an engine, by their form and the engine."""
_native_keys_lock: Final = make_lock()

_MAX_FLAGS_PER_ID: Final = 128
"""Maximum number of flags per id. With more, the flags take more memory than a set."""


def _is_in(series: Series, values: Sequence[object] | KeySet, form: str = "") -> Mask:
    """Return where the column holds one of the values.

    The keys of a `KeySet` are taken in this `form` and cached as a native column of the engine.
    """
    series = series.alias("")  # polars could read the name as a pattern
    if not isinstance(values, KeySet):
        return series.is_in(values).fill_null(False) if values else False
    keys: Sequence[Any] = getattr(values, form)
    if not keys:
        return False
    key = form, series.implementation
    with _native_keys_lock:
        forms = _native_keys.setdefault(values, {})
    if form == "ints" and series.implementation.is_pyarrow() and keys[-1] - keys[0] < _MAX_FLAGS_PER_ID * len(keys):
        low, high = max(keys[0] - 1, -row_values.LARGEST - 1), min(keys[-1] + 1, row_values.LARGEST)
        if key not in forms:
            forms[key] = _make_flags(keys, low, high)
        flags: Series = forms[key][series.clip(low, high) - low]
        return flags.fill_null(False)
    if key not in forms:
        dtype = nw.Int64 if form == "ints" else nw.String
        native = nw.new_series("", keys, dtype, backend=series.implementation).to_native()
        # Polars needs one list that holds all values.
        forms[key] = native.implode() if series.implementation.is_polars() else native
    return series.is_in(forms[key]).fill_null(False)


def _make_flags(numbers: Iterable[int], low: int, high: int) -> Series:
    """Return flags that say for each number from `low` to `high` whether it is in `numbers`.

    Looking a number up in this column is quicker than Arrow's lookup in a set.
    """
    import pyarrow as pa  # noqa: PLC0415  # only an Arrow column gets here

    flags = bytearray(high - low + 1)
    for number in numbers:
        flags[number - low] = 1
    array: Any = pa.Array.from_buffers(pa.uint8(), len(flags), [None, pa.py_buffer(flags)])
    return nw.from_native(pa.chunked_array([array.cast(pa.bool_())]), series_only=True)
