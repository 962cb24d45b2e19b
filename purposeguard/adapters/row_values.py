"""The values of the columns that decide on rows, for frames and DuckDB, and the errors for invalid ones."""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Iterable, Mapping
from typing import Final

from purposeguard.adapters.row_rule import LONGEST, id_meant, spellings
from purposeguard.errors import UnlabelledData, format_name
from purposeguard.notice.notice import Notice
from purposeguard.notice.several import JointNotice
from purposeguard.notice.timezones import load_zone

EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Ticks in a second, by the unit in which an engine counts moments."""

LARGEST: Final = 2**63 - 1


class Spellings:
    """The meanings of the texts in a column of sources. Unusual spellings are known once `learn` has read them."""

    def __init__(self, notice: Notice) -> None:
        self._notice = notice
        self.ids: Mapping[str, str] = spellings(notice)
        """The known texts, each with the id that it means."""

    def learn(self, column: str, texts: Iterable[str | None]) -> None:
        """Read more spellings.

        Raises:
            UnknownSource: a text means no source of the notice.
            UnlabelledData: a text is None.
        """
        read = dict(self.ids)
        for text in texts:
            if text is None:
                raise no_source(column)
            if text not in read:
                read[text] = id_meant(self._notice, text)
        self.ids = read

    def of(self, ids: frozenset[str]) -> list[str]:
        """Return the known texts that mean one of these sources."""
        return [text for text, id_ in self.ids.items() if id_ in ids]


# ---- days ------------------------------------------------------------------------------------------------------------


def day_to_tick(day: datetime.date, timezone: str, unit: str) -> int:
    """Return the moment at which a day begins in a time zone, in units since 1970, as engines count.

    The day may be any date; the result may have more than 64 bits.
    """
    midnight = datetime.datetime.combine(day, datetime.time.min, load_zone(timezone))
    seconds = (midnight - EPOCH) // datetime.timedelta(seconds=1)
    return seconds * PER_SECOND[unit]


def day_range_to_ticks(
    since: datetime.date | None, before: datetime.date | None, timezone: str, unit: str
) -> tuple[int | None, int | None] | None:
    """Return a range of days as a range of moments, in units since 1970.

    Returns:
        The bounds, each None if every moment of 64 bits meets it. None if no moment of 64 bits is within.
    """
    low = None if since is None else day_to_tick(since, timezone, unit)
    high = None if before is None else day_to_tick(before, timezone, unit)
    if (low is not None and low > LARGEST) or (high is not None and high <= -LARGEST):
        return None
    return (
        None if low is None or low <= -LARGEST else low,
        None if high is None or high > LARGEST else high,
    )


# ---- errors ----------------------------------------------------------------------------------------------------------


def no_source(column: str) -> UnlabelledData:
    """Return the error for a row that does not name its source."""
    return UnlabelledData(
        f"a row holds no source in `{column}`, so nothing says what it may be used for: leave out the rows without "
        "one, or say where they were collected"
    )


def not_sources(column: str, kind: object) -> UnlabelledData:
    """Return the error for a column marked `RowSource` that does not hold ids of sources."""
    return UnlabelledData(f"`{column}` is marked RowSource and holds {kind}: ids of sources are texts, as `1.1(a)`")


def not_subjects(column: str, kind: object) -> UnlabelledData:
    """Return the error for a column marked `Subject` that does not hold ids of subjects."""
    return UnlabelledData(
        f"`{column}` is marked Subject and holds {kind}: ids of subjects are whole numbers, texts or UUIDs"
    )


def blank_subject(column: str) -> UnlabelledData:
    """Return the error for a text in a column marked `Subject` that is no valid id."""
    return UnlabelledData(
        f"`{column}` is marked Subject, and a row holds a text that is no id: an id has 1 to {LONGEST} characters that "
        "print, and no blank at either end"
    )


def not_days(column: str, kind: object) -> UnlabelledData:
    """Return the error for a column marked to hold days that does not hold them."""
    return UnlabelledData(
        f"`{column}` is marked to hold days, and holds {kind}: give dates, or moments with a time zone"
    )


def naive(column: str) -> UnlabelledData:
    """Return the error for moments without a time zone, which could be of one of two days."""
    return UnlabelledData(
        f"`{column}` is marked to hold days, and its moments have no time zone, so each could be of one of two days: "
        "give them one, or give dates"
    )


def missing(column: str) -> UnlabelledData:
    """Return the error for a missing column that decides on rows."""
    return UnlabelledData(
        f"there is no column `{column}`, which says of each row whose it is, or from where or when: keep it until the "
        "rows that may be used are chosen"
    )


def no_column(column: object) -> ValueError:
    """Return the error for a column that is named and does not exist."""
    return ValueError(f"there is no column {format_name(column)} in the frame")


# ---- in other processes ----------------------------------------------------------------------------------------------


def as_text(notice: Notice) -> str:
    """Serialize a notice, or each of several, for other processes. Classes of notices cannot be pickled."""
    return json.dumps([part.dump() for part in notice.notices], ensure_ascii=False)


@functools.lru_cache(maxsize=16)
def from_text(text: str) -> Notice:
    """Restore a notice from the text that `as_text` made."""
    notices = list(map(Notice.parse, json.loads(text)))
    return notices[0] if len(notices) == 1 else JointNotice(notices, {})
