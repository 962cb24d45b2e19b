"""Time zones, in which a notice counts its days. They are loaded when needed: not every machine has a database."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Final

from purposeguard.errors import Fault, NoticeError
from purposeguard.notice.vocabulary import find_nearest

Day = datetime.date | datetime.datetime
"""A day, or a moment with its time zone, which falls on a day of the notice's time zone."""

UTC = "UTC"
"""The time zone of a notice that names none; known everywhere."""


def load_zone(name: str) -> datetime.tzinfo:
    """Load a time zone by its name.

    Raises:
        NoticeError: this machine does not know it.
    """
    zone = _load_or_none(name)
    if zone is not None:
        return zone
    if zoneinfo.available_timezones():
        raise NoticeError([Fault("timezone", f"unknown time zone `{name}`", suggest_name(name))])
    message = f"this machine has no database of time zones, so `{name}` cannot be looked up"
    raise NoticeError([Fault("timezone", message, "pip install tzdata")])


def is_known(name: str) -> bool:
    """Return True if there is such a time zone, or if this machine has no database of time zones to look it up in."""
    return _load_or_none(name) is not None or not zoneinfo.available_timezones()


def suggest_name(name: str) -> str:
    """Suggest what to write instead of an unknown name of a time zone."""
    close = find_nearest(name, sorted(zoneinfo.available_timezones())) if "/" in name or len(name) > _LETTERS else ()
    return f"did you mean {' or '.join(f'`{zone}`' for zone in close)}?" if close else "e.g. `Europe/Berlin`"


_LETTERS: Final = 4
"""The longest abbreviation of a time zone, such as `JST`. Nothing is suggested for an unknown abbreviation."""


def _load_or_none(name: str) -> datetime.tzinfo | None:
    if name == UTC:
        return datetime.UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # The last two: the name can be no file's.
        return None
