"""What the shop's ledger holds: denials, reclassifications and counts, and nobody's name."""

from __future__ import annotations

import logging

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from examples.shop import audit
from examples.shop.activities import telemetry, visits
from examples.shop.app import create_app
from examples.shop.privacy import governance, guard
from purposeguard.errors import LedgerBroken, StoreUnavailable
from purposeguard.runtime.observer import ObservedLog

MODULE = "examples.shop.activities.telemetry"


def test_it_holds_denials_and_counts(people):
    people.post("/renewals/reminders", json={"due_before": "2030-02-01"})
    people.get("/mistakes/promote-from-summary?product=Shield")
    people.post("/mistakes/promote-upgrade?product=Shield")
    people.get("/mistakes/without-purpose/1")
    page = people.get("/privacy/ledger").json()
    assert [(one["error"], one["purpose"], one["sources"], one["observed"]) for one in page["denials"]] == [
        ("PurposeViolation", "1.2(1)②", "1.1(b)", False),
        ("PurposeViolation", "1.2(1)②", "1.1(b)", False),
        ("PurposeMissing", None, None, False),
    ]
    assert page["denials"][0]["function"] == "examples.shop.repository.crash_counts"
    assert page["denials"][1]["function"] is None  # a seal was to be opened, wherever it came from
    assert page["denials"][1]["activity"] == "examples.shop.routes.mistakes.promote_upgrade"
    assert page["uses"] == [
        {
            "activity": "examples.shop.activities.mail.remind_of_renewal",
            "purpose": "1.2(1)①",
            "sources": "1.1(a) 1.1(c)",
            "count": 1,
        }
    ]
    assert page["reclassified"] == page["noted"] == []


def test_it_gives_the_newest_denials(people):
    people.post("/mistakes/promote-upgrade?product=Shield")
    people.get("/mistakes/without-purpose/1")
    (newest,) = people.get("/privacy/ledger?most=1").json()["denials"]
    assert newest["error"] == "PurposeMissing"


def test_each_figure_that_leaves_is_a_row_of_its_own_kind(five_customers):
    five_customers.get("/telemetry/Shield/figures")
    page = five_customers.get("/privacy/ledger").json()
    assert [one["name"].rpartition(": ")[2] for one in page["reclassified"]] == [
        "mean over at least 5 subjects",
        "count over at least 5 subjects",
        f"{MODULE}.crash_percent",
    ]
    for one in page["reclassified"]:
        assert one["activity"] == f"{MODULE}.figures"
        assert (one["sources"], one["to"]) == ("1.1(b)", "not-personal")
        assert one["approver"] == "data protection officer"
        assert "the runs of many customers tells of none of them" in one["why"]
    assert page["uses"] == [
        {"activity": "examples.shop.routes.work.figures", "purpose": "1.2(2)②", "sources": "not-personal", "count": 3}
    ]
    assert page["denials"] == []


def test_it_gives_the_newest_reclassifications(five_customers):
    five_customers.get("/telemetry/Shield/figures")
    (newest,) = five_customers.get("/privacy/ledger?most=1").json()["reclassified"]
    assert newest["name"] == f"{MODULE}.crash_percent"


def test_a_figure_of_too_few_was_looked_for_as_well(people):
    assert people.get("/telemetry/Shield/figures").status_code == 409
    (told,) = people.get("/privacy/ledger").json()["reclassified"]
    assert told["name"] == "published figures: mean over at least 5 subjects"


def test_a_figure_that_cannot_be_recorded_is_not_given(five_customers):
    governance.close()
    with pytest.raises(StoreUnavailable):
        telemetry.figures("Shield")


def test_what_cannot_be_known_to_be_allowed_is_not_done(people, mailer):
    governance.close()
    response = people.post("/newsletters/security", json={"subject": "News", "body": "Please update."})
    assert (response.status_code, response.json()["title"]) == (503, "not known now")
    assert mailer.sent == []


def test_the_ledger_is_whole_and_says_where_it_is_not(people):
    people.post("/mistakes/promote-upgrade?product=Shield")
    people.get("/mistakes/without-purpose/1")
    assert people.get("/privacy/ledger/verdict").json()["entries"] == 2
    with governance.store.writing() as connection:
        connection.execute(text("UPDATE purposeguard_ledger SET kind = 'use' WHERE seq = 1"))
    broken = people.get("/privacy/ledger/verdict")
    assert (broken.status_code, broken.json()["detail"]) == (500, "the service is at fault (LedgerBroken)")
    with pytest.raises(LedgerBroken, match="entry 1"):
        audit.verify_ledger()


def test_counts_survive_a_restart(settings):
    with TestClient(create_app(settings)):
        visits.traffic()
    with TestClient(create_app(settings)) as again:
        uses = again.get("/privacy/ledger").json()["uses"]
    assert [(one["activity"], one["sources"], one["count"]) for one in uses] == [
        ("examples.shop.activities.visits.traffic", "2.3", 1)
    ]


def test_what_is_observed_is_recorded_and_done(people, caplog, monkeypatch):
    (log,) = (observer for observer in guard.engine.observers if isinstance(observer, ObservedLog))
    monkeypatch.setattr(log, "_logged", set())  # Only the first is logged, and other tests may have caused it.
    with caplog.at_level(logging.WARNING, "purposeguard"):
        assert people.get("/visits/compared-with-leads").status_code == 200
    (line,) = [record.getMessage() for record in caplog.records if record.name == "purposeguard"]
    assert "cookie (2.3)" in line
    (denial,) = people.get("/privacy/ledger").json()["denials"]
    assert denial["observed"]
    assert (denial["purpose"], denial["sources"]) == ("2.2⑧", "2.3")
