"""What no notice can bring about for sealed values, whatever it says: one test an invariant, named after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purposeguard import (
    Guard,
    Label,
    Notice,
    NotPersonal,
    Personal,
    PurposeMissing,
    PurposeViolation,
    Source,
    UnknownSource,
    UnlabelledData,
)
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing import strategies
from purposeguard.testing.strategies import declarable
from purposeguard.values.json import encode_sealed
from tests import generated
from tests.generated import notice_tables
from tests.generated.notice_tables import Tables
from tests.properties import seals
from tests.properties.test_invariants import stated

Ways = frozenset[tuple[str, str | None]]
ABSENT = object()


def may_open(guard: Guard, *values: Personal[Any, Any]) -> list[Ways]:
    """For each value the purposes and families, with their channels, under which it is opened."""
    found: list[set[tuple[str, str | None]]] = [set() for _ in values]
    for purpose, channel in declarable(guard):
        with guard.purpose(purpose, channel=channel) as use:
            for ways, value in zip(found, values, strict=True):
                try:
                    use.open(value)
                except PurposeViolation:
                    continue
                ways.add((purpose, channel))
    return [frozenset(ways) for ways in found]


def sealed_under(notice: Notice, *ids: str) -> Personal[str, Any]:
    return Personal("value", Label(*map(notice.source, ids)))


@given(made=notice_tables.tables(), data=st.data())
def test_default_deny(made: Tables, data: st.DataObject) -> None:
    notice = Notice.parse(made)
    guard = Guard(notice)
    families = {row["class"]: set(row["purposes"]) for row in made.get("family", ())}
    values = [Personal("value", source) for source in notice.sources]
    for source, ways in zip(notice.sources, may_open(guard, *values), strict=True):
        granted = stated(made, source.clause)
        for purpose, _ in ways:
            assert families.get(purpose, {purpose}) & granted
    # What is of no notice, or of another, never falls through to an answer.
    foreign: Personal[Any, Any] = Personal("value", tm.Registration)
    for purpose, channel in declarable(guard)[:5]:
        with guard.purpose(purpose, channel=channel) as use:
            for value in (foreign, foreign.zip(values[0]), foreign.map(seals.boxed)):
                for act in (partial(use.try_open, value, ABSENT), partial(use.open, value)):
                    with pytest.raises(UnknownSource):
                        act()
                with pytest.raises(UnknownSource):
                    use.open_all([values[0], value])
    with pytest.raises(PurposeMissing):
        encode_sealed(values[0])


@settings(max_examples=20)
@given(plain=seals.PLAIN, source=st.sampled_from(tm.NOTICE.sources))
def test_an_empty_label_is_refused(plain: object, source: type[Source]) -> None:
    empty: list[Callable[[], object]] = [
        lambda: Personal(plain),  # type: ignore[call-overload]  # no source: an error for type checkers too
        lambda: Personal(plain, *[]),
        lambda: Personal.collect([]),
        lambda: Personal.collect(iter(())),
    ]
    for seal in empty:
        with pytest.raises(UnlabelledData):
            seal()
    nothing: Personal[Any, Any] = Personal.collect([], source)
    assert nothing.label is Label(source)
    guard = Guard(tm.NOTICE)
    assert may_open(guard, nothing) == may_open(guard, Personal((), Label(source)))


@given(notice=generated.notices(), data=st.data())
def test_combining_never_widens(notice: Notice, data: st.DataObject) -> None:
    guard = Guard(notice)
    one, other = (Personal("value", data.draw(strategies.labels(notice, most=3))) for _ in range(2))
    free = Personal("value", NotPersonal)
    alone, beside, anywhere = may_open(guard, one, other, free)
    both: list[Personal[Any, Any]] = [
        one.zip(other),
        other.zip(one, free),
        Personal.collect([one, other]),
        one.map(seals.boxed).zip(other).map(seals.kind),
        Personal(Personal.collect([one]), one.label | other.label),
    ]
    assert set(may_open(guard, *both)) == {alone & beside}
    assert alone | beside <= anywhere == frozenset(declarable(guard))
    # What is not personal adds nothing, and takes nothing away.
    assert may_open(guard, one.zip(free), Personal.collect([free, one]), one.map(seals.kind)) == [alone] * 3


@dataclasses.dataclass
class Row:
    """What access functions below return; each test writes its own annotation."""

    field: Any


@given(notice=generated.notices(), data=st.data())
def test_cache_equals_no_cache(notice: Notice, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(notice.sources))
    value = Personal("value", source)
    row: Any = dataclasses.make_dataclass("Row", [("field", Personal[str, source])])  # type: ignore[valid-type]  # known at run time only
    warm = Guard(notice)

    def read() -> Any:
        return row(value)

    read.__annotations__["return"] = row
    kept = warm.cached()(warm.access(read))
    for purpose, channel in data.draw(st.permutations(declarable(warm) * 2)):
        expected = Guard(notice).allows(source, purpose, channel)  # one that was never asked anything
        with warm.purpose(purpose, channel=channel) as use:
            assert kept().field is value  # what is sealed may be kept for all: it is checked where it is opened
            assert (use.try_open(kept().field, ABSENT) is not ABSENT) is expected
            if expected:
                assert [use.open(value), use.open(value)] == use.open_all([value, value])
            else:
                with pytest.raises(PurposeViolation):
                    use.open(value)


@given(notice=generated.notices())
def test_load_and_dump_is_identity(notice: Notice) -> None:
    again = Notice.parse(notice.dump())
    ids = [source.clause for source in notice.sources]
    before, after = ([sealed_under(one, given) for given in ids] for one in (notice, again))
    assert may_open(Guard(notice), *before) == may_open(Guard(again), *after)
    # The terms are equal and not the same: what one notice's classes seal, another notice's guard does not know.
    for purpose, channel in declarable(Guard(again))[:1]:
        with Guard(again).purpose(purpose, channel=channel) as use, pytest.raises(UnknownSource):
            use.open(before[0])
