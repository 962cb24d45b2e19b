"""What people ask the shop for, and that it is kept to: clause 7, over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest

import purposeguard as pg
from examples.shop import repository
from examples.shop.activities import telemetry, warrants
from examples.shop.mailer import Mailing, MemoryMailer
from examples.shop.models import Warrant
from examples.shop.privacy import governance, guard
from examples.shop.routes.work import get_mailer
from purposeguard.notices import trendmicro_jp as tm

ISSUE = {"subject": "News", "body": "Please update."}
STOP = "suspension-of-use"


def to(mailer):
    return [message.to for message in mailer.sent]


def test_an_opt_out_takes_effect_on_the_next_mail(people, mailer, ask):
    assert people.post("/newsletters/security", json=ISSUE).json() == {"customers": 1, "leads": 1, "prospects": 1}
    answer = ask(STOP, "customer:1", ["security-information"])
    assert answer["request"]["purposes"] == ["1.2(2)④"]
    assert answer["request"]["state"] == "fulfilled"
    mailer.sent.clear()
    assert people.post("/newsletters/security", json=ISSUE).json() == {"customers": 0, "leads": 1, "prospects": 1}
    assert to(mailer) == ["chie@example.com", "daichi@example.com"]


def test_what_was_not_asked_to_stop_goes_on(people, mailer, ask):
    ask(STOP, "customer:1", ["security-information"])
    assert people.post("/newsletters/products", json=ISSUE).json()["customers"] == 1
    assert people.post("/renewals/reminders", json={"due_before": "2030-02-01"}).json()["customers"] == 1


def test_nothing_stops_before_it_is_fulfilled(people, mailer):
    people.post("/privacy/requests", json={"kind": STOP, "subject": "customer:1"})
    people.post("/privacy/requests/1/verify", json={"how": "called back", "by": "clerk"})
    assert people.post("/newsletters/security", json=ISSUE).json()["customers"] == 1


@dataclass(kw_only=True)
class Interrupted(MemoryMailer):
    """Somebody else's request comes in when the letters are written, and not sent yet."""

    meanwhile: Callable[[], object]

    def send(self, mailing, /):
        other = threading.Thread(target=self.meanwhile)
        other.start()
        other.join()
        super().send(mailing)


@pytest.mark.parametrize("path", ["/newsletters/security", "/newsletters/products"])
def test_an_opt_out_while_a_mailing_is_written_holds_for_that_mailing(people, app, ask, path):
    mailer = Interrupted(meanwhile=lambda: ask(STOP, "lead:1"))
    app.dependency_overrides[get_mailer] = lambda: mailer
    assert people.post(path, json=ISSUE).json() == {"customers": 1, "leads": 0, "prospects": 1}
    assert to(mailer) == ["aiko@example.com", "daichi@example.com"]


def test_a_reminder_that_is_written_is_not_sent_to_who_opted_out_meanwhile(people, app, ask):
    mailer = Interrupted(meanwhile=lambda: ask(STOP, "customer:1", ["renewal-guidance"]))
    app.dependency_overrides[get_mailer] = lambda: mailer
    assert people.post("/renewals/reminders", json={"due_before": "2032-01-01"}).json()["customers"] == 0
    assert mailer.sent == []


def test_an_opt_out_between_the_last_look_and_the_opening_sends_nothing(people, monkeypatch):
    with guard.purpose(tm.RenewalGuidance) as use:
        mailing = Mailing(use)
        mailing.to_each(repository.customer_contacts(), "Hello", "Hello")

        def stopped(_letter):
            governance.restrict("customer:1")
            return False

        monkeypatch.setattr(mailing, "_is_stopped", stopped)
        with pytest.raises(pg.SubjectViolation):
            mailing.open_letters()


def test_a_single_row_is_refused_by_clause_7(people, mailer, ask):
    ask(STOP, "lead:1", ["AnySecurityInformation"])
    response = people.post("/leads/1/warnings?channel=email", json=ISSUE)
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["title"] == "the person asked for it to stop, or never agreed"
    assert problem["clauses"] == ["2.2③"]
    assert "(clause 7)" in problem["reasons"][0]
    assert "lead:1" not in response.text
    (denial,) = people.get("/privacy/ledger").json()["denials"]
    assert (denial["error"], denial["purpose"], denial["sources"]) == ("SubjectViolation", "2.2③", "2.1(a)")
    assert mailer.sent == []


