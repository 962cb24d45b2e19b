"""Invariant: what a guard's cache answers is what the access function itself would answer here and now."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purposeguard import Guard, PurposeMissing
from purposeguard.testing.strategies import declarable
from tests import support
from tests.support import Revisions, outcome


class Reading:
    """The same access functions with a cache and without; `runs` says how often a body ran."""

    def __init__(self, guard: Guard, tags: list[Any]) -> None:
        fields = [(f"field{number}", Annotated[str, tag]) for number, tag in enumerate(tags)]
        row: Any = dataclasses.make_dataclass("Row", [("key", int), *fields])
        self.runs = 0

        def read(key: int) -> object:
            self.runs += 1
            return row(key, *(f"{key}-{number}" for number in range(len(tags))))

        async def read_async(key: int) -> object:
            await asyncio.sleep(0)
            return read(key)

        read.__annotations__["return"] = read_async.__annotations__["return"] = row
        self.pairs: list[tuple[Any, Any]] = []
        for access in (guard.access, guard.access(*tags[:1]), guard.access(withhold=True)):
            for fn in (read, read_async):
                plain: Any = access(fn)
                self.pairs.append((plain, guard.cached()(plain)))

    def same(self, pair: tuple[Any, Any], key: int) -> object:
        """What comes of reading, once it is seen that the cache says so too, and answers the second time unasked."""
        plain, cached = (partial(_called, fn, key) for fn in pair)
        expected = outcome(plain)
        assert outcome(cached) == expected
        before = self.runs
        assert outcome(cached) == expected
        assert self.runs == before
        return expected


def _called(fn: Callable[[int], Any], key: int) -> object:
    return asyncio.run(fn(key)) if asyncio.iscoroutinefunction(fn) else fn(key)


@settings(max_examples=30)
@given(data=st.data(), revisions=support.revisions())
def test_cache_equals_no_cache(data: st.DataObject, revisions: Revisions) -> None:
    guard = Guard(revisions[0])
    tags = data.draw(st.lists(st.sampled_from(revisions[0].sources), min_size=1, max_size=3))
    reading = Reading(guard, tags)
    ways = [way for way in declarable(guard) if way in declarable(Guard(revisions[1]))]
    chosen = data.draw(st.lists(st.sampled_from(ways), max_size=4, unique=True)) if ways else []
    # Activities are declared once, and outlive revisions.
    blocks = [
        guard.purpose(purpose, channel=channel, activity=name)
        for (purpose, channel), name in itertools.product(chosen, ["one", "another"])
    ]
    # The same key is read within each, in any order: whatever is kept for one is there for the next.
    for notice in (*revisions, revisions[0]):
        guard.replace(notice)
        for block in data.draw(st.permutations([*blocks, None])):
            for pair in reading.pairs:
                if block is None:
                    assert PurposeMissing in reading.same(pair, 7)  # type: ignore[operator]  # an error and its text
                else:
                    with block:
                        reading.same(pair, 7)


@pytest.mark.parametrize("pair", range(6))
def test_the_cache_does_keep_answers(pair: int) -> None:
    """Else the invariant would hold for nothing."""
    guard = Guard(support.crossed()[0])
    reading = Reading(guard, [guard.notice.source("1.1")])
    with guard.purpose("1.2①"):
        for key in (1, 2, 1, 2):
            reading.same(reading.pairs[pair], key)
    assert reading.runs == 4 + 2  # the plain one ran each time, the cached one once a key
