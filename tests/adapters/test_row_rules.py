"""Row rules: what they say of a row is what the core says of it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import event, given, settings

from purposeguard import ChannelViolation, PurposeViolation
from purposeguard.adapters.enforcement import Decider
from purposeguard.adapters.row_rule import render_rule
from tests.adapters.plain_rows import PlainRows
from tests.adapters.worlds import World, worlds, worlds_of_two


def _compare(world: World) -> None:
    decider = Decider(world.guard)
    with contextlib.ExitStack() as stack:
        try:
            use = stack.enter_context(world.using())
        except ChannelViolation:
            event("the channel is refused")
            return
        refused = decider.find_denied_columns(use, world.columns, list(world.columns))
        names = [name for name in world.columns if name not in refused]
        expected = world.permitted(use, names)
        rule = decider.make_row_rule(use, world.columns, names)
        if rule is None:
            assert expected == world.rows
            event("no row is decided by itself")
            return
        test = render_rule(rule, PlainRows(world.guard.notice))
        kept = [row for row in world.rows if test(row)]
        assert kept == expected
        event(f"kept {'all' if len(kept) == len(world.rows) else 'some' if kept else 'none'}")
        event(f"branches: {min(sum(len(zone.branches) for zone in rule.zones), 5)}")
        demand = decider.demand({"t": (world.columns, names)}, narrowed={"t"})
        decider.check_demand(demand, rules={"t": rule})
        for name in refused:  # what may never be used is refused in every row
            assert not world.permitted(use, [name])
            with pytest.raises(PurposeViolation):
                decider.check_demand(decider.demand({"t": (world.columns, [name])}, narrowed={"t"}))


@given(world=worlds())
@settings(max_examples=settings().max_examples * 3)
def test_a_rule_keeps_the_rows_that_the_core_permits_one_by_one(world: World) -> None:
    _compare(world)


@given(world=worlds_of_two())
@settings(max_examples=settings().max_examples * 2)
def test_a_rule_over_two_notices_keeps_the_rows_that_the_core_permits_one_by_one(world: World) -> None:
    _compare(world)


@pytest.mark.deep
@given(world=worlds(rows=40) | worlds_of_two(rows=40))
def test_a_rule_keeps_the_rows_that_the_core_permits_one_by_one_in_many_worlds(world: World) -> None:
    _compare(world)
