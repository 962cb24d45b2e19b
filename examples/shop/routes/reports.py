"""Reports of the back office: figures, and files of many rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from examples.shop.activities.newsletter import Issue
from examples.shop.reports import campaign, figures, files, warehouse
from examples.shop.routes.work import TheMailer

router = APIRouter(prefix="/reports", tags=["reports"])


def get_folder(request: Request) -> Path:
    folder: Path = request.app.state.reports_folder
    return folder


Folder = Annotated[Path, Depends(get_folder)]


class Exported(BaseModel):
    file: str
    rows: int


@router.get("/renewals-due")
def renewals_due() -> list[figures.RenewalsDue]:
    return figures.renewals_due()


@router.get("/crashes")
def crashes() -> list[figures.Crashes]:
    return figures.crashes_before_renewal()


@router.put("/contacts")
def export_contacts(folder: Folder) -> Exported:
    return Exported(file=files.CONTACTS, rows=files.export_contacts(folder))


@router.put("/events")
def export_events(folder: Folder) -> Exported:
    return Exported(file=files.EVENTS, rows=files.export_events(folder))


@router.post("/invitations")
def invite(issue: Issue, folder: Folder, mailer: TheMailer) -> campaign.Invited:
    return campaign.invite(issue, folder, mailer)


@router.put("/warehouse")
def fill_warehouse(folder: Folder) -> list[warehouse.Speed]:
    return warehouse.fill(folder)
