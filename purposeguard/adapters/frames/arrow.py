"""Rows of Arrow: the test for those that may be used, by Arrow's own functions on whole columns.

Also of pandas, whose columns Arrow reads where they lie. Columns are cut into pieces that run beside each other.
"""

from __future__ import annotations

import datetime
import weakref
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

from purposeguard.adapters.rowrule import LONGEST, NO_ID, KeySet, RowRule, rendered
from purposeguard.adapters.words import values
from purposeguard.locks import new_lock

pc: Final[Any] = pyarrow.compute
"""Its functions are made when it is loaded, so that no type checker knows them."""

Mask = Any
"""A column of truth values without nulls; or True, or False, of every row."""

_PIECE: Final = 500_000
"""Rows of a piece, at least."""


def mask(rule: RowRule, column: Callable[[str], Any]) -> Mask:
    """Which rows may be used; `column` gives a column of the frame, as an array of Arrow.

    Raises:
        UnlabelledData, UnknownSource: rows do not say whose they are, or from where or when, in a way that is read.
    """
    return rendered(rule, Words(rule, column))


def filtered(table: pa.Table, rule: RowRule, telling: Collection[str]) -> pa.Table:
    """The rows of a table that may be used; the dictionaries of `telling` columns hold what stands in these."""
    found = mask(rule, table.column)
    if isinstance(found, bool):
        return table if found else table.schema.empty_table()
    kept = table.filter(found)
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type) and field.name in telling:
            chunks = [_with_what_stands_there(chunk) for chunk in kept.column(place).chunks]
            kept = kept.set_column(place, field, pa.chunked_array(chunks, field.type))
    return kept


def _with_what_stands_there(found: Any) -> Any:
    """A dictionary array without the values that stand in no row, the others in their order."""
    used = pc.unique(found.indices.drop_null())
    used = used.take(pc.sort_indices(used))
    indices = pc.index_in(found.indices, used).cast(found.type.index_type)
    return pa.DictionaryArray.from_arrays(indices, found.dictionary.take(used), ordered=found.type.ordered)


class Words:
    """The words of Arrow (see `Renderer`)."""

    def __init__(self, rule: RowRule, column: Callable[[str], Any]) -> None:
        self._rule = rule
        self._column = column
        self._meant = values.Meant(rule.notice, values.first_of(rule.branches))
        self._numbers: Any = None

    def true(self) -> Mask:
        """Every row."""
        return True

    def false(self) -> Mask:
        """No row."""
        return False

    def all_of(self, parts: Sequence[Mask]) -> Mask:
        """Rows that are in each."""
        return _joined(pc.and_, [one for one in parts if one is not True], ends=False)

    def any_of(self, parts: Sequence[Mask]) -> Mask:
        """Rows that are in one of them."""
        return _joined(pc.or_, [one for one in parts if one is not False], ends=True)

    def negated(self, part: Mask) -> Mask:
        """The other rows."""
        return not part if isinstance(part, bool) else pc.invert(part)

    def absent(self, column: str) -> Mask:
        """Rows in which the column is null."""
        found = self._column(column)
        if pa.types.is_dictionary(found.type):
            # It may hold the null itself, which older Arrows neither count nor find by the places that point at it.
            found = found.cast(found.type.value_type)
        return False if found.type != pa.null() and not found.null_count else pc.is_null(found)

    def source_in(self, column: str, clauses: frozenset[str]) -> Mask:
        """Rows whose source is one of these."""
        if self._numbers is None:
            self._numbers = _numbers(self._column(column), column, self._meant)
        numbers = self._meant.numbers(clauses)
        count = values.leading(numbers)
        if count is not None:
            return _each(self._numbers, lambda piece: pc.less(piece, count))
        chosen = pa.array([number in set(numbers) for number in range(len(self._meant.order))], pa.bool_())
        return _each(self._numbers, lambda piece: pc.take(chosen, piece))

    def days_in(self, column: str, since: datetime.date | None, before: datetime.date | None) -> Mask:
        """Rows that hold a day of these."""
        found = self._column(column)
        kind = found.type
        bounds: tuple[Any, Any] | None
        if pa.types.is_null(kind) or not len(found):
            return False
        if pa.types.is_date(kind):
            bounds = tuple(None if day is None else pa.scalar(day, kind) for day in (since, before))  # type: ignore[assignment]  # two
        elif pa.types.is_timestamp(kind):
            if kind.tz is None:
                raise values.naive(column)
            bounds = values.within(since, before, self._rule.timezone, kind.unit)
            found = found.cast(pa.int64())
        else:
            raise values.not_days(column, kind)
        if bounds is None:
            return False
        low, high = bounds
        parts = [pc.is_valid(found)] if low is None and high is None else []
        if low is not None:
            parts.append(_each(found, lambda piece: pc.fill_null(pc.greater_equal(piece, low), False)))
        if high is not None:
            parts.append(_each(found, lambda piece: pc.fill_null(pc.less(piece, high), False)))
        return self.all_of(parts)

    def subject_in(self, column: str, keys: KeySet) -> Mask:
        """Rows whose id is one of these."""
        return _subject_in(self._column(column), column, keys)


