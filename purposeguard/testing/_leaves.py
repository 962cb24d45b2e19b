"""Leaves of annotations: types that hold no other values, with what `Annotated` asks of them."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import ipaddress
import itertools
import math
import pathlib
import re
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import annotated_types as at
import typing_extensions
from hypothesis import strategies as st
from hypothesis.errors import ResolutionFailed
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic.types import UuidVersion
from pydantic_core import SchemaError

from purposeguard.testing._kinds import OTHERS, TEXTS, Kind, digits, moment, number_of, text_of_length, usable
from purposeguard.testing._patterns import matching

Check = Callable[[Any], bool]
"""Whether a field takes a value."""


class Unsolvable(TypeError):
    """Nothing is known that an annotation's values could be made from; `path` is where."""

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(f"{path}: {why}" if path else why)
        self.path = path


@dataclasses.dataclass(frozen=True)
class Within:
    """Whether a field takes an item, asked with a container of it alone."""

    check: Check
    make: Callable[[list[Any]], Any]
    least: int

    def __call__(self, value: Any) -> bool:
        try:
            return self.check(self.make([value] * max(1, self.least)))
        except TypeError:  # no hash
            return True


class Leaf:
    """What values an annotation has: `values` draws any, `mark` makes one from a number, that is seen again."""

    def __init__(self, values: st.SearchStrategy[Any], mark: Callable[[int], Any] | None = None) -> None:
        self.values = values
        self.mark = mark
        self.fixed: list[Any] | None = None
        """All values that there are, where they are few."""


_ANY_ZONE: Final = object()


class Limits:
    """What the metadata of an annotation asks, as far as it is known how to keep to it."""

    def __init__(self, metadata: Iterable[object]) -> None:
        self.above: Any = None
        self.below: Any = None
        self.least: Any = None
        self.most: Any = None
        self.step: Any = None
        self.shortest = 0
        self.longest: int | None = None
        self.pattern: str | None = None
        self.places: int | None = None
        self.digits: int | None = None
        self.version: int | None = None
        self.zone: object = _ANY_ZONE
        self.others: list[object] = []
        """What is not known here: validators."""
        self.known: list[object] = []
        self.validated = False
        """Whether the application has a say."""
        self.fits: Check = lambda _: True
        """Whether a value keeps to what is known here."""
        for one in _flat(metadata):
            before = len(self.others)
            self._read(one)
            if len(self.others) == before:
                self.known.append(one)

    def _read(self, one: object) -> None:  # noqa: C901  # one line a constraint
        match one:
            case at.Gt(gt=bound):
                self.above = bound
            case at.Ge(ge=bound):
                self.least = bound
            case at.Lt(lt=bound):
                self.below = bound
            case at.Le(le=bound):
                self.most = bound
            case at.MultipleOf(multiple_of=step):
                self.step = step
            case at.MinLen(min_length=length):
                self.shortest = max(self.shortest, length)
            case at.MaxLen(max_length=length):
                self.longest = length if self.longest is None else min(length, self.longest)
            case at.Timezone(tz=zone):
                self.zone = zone
            case UuidVersion(uuid_version=version):
                self.version = version
            case _ if "pydantic" in type(one).__module__ and isinstance(getattr(one, "__dict__", None), dict):
                self._read_of_pydantic(one)
            case _ if not isinstance(one, (str, type(None), at.DocInfo)):
                self.others.append(one)
            case _:
                pass

    def _read_of_pydantic(self, one: object) -> None:
        known = {key: value for key, value in vars(one).items() if value is not None}
        if not known or set(known) - _OF_PYDANTIC:
            if type(one).__name__ != "Strict":
                self.others.append(one)
            return
        pattern = known.get("pattern")
        self.pattern = getattr(pattern, "pattern", pattern) or self.pattern
        self.digits = known.get("max_digits") or self.digits
        places = known.get("decimal_places")
        self.places = self.places if places is None else places

    @property
    def lowest(self) -> Any:
        """The bound below, whether it counts or not."""
        return _extreme(max, self.above, self.least)

    @property
    def highest(self) -> Any:
        """The bound above, likewise."""
        return _extreme(min, self.below, self.most)


_OF_PYDANTIC: Final = {"pattern", "max_digits", "decimal_places", "strict", "allow_inf_nan"}


def _extreme(choose: Callable[..., Any], *given: Any) -> Any:
    known = [one for one in given if one is not None]
    return choose(known) if known else None


