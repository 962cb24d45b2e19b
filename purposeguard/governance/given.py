"""What callers give, made sure of before anything is done: texts, periods, purposes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from purposeguard.errors import UnknownPurpose
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Family, TermMeta, is_union

LONGEST_TEXT: Final = 10_000
"""Characters of what a clerk says, at most."""

LONGEST_PERIOD: Final = 3_660
"""Days of a deadline, at most."""


def text_of(name: str, given: object) -> str:
    """A text that somebody must give.

    Raises:
        TypeError, ValueError: it is none, or blank, too long, or such as no database can keep.
    """
    if not isinstance(given, str):
        raise TypeError(f"`{name}` is a text, not {type(given).__name__}")
    half = any(one == "\0" or "\ud800" <= one <= "\udfff" for one in given)
    if half or not given.strip() or len(given) > LONGEST_TEXT:
        raise ValueError(
            f"`{name}` is a text, not blank, of {LONGEST_TEXT:,} characters at most, none of them a null or half one"
        )
    return str(given)


def optional_text(name: str, given: object) -> str | None:
    """A text that may be left out; raises as `text_of` does."""
    return None if given is None else text_of(name, given)


def period_of(days: object) -> int:
    """A number of days.

    Raises:
        TypeError, ValueError: it is no whole number, or far too large.
    """
    if isinstance(days, bool) or not isinstance(days, int):
        raise TypeError(f"a period is a whole number of days, not {type(days).__name__}")
    if not 0 < days <= LONGEST_PERIOD:
        raise ValueError(f"a period is of 1 to {LONGEST_PERIOD:,} days")
    return int(days)


def clauses_of(notice: Notice, purposes: object) -> list[str]:
    """A purpose or family, or several of both, by the clauses of its purposes, in the notice's order.

    Raises:
        UnknownPurpose: the notice has no such purpose.
        ValueError: there is none.
    """
    one = isinstance(purposes, (str, TermMeta, Family)) or is_union(purposes)
    if not one and not isinstance(purposes, Iterable):
        raise UnknownPurpose(purposes, "an id is a text or a class")
    wanted: set[object] = set()
    for given in [purposes] if one else cast("Iterable[object]", purposes):
        meant = notice.purpose_or_family(given)
        wanted.update(meant.members if isinstance(meant, Family) else (meant,))
    if not wanted:
        raise ValueError("no purpose was given: name some, or give None for all")
    return [purpose.clause for purpose in notice.purposes if purpose in wanted]
