"""Patterns of names, such as `GET /users/*` and `app.models.*`. The most specific pattern that matches a name wins."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Final, NamedTuple


class Wildcard(NamedTuple):
    """A wildcard in a pattern: any text without these characters."""

    excluded: str


Part = str | Wildcard
"""A part of a pattern: one character, or a wildcard."""

WHOLE_SEGMENTS: Final = Wildcard("")


@dataclasses.dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern of names: `*` stands for any text within a segment, `**` for any text.

    Attributes:
        text: The pattern as it is written.
        parts: Its characters and wildcards.
        specificity: A key that orders patterns: the greater one is more specific.
        prefix: The characters before the first wildcard, after the first word if the pattern has a first word.
    """

    text: str
    parts: tuple[Part, ...]
    specificity: tuple[int, ...]
    prefix: str

    @classmethod
    def compile_names(cls, text: str, *, rank: int = 0) -> Pattern:
        """Make a pattern of dotted names. Patterns of a higher rank are more specific than all of a lower one."""
        parts = _split(text, ".")
        prefix, *measure = _measure(parts)
        return cls(text, parts, (rank, *measure), prefix)

    @classmethod
    def compile_entry_points(cls, text: str) -> Pattern:
        """Make a pattern of entry points. Segments end with `/`. `*` may stand for the first word, such as a method.

        Specificity compares the rest first, and the first word only where the rests are equal.
        """
        word, blank, rest = text.partition(" ") if " " in text else ("", "", text)
        first = tuple(Wildcard(" /") if isinstance(part, Wildcard) else part for part in _split(word, "/"))
        parts = _split(rest, "/")
        prefix, *measure = _measure(parts)
        return cls(text, (*first, *blank, *parts), (len(blank), *measure, *_measure(first)[1:]), prefix)

    @property
    def has_wildcards(self) -> bool:
        """True if the pattern contains a wildcard."""
        return any(isinstance(part, Wildcard) for part in self.parts)

    def to_regex(self) -> re.Pattern[str]:
        """Return a regular expression that matches the same names."""
        written: list[str] = []
        for part in self.parts:
            if isinstance(part, str):
                written.append(re.escape(part))
            else:
                written.append(f"[^{part.excluded}]*" if part.excluded else ".*")
        return re.compile("".join(written), re.DOTALL)

    def overlaps(self, other: Pattern) -> bool:
        """Return True if some name matches both patterns."""
        mine, others = self.parts, other.parts

        @functools.cache
        def overlaps_from(here: int, there: int) -> bool:
            if here == len(mine) or there == len(others):
                return all(isinstance(part, Wildcard) for part in (*mine[here:], *others[there:]))
            one, two = mine[here], others[there]
            if isinstance(one, Wildcard):
                # The wildcard ends here, or it covers the next part of the other pattern.
                return overlaps_from(here + 1, there) or (_covers(one, two) and overlaps_from(here, there + 1))
            if isinstance(two, Wildcard):
                return overlaps_from(here, there + 1) or (_covers(two, one) and overlaps_from(here + 1, there))
            return one == two and overlaps_from(here + 1, there + 1)

        return overlaps_from(0, 0)


def _covers(wildcard: Wildcard, part: Part) -> bool:
    return isinstance(part, Wildcard) or part not in wildcard.excluded


def _split(text: str, separator: str) -> tuple[Part, ...]:
    wildcards: dict[str, Part] = {"*": Wildcard(separator), "**": WHOLE_SEGMENTS}
    written: list[str] = re.findall(r"\*\*|.", text, re.DOTALL)
    return tuple(wildcards.get(each, each) for each in written)


def _measure(parts: tuple[Part, ...]) -> tuple[str, int, int, int]:
    """Return the text before the first wildcard, its length, the number of all characters, and of `**` as negative."""
    prefix = ""
    for part in parts:
        if not isinstance(part, str):
            break
        prefix += part
    characters = sum(isinstance(part, str) for part in parts)
    return prefix, len(prefix), characters, -parts.count(WHOLE_SEGMENTS)


class PatternSet:
    """Patterns that are searched together.

    A pattern that is equal to a name is the most specific one for it, whatever characters it contains.
    """

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._exact: Final = {pattern.text: pattern for pattern in patterns}
        wild = [pattern for pattern in self._exact.values() if pattern.has_wildcards]
        wild.sort(key=lambda pattern: pattern.specificity, reverse=True)
        self._wild: Final = [(pattern, pattern.to_regex()) for pattern in wild]

    def find_all(self, *names: str) -> Iterator[str]:
        """Yield the texts of all patterns that match one of the names of a thing, the most specific first."""
        for name in names:
            if name in self._exact:
                yield name
        for pattern, regex in self._wild:
            if pattern.text not in names and any(map(regex.fullmatch, names)):
                yield pattern.text

    def find_first(self, name: str) -> str | None:
        """Return the text of the most specific pattern that matches a name; None if there is none."""
        return next(self.find_all(name), None)

    def list_ambiguous(self) -> list[tuple[str, str]]:
        """List the pairs of patterns that are equally specific and match a common name."""
        groups: defaultdict[object, list[Pattern]] = defaultdict(list)
        for pattern, _ in self._wild:
            # Patterns of one specificity overlap only if they begin equally.
            groups[pattern.specificity, pattern.prefix].append(pattern)
        pairs: list[tuple[str, str]] = []
        for group in groups.values():
            pairs += [(one.text, other.text) for one, other in combinations(group, 2) if one.overlaps(other)]
        return pairs
