"""Rows of polars: the test for those that may be used as an expression, the same for eager and lazy frames."""

from __future__ import annotations

import datetime
import re
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

import polars as pl

from purposeguard.adapters.rowrule import LONGEST, NO_ID, KeySet, RowRule, rendered
from purposeguard.adapters.words import values
from purposeguard.errors import UnknownSource
from purposeguard.locks import new_lock
from purposeguard.notice.notice import Notice


def filtered(frame: Any, rule: RowRule) -> Any:
    """The rows of a frame that may be used; of a lazy one when it is collected."""
    schema = frame.collect_schema()
    test = rendered(rule, Words(rule, schema))
    return frame.filter(test)


def settled(frame: Any, left: Any) -> Any:
    """What is left of a lazy frame, with a plan that holds no other rows.

    A plan goes along wherever the frame goes, in a pickle as well, with all that it was made of. So it is carried out
    now, save where the frame does nothing but read a file.
    """
    first = frame.explain(optimized=False).lstrip().partition("\n")[0]
    reads_file = _SCAN.match(first) is not None and "in-mem" not in first
    return left if reads_file else left.collect().lazy()


_SCAN: Final = re.compile(r"(?:Parquet|Csv|Ipc|NDJson) SCAN \[", re.IGNORECASE)
"""How a plan begins that is the reading of a file, and nothing else."""

_WITHIN_64_BITS: Final = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)

_FEW_TESTS: Final = 5
"""Sources that rows are compared with one by one."""


class Words:
    """The words of polars (see `Renderer`)."""

    def __init__(self, rule: RowRule, schema: Any) -> None:
        self._rule = rule
        self._schema = schema
        self._first = values.first_of(rule.branches)

    def true(self) -> pl.Expr:
        """Every row."""
        return pl.lit(True)

    def false(self) -> pl.Expr:
        """No row."""
        return pl.lit(False)

    def all_of(self, parts: Sequence[pl.Expr]) -> pl.Expr:
        """Rows that are in each."""
        return pl.all_horizontal(parts)

    def any_of(self, parts: Sequence[pl.Expr]) -> pl.Expr:
        """Rows that are in one of them."""
        return pl.any_horizontal(parts)

    def negated(self, part: pl.Expr) -> pl.Expr:
        """The other rows."""
        return ~part

    def absent(self, column: str) -> pl.Expr:
        """Rows in which the column is null."""
        return pl.col(column).is_null()

    def source_in(self, column: str, clauses: frozenset[str]) -> pl.Expr:
        """Rows whose source is one of these."""
        kind = self._schema[column]
        if not (kind in (pl.String, pl.Null) or isinstance(kind, (pl.Categorical, pl.Enum))):
            raise values.not_sources(column, kind)
        # On whole columns, or large parts of them, in polars' own threads: no value is seen here.
        test = SourceIn(self._rule.notice, column, self._first, clauses)
        return pl.col(column).map_batches(test, return_dtype=pl.Boolean, is_elementwise=True)

    def days_in(self, column: str, since: datetime.date | None, before: datetime.date | None) -> pl.Expr:
        """Rows that hold a day of these."""
        kind = self._schema[column]
        if kind == pl.Null:
            return pl.lit(False)
        told = pl.col(column)
        if kind == pl.Date:
            bounds: tuple[Any, Any] | None = (since, before)
        elif isinstance(kind, pl.Datetime):
            if kind.time_zone is None:
                raise values.naive(column)
            bounds = values.within(since, before, self._rule.timezone, kind.time_unit)
            told = told.to_physical()
        else:
            raise values.not_days(column, kind)
        if bounds is None:
            return pl.lit(False)
        parts = [told.is_not_null()]
        if bounds[0] is not None:
            parts.append(told >= pl.lit(bounds[0]))
        if bounds[1] is not None:
            parts.append(told < pl.lit(bounds[1]))
        return pl.all_horizontal(parts).fill_null(False)

    def subject_in(self, column: str, keys: KeySet) -> pl.Expr:
        """Rows whose id is one of these."""
        kind = self._schema[column]
        told = pl.col(column)
        if kind == pl.Null:
            return pl.lit(False)
        if kind in _WITHIN_64_BITS:
            return told.cast(pl.Int64).is_in(_own(keys, "ints")).fill_null(False)
        if kind.is_integer():
            return told.cast(pl.String).is_in(_own(keys, "text")).fill_null(False)
        if isinstance(kind, (pl.Categorical, pl.Enum)):
            told = told.cast(pl.String)
        elif kind != pl.String:
            raise values.not_subjects(column, kind)
        return told.map_batches(TextIn(keys, column), return_dtype=pl.Boolean, is_elementwise=True)


class Unread(UnknownSource):
    """An id of a source that means nothing. Polars makes errors anew, of their class and their message alone."""

    def __init__(self, message: str) -> None:
        super().__init__(message.partition("`")[2].partition("`")[0])
        self._message = message

    def __str__(self) -> str:
        return self._message

    def __reduce__(self) -> tuple[Any, ...]:
        return Unread, (self._message,)


