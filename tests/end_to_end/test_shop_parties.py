"""What the shop hands to others (clauses 4 to 6), and what a later revision of its notice stops (clause 11)."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

import purposeguard as pg
from examples.shop import database, repository, revisions
from examples.shop.activities import laboratory as work
from examples.shop.app import create_app
from examples.shop.privacy import governance, guard
from purposeguard.errors import StoreUnavailable
from purposeguard.notices import trendmicro_jp as tm

ISSUE = {"subject": "News", "body": "Please update."}
HAND_OVER = "/customers/1/crashes/hand-over"


def uploaded():
    with database.Session() as session:
        return session.scalars(select(database.UploadRow.line)).all()


def provisions(people, subject="customer:1"):
    return people.get(f"/privacy/subjects/{subject}/disclosure?by=clerk").json()["provisions"]


def test_crashes_go_to_the_laboratory_and_that_is_in_the_report(people, laboratory):
    assert people.post(HAND_OVER).json() == {"reports": 1}
    (line,) = uploaded()
    assert "phone-b" in line
    (given,) = provisions(people)
    assert given.pop("at")
    assert given == {
        "recipient": "Crash Laboratory",
        "kind": "Affiliate abroad",
        "country": "TW",
        "country_title": "Taiwan",
        "means": "Cloud storage",
        "purpose": "1.2(2)②",
        "purpose_title": tm.ProductImprovement.title["en"],
        "sources": ["1.1(b)"],
    }
    assert provisions(people, "customer:2") == provisions(people, "lead:1") == []
    noted = [one for one in people.get("/privacy/ledger").json()["noted"] if one["kind"] == "provision"]
    assert [(one["says"]["recipient"], one["says"]["clauses"]) for one in noted] == [("crash-lab", ["4", "5", "6.2"])]


def test_no_crash_is_no_hand_over(people, laboratory):
    people.post("/customers", json={"name": "B", "email": "b@example.com", "contracts": []})
    assert people.post("/customers/2/crashes/hand-over").json() == {"reports": 0}
    assert provisions(people, "customer:2") == []


def test_nothing_goes_to_who_is_not_on_the_register(people):
    response = people.post(HAND_OVER)
    assert (response.status_code, response.json()["title"]) == (422, "unknown")
    assert uploaded() == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"country": "BR"}, "clause 5 names no country BR", id="country"),
        pytest.param({"since": "2999-01-01"}, "its first safeguard on record begins on 2999-01-01", id="contract"),
        pytest.param({"kind": "friend"}, "clause 4 entrusts data to", id="kind"),
    ],
)
def test_nothing_goes_where_the_notice_does_not_let_it(people, described, change, reason):
    people.put("/privacy/recipients/crash-lab", json={**described, **change})
    response = people.post(HAND_OVER)
    assert (response.status_code, response.json()["title"]) == (403, "not to this recipient")
    assert reason in response.json()["reasons"][0]
    assert uploaded() == []
    assert provisions(people) == []


def test_a_cheaper_laboratory_elsewhere_is_refused(people):
    problem = people.post("/mistakes/hand-over-elsewhere/1").json()
    assert (problem["status"], problem["title"]) == (403, "not to this recipient")
    assert problem["reasons"] == ["clause 5 names no country BR, and any that it does not name is refused"]
    (denial,) = people.get("/privacy/ledger").json()["denials"]
    assert denial["error"] == "RecipientViolation"
    assert provisions(people) == []


@pytest.mark.parametrize("kind", ["stop-of-provision", "suspension-of-use", "erasure"])
def test_of_who_stopped_it_nothing_is_handed_over(people, laboratory, ask, kind):
    ask(kind, "customer:1")
    response = people.post(HAND_OVER)
    assert response.status_code == 403
    assert "(clause 7)" in response.json()["reasons"][0]
    assert uploaded() == []
    assert provisions(people) == []


def test_who_stopped_provision_is_still_served(people, laboratory, ask, mailer):
    ask("stop-of-provision", "customer:1")
    assert people.post("/renewals/reminders", json={"due_before": "2030-02-01"}).json()["customers"] == 1


def test_nothing_is_handed_over_that_cannot_be_recorded(people, laboratory):
    with guard.purpose(tm.ProductImprovement):
        events = repository.events_of(1)
        governance.close()
        with pytest.raises(StoreUnavailable):
            work.upload(events)
    assert uploaded() == []


def test_a_recipient_is_described_as_clauses_4_to_6_ask(people, laboratory):
    for missing in laboratory:
        body = {name: value for name, value in laboratory.items() if name != missing}
        assert people.put("/privacy/recipients/crash-lab", json=body).status_code == 422
    tomorrow = {**laboratory, "supervised_on": "2999-01-01"}
    assert people.put("/privacy/recipients/crash-lab", json=tomorrow).status_code == 422


NARROWER = {"revision": "2025-04-01"}
PUBLISHED = {"revision": "2024-04-01"}


def test_a_revision_that_narrows_stops_what_it_says(people, mailer):
    changes = people.get("/privacy/notice/2025-04-01/changes").json()
    assert changes["Narrowed"] == ["web-product-guidance (2.2①) may no longer use website (2.1)"]
    assert "Widened" not in changes
    assert any("send_product_newsletter" in one and "lead_contacts" in one for one in changes["Stops in the shop"])
    assert people.put("/privacy/notice", json=NARROWER).json() == NARROWER
    refused = people.post("/newsletters/products", json=ISSUE)
    assert (refused.status_code, refused.json()["sources"]) == (403, ["2.1(a)"])
    assert "website users are not told of products any more" in refused.json()["reasons"][0]
    assert mailer.sent == []
    for path, body in (("/newsletters/security", ISSUE), ("/renewals/reminders", {"due_before": "2030-02-01"})):
        assert people.post(path, json=body).status_code == 200


def test_what_is_said_to_go_on_goes_on(people, mailer):
    people.put("/privacy/notice", json=NARROWER)
    people.put("/privacy/notice", json=PUBLISHED)
    assert people.get("/privacy/notice").json() == PUBLISHED
    assert len(guard.history) == 1
    assert people.post("/newsletters/products", json=ISSUE).json() == {"customers": 1, "leads": 1, "prospects": 1}


def test_data_of_either_revision_is_narrowed(people):
    people.put("/privacy/notice", json=NARROWER)
    for collected in (revisions.PUBLISHED, revisions.REVISIONS[max(revisions.REVISIONS)].revision):
        about = pg.RowContext("lead:1", collected=collected)
        assert not guard.allows(tm.WebContact, tm.WebProductGuidance, subject=about)
        assert guard.allows(tm.WebContact, tm.WebSecurityMail, subject=about)


def test_requests_and_reports_go_on_under_the_next_revision(people, ask, mailer):
    people.put("/privacy/notice", json=NARROWER)
    ask("suspension-of-use", "customer:1", ["AnySecurityInformation"])
    people.put("/privacy/notice", json=PUBLISHED)
    assert people.post("/newsletters/security", json=ISSUE).json()["customers"] == 0


def test_what_a_revision_changes_is_said_whichever_is_in_force(people):
    before = people.get("/privacy/notice/2025-04-01/changes").json()
    people.put("/privacy/notice", json=NARROWER)
    assert people.get("/privacy/notice/2025-04-01/changes").json() == before
    first = people.get("/privacy/notice/2024-04-01/changes").json()
    assert not {"Narrowed", "Widened", "Stops in the shop"} & set(first)


def test_a_revision_that_nobody_knows(people):
    assert people.put("/privacy/notice", json={"revision": "2001-01-01"}).status_code == 404
    assert people.get("/privacy/notice/2001-01-01/changes").status_code == 404
    assert people.get("/privacy/notice").json() == PUBLISHED


def test_a_restart_begins_with_the_published_revision(settings):
    with TestClient(create_app(settings)) as shop:
        shop.put("/privacy/notice", json=NARROWER)
    with TestClient(create_app(settings)) as again:
        assert again.get("/privacy/notice").json() == PUBLISHED


def test_requests_survive_a_restart(settings, mailer):
    with TestClient(create_app(settings)) as shop:
        shop.post("/leads", json={"name": "Chie", "email": "chie@example.com"})
        governance.restrict("lead:1")
    with TestClient(create_app(settings)) as again:
        assert again.post("/newsletters/security", json=ISSUE).json()["leads"] == 0
