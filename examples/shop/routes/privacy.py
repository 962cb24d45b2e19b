"""What the guard knows: who may read what for what, and what happened."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from examples.shop.models import LedgerPage
from examples.shop.privacy import guard, ledger

router = APIRouter(prefix="/privacy", tags=["privacy"])


class ActivityEntry(BaseModel):
    name: str
    purpose: str
    channel: str | None
    observing: bool


class AccessEntry(BaseModel):
    name: str
    sources: list[str]
    withhold: bool


class Inventory(BaseModel):
    activities: list[ActivityEntry]
    accesses: list[AccessEntry]


@router.get("/ledger")
def read_ledger(most: Annotated[int, Query(ge=1, le=1000)] = 100) -> LedgerPage:
    return ledger.page(most)


@router.get("/inventory")
def read_inventory() -> Inventory:
    return Inventory(
        activities=[
            ActivityEntry(name=one.name, purpose=one.purpose_id, channel=one.channel, observing=one.observing)
            for one in guard.activities
        ],
        accesses=[
            AccessEntry(name=one.name, sources=[source.clause for source in one.label or ()], withhold=one.withhold)
            for one in guard.accesses
        ],
    )
