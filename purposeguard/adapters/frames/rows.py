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
from typing import Any, Final, cast

import narwhals as nw

from purposeguard.adapters import row_values
from purposeguard.adapters.row_rule import LONGEST, NO_ID, KeySet, RowRule, rendered
from purposeguard.locks import new_lock

Series = nw.Series[Any]
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
    return rendered(rule, _Renderer(rule, frame, uuids))


class PortableRule:
    """A row rule that can be pickled: the classes of its notice are made anew in the process that reads it."""

    def __init__(self, rule: RowRule) -> None:
        self.rule = rule

    def __reduce__(self) -> tuple[Any, ...]:
        bare = dataclasses.replace(self.rule, notice=cast("Any", None))
        return _portable, (row_values.as_text(self.rule.notice), bare)


def _portable(notice: str, bare: RowRule) -> PortableRule:
    return PortableRule(dataclasses.replace(bare, notice=row_values.from_text(notice)))


class _Renderer:
    """Renders a rule over the columns of one frame (see `Renderer`)."""

    def __init__(self, rule: RowRule, frame: nw.DataFrame[Any], uuids: Collection[str]) -> None:
        self._rule = rule
        self._frame = frame
        self._uuids = uuids
        self._spellings = row_values.Spellings(rule.notice)
        self._sources: Series | None = None

    def true(self) -> Mask:
        return True

    def false(self) -> Mask:
        return False

    def all_of(self, parts: Sequence[Mask]) -> Mask:
        return _joined(operator.and_, parts, neutral=True)

    def any_of(self, parts: Sequence[Mask]) -> Mask:
        return _joined(operator.or_, parts, neutral=False)

    def negated(self, part: Mask) -> Mask:
        return not part if isinstance(part, bool) else ~part

    def absent(self, column: str) -> Mask:
        series = self._frame[column]
        return series.is_null() if series.null_count() else False

    def source_in(self, column: str, clauses: frozenset[str]) -> Mask:
        if self._sources is None:
            self._sources = self._read_sources(column)
        sources = self._sources
        if not sources.dtype.is_integer():
            return _is_in(sources, _members(sources, self._spellings.of(clauses)))
        permitted = [clause in clauses for clause in self._spellings.clauses.values()]
        return nw.new_series("", permitted, nw.Boolean, backend=sources.implementation)[sources]

    def days_in(self, column: str, since: datetime.date | None, before: datetime.date | None) -> Mask:
        series = self._frame[column]
        bounds: tuple[Any, Any] | None
        if _holds_nothing(series):
            return False
        if series.dtype == nw.Date:
            bounds = since, before
        elif isinstance(series.dtype, nw.Datetime):
            if series.dtype.time_zone is None:
                raise row_values.naive(column)
            bounds = row_values.within(since, before, self._rule.timezone, series.dtype.time_unit)
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

    def _read_sources(self, column: str) -> Series:
        """Returns the ids of sources, all of which are known: as texts, or as their places among the spellings."""
        series = self._frame[column]
        if _holds_nothing(series) and not len(series):
            return series.cast(nw.String)
        if series.null_count():
            raise row_values.no_source(column)
        if series.dtype not in _TEXTS:
            raise row_values.not_sources(column, series.dtype)
        if series.implementation.is_polars() and series.dtype != nw.String:
            usual = _is_in(series, _members(series, self._spellings.clauses))
            if not isinstance(usual, bool) and usual.all():
                return series
            self._spellings.learn(column, series.unique().cast(nw.String).to_list())
            return series
        places = _places(series, self._spellings.clauses)
        if places.null_count():
            self._spellings.learn(column, series.filter(places.is_null()).cast(nw.String).unique().to_list())
            places = _places(series, self._spellings.clauses)
        return places


def _members(series: Series, texts: Iterable[str]) -> list[str]:
    """Returns those of the texts that the type of the column allows: polars compares an enum with no others."""
    members = set(series.dtype.categories) if isinstance(series.dtype, nw.Enum) else None
    return [text for text in texts if members is None or text in members]


def _places(series: Series, texts: Iterable[str]) -> Series:
    """Returns the place of each value among the texts; null where it is none of them."""
    native: Any = series.to_native()
    if series.implementation.is_polars():
        import polars as pl  # noqa: PLC0415  # a series of it is there

        places: Any = native.cast(pl.Enum(list(texts)), strict=False).to_physical()
    else:
        import pyarrow as pa  # noqa: PLC0415  # an array of it is there

        places = pa.chunked_array([_places_in_arrow(chunk, list(texts)) for chunk in native.chunks], pa.int32())
    return nw.from_native(places, series_only=True)


def _places_in_arrow(array: Any, texts: list[str]) -> Any:
    import pyarrow as pa  # noqa: PLC0415  # an array of it is there
    import pyarrow.compute  # noqa: PLC0415  # likewise

    pc: Any = pyarrow.compute  # its functions are made when it is loaded, so no type checker knows them
    if pa.types.is_dictionary(array.type):
        return pc.take(_places_in_arrow(array.dictionary, texts), array.indices)
    return pc.index_in(array, pa.array(texts, array.type))


def _joined(join: Callable[[Any, Any], Any], parts: Sequence[Mask], *, neutral: bool) -> Mask:
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
        parts.append(_joined(operator.and_, [long, _is_in(digits.str.to_lowercase(), keys, "uuids")], neutral=True))
    if not all(text.isascii() for text in keys.texts):
        # A letter may be composed in more ways than the two that `KeySet.texts` has.
        others = series.filter(series.str.contains(r"[^\x00-\x7F]").fill_null(False)).unique().to_list()
        known = frozenset(keys.texts)
        parts.append(_is_in(series, [text for text in others if unicodedata.normalize("NFC", text) in known]))
    return _joined(operator.or_, parts, neutral=False)


_kept: weakref.WeakKeyDictionary[KeySet, dict[tuple[str, object], Any]] = weakref.WeakKeyDictionary()
_keeping: Final = new_lock()


def _is_in(series: Series, values: Sequence[object] | KeySet, form: str = "") -> Mask:
    """Returns where the column holds one of these; of a `KeySet` one of its `form`, which the engine keeps."""
    if not isinstance(values, KeySet):
        return series.is_in(values).fill_null(False) if values else False
    held: Sequence[object] = getattr(values, form)
    if not held:
        return False
    key = form, series.implementation
    with _keeping:
        forms = _kept.setdefault(values, {})
    if key not in forms:
        dtype = nw.Int64 if form == "ints" else nw.String
        native = nw.new_series("", held, dtype, backend=series.implementation).to_native()
        # Polars takes one list of many values for what they are.
        forms[key] = native.implode() if series.implementation.is_polars() else native
    return series.is_in(forms[key]).fill_null(False)
