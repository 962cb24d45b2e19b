"""One leaf: what values an annotation has that holds no others, and how one is marked."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final

from hypothesis import strategies as st

from purposeguard.testing._checks import Check
from purposeguard.testing._kinds import SAMPLES, Kind, number_of, usable
from purposeguard.testing._limits import Limits, as_it_is
from purposeguard.testing._texts import texts_of


class Unsolvable(TypeError):
    """Nothing is known that an annotation's values could be made from; `path` is where."""

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(f"{path}: {why}" if path else why)
        self.path = path

    def at(self, path: str) -> Unsolvable:
        """The same at a path, where it is not known where it is."""
        return self if self.path or not path else Unsolvable(str(self), path)


class Leaf:
    """What values an annotation has: `values` draws any, `mark` makes one from a number, that is seen again."""

    def __init__(self, values: st.SearchStrategy[Any], mark: Callable[[int], Any] | None = None) -> None:
        self.values = values
        self.fixed: list[Any] | None = None
        """All values that there are, where they are few."""
        self.read: Callable[[Any], Any] = as_it_is
        """What is made of a value that is drawn, where nobody else makes it: as pydantic reads it."""
        self.valid: Check | None = None
        """Whether a mark is taken, where somebody has a say."""
        self._mark = mark

    def mark(self, n: int) -> tuple[Any, ...]:
        """A value made from a number, where there is one: of some that are tried the first that is taken."""
        if self._mark is None:
            return ()
        found = map(self._mark, (n, *(number_of(n, turn) for turn in range(_TURNS))))
        return next(((one,) for one in found if self.valid is None or self.valid(one)), ())


_TURNS: Final = 20


def mixed(
    native: st.SearchStrategy[Any] | None, kinds: Sequence[Kind], odd: Sequence[Any], limits: Limits, valid: Check
) -> Leaf:
    """Values of which `native` draws any, and `kinds` are plausible.

    What validators of the application take is found by asking: where they take most of what is `odd` and tell it apart,
    any value is drawn and asked about; where they are choosy, a kind that they take.
    """
    texts = bool(odd) and isinstance(odd[0], str)
    asked = [one for one in odd if limits.fits(one)]
    taken = {repr(limits.seen(one)) for one in asked if valid(one)}
    lenient = native is not None and len(taken) >= 0.7 * len(asked)
    # Beside any value, the first few kinds are enough; of what is no text one, as a mark.
    fit = list(itertools.islice(usable(tuple(kinds), valid), (_BESIDE if texts else 1) if lenient else None))
    if not fit and (native is None or (limits.validated and asked and not taken)):
        raise Unsolvable("its validators take nothing that is known: give a strategy for it")
    found = [native] if native is not None and (lenient or not fit) else []
    if fit and (texts or not found):
        found.append(one_of(fit))
    made = st.one_of(*(one.filter(valid) if limits.validated else one for one in found))
    return Leaf(made, recognisable(fit, limits).make if fit else None)


def recognisable(kinds: Sequence[Kind], limits: Limits) -> Kind:
    """The first kind that is known again: what becomes of its values is unlike each other, and no short text."""
    return next((one for one in kinds if _is_known_again([limits.seen(one.make(n)) for n in SAMPLES])), kinds[0])


def _is_known_again(values: Sequence[Any]) -> bool:
    texts = [texts_of(one) for one in values]
    return all(texts) and len(set(texts)) == len(texts)


_BESIDE: Final = 12

NUMBERS: Final = st.integers(0, 2**16 - 1).map(functools.partial(number_of, "drawn"))
"""Numbers that kinds of values are made from, each unlike the one before."""


def one_of(kinds: Sequence[Kind]) -> st.SearchStrategy[Any]:
    """Values of these kinds."""
    return st.builds(lambda kind, n: kind.make(n), st.sampled_from(kinds), NUMBERS)
