"""Whether two runs that differ do so because of what was changed, or because no two runs are alike.

A leak is said to be one only where equal runs are equal, again and again, and different ones different.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from purposeguard.testing._runs import Outcome

_FIRST: Final = 7
"""How often both runs are repeated before the first accusation of a test."""

_LATER: Final = 2
"""How often afterwards, while it is made smaller."""


_UNSEEN: Final = 4
"""How often values that never were are tried, which take longer to make."""

_DICE: Final = random.Random(1)  # noqa: S311  # no secret; and the application's own numbers stay as they are


@dataclass(frozen=True)
class Leak:
    """Two outcomes that differ because of what was changed.

    `remembered`: only a value that was never seen before makes a difference, so something keeps what it saw.
    """

    before: Outcome
    after: Outcome
    remembered: bool = False


@dataclass(frozen=True)
class Unstable:
    """Two outcomes of equal runs that differ. `first`: only the first of them did."""

    one: Outcome
    other: Outcome


@dataclass
class Judge:
    """Knows what a test's runs have been like so far."""

    ordered: bool = True
    """Whether the order of effects is looked at; not once it was seen that threads run as they like."""
    repeats: int = _FIRST
    _held: list[Any] = field(default_factory=list[Any])

    def same(self, one: Outcome, other: Outcome) -> bool:
        """Whether nobody could tell two outcomes apart."""
        return one.key(ordered=self.ordered) == other.key(ordered=self.ordered)

    def judge(
        self,
        before: Outcome,
        after: Outcome,
        again: Callable[[], Outcome | None],
        other: Callable[[], Outcome | None],
        unseen: Callable[[], Outcome | None],
    ) -> Leak | Unstable | None:
        """What it means that `after` differs from `before`; None: nothing.

        `again` repeats the first run, `other` the second; `unseen` is a run with values that there never were before.
        """
        befores, afters = [before], [after]
        for _ in range(self.repeats):
            self._stir()
            for runs, run in ((befores, again), (afters, other)):
                found = run()
                if found is not None:
                    runs.append(found)
        self._held.clear()
        verdict = self._verdict(befores, afters, again, unseen)
        if isinstance(verdict, Unstable) and self.ordered and any(one.is_shared for one in (*befores, *afters)):
            self.ordered = False
            verdict = None if self.same(before, after) else self._verdict(befores, afters, again, unseen)
        if isinstance(verdict, Leak):
            self.repeats = _LATER
        return verdict

    def remembers(
        self, usual: Outcome, again: Callable[[], Outcome | None], unseen: Callable[[], Outcome | None]
    ) -> Leak | None:
        """Whether values that never were make a difference, beside what is usual by now; None where all is chance."""
        never = unseen()
        found = None if never is None or self.same(never, usual) else self._remembered(usual, never, again, unseen)
        return found if isinstance(found, Leak) else None

    def _verdict(
        self,
        befores: list[Outcome],
        afters: list[Outcome],
        again: Callable[[], Outcome | None],
        unseen: Callable[[], Outcome | None],
    ) -> Leak | Unstable | None:
        before, *later_befores = befores
        after, *later_afters = afters
        # The first run may find things as no later one does.
        unstable = self._unstable(later_befores) or self._unstable(later_afters)
        if unstable is not None or not later_befores or not later_afters:
            return unstable
        usual, changed = later_befores[0], later_afters[0]
        if not self.same(usual, changed):
            if self.same(before, usual) and self.same(after, changed):
                return Leak(before, after)
            return Leak(usual, changed)
        if self.same(after, usual):
            return None  # the very first run alone was another: something was set up in it
        return self._remembered(usual, after, again, unseen)

    def _unstable(self, runs: list[Outcome]) -> Unstable | None:
        """Two of these equal runs, where they differ."""
        return next((Unstable(runs[0], one) for one in runs[1:] if not self.same(runs[0], one)), None)

    def _remembered(
        self,
        usual: Outcome,
        after: Outcome,
        again: Callable[[], Outcome | None],
        unseen: Callable[[], Outcome | None],
    ) -> Leak | Unstable:
        """What was run before makes no difference any more. Does that which never was?"""
        for _ in range(min(self.repeats, _UNSEEN)):
            never, known = unseen(), again()
            if known is not None and not self.same(known, usual):
                return Unstable(usual, known)
            if never is not None and self.same(never, usual):
                return Unstable(after, usual)
        return Leak(usual, after, remembered=True)

    def _stir(self) -> None:
        """Moves what is made next to other places in memory: an order that hangs on addresses shows by changing."""
        self._held = [bytes(_DICE.randrange(1, 400)) for _ in range(100)] + [object() for _ in range(100)]
        _DICE.shuffle(self._held)
        del self._held[::2]
