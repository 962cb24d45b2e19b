"""What a guard keeps of notices that it replaced: what decides of data that is tagged with their classes, no more."""

from __future__ import annotations

import gc
import itertools
import typing
import weakref
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.policy.table import PolicyTable
from purposeguard.runtime.engine import Engine
from tests.unit.samples import changed

TIMES = 60


def revision(date: str = "2024-01-01", **options: Any) -> pg.Notice:
    def change(tables: dict[str, Any]) -> None:
        tables["revision"] = date
        if "sources" in options:
            tables["grant"][0]["sources"] = options["sources"]

    return pg.Notice.parse(changed(change))


def used(guard: pg.Guard) -> None:
    """Asks in all forms, so that all is remembered that ever is."""
    notice = guard.notice
    source, purpose = notice.source("1(a)"), notice.purpose("3(2)①")
    with guard.purpose(purpose) as use:
        assert use.allows(pg.Label(source))
        assert use.allows(source)
        use.check(source)
    assert guard.allows({source, notice.source("1(b)")}, purpose)
    assert guard.explain(source, purpose)
    assert str(guard.explain(source, notice.purpose("4①")))


@pytest.mark.usefixtures("remembers")
@pytest.mark.parametrize("dates", [["2024-01-01"], ["2024-01-01", "2025-01-01"]], ids=["one date", "two dates"])
def test_notices_that_were_replaced_are_not_kept(dates: list[str]) -> None:
    guard = pg.Guard(revision())
    kept: list[weakref.ref[Any]] = []
    named = [guard.notice.purpose("3(2)①")]
    block = guard.purpose(named[0])
    notice = None
    for _, date in zip(range(TIMES), itertools.cycle(dates), strict=False):
        notice = revision(date)
        kept += [weakref.ref(one) for one in (*notice.sources, *notice.purposes)]
        guard.replace(notice)
        kept.append(weakref.ref(guard.engine.snapshot))
        with block:
            used(guard)
    del notice
    for clean in typing._cleanups:  # type: ignore[attr-defined]  # it keeps the last 128 unions that were made
        clean()
    while gc.collect():  # what weak references called for goes with the next
        pass
    classes = [one() for one in kept if isinstance(one(), type)]
    of_one = len(guard.notice.sources) + len(guard.notice.purposes)
    assert len(classes) == of_one * len(dates)
    matrix = guard.engine.snapshot.matrix
    assert [len(guard.history), len(matrix.revisions_by_date)] == [len(dates)] * 2
    assert len(matrix.class_dates) == of_one * len(dates) + len(named)
    assert len(guard.engine._snapshots) == 1
    assert len(guard.activities) == 2


def test_a_thousand_replacements_leave_as_much_as_one() -> None:
    first, second = revision(), revision("2025-01-01")
    guard = pg.Guard(first)

    def sizes() -> list[int]:
        matrix = guard.engine.snapshot.matrix
        used(guard)
        parts: Any = (matrix.class_dates, matrix.revisions_by_date, matrix._then, matrix._alias, guard.history)
        return [*map(len, parts), len(guard.engine._snapshots), sum(map(len, matrix._tables.values()))]

    guard.replace(second)
    once = sizes()
    for _ in range(500):
        guard.replace(first)
        guard.replace(second)
    assert sizes() == once


def test_a_replacement_follows_the_one_that_came_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = pg.Guard(revision())
    between, last = revision("2025-01-01"), revision("2026-01-01")
    make, calls = Engine._make_snapshot, []

    def interrupted(engine: Engine, matrix: PolicyTable) -> Any:
        state = make(engine, matrix)
        calls.append(matrix.notice)
        if len(calls) == 1:  # as a signal handler does
            engine.replace(between)
        return state

    monkeypatch.setattr(Engine, "_make_snapshot", interrupted)
    guard.replace(last)
    assert calls == [last, between, last]
    assert guard.notice is last
    assert guard.allows(between.source("1(a)"), last.purpose("3(2)①"))  # the classes of what came in between are known


def test_what_is_tagged_with_a_notice_that_was_put_right_is_decided_by_the_right_one() -> None:
    wrong, right = revision(sources=["1"]), revision(sources=["1(a)"])
    guard = pg.Guard(wrong)
    usage, purpose = wrong.source("1(b)"), "3(1)②"
    assert guard.allows(usage, purpose)
    guard.replace(right)
    assert not guard.allows(usage, purpose)
    # And so it is under the revision that follows, which grants it anew: it was collected under the one put right.
    later = revision("2025-01-01", sources=["1"])
    guard.replace(later)
    assert guard.allows(later.source("1(b)"), purpose)
    with pytest.raises(pg.RevisionViolation):
        guard.check(usage, purpose)


def test_a_history_without_the_revision_before_still_knows_its_classes() -> None:
    before, after = revision(), revision("2025-01-01")
    guard = pg.Guard(before)
    guard.replace(pg.History(after))
    assert len(guard.history) == 1
    for _ in range(3):
        guard.replace(pg.History(revision("2025-01-01")))
        assert guard.allows(before.source("1(a)"), "3(2)①")
        assert guard.allows(after.source("1(a)"), "3(2)①")


def test_a_matrix_that_was_replaced_knows_no_class_of_what_came_after() -> None:
    before, after = revision(), revision("2025-01-01")
    earlier = PolicyTable(before)
    PolicyTable(after, earlier)
    with pytest.raises(pg.UnknownSource):
        earlier.resolve_label(after.source("1(a)"))
