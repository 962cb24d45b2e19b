"""What a decision says, by its facts; its words are in test_messages."""

from __future__ import annotations

import copy
import pickle

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import violation_class
from tests.unit.models import guard
from tests.unit.samples import SMALL, changed

of_small = pg.Guard(pg.Notice.loads(SMALL))


def test_an_allowed_decision_is_true_and_says_by_which_clause() -> None:
    decision = guard.explain({"1.1a", "1.1c"}, "1.2(1)①")
    assert decision
    assert decision.allowed is True
    assert decision.label is pg.Label(tm.Registration, tm.Contract)
    assert (decision.purpose, decision.channel) == (tm.RenewalGuidance, None)
    assert dict(decision.grants) == {tm.Registration: "1.2(1)", tm.Contract: "1.2(1)"}
    assert (decision.reasons, decision.denied) == ((), ())
    assert repr(decision) == "<Decision allowed: Label(1.1(a), 1.1(c)) for renewal-guidance (1.2(1)①)>"


def test_a_refusal_says_which_sources_deny_and_what_instead() -> None:
    decision = guard.explain({"1.1a", "1.1b"}, "1.2(1)①")
    assert not decision
    assert dict(decision.grants) == {tm.Registration: "1.2(1)"}
    assert decision.denied == (tm.ProductData,)
    assert len(decision.reasons) == 1
    assert decision.alternatives == tm.NOTICE.purposes[5:11]
    assert guard.explain(["1.1a", "2.3", "2.1a"], tm.TrafficAnalysis).alternatives == ()
    several = guard.explain(["3.1a", "2.3", "1.1b", "1.1a"], tm.RenewalGuidance)
    assert [reason.rsplit(" ", 1)[1] for reason in several.reasons] == ["1.1(b)", "2.3", "3.1(a)"]
    # A parent is refused where an item is.
    assert guard.explain("1.1", tm.RenewalGuidance).denied == (tm.Customer,)
    assert guard.explain("2.1", tm.RenewalGuidance).denied == (tm.Website,)


@pytest.mark.parametrize(
    ("source", "purpose", "forbidden"),
    [("1(b)", "Billing", True), ("1", "Billing", True), ("router-usage", "Billing", True), ("2", "Billing", False),
     ("1(b)", "Renewal", False)],
)  # fmt: skip
def test_a_prohibition_gives_its_reason(source: str, purpose: str, forbidden: bool) -> None:
    decision = of_small.explain(source, purpose)
    assert not decision
    assert ("usage is free of charge" in " ".join(str(decision).split())) is forbidden


def test_a_prohibition_of_a_family_is_a_prohibition_of_its_members() -> None:
    rule = {"sources": ["2"], "purposes": ["AnyAdvice"], "reason": {"en": "visitors are left alone", "ja": "x"}}
    forbidding = pg.Guard(pg.Notice.parse(changed(lambda t: t["forbid"].append(rule))))
    for purpose in ("Advice", "AnyAdvice"):
        assert "visitors are left alone" in str(forbidding.explain("2", purpose))


def test_a_refused_channel_is_a_matter_of_channels_only_where_another_would_do() -> None:
    decision = guard.explain("2.1a", tm.WebSecurityMail, channel="phone")
    assert violation_class(decision) is pg.ChannelViolation
    assert (decision.channel, dict(decision.grants), len(decision.reasons)) == ("phone", {}, 1)
    assert repr(decision).endswith("by phone>")
    assert violation_class(guard.explain("1.1b", tm.WebSecurityMail, channel="phone")) is pg.PurposeViolation


def test_a_family_s_decision_names_its_members() -> None:
    decision = guard.explain(["1.1a", "2.1a"], tm.AnyProductGuidance)
    assert decision
    expected: dict[type[pg.Source], str] = {tm.Registration: "1.2(1)", tm.WebContact: "2.2"}
    assert dict(decision.grants) == expected
    assert guard.explain(["1.1b", "2.1a"], "AnyProductGuidance").denied == (tm.ProductData,)


def test_not_personal_data_needs_no_grant() -> None:
    decision = guard.explain(pg.NotPersonal, tm.RenewalGuidance)
    assert decision
    assert dict(decision.grants) == {}
    assert decision.alternatives == tm.NOTICE.purposes
    assert not guard.explain(pg.NotPersonal, tm.WebSecurityMail, channel="phone")


def test_each_fact_of_a_message_is_one_line() -> None:
    everything = list(tm.NOTICE.sources)
    for purpose in (*tm.NOTICE.purposes, *tm.NOTICE.families):
        decision = guard.explain(everything, purpose)
        assert str(decision).split("\n") == [decision.headline, *(f"  {detail}" for detail in decision.details)]


@pytest.mark.parametrize("again", [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy, copy.copy])
def test_a_decision_takes_its_facts_along(again) -> None:
    for decision in (
        guard.explain(["1.1a", "1.1b"], tm.RenewalGuidance),
        guard.explain("1.1a", tm.AnyProductGuidance, channel="email"),
        guard.explain("2.1a", tm.WebSecurityMail, channel="phone"),
    ):
        there = again(decision)
        assert bool(there) is bool(decision)
        for fact in ("label", "purpose", "channel", "reasons", "alternatives", "denied", "reason", "details"):
            assert getattr(there, fact) == getattr(decision, fact), fact
        assert dict(there.grants) == dict(decision.grants)
        assert str(there) == str(decision)
        assert repr(there) == repr(decision)


def test_what_a_decision_tells_cannot_be_changed_and_is_documented() -> None:
    decision = guard.explain("1.1a", tm.RenewalGuidance)
    with pytest.raises(TypeError):
        decision.grants[tm.ProductData] = "1.2(1)"  # type: ignore[index]
    for name in ("reason", "denied", "grants", "alternatives", "reasons", "headline", "details"):
        assert getattr(pg.Decision, name).__doc__
