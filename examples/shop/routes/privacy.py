"""What the guard knows: who may read what for what, and what happened."""

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
    """Of what it gives plain: checked before it reads."""
    sealed: str
    """Of what it gives sealed: checked where that is opened."""
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
    return audit.verified()


@router.get("/inventory")
def read_inventory() -> Inventory:
    return Inventory(
        activities=[
            ActivityEntry(name=one.name, purpose=one.purpose_id, channel=one.channel, observing=one.observing)
            for one in guard.activities
        ],
        accesses=[
            AccessEntry(
                name=one.name,
                sources=clauses(one.label or ()),
                sealed=clauses(pg.Label.join(*one.sealed.values())) if one.sealed else "",
                withhold=one.withhold,
            )
            for one in guard.accesses
        ],
        reclassifications=[
            ReclassificationEntry(
                name=one.name, sources=clauses(one.sources), to=clauses(one.to), why=one.why, approver=one.approver
            )
            for one in guard.reclassifications
        ],
        entrustments=[
            EntrustmentEntry(
                name=one.name, sources=clauses(one.label or ()), recipient=one.recipient_id, means=one.means
            )
            for one in guard.entrustments
        ],
    )