def _flat(metadata: Iterable[object]) -> Iterator[object]:
    for one in metadata:
        if isinstance(one, at.GroupedMetadata) or (
            type(one).__module__.startswith("pydantic") and hasattr(one, "metadata") and hasattr(one, "annotation")
        ):  # a FieldInfo holds what it was given as metadata
            inner: Any = one
            yield from _flat(getattr(inner, "metadata", inner))
        else:
            yield one


def leaf_of(base: Any, metadata: Sequence[object], takes: Check | None = None) -> Leaf:
    """The leaf of an annotation `Annotated[base, *metadata]`; `takes`, where the field is asked as well.

    Raises:
        Unsolvable: nothing that is known fits.
    """
    every = fixed(base)
    if every is not None:
        kept = [one for one in every if takes is None or takes(one)]
        leaf = Leaf(st.sampled_from(kept or every))
        leaf.fixed = kept or every
        return leaf
    limits = Limits(metadata)
    checks = [one for one in (_check_of(base, metadata), takes) if one is not None]
    limits.validated = bool(limits.others) or takes is not None
    limits.fits = _check_of(base, limits.known) or limits.fits

    def valid(value: Any) -> bool:
        return all(check(value) for check in checks)

    found = _of_known(base, limits, valid)
    if found is None:
        found = _of_unknown(base, valid if checks else None)
    return found


def fixed(base: Any) -> list[Any] | None:
    """All values of a type that has few."""
    if base is None or base is type(None):
        return [None]
    if base is bool:
        return [False, True]
    if typing_extensions.get_origin(base) in (typing.Literal, typing_extensions.Literal):
        return list(typing_extensions.get_args(base))
    if isinstance(base, type) and issubclass(base, enum.Enum) and len(base):
        return list(base)
    return None


@functools.lru_cache(maxsize=1024)
def _adapter(annotation: Any) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(annotation)
    except PydanticSchemaGenerationError:
        pass
    except (PydanticUserError, SchemaError, TypeError):
        return None
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except (PydanticUserError, SchemaError, TypeError):
        return None


def _check_of(base: Any, metadata: Sequence[object]) -> Check | None:
    """Whether pydantic takes a value for it; None where it knows nothing of the type."""
    annotation: Any = typing.Annotated[(base, *metadata)] if metadata else base
    try:
        adapter = _adapter(annotation)
    except TypeError:  # metadata without a hash
        adapter = _adapter.__wrapped__(annotation)
    if adapter is None:
        return None

    def check(value: Any) -> bool:
        return passes(lambda: adapter.validate_python(value))

    return check


def passes(act: Callable[[], object]) -> bool:
    """Whether what validators are asked goes through; they are the application's, and may raise anything."""
    try:
        act()
    except ValidationError:
        return False
    except Exception:  # noqa: BLE001  # a slip of a validator on a value is a refusal of that value
        return False
    return True


def _of_known(base: Any, limits: Limits, valid: Check) -> Leaf | None:
    if not isinstance(base, type):
        return None
    for cls, make in _NATIVE.items():
        if base is cls:
            return make(limits, valid)
    return None


def _mixed(
    native: st.SearchStrategy[Any] | None, kinds: Sequence[Kind], odd: Sequence[Any], limits: Limits, valid: Check
) -> Leaf:
    """Values of which `native` draws any, and `kinds` are plausible.

    What validators of the application take is found by asking: where they take most of what is `odd`, any value is
    drawn and asked about; where they are choosy, a kind that they take.
    """
    texts = bool(odd) and isinstance(odd[0], str)
    asked = [one for one in odd if limits.fits(one)]
    lenient = native is not None and sum(map(valid, asked)) >= 0.7 * len(asked)
    # Beside any value, the first few kinds are enough; of what is no text one, as a mark.
    fit = list(itertools.islice(usable(tuple(kinds), valid), (_BESIDE if texts else 1) if lenient else None))
    if not fit and (native is None or (limits.validated and asked and not any(map(valid, asked)))):
        raise Unsolvable("its validators take nothing that is known: give a strategy for it")
    found = [native] if native is not None and (lenient or not fit) else []
    if fit and (texts or not found):
        found.append(st.builds(lambda kind, n: kind.make(n), st.sampled_from(fit), _numbers))
    made = st.one_of(*(one.filter(valid) if limits.validated else one for one in found))
    return Leaf(made, fit[0].make if fit else None)


_BESIDE: Final = 12

