"""Strategies for types that contain no other values, with the constraints in `Annotated`.

hypothesis draws the values. Which of them the application's validators accept is found by trying.
"""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import datetime
import enum
import functools
import itertools
import math
import random
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, TypeVar

import annotated_types as at
import typing_extensions
from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import SchemaError

from purposeguard.containers import drop_none_values, exclude
from purposeguard.extras import Needs
from purposeguard.testing._constants import Constants
from purposeguard.testing._kinds import DIGITAL, PLAIN, SAMPLES, TEXTS, TextKind, number_of, usable, word
from purposeguard.testing.traces import SHORTEST, texts_of

with Needs(__name__, "hypothesis"):
    from hypothesis import strategies as st
    from hypothesis.control import BuildContext
    from hypothesis.errors import ChoiceTooLarge, InvalidArgument, ResolutionFailed, StopTest, UnsatisfiedAssumption
    from hypothesis.internal.conjecture.choice import ChoiceTemplate, choice_from_index
    from hypothesis.internal.conjecture.data import ConjectureData
    from hypothesis.internal.conjecture.providers import HypothesisProvider

T = TypeVar("T")


class Unsolvable(TypeError):
    """No strategy is known for the annotation at `path`."""

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(f"{path}: {why}" if path else why)
        self.path = path

    def at(self, path: str) -> Unsolvable:
        """Return this error with a path; the error itself if it has a path already."""
        return self if self.path or not path else Unsolvable(str(self), path)


# ---- Whether a value is valid -------------------------------------------------------------------------------------

Check = Callable[[Any], bool]
"""True if a field accepts a value."""


@dataclasses.dataclass(frozen=True)
class Within:
    """Whether a field accepts an item, tried in a container of that item alone."""

    check: Check
    make: Callable[[list[Any]], Any]
    least: int

    def __call__(self, value: Any) -> bool:
        try:
            return self.check(self.make([value] * max(1, self.least)))
        except TypeError:  # no hash
            return True


def passes(act: Callable[[], object]) -> bool:
    """Return True if the call raises nothing. Validators of the application may raise anything."""
    try:
        act()
    except Exception:  # noqa: BLE001  # a validator that fails on a value refuses it
        return False
    return True


def adapter_of(base: Any, metadata: Sequence[object]) -> TypeAdapter[Any] | None:
    """Return the validator of `Annotated[base, *metadata]`; None if pydantic does not know the type."""
    annotation: Any = typing.Annotated[(base, *metadata)] if metadata else base
    try:
        return _adapter(annotation)
    except TypeError:  # metadata without a hash
        return _adapter.__wrapped__(annotation)


@functools.lru_cache(maxsize=1024)
def _adapter(annotation: Any) -> TypeAdapter[Any] | None:
    for config in (None, ConfigDict(arbitrary_types_allowed=True)):
        try:
            return TypeAdapter(annotation, config=config)
        except PydanticSchemaGenerationError:
            continue
        except (PydanticUserError, SchemaError, TypeError):
            return None
    return None


# ---- Constraints --------------------------------------------------------------------------------------------------

_ANY_ZONE: Final = object()
_OF_PYDANTIC: Final = {"pattern", "max_digits", "decimal_places", "strict", "allow_inf_nan"}


