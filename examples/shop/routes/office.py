"""The privacy office: recipients, warrants, and the revision in force."""

from __future__ import annotations

from datetime import date
from typing import Any

from fastapi import APIRouter

from examples.shop import revisions
from examples.shop.activities import warrants
from examples.shop.models import Customer, NewRecipient, Revision, Warrant
from examples.shop.privacy import governance, guard
from purposeguard.policy.transfers import Recipient, Safeguard

router = APIRouter(prefix="/privacy", tags=["office"])


@router.put("/recipients/{recipient_id}")
def register(recipient_id: str, new: NewRecipient) -> NewRecipient:
    governance.provisions.recipients.register(
        Recipient(
            recipient_id,
            new.kind,
            new.country,
            name=new.name,
            safeguards=[Safeguard("contract", new.contract, since=new.since)],
            supervised_on=new.supervised_on,
        ),
        by="privacy office",
    )
    return new


@router.post("/warrants", response_model=None, responses={200: {"model": Customer}})
def open_for_warrant(warrant: Warrant) -> dict[str, Any]:
    """Return the data of one customer for a warrant.

    The response is written within the exception, which holds for one person and one hour.
    """
    return warrants.open_for(warrant)


@router.get("/notice")
def in_force() -> Revision:
    return Revision(revision=guard.notice.revision)


@router.put("/notice")
def put_in_force(wanted: Revision) -> Revision:
    revisions.put_in_force(wanted.revision)
    return in_force()


@router.get("/notice/{revision}/changes")
def changes(revision: date) -> dict[str, list[str]]:
    return revisions.changes(revision)