_numbers: Final = st.integers(0, 2**16 - 1).map(functools.partial(number_of, "drawn"))


def _texts(limits: Limits, valid: Check) -> Leaf:
    if limits.pattern is not None:
        return _by_pattern(limits.pattern, limits, valid)
    native = st.text(_CHARACTERS, min_size=limits.shortest, max_size=limits.longest)
    fitting = Kind("text", lambda n: text_of_length(n, limits.shortest, limits.longest))
    return _mixed(native, (fitting, *TEXTS), _ODD_TEXTS, limits, valid)


_ODD_TEXTS: Final = ("", "a", "0", " x", "é 中", "x" * 300, "\n", "A-b c", "x" * 30, "7" * 12)


def _by_pattern(pattern: str, limits: Limits, valid: Check) -> Leaf:
    made = Kind("matching", lambda n: _matching(pattern, n, valid))
    fit = list(usable((made, *(one for one in TEXTS if len(one.make(0)) > 4)), valid))
    try:
        drawn = st.from_regex(_anchored(pattern), alphabet=_CHARACTERS).filter(valid)
    except re.error as error:  # pydantic's own engine knows what Python's does not
        if not fit:
            raise Unsolvable(f"nothing is known that the pattern `{pattern}` matches") from error
        drawn = st.nothing()
    if not fit:
        return Leaf(drawn)
    more = limits.shortest or limits.longest is not None or fit[0] is not made
    if more:  # than the pattern is asked: most of what is drawn by it would be refused
        drawn = st.nothing()
    return Leaf(drawn | st.builds(lambda kind, n: kind.make(n), st.sampled_from(fit), _numbers), fit[0].make)


def _matching(pattern: str, n: int, valid: Check) -> str | None:
    """A text by the pattern; of some that are tried, one that is valid."""
    found = (matching(pattern, number_of(n, turn)) for turn in range(20))
    return next((one for one in found if valid(one)), None)


_CHARACTERS: Final = st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0")


def _anchored(pattern: str) -> re.Pattern[str]:
    """As pydantic reads it, whose `$` is the end and not a line break before it."""
    ends = pattern.endswith("$") and not pattern.endswith("\\$")
    return re.compile(f"{pattern[:-1]}\\Z" if ends else pattern)


def _bytes(limits: Limits, valid: Check) -> Leaf:
    native = st.binary(min_size=limits.shortest, max_size=limits.longest)
    kinds = [
        Kind("bytes", lambda n: text_of_length(n, limits.shortest, limits.longest).encode()),
        *(kind.then(str.encode) for kind in TEXTS),
    ]
    return _mixed(native, kinds, [b"", b"\0", b"\xff"], limits, valid)


def _ints(limits: Limits, valid: Check) -> Leaf:
    least, most = _whole_bounds(limits)
    step = int(limits.step or 1)
    first, last = _ceiling(least, step), _floor(most, step)
    native = st.integers(first, last).map(lambda n: n * step)

    def make(n: int) -> int:
        low = 10**8 if first is None or (first <= 10**8 and (last is None or last > 2 * 10**8)) else first
        if last is not None and low > last:
            low = last - 10**9 if first is None else first
        span = (10**9 if last is None else min(last - low + 1, 10**9)) or 1
        return int((low + n % span) * step)

    small = Kind("small", lambda n: max(0 if first is None else first, 0) + n % 100 * step)
    fit = [kind for kind in (Kind("int", make), small, *_INT_KINDS) if _is_whole(kind)]
    return _mixed(native, fit, [0, 1, -1, 10**6, 2**40, -(10**6), 7, 50], limits, valid)


_INT_KINDS: Final = tuple(kind.then(int) for kind in TEXTS if kind.make(0).isdecimal())


def _is_whole(kind: Kind) -> bool:
    return type(kind.make(0)) is int


def _whole_bounds(limits: Limits) -> tuple[int | None, int | None]:
    least = None if limits.least is None else math.ceil(limits.least)
    above = None if limits.above is None else math.floor(limits.above) + 1
    most = None if limits.most is None else math.floor(limits.most)
    below = None if limits.below is None else math.ceil(limits.below) - 1
    return _extreme(max, least, above), _extreme(min, most, below)


