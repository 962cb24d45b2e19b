"""Routes for the shop's people and jobs."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import Body, Depends, Query
from fastapi.responses import StreamingResponse

from examples.shop import repository
from examples.shop.activities import laboratory, mail, newsletter, support, telemetry, visits
from examples.shop.activities.newsletter import Issue
from examples.shop.activities.visits import Comparison
from examples.shop.mailer import Mailer, OutboxMailer, outgoing
from examples.shop.models import (
    CrashSummary,
    Customer,
    Figures,
    Inquiry,
    LinkedVisit,
    Outgoing,
    PageTraffic,
    Sent,
)
from examples.shop.privacy import guard
from purposeguard.integrations.fastapi import PurposeRouter
from purposeguard.notices import trendmicro_jp as tm

router = PurposeRouter(guard)


def get_mailer() -> Mailer:
    """Return the mailer of the application. Tests override this dependency."""
    return OutboxMailer()


Channel = Literal["email", "phone", "post"]
TheMailer = Annotated[Mailer, Depends(get_mailer)]


@router.post("/renewals/reminders", tags=["renewals"])
def remind(due_before: Annotated[date, Body(embed=True)], mailer: TheMailer) -> Sent:
    return mail.remind_of_renewal(due_before, mailer)


@router.get("/renewals/customers/{customer_id}", tags=["renewals"], purpose=tm.RenewalGuidance)
def renewal_card(customer_id: int) -> Customer:
    """For the clerk: registration and contracts. What the products report is withheld."""
    return repository.customer(customer_id)


@router.post("/newsletters/security", tags=["newsletters"])
async def security_newsletter(issue: Issue, mailer: TheMailer) -> Sent:
    return await newsletter.send_security_newsletter(issue, mailer)


@router.post("/newsletters/products", tags=["newsletters"])
def product_newsletter(issue: Issue, mailer: TheMailer) -> Sent:
    return newsletter.send_product_newsletter(issue, mailer)


@router.post("/newsletters/advertisements", tags=["newsletters"])
def advertise(product: Annotated[str, Body(embed=True)], mailer: TheMailer) -> Sent:
    return newsletter.advertise(product, mailer)


@router.post("/leads/{lead_id}/warnings", tags=["newsletters"])
def warn_lead(lead_id: int, channel: Channel, issue: Issue, mailer: TheMailer) -> Sent:
    return newsletter.warn_lead(lead_id, channel, issue, mailer)


@router.get("/telemetry/crashes", tags=["telemetry"])
def compare_products(product: Annotated[list[str], Query()]) -> list[CrashSummary]:
    return telemetry.compare_products(product)


@router.get("/telemetry/{product}/crashes", tags=["telemetry"])
def crashes(product: str) -> CrashSummary:
    return telemetry.crashes(product)


@router.get("/telemetry/{product}/figures", tags=["telemetry"], purpose=tm.ProductImprovement)
def figures(product: str) -> Figures:
    """For the website."""
    return telemetry.figures(product)


@router.get("/telemetry/{product}/slow-events", tags=["telemetry"])
def slow_events(product: str, at_least: float = 1.0) -> StreamingResponse:
    # Each step of the generator may run in another thread; it enters its purpose anew at each.
    return StreamingResponse(telemetry.export_slow_events(product, at_least), media_type="application/x-ndjson")


@router.get("/customers/{customer_id}/devices", tags=["telemetry"])
def devices(customer_id: int) -> list[str]:
    return telemetry.devices_in_use(customer_id)


@router.post("/customers/{customer_id}/crashes/hand-over", tags=["telemetry"])
def hand_over_crashes(customer_id: int) -> dict[str, int]:
    return {"reports": laboratory.hand_over_crashes(customer_id)}


@router.get("/visits/traffic", tags=["visits"])
def traffic() -> list[PageTraffic]:
    return visits.traffic()


@router.get("/visits/of-customers", tags=["visits"])
def pages_of_customers() -> list[LinkedVisit]:
    return visits.pages_of_customers()


@router.get("/visits/compared-with-leads", tags=["visits"])
def compare_visits_with_leads() -> Comparison:
    return visits.compare_visits_with_leads()


@router.get("/support/inquiries", tags=["support"], purpose=tm.AnyInquiryResponse, response_model_exclude_none=True)
def inquiries() -> list[Inquiry]:
    """All of them; name, address and text of those that customers sent are withheld."""
    return repository.inquiries()


@router.post("/support/inquiries/{inquiry_id}/answer", tags=["support"])
def answer(inquiry_id: int, text: Annotated[str, Body(embed=True)], mailer: TheMailer) -> dict[str, int]:
    return {"sent": support.answer_inquiry(inquiry_id, text, mailer)}


@router.post("/support/customers/{customer_id}/answer", tags=["support"])
def help_customer(customer_id: int, text: Annotated[str, Body(embed=True)], mailer: TheMailer) -> Sent:
    return support.help_customer(customer_id, text, mailer)


@router.get("/outbox", tags=["mail"])
def outbox() -> list[Outgoing]:
    return outgoing()
