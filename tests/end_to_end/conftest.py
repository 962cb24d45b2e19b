"""The shop, running over a database of its own for each test."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from examples.shop.app import create_app
from examples.shop.mailer import MemoryMailer
from examples.shop.routes.work import get_mailer
from examples.shop.settings import Settings

CONTRACTS = [{"product": "Shield", "renews_on": "2030-01-20"}, {"product": "Vault", "renews_on": "2031-05-01"}]
CUSTOMER = {"name": "Aiko Mori", "email": "aiko@example.com", "phone": "000-1111", "contracts": CONTRACTS}
LEAD = {"name": "Chie Sato", "email": "chie@example.com", "company": "Sato Ltd", "survey": "five laptops"}
PROSPECT = {"name": "Daichi Abe", "email": "daichi@example.com", "position": "head", "notes": "met at the fair"}
EVENT = {"customer_id": 1, "product": "Shield", "device": "laptop-a", "kind": "scan", "seconds": 7.5}
VISIT = {"cookie": "c-1", "ip": "192.0.2.7", "browser": "Firefox", "page": "/pricing"}

LABORATORY = {"name": "Crash Laboratory", "kind": "overseas-affiliate", "country": "TW", "contract": "legal/2024-31"}
LABORATORY |= {"since": "2024-04-01", "supervised_on": "2024-05-20"}

PEOPLE: list[tuple[str, object]] = [
    ("/customers", CUSTOMER),
    ("/leads", LEAD),
    ("/prospects", PROSPECT),
    ("/telemetry", [EVENT, {**EVENT, "device": "phone-b", "kind": "crash", "seconds": 0.1}]),
    ("/visits", {**VISIT, "customer_id": 1}),
    ("/visits", VISIT),
    ("/inquiries", {"lead_id": 1, "text": "A trial?"}),
    ("/inquiries", {"prospect_id": 1, "text": "A quote?"}),
    ("/inquiries", {"customer_id": 1, "text": "So slow!"}),
]
MORE: list[tuple[str, object]] = [
    one
    for number in range(2, 6)
    for one in (
        ("/customers", {"name": f"Customer {number}", "email": f"customer-{number}@example.com", "contracts": []}),
        ("/telemetry", [{**EVENT, "customer_id": number, "device": f"d-{number}", "seconds": 3.0}]),
    )
]


def settings_in(folder: Path, **more: Any) -> Settings:
    """Return the settings of a shop all of whose files are in a folder."""
    names = {"database_url": "shop.db", "governance_url": "privacy.db"}
    urls: dict[str, Any] = {name: f"sqlite:///{folder / file}" for name, file in names.items()}
    return Settings(**urls, reports_folder=folder / "reports", **more)


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Databases as the shop leaves them: `empty.db`, `people.db`, `five.db`, and `privacy.db`, in which nothing is.

    Each is made once by asking the shop, and copied for each test.
    """
    folder = tmp_path_factory.mktemp("kept")
    made = settings_in(folder)
    for name, bodies in (("empty", []), ("people", PEOPLE), ("five", MORE)):
        with TestClient(create_app(made)) as shop:
            for path, body in bodies:
                response = shop.post(path, json=body)
                assert response.status_code in {201, 202}, response.text
        shutil.copy(folder / "shop.db", folder / f"{name}.db")
    return folder


def stock(settings: Settings, kept: Path, name: str) -> None:
    """Fills a database that is in use with what is kept."""
    with (
        closing(sqlite3.connect(kept / f"{name}.db")) as source,
        closing(sqlite3.connect(settings.database_url.removeprefix("sqlite:///"))) as target,
    ):
        source.backup(target)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, FastAPI]:
    """One application for all tests: it is started anew in each, over databases of that test's own."""
    folder = tmp_path_factory.mktemp("shop")
    settings = settings_in(folder, mistakes=True)
    return settings, create_app(settings)


@pytest.fixture
def settings(built: tuple[Settings, FastAPI], kept: Path) -> Settings:
    settings, _ = built
    folder = settings.reports_folder.parent
    shutil.rmtree(folder)
    folder.mkdir()
    shutil.copy(kept / "empty.db", folder / "shop.db")
    shutil.copy(kept / "privacy.db", folder)
    return settings


@pytest.fixture
def app(built: tuple[Settings, FastAPI], settings: Settings) -> Iterator[FastAPI]:
    _, app = built
    yield app
    app.dependency_overrides.clear()


REFUSED = "refused by the guard"


@pytest.fixture
def shop(app: FastAPI, request: pytest.FixtureRequest) -> Iterator[TestClient]:
    with TestClient(app) as client:
        # Beside a failure stands whether the guard refused what was asked for last.
        client.event_hooks["response"].append(lambda answer: request.node.stash.__setitem__(LAST, answer))
        yield client


LAST = pytest.StashKey[Any]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report: pytest.TestReport = yield
    answer = item.stash.get(LAST, None)
    if report.failed and answer is not None and answer.headers.get("content-type") == "application/problem+json":
        problem = answer.json()
        if problem["title"] in TITLES:
            report.sections.append((REFUSED, problem["detail"]))
    return report


TITLES = {"not for this purpose", "the person asked for it to stop, or never agreed", "not to this recipient"}
TITLES |= {"not into this column"}
TITLES |= {"no purpose", "sealed", "too few persons", "not known now"}


@pytest.fixture
def mailer(app: FastAPI) -> MemoryMailer:
    kept = MemoryMailer()
    app.dependency_overrides[get_mailer] = lambda: kept
    return kept


@pytest.fixture
def people(shop: TestClient, settings: Settings, kept: Path) -> TestClient:
    """A shop with a customer, a lead and a prospect, an inquiry of each, telemetry and visits."""
    stock(settings, kept, "people")
    return shop


@pytest.fixture
def five_customers(people: TestClient, settings: Settings, kept: Path) -> TestClient:
    """Four customers more, each of whom had a run of Shield that took 3 seconds."""
    stock(settings, kept, "five")
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
    return dict(LABORATORY)


@pytest.fixture
def laboratory(shop: TestClient, described: dict[str, str]) -> dict[str, str]:
    """The same, on the register of recipients."""
    assert shop.put("/privacy/recipients/crash-lab", json=described).status_code == 200
    return described
