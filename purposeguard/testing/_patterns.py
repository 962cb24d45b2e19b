"""Texts that a regular expression matches, each made from a number."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from re import _constants as sre  # type: ignore[attr-defined]  # as the standard library's own modules have it
from re import _parser  # type: ignore[attr-defined]  # likewise
from typing import Any, Final

from purposeguard.testing._kinds import number_of

_MORE: Final = 6
"""How often something is repeated at most, beyond what it must be."""


@functools.lru_cache(maxsize=256)
def _parsed(pattern: str) -> Any:
    return _parser.parse(pattern)


def matching(pattern: str, n: int) -> str | None:
    """A text that the pattern should match; None where it asks for what is not known here. Is to be checked."""
    try:
        return "".join(_Maker(n).all(_parsed(pattern)))
    except (re.error, _Unknown, RecursionError):
        return None


class _Unknown(Exception):
    """The pattern has a part that no text is made for here."""


class _Maker:
    def __init__(self, n: int) -> None:
        self._n = n
        self._asked = 0
        self._groups: dict[int, str] = {}

    def _below(self, limit: int) -> int:
        self._asked += 1
        return number_of(self._n, self._asked) % limit

    def all(self, parts: Iterable[tuple[Any, Any]]) -> list[str]:
        return [self._one(kind, what) for kind, what in parts]

    def _one(self, kind: Any, what: Any) -> str:
        make = _MAKERS.get(kind)
        if make is None:
            raise _Unknown
        return make(self, what)

    def literal(self, what: int) -> str:
        return chr(what)

    def nothing(self, _: Any) -> str:
        return ""

    def any(self, _: Any) -> str:
        return _LETTERS[self._below(len(_LETTERS))]

    def one_not(self, what: int) -> str:
        return next(one for one in _LETTERS if ord(one) != what)

    def one_in(self, what: list[tuple[Any, Any]]) -> str:
        if what[0][0] is sre.NEGATE:
            pattern = re.compile(_class_of(what))
            fit = [one for one in _LETTERS if pattern.fullmatch(one)]
            if not fit:
                raise _Unknown
            return fit[self._below(len(fit))]
        choices = [one for kind, given in what for one in _members(kind, given)]
        return choices[self._below(len(choices))]

    def repeated(self, what: tuple[int, int, Any]) -> str:
        least, most, inner = what
        # As often as may be, within reason: a longer text is better known again.
        count = least + self._below(min(int(most) - least, _MORE) + 1)
        if least == 0 and count < int(most) and len(inner) == 1:
            count = min(int(most), _MORE)
        return "".join("".join(self.all(inner)) for _ in range(count))

    def group(self, what: tuple[Any, ...]) -> str:
        text = "".join(self.all(what[3]))
        if what[0] is not None:
            self._groups[what[0]] = text
        return text

    def again(self, what: int) -> str:
        return self._groups.get(what, "")

    def branch(self, what: tuple[Any, list[Any]]) -> str:
        return "".join(self.all(what[1][self._below(len(what[1]))]))

    def category(self, what: Any) -> str:
        choices = _members(sre.CATEGORY, what)
        return choices[self._below(len(choices))]


_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_- .,:@/"
_CATEGORIES: Final = {
    sre.CATEGORY_DIGIT: "0123456789",
    sre.CATEGORY_WORD: _LETTERS[:62],
    sre.CATEGORY_SPACE: " ",
    sre.CATEGORY_NOT_DIGIT: _LETTERS[:26],
    sre.CATEGORY_NOT_WORD: " .,:@/",
    sre.CATEGORY_NOT_SPACE: _LETTERS[:62],
}


def _members(kind: Any, what: Any) -> str:
    if kind is sre.LITERAL:
        return chr(what)
    if kind is sre.RANGE:
        low, high = what
        return "".join(map(chr, range(low, min(high, low + 999) + 1)))
    if kind is sre.CATEGORY and what in _CATEGORIES:
        return _CATEGORIES[what]
    raise _Unknown


def _class_of(what: list[tuple[Any, Any]]) -> str:
    """A negated class of characters, written again."""
    inner = "".join(re.escape(one) for kind, given in what[1:] for one in _members(kind, given))
    return f"[^{inner}]"


_MAKERS: Final[dict[Any, Callable[[_Maker, Any], str]]] = {
    sre.LITERAL: _Maker.literal,
    sre.NOT_LITERAL: _Maker.one_not,
    sre.ANY: _Maker.any,
    sre.AT: _Maker.nothing,
    sre.ASSERT: _Maker.nothing,
    sre.ASSERT_NOT: _Maker.nothing,
    sre.IN: _Maker.one_in,
    sre.CATEGORY: _Maker.category,
    sre.MAX_REPEAT: _Maker.repeated,
    sre.MIN_REPEAT: _Maker.repeated,
    sre.POSSESSIVE_REPEAT: _Maker.repeated,
    sre.SUBPATTERN: _Maker.group,
    sre.GROUPREF: _Maker.again,
    sre.BRANCH: _Maker.branch,
}