class Limits:
    """The constraints in the metadata of an annotation; `others` are validators and what is not understood."""

    def __init__(self, metadata: Iterable[object]) -> None:
        self.low: tuple[Any, bool] | None = None
        """The lower bound, and whether it is excluded."""
        self.high: tuple[Any, bool] | None = None
        self.step: Any = None
        self.shortest = 0
        self.longest: int | None = None
        self.pattern: str | None = None
        self.places: int | None = None
        self.digits: int | None = None
        self.zone: object = _ANY_ZONE
        self.known: list[object] = []
        self.others: list[object] = []
        for constraint in _flat(metadata):
            (self.known if self._is_known(constraint) else self.others).append(constraint)

    def _is_known(self, constraint: object) -> bool:
        match constraint:
            case at.Gt(gt=bound) | at.Ge(ge=bound):
                low = bound, isinstance(constraint, at.Gt)
                self.low = low if self.low is None else max(self.low, low)
            case at.Lt(lt=bound) | at.Le(le=bound):
                high = bound, isinstance(constraint, at.Lt)
                self.high = high if self.high is None else min(self.high, high, key=lambda h: (h[0], not h[1]))
            case at.MultipleOf(multiple_of=step):
                self.step = step
            case at.MinLen(min_length=length):
                self.shortest = max(self.shortest, length)
            case at.MaxLen(max_length=length):
                self.longest = length if self.longest is None else min(length, self.longest)
            case at.Timezone(tz=zone):
                self.zone = zone
            case _:
                return self._is_known_of_pydantic(constraint)
        return True

    def _is_known_of_pydantic(self, constraint: object) -> bool:
        if isinstance(constraint, (str, type(None), at.DocInfo)) or type(constraint).__name__ == "Strict":
            return True
        if "pydantic" not in type(constraint).__module__ or not isinstance(getattr(constraint, "__dict__", None), dict):
            return False
        limits = drop_none_values(vars(constraint))
        if not limits or not limits.keys() <= _OF_PYDANTIC:
            return False
        pattern = limits.get("pattern")
        self.pattern = getattr(pattern, "pattern", pattern) or self.pattern
        self.digits = limits.get("max_digits", self.digits)
        self.places = limits.get("decimal_places", self.places)
        return True


def _flat(metadata: Iterable[object]) -> Iterator[object]:
    for constraint in metadata:
        if isinstance(constraint, at.GroupedMetadata) or (
            type(constraint).__module__.startswith("pydantic")
            and hasattr(constraint, "metadata")
            and hasattr(constraint, "annotation")
        ):  # a FieldInfo
            inner: Any = constraint
            yield from _flat(getattr(inner, "metadata", inner))
        else:
            yield constraint


# ---- Leaves -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Leaf:
    """The values of an annotation. `values` draws any, `mark` makes a recognisable one from a number."""

    values: st.SearchStrategy[Any]
    make: Callable[[int], Any] | None = None
    fixed: list[Any] | None = None
    """All values of a type that has few."""
    convert: Callable[[Any], Any] = lambda value: value
    """Converts a drawn value as pydantic would, where no model does."""
    valid: Check = lambda _: True
    base: Any = None
    _simplest: list[Any] | None = None
    _valid_constants: tuple[Constants | None, tuple[Any, ...]] = (None, ())

    def list_valid_constants(self, constants: Constants) -> tuple[Any, ...]:
        """Return the constants that are valid here; none for a type that has few values."""
        known, valid = self._valid_constants
        if known is not constants:
            valid = () if self.fixed is not None else tuple(filter(self.valid, constants.of(self.base)))
            self._valid_constants = constants, valid
        return valid

    def list_simplest(self) -> list[Any]:
        """Return a few of the simplest values, the simplest first."""
        if self._simplest is None:
            self._simplest = list(itertools.islice(_iter_simple(self.values), _FEW))
        return self._simplest

    def mark(self, n: int) -> tuple[Any, ...]:
        """Return a tuple of one valid value made from a number; empty if no attempt is valid.

        Values that are too short to be recognised are used only if there are no others.
        """
        values = self._iter_valid(n, 20)
        first = tuple(itertools.islice(values, 1))
        if not self._recognisable:
            return first
        long = filter(self._is_recognisable, itertools.chain(first, values, self._recognisable))
        return tuple(itertools.islice(long, 1))

    @functools.cached_property
    def _recognisable(self) -> tuple[Any, ...]:
        """A value that is long enough to be recognised, whatever was made before; empty if none is found."""
        return tuple(itertools.islice(filter(self._is_recognisable, self._iter_valid(0, 200)), 1))

    def _is_recognisable(self, value: Any) -> bool:
        return bool(texts_of(self.convert(value)))

    def _iter_valid(self, n: int, attempts: int) -> Iterator[Any]:
        """Yield the valid values among those made from a number."""
        if self.make is not None:
            numbers = itertools.chain((n,), map(functools.partial(number_of, n), range(attempts)))
            yield from filter(self.valid, map(self.make, numbers))


