"""Numbers: whole ones, floats and decimals, between bounds and of a step."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from hypothesis import strategies as st

from purposeguard.testing._checks import Check
from purposeguard.testing._kinds import TEXTS, Kind, digits
from purposeguard.testing._leaf import Leaf, mixed
from purposeguard.testing._limits import Limits


def ints(limits: Limits, valid: Check) -> Leaf:
    """Leaves of `int`."""
    step = int(limits.step or 1)
    first, last = _steps(limits, step)
    native = st.integers(first, last).map(lambda n: n * step)
    made = Kind("int", lambda n: _spread(n, first, last) * step)
    small = Kind("small", lambda n: (max(first or 0, 0) + n % 100) * step)
    return mixed(native, [made, small, *_DIGITS], [0, 1, -1, 10**6, 2**40, -(10**6), 7, 50], limits, valid)


_DIGITS: Final = tuple(kind.then(int) for kind in TEXTS if kind.make(0).isdecimal())


def _steps(limits: Limits, step: Any) -> tuple[int | None, int | None]:
    """Which multiples of a step lie within the bounds: the first and the last, as far as there are some."""
    unit = Fraction(step)
    low = None if limits.lowest is None else Fraction(limits.lowest) / unit
    high = None if limits.highest is None else Fraction(limits.highest) / unit
    first, last = None if low is None else math.ceil(low), None if high is None else math.floor(high)
    if first is not None and first == low and limits.above == limits.lowest:
        first += 1
    if last is not None and last == high and limits.below == limits.highest:
        last -= 1
    return first, last


def _spread(n: int, first: int | None, last: int | None) -> int:
    """A whole number between two: of nine digits where there is room, so that it is known again."""
    low = 10**8 if first is None or (first <= 10**8 and (last is None or last > 2 * 10**8)) else first
    if last is not None and low > last:
        low = last - 10**9 if first is None else first
    span = 10**9 if last is None else max(1, min(last - low + 1, 10**9))
    return low + n % span


def floats(limits: Limits, valid: Check) -> Leaf:
    """Leaves of `float`."""
    low, high = limits.lowest, limits.highest
    if limits.step:
        step = limits.step
        first, last = _steps(limits, Decimal(str(step)))  # as it is written: of 0.1 itself there are no multiples
        native: Any = st.integers(first, last).map(lambda n: float(n * step)).filter(valid)
        return mixed(native, [Kind("float", lambda n: float(_spread(n, first, last) * step))], [], limits, valid)
    native = st.floats(
        None if low is None else float(low),
        None if high is None else float(high),
        exclude_min=limits.above is not None and limits.above == low,
        exclude_max=limits.below is not None and limits.below == high,
        allow_nan=False,  # equal to nothing, itself included: nobody could compare what comes of it
        allow_infinity=False,
    )
    kinds = [Kind("float", lambda n: float(_between(n, low, high))), Kind("small", lambda n: n % 100 / 2)]
    return mixed(native, kinds, [0.0, -1.5, 1e9], limits, valid)


def _between(n: int, low: Any, high: Any) -> Decimal:
    """A number with many digits between two bounds, which is neither."""
    if low is None and high is None:
        return Decimal(f"{digits(n, 7)}.{digits(n, 3)}")
    start = Decimal(str(low)) if low is not None else Decimal(str(high)) - 10**7
    end = Decimal(str(high)) if high is not None else Decimal(str(low)) + 10**7
    return start + (end - start) * (n % 10**9 + 1) / (10**9 + 2)


def decimals(limits: Limits, valid: Check) -> Leaf:
    """Leaves of `Decimal`."""
    if limits.digits is not None:
        limits = limits.narrowed(*_of_digits(limits.digits, limits.places))
    low, high, step = limits.lowest, limits.highest, limits.step
    odd = [Decimal(0), Decimal("-1.5"), Decimal("1e20")]
    if step is None and limits.places is not None:
        step = Decimal(1).scaleb(-limits.places)
    if step is not None:
        unit = Decimal(str(step))
        first, last = _steps(limits, unit)
        drawn: Any = st.integers(first, last).map(lambda n: n * unit)
        kinds = [Kind("Decimal", lambda n: _spread(n, first, last) * unit), Kind("small", lambda n: n % 10_000 * unit)]
        return mixed(drawn, kinds, odd, limits, valid)
    native = st.decimals(
        None if low is None else str(low), None if high is None else str(high), allow_nan=False, allow_infinity=False
    )
    excluded = [one for one in (limits.above, limits.below) if one is not None]
    if excluded:  # a bound is drawn often
        native = native.map(lambda one: _between(0, low, high) if one in excluded else one)

    def make(n: int) -> Decimal:
        found = _between(n, low, high)
        short = round(found, 2)
        return short if (low is None or low < short) and (high is None or short < high) else found

    small = Kind("small", lambda n: Decimal(n % 10_000) / 100)
    return mixed(native, [Kind("Decimal", make), small], odd, limits, valid)


def _of_digits(most: int, places: int | None) -> tuple[Decimal, int]:
    """The greatest number of so many digits, and how many of them are behind the point."""
    behind = min(2, most) if places is None else places
    return Decimal(10) ** max(0, most - behind) - Decimal(1).scaleb(-behind), behind
