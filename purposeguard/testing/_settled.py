"""Texts without what differs whenever anything runs again: the present time, addresses in memory, temporary names."""

from __future__ import annotations

import collections
import datetime
import email.utils
import functools
import re
import time
from collections.abc import Callable
from typing import Final

_SLACK: Final = 2.0
"""Seconds before a run began, or after now, that still are its time."""

_QUARTER: Final = 900
"""Time zones differ from each other by quarters of an hour."""

_ADDRESS: Final = re.compile(r"(?<=\bat )0x[0-9a-fA-F]{6,16}\b")
_TASK: Final = re.compile(r"(?<=<Task )(\w+(?: \w+)*) name='Task-\d+'")
_TEMPORARY: Final = re.compile(r"(?<=[/\\])tmp[a-z0-9_]{8}\b")
_MOMENT: Final = re.compile(
    r"\b(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?(?![\d:])"
)
_OBJECT: Final = re.compile(
    r"datetime\.datetime\((\d+), (\d+), (\d+), (\d+), (\d+)(?:, (\d+))?(?:, \d+)?(?:, [^()]*(?:\([^()]*\))?)?\)"
)
_HTTP: Final = re.compile(r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")
_COMPACT: Final = re.compile(r"(?<!\d)(\d{4})(\d\d)(\d\d)[T_\-]?(\d\d)(\d\d)(\d\d)(\d{3}|\d{6})?(Z)?(?!\d)")
_CLOCK: Final = re.compile(r"(?<![\d:.-])(\d\d):(\d\d):(\d\d)(?:[.,]\d{1,9})?(?![\d:])")
_EPOCH: Final = re.compile(r"(?<![\d.\w])(\d{10})(\d{9}|\d{6}|\d{2,3})?(?:\.\d+)?(?![\d\w])")
_DIGITS: Final = re.compile(r"\d")

TEMPORARY_NAMES: Final[collections.deque[str]] = collections.deque(maxlen=50)
"""What `tempfile` has put into names lately."""


def settled(text: str, began: float) -> str:
    """`text` with what only says when, or where in memory, it was made replaced by `<time>` and the like."""
    if " at 0x" in text:
        text = _ADDRESS.sub("<address>", text)
    if "<Task " in text:
        text = _TASK.sub(r"\1", text)
    if "tmp" in text:
        text = _TEMPORARY.sub("<temporary>", text)
    for name in TEMPORARY_NAMES:
        text = text.replace(name, "<temporary>")
    if not _DIGITS.search(text):
        return text
    now = time.time()
    for pattern, read in _TIMES:
        text = pattern.sub(functools.partial(_unless_past, read, began, now), text)
    return text


def _unless_past(read: Callable[[re.Match[str]], float | None], began: float, now: float, found: re.Match[str]) -> str:
    moment = read(found)
    if moment is None:
        return found[0]
    if moment < 0:  # of no day, or of no zone, that is known: any zone's clock
        away = (-moment - now) % _QUARTER
        near = away <= _SLACK or away >= _QUARTER - _SLACK - (now - began)
        return "<time>" if near else found[0]
    return "<time>" if began - _SLACK <= moment <= now + _SLACK else found[0]


def _moment(found: re.Match[str]) -> float | None:
    *numbers, _, zone = found.groups()
    return _timestamp([int(one) for one in numbers], zone)


def _object(found: re.Match[str]) -> float | None:
    return _timestamp([int(one or 0) for one in found.groups()], None)


def _timestamp(numbers: list[int], zone: str | None) -> float | None:
    """Seconds since the epoch; negative where the zone is not known, which at most a day away is some zone's."""
    year, month, day, hour, minute, second = numbers
    try:
        moment = datetime.datetime(year, month, day, hour, minute, min(second, 59), tzinfo=datetime.UTC)
    except ValueError:
        return None
    stamp = moment.timestamp()
    if zone is None or zone == "Z":
        return stamp if zone == "Z" else -stamp if abs(stamp - time.time()) < 15 * 3600 and stamp > 0 else None
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    return stamp - (1 if zone[0] == "+" else -1) * (hours * 3600 + minutes * 60)


def _http(found: re.Match[str]) -> float | None:
    return email.utils.parsedate_to_datetime(found[0]).timestamp()


def _clock(found: re.Match[str]) -> float | None:
    hours, minutes, seconds = (int(one) for one in found.groups())
    return -(hours * 3600 + minutes * 60 + seconds) if hours < 24 and minutes < 60 and seconds < 61 else None


def _epoch(found: re.Match[str]) -> float:
    return float(found[1])


_TIMES: Final = (
    (_MOMENT, _moment),
    (_COMPACT, _moment),
    (_OBJECT, _object),
    (_HTTP, _http),
    (_CLOCK, _clock),
    (_EPOCH, _epoch),
)
