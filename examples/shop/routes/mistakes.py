"""What a colleague in a hurry writes, and what becomes of it. Served only where the settings say `mistakes`.

Each of these is wrong, each is refused, and none needs a reviewer to notice it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from fastapi import APIRouter, Depends

from examples.shop import repository
from examples.shop.mailer import Mailer, Message
from examples.shop.models import CrashSummary, CustomerContact
from examples.shop.privacy import guard
from examples.shop.routes.work import TheMailer
from purposeguard.notices import trendmicro_jp as tm

router = APIRouter(prefix="/mistakes", tags=["mistakes"])


@guard.purpose(tm.ProductGuidance, channel="email")
def promote_upgrade(product: str, mailer: Mailer) -> int:
    """Marketing mail to those whose devices are slow. Products did not report that for marketing."""
    slow = [event.device for event in repository.events(product) if event.seconds > 5]
    return mailer.send(
        [Message(one.email, "Faster!", f"{len(slow)} slow devices") for one in repository.customer_contacts()]
    )


@guard.purpose(tm.ProductGuidance, channel="email")
def promote_from_summary(product: str) -> CrashSummary:
    """Counting does not launder: a summary is still what products report, also where it lies in a cache."""
    return repository.crash_summary(product)


@guard.purpose(tm.ProductImprovement)
def compare_without_carry(products: list[str]) -> list[CrashSummary]:
    """As `telemetry.compare_products`, but nobody told the pool's threads what they work for."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(repository.crash_summary, products))


def entered_in_a_dependency() -> Iterator[None]:
    """Enters its purpose in one thread, while the endpoint runs in another with a copy of the context."""
    with guard.purpose(tm.ProductProvision):
        yield


@router.post("/promote-upgrade")
def route_promote_upgrade(product: str, mailer: TheMailer) -> dict[str, int]:
    return {"sent": promote_upgrade(product, mailer)}


@router.get("/promote-from-summary")
def route_promote_from_summary(product: str) -> CrashSummary:
    return promote_from_summary(product)


@router.get("/without-carry")
def route_without_carry() -> list[CrashSummary]:
    return compare_without_carry(["shield"])


@router.get("/without-purpose/{customer_id}")
def route_without_purpose(customer_id: int) -> CustomerContact:
    return repository.customer_contact(customer_id)


@router.get("/purpose-in-a-dependency/{customer_id}")
def route_purpose_in_a_dependency(
    customer_id: int, _purpose: Annotated[None, Depends(entered_in_a_dependency)]
) -> CustomerContact:
    return repository.customer_contact(customer_id)
