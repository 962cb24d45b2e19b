"""Timing what takes milliseconds: cases in turn, so that what slows the machine slows all; of each the fastest run."""

from __future__ import annotations

import dataclasses
import gc
import statistics
import time
from collections.abc import Callable, Mapping

from benchmarks.table import amount, markdown


@dataclasses.dataclass(frozen=True)
class TimedRow:
    """What was measured, in nanoseconds: against what it is compared, and how often that it may take (`limit`).

    Without `against`, `limit` is what it may take itself.
    """

    what: str
    takes: float
    against: str = ""
    floor: float | None = None
    limit: float | None = None
    middle: float | None = None
    """The ratio, where it was taken pair by pair."""

    @property
    def ratio(self) -> float | None:
        if self.middle is not None:
            return self.middle
        return None if self.floor is None else self.takes / self.floor

    @property
    def met(self) -> bool | None:
        if self.limit is None:
            return None
        return (self.takes if self.ratio is None else self.ratio) <= self.limit

    def line(self) -> list[str]:
        target = ""
        if self.limit is not None:
            target = f"≤ {amount(self.limit)}" if self.ratio is None else f"≤ {self.limit:g} ×"
        floor = "" if self.floor is None else f"{amount(self.floor)}, {self.against}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        met = {None: "", True: "yes", False: "no"}[self.met]
        return [self.what, amount(self.takes), floor, ratio, target, met]


HEAD = ("what", "takes", "against, in the same run", "ratio", "target", "met")


def table(rows: list[TimedRow]) -> str:
    return markdown(HEAD, list(map(TimedRow.line, rows)))


def time_alternately(cases: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the fastest of several runs of each case, in nanoseconds. A first run of each does not count."""
    fastest = dict.fromkeys(cases, float("inf"))
    for number in range(rounds + 1):
        for name, call in cases.items():
            gc.collect()
            began = time.perf_counter_ns()
            result = call()
            took = time.perf_counter_ns() - began
            del result
            if number:
                fastest[name] = min(fastest[name], took)
    return fastest


def time_pairs(
    floor: Callable[[], object],
    ours: Callable[[], object],
    rounds: int,
    now_ns: Callable[[], int] = time.perf_counter_ns,
) -> tuple[float, float, float]:
    """Return the medians of both run times, in nanoseconds of a clock, and of the ratios of neighboring runs.

    For what takes less than a hundred milliseconds: there the fastest run of many is a stroke of luck.
    """
    both = {"floor": floor, "ours": ours}
    took: dict[str, list[int]] = {name: [] for name in both}
    for number in range(rounds + 5):
        for name in sorted(both, reverse=bool(number % 2)):
            began = now_ns()
            result = both[name]()
            now = now_ns()
            del result
            if number >= 5:
                took[name].append(now - began)
    ratios = [ours / floor for floor, ours in zip(took["floor"], took["ours"], strict=True)]
    return statistics.median(took["floor"]), statistics.median(took["ours"]), statistics.median(ratios)


def time_calls(call: Callable[[], object], blocks: int = 400, times: int = 10) -> float:
    """Return the fastest of many short blocks, in nanoseconds a call."""
    best = float("inf")
    for _ in range(blocks):
        began = time.perf_counter_ns()
        for _ in range(times):
            call()
        best = min(best, (time.perf_counter_ns() - began) / times)
    return best
