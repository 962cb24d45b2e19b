"""Routes through which data comes in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel

from examples.shop import repository
from examples.shop.models import Created, NewCustomer, NewEvent, NewInquiry, NewLead, NewProspect, NewVisit

router = APIRouter(tags=["collection"])


class Accepted(BaseModel):
    accepted: int


@router.post("/customers", status_code=201)
def register(new: NewCustomer) -> Created:
    return Created(id=repository.add_customer(new))


@router.post("/telemetry", status_code=202)
def report(new: Annotated[list[NewEvent], Body(max_length=1000)]) -> Accepted:
    return Accepted(accepted=repository.add_events(new))


@router.post("/visits", status_code=201)
def visit(new: NewVisit) -> Created:
    return Created(id=repository.add_visit(new))


@router.post("/leads", status_code=201)
def contact(new: NewLead) -> Created:
    return Created(id=repository.add_lead(new))


@router.post("/prospects", status_code=201)
def meet(new: NewProspect) -> Created:
    return Created(id=repository.add_prospect(new))


@router.post("/inquiries", status_code=201)
def inquire(new: NewInquiry) -> Created:
    return Created(id=repository.add_inquiry(new))