def leaf_of(base: Any, metadata: Sequence[object], accepts: Check | None = None, *, converts: bool = False) -> Leaf:
    """Return strategies for a type that contains no other values, `Annotated[base, *metadata]`.

    Args:
        base: The type without its metadata.
        metadata: The constraints and validators of the annotation.
        accepts: A function that says whether the field accepts a value.
        converts: True if no model validates the drawn value, so that it is converted here.

    Raises:
        Unsolvable: no known value is valid.
    """
    every = list_fixed_values(base)
    if every is not None:
        # `accepts` tries each value alone, and may refuse values that are valid together, such as in a list without
        # repetitions. If it refuses all, the model decides about the drawn ones.
        every = [value for value in every if accepts is None or accepts(value)] or every
        return Leaf(st.sampled_from(every), fixed=every)
    limits, adapter = Limits(metadata), adapter_of(base, metadata)
    may_convert = base not in _KNOWN or bool(limits.others)
    convert = adapter.validate_python if adapter is not None and may_convert else lambda value: value

    def valid(value: Any) -> bool:
        try:
            whole = value if adapter is None else adapter.validate_python(value)
            return accepts is None or accepts(whole if converts and may_convert else value)
        except Exception:  # noqa: BLE001  # as in `passes`
            return False

    if base in _KNOWN:
        known = adapter_of(base, limits.known)
        native, kinds, edge_cases = _KNOWN[base](base, limits, valid)
        if known is not None:
            edge_cases = [value for value in edge_cases if passes(functools.partial(known.validate_python, value))]
        leaf = _mix_values((native, kinds, edge_cases), valid, convert, is_text=base is str)
    else:
        leaf = _of_unknown(base, valid, adapter, convert)
    leaf.convert = convert if converts else leaf.convert
    leaf.valid = valid
    leaf.base = base
    return leaf


def list_fixed_values(base: Any) -> list[Any] | None:
    """Return all values of a type that has few."""
    if base is None or base is type(None):
        return [None]
    if base is bool:
        return [False, True]
    if typing_extensions.get_origin(base) in (typing.Literal, typing_extensions.Literal):
        return list(typing_extensions.get_args(base))
    if isinstance(base, type) and issubclass(base, enum.Enum) and len(base):
        return list(base)
    return None


Native = tuple[st.SearchStrategy[Any], Sequence[TextKind], Sequence[Any]]
"""A strategy for any value, plausible kinds, and edge cases that show what validators accept."""


def _mix_values(native: Native, valid: Check, convert: Callable[[Any], Any], *, is_text: bool) -> Leaf:
    """Return a leaf of any value if validators accept most edge cases; else of the accepted kinds only."""
    drawn, kinds, edge_cases = native
    accepted = {repr(convert(value)) for value in edge_cases if valid(value)}
    lenient = len(accepted) >= 0.7 * len(edge_cases)
    enough = (12 if is_text else 1) if lenient and edge_cases else None
    fit = list(itertools.islice(usable(kinds, valid), enough))
    if not fit and edge_cases and not accepted:
        raise Unsolvable(_NOTHING)
    values = [drawn.filter(valid)] if lenient or not fit else []
    if fit and (is_text or not values):
        values.append(_one_of(fit, valid).filter(valid))
    every = st.one_of(values)
    return Leaf(every, _recognisable(fit, convert).make if fit else functools.partial(draw_by_seed, every))


_NOTHING: Final = "its validators take nothing that is known: give a strategy for it"


def _recognisable(kinds: Sequence[TextKind], convert: Callable[[Any], Any]) -> TextKind:
    """Return the first kind whose values are distinct and long enough to be recognised."""

    def is_recognisable(kind: TextKind) -> bool:
        texts = [texts_of(convert(kind.make(n))) for n in SAMPLES]
        return all(texts) and len(set(texts)) == len(texts)

    return next(filter(is_recognisable, kinds), kinds[0])


def _one_of(kinds: Sequence[TextKind], valid: Check) -> st.SearchStrategy[Any]:
    """Return a strategy for values of these kinds: plain ones, where they are valid."""

    def make(kind: TextKind, n: int) -> Any:
        plain = kind.make(n)
        return plain if valid(plain) else kind.make(number_of("drawn", n))

    return st.builds(make, st.sampled_from(kinds), st.integers(0, PLAIN - 1))


def draw_from(data: ConjectureData, strategy: st.SearchStrategy[T]) -> T:
    """Return the value that a strategy draws from this source, also within a hypothesis test."""
    with BuildContext(data, wrapped_test=draw_from):
        return data.draw(strategy)


class _SteadyProvider(HypothesisProvider):
    """Draws nothing from the modules that are loaded by chance: a seed gives the same value in each process."""

    def _maybe_draw_constant(self, *args: Any, **options: Any) -> None:  # noqa: ARG002  # as the base class has it
        return None


