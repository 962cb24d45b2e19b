"""Mistakes of a colleague in a hurry. They are served only if the setting `mistakes` is on.

Each of these functions is wrong, each is refused, and none needs a reviewer to notice it. Functions that a type checker
would refuse use `Any` somewhere: they would not pass with the types of the functions that they call (tests show it).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy import func, select

import purposeguard as pg
from examples.shop import repository
from examples.shop.activities import telemetry
from examples.shop.database import CustomerRow, EventRow
from examples.shop.mailer import Mailer, Mailing
from examples.shop.models import CrashSummary, CustomerContact, Event
from examples.shop.privacy import guard
from examples.shop.reports import warehouse
from examples.shop.reports.reading import Reading
from examples.shop.routes.reports import Folder
from examples.shop.routes.work import TheMailer
from purposeguard import Personal, Use
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient, Safeguard

router = APIRouter(prefix="/mistakes", tags=["mistakes"])
logger = logging.getLogger(__name__)


@guard.purpose(tm.ProductGuidance, channel="email").with_use
def promote_upgrade(use: Use[tm.ProductGuidance], product: str, mailer: Mailer) -> int:
    """Send marketing mail to customers whose devices report. Products did not report for marketing."""
    devices: Any = Personal.collect((event.device for event in repository.events(product)), tm.ProductData)
    mailing = Mailing(use)
    people = repository.customer_contacts()
    for person in people:
        mailing.add(person, "Faster!", person.name.zip(devices).map(_offer))
    mailer.send(mailing)
    return len(people)


def _offer(both: tuple[str, tuple[str, ...]]) -> str:
    name, devices = both
    return f"Dear {name}, some of these are yours, and all are slow: {', '.join(devices)}. Buy new ones!"


@guard.purpose(tm.AnyInquiryResponse, channel="email").with_use
def answer_anybody(use: Use[tm.AnyInquiryResponse], inquiry_id: int, text: str, mailer: Mailer) -> int:
    """Answer anyone who wrote, even a customer: the notice has this purpose for leads and prospects only."""
    sender: Any = repository.inquiry(inquiry_id).sender
    mailing = Mailing(use)
    mailing.to_each([sender], "Your inquiry", text)
    mailer.send(mailing)
    return 1


@guard.purpose(tm.ProductGuidance, channel="email")
def promote_from_summary(product: str) -> CrashSummary:
    """Use a count for marketing. A count is still product data, even if it comes from a cache."""
    return telemetry.summary(product)


@guard.purpose(tm.ProductImprovement)
def compare_without_carry(products: list[str]) -> list[CrashSummary]:
    """Compare products like `telemetry.compare_products`, but without a purpose in the pool's threads."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(telemetry.summary, products))


@guard.purpose(tm.ProductProvision).with_use
def look_for_a_fault(use: Use[tm.ProductProvision], customer_id: int) -> dict[str, str]:
    """Print and log all values at hand. The purpose allows opening them, but nobody opened them."""
    contact: Any = repository.customer_contact(customer_id)
    logger.warning("mailing %s, that is %r", contact.email, contact)
    return {
        "printed": f"{contact.name}, {contact}",
        "as JSON": _try(lambda: json.dumps({"to": contact.email})),
        "in capitals": _try(lambda: contact.name.upper().strip()),
        "compared": _try(lambda: contact.name < "B"),
        "guessed right": str(contact.name == "Aiko Mori"),
        "why a map failed": _try(lambda: use.open(contact.name.map(int))),
    }


def _try(attempt: Callable[[], object]) -> str:
    """Return the result of an attempt, or the error that it raised."""
    try:
        return str(attempt())
    except pg.SealedValue as error:
        return f"{type(error).__name__}: {error}"


@guard.purpose(tm.ProductProvision)
def hand_out(customer_id: int) -> CustomerContact:
    """Return a sealed model to a route, which writes it as JSON after the activity has ended."""
    return repository.customer_contact(customer_id)


cheaper = Recipient(
    "cheaper-lab",
    "overseas-contractor",
    "BR",
    safeguards=[Safeguard("contract", "legal/2025-18", since=date(2025, 4, 1))],
    supervised_on=date(2025, 5, 12),
)


@guard.entrust(cheaper, means="cloud-storage")
def upload_elsewhere(reports: list[Event]) -> int:
    """Hand data to a recipient in a country that the notice does not name.

    The recipient has a contract and was inspected.
    """
    return len(reports)


@guard.purpose(tm.ProductImprovement)
def hand_over_elsewhere(customer_id: int) -> int:
    return upload_elsewhere(repository.events_of(customer_id))


@guard.purpose(tm.RenewalGuidance, channel="phone")
def whom_to_call_first() -> list[str]:
    """Return names only, which may serve renewals, but sorted by what the products report."""
    crashes = func.count().filter(EventRow.kind == "crash")
    names = select(CustomerRow.name).join(CustomerRow.events).group_by(CustomerRow.id).order_by(crashes.desc())
    with Reading() as session:
        return list(session.scalars(names))


@guard.purpose(tm.ProductImprovement)
def fill_segments(folder: Path) -> None:
    """Write telemetry, which this purpose may read, into a table that is used for letters about renewals."""
    with warehouse.open_warehouse(folder) as connection:
        connection.sql(
            "INSERT INTO segments "
            "SELECT person, CASE WHEN avg(seconds) > 5 THEN 'slow' ELSE 'fast' END FROM events GROUP BY person"
        )


def enter_purpose_in_dependency() -> Iterator[None]:
    """Enter a purpose in one thread, while the endpoint runs in another with a copy of the context."""
    with guard.purpose(tm.ProductProvision):
        yield


@router.post("/promote-upgrade")
def route_promote_upgrade(product: str, mailer: TheMailer) -> dict[str, int]:
    return {"sent": promote_upgrade(product, mailer)}


@router.post("/answer/{inquiry_id}")
def route_answer_anybody(inquiry_id: int, mailer: TheMailer) -> dict[str, int]:
    return {"sent": answer_anybody(inquiry_id, "With pleasure.", mailer)}


@router.get("/promote-from-summary")
def route_promote_from_summary(product: str) -> CrashSummary:
    return promote_from_summary(product)


@router.post("/hand-over-elsewhere/{customer_id}")
def route_hand_over_elsewhere(customer_id: int) -> dict[str, int]:
    return {"reports": hand_over_elsewhere(customer_id)}


@router.get("/call-list")
def route_call_list() -> list[str]:
    return whom_to_call_first()


@router.post("/segments", status_code=204)
def route_fill_segments(folder: Folder) -> None:
    fill_segments(folder)


@router.get("/without-carry")
def route_without_carry() -> list[CrashSummary]:
    return compare_without_carry(["shield"])


@router.get("/look-for-a-fault/{customer_id}")
def route_look_for_a_fault(customer_id: int) -> dict[str, str]:
    return look_for_a_fault(customer_id)


@router.get("/hand-out/{customer_id}")
def route_hand_out(customer_id: int) -> CustomerContact:
    return hand_out(customer_id)


@router.get("/without-purpose/{customer_id}")
def route_without_purpose(customer_id: int) -> CustomerContact:
    return repository.customer_contact(customer_id)


@router.get("/purpose-in-a-dependency/{customer_id}")
def route_purpose_in_a_dependency(
    customer_id: int, _purpose: Annotated[None, Depends(enter_purpose_in_dependency)]
) -> CustomerContact:
    return repository.customer_contact(customer_id)