def _joined(join: Callable[[Any, Any], Any], parts: Sequence[Mask], *, ends: bool) -> Mask:
    if any(one is ends for one in parts):
        return ends
    found: Any = not ends
    for one in parts:
        found = one if isinstance(found, bool) else join(found, one)
    return found


# ---- pieces ----------------------------------------------------------------------------------------------------------


def pieces(column: Any) -> list[Any]:
    """A column as arrays, a large one cut so that several threads have something to do; nothing is copied."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    size = max(_PIECE, -(-len(column) // pa.cpu_count()))
    return [chunk.slice(start, size) for chunk in chunks for start in range(0, len(chunk), size)]


def _each(column: Any, call: Callable[[Any], Any], type_: pa.DataType | None = None) -> pa.ChunkedArray:
    """What a function gives of each piece, put together."""
    parts = pieces(column)
    if len(column) <= _PIECE or len(parts) < 2:
        found = [call(part) for part in parts]
    else:
        with ThreadPoolExecutor(pa.cpu_count()) as pool:  # Arrow works without the lock of the interpreter
            found = list(pool.map(call, parts))
    return pa.chunked_array(found, type_ or (found[0].type if found else pa.bool_()))


# ---- sources ---------------------------------------------------------------------------------------------------------


def _numbers(found: Any, column: str, meant: values.Meant) -> pa.ChunkedArray:
    """The number of each row's source (see `Meant.order`)."""
    kind = found.type
    if not len(found):
        return pa.chunked_array([], pa.int32())
    if found.null_count or pa.types.is_null(kind):
        raise values.no_source(column)
    if pa.types.is_dictionary(kind):
        return _numbers_by_dictionary(found, column, meant)
    if pa.types.is_string_view(kind):
        found = found.cast(pa.string())
    elif not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise values.not_sources(column, kind)
    clauses = pa.array(meant.order, found.type)
    numbers = _each(found, lambda piece: pc.index_in(piece, clauses), pa.int32())
    if not numbers.null_count:
        return numbers
    meant.learn(column, pc.unique(found.filter(pc.is_null(numbers))).to_pylist())
    texts = pa.array(meant.texts, found.type)
    which = pa.array(meant.texts.values(), pa.int32())
    return _each(found, lambda piece: pc.take(which, pc.index_in(piece, texts)), pa.int32())


def _numbers_by_dictionary(found: Any, column: str, meant: values.Meant) -> pa.ChunkedArray:
    """The same, by what stands in the dictionaries; what stands there and in no row counts for nothing."""
    if not (pa.types.is_string(found.type.value_type) or pa.types.is_large_string(found.type.value_type)):
        raise values.not_sources(column, found.type)

    def number(piece: Any) -> Any:
        texts = piece.dictionary.to_pylist()
        unread = [place for place, text in enumerate(texts) if text not in meant.texts]
        if unread:
            used = pc.unique(piece.indices.filter(pc.is_in(piece.indices, pa.array(unread, piece.indices.type))))
            meant.learn(column, pc.take(piece.dictionary, used).to_pylist())
        return pc.take(pa.array([meant.texts.get(text, -1) for text in texts], pa.int32()), piece.indices)

    return pa.chunked_array([number(piece) for piece in pieces(found)], pa.int32())


# ---- subjects --------------------------------------------------------------------------------------------------------

_kept: weakref.WeakKeyDictionary[KeySet, dict[str, Any]] = weakref.WeakKeyDictionary()
_keeping: Final = new_lock()


def _own(keys: KeySet, form: str, make: Callable[[], Any]) -> Any:
    """The form in which Arrow asks for keys, made once for each set of them."""
    with _keeping:
        known = _kept.setdefault(keys, {})
    if form not in known:
        known.setdefault(form, make())
    return known[form]


