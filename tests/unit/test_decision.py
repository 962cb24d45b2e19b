from __future__ import annotations

import copy
import pickle

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import violation_of
from tests.unit.samples import SMALL, changed

guard = pg.Guard(tm.NOTICE)
small = pg.Notice.loads(SMALL)
of_small = pg.Guard(small)


def test_an_allowed_decision_is_true_and_says_by_which_clause() -> None:
    decision = guard.explain({"1.1a", "1.1c"}, "1.2(1)①")
    assert decision
    assert decision.allowed is True
    assert decision.label is pg.Label(tm.Registration, tm.Contract)
    assert decision.purpose is tm.RenewalGuidance
    assert decision.channel is None
    assert dict(decision.grants) == {tm.Registration: "1.2(1)", tm.Contract: "1.2(1)"}
    assert decision.reasons == ()
    assert decision.denied == ()
    assert str(decision).splitlines() == [
        "renewal-guidance (1.2(1)①) may use registration (1.1(a)) and contract (1.1(c))",
        "  1.1(a): granted by 1.2(1)",
        "  1.1(c): granted by 1.2(1)",
    ]
    assert repr(decision) == "<Decision allowed: Label(1.1(a), 1.1(c)) for renewal-guidance (1.2(1)①)>"


def test_a_refusal_says_which_sources_deny_and_what_instead() -> None:
    decision = guard.explain({"1.1a", "1.1b"}, "1.2(1)①")
    assert not decision
    assert dict(decision.grants) == {tm.Registration: "1.2(1)"}
    assert decision.denied == (tm.ProductData,)
    assert decision.reasons == ("no clause grants renewal-guidance (1.2(1)①) to 1.1(b)",)
    assert decision.alternatives == tm.NOTICE.purposes[5:11]
    text = " ".join(str(decision).split())
    assert "renewal-guidance (1.2(1)①) may not use product-data (1.1(b))" in text
    assert "1.2(1) grants renewal-guidance to: 1.1(a), 1.1(c)" in text
    assert "1.1(b) may serve: product-provision, product-improvement, research-notice, security-information" in text
    assert "and 2 more (1.2(2)①-⑥)" in text
    assert "combined, 1.1(a) and 1.1(b) may serve: product-provision" in text
    assert repr(decision).startswith("<Decision denied: ")


def test_sources_that_may_serve_nothing_together_are_told_so() -> None:
    text = " ".join(str(guard.explain(["1.1a", "2.3", "2.1a"], tm.TrafficAnalysis)).split())
    assert "combined, 1.1(a), 2.1(a) and 2.3 may serve: nothing; keep the data apart" in text
    assert "registration (1.1(a)) and web-contact (2.1(a))" in text


def test_reasons_are_in_the_order_of_the_clauses() -> None:
    decision = guard.explain(["3.1a", "2.3", "1.1b", "1.1a"], tm.RenewalGuidance)
    assert [reason.rsplit(" ", 1)[1] for reason in decision.reasons] == ["1.1(b)", "2.3", "3.1(a)"]


def test_a_parent_s_refusal_says_which_items_deny() -> None:
    decision = guard.explain("1.1", tm.RenewalGuidance)
    (reason,) = decision.reasons
    assert reason.startswith("1.1 stands for any of its items")
    assert "renewal-guidance (1.2(1)①)" in reason
    assert "1.1(b)" in reason
    assert "1.1(c)" not in reason
    assert "stands for any of its items" in " ".join(str(decision).split())


def test_a_parent_none_of_whose_items_may_is_refused_plainly() -> None:
    assert guard.explain("2.1", tm.RenewalGuidance).reasons == ("no clause grants renewal-guidance (1.2(1)①) to 2.1",)


