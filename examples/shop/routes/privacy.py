"""The guard's declarations, and the ledger."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

import purposeguard as pg
from examples.shop import audit
from examples.shop.models import LedgerPage, Verdict
from examples.shop.privacy import clauses, guard

router = APIRouter(prefix="/privacy", tags=["privacy"])


class ActivityEntry(BaseModel):
    name: str
    purpose: str
    channel: str | None
    observing: bool


class AccessEntry(BaseModel):
    name: str
    sources: str
    """Sources of plain data, checked before the function reads it."""
    sealed: str
    """Sources of sealed data, checked where it is opened."""
    withhold: bool


class ReclassificationEntry(BaseModel):
    name: str
    sources: str
    to: str
    why: str
    approver: str | None


class EntrustmentEntry(BaseModel):
    name: str
    sources: str
    recipient: str
    means: str | None


class Inventory(BaseModel):
    activities: list[ActivityEntry]
    accesses: list[AccessEntry]
    reclassifications: list[ReclassificationEntry]
    entrustments: list[EntrustmentEntry]


@router.get("/ledger")
def read_ledger(most: Annotated[int, Query(ge=1, le=1000)] = 100) -> LedgerPage:
    return audit.page(most)


@router.get("/ledger/verdict")
def verify_ledger() -> Verdict:
    return audit.verify_ledger()


@router.get("/inventory")
def read_inventory() -> Inventory:
    return Inventory(
        activities=[
            ActivityEntry(
                name=declaration.name,
                purpose=declaration.purpose_id,
                channel=declaration.channel,
                observing=declaration.observing,
            )
            for declaration in guard.activities
        ],
        accesses=[
            AccessEntry(
                name=declaration.name,
                sources=clauses(declaration.label or ()),
                sealed=clauses(pg.Label.join(*declaration.sealed.values())) if declaration.sealed else "",
                withhold=declaration.withhold,
            )
            for declaration in guard.accesses
        ],
        reclassifications=[
            ReclassificationEntry(
                name=declaration.name,
                sources=clauses(declaration.sources),
                to=clauses(declaration.to),
                why=declaration.why,
                approver=declaration.approver,
            )
            for declaration in guard.reclassifications
        ],
        entrustments=[
            EntrustmentEntry(
                name=declaration.name,
                sources=clauses(declaration.label or ()),
                recipient=declaration.recipient_id,
                means=declaration.means,
            )
            for declaration in guard.entrustments
        ],
    )