def make_source(seed: int) -> ConjectureData:
    """Return a source of choices that is the same for the same seed."""
    return ConjectureData(random=random.Random(seed), provider=_SteadyProvider)  # noqa: S311  # no secret


_FEW: Final = 4


def _iter_simple(strategy: st.SearchStrategy[T]) -> Iterator[T]:
    """Yield values of a strategy: the simplest, then those with one other choice, the last choices first."""
    rest = ChoiceTemplate("simplest", count=None)
    data = ConjectureData.for_choices((rest,))
    with contextlib.suppress(InvalidArgument, StopTest, UnsatisfiedAssumption):
        yield draw_from(data, strategy)
    for position, node in reversed(list(enumerate(data.nodes))):
        for index in range(1, 2 if node.type == "boolean" else _FEW):
            with contextlib.suppress(ChoiceTooLarge, StopTest, UnsatisfiedAssumption):
                other = choice_from_index(index, node.type, node.constraints)
                yield draw_from(ConjectureData.for_choices((*data.choices[:position], other, rest)), strategy)


def draw_by_seed(strategy: st.SearchStrategy[T], n: int) -> T | None:
    """Return the value that a strategy draws from a seed; None if nothing can be drawn.

    The same seed gives the same value.
    """
    try:
        return draw_from(make_source(n), strategy)
    except (StopTest, InvalidArgument):  # nothing that its filters take, or nothing in its alphabet
        return None


def _of_unknown(base: Any, valid: Check, adapter: TypeAdapter[Any] | None, convert: Callable[[Any], Any]) -> Leaf:
    """Return the leaf of any other type: texts that pydantic converts to it, else hypothesis' strategy for it."""
    if base in (Any, object):
        return Leaf(st.one_of(st.none(), st.booleans(), st.integers(), st.text(_CHARACTERS)), TEXTS[0].make)
    anything = isinstance(base, type) and issubclass(base, (BaseModel, types.FunctionType)) and valid(object())
    if adapter is not None and not anything:
        # Digits last: many of them convert to the same moment.
        fit = list(usable(exclude(TEXTS, DIGITAL), valid)) or list(usable(DIGITAL, valid))
        if fit:
            return Leaf(_one_of(fit, valid).filter(valid), _recognisable(fit, convert).make)
        if getattr(base, "__module__", "").partition(".")[0] == "pydantic":  # hypothesis would call its class
            raise Unsolvable(_NOTHING)
    try:
        strategy = st.from_type(base)
        strategy.validate()
    except (ResolutionFailed, TypeError) as error:
        raise Unsolvable(f"no strategy is known for {base!r}") from error
    return Leaf(strategy.filter(valid))


# ---- Texts and bytes ----------------------------------------------------------------------------------------------

_CHARACTERS: Final = st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_- .,:@/"
_EDGE_TEXTS: Final = ("", "a", "0", " x", "é 中", "x" * 300, "\n", "A-b c", "x" * 30, "7" * 12)


def _texts(_: type, limits: Limits, valid: Check) -> Native:
    if limits.pattern is not None:
        return _by_pattern(limits.pattern, valid)
    native = st.text(_CHARACTERS, min_size=limits.shortest, max_size=limits.longest)
    return native, (TextKind("text", functools.partial(_of_length, limits)), *TEXTS), _EDGE_TEXTS


def _of_length(limits: Limits, n: int) -> str:
    length = len(word(n))
    return word(n, max(limits.shortest, length if limits.longest is None else min(length, limits.longest)))


def _by_pattern(pattern: str, valid: Check) -> Native:
    # In pydantic's engine `$` does not match before a line break.
    ends = pattern.endswith("$") and not pattern.endswith("\\$")
    try:
        compiled = re.compile(rf"{pattern[:-1]}\Z" if ends else pattern)
    except re.error:  # a pattern that only pydantic's engine knows
        native: st.SearchStrategy[str] = st.nothing()
        matching: list[st.SearchStrategy[str]] = []
    else:
        native = st.from_regex(compiled, alphabet=_CHARACTERS)
        with contextlib.suppress(InvalidArgument):  # no text of this alphabet matches
            plain = st.from_regex(compiled, alphabet=_LETTERS)
            plain.validate()
            native = plain | native
        matching = [
            st.from_regex(compiled, fullmatch=True, alphabet=_LETTERS),
            st.from_regex(compiled, fullmatch=True, alphabet=_CHARACTERS),
        ]

    kinds = (
        TextKind("matching", functools.partial(_make_matching, matching, valid)),
        *(kind for kind in TEXTS if len(kind.make(SAMPLES[0])) > 4),
    )
    fit = next(usable(kinds, valid), None)
    if fit is None and not matching:
        raise Unsolvable(f"nothing is known that the pattern `{pattern}` matches")
    if fit is not None and fit.name != "matching":  # a validator refuses most texts that match
        native = st.nothing()
    return native, kinds, ()