def test_of_one_who_stopped_all_use_nothing_is_read_anywhere(five_customers, mailer, ask):
    ask(STOP, "customer:1")
    get = five_customers.get
    assert get("/telemetry/Shield/crashes").json() == {"product": "Shield", "events": 4, "crashes": 0}
    assert get("/telemetry/Shield/slow-events").text.count("laptop-a") == 0
    assert get("/telemetry/Shield/figures").status_code == 409  # four customers are too few
    assert get("/visits/traffic").json() == [{"page": "/pricing", "visits": 1}]
    assert get("/visits/of-customers").json() == []
    card = get("/renewals/customers/1").json()
    assert not {"name", "email", "phone", "devices"} & set(card)
    assert get("/customers/1/devices").status_code == 403
    assert five_customers.post("/renewals/reminders", json={"due_before": "2032-01-01"}).json()["customers"] == 0
    assert mailer.sent == []


def test_an_inquiry_of_who_stopped_its_answer_is_withheld(people, mailer, ask):
    ask(STOP, "lead:1", ["AnyInquiryResponse"])
    inquiries = people.get("/support/inquiries").json()
    assert [one.get("lead") for one in inquiries] == [{}, None, None]
    assert people.post("/support/inquiries/1/answer", json={"text": "Yes."}).status_code == 403
    assert people.post("/support/inquiries/2/answer", json={"text": "Yes."}).json() == {"sent": 1}


def test_what_lies_in_the_cache_is_asked_for_again(people, ask):
    assert people.get("/telemetry/Shield/crashes").json()["crashes"] == 1
    ask(STOP, "customer:1", ["product-improvement"])
    assert people.get("/telemetry/Shield/crashes").json()["crashes"] == 0
    assert people.get("/telemetry/crashes?product=Shield").json()[0]["crashes"] == 0


def test_an_export_leaves_out_who_opts_out_while_it_runs(five_customers, ask):
    lines = telemetry.export_slow_events("Shield", 0.0)
    assert "laptop-a" in next(lines)
    ask(STOP, "customer:5")
    rest = "".join(lines)
    assert "d-4" in rest
    assert "d-5" not in rest


def test_requests_go_one_way(people):
    path = "/privacy/requests"
    assert people.post(path, json={"kind": "erasure", "subject": "customer:1"}).status_code == 201
    clerk = {"by": "clerk"}
    early = people.post(f"{path}/1/fulfil", json=clerk)
    assert (early.status_code, early.json()["title"]) == (409, "not with this request now")
    assert people.post(f"{path}/1/verify", json={"how": "passport", **clerk}).json()["state"] == "verified"
    assert people.post(f"{path}/1/fulfil", json=clerk).json()["request"]["state"] == "fulfilled"
    assert people.post(f"{path}/1/fulfil", json=clerk).status_code == 409
    assert people.post(f"{path}/2/fulfil", json=clerk).status_code == 409
    assert people.post("/support/customers/1/answer", json={"text": "?"}).status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({"kind": "a-wish"}, 409, id="kind"),
        pytest.param({"kind": STOP, "purposes": ["mind-reading"]}, 422, id="purpose"),
        pytest.param({"kind": "erasure", "purposes": ["renewal-guidance"]}, 409, id="erasure-for-some-purposes"),
        pytest.param({"kind": STOP, "subject": "aiko@example.com"}, 422, id="subject"),
        pytest.param({"kind": STOP, "requester": "neighbour"}, 422, id="requester"),
        pytest.param({"kind": " "}, 422, id="blank"),
    ],
)
def test_requests_that_make_no_sense_are_refused(people, body, status):
    response = people.post("/privacy/requests", json={"subject": "customer:1", **body})
    assert response.status_code == status, response.text
    assert "aiko" not in response.text
    assert people.get("/privacy/ledger").json()["noted"] == []


def report(people, subject="customer:1", query="", **options):
    response = people.get(f"/privacy/subjects/{subject}/disclosure?by=clerk{query}", **options)
    assert response.status_code == 200, response.text
    return response


def held(found):
    return {
        one["name"]: sorted(
            {source for record in one["records"] for item in record["items"] for source in item["sources"]}
        )
        for one in found["holdings"]
        if one["records"]
    }