def _subject_in(found: Any, column: str, keys: KeySet) -> Mask:
    kind = found.type
    if pa.types.is_dictionary(kind):
        found = found.cast(kind.value_type)
        kind = found.type
    if pa.types.is_null(kind) or not len(found):
        return False
    if isinstance(kind, pa.UuidType):
        held = _own(keys, "bytes", lambda: pa.array([bytes.fromhex(one) for one in keys.uuids], pa.binary(16)))
        return pc.is_in(_storage(found), held)
    if pa.types.is_uint64(kind) or pa.types.is_decimal(kind):
        if pa.types.is_decimal(kind) and kind.scale:
            raise values.not_subjects(column, kind)
        return pc.is_in(found.cast(pa.string()), _own(keys, "text", lambda: pa.array(keys.texts, pa.string())))
    if pa.types.is_integer(kind):
        return _number_in(found.cast(pa.int64()), keys)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _text_in(found if pa.types.is_string(kind) else found.cast(pa.large_string()), column, keys)
    raise values.not_subjects(column, kind)


def _storage(found: Any) -> Any:
    if isinstance(found, pa.ChunkedArray):
        return pa.chunked_array([one.storage for one in found.chunks], pa.binary(16))
    return found.storage


def _number_in(found: Any, keys: KeySet) -> Mask:
    numbers = keys.ints
    if not numbers:
        return False
    if len(numbers) <= values.FEW:
        return pc.is_in(found, _own(keys, "ints", lambda: pa.array(numbers, pa.int64())))
    low, high = numbers[0], numbers[-1]
    if high - low < values.DENSE:
        held = _own(keys, "dense", lambda: _marked(numbers, low, high - low + 1))

        def dense(piece: Any) -> Any:
            inside = pc.fill_null(pc.and_(pc.greater_equal(piece, low), pc.less_equal(piece, high)), False)
            if pc.all(inside).as_py():
                return pc.equal(pc.take(held, pc.subtract(piece, low) if low else piece), 1)
            places = pc.subtract(pc.if_else(inside, piece, low), low)
            return pc.and_(pc.equal(pc.take(held, places), 1), inside)

        return _each(found, dense)
    return _sparse(found, keys, numbers)


_LOW: Final = 2**26 - 1


def _sparse(found: Any, keys: KeySet, numbers: Sequence[int]) -> Mask:
    """Of numbers far apart: by their last 26 digits first, of which one byte each is kept; then those that are left."""
    held = _own(keys, "sparse", lambda: _marked((one & _LOW for one in numbers), 0, _LOW + 1))
    exact = _own(keys, "ints", lambda: pa.array(numbers, pa.int64()))
    low = pa.scalar(_LOW, pa.int64())
    likely = _each(
        found, lambda piece: pc.fill_null(pc.equal(pc.take(held, pc.bit_wise_and(piece, low)), 1), False)
    ).combine_chunks()
    sure = pc.is_in(found.filter(likely), exact)
    return pc.replace_with_mask(likely, likely, sure.combine_chunks() if isinstance(sure, pa.ChunkedArray) else sure)


def _marked(numbers: Iterable[int], low: int, size: int) -> Any:
    held = bytearray(size)
    for one in numbers:
        held[one - low] = 1
    return pa.Array.from_buffers(pa.uint8(), size, [None, pa.py_buffer(held)])


def _text_in(found: Any, column: str, keys: KeySet) -> Mask:
    if not _are_ids(found):
        raise values.blank_subject(column)
    kind = found.type
    texts = _own(keys, f"{kind}", lambda: pa.array(keys.texts, kind))
    told = pc.is_in(found, texts)
    if keys.uuids:
        longer = pc.fill_null(pc.greater_equal(pc.utf8_length(found), 32), False)
        if pc.any(longer).as_py():
            digits = _own(keys, f"digits {kind}", lambda: pa.array(keys.uuids, kind))
            told = pc.or_(told, pc.and_(pc.is_in(_digits(found), digits), longer))
    if not all(one.isascii() for one in keys.texts):
        told = pc.or_(told, pc.is_in(pc.utf8_normalize(found, "NFC"), texts))
    return told


def _are_ids(found: Any) -> bool:
    """Whether all texts may be ids of subjects; a null may."""
    if any(pc.any(one).as_py() for one in (pc.starts_with(found, " "), pc.ends_with(found, " "))):
        return False
    plain = pc.ascii_is_printable(found)
    if not pc.all(plain).as_py():  # a test that takes ten times as long is for these alone
        others = pc.unique(found.filter(pc.invert(plain)))
        if pc.any(pc.match_substring_regex(others, NO_ID)).as_py():
            return False
    sizes = pc.min_max(pc.binary_length(found)).as_py()
    if sizes["min"] == 0:
        return False
    return (sizes["max"] or 0) <= LONGEST or bool(pc.max(pc.utf8_length(found)).as_py() <= LONGEST)


def _digits(found: Any) -> Any:
    """UUIDs in one spelling: 32 digits."""
    bare = pc.replace_substring_regex(found, r"^(?:urn:uuid:)?\{?|\}$", "")
    return pc.utf8_lower(pc.replace_substring(bare, "-", ""))
