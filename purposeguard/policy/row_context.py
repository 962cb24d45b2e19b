"""The facts about a datum beside its label: its subject, when it was collected, and when its use ended."""

from __future__ import annotations

import datetime
import re
import unicodedata
import uuid
from collections.abc import Collection
from typing import Any, Final, cast

from purposeguard.notice.immutable import Immutable
from purposeguard.notice.timezones import Day

SubjectId = int | str | uuid.UUID
"""The id by which an application names the person whom a datum is about."""

REALM: Final = r"[a-z][a-z0-9_-]{0,49}"
"""The name of a realm, within which ids count: `customer:7`."""

_CANONICAL: Final = re.compile(rf"(?:{REALM}:)?[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}")
"""A UUID in its canonical spelling, perhaps within a realm."""

_SPELT: Final = re.compile(rf"((?!urn:uuid:){REALM}:)?((?:urn:uuid:)?\{{?[0-9A-Fa-f-]+\}}?)")
"""A UUID in another spelling. `uuid.UUID` accepts even more, such as `0x` and 30 digits."""

_SHORTEST_UUID: Final = 32

LONGEST_SUBJECT: Final = 200
"""The greatest length of a subject's id."""

_SHORT: Final = 10 ** (_SHORTEST_UUID - 1)
"""The bound below which numbers have fewer digits than a UUID."""

_LONG: Final = 10**LONGEST_SUBJECT


def subject_key(given: object) -> str:
    """Return the canonical spelling of a subject's id.

    `7` and `"7"` are one subject, and so are all spellings of a UUID, also after the name of a realm, as in
    `customer:…`. Case counts in all other ids: where ids are addresses, fold them before they come here.

    Raises:
        TypeError: it is no int, str or UUID; a bool is none of them.
        ValueError: it is blank, begins or ends with a blank, is longer than 200 characters, or does not print.
    """
    if type(given) is int:
        return str(given) if -_SHORT < given < _SHORT else _format_number(given)
    if type(given) is str:
        return _normalize_text(given)
    if isinstance(given, uuid.UUID):
        return uuid.UUID.__str__(given)
    if isinstance(given, bool) or not isinstance(given, (int, str)):
        raise TypeError(f"a subject's id is an int, a text or a UUID, not {type(given).__name__}")
    # An instance of a subclass counts as the plain number or text, whatever its own methods return.
    return _format_number(int.__index__(given)) if isinstance(given, int) else _normalize_text(str.__str__(given))


def subject_keys(given: Collection[object]) -> list[str]:
    """Return the `subject_key` of each id, in their order. Plain numbers are converted all at once."""
    if set(map(type, given)) == {int}:
        numbers = cast("Collection[int]", given)
        if min(numbers) > -_SHORT and max(numbers) < _SHORT:
            return list(map(repr, numbers))  # As `str`, which takes longer.
    return list(map(subject_key, given))


def _format_number(given: int) -> str:
    """Return the key of a number. A number that is too long is refused without making a text of it."""
    return _normalize_text(str(given) if -_LONG < given < _LONG else "")


def _normalize_text(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)  # One letter may be written as several characters.
    length = len(text)
    # The blank is the one space that prints.
    if not 0 < length <= LONGEST_SUBJECT or text[0] == " " or text[-1] == " " or not text.isprintable():
        raise ValueError(
            f"a subject's id is a text of 1 to {LONGEST_SUBJECT} characters that print, with no blank at either end"
        )
    if length < _SHORTEST_UUID or _CANONICAL.fullmatch(text):
        return text
    spelt = _SPELT.fullmatch(text)
    if spelt is None:
        return text
    try:
        # A UUID in capitals, in braces or without hyphens is the same UUID.
        return f"{spelt[1] or ''}{uuid.UUID(spelt[2])}"
    except ValueError:
        return text


class RowContext(Immutable):
    """The subject of a datum, its day of collection, and the day on which its use ended.

    For example `RowContext(7, collected=date(2025, 3, 1))`. Facts that are not known may be left out. The object is
    immutable; `subject` has its canonical spelling.

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
            collected=_check_day("collected", collected),
            ended=_check_day("ended", ended),
        )

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, RowContext) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[object, ...]:
        return self.subject, self.collected, self.ended

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_row_context, self._key

    def __repr__(self) -> str:
        # The subject is left out, because this text appears in messages and logs.
        known_facts = [name for name in self.__slots__ if getattr(self, name) is not None]
        return f"<RowContext {', '.join(known_facts) or 'nothing known'}>"


def _restore_row_context(subject: str | None, collected: Day | None, ended: Day | None) -> RowContext:
    return RowContext(subject, collected=collected, ended=ended)


def _check_day(name: str, given: object) -> Day | None:
    if given is None:
        return None
    if not isinstance(given, datetime.date):  # A datetime is a date too.
        raise TypeError(f"`{name}` is a date or a datetime, not {type(given).__name__}")
    if isinstance(given, datetime.datetime) and given.utcoffset() is None:
        raise ValueError(f"`{name}` has no time zone, so it could be one of two days: give `tzinfo`, or a date")
    return given


NOTHING_KNOWN: Final = RowContext()
"""The facts about a datum of which only the label is known."""
