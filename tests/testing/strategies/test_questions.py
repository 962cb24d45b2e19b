"""What can be asked of a notice is drawn at the border between allowed and denied."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy import spec
from purposeguard.testing import strategies
from tests import generated
from tests.support import drawn, smallest

ANY_NOTICE = st.just(tm.NOTICE) | generated.notices()


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
    notice = smallest(generated.notices(), lambda one: not one.families)
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
