"""Texts and bytes: of a length, by a pattern, or of a kind that validators take."""

from __future__ import annotations

import re
from typing import Final

from hypothesis import strategies as st

from purposeguard.testing._checks import Check
from purposeguard.testing._kinds import TEXTS, Kind, number_of, text_of_length, usable
from purposeguard.testing._leaf import Leaf, Unsolvable, mixed, one_of, recognisable
from purposeguard.testing._limits import Limits
from purposeguard.testing._patterns import matching
from purposeguard.testing._texts import SHORTEST


def texts(limits: Limits, valid: Check) -> Leaf:
    """Leaves of `str`."""
    if limits.pattern is not None:
        return _by_pattern(limits.pattern, limits, valid)
    native = st.text(CHARACTERS, min_size=limits.shortest, max_size=limits.longest)
    fitting = Kind("text", lambda n: text_of_length(n, limits.shortest, limits.longest))
    return mixed(native, (fitting, *TEXTS), _ODD_TEXTS, limits, valid)


_ODD_TEXTS: Final = ("", "a", "0", " x", "é 中", "x" * 300, "\n", "A-b c", "x" * 30, "7" * 12)


def _by_pattern(pattern: str, limits: Limits, valid: Check) -> Leaf:
    made = Kind("matching", lambda n: _matching(pattern, n, valid))
    fit = list(usable((made, *(one for one in TEXTS if len(one.make(0)) > 4)), valid))
    try:
        drawn = st.from_regex(_anchored(pattern), alphabet=CHARACTERS).filter(valid)
    except re.error as error:  # pydantic's own engine knows what Python's does not
        if not fit:
            raise Unsolvable(f"nothing is known that the pattern `{pattern}` matches") from error
        drawn = st.nothing()
    if not fit:
        return Leaf(drawn)
    more = limits.shortest or limits.longest is not None or fit[0] is not made
    if more:  # than the pattern is asked: most of what is drawn by it would be refused
        drawn = st.nothing()
    return Leaf(drawn | one_of(fit).filter(valid), recognisable(fit, limits).make)


def _matching(pattern: str, n: int, valid: Check) -> str | None:
    """A text by the pattern; of some that are tried one that is valid, and long enough to be known again."""
    short = None
    for one in (matching(pattern, number_of(n, turn)) for turn in range(20)):
        if one is not None and (short is None or len(one) >= SHORTEST) and valid(one):
            if len(one) >= SHORTEST:
                return one
            short = one
    return short


CHARACTERS: Final = st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0")


def _anchored(pattern: str) -> re.Pattern[str]:
    """As pydantic reads it, whose `$` is the end and not a line break before it."""
    ends = pattern.endswith("$") and not pattern.endswith("\\$")
    return re.compile(f"{pattern[:-1]}\\Z" if ends else pattern)


def octets(limits: Limits, valid: Check) -> Leaf:
    """Leaves of `bytes`."""
    native = st.binary(min_size=limits.shortest, max_size=limits.longest)
    kinds = [
        Kind("bytes", lambda n: text_of_length(n, limits.shortest, limits.longest).encode()),
        *(kind.then(str.encode) for kind in TEXTS),
    ]
    return mixed(native, kinds, [b"", b"\0", b"\xff"], limits, valid)
