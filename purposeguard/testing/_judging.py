"""Decides whether two runs differ because of the changed fields, and lists the differences.

A leak is reported only if repeated runs with equal values agree, and runs with different values differ.
"""

from __future__ import annotations

import collections
import difflib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from purposeguard.testing._runs import Outcome
from purposeguard.testing._shown import Lines
from purposeguard.testing.effects import Effect

_FIRST: Final = 7
"""Repetitions of both runs before a test first fails."""

_LATER: Final = 2
"""Repetitions afterwards, while hypothesis shrinks the example."""

_UNSEEN: Final = 4
"""Runs with unseen values, which take longer to make."""

_DICE: Final = random.Random(1)  # noqa: S311  # no secret; separate from the application's generator


@dataclass(frozen=True)
class Leak:
    """Two outcomes that differ because of the changed fields.

    `remembered`: only values never seen before make a difference, so the code keeps what it saw.
    """

    before: Outcome
    after: Outcome
    remembered: bool = False


@dataclass(frozen=True)
class Unstable:
    """Two outcomes of runs with equal values that differ."""

    first: Outcome
    other: Outcome


@dataclass
class Judge:
    """Compares the runs of one test."""

    ordered: bool = True
    """Whether the order of effects counts; False once threads were seen to reorder them."""
    repeats: int = _FIRST
    _held: list[Any] = field(default_factory=list[Any])

    def same(self, first: Outcome, other: Outcome) -> bool:
        """True if two outcomes are indistinguishable."""
        return first.key(ordered=self.ordered) == other.key(ordered=self.ordered)

    def judge(
        self,
        before: Outcome,
        after: Outcome,
        again: Callable[[], Outcome | None],
        other: Callable[[], Outcome | None],
        unseen: Callable[[], Outcome | None],
    ) -> Leak | Unstable | None:
        """Why `after` differs from `before`: a leak, unstable runs, or None if the first run only set something up.

        `again` repeats the first run, `other` the second; `unseen` runs with values never used before.
        """
        befores, afters = [before], [after]
        for _ in range(self.repeats):
            self._stir()
            for runs, run in ((befores, again), (afters, other)):
                outcome = run()
                if outcome is not None:
                    runs.append(outcome)
        self._held.clear()
        verdict = self._verdict(befores, afters, again, unseen)
        if isinstance(verdict, Unstable) and self.ordered and any(each.is_shared for each in (*befores, *afters)):
            self.ordered = False
            verdict = None if self.same(before, after) else self._verdict(befores, afters, again, unseen)
        if isinstance(verdict, Leak):
            self.repeats = _LATER
        return verdict

    def remembers(
        self, usual: Outcome, again: Callable[[], Outcome | None], unseen: Callable[[], Outcome | None]
    ) -> Leak | None:
        """A leak if values never used before make a difference to the usual outcome; else None."""
        never = unseen()
        verdict = None if never is None or self.same(never, usual) else self._remembered(usual, never, again, unseen)
        return verdict if isinstance(verdict, Leak) else None

    def _verdict(
        self,
        befores: list[Outcome],
        afters: list[Outcome],
        again: Callable[[], Outcome | None],
        unseen: Callable[[], Outcome | None],
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
        return self._remembered(usual, after, again, unseen)

    def _unstable(self, runs: list[Outcome]) -> Unstable | None:
        """Two of these runs with equal values that differ, if any do."""
        return next((Unstable(runs[0], run) for run in runs[1:] if not self.same(runs[0], run)), None)

    def _remembered(
        self,
        usual: Outcome,
        after: Outcome,
        again: Callable[[], Outcome | None],
        unseen: Callable[[], Outcome | None],
    ) -> Leak | Unstable:
        """Values already used make no difference any more; tries whether unseen ones do."""
        for _ in range(min(self.repeats, _UNSEEN)):
            never, known = unseen(), again()
            if known is not None and not self.same(known, usual):
                return Unstable(usual, known)
            if never is not None and self.same(never, usual):
                return Unstable(after, usual)
        return Leak(usual, after, remembered=True)

    def _stir(self) -> None:
        """Shifts later allocations in memory, so that an order that depends on addresses changes."""
        self._held = [bytes(_DICE.randrange(1, 400)) for _ in range(100)] + [object() for _ in range(100)]
        _DICE.shuffle(self._held)
        del self._held[::2]


_SHOWN = 60
"""Characters shown of a text."""

_LEAD = 24
"""The most of them before the first difference."""


@dataclass(frozen=True)
class Difference:
    """One difference: what differs, and its text in either run; None if absent there."""

    what: str
    before: str | None
    after: str | None

    def texts(self) -> tuple[str, str]:
        """A line for each run, with the texts shortened to where they differ."""
        if self.before is None or self.after is None:
            return (
                f"no {self.what}" if self.before is None else f"{self.what}: {shortened(self.before)}",
                f"no {self.what}" if self.after is None else f"{self.what}: {shortened(self.after)}",
            )
        before, after = excerpts(self.before, self.after)
        return f"{self.what}: {before}", f"{self.what}: {after}"


def shortened(text: str, start: int = 0) -> str:
    """An excerpt of a text on one line, from about `start`."""
    text = text.replace("\n", "\\n")
    start = max(0, start - _LEAD)
    if len(text) - start <= _SHOWN:
        start = max(0, len(text) - _SHOWN)
    end = min(len(text), start + _SHOWN)
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def excerpts(first: str, other: str) -> tuple[str, str]:
    """Excerpts of two texts where they differ."""
    same = 0
    for mine, theirs in zip(first, other, strict=False):
        if mine != theirs:
            break
        same += 1
    return shortened(first, same), shortened(other, same)


def differences(before: Outcome, after: Outcome, *, ordered: bool) -> list[Difference]:
    """All differences: result, error, then effects in their order."""
    return [
        *([] if (before.error is None) is not (after.error is None) else _of_lines(before.result, after.result)),
        *([] if before.error == after.error else [Difference("error", before.error, after.error)]),
        *_of_effects(before.effects, after.effects, ordered=ordered),
    ]


def _of_lines(before: Lines, after: Lines) -> Iterator[Difference]:
    if before == after:
        return
    if [path for path, _ in before] == [path for path, _ in after]:
        for (path, text), (_, other) in zip(before, after, strict=True):
            if text != other:
                yield Difference(_result(path), text, other)
        return
    theirs = dict(after)
    for path, text in before:
        if theirs.get(path) != text:
            yield Difference(_result(path), text, theirs.get(path))
            return
    added = next((line for line in after if line not in before), None)
    if added is not None:
        yield Difference(_result(added[0]), None, added[1])
        return
    (path, text), (at, other) = next(pair for pair in zip(before, after, strict=False) if pair[0] != pair[1])
    yield Difference("result (the same, in another order)", f"{_result(path)}: {text}", f"{_result(at)}: {other}")


def _result(path: str) -> str:
    return f"result{path}" if path else "result"


def _of_effects(before: tuple[Effect, ...], after: tuple[Effect, ...], *, ordered: bool) -> Iterator[Difference]:
    if before == after:
        return
    fewer = collections.Counter(before) - collections.Counter(after)
    more = collections.Counter(after) - collections.Counter(before)
    if not fewer and not more:
        if ordered:
            yield from _of_order(before, after)
        return
    mine = [effect for effect in before if effect in fewer]
    others = [effect for effect in after if effect in more]
    matcher = difflib.SequenceMatcher(
        None, [_kind(effect) for effect in mine], [_kind(effect) for effect in others], autojunk=False
    )
    for what, first, last, start, end in matcher.get_opcodes():
        if what == "equal":
            for effect, other in zip(mine[first:last], others[start:end], strict=True):
                yield _of_two(effect, other)
            continue
        yield from (Difference(effect.title, _summary(effect), None) for effect in mine[first:last])
        yield from (Difference(effect.title, None, _summary(effect)) for effect in others[start:end])


def _kind(effect: Effect) -> tuple[str, str]:
    return effect.kind, effect.name


def _of_order(before: tuple[Effect, ...], after: tuple[Effect, ...]) -> Iterator[Difference]:
    for number, (effect, other) in enumerate(zip(before, after, strict=True), 1):
        if effect != other:
            yield Difference(f"effect {number} (the same ones, in another order)", _named(effect), _named(other))
            return


def _named(effect: Effect) -> str:
    return f"{effect.title}, {_summary(effect)}"


def _of_two(effect: Effect, other: Effect) -> Difference:
    theirs = dict(other.parts)
    for what, text in effect.parts:
        if theirs.get(what) != text:
            return Difference(f"{effect.title}, {what}", text, theirs.get(what))
    added = next((part for part in other.parts if part not in effect.parts), None)
    if added is not None:
        return Difference(f"{effect.title}, {added[0]}", None, added[1])
    orders = (", ".join(what for what, _ in parts) for parts in (effect.parts, other.parts))
    return Difference(f"{effect.title} (the same, in another order)", *orders)


def _summary(effect: Effect) -> str:
    """The first texts of an effect, on one line."""
    return "; ".join(text for _, text in effect.parts[:3] if text)
