"""A day in a minute: what a service that runs for days holds, after warm-up and at the end.

`python -m benchmarks.memory` runs requests, classes that are made and dropped, and revisions that are replaced, in ten
rounds, and prints after each what the process holds. `--scale 1` is 10 million requests, 100,000 classes and 1,000
revisions; the default is a tenth. The first rounds are
warm-up. Flat is what neither resident size nor the number of
live objects grows by from there. If it is not flat, the types that grew are printed, with what refers to them.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import sys
import time
import typing
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import create_model
from typing_extensions import TypedDict

import purposeguard as pg
from benchmarks.notices import notice_tables
from benchmarks.subjects import resident

ROUNDS = 10
WARM_UP = 4
"""Rounds until caches are full."""

REQUESTS, CLASSES, REVISIONS = 10_000_000, 100_000, 1_000
DEFAULT_SCALE = 0.1

LABELS = 1_100
"""More than the labels that `Personal` keeps at hand (1,024)."""

MORE_BYTES = 2 * 2**20
"""Growth of the resident size that is still flat: arenas are given back late."""

MORE_OBJECTS = 500
"""Growth of the live objects that is still flat."""

SHOWN = 8
"""Types that are printed if it is not flat."""


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What the process holds at one moment."""

    size: int
    types: Counter[str]

    @classmethod
    def now(cls) -> Snapshot:
        for cleanup in getattr(typing, "_cleanups", ()):  # its caches hold `Annotated` of the last 128 classes
            cleanup()
        for _ in range(3):  # classes go in steps: what finalisers drop is found by the next collection
            gc.collect()
        return cls(resident(), Counter(name(type(object_)) for object_ in gc.get_objects()))

    @property
    def objects(self) -> int:
        return self.types.total()


def name(type_: type) -> str:
    return f"{type_.__module__}.{type_.__qualname__}"


