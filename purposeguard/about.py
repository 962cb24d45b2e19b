"""About: what is known of a datum beyond its label. Whose it is, when it was collected, when its use ended."""

from __future__ import annotations

import datetime
import uuid
from typing import Any, Final

from purposeguard.terms import Immutable

SubjectId = int | str | uuid.UUID
"""How an application names the person whom a datum is about."""

Day = datetime.date | datetime.datetime
"""A day, or a moment with its time zone, which falls on a day of the notice's time zone."""

LONGEST_SUBJECT: Final = 200
"""Characters of a subject's id at most."""


def subject_key(given: object) -> str:
    """The one spelling of a subject's id: `7` and `"7"` are one subject, and so are all spellings of a UUID.

    Raises:
        TypeError: it is no int, str or UUID; a bool is none of them.
        ValueError: it is blank, begins or ends with a blank, is longer than 200 characters, or does not print.
    """
    if type(given) is int:
        return str(given)
    if isinstance(given, uuid.UUID):
        return str(given)
    if isinstance(given, bool) or not isinstance(given, (int, str)):
        raise TypeError(f"a subject's id is an int, a text or a UUID, not {type(given).__name__}")
    if isinstance(given, int):
        return str(int(given))
    text = str(given)  # the text itself where it is of a class that derives from str
    if not text or text != text.strip() or len(text) > LONGEST_SUBJECT or not text.isprintable():
        raise ValueError(
            f"a subject's id is a text of 1 to {LONGEST_SUBJECT} characters that print, with no blank at either end"
        )
    return _as_uuid(text) or text


def _as_uuid(text: str) -> str | None:
    """The canonical spelling of a UUID: in capitals, in braces or without hyphens it is the same one."""
    if len(text) < 32:
        return None
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


class About(Immutable):
    """`About(7, collected=date(2025, 3, 1))`: the subject, the day of collection, the day on which use ended.

    Each may be left out where it is not known. Immutable; `subject` is kept in its one spelling.

    Raises:
        TypeError, ValueError: the subject is no id (see `subject_key`); a day is no date, or has no time zone.
    """

    __slots__ = ("collected", "ended", "subject")

    subject: str | None
    collected: Day | None
    ended: Day | None

    def __init__(
        self, subject: SubjectId | None = None, *, collected: Day | None = None, ended: Day | None = None
    ) -> None:
        self._fill(
            subject=None if subject is None else subject_key(subject),
            collected=_day("collected", collected),
            ended=_day("ended", ended),
        )

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, About) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[object, ...]:
        return self.subject, self.collected, self.ended

    def __reduce__(self) -> tuple[Any, ...]:
        return _thaw, self._key

    def __repr__(self) -> str:
        # Not whose it is: this lands in messages and logs.
        known = [name for name in self.__slots__ if getattr(self, name) is not None]
        return f"<About {', '.join(known) or 'nothing known'}>"


def _thaw(subject: str | None, collected: Day | None, ended: Day | None) -> About:
    return About(subject, collected=collected, ended=ended)


def _day(name: str, given: object) -> Day | None:
    if given is None:
        return None
    if not isinstance(given, datetime.date):  # a datetime is one
        raise TypeError(f"`{name}` is a date or a datetime, not {type(given).__name__}")
    if isinstance(given, datetime.datetime) and given.utcoffset() is None:
        raise ValueError(f"`{name}` has no time zone, so it could be one of two days: give `tzinfo`, or a date")
    return given


NOTHING_KNOWN: Final = About()
"""Nothing but its label is known of a datum."""