def test_a_report_lists_all_that_is_held_of_one_person(people):
    assert held(report(people).json()) == {
        "customer": ["1.1(a)", "1.1(b)", "1.1(c)"],
        "telemetry": ["1.1(b)"],
        "visits": ["2.3"],
        "inquiries": ["1.1(a)"],
    }
    assert held(report(people, "lead:1").json()) == {
        "lead": ["2.1(a)", "2.1(b)", "2.1(c)"],
        "inquiries": ["2.1(a)", "2.1(c)"],
    }
    assert held(report(people, "prospect:1").json()) == {
        "prospect": ["3.1(a)", "3.1(b)", "3.1(c)"],
        "inquiries": ["3.1(a)", "3.1(c)"],
    }
    assert held(report(people, "customer:9").json()) == {}


def test_a_report_shows_values_only_where_it_is_asked_to(people):
    assert "aiko" not in report(people).text.lower()
    text = report(people, query="&values=true").text
    for value in ("Aiko Mori", "aiko@example.com", "000-1111", "laptop-a", "Shield", "192.0.2.7", "So slow!"):
        assert value in text
    for other in ("chie", "daichi"):
        assert other not in text.lower()


def test_a_report_is_made_of_one_who_stopped_all_use(people, ask):
    ask(STOP, "customer:1")
    found = report(people, query="&values=true").json()
    assert held(found)["customer"] == ["1.1(a)", "1.1(b)", "1.1(c)"]
    assert [(one["kind"], one["purposes"]) for one in found["restrictions"]] == [(STOP, None)]
    assert all(one["suspended"] for one in found["purposes"])


def test_a_report_is_json_or_a_page(people):
    assert report(people).headers["content-type"] == "application/json"
    page = report(people, query="&language=ja&values=true", headers={"accept": "text/html,*/*"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.startswith("<!DOCTYPE html>")
    assert "Aiko Mori" in page.text
    assert "氏名" in page.text


def test_a_report_is_on_record_and_names_nobody(people):
    report(people, query="&values=true")
    noted = people.get("/privacy/ledger").json()["noted"]
    assert {one["kind"] for one in noted} == {"exception"}
    assert {one["says"]["approver"] for one in noted} == {"clerk"}
    assert "aiko" not in str(noted).lower()
    assert "customer:1" not in str(noted)


def test_a_report_needs_somebody_who_answers_for_it(people):
    assert people.get("/privacy/subjects/customer:1/disclosure").status_code == 422
    assert people.get("/privacy/subjects/somebody/disclosure?by=clerk").status_code == 422


def test_a_request_for_disclosure_is_answered_with_the_report(people, ask):
    answer = ask("disclosure", "lead:1")
    assert answer["stopped_at"] is None
    assert answer["report"]["subject"] == "lead:1"
    assert answer["report"]["request"] == 1
    assert held(answer["report"])["lead"] == ["2.1(a)", "2.1(b)", "2.1(c)"]


def test_a_warrant_opens_what_its_person_stopped(people, ask):
    ask(STOP, "customer:1")
    opened = people.post("/privacy/warrants", json={"customer_id": 1, "number": "1/2025", "approver": "legal"}).json()
    assert (opened["name"], opened["devices"]) == ("Aiko Mori", ["laptop-a", "phone-b"])
    noted = [one["says"] for one in people.get("/privacy/ledger").json()["noted"] if one["kind"] == "exception"]
    assert {(one["basis"], one["reason"], one["approver"]) for one in noted} == {("law", "warrant 1/2025", "legal")}
    assert sorted({source for one in noted for source in one["sources"]}) == ["1.1(a)", "1.1(b)", "1.1(c)"]
    assert {one["subject"] for one in noted} == {governance.store.pseudonym("customer:1")}


def test_a_warrant_opens_nobody_elses_data(five_customers, monkeypatch):
    other = repository.customer
    monkeypatch.setattr(repository, "customer", lambda _key: other(2))
    opened = warrants.open_for(Warrant(customer_id=1, number="1/2025", approver="legal"))
    assert opened == {"id": 2, "phone": None, "contracts": []}  # there is no number


def test_a_warrant_for_nobody_and_one_that_nobody_approved(people):
    assert people.post("/privacy/warrants", json={"customer_id": 9, "number": "1", "approver": "x"}).status_code == 404
    assert people.post("/privacy/warrants", json={"customer_id": 1, "number": "1", "approver": ""}).status_code == 422
    assert people.get("/privacy/ledger").json()["noted"] == []
