"""Which rows a statement reads: those that the core permits, asked one by one, in generated worlds."""

from __future__ import annotations

import contextlib
from unittest import mock

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from purposeguard import ChannelViolation, NotPersonal, PurposeViolation
from purposeguard.adapters.duckdb import connect, rows
from purposeguard.adapters.enforcement import Decider
from purposeguard.adapters.tags import Columns, Tag
from tests.adapters.frames.kinds import KINDS, NUMBER, Held, as_held
from tests.adapters.worlds import World, worlds

TEXTS = (
    "SELECT {number}, {names} FROM t ORDER BY 1",
    "SELECT n AS {number}, {names} FROM (SELECT {number} AS n, * FROM v) AS x WHERE n >= 0 ORDER BY 1",
    "WITH c AS (SELECT * FROM t) SELECT {number}, {names} FROM c ORDER BY {number}",
)


def _compare(world: World, held: Held, data: st.DataObject) -> None:
    world.rows = as_held(world.columns, world.rows, held)
    tags = Columns({NUMBER: Tag(), **world.columns})
    table = KINDS["arrow"](world.columns, world.rows, held)
    decider = Decider(world.guard)
    with contextlib.ExitStack() as stack:
        try:
            use = stack.enter_context(world.using())
        except ChannelViolation:
            return
        connection = stack.enter_context(
            connect(world.guard, {"t": table}, tags={"t": tags}, views={"v": "SELECT * FROM t"})
        )
        refused = decider.find_denied_columns(use, world.columns, list(world.columns))
        names = data.draw(st.lists(st.sampled_from(list(world.columns)), min_size=1, unique=True))
        text = data.draw(st.sampled_from(TEXTS))
        written = text.format(number=NUMBER, names=", ".join(f'"{name}"' for name in names))
        if refused.keys() & set(names):
            event("refused")
            with pytest.raises(PurposeViolation):
                connection.sql(written)
            return
        expected = world.permitted(use, names)
        places = [place for place, row in enumerate(world.rows) if any(row is one for one in expected)]
        event(f"kept {'all' if len(places) == len(world.rows) else 'some' if places else 'none'}")
        found = connection.sql(written)
        assert [row[0] for row in found.fetchall()] == places
        for name in names:
            assert world.columns[name].label.sources - {NotPersonal} <= found.labels[name].sources


holdings = st.builds(Held, categories=st.booleans(), numbers=st.booleans(), moments=st.booleans())


@given(world=worlds(), held=holdings, data=st.data())
@settings(max_examples=settings().max_examples // 3)
def test_a_statement_reads_the_rows_that_the_core_permits_one_by_one(
    world: World, held: Held, data: st.DataObject
) -> None:
    _compare(world, held, data)


@given(world=worlds(), held=holdings, data=st.data())
@settings(max_examples=settings().max_examples // 6)
def test_many_subjects_are_asked_for_by_a_table_of_their_ids(world: World, held: Held, data: st.DataObject) -> None:
    with mock.patch.object(rows, "MAX_INLINE_KEYS", 0):
        _compare(world, held, data)
