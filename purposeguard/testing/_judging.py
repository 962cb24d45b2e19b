"""Decides whether two runs differ because of the changed fields.

A leak is reported only if repeated runs with equal values agree, and runs with different values differ. The first run
with each values does not count where it differs from its repetitions, because it may set up what later runs find.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from purposeguard.testing._runs import RunOutcome

MAX_FIRST_REPETITIONS: Final = 7
"""Repetitions of both runs before a test first fails."""

MAX_LATER_REPETITIONS: Final = 2
"""Repetitions afterwards, while hypothesis shrinks the example."""

MAX_UNSEEN_RUNS: Final = 4
"""Runs with unseen values, which take longer to make."""

_DICE: Final = random.Random(1)  # noqa: S311  # no secret; separate from the application's generator


@dataclass(frozen=True)
class Leak:
    """Two outcomes that differ because of the changed fields.

    `remembered`: only values never seen before make a difference, so the code keeps what it saw.
    """

    before: RunOutcome
    after: RunOutcome
    remembered: bool = False


@dataclass(frozen=True)
class Unstable:
    """Two outcomes of runs with equal values that differ."""

    first: RunOutcome
    other: RunOutcome


@dataclass
class Judge:
    """Compares the runs of one test."""

    ordered: bool = True
    """Whether the order of effects counts; False once threads were seen to reorder them."""
    repeats: int = MAX_FIRST_REPETITIONS
    _held: list[Any] = field(default_factory=list[Any])

    def same(self, first: RunOutcome, other: RunOutcome) -> bool:
        """Return True if two outcomes are indistinguishable."""
        return first.key(ordered=self.ordered) == other.key(ordered=self.ordered)

    def judge(
        self,
        before: RunOutcome,
        after: RunOutcome,
        rerun_before: Callable[[], RunOutcome | None],
        rerun_after: Callable[[], RunOutcome | None],
        run_unseen: Callable[[], RunOutcome | None],
    ) -> Leak | Unstable | None:
        """Explain why `after` differs from `before`.

        Returns a leak, unstable runs, or None if the first run only set something up.

        `rerun_before` repeats the first run, `rerun_after` the second; `run_unseen` runs with values never used before.
        """
        befores, afters = [before], [after]
        for _ in range(self.repeats):
            self._stir()
            for runs, run in ((befores, rerun_before), (afters, rerun_after)):
                outcome = run()
                if outcome is not None:
                    runs.append(outcome)
        self._held.clear()
        verdict = self._verdict(befores, afters, rerun_before, run_unseen)
        if isinstance(verdict, Unstable) and self.ordered and any(each.is_shared for each in (*befores, *afters)):
            self.ordered = False
            verdict = None if self.same(before, after) else self._verdict(befores, afters, rerun_before, run_unseen)
        if isinstance(verdict, Leak):
            self.repeats = MAX_LATER_REPETITIONS
        return verdict

    def remembers(
        self,
        usual: RunOutcome,
        rerun_before: Callable[[], RunOutcome | None],
        run_unseen: Callable[[], RunOutcome | None],
    ) -> Leak | None:
        """Return a leak if values never used before make a difference to the usual outcome; else None."""
        never = run_unseen()
        verdict = (
            None
            if never is None or self.same(never, usual)
            else self._check_remembering(usual, never, rerun_before, run_unseen)
        )
        return verdict if isinstance(verdict, Leak) else None

    def _verdict(
        self,
        befores: list[RunOutcome],
        afters: list[RunOutcome],
        rerun_before: Callable[[], RunOutcome | None],
        run_unseen: Callable[[], RunOutcome | None],
    ) -> Leak | Unstable | None:
        before, *later_befores = befores
        after, *later_afters = afters
        # The first run is left out: it may set up what later ones find.
        unstable = self._unstable(later_befores) or self._unstable(later_afters)
        if unstable is not None or not later_befores or not later_afters:
            return unstable
        usual, changed = later_befores[0], later_afters[0]
        if not self.same(usual, changed):
            if self.same(before, usual) and self.same(after, changed):
                return Leak(before, after)
            return Leak(usual, changed)
        if self.same(after, usual):
            return None  # only the very first run differs: it set something up
        return self._check_remembering(usual, after, rerun_before, run_unseen)

    def _unstable(self, runs: list[RunOutcome]) -> Unstable | None:
        """Return the first two of these runs that differ although their values are equal; None if all agree."""
        for run in runs[1:]:
            if not self.same(runs[0], run):
                return Unstable(runs[0], run)
        return None

    def _check_remembering(
        self,
        usual: RunOutcome,
        after: RunOutcome,
        rerun_before: Callable[[], RunOutcome | None],
        run_unseen: Callable[[], RunOutcome | None],
    ) -> Leak | Unstable:
        """Check whether unseen values make a difference, as values that were used already no longer do."""
        for _ in range(min(self.repeats, MAX_UNSEEN_RUNS)):
            unseen_outcome, repeated = run_unseen(), rerun_before()
            if repeated is not None and not self.same(repeated, usual):
                return Unstable(usual, repeated)
            if unseen_outcome is not None and self.same(unseen_outcome, usual):
                return Unstable(after, usual)
        return Leak(usual, after, remembered=True)

    def _stir(self) -> None:
        """Shift later allocations in memory, so that an order that depends on addresses changes."""
        self._held = [bytes(_DICE.randrange(1, 400)) for _ in range(100)] + [object() for _ in range(100)]
        _DICE.shuffle(self._held)
        del self._held[::2]