def flat(warm: Snapshot, last: Snapshot) -> bool:
    return last.size - warm.size <= MORE_BYTES and last.objects - warm.objects <= MORE_OBJECTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rounds, print them, and return 0 if memory stays flat."""
    options = _parser().parse_args(arguments)
    parts = {"requests", "classes", "revisions"} - {options.without}
    held = []
    print("| round | requests | classes | revisions | resident | live objects | seconds |\n|" + " --- |" * 7)
    day = Day(options.scale, parts)
    if "revisions" in parts:
        day.fill()
    for number in range(ROUNDS):
        began = time.perf_counter()
        day.run()
        took = time.perf_counter() - began
        held.append(Snapshot.now())
        counts = f"{day.requests:,} | {day.classes:,} | {day.revisions:,}"
        size, objects = held[-1].size / 2**20, held[-1].objects
        print(f"| {number + 1} | {counts} | {size:.1f} MiB | {objects:,} | {took:.1f} |", flush=True)
    warm, last = held[WARM_UP - 1], held[-1]
    grown = (
        f"{(last.size - warm.size) / 2**20:+.1f} MiB, {last.objects - warm.objects:+,} objects since round {WARM_UP}"
    )
    if flat(warm, last):
        print(f"flat: {grown}")
        return 0
    print(f"not flat: {grown}")
    for line in _growth(warm, last):
        print(f"  {line}")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--scale", type=float, default=DEFAULT_SCALE, help="of a whole day (default: %(default)s)")
    parser.add_argument(
        "--without", choices=("requests", "classes", "revisions"), help="leave one part out, to see which one grows"
    )
    return parser


class Day:
    """Requests under one guard, as long as it lasts."""

    def __init__(self, scale: float, parts: set[str]) -> None:
        self._each: dict[str, int] = {}
        for part, whole in (("requests", REQUESTS), ("classes", CLASSES), ("revisions", REVISIONS)):
            self._each[part] = max(1, round(whole * scale / ROUNDS)) if part in parts else 0
        self.requests = self.classes = self.revisions = 0
        self._tables = notice_tables(40, 20)
        self._guard = pg.Guard(pg.Notice.parse(self._tables))
        self._source, self._purpose = self._guard.notice.sources[0], self._guard.notice.purposes[0]
        self._request = _request(self._guard, self._source, self._purpose)

    def fill(self) -> None:
        """Fill the cache of labels that seals are made under: it holds the sources of revisions that are gone."""
        for _ in range(LABELS):
            self._guard.replace(pg.Notice.parse(self._tables))
            pg.Personal("value", self._guard.notice.sources[0])
        self._replace_notice()

    def run(self) -> None:
        """Run one round of requests, and of classes and revisions between them."""
        steps = max(1, self._each["revisions"])
        for step in range(steps):
            if self._each["revisions"]:
                self._replace_notice()
            for _ in range(_share(self._each["classes"], step, steps)):
                self._use_new_class()
            request = self._request
            requests = _share(self._each["requests"], step, steps)
            for _ in range(requests):
                request()
            self.requests += requests

    def _replace_notice(self) -> None:
        """Read the same revision again, as a service does that reloads its notice."""
        self._guard.replace(pg.Notice.parse(self._tables))
        self._source, self._purpose = self._guard.notice.sources[0], self._guard.notice.purposes[0]
        self._request = _request(self._guard, self._source, self._purpose)
        self.revisions += 1

    def _use_new_class(self) -> None:
        """Make a model at run time, as for a report with any columns, read it under a purpose, and drop it."""
        other = self._guard.notice.sources[-1]
        made = KINDS[self.classes % len(KINDS)](self._source, other)
        with self._guard.purpose(self._purpose, activity="class") as use:
            use.withhold(made(number=1, name="a", other="b"), like=made)
        self.classes += 1


def _request(guard: pg.Guard, source: type[pg.Source], purpose: Any) -> Callable[[], None]:
    sealed = pg.Personal("value", source)

    @guard.access(source)
    def read() -> None:
        pass

    def request() -> None:
        with guard.purpose(purpose, activity="request") as use:
            read()
            use.open(sealed)

    return request


def _share(count: int, step: int, steps: int) -> int:
    return count * (step + 1) // steps - count * step // steps


def _fields(source: Any, other: Any) -> dict[str, Any]:
    return {"number": int, "name": Annotated[str, source], "other": Annotated[str, other]}


def _make_pydantic_model(source: Any, other: Any) -> Any:
    fields: dict[str, Any] = {field: (type_, ...) for field, type_ in _fields(source, other).items()}
    return create_model("Made", **fields)


def _make_dataclass(source: Any, other: Any) -> Any:
    return dataclasses.make_dataclass("Made", _fields(source, other).items())


def _make_typed_dict(source: Any, other: Any) -> Any:
    return TypedDict("Made", _fields(source, other))  # type: ignore[operator]  # made at run time


def _make_named_tuple(source: Any, other: Any) -> Any:
    return NamedTuple("Made", list(_fields(source, other).items()))


KINDS = (_make_pydantic_model, _make_dataclass, _make_typed_dict, _make_named_tuple)


def _growth(warm: Snapshot, last: Snapshot) -> Iterator[str]:
    """Yield the types that grew most, and what refers to the newest objects of each."""
    grown = (last.types - warm.types).most_common(SHOWN)
    objects = gc.get_objects()
    for type_, count in grown:
        newest = [object_ for object_ in objects if name(type(object_)) == type_][-20:]
        held_by: Counter[str] = Counter()
        for object_ in newest:
            for referrer in gc.get_referrers(object_):
                if referrer is not objects and referrer is not newest:
                    held_by[name(type(referrer))] += 1
        kinds = ", ".join(f"{kind} ({times})" for kind, times in held_by.most_common(4))
        yield f"{count:+,} {type_}; the newest {len(newest)} are referred to by: {kinds}"


if __name__ == "__main__":
    sys.exit(main())
