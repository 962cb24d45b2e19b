"""A turned cell: that one decision is the other way round, with what follows from it, and no other."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import purposeguard as pg
from purposeguard.notice.bases import summarize_bases
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import CLEAR, Context
from purposeguard.policy.table import PolicyTable
from purposeguard.runtime.snapshot import PolicySnapshot
from purposeguard.testing import watching
from purposeguard.testing.strategies import list_purposes, name_of
from purposeguard.testing.watching import WatchedCell, flip_cell, notice_key
from tests import generated
from tests.testing.ids import told

pytestmark = pytest.mark.usefixtures("remembers")

KEY = notice_key(tm.NOTICE)


def table(matrix: PolicyTable) -> dict[tuple[str, object, str | None], bool]:
    notice = matrix.notice
    return {
        (source.clause, purpose, channel): purpose in matrix.resolve_row(source, channel)
        for source in notice.sources
        for purpose in list_purposes(notice)
        for channel in (None, *notice.channels)
    }


def differences(one: PolicyTable, other: PolicyTable) -> set[tuple[str, object]]:
    first, second = table(one), table(other)
    return {key[:2] for key in first if first[key] is not second[key]}


def follows(notice: pg.Notice, cell: WatchedCell) -> set[str]:
    """The sources that a turn may change: itself, those it is an item of, and overlays over it."""
    parents = {row.id: row.parent for row in notice.document.source}
    found = {cell.source, *(row.id for row in notice.document.overlay if row.source == cell.source)}
    above = parents.get(cell.source)
    while above is not None:
        found.add(above)
        above = parents.get(above)
    return found


@settings(max_examples=25)
@given(notice=generated.notices(), data=st.data())
def test_one_decision_is_turned_and_what_follows_from_it(notice: pg.Notice, data: st.DataObject) -> None:
    matrix = PolicyTable(notice)
    before = table(matrix)
    source, purpose = data.draw(st.sampled_from(notice.sources)), data.draw(st.sampled_from(notice.purposes))
    cell = WatchedCell(notice_key(notice), source.clause, purpose.clause)
    turned = flip_cell(matrix, cell)
    granted = purpose in notice.grants[source]
    consent = summarize_bases(notice.document)[purpose.clause] == "consent"
    assert (purpose in turned.resolve_row(source)) is (not granted and not consent)
    assert {one for one, _ in differences(matrix, turned)} <= follows(notice, cell)
    families = [one for one in notice.families if purpose in one.members]
    assert {one for _, one in differences(matrix, turned)} <= {purpose, *families}
    for family in families:
        may = [one for one in family.members if one in turned.resolve_row(source)]
        assert (family in turned.resolve_row(source)) is bool(may)
    for parent, items in matrix.children.items():
        if parent is not source:
            assert (purpose in turned.resolve_row(parent)) <= all(purpose in turned.resolve_row(one) for one in items)
    # Labels that were asked for before are decided anew, and the notice is as it was.
    label = pg.Label(*data.draw(st.lists(st.sampled_from(notice.sources), min_size=1, max_size=3)))
    matrix.resolve_row(label)
    assert flip_cell(matrix, cell).resolve_row(label) == frozenset.intersection(
        *(turned.resolve_row(one) for one in label)
    )
    assert table(matrix) == before
    assert table(flip_cell(turned, cell)) == before or len(follows(notice, cell)) > 1
    assert turned.notice == notice


@pytest.mark.parametrize(
    "cell",
    [
        WatchedCell(KEY, source.clause, purpose.clause)
        for source, purpose in itertools.product(tm.NOTICE.sources, tm.NOTICE.purposes[::5])
    ],
    ids=told,
)
def test_explanations_of_a_turned_cell_hang_together(cell: WatchedCell) -> None:
    matrix = flip_cell(PolicyTable(tm.NOTICE), cell)
    source, purpose = matrix.notice.source(cell.source), matrix.notice.purpose(cell.purpose)
    decision = pg.Decision(PolicySnapshot(matrix).decide(pg.Label(source), purpose))
    assert decision.allowed is (purpose not in tm.NOTICE.grants[source])
    assert bool(decision.grants) is decision.allowed
    assert str(decision)


def test_what_the_notice_does_not_have_turns_nothing() -> None:
    matrix = PolicyTable(tm.NOTICE)
    for cell in (
        WatchedCell(KEY, "9.9", "1.2(1)①"),
        WatchedCell(KEY, "1.1(a)", "9.9"),
        WatchedCell("another 2024-04-01", "1.1(a)", "1.2(1)①"),
    ):
        assert flip_cell(matrix, cell) is matrix


def test_a_cell_is_turned_in_guards_that_are_there_and_in_new_ones() -> None:
    cell = WatchedCell(KEY, "1.1(a)", "1.2(1)①")
    before = pg.Guard(tm.NOTICE)
    sealed: pg.Personal[str, tm.Registration] = pg.Personal("Aiko", tm.Registration)
    calls = []

    @before.cached()
    @before.access(tm.Registration)
    def load() -> int:
        calls.append(1)
        return len(calls)

    @before.purpose(tm.RenewalGuidance)
    def remind() -> int:
        return load()

    watcher = watching.Watcher()
    watching.watch_all(watcher)
    try:
        assert remind() == 1
        with before.purpose(tm.RenewalGuidance) as use:
            use.open(sealed)
            watching.turn(cell)
            after = pg.Guard(tm.NOTICE)
            for guard in (before, after):
                assert not guard.allows(tm.Registration, tm.RenewalGuidance)
                assert guard.allows(tm.Contract, tm.RenewalGuidance)
                assert guard.allows(tm.Registration, tm.ProductGuidance)
            with pytest.raises(pg.PurposeViolation, match=r"may serve: product-guidance"):
                use.open(sealed)
        with pytest.raises(pg.PurposeViolation):
            remind()
        watching.turn(None)
        assert remind() == 1  # what was kept before the turn; nothing that was kept in it
        assert after.allows(tm.Registration, tm.RenewalGuidance)
    finally:
        watching.turn(None)
        watching.leave_all(watcher)
    assert before.allows(tm.Registration, tm.RenewalGuidance)


def by_name(matrix: PolicyTable) -> set[tuple[str, str, str | None]]:
    """What may serve what, by ids: of a notice that was read anew the classes are others."""
    return {(source, name_of(asked), channel) for (source, asked, channel), may in table(matrix).items() if may}  # type: ignore[arg-type]  # terms


@settings(max_examples=30)
@given(data=st.data())
def test_a_grant_that_is_taken_away_is_one_that_the_notice_forbids(data: st.DataObject) -> None:
    """By another way: the same file with a prohibition of that one cell, compiled from its text."""
    matrix = PolicyTable(tm.NOTICE)
    items = [one for one in matrix.items if one is not tm.LinkedUsage]
    source = data.draw(st.sampled_from(items))
    # What goes into a derivation is forbidden to it as well; a turned cell leaves derivations alone.
    purposes = [one for one in tm.NOTICE.grants[source] if one is not tm.UsageAnalysis]
    purpose = data.draw(st.sampled_from(purposes))
    row = {"sources": [source.clause], "purposes": [purpose.clause], "reason": {"en": "turned", "ja": "反転"}}
    forbidden = pg.Notice.parse(tm.NOTICE.dump() | {"forbid": [row]})
    assert by_name(flip_cell(matrix, WatchedCell(KEY, source.clause, purpose.clause))) == by_name(
        PolicyTable(forbidden)
    )


@settings(max_examples=30)
@given(data=st.data())
def test_a_grant_that_is_added_is_one_that_the_notice_grants(data: st.DataObject) -> None:
    """Likewise: the other cells of that purpose stay, since they are granted to the same sources."""
    matrix = PolicyTable(tm.NOTICE)
    items = [one for one in matrix.items if one is not tm.LinkedUsage]
    source = data.draw(st.sampled_from(items))
    purpose = data.draw(st.sampled_from([one for one in tm.NOTICE.purposes if one not in tm.NOTICE.grants[source]]))
    tables = tm.NOTICE.dump()
    granting = next(one for one in tables["grant"] if any(row["id"] == purpose.clause for row in one["purpose"]))
    others = [row["id"] for row in granting["purpose"] if row["id"] != purpose.clause]
    granting["sources"] = [*granting["sources"], source.clause]
    # The clause grants all of its purposes to its sources: the others are forbidden to this one again.
    row = {"sources": [source.clause], "purposes": others, "reason": {"en": "turned", "ja": "反転"}}
    tables["forbid"] = [row] if others else []
    turned = by_name(flip_cell(matrix, WatchedCell(KEY, source.clause, purpose.clause)))
    granted = by_name(PolicyTable(pg.Notice.parse(tables)))
    derived = tm.LinkedUsage.clause
    assert {one for one in turned if one[0] != derived} == {one for one in granted if one[0] != derived}


def test_an_overlay_never_serves_more_than_what_it_narrows() -> None:
    overlay = {
        "id": "P1",
        "class": "Scans",
        "title": {"en": "Scans", "ja": "スキャン"},
        "source": "1.1(b)",
        "product": "Shield",
        "item": "scans",
        "serves": ["1.2(2)①", "1.2(2)②"],
    }
    notice = pg.Notice.parse(tm.NOTICE.dump() | {"overlay": [overlay]})
    matrix = PolicyTable(notice)
    without = flip_cell(matrix, WatchedCell(KEY, "1.1(b)", "1.2(2)①"))
    assert differences(matrix, without) == {
        (source, notice.purpose("1.2(2)①")) for source in ("1.1(b)", "1.1", "P1")
    }  # a parent serves what all of its items may
    more = flip_cell(matrix, WatchedCell(KEY, "1.1(b)", "1.2(1)①"))
    assert {source for source, _ in differences(matrix, more)} == {"1.1(b)", "1.1"}


def test_what_is_known_of_subjects_is_decided_by_the_turned_cell_too() -> None:
    matrix, label = PolicyTable(tm.NOTICE), pg.Label(tm.Registration)
    known = Context(CLEAR)
    assert tm.RenewalGuidance in matrix.row_for(label, None, known)
    turned = flip_cell(matrix, WatchedCell(KEY, "1.1(a)", "1.2(1)①"))
    assert tm.RenewalGuidance not in turned.row_for(label, None, known)
    assert tm.RenewalGuidance in matrix.row_for(label, None, known)