def _make_matching(strategies: Sequence[st.SearchStrategy[str]], valid: Check, n: int) -> str | None:
    """Return a valid text of one of these strategies, if possible one that is long enough to be recognised.

    The lowest numbers give the simplest texts instead.
    """
    for strategy in strategies if n < _FEW else ():
        simple_texts = list(itertools.islice(filter(valid, _iter_simple(strategy)), n + 1))
        if len(simple_texts) > n:
            return simple_texts[n]
    for strategy in strategies:
        short: str | None = None
        for turn in range(20):
            text = draw_by_seed(strategy, number_of(n, turn))
            if text is None or not valid(text):
                continue
            if len(text) >= SHORTEST:
                return text
            if short is None:
                short = text
        if short is not None:
            return short
    return None


def _bytes(_: type, limits: Limits, __: Check) -> Native:
    native = st.binary(min_size=limits.shortest, max_size=limits.longest)
    kinds = (TextKind("text", functools.partial(_of_length, limits)), *TEXTS)
    return native, [kind.then(str.encode) for kind in kinds], [b"", b"\0", b"\xff"]


# ---- Numbers, days, moments, times, durations -----------------------------------------------------------------------

_ORIGIN: Final = datetime.datetime(2000, 1, 1)  # noqa: DTZ001  # the zone is added below
_TICK: Final = datetime.timedelta(microseconds=1)
_DAY: Final = datetime.timedelta(days=1)
_CENTURY: Final = 36_525


@dataclasses.dataclass
class _Grid:
    """Maps a type's values to whole numbers: `at` gives the value of a number, `position` the number of a bound."""

    at: Callable[[int], Any]
    position: Callable[[Any], Fraction]
    usual: tuple[int, int]
    """The range of marked values, if the limits allow it."""
    first: int | None = None
    last: int | None = None
    span: int = 10**9
    """The distance from a single bound within which values are drawn, if it lies beyond `first` or `last`."""

    def limits(self, limits: Limits) -> tuple[int | None, int | None]:
        """Return the first and the last number within the limits."""
        first, last = self.first, self.last
        low = None if limits.low is None else self.position(limits.low[0])
        high = None if limits.high is None else self.position(limits.high[0])
        if low is not None:
            first = math.floor(low) + 1 if limits.low is not None and limits.low[1] else math.ceil(low)
            last = first + self.span if last is not None and first >= last else last
        if high is not None:
            last = math.ceil(high) - 1 if limits.high is not None and limits.high[1] else math.floor(high)
            first = last - self.span if low is None and first is not None and first >= last else first
        return first, last


