"""What the shop refuses, what it answers then, and what its ledger holds of it."""

from __future__ import annotations

import logging

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import SQLAlchemyError

import purposeguard as pg
from examples.shop import database
from examples.shop.activities import mail, telemetry, visits
from examples.shop.app import create_app
from examples.shop.ledger import BATCH, DatabaseLedger
from examples.shop.mailer import Message, OutboxMailer
from examples.shop.models import Customer
from examples.shop.privacy import guard
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
    assert found["clause"] == ["1.2(1)②"]
    assert found["sources"] == ["1.1(b)"]
    assert "1.1(b)" in found["decision"]
    assert found["reasons"]
    assert {"clause": "1.2(2)②", "slug": "product-improvement"} in found["alternatives"]
    assert found["activity"] == "examples.shop.routes.mistakes.promote_upgrade"
    assert mailer.sent == []


def test_a_family_is_named_with_its_clauses(people, mailer):
    found = problem(people.post("/support/inquiries/3/answer", json={"text": "Yes."}))
    assert found["purpose"] == "AnyInquiryResponse"
    assert found["clause"] == ["2.2⑥", "3.2⑦"]
    assert found["sources"] == ["1.1(a)"]
    assert found["field"] == "email"
    assert mailer.sent == []


@pytest.mark.parametrize("channel", ["phone", "post"])
def test_a_closed_purpose_refuses_other_channels(people, mailer, channel):
    found = problem(people.post(f"/leads/1/warnings?channel={channel}", json=ISSUE))
    assert found["clause"] == ["2.2③"]
    assert channel in found["decision"]
    assert mailer.sent == []


@pytest.mark.parametrize("path", ["without-carry", "without-purpose/1", "purpose-in-a-dependency/1"])
def test_no_purpose_is_our_own_fault(people, path):
    found = problem(people.get(f"/mistakes/{path}"), 500)
    assert found["title"] == "no purpose"
    assert "outside any purpose" in found["detail"]


def test_the_cache_asks_before_it_answers(people):
    assert people.get("/telemetry/Shield/crashes").status_code == 200
    problem(people.get("/mistakes/promote-from-summary?product=Shield"))
    assert people.get("/telemetry/Shield/crashes").status_code == 200


def test_a_card_without_a_field_is_still_a_customer(people):
    card = mail.renewal_card(1)
    assert isinstance(card, Customer)
    assert card.contracts[0].product == "Shield"
    with pytest.raises(pg.PurposeViolation) as caught:
        _ = card.devices
    assert caught.value.field == "devices"
    assert "laptop-a" not in repr(card) + str(card.model_dump()) + str(caught.value)


def test_the_ledger_holds_denials_and_counts(people):
    people.post("/renewals/reminders", json={"due_before": "2030-02-01"})
    people.post("/mistakes/promote-upgrade?product=Shield")
    people.get("/mistakes/without-purpose/1")
    response = people.get("/privacy/ledger")
    page = response.json()
    assert [(one["error"], one["purpose"], one["sources"], one["observed"]) for one in page["denials"]] == [
        ("PurposeViolation", "1.2(1)②", "1.1(b)", False),
        ("PurposeMissing", None, None, False),
    ]
    assert page["denials"][0]["function"] == "examples.shop.repository.events"
    assert {
        "activity": "examples.shop.activities.mail.remind_of_renewal",
        "purpose": "1.2(1)①",
        "sources": "1.1(a) 1.1(c)",
        "count": 1,
    } in page["uses"]
    assert not [word for word in PERSONAL if word in response.text.lower()]


def test_the_ledger_gives_the_newest_denials(people):
    people.post("/mistakes/promote-upgrade?product=Shield")
    people.get("/mistakes/without-purpose/1")
    (newest,) = people.get("/privacy/ledger?most=1").json()["denials"]
    assert newest["error"] == "PurposeMissing"


def test_counts_survive_a_restart(settings):
    with TestClient(create_app(settings)):
        visits.traffic()
    with TestClient(create_app(settings)) as again:
        uses = again.get("/privacy/ledger").json()["uses"]
    assert [(one["activity"], one["sources"], one["count"]) for one in uses] == [
        ("examples.shop.activities.visits.traffic", "2.3", 1)
    ]


def test_what_is_observed_is_recorded_and_done(people, caplog):
    with caplog.at_level(logging.WARNING, "purposeguard"):
        assert people.get("/visits/compared-with-leads").status_code == 200
    (line,) = [record.getMessage() for record in caplog.records if record.name == "purposeguard"]
    assert "cookie (2.3)" in line
    (denial,) = people.get("/privacy/ledger").json()["denials"]
    assert denial["observed"]
    assert (denial["purpose"], denial["sources"]) == ("2.2⑧", "2.3")


def test_the_purpose_of_an_export_does_not_hold_in_its_consumer(people):
    lines = telemetry.export_slow_events("Shield", 0.0)
    assert "laptop-a" in next(lines)
    with pytest.raises(pg.PurposeMissing):
        _ = guard.current
    assert len(list(lines)) == 1


def test_mail_outside_any_activity_is_not_sent(people):
    with pytest.raises(pg.PurposeMissing):
        OutboxMailer().send([Message("aiko@example.com", "Hello", "Hello")])
    assert people.get("/outbox").json() == []


def test_a_refusal_in_the_middle_of_a_batch_sends_nothing_and_is_recorded(people):
    def messages():
        yield Message("x", "y", "z")
        with guard.purpose(tm.RenewalGuidance):
            guard.current.check(tm.ProductData)

    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation):
        OutboxMailer().send(messages())
    assert people.get("/outbox").json() == []
    assert len(people.get("/privacy/ledger").json()["denials"]) == 1


def test_counts_are_written_in_batches(people):
    ledger = DatabaseLedger()
    for _ in range(BATCH - 1):
        ledger.allowed(None, "1.2(1)①", pg.Label(tm.Contract), 2)
    assert _written("(check)") == []
    ledger.allowed(None, "1.2(1)①", pg.Label(tm.Contract), 2)
    assert _written("(check)") == [2 * BATCH]


def test_counts_that_cannot_be_written_are_kept(people, monkeypatch):
    ledger = DatabaseLedger()
    ledger.allowed("a", "2.3①", pg.Label(tm.Cookie), 3)
    database.Base.metadata.tables["uses"].drop(database.Session.kw["bind"])
    with pytest.raises(SQLAlchemyError):
        ledger.flush()
    database.Base.metadata.create_all(database.Session.kw["bind"])
    ledger.flush()
    assert _written("a") == [3]


def _written(activity):
    with database.Session() as session:
        return [row.count for row in session.query(database.UseRow).where(database.UseRow.activity == activity)]


def test_newsletters_name_their_channel(shop: TestClient) -> None:  # its ledger writes the refusals down
    with pytest.raises(pg.ChannelViolation):
        guard.purpose(tm.AnySecurityInformation)
