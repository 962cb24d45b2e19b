"""Which rows of a frame are kept: the ones that the core permits, asked one by one; by every engine."""

from __future__ import annotations

import contextlib
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from purposeguard import ChannelViolation
from purposeguard.adapters.duckdb import rows as duckdb_rows
from purposeguard.adapters.enforcement import Decider
from purposeguard.adapters.frames import Frames
from purposeguard.adapters.tags import Columns, Tag
from tests.adapters.frames.kinds import KINDS, NUMBER, Held, Maker, as_held, content
from tests.adapters.worlds import World, worlds

holdings = st.builds(Held, categories=st.booleans(), numbers=st.booleans(), moments=st.booleans())


def _compare(world: World, held: Held, kinds: dict[str, Maker]) -> None:
    """The same rows and columns, whatever the engine and however the columns are held."""
    world.rows = as_held(world.columns, world.rows, held)
    tags = Columns({NUMBER: Tag(), **world.columns})
    frames, decider = Frames(world.guard), Decider(world.guard)
    with contextlib.ExitStack() as stack:
        try:
            use = stack.enter_context(world.using())
        except ChannelViolation:
            return
        refused = decider.find_denied_columns(use, world.columns, list(world.columns))
        names = [name for name in world.columns if name not in refused]
        expected = world.permitted(use, names)
        places = [place for place, row in enumerate(world.rows) if any(row is one for one in expected)]
        event(f"kept {'all' if len(places) == len(world.rows) else 'some' if places else 'none'}")
        for kind, make in kinds.items():
            frame = make(world.columns, world.rows, held)
            left = frames.permitted(frame, tags, withhold=True)
            assert type(left) is type(frame), kind
            table = content(left)
            assert set(table.column_names) == {NUMBER, *names}, kind
            assert table.column(NUMBER).to_pylist() == places, kind


@given(world=worlds(), held=holdings)
def test_every_engine_keeps_the_rows_that_the_core_permits_one_by_one(world: World, held: Held) -> None:
    _compare(world, held, KINDS)


@given(world=worlds(), held=holdings)
@settings(max_examples=settings().max_examples // 2)
def test_many_subjects_are_asked_for_in_another_way_and_with_the_same_answers(world: World, held: Held) -> None:
    with mock.patch.object(duckdb_rows, "MAX_INLINE_KEYS", 0):
        _compare(world, held, KINDS)


@pytest.mark.deep
@given(world=worlds(rows=40), held=holdings)
def test_every_engine_keeps_the_rows_that_the_core_permits_in_many_worlds(world: World, held: Held) -> None:
    _compare(world, held, KINDS)


@given(world=worlds(), held=holdings)
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_spark_keeps_the_rows_that_the_core_permits_one_by_one(spark: Any, world: World, held: Held) -> None:
    held = Held(numbers=held.numbers, moments=held.moments)  # Spark has no categories

    def frame(columns: Columns, rows: Any, held: Held) -> Any:
        return spark.createDataFrame(KINDS["arrow"](columns, rows, held))

    _compare_spark(world, held, frame)


def _compare_spark(world: World, held: Held, make: Maker) -> None:
    world.rows = as_held(world.columns, world.rows, held)
    tags = Columns({NUMBER: Tag(), **world.columns})
    with contextlib.ExitStack() as stack:
        try:
            use = stack.enter_context(world.using())
        except ChannelViolation:
            return
        refused = Decider(world.guard).find_denied_columns(use, world.columns, list(world.columns))
        names = [name for name in world.columns if name not in refused]
        expected = world.permitted(use, names)
        left = Frames(world.guard).permitted(make(world.columns, world.rows, held), tags, withhold=True)
        places = [place for place, row in enumerate(world.rows) if any(row is one for one in expected)]
        assert sorted(row[NUMBER] for row in left.collect()) == places
