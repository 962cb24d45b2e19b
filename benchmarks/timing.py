"""Timing small things: unrolled loops, taken in turn, from varied stack depths, in a clean context each.

Two cases are compared by blocks that lie side by side in time, so that whatever slows the machine slows both. Of the
blocks of one process the fastest counts (nothing but the code itself makes a block faster); processes are compared by
their median, since where things lie in memory, and how they hash, differs from process to process.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import statistics
import timeit
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

UNROLLED = 10
"""Statements a turn of the loop, so that the loop itself does not count."""

DEPTHS = 61
"""Stack depths that blocks start at. At an unlucky one CPython makes and drops a chunk of stack at every call."""

Times = dict[str, float]
"""Case → nanoseconds."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A statement to be timed, or several that are timed as one, each as often as the others.

    `within` is entered before, in the context of the case; what it gives is called `use` in the statement.
    """

    name: str
    statement: str | Sequence[str]
    names: Mapping[str, object]
    within: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    of: int = 1
    """How many of the things that the case is about one statement does."""

    @property
    def body(self) -> list[str]:
        lines = [self.statement] if isinstance(self.statement, str) else list(self.statement)
        return lines * -(-UNROLLED // (len(lines) * self.of))


class Runner:
    """A case ready to be timed: calibrated, and in a context of its own, in which `within` has been entered."""

    def __init__(self, case: Case, block: float) -> None:
        self.case = case
        self.context = contextvars.Context()
        self.within = case.within()
        names = {**case.names, "use": self.context.run(self.within.__enter__)}
        self.timer = timeit.Timer("\n".join(case.body), globals=names)
        self.number = self._calibrate(block)

    def _calibrate(self, block: float) -> int:
        number = 1
        while (took := self.context.run(self.timer.timeit, number)) < block / 4:
            number *= 4
        return max(1, round(number * block / took))

    def nanoseconds(self, depth: int) -> float:
        seconds: float = self.context.run(at_depth, depth, self.timer.timeit, self.number)
        return seconds / self.number / len(self.case.body) / self.case.of * 1e9


def at_depth(depth: int, call: Callable[[int], float], argument: int) -> float:
    return call(argument) if depth == 0 else at_depth(depth - 1, call, argument)


def race(cases: Iterable[Case], *, blocks: int, block: float = 0.002) -> Times:
    """Return the fastest of `blocks` blocks of about `block` seconds of each case, taken in turn."""
    runners = [Runner(case, block) for case in cases]
    best: Times = {runner.case.name: float("inf") for runner in runners}
    for number in range(blocks):
        # Each second round backwards, so that no case always runs behind the same other.
        for runner in runners if number % 2 else reversed(runners):
            name = runner.case.name
            best[name] = min(best[name], runner.nanoseconds(number * 7 % DEPTHS))
    return best


@dataclasses.dataclass(frozen=True)
class Figure:
    """One value from several processes: the median, and how far they lie apart."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Return the median and the quartiles; of fewer than four values, the extremes."""
        ordered = sorted(values)
        if len(ordered) < 4:
            return cls(statistics.median(ordered), ordered[0], ordered[-1])
        low, _, high = statistics.quantiles(ordered, n=4, method="inclusive")
        return cls(statistics.median(ordered), low, high)


def figure(runs: Sequence[Times], name: str) -> Figure:
    return Figure.of([run[name] for run in runs])


def ratio(runs: Sequence[Times], name: str, floor: str) -> Figure:
    """Return the median, over processes, of the ratio of the case to its floor."""
    return Figure.of([run[name] / run[floor] for run in runs])
