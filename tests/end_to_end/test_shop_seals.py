"""Personal data of the shop comes out where its purpose allows, and in no error, log or ledger."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import date

import pytest
from sqlalchemy.exc import SQLAlchemyError

from examples.shop import database, repository
from examples.shop.activities import mail
from examples.shop.mailer import Mailing, OutboxMailer
from examples.shop.privacy import guard
from purposeguard.notices import trendmicro_jp as tm

PERSONAL = ("aiko", "chie", "daichi", "example.com", "000-1111", "laptop-a", "so slow", "192.0.2")
ISSUE = {"subject": "News", "body": "Please update."}
WARRANT = {"customer_id": 1, "number": "1/2025", "approver": "legal"}

# What is asked, and what of all that the shop knows its answer may hold.
ANSWERS = [
    ("POST", "/renewals/reminders", {"due_before": "2030-02-01"}, ()),
    ("GET", "/renewals/customers/1", None, ("aiko", "example.com", "000-1111")),
    ("POST", "/newsletters/security", ISSUE, ()),
    ("POST", "/newsletters/products", ISSUE, ()),
    ("POST", "/newsletters/advertisements", {"product": "Shield"}, ()),
    ("POST", "/leads/1/warnings?channel=email", ISSUE, ()),
    ("GET", "/telemetry/crashes?product=Shield", None, ()),
    ("GET", "/telemetry/Shield/crashes", None, ()),
    ("GET", "/telemetry/Shield/figures", None, ()),
    ("GET", "/telemetry/Shield/slow-events", None, ("laptop-a",)),
    ("GET", "/customers/1/devices", None, ("laptop-a",)),
    ("GET", "/visits/traffic", None, ()),
    ("GET", "/visits/of-customers", None, ("aiko",)),
    ("GET", "/visits/compared-with-leads", None, ()),
    ("GET", "/support/inquiries", None, ("chie", "daichi", "example.com")),
    ("POST", "/support/inquiries/1/answer", {"text": "Yes."}, ()),
    ("POST", "/support/customers/1/answer", {"text": "Sorry."}, ()),
    ("GET", "/outbox", None, ()),
    ("GET", "/privacy/ledger", None, ()),
    ("GET", "/privacy/inventory", None, ()),
    ("GET", "/privacy/notice/2025-04-01/changes", None, ()),
    ("GET", "/privacy/subjects/customer:1/disclosure?by=clerk", None, ()),
    (
        "GET",
        "/privacy/subjects/customer:1/disclosure?by=clerk&values=true",
        None,
        ("aiko", "example.com", "000-1111", "laptop-a", "so slow", "192.0.2"),
    ),
    ("POST", "/privacy/warrants", WARRANT, ("aiko", "example.com", "000-1111", "laptop-a")),
]

# What is asked, and the status: of slips of colleagues, and of requests that are not as they should be.
ERRORS = [
    ("POST", "/mistakes/promote-upgrade?product=Shield", None, 403),
    ("POST", "/mistakes/answer/3", None, 403),
    ("GET", "/mistakes/promote-from-summary?product=Shield", None, 403),
    ("GET", "/mistakes/look-for-a-fault/1", None, 200),
    ("GET", "/mistakes/hand-out/1", None, 500),
    ("POST", "/mistakes/hand-over-elsewhere/1", None, 403),
    ("GET", "/mistakes/without-carry", None, 500),
    ("GET", "/mistakes/without-purpose/1", None, 500),
    ("GET", "/mistakes/purpose-in-a-dependency/1", None, 500),
    ("POST", "/leads/1/warnings?channel=phone", ISSUE, 403),
    ("POST", "/support/inquiries/3/answer", {"text": "Yes."}, 404),
    ("POST", "/customers", {"name": "Aiko Mori", "email": "aiko at example.com", "contracts": []}, 422),
    ("POST", "/customers", {"name": "Aiko Mori", "phone": "000-1111"}, 422),
    ("POST", "/customers", ["aiko@example.com"], 422),
    ("POST", "/customers", "aiko@example.com", 422),
    ("POST", "/leads", {"name": "Chie Sato", "email": "chie@example.com", "chie@example.com": 1}, 422),
    ("POST", "/prospects", {"name": {"first": "Daichi"}, "email": "daichi@example.com"}, 422),
    ("POST", "/telemetry", [{"customer_id": 1, "device": "laptop-a"}], 422),
    ("POST", "/telemetry", [{"device": "laptop-a"}] * 1001, 422),
    ("POST", "/visits", {"cookie": "c", "ip": "192.0.2.7"}, 422),
    ("POST", "/inquiries", {"customer_id": 1, "lead_id": 1, "text": "So slow!"}, 422),
    ("GET", "/renewals/customers/aiko@example.com", None, 422),
    ("GET", "/privacy/subjects/aiko@example.com/disclosure?by=clerk", None, 422),
    ("POST", "/privacy/requests", {"kind": "erasure", "subject": "aiko@example.com"}, 422),
    ("POST", "/privacy/requests", {"kind": "erasure", "subject": "customer:1", "purposes": ["x"]}, 409),
    ("POST", "/leads/1/warnings?channel=000-1111", ISSUE, 422),
]


def shown(text: str) -> tuple[str, ...]:
    return tuple(word for word in PERSONAL if word in text.lower())


@pytest.fixture
def told(caplog, monkeypatch):
    """All that is logged, at any level. Rows that the database gives are not yet sealed, so its driver stays quiet."""
    monkeypatch.setattr(logging.getLogger("sqlalchemy"), "level", logging.INFO)
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.mark.parametrize("call", ANSWERS, ids=lambda call: f"{call[0]} {call[1]}")
def test_each_answer_holds_what_its_purpose_allows_and_no_more(five_customers, mailer, told, call):
    method, path, body, allowed = call
    response = five_customers.request(method, path, json=body)
    assert response.status_code == 200, response.text
    assert shown(response.text) == allowed
    assert shown(told.text) == ()


@pytest.mark.parametrize(
    "call", [pytest.param(call, id=f"{number} {call[0]} {call[1]}") for number, call in enumerate(ERRORS)]
)
def test_no_error_shows_personal_data_in_its_answer_the_log_or_the_ledger(people, told, call):
    method, path, body, status = call
    asked = shown(path)
    response = people.request(method, path, json=body)
    assert response.status_code == status, response.text
    assert shown(response.text) == ()
    ledger = people.get("/privacy/ledger").text
    assert shown(ledger) == ()
    assert shown(told.text) == asked  # the test's own client logs the address that it asked for


def test_what_is_not_valid_is_said_by_field_and_rule(people):
    response = people.post("/leads", json={"name": "Chie Sato", "email": "chie", "chie@example.com": 1})
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["faults"] == [
        {"where": "body.email", "fault": "sealed_value"},
        {"where": "body", "fault": "extra_forbidden"},
    ]


def test_an_error_of_the_database_does_not_tell_what_was_to_be_written(people):
    database.Base.metadata.tables["outbox"].drop(database.Session.kw["bind"])
    with pytest.raises(SQLAlchemyError) as caught:
        people.post("/renewals/reminders", json={"due_before": "2030-02-01"})
    reported = "".join(traceback.format_exception(caught.value))
    assert "INSERT INTO outbox" in reported
    assert shown(reported) == ()


def test_a_seal_that_is_printed_or_logged_shows_its_clause(people, caplog):
    seen = people.get("/mistakes/look-for-a-fault/1").json()
    assert seen["printed"] == "<sealed 1.1(a)>, name=<sealed 1.1(a)> email=<sealed 1.1(a)>"
    assert seen["as JSON"].startswith("SealedValue: ")
    assert seen["in capitals"].startswith("SealedAttribute: a sealed value has no `upper`")
    assert seen["compared"].startswith("SealedValue: ")
    assert seen["guessed right"] == "False"
    assert seen["why a map failed"].startswith("SealedValue: `int`, given to `map`, failed with ValueError")
    assert [record.getMessage() for record in caplog.records if record.name == "examples.shop.routes.mistakes"] == [
        "mailing <sealed 1.1(a)>, that is CustomerContact(name=<sealed 1.1(a)>, email=<sealed 1.1(a)>)"
    ]


def test_an_answer_is_written_as_its_purpose_has_it(people):
    with guard.purpose(tm.RenewalGuidance):
        card = repository.customer(1).model_dump_json()
    assert json.loads(card) == people.get("/renewals/customers/1").json()


def test_a_mailing_keeps_addresses_and_texts_sealed_until_it_is_sent(people):
    with guard.purpose(tm.RenewalGuidance, channel="email") as use:
        mailing = Mailing(use)
        for one in repository.renewals(date(2032, 1, 1)):
            mail._remind(mailing, one)
        assert shown(repr(vars(mailing))) == ()
        assert "<sealed 1.1(a), 1.1(c)>" in repr(vars(mailing))
        OutboxMailer().send(mailing)
    assert people.get("/outbox").json()[0]["messages"] == 2
