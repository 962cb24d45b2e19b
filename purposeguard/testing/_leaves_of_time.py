"""Days, moments, times of day and durations, between bounds."""

from __future__ import annotations

import datetime
from typing import Any, Final

from hypothesis import strategies as st

from purposeguard.testing._checks import Check
from purposeguard.testing._kinds import OTHERS, Kind, moment
from purposeguard.testing._leaf import Leaf, mixed
from purposeguard.testing._limits import ANY_ZONE, Limits

_EARLIEST: Final = datetime.datetime(1900, 1, 1)  # noqa: DTZ001  # zones are put to it below
_LATEST: Final = datetime.datetime(2100, 12, 31)  # noqa: DTZ001  # likewise
_MICROSECOND: Final = datetime.timedelta(microseconds=1)
_CENTURY: Final = datetime.timedelta(days=36_525)


def days(limits: Limits, valid: Check) -> Leaf:
    """Leaves of `date`."""
    first, last = _window(limits, _EARLIEST.date(), _LATEST.date(), datetime.timedelta(days=1), datetime.date)
    span = (last - first).days + 1
    kinds = [Kind("day", lambda n: first + datetime.timedelta(days=n % span))]
    if valid(moment(0).date()):
        kinds.insert(0, Kind("born", lambda n: moment(n).date()))
    odd = [datetime.date(1970, 1, 1), datetime.date(2100, 12, 31)]
    return mixed(st.dates(first, last), kinds, odd, limits, valid)


def _window(limits: Limits, earliest: Any, latest: Any, tick: datetime.timedelta, cls: Any) -> tuple[Any, Any]:
    """The first and the last that the bounds let through; a century where there is one bound, out of what is usual."""
    first, last = limits.lowest, limits.highest
    if first is not None and first == limits.above:
        first += tick
    if last is not None and last == limits.below:
        last -= tick
    if first is None:
        first = earliest if last is None or last > earliest else last - min(_CENTURY, last - cls.min)
    if last is None:
        last = latest if first < latest else first + min(_CENTURY, cls.max - first)
    return first, last


def moments(limits: Limits, valid: Check) -> Leaf:
    """Leaves of `datetime`."""
    bounds = (limits.lowest, limits.highest)
    zone = next((one.tzinfo for one in bounds if one is not None and one.tzinfo), None)
    if limits.zone not in (None, ANY_ZONE) and zone is None:
        zone = datetime.UTC
    first, last = _window(
        limits.translated(lambda bound: _local(bound, zone)), _EARLIEST, _LATEST, _MICROSECOND, datetime.datetime
    )
    native = st.datetimes(first, last, timezones=st.just(zone)).map(lambda one: one.replace(fold=0))
    span = (last - first) // _MICROSECOND + 1
    kinds = [
        Kind("moment", lambda n: moment(n).replace(tzinfo=zone)),
        Kind("moment between", lambda n: (first + n % span * _MICROSECOND).replace(tzinfo=zone)),
    ]
    odd = [datetime.datetime(1970, 1, 1, tzinfo=zone), datetime.datetime(2100, 12, 31, tzinfo=zone)]
    return mixed(native, kinds, odd, limits, valid)


def _local(bound: datetime.datetime, zone: datetime.tzinfo | None) -> datetime.datetime:
    """A bound on the clocks of a zone."""
    return (bound.astimezone(zone) if bound.tzinfo else bound).replace(tzinfo=None)


def times(limits: Limits, valid: Check) -> Leaf:
    """Leaves of `time`."""
    day = limits.translated(lambda bound: datetime.datetime.combine(_EARLIEST, bound))
    first, last = _window(
        day, _EARLIEST, _EARLIEST + datetime.timedelta(days=1) - _MICROSECOND, _MICROSECOND, datetime.datetime
    )
    span = (last - first) // _MICROSECOND + 1
    kinds = [Kind("time", lambda n: (first + n % span * _MICROSECOND).time())]
    native = st.times(first.time(), last.time())
    return mixed(native, kinds, [datetime.time(0), datetime.time(12, 30)], limits, valid)


def durations(limits: Limits, valid: Check) -> Leaf:
    """Leaves of `timedelta`."""
    none = datetime.timedelta(0)
    first = datetime.timedelta.min if limits.lowest is None else limits.lowest
    last = datetime.timedelta.max if limits.highest is None else limits.highest
    first += _MICROSECOND if first == limits.above else none
    last -= _MICROSECOND if last == limits.below else none
    between = Kind("between", lambda n: first + n % ((last - first) // _MICROSECOND + 1) * _MICROSECOND)
    kinds = [*(kind for kind in OTHERS if kind.name == "duration"), between]
    return mixed(st.timedeltas(first, last), kinds, [none, datetime.timedelta(days=-1)], limits, valid)