def _ceiling(bound: int | None, step: int) -> int | None:
    return None if bound is None else -(-bound // step)


def _floor(bound: int | None, step: int) -> int | None:
    return None if bound is None else bound // step


def _floats(limits: Limits, valid: Check) -> Leaf:
    low, high = limits.lowest, limits.highest
    if limits.step:
        first, last = _ceiling(low, 1), _floor(high, 1)
        bounds = (None if first is None else -(-first // limits.step), None if last is None else last // limits.step)
        steps = st.integers(*(None if one is None else int(one) for one in bounds))
        native = steps.map(lambda n: n * limits.step)
        return Leaf(native.filter(valid))
    native = st.floats(
        None if low is None else float(low),
        None if high is None else float(high),
        exclude_min=limits.above is not None and limits.above == low,
        exclude_max=limits.below is not None and limits.below == high,
        allow_nan=False,  # equal to nothing, itself included: nobody could compare what comes of it
        allow_infinity=False,
    )
    kinds = [Kind("float", lambda n: float(_between(n, low, high))), Kind("small", lambda n: n % 100 / 2)]
    return _mixed(native, kinds, [0.0, -1.5, 1e9], limits, valid)


def _between(n: int, low: Any, high: Any) -> Decimal:
    """A number with many digits between two bounds."""
    if low is None and high is None:
        return Decimal(f"{digits(n, 7)}.{digits(n, 3)}")
    start = Decimal(str(low)) if low is not None else Decimal(str(high)) - 10**7
    end = Decimal(str(high)) if high is not None else Decimal(str(low)) + 10**7
    return start + (end - start) * (n % 10**9 + 1) / (10**9 + 2)


def _decimals(limits: Limits, valid: Check) -> Leaf:
    low, high = limits.lowest, limits.highest
    places = limits.places if limits.places is not None else None if limits.digits is None else min(2, limits.digits)
    if limits.digits is not None:
        widest = Decimal(10) ** (limits.digits - (places or 0)) - Decimal(1).scaleb(-(places or 0))
        low = -widest if low is None else max(Decimal(str(low)), -widest)
        high = widest if high is None else min(Decimal(str(high)), widest)
    native = st.decimals(
        None if low is None else str(low), None if high is None else str(high), places=places,
        allow_nan=False, allow_infinity=False,
    )  # fmt: skip
    shown = 2 if places is None else places

    def make(n: int) -> Decimal:
        made = _between(n, low, high)
        narrow = low is not None and high is not None and high - low < 1 and places is None
        return made if narrow else round(made, shown)

    if limits.above is not None or limits.below is not None:
        excluded = (limits.above, limits.below)
        native = native.map(lambda one: make(0) if one in excluded else one)
    if limits.step is not None:
        native = native.map(lambda one: one // limits.step * limits.step).filter(valid)
    small = Kind("small", lambda n: round(Decimal(n % 10_000) / 100, shown))
    return _mixed(native, [Kind("Decimal", make), small], [Decimal(0), Decimal("-1.5"), Decimal("1e20")], limits, valid)


def _days(limits: Limits, valid: Check) -> Leaf:
    first = limits.lowest or datetime.date(1900, 1, 1)
    last = limits.highest or max(datetime.date(2100, 12, 31), first)
    if limits.above is not None and limits.above == first:
        first += datetime.timedelta(days=1)
    if limits.below is not None and limits.below == last:
        last -= datetime.timedelta(days=1)
    span = (last - first).days + 1
    native = st.dates(first, last)
    kinds = [Kind("day", lambda n: first + datetime.timedelta(days=n % span))]
    if valid(moment(0).date()):
        kinds.insert(0, Kind("born", lambda n: moment(n).date()))
    odd = [datetime.date(1970, 1, 1), datetime.date(2100, 12, 31)]
    return _mixed(native, kinds, odd, limits, valid)


def _moments(limits: Limits, valid: Check) -> Leaf:
    low, high = limits.lowest, limits.highest
    zone = next((one.tzinfo for one in (low, high) if one is not None and one.tzinfo), None)
    if limits.zone not in (None, _ANY_ZONE):
        zone = datetime.UTC
    first = datetime.datetime(1900, 1, 1) if low is None else low.replace(tzinfo=None)  # noqa: DTZ001  # its zone below
    last = datetime.datetime(2100, 12, 31) if high is None else high.replace(tzinfo=None)  # noqa: DTZ001
    zones: Any = st.just(zone)
    native = st.datetimes(first, max(first, last), timezones=zones).map(lambda one: one.replace(fold=0))
    if limits.above is not None or limits.below is not None:
        native = native.filter(valid)
    span = max(1, int((last - first).total_seconds()))
    kinds = [
        Kind("moment", lambda n: moment(n).replace(tzinfo=zone)),
        Kind("moment between", lambda n: (first + datetime.timedelta(seconds=n % span)).replace(tzinfo=zone)),
    ]
    odd = [datetime.datetime(1970, 1, 1, tzinfo=zone), datetime.datetime(2100, 12, 31, tzinfo=zone)]
    return _mixed(native, kinds, odd, limits, valid)


def _simple(native: Callable[[], st.SearchStrategy[Any]], *names: str) -> Callable[[Limits, Check], Leaf]:
    def made(limits: Limits, valid: Check) -> Leaf:
        kinds = [kind for kind in OTHERS if kind.name in names]
        strategy = native()
        if any(one is not None for one in (limits.lowest, limits.highest)):
            strategy = strategy.filter(valid)
        return _mixed(strategy, kinds, [kind.make(1) for kind in kinds], limits, valid)

    return made


def _durations(limits: Limits, valid: Check) -> Leaf:
    none = datetime.timedelta(0)
    native = st.timedeltas(
        limits.lowest if limits.lowest is not None else datetime.timedelta.min,
        limits.highest if limits.highest is not None else datetime.timedelta.max,
    )
    if limits.above is not None or limits.below is not None:
        native = native.filter(valid)
    kinds = [kind for kind in OTHERS if kind.name == "duration"]
    return _mixed(native, kinds, [none, datetime.timedelta(days=-1)], limits, valid)


def _uuids(limits: Limits, valid: Check) -> Leaf:
    def make(n: int) -> uuid.UUID:
        return _uuid_of((n << 64) + number_of(n), limits.version or 4)

    if limits.version is not None:
        version = limits.version
        native = st.integers(0, 2**128 - 1).map(lambda n: _uuid_of(n, version))
    else:
        native = st.uuids()
    odd = [_uuid_of(n << 100, limits.version or version) for n in (1, 2) for version in (1, 3, 4, 5)]
    return _mixed(native, [Kind("UUID", make)], odd, limits, valid)


def _uuid_of(n: int, version: int) -> uuid.UUID:
    """A UUID of a version; the standard library does not know all of them in every release."""
    return uuid.UUID(int=n & ~(0xF000 << 64) & ~(0xC000 << 48) | version << 76 | 0x8000 << 48)


_NATIVE: Final[dict[type, Callable[[Limits, Check], Leaf]]] = {
    str: _texts,
    bytes: _bytes,
    int: _ints,
    float: _floats,
    Decimal: _decimals,
    datetime.date: _days,
    datetime.datetime: _moments,
    datetime.time: _simple(st.times, "time"),
    datetime.timedelta: _durations,
    uuid.UUID: _uuids,
    complex: _simple(lambda: st.complex_numbers(allow_nan=False, allow_infinity=False)),
    ipaddress.IPv4Address: _simple(lambda: st.ip_addresses(v=4), "IPv4 object"),
    ipaddress.IPv6Address: _simple(lambda: st.ip_addresses(v=6), "IPv6 object"),
    pathlib.Path: lambda limits, valid: _mixed(
        None, [kind.then(pathlib.Path) for kind in TEXTS[:5]], [], limits, valid
    ),
}


def _of_unknown(base: Any, valid: Check | None) -> Leaf:
    """Of a type that is not known here: what pydantic reads as it, else what hypothesis has for it."""
    if base in (Any, object):
        return Leaf(st.one_of(st.none(), st.booleans(), st.integers(), st.text(_CHARACTERS)), TEXTS[0].make)
    if valid is not None and not _is_anything(base, valid):
        # Digits where nothing else will do: as which moment they are read, many of them share.
        digital = [one for one in TEXTS if one.make(0).lstrip("+").isdecimal()]
        others = (*(one for one in TEXTS if one not in digital), *OTHERS)
        fit = list(usable(others, valid)) or list(usable(tuple(digital), valid))
        if fit:
            made = st.builds(lambda kind, n: kind.make(n), st.sampled_from(fit), _numbers)
            return Leaf(made.filter(valid), fit[0].make)
    try:
        strategy = st.from_type(base)
        strategy.validate()
    except (ResolutionFailed, TypeError) as error:
        raise Unsolvable(f"no strategy is known for {base!r}") from error
    return Leaf(strategy)


def _is_anything(base: Any, valid: Check) -> bool:
    """Whether pydantic would take for the type what is none of it."""
    return isinstance(base, type) and issubclass(base, (BaseModel, types.FunctionType)) and valid(object())
