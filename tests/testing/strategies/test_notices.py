"""What is drawn of notices: valid ones of every shape, faulty ones whose faults are known, questions at the border."""

from __future__ import annotations

import collections
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy import spec
from purposeguard.testing import strategies
from purposeguard.testing._faults import PLANTS, UNREADABLE, as_toml
from tests.support import smallest

TABLES = ("channel", "family", "derivation", "forbid", "overlay", "extension", "renamed")
FACTS = ("entrustment", "transfer", "safeguards", "rights", "retention", "contact", "voluntary", "changes")


def drawn(strategy: st.SearchStrategy[Any], count: int = 120) -> list[Any]:
    """So many of a strategy, the same at each call."""
    found: list[Any] = []

    @settings(
        max_examples=count,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(value=strategy, _=st.integers(0, 2**64))  # so that what there is little of is drawn again as well
    def draw(value: Any, _: int) -> None:
        found.append(value)

    draw()
    return found


def test_notices_have_every_shape() -> None:
    documents = [one.document for one in drawn(strategies.notices(facts=True), 60)]
    for table in (*TABLES, *FACTS):  # what is drawn hangs on which modules are loaded, too
        having = sum(bool(getattr(one, table)) for one in documents)
        assert 0.03 * len(documents) < having < len(documents), table
    channels = [row.channels for one in documents for row in one.purposes if row.channels]
    assert any(one.closed for one in channels)
    assert any(one.open for one in channels)
    assert any(row.parent for one in documents for row in one.source)
    items = {row.id: row.parent for one in documents for row in one.source}
    assert any(items.get(parent) for parent in items.values() if parent), "items of items"


def test_what_is_left_out_is_not_there() -> None:
    for one in drawn(strategies.notices(derivations=False, prohibitions=False, overlays=False), 30):
        assert not one.document.derivation
        assert not one.document.forbid
        assert not one.document.overlay


def test_a_notice_shrinks_to_the_smallest() -> None:
    notice = smallest(strategies.notices(), lambda _: True)
    assert (len(notice.sources), len(notice.purposes), notice.families) == (1, 1, ())
    with_family = smallest(strategies.notices(), lambda one: bool(one.families))
    assert len(with_family.purposes) <= 3  # a family takes two, and hypothesis' versions differ in how far they shrink


@settings(max_examples=20)
@given(history=strategies.histories(3, 3))
def test_histories_are_in_order(history: pg.History) -> None:
    assert [one.revision for one in history] == sorted({one.revision for one in history})
    assert len(history) == 3


# ---- Faults -------------------------------------------------------------------------------------------------------


def test_every_kind_of_fault_is_drawn() -> None:
    kinds = {fault.kind for faulty in drawn(strategies.faulty_notices(most=8), 120) for fault in faulty.faults}
    assert kinds <= {*PLANTS, *UNREADABLE}
    assert len(kinds) > 0.6 * len({*PLANTS, *UNREADABLE})


@given(faulty=strategies.faulty_notices(most=6))
def test_a_faulty_file_says_what_its_tables_say(faulty: strategies.FaultyNotice) -> None:
    if faulty.tables is None:
        assert faulty.places == ("",)
    else:
        assert tomllib.loads(faulty.text) == faulty.tables
        assert "" not in faulty.places
    assert 1 <= len(faulty.faults) <= 6


def test_one_fault_shrinks_to_the_smallest_notice() -> None:
    def has_circle(one: strategies.FaultyNotice) -> bool:
        return any(fault.kind == "circle-of-parents" for fault in one.faults)

    found = smallest(strategies.faulty_notices(), has_circle)
    assert [fault.kind for fault in found.faults] == ["circle-of-parents"]
    assert found.tables is not None
    assert len(found.tables["source"]) == 3  # one of the notice, two in a circle
    assert found.places == ("source[1].parent", "source[2].parent")


@settings(max_examples=15)
@given(notice=strategies.notices(facts=True))
def test_tables_are_written_as_toml(notice: pg.Notice) -> None:
    tables = notice.dump()
    assert tomllib.loads(as_toml(tables)) == tables
    assert pg.Notice.loads(as_toml(tables)) == notice


# ---- Questions ----------------------------------------------------------------------------------------------------

ANY_NOTICE = st.just(tm.NOTICE) | strategies.notices()


def share(found: list[bool]) -> float:
    return sum(found) / len(found)


def test_labels_are_allowed_denied_and_at_the_border() -> None:
    guard = pg.Guard(tm.NOTICE)
    labels = drawn(strategies.labels(tm.NOTICE, tm.RenewalGuidance), 150)
    assert 0.2 < share([guard.allows(one, tm.RenewalGuidance) for one in labels]) < 0.6
    may = {source for source in tm.NOTICE.sources if guard.allows(source, tm.RenewalGuidance)}
    border = [one for one in labels if len(one.sources - may) == 1 and len(one) > 1]
    assert len(border) / len(labels) > 0.2
    assert {len(one) for one in labels} == {1, 2, 3, 4}
    by_mail = drawn(strategies.labels(tm.NOTICE, tm.WebSecurityMail, channel="phone", most=1), 30)
    assert not any(guard.allows(one, tm.WebSecurityMail, "phone") for one in by_mail)


def test_questions_are_answered_both_ways() -> None:
    guard = pg.Guard(tm.NOTICE)
    found = drawn(strategies.questions(tm.NOTICE), 150)
    assert 0.2 < share([guard.allows(*question) for question in found]) < 0.7
    assert 0.3 < share([question.channel is not None for question in found]) < 0.95
    assert any(isinstance(question.purpose, pg.Family) for question in found)


@given(data=st.data(), notice=ANY_NOTICE)
def test_what_is_drawn_is_of_the_notice(data: st.DataObject, notice: pg.Notice) -> None:
    question = data.draw(strategies.questions(notice))
    assert question.sources.sources <= {*notice.sources}
    assert question.purpose in {*notice.purposes, *notice.families}
    assert question.channel in {None, *notice.channels}
    assert data.draw(strategies.sources(notice)) in notice.sources
    assert data.draw(strategies.purposes(notice)) in notice.purposes
    assert data.draw(strategies.channels(notice)) in {None, *notice.channels}
    if notice.families:
        assert data.draw(strategies.families(notice)) in notice.families
    ids = [source.clause for source in question.sources]
    name = question.purpose.name if isinstance(question.purpose, pg.Family) else question.purpose.clause
    assert pg.Guard(notice).allows(*question) is spec.permits(notice.document, ids, name, question.channel)


def test_a_notice_without_families_has_none_to_draw() -> None:
    notice = smallest(strategies.notices(), lambda one: not one.families)
    assert strategies.families(notice).is_empty


@given(data=st.data(), notice=ANY_NOTICE)
def test_a_use_that_is_drawn_can_be_entered(data: st.DataObject, notice: pg.Notice) -> None:
    guard = pg.Guard(notice)
    try:
        with data.draw(strategies.uses(guard)) as use:
            assert guard.current is use
    except ValueError as error:
        assert "no activity can be declared" in str(error)  # noqa: PT017  # most notices have one that can


@given(data=st.data())
def test_values_are_sealed_under_what_is_said(data: st.DataObject) -> None:
    one = data.draw(strategies.sealed(st.integers(), tm.Registration))
    assert one.label is pg.Label(tm.Registration)
    label = pg.Label(tm.Registration, tm.Contract)
    assert data.draw(strategies.sealed(st.integers(), label)).label is label
    other = data.draw(strategies.sealed(st.integers(), strategies.labels(tm.NOTICE, most=1)))
    assert len(other.label) == 1
    assert data.draw(strategies.sealed(st.integers(), tm.NOTICE)).label.sources <= {*tm.NOTICE.sources, pg.NotPersonal}


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda: strategies.labels(tm.NOTICE, most=0), ValueError),
        (lambda: strategies.labels(tm.NOTICE, "9.9"), pg.UnknownPurpose),
    ],
    ids=["no-sources", "unknown-purpose"],
)
def test_what_cannot_be_drawn_is_refused(ask: Callable[[], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        ask()


def test_kinds_of_faults_are_counted_evenly() -> None:
    found = collections.Counter(
        fault.kind for faulty in drawn(strategies.faulty_notices(most=1), 60) for fault in faulty.faults
    )
    assert max(found.values()) < 0.25 * sum(found.values())
