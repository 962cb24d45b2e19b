"""What the shop refuses, and what it answers then."""

from __future__ import annotations

from typing import Any

import pytest

import purposeguard as pg
from examples.shop import repository
from examples.shop.activities import telemetry
from examples.shop.mailer import Mailing, OutboxMailer
from examples.shop.models import Customer, Run
from examples.shop.privacy import guard
from purposeguard import Personal
from purposeguard.errors import TooFewSubjects
from purposeguard.notices import trendmicro_jp as tm

ISSUE = {"subject": "News", "body": "Please update."}
PERSONAL = ("aiko", "chie", "daichi", "example.com", "000-1111", "laptop-a", "so slow", "192.0.2")


def problem(response, status=403):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert found["status"] == status
    assert not [word for word in PERSONAL if word in response.text.lower()]
    return found


def test_a_violation_is_403_and_says_why_and_what_instead(people, mailer):
    found = problem(people.post("/mistakes/promote-upgrade?product=Shield"))
    assert found["title"] == "not for this purpose"
    assert found["purpose"] == "1.2(1)②"
    assert found["clauses"] == ["1.2(1)②"]
    assert found["sources"] == ["1.1(b)"]
    assert "1.1(b)" in found["decision"]
    assert found["reasons"]
    assert {"clause": "1.2(2)②", "slug": "product-improvement"} in found["alternatives"]
    assert found["activity"] == "examples.shop.routes.mistakes.promote_upgrade"
    assert mailer.sent == []


def test_a_family_is_named_with_its_clauses(people, mailer):
    found = problem(people.post("/mistakes/answer/3"))
    assert found["purpose"] == "AnyInquiryResponse"
    assert found["clauses"] == ["2.2⑥", "3.2⑦"]
    assert found["sources"] == ["1.1(a)"]
    assert found["field"] == "name"
    assert mailer.sent == []


def test_the_same_function_may_answer_whom_the_notice_lets_it(people, mailer):
    assert people.post("/mistakes/answer/1").json() == {"sent": 1}
    assert [message.to for message in mailer.sent] == ["chie@example.com"]


@pytest.mark.parametrize("channel", ["phone", "post"])
def test_a_closed_purpose_refuses_other_channels(people, mailer, channel):
    found = problem(people.post(f"/leads/1/warnings?channel={channel}", json=ISSUE))
    assert found["clauses"] == ["2.2③"]
    assert channel in found["decision"]
    assert found["activity"] == "examples.shop.activities.newsletter.warn_lead"
    assert mailer.sent == []


@pytest.mark.parametrize("path", ["without-carry", "without-purpose/1", "purpose-in-a-dependency/1", "hand-out/1"])
def test_no_purpose_is_our_own_fault(people, path):
    found = problem(people.get(f"/mistakes/{path}"), 500)
    assert found["title"] == "no purpose"
    assert "outside any purpose" in found["detail"]


def test_the_cache_asks_before_it_answers(people):
    assert people.get("/telemetry/Shield/crashes").status_code == 200
    problem(people.get("/mistakes/promote-from-summary?product=Shield"))
    assert people.get("/telemetry/Shield/crashes").status_code == 200


def test_a_card_without_a_field_is_still_a_customer(people):
    with guard.purpose(tm.RenewalGuidance):
        card = repository.customer(1)
        assert card.model_dump()["name"] == "Aiko Mori"
    assert isinstance(card, Customer)
    assert card.contracts[0].product == "Shield"
    with pytest.raises(pg.PurposeViolation) as caught:
        _ = card.devices
    assert caught.value.field == "devices"
    assert "laptop-a" not in repr(card) + str(caught.value)
    assert "Aiko" not in repr(card) + str(card)


def test_a_card_withholds_what_is_sealed_as_well_as_what_is_plain(people):
    with guard.purpose(tm.WebFeedback):
        card = repository.customer(1)
        assert card.model_dump() == {"id": 1, "contracts": [{}, {}]}
        with pytest.raises(pg.PurposeViolation) as caught:
            _ = card.phone
    assert caught.value.field == "phone"


def test_figures_of_few_customers_are_refused_without_saying_how_few(people):
    found = problem(people.get("/telemetry/Shield/figures"), 409)
    assert found["title"] == "too few persons"
    assert "5" in found["detail"]
    none = problem(people.get("/telemetry/Nothing/figures"), 409)
    assert none == found


def test_the_declared_percentage_looks_after_itself(people):
    runs = Personal([Run(1, "crash", 0.1)] * 20, tm.ProductData)
    with pytest.raises(TooFewSubjects):
        telemetry.crash_percent(runs)


def test_the_purpose_of_an_export_does_not_hold_in_its_consumer(people):
    lines = telemetry.export_slow_events("Shield", 0.0)
    assert "laptop-a" in next(lines)
    with pytest.raises(pg.PurposeMissing):
        _ = guard.current
    assert len(list(lines)) == 1


def test_mail_is_not_sent_once_its_activity_has_ended(people):
    with guard.purpose(tm.RenewalGuidance) as use:
        mailing = Mailing(use)
        mailing.to_each(repository.customer_contacts(), "Hello", "Hello")
    with pytest.raises(pg.PurposeMissing):
        OutboxMailer().send(mailing)
    assert people.get("/outbox").json() == []


def test_a_refusal_in_the_middle_of_a_batch_sends_nothing_and_is_recorded(people):
    with guard.purpose(tm.RenewalGuidance) as use:
        leads: Any = repository.lead_contacts()  # with their own type a type checker refuses this test
        mailing = Mailing(use)
        mailing.to_each(repository.customer_contacts(), "Hello", "Hello")
        mailing.to_each(leads, "Hello", "Hello")
        with pytest.raises(pg.PurposeViolation):
            OutboxMailer().send(mailing)
    assert people.get("/outbox").json() == []
    page = people.get("/privacy/ledger").json()
    assert [(one["sources"], one["purpose"]) for one in page["denials"]] == [("2.1(a)", "1.2(1)①")]
    assert page["uses"] == []
