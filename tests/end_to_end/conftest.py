"""The shop, running over a database of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from examples.shop.app import create_app
from examples.shop.mailer import MemoryMailer
from examples.shop.routes.work import get_mailer
from examples.shop.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database_url=f"sqlite:///{tmp_path / 'shop.db'}", mistakes=True)


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