def _grid_of(base: type, limits: Limits) -> _Grid:
    if base in {datetime.date, datetime.datetime}:
        return _calendar(base, limits)
    if base is datetime.time:
        whole = 86_400_000_000 - 1
        return _Grid(lambda n: (_ORIGIN + n * _TICK).time(), _microseconds_of, (0, whole), 0, whole)
    if base is datetime.timedelta:
        ends = datetime.timedelta.min // _TICK, datetime.timedelta.max // _TICK
        return _Grid(lambda n: n * _TICK, lambda bound: Fraction(bound // _TICK), (10**9, 10**15), *ends)
    if base is int:
        step = int(limits.step or 1)
        return _Grid(lambda n: n * step, lambda bound: Fraction(bound) / step, (10**8, 10**9))
    places = 2 if limits.places is None else limits.places
    unit = Decimal(str(limits.step)) if limits.step else Decimal(1).scaleb(-places)
    most = 10 ** (15 if limits.digits is None else limits.digits) - 1
    grid = _Grid(
        lambda n: base(n * unit), lambda bound: Fraction(str(bound)) / Fraction(unit), (10**8, 10**9), -most, most
    )
    exact = limits.step or limits.places is not None or limits.digits is not None
    while not exact and limits.low and limits.high and len(range(*_close_interval(*grid.limits(limits)))) < 10**6:
        unit /= 10  # the bounds are narrow
        grid.first, grid.last = -most * 10**9, most * 10**9
    return grid


def _close_interval(first: int | None, last: int | None) -> tuple[int, int]:
    return first or 0, (last or 0) + 1


def _calendar(base: type, limits: Limits) -> _Grid:
    zone: datetime.tzinfo | None = None
    for limit in (limits.low, limits.high):
        if limit is not None and zone is None:
            zone = getattr(limit[0], "tzinfo", None)
    if zone is None and limits.zone not in (None, _ANY_ZONE):
        zone = datetime.UTC
    unit = _DAY if base is datetime.date else _TICK
    days = _DAY // unit

    def value(n: int) -> Any:
        moment = _ORIGIN + n * unit
        return moment.date() if base is datetime.date else moment.replace(tzinfo=zone)

    def position(bound: Any) -> Fraction:
        if not isinstance(bound, datetime.datetime):
            bound = datetime.datetime.combine(bound, datetime.time())
        local = (bound.astimezone(zone) if bound.tzinfo else bound).replace(tzinfo=None)
        return Fraction((local - _ORIGIN) // _TICK, unit // _TICK)

    return _Grid(value, position, (-28_854 * days, 1_146 * days), -_CENTURY * days, _CENTURY * days, _CENTURY * days)


def _microseconds_of(time: datetime.time) -> Fraction:
    return Fraction((datetime.datetime.combine(_ORIGIN, time.replace(tzinfo=None)) - _ORIGIN) // _TICK)


def _sort_values(base: type, limits: Limits, _: Check) -> Native:
    grid = _grid_of(base, limits)
    first, last = grid.limits(limits)
    low, high = grid.usual if first is None else (max(first, grid.usual[0]), grid.usual[1])
    high = high if last is None else min(last, high)
    if low > high:  # the limits exclude the usual range
        low = first if first is not None else (last or 0) - grid.span
        high = last if last is not None else low + grid.span
    low, high = _narrow_to_recognisable(grid, low, high)
    native = st.integers(first, last).map(grid.at)
    if base is float and not limits.step:
        native = _floats(limits)
    small = max(first or 0, 0)
    kinds = [
        TextKind("usual", lambda n: grid.at(low + n % (high - low + 1))),
        TextKind("small", lambda n: grid.at(small + n % 100)),
        *([kind.then(int) for kind in DIGITAL] if base is int else []),
    ]
    ends = -(10**6) if first is None else first, 2**40 if last is None else last
    edge_numbers = [0, 1, -1, 10**6, 2**40, -(10**6), 7, 50]
    if first is not None:
        edge_numbers = [ends[0] + (ends[1] - ends[0]) * part // 7 for part in range(8)]
    return native, kinds, list(map(grid.at, edge_numbers))


def _narrow_to_recognisable(grid: _Grid, low: int, high: int) -> tuple[int, int]:
    """Return the part of a range whose values are long enough to be recognised; all of it if none are."""

    def is_recognisable(n: int) -> bool:
        return bool(texts_of(grid.at(n)))

    middle = max(low, min(0, high))  # Numbers become longer with the distance from 0.
    if is_recognisable(middle):
        return low, high
    if is_recognisable(high):
        return middle + bisect.bisect(range(middle, high), 0, key=is_recognisable), high
    if is_recognisable(low):
        return low, middle - bisect.bisect(range(middle, low, -1), 0, key=is_recognisable)
    return low, high


def _floats(limits: Limits) -> st.SearchStrategy[Any]:
    low, high = limits.low or (None, False), limits.high or (None, False)
    return st.floats(
        None if low[0] is None else float(low[0]),
        None if high[0] is None else float(high[0]),
        exclude_min=low[1],
        exclude_max=high[1],
        allow_nan=False,  # NaN does not equal itself, so results could not be compared
        allow_infinity=False,
    )


_KNOWN: Final[dict[Any, Callable[[type, Limits, Check], Native]]] = {
    str: _texts,
    bytes: _bytes,
    **dict.fromkeys(
        (int, float, Decimal, datetime.date, datetime.datetime, datetime.time, datetime.timedelta), _sort_values
    ),
}
