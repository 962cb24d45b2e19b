"""Each endpoint of the shop, asked as its users would."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from examples.shop.app import create_app
from tests.end_to_end.conftest import LABORATORY

ISSUE = {"subject": "News", "body": "Please update."}

THERE = {
    "product": "Shield",
    "subject": "customer:1",
    "recipient_id": "crash-lab",
    "revision": "2025-04-01",
    "inquiry_id": "2",
}
"""What is asked for in a path: 1 where it is nothing of these, or what stands in the path itself."""

# (the endpoint as the application names it, body, status, answer or None for any)
CALLS: list[tuple[str, Any, int, Any]] = [
    ("POST /customers", {"name": "B", "email": "b@example.com", "contracts": []}, 201, {"id": 2}),
    ("POST /telemetry", [], 202, {"accepted": 0}),
    ("POST /visits", {"cookie": "c", "ip": "192.0.2.1", "browser": "b", "page": "/"}, 201, {"id": 3}),
    ("POST /leads", {"name": "B", "email": "b@example.com"}, 201, {"id": 2}),
    ("POST /prospects", {"name": "B", "email": "b@example.com"}, 201, {"id": 2}),
    ("POST /inquiries", {"lead_id": 1, "text": "?"}, 201, {"id": 4}),
    ("POST /renewals/reminders", {"due_before": "2030-02-01"}, 200, {"customers": 1, "leads": 0, "prospects": 0}),
    (
        *("GET /renewals/customers/{customer_id}", None, 200),
        {
            "id": 1,
            "name": "Aiko Mori",
            "email": "aiko@example.com",
            "phone": "000-1111",
            "contracts": [
                {"product": "Shield", "renews_on": "2030-01-20"},
                {"product": "Vault", "renews_on": "2031-05-01"},
            ],
        },
    ),
    ("POST /newsletters/security", ISSUE, 200, {"customers": 1, "leads": 1, "prospects": 1}),
    ("POST /newsletters/products", ISSUE, 200, {"customers": 1, "leads": 1, "prospects": 1}),
    ("POST /leads/{lead_id}/warnings?channel=email", ISSUE, 200, {"customers": 0, "leads": 1, "prospects": 0}),
    (
        *("GET /telemetry/crashes?product=Shield&product=Vault", None, 200),
        [{"product": "Shield", "events": 2, "crashes": 1}, {"product": "Vault", "events": 0, "crashes": 0}],
    ),
    ("GET /telemetry/{product}/crashes", None, 200, {"product": "Shield", "events": 2, "crashes": 1}),
    ("GET /telemetry/{product}/figures", None, 409, None),
    ("POST /newsletters/advertisements", {"product": "Shield"}, 409, None),
    (
        *("GET /telemetry/{product}/slow-events?at_least=5", None, 200),
        {"product": "Shield", "device": "laptop-a", "kind": "scan", "seconds": 7.5},
    ),
    ("GET /customers/{customer_id}/devices", None, 200, ["laptop-a", "phone-b"]),
    ("GET /visits/traffic", None, 200, [{"page": "/pricing", "visits": 2}]),
    ("GET /visits/of-customers", None, 200, [{"customer": "Aiko Mori", "page": "/pricing"}]),
    (
        *("GET /visits/compared-with-leads", None, 200),
        {"pages": [{"page": "/pricing", "visits": 2}], "companies": [{"company": "Sato Ltd", "leads": 1}]},
    ),
    (
        *("GET /support/inquiries", None, 200),
        [
            {"id": 1, "lead": {"name": "Chie Sato", "email": "chie@example.com", "text": "A trial?"}},
            {"id": 2, "prospect": {"name": "Daichi Abe", "email": "daichi@example.com", "text": "A quote?"}},
            {"id": 3, "customer": {}},
        ],
    ),
    ("POST /support/inquiries/{inquiry_id}/answer", {"text": "Yes."}, 200, {"sent": 1}),
    (
        *("POST /support/customers/{customer_id}/answer", {"text": "Sorry."}, 200),
        {"customers": 1, "leads": 0, "prospects": 0},
    ),
    ("GET /outbox", None, 200, []),
    ("GET /privacy/ledger", None, 200, {"denials": [], "reclassified": [], "noted": [], "uses": []}),
    ("GET /privacy/ledger/verdict", None, 200, {"entries": 0, "hash": "0" * 64}),
    ("GET /privacy/inventory", None, 200, None),
    ("POST /customers/{customer_id}/crashes/hand-over", None, 422, None),  # nobody is on the register yet
    (
        *("POST /privacy/requests", {"kind": "disclosure", "subject": "customer:1"}, 201),
        {"id": 1, "kind": "disclosure", "subject": "customer:1", "purposes": None, "state": "open"},
    ),
    ("POST /privacy/requests/{number}/verify", {"how": "called", "by": "clerk"}, 409, None),
    ("POST /privacy/requests/{number}/fulfil", {"by": "clerk"}, 409, None),
    ("GET /privacy/subjects/{subject}/disclosure?by=clerk", None, 200, None),
    ("PUT /privacy/recipients/{recipient_id}", LABORATORY, 200, LABORATORY),
    ("POST /privacy/warrants", {"customer_id": 1, "number": "1/2025", "approver": "legal"}, 200, None),
    ("GET /privacy/notice", None, 200, {"revision": "2024-04-01"}),
    ("PUT /privacy/notice", {"revision": "2025-04-01"}, 200, {"revision": "2025-04-01"}),
    ("GET /privacy/notice/{revision}/changes", None, 200, None),
    (
        *("GET /reports/renewals-due", None, 200),
        [
            {"year": 2030, "month": 1, "product": "Shield", "contracts": 1},
            {"year": 2031, "month": 5, "product": "Vault", "contracts": 1},
        ],
    ),
    ("GET /reports/crashes", None, 200, [{"year": 2030, "month": 1, "product": "Shield", "runs": 2, "crashes": 1}]),
    ("PUT /reports/contacts", None, 200, {"file": "contacts.parquet", "rows": 3}),
    ("PUT /reports/events", None, 200, {"file": "events.parquet", "rows": 2}),
    ("POST /reports/invitations", ISSUE, 404, None),  # nothing was exported
    ("PUT /reports/warehouse", None, 404, None),
    ("GET /mistakes/call-list", None, 403, None),
    ("POST /mistakes/segments", None, 404, None),
    ("POST /mistakes/hand-over-elsewhere/{customer_id}", None, 403, None),
    ("POST /mistakes/promote-upgrade?product=Shield", None, 403, None),
    ("POST /mistakes/answer/{inquiry_id=3}", None, 403, None),
    ("GET /mistakes/look-for-a-fault/{customer_id}", None, 200, None),
    ("GET /mistakes/hand-out/{customer_id}", None, 500, None),
    ("GET /mistakes/promote-from-summary?product=Shield", None, 403, None),
    ("GET /mistakes/without-carry", None, 500, None),
    ("GET /mistakes/without-purpose/{customer_id}", None, 500, None),
    ("GET /mistakes/purpose-in-a-dependency/{customer_id}", None, 500, None),
]


def endpoint(call: str) -> str:
    return re.sub(r"=\w+(?=})|\?.*", "", call)


@pytest.mark.parametrize(
    ("call", "body", "status", "answer"), [pytest.param(*call, id=endpoint(call[0])) for call in CALLS]
)
def test_endpoint(people, call, body, status, answer):
    method, path = re.sub(r"{(\w+)=?(\w*)}", lambda name: name[2] or THERE.get(name[1], "1"), call).split(" ")
    response = people.request(method, path, json=body)
    assert response.status_code == status, response.text
    if answer is not None:
        assert response.json() == answer


def test_every_endpoint_is_asked_above(app):
    served = {f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods}
    assert served == {endpoint(call) for call, *_ in CALLS}


def test_mistakes_are_not_served_unless_asked_for(settings):
    app = create_app(settings.model_copy(update={"mistakes": False}))
    assert not [path for path in app.openapi()["paths"] if path.startswith("/mistakes")]


def test_what_is_mailed_and_to_whom(people, mailer):
    people.post("/renewals/reminders", json={"due_before": "2030-02-01"})
    people.post("/newsletters/security", json=ISSUE)
    people.post("/support/inquiries/1/answer", json={"text": "Yes."})
    addresses = [message.to for message in mailer.sent]
    everybody = ["aiko@example.com", "chie@example.com", "daichi@example.com"]
    assert addresses == ["aiko@example.com", *everybody, "chie@example.com"]
    assert mailer.sent[0].body == "Dear Aiko Mori, Shield ends on 2030-01-20."
    assert mailer.sent[1].body == "Dear Aiko Mori,\n\nPlease update."


def test_the_outbox_says_which_activity_sent_how_much(people):
    people.post("/newsletters/security", json=ISSUE)
    people.post("/leads/1/warnings?channel=email", json=ISSUE)
    assert people.get("/outbox").json() == [
        {"activity": "examples.shop.activities.newsletter.send_security_newsletter", "messages": 3},
        {"activity": "examples.shop.activities.newsletter.warn_lead", "messages": 1},
    ]


def test_figures_are_made_of_enough_customers_and_may_be_advertised(five_customers, mailer):
    figures = {"product": "Shield", "runs": 6, "mean_seconds": 3.3, "crash_percent": 17}
    assert five_customers.get("/telemetry/Shield/figures").json() == figures
    assert five_customers.post("/newsletters/advertisements", json={"product": "Shield"}).json()["leads"] == 1
    (advertisement,) = mailer.sent
    assert advertisement.to == "chie@example.com"
    assert advertisement.body == "Dear Chie Sato,\n\nShield takes 3.3 seconds for a run."


def test_what_is_written_inside_its_purpose_is_documented_with_its_clauses(app):
    schemas = app.openapi()["components"]["schemas"]
    assert schemas["Customer"]["properties"]["email"]["x-collected-under"] == ["1.1(a)"]
    assert schemas["Customer"]["properties"]["email"]["format"] == "email"
    assert schemas["FromLead"]["properties"]["name"]["x-collected-under"] == ["2.1(a)"]
    assert schemas["Figures"]["properties"]["runs"]["x-collected-under"] == ["not-personal"]


def test_an_export_is_streamed_line_by_line(people):
    event = {"customer_id": 1, "product": "Shield", "device": "d", "kind": "scan", "seconds": 2.0}
    people.post("/telemetry", json=[event | {"device": f"d{number}"} for number in range(50)])
    with people.stream("GET", "/telemetry/Shield/slow-events") as response:
        assert response.headers["content-type"] == "application/x-ndjson"
        devices = [json.loads(line)["device"] for line in response.iter_lines()]
    assert devices == ["laptop-a", *(f"d{number}" for number in range(50))]


def test_new_telemetry_is_seen_behind_the_cache(people):
    assert people.get("/telemetry/Shield/crashes").json()["crashes"] == 1
    crash = {"customer_id": 1, "product": "Shield", "device": "d", "kind": "crash", "seconds": 0}
    people.post("/telemetry", json=[crash])
    assert people.get("/telemetry/Shield/crashes").json()["crashes"] == 2


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/renewals/customers/9", None),
        ("POST", "/support/customers/9/answer", {"text": "?"}),
        ("POST", "/support/inquiries/9/answer", {"text": "?"}),
        ("POST", "/mistakes/answer/9", None),
        ("POST", "/leads/9/warnings?channel=email", ISSUE),
        ("POST", "/inquiries", {"lead_id": 9, "text": "?"}),
        ("POST", "/visits", {"cookie": "c", "ip": "i", "browser": "b", "page": "/", "customer_id": 9}),
        ("POST", "/telemetry", [{"customer_id": 9, "product": "p", "device": "d", "kind": "k", "seconds": 1}]),
    ],
)
def test_what_is_not_there_is_not_found(people, method, path, body):
    response = people.request(method, path, json=body)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"].endswith(" 9")


def test_an_inquiry_of_a_customer_is_none_that_the_desk_for_inquiries_can_answer(people, mailer):
    response = people.post("/support/inquiries/3/answer", json={"text": "Yes."})
    assert response.status_code == 404
    assert response.json()["detail"] == "there is no inquiry of a lead or prospect 3"
    assert mailer.sent == []


@pytest.mark.parametrize("body", [{"text": "?"}, {"lead_id": 1, "customer_id": 1, "text": "?"}], ids=["nobody", "two"])
def test_an_inquiry_has_one_sender(people, body):
    assert people.post("/inquiries", json=body).status_code == 422
