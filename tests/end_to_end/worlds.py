"""What the shop may hold, drawn or marked as a whole, and what is asked of it for each purpose.

`World` is tagged as the tables are. So a test of any purpose may draw one, put it into the database, and ask for all
that the shop does for that purpose: what the purpose may not use, whatever it is, must not matter and not come out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow.parquet as pq
import sqlalchemy as sa
from fastapi.testclient import TestClient
from httpx2 import Response
from pydantic import BaseModel, EmailStr, Field, StringConstraints

from examples.shop import database as db
from examples.shop import repository
from examples.shop.app import create_app
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing import arranging
from tests.end_to_end.conftest import LABORATORY, settings_in

Text = Annotated[str, StringConstraints(min_length=1, max_length=12, pattern=r"^[A-Za-z]+$")]
Product = Literal["Shield", "Vault"]
ISSUE = {"subject": "News", "body": "Please update."}
REGISTERED = {"registered_on": date(2024, 5, 1)}


class Report(BaseModel):
    """What one device reported."""

    product: Annotated[Product, tm.ProductData]
    device: Annotated[Text, tm.ProductData]
    kind: Annotated[Literal["scan", "crash"], tm.ProductData]
    seconds: Annotated[float, Field(ge=0, le=100), tm.ProductData]


class Visit(BaseModel):
    cookie: Annotated[Text, tm.Cookie]
    ip: Annotated[Text, tm.Cookie]
    browser: Annotated[Text, tm.Cookie]
    page: Annotated[Literal["/pricing", "/support"], tm.Cookie]


class Buyer(BaseModel):
    name: Annotated[Text, tm.Registration]
    email: Annotated[EmailStr, tm.Registration]
    phone: Annotated[Text, tm.Registration]
    question: Annotated[Text, tm.Registration]
    product: Annotated[Product, tm.Contract]
    renews_on: Annotated[date, Field(ge=date(2030, 1, 1), le=date(2030, 12, 31)), tm.Contract]
    reports: Annotated[list[Report], Field(max_length=3), tm.ProductData]
    """How many there are is known from them as well."""
    visits: Annotated[list[Visit], Field(max_length=2), tm.Cookie]


class Lead(BaseModel):
    name: Annotated[Text, tm.WebContact]
    email: Annotated[EmailStr, tm.WebContact]
    phone: Annotated[Text, tm.WebContact]
    company: Annotated[Text, tm.WebProfile]
    survey: Annotated[Text, tm.WebForm]
    question: Annotated[Text, tm.WebForm]


class Prospect(BaseModel):
    name: Annotated[Text, tm.ProspectContact]
    email: Annotated[EmailStr, tm.ProspectContact]
    position: Annotated[Text, tm.ProspectJob]
    notes: Annotated[Text, tm.ProspectSubmission]
    question: Annotated[Text, tm.ProspectSubmission]


class World(BaseModel):
    """Two of each kind: in an order, or a choice, one differs from the other."""

    buyers: list[Buyer] = Field(min_length=2, max_length=2)
    leads: list[Lead] = Field(min_length=2, max_length=2)
    prospects: list[Prospect] = Field(min_length=2, max_length=2)
    visit: Visit


CROWD = range(11, 16)
"""Customers of whom everything is known to everybody: so many that there are figures without anybody else."""


@dataclass(frozen=True)
class Work:
    """What the shop does for one purpose: requests, each with its body, in order.

    `reads` are files that the requests leave for analysts. `known` are parts of a world by which these requests get by
    another way than under this purpose, each for its reason: they are the same in every world.
    """

    name: str
    purpose: Any
    channel: str | None
    requests: tuple[tuple[str, str, object], ...]
    reads: tuple[str, ...] = ()
    known: frozenset[Literal["reports", "names", "visits"]] = field(default_factory=frozenset)


def _work(name: str, purpose: Any, channel: str | None, *requests: tuple[Any, ...], **more: Any) -> Work:
    return Work(
        name, purpose, channel, tuple((one[0], one[1], one[2] if one[2:] else None) for one in requests), **more
    )


WORK = [
    _work(
        *("renewals", tm.RenewalGuidance, "email"),
        ("POST", "/renewals/reminders", {"due_before": "2031-01-01"}),
        ("GET", "/renewals/customers/1"),
        ("GET", "/reports/renewals-due"),
    ),
    _work("security news", tm.AnySecurityInformation, "email", ("POST", "/newsletters/security", ISSUE)),
    _work("product news", tm.AnyProductGuidance, "email", ("POST", "/newsletters/products", ISSUE)),
    _work(
        *("advertisements", tm.AnyProductGuidance, "email"),
        ("POST", "/newsletters/advertisements", {"product": "Shield"}),
        known=frozenset({"reports"}),  # what is made of them here is declared to be personal no more
    ),
    _work("warnings", tm.WebSecurityMail, "email", ("POST", "/leads/1/warnings?channel=email", ISSUE)),
    _work(
        *("telemetry", tm.ProductImprovement, None),
        ("GET", "/telemetry/crashes?product=Shield&product=Vault"),
        ("GET", "/telemetry/Shield/crashes"),
        ("GET", "/telemetry/Shield/figures"),
        ("GET", "/telemetry/Shield/slow-events?at_least=5"),
        ("GET", "/reports/crashes"),
        ("POST", "/customers/1/crashes/hand-over"),
        ("PUT", "/reports/contacts"),
        ("PUT", "/reports/events"),
        ("PUT", "/reports/warehouse"),
        reads=("events.parquet",),
    ),
    _work(
        *("support of customers", tm.ProductProvision, "email"),
        ("GET", "/customers/1/devices"),
        ("POST", "/support/customers/1/answer", {"text": "Sorry."}),
    ),
    _work(
        *("inquiries", tm.AnyInquiryResponse, "email"),
        ("GET", "/support/inquiries"),
        ("POST", "/support/inquiries/3/answer", {"text": "Yes."}),
        ("POST", "/support/inquiries/5/answer", {"text": "Yes."}),
    ),
    _work("traffic", tm.TrafficAnalysis, None, ("GET", "/visits/traffic")),
    _work(
        *("visits of customers", tm.UsageAnalysis, None),
        ("GET", "/visits/of-customers"),
        known=frozenset({"names", "visits"}),  # linked, they are of a source of their own
    ),
    _work(
        *("visits beside leads", tm.WebBehaviourAnalysis, None),
        ("GET", "/visits/compared-with-leads"),
        known=frozenset({"visits"}),  # on trial: observed, and not refused
    ),
    _work(
        *("invitations", tm.AnyEventInvitation, "email"),
        ("PUT", "/reports/contacts"),
        ("POST", "/reports/invitations", ISSUE),
        reads=("contacts.parquet",),
    ),
]


@contextmanager
def opened(folder: Path) -> Iterator[TestClient]:
    """The shop, with a laboratory on its register."""
    with TestClient(create_app(settings_in(folder))) as shop:
        assert shop.put("/privacy/recipients/crash-lab", json=LABORATORY).status_code == 200
        yield shop


def do(shop: TestClient, work: Work, world: World) -> list[Any]:
    """Asks for it in this world, and gives what analysts get; the answers are effects."""
    settle(world, work)
    for method, path, body in work.requests:
        answer: Response = shop.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
    app: Any = shop.app
    return [pq.read_table(app.state.reports_folder / name).to_pylist() for name in work.reads]


def settle(world: World, work: Work) -> None:
    """Puts a world into the database, and nothing else."""
    with arranging():
        with db.Session.begin() as session:
            for table in reversed(db.Base.metadata.sorted_tables):
                session.execute(sa.delete(table))
            for table, rows in _rows(world, work).items():
                if rows:
                    session.execute(sa.insert(table), rows)
        repository.add_events(())  # what was counted before is counted anew


def _rows(world: World, work: Work) -> dict[type[db.Base], list[dict[str, Any]]]:
    customers, contracts, events, visits = [], [], [], [_visit(world.visit, None, work)]
    for number, one in enumerate(world.buyers, 1):
        name = f"Buyer {number}" if "names" in work.known else one.name
        customers.append({"id": number, "name": name, "email": one.email, "phone": one.phone, **REGISTERED})
        contracts.append({"customer_id": number, "product": one.product, "renews_on": one.renews_on})
        if "reports" not in work.known:
            events += [{"customer_id": number, **report.model_dump()} for report in one.reports]
        visits += [_visit(visit, number, work) for visit in ([NOBODYS] if "visits" in work.known else one.visits)]
    report = {"product": "Shield", "device": "d", "kind": "scan", "seconds": 3.0}
    for number in CROWD:
        customers.append({"id": number, "name": "Known", "email": "k@example.com", "phone": None, **REGISTERED})
        events.append({"customer_id": number, **report})
    leads = [
        {"id": number, **one.model_dump(exclude={"question"}), **REGISTERED} for number, one in _numbered(world.leads)
    ]
    prospects = [
        {"id": number, **one.model_dump(exclude={"question"}), **REGISTERED}
        for number, one in _numbered(world.prospects)
    ]
    senders = [("customer_id", world.buyers), ("lead_id", world.leads), ("prospect_id", world.prospects)]
    nobody = {"customer_id": None, "lead_id": None, "prospect_id": None}
    inquiries = [
        {**nobody, column: number, "text": one.question}
        for column, people in senders
        for number, one in _numbered(people)
    ]
    return {
        db.CustomerRow: customers,
        db.LeadRow: leads,
        db.ProspectRow: prospects,
        db.ContractRow: contracts,
        db.EventRow: events,
        db.VisitRow: visits,
        db.InquiryRow: inquiries,
    }


def _numbered(people: Any) -> enumerate[Any]:
    return enumerate(people, 1)


def _visit(visit: Visit, customer: int | None, work: Work) -> dict[str, Any]:
    return {"customer_id": customer, **(NOBODYS if "visits" in work.known else visit).model_dump()}


NOBODYS = Visit(cookie="c", ip="i", browser="b", page="/pricing")