class SourceIn:
    """Tells of a series of ids of sources which are of some; for `map_batches`, also in another process."""

    def __init__(self, notice: Notice, column: str, first: frozenset[str], clauses: frozenset[str]) -> None:
        self._given = (notice, column, first, clauses)
        self._meant = values.Meant(notice, first)
        self._column = column
        self._clauses = clauses
        self._enum = pl.Enum(self._meant.order)
        self._numbers = self._meant.numbers(clauses)
        self._count = values.leading(self._numbers)

    def __reduce__(self) -> tuple[Any, ...]:
        notice, *others = self._given
        return _thaw, (values.as_text(notice), *others)

    def __call__(self, series: pl.Series) -> pl.Series:
        """True where it is one of these.

        Raises:
            UnlabelledData: there is a null.
            UnknownSource: an id means nothing in the notice.
        """
        try:
            return self._told(series)
        except UnknownSource as error:
            message = str(error)
        raise Unread(message)

    def _told(self, series: pl.Series) -> pl.Series:
        if series.null_count():
            raise values.no_source(self._column)
        if series.dtype == pl.String:
            told = self._canonical(series)
            if told is not None:
                return told
        elif series.dtype == pl.Null:
            return pl.Series([], dtype=pl.Boolean)
        return self._spelt(series)

    def _canonical(self, series: pl.Series) -> pl.Series | None:
        """The same of ids as the notice prints them; None where one is written in another way."""
        if self._count is not None and 0 < self._count <= _FEW_TESTS:
            # To compare with a few is quicker than to look up in a set, so that there is time to look up all.
            told = series == self._meant.order[0]
            for one in self._meant.order[1 : self._count]:
                told |= series == one
            return told if series.is_in(self._meant.order).all() else None
        coded = series.cast(self._enum, strict=False)
        if coded.null_count():
            return None
        codes = coded.to_physical()
        return codes < self._count if self._count is not None else codes.is_in(self._numbers)

    def _spelt(self, series: pl.Series) -> pl.Series:
        """The same of ids in other spellings, and of categories."""
        members = set(series.dtype.categories) if isinstance(series.dtype, pl.Enum) else None
        known = [text for text in self._meant.texts if members is None or text in members]
        if not series.is_in(known).all():
            self._meant.learn(self._column, series.unique().cast(pl.String).to_list())
        chosen = self._meant.spelt(self._clauses)
        return series.is_in([text for text in chosen if members is None or text in members])


def _thaw(told: str, column: str, first: frozenset[str], clauses: frozenset[str]) -> SourceIn:
    return SourceIn(values.from_text(told), column, first, clauses)


class TextIn:
    """Tells of a series of texts which are subjects of some, in any spelling of a UUID; likewise."""

    def __init__(self, keys: KeySet, column: str) -> None:
        self._keys = keys
        self._column = column

    def __call__(self, series: pl.Series) -> pl.Series:
        """True where it is one of these.

        Raises:
            UnlabelledData: a text is no id.
        """
        if series.str.contains(NO_ID).any() or (series.str.len_chars() > LONGEST).any():
            raise values.blank_subject(self._column)
        keys = self._keys
        told = series.is_in(_own(keys, "text"))
        if keys.uuids:
            longer = series.str.len_chars() >= 32
            if longer.any():
                digits = series.str.replace(r"^(?:urn:uuid:)?\{?", "").str.replace(r"\}$", "")
                told |= longer & digits.str.replace_all("-", "", literal=True).str.to_lowercase().is_in(
                    _own(keys, "digits")
                )
        if not all(one.isascii() for one in keys.texts):
            told |= series.str.normalize("NFC").is_in(_own(keys, "text"))
        return told.fill_null(False)


# ---- keys ------------------------------------------------------------------------------------------------------------

_FORMS: Final[dict[str, Callable[[KeySet], pl.Series]]] = {
    "ints": lambda keys: pl.Series(keys.ints, dtype=pl.Int64),
    "text": lambda keys: pl.Series(keys.texts, dtype=pl.String),
    "digits": lambda keys: pl.Series(keys.uuids, dtype=pl.String),
}
_kept: weakref.WeakKeyDictionary[KeySet, dict[str, pl.Series]] = weakref.WeakKeyDictionary()
_keeping: Final = new_lock()


def _series(keys: KeySet, form: str) -> pl.Series:
    """The keys as a series, made once for each set of them."""
    with _keeping:
        known = _kept.setdefault(keys, {})
    if form not in known:
        known.setdefault(form, _FORMS[form](keys))
    return known[form]


def _own(keys: KeySet, form: str) -> Any:
    """The same, as a list of one row, which is what `is_in` takes."""
    return _series(keys, form).implode()
