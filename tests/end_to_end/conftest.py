"""The shop, running over a database of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from examples.shop.app import create_app
from examples.shop.mailer import MemoryMailer
from examples.shop.routes.work import get_mailer
from examples.shop.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        database_url=f"sqlite:///{tmp_path / 'shop.db'}",
        governance_url=f"sqlite:///{tmp_path / 'privacy.db'}",
        reports_folder=tmp_path / "reports",
        mistakes=True,
    )


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
def shop(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


@pytest.fixture
def mailer(app: FastAPI) -> MemoryMailer:
    kept = MemoryMailer()
    app.dependency_overrides[get_mailer] = lambda: kept
    return kept


@pytest.fixture
def people(shop: TestClient) -> TestClient:
    """A shop with a customer, a lead and a prospect, an inquiry of each, telemetry and visits."""
    contracts = [
        {"product": "Shield", "renews_on": "2030-01-20"},
        {"product": "Vault", "renews_on": "2031-05-01"},
    ]
    customer = {"name": "Aiko Mori", "email": "aiko@example.com", "phone": "000-1111", "contracts": contracts}
    lead = {"name": "Chie Sato", "email": "chie@example.com", "company": "Sato Ltd", "survey": "five laptops"}
    prospect = {"name": "Daichi Abe", "email": "daichi@example.com", "position": "head", "notes": "met at the fair"}
    event = {"customer_id": 1, "product": "Shield", "device": "laptop-a", "kind": "scan", "seconds": 7.5}
    visit = {"cookie": "c-1", "ip": "192.0.2.7", "browser": "Firefox", "page": "/pricing"}
    for path, body in (
        ("/customers", customer),
        ("/leads", lead),
        ("/prospects", prospect),
        ("/telemetry", [event, {**event, "device": "phone-b", "kind": "crash", "seconds": 0.1}]),
        ("/visits", {**visit, "customer_id": 1}),
        ("/visits", visit),
        ("/inquiries", {"lead_id": 1, "text": "A trial?"}),
        ("/inquiries", {"prospect_id": 1, "text": "A quote?"}),
        ("/inquiries", {"customer_id": 1, "text": "So slow!"}),
    ):
        response = shop.post(path, json=body)
        assert response.status_code in {201, 202}, response.text
    return shop


@pytest.fixture
def five_customers(people: TestClient) -> TestClient:
    """Four customers more, each of whom had a run of Shield that took 3 seconds."""
    for number in range(2, 6):
        new = {"name": f"Customer {number}", "email": f"customer-{number}@example.com", "contracts": []}
        assert people.post("/customers", json=new).json() == {"id": number}
        event = {"customer_id": number, "product": "Shield", "device": f"d-{number}", "kind": "scan", "seconds": 3.0}
        assert people.post("/telemetry", json=[event]).status_code == 202
    return people


Asks = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(shop: TestClient) -> Asks:
    """A request by somebody, taken in, verified and fulfilled by a clerk."""

    def ask(kind: str, subject: str, purposes: list[str] | None = None) -> dict[str, Any]:
        received = shop.post("/privacy/requests", json={"kind": kind, "subject": subject, "purposes": purposes})
        assert received.status_code == 201, received.text
        path = f"/privacy/requests/{received.json()['id']}"
        assert shop.post(f"{path}/verify", json={"how": "called back", "by": "clerk"}).status_code == 200
        answer = shop.post(f"{path}/fulfil", json={"by": "clerk"})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    return ask


@pytest.fixture
def described() -> dict[str, str]:
    """A laboratory in Taiwan, as the privacy office describes it."""
    return {
        "name": "Crash Laboratory",
        "kind": "overseas-affiliate",
        "country": "TW",
        "contract": "legal/2024-31",
        "since": "2024-04-01",
        "supervised_on": "2024-05-20",
    }


@pytest.fixture
def laboratory(shop: TestClient, described: dict[str, str]) -> dict[str, str]:
    """The same, on the register of recipients."""
    assert shop.put("/privacy/recipients/crash-lab", json=described).status_code == 200
    return described