def test_a_prohibition_gives_its_reason() -> None:
    assert of_small.explain("1(b)", "Billing").reasons == (
        "1(b) is forbidden to serve billing (3(2)②): usage is free of charge",
    )
    assert "1(b) is forbidden to serve billing" in " ".join(of_small.explain("1", "Billing").reasons)
    assert "free of charge" in str(of_small.explain("router-usage", "Billing"))
    assert "free of charge" not in str(of_small.explain("2", "Billing"))
    assert "free of charge" not in str(of_small.explain("1(b)", "Renewal"))


def test_a_prohibition_of_a_family_is_a_prohibition_of_its_members() -> None:
    rule = {"sources": ["2"], "purposes": ["AnyAdvice"], "reason": {"en": "visitors are left alone", "ja": "x"}}
    forbidding = pg.Guard(pg.Notice.parse(changed(lambda t: t["forbid"].append(rule))))
    assert "left alone" in str(forbidding.explain("2", "Advice"))
    assert "left alone" in str(forbidding.explain("2", "AnyAdvice"))


def test_a_refused_channel_says_which_are_admitted() -> None:
    decision = guard.explain("2.1a", tm.WebSecurityMail, channel="phone")
    assert violation_of(decision) is pg.ChannelViolation
    assert decision.channel == "phone"
    assert decision.reasons == (
        "web-security-mail (2.2③) may reach people whose data is 2.1(a) by email only, not by phone",
    )
    assert decision.headline == "web-security-mail (2.2③) may not use web-contact (2.1(a)) by phone"
    assert "grants" not in str(decision)
    assert repr(decision).endswith("by phone>")
    assert dict(decision.grants) == {}


def test_a_purpose_that_is_refused_by_any_channel_is_no_matter_of_channels() -> None:
    decision = guard.explain("1.1b", tm.WebSecurityMail, channel="phone")
    assert violation_of(decision) is pg.PurposeViolation
    assert "by phone" not in decision.headline


def test_a_family_s_decision_names_its_members() -> None:
    decision = guard.explain(["1.1a", "2.1a"], tm.AnyProductGuidance)
    assert decision
    expected: dict[type[pg.Source], str] = {tm.Registration: "1.2(1)", tm.WebContact: "2.2"}
    assert dict(decision.grants) == expected
    assert decision.headline.startswith("any-product-guidance (1.2(1)②, 2.2①, 3.2①) may use")
    refused = guard.explain(["1.1b", "2.1a"], "AnyProductGuidance")
    assert refused.denied == (tm.ProductData,)
    text = str(refused)
    for clause in ("1.2(1) grants product-guidance", "2.2 grants web-product-guidance", "3.2 grants prospect-product"):
        assert clause in text


def test_a_purpose_that_nobody_may_serve_is_told_of() -> None:
    rule = {"sources": ["1", "2"], "purposes": ["4①"], "reason": {"en": "no more", "ja": "x"}}
    nobody = pg.Guard(pg.Notice.parse(changed(lambda t: t["forbid"].append(rule))))
    text = str(nobody.explain("5", "Statistics"))
    assert "4① grants statistics to: no source" in text
    assert "5 may serve: nothing" in text


def test_not_personal_data_needs_no_grant() -> None:
    decision = guard.explain(pg.NotPersonal, tm.RenewalGuidance)
    assert decision
    assert dict(decision.grants) == {}
    assert decision.alternatives == tm.NOTICE.purposes
    refused = guard.explain(pg.NotPersonal, tm.WebSecurityMail, channel="phone")
    assert not refused
    assert "by email only" in str(refused)


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


def test_what_a_decision_says_cannot_be_changed_by_its_reader() -> None:
    decision = guard.explain("1.1a", tm.RenewalGuidance)
    with pytest.raises(TypeError):
        decision.grants[tm.ProductData] = "1.2(1)"  # type: ignore[index]


def test_what_a_decision_tells_is_documented() -> None:
    for name in ("reason", "denied", "grants", "alternatives", "reasons", "headline", "details"):
        assert getattr(pg.Decision, name).__doc__
