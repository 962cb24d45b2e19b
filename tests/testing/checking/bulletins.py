"""A service whose rows name their subjects. The tests of `check` put violations into copies of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing import Office

guard = pg.Guard(tm.NOTICE, governance=Office())


class Customer(BaseModel):
    id: Annotated[int, pg.Subject]
    name: Annotated[str, tm.Registration]
    email: Annotated[str, tm.Registration]


customers: dict[int, Customer] = {}
known: dict[int, str] = {}


@guard.access(narrow=True)
def list_customers() -> list[Customer]:
    return list(customers.values())


@guard.access
def find(customer_id: int) -> Customer:
    return customers[customer_id]


@guard.purpose(tm.AnyProductGuidance, channel="email")
def announce(subject: str) -> list[str]:
    return [f"{subject} to {customer.email}" for customer in list_customers()]


@guard.purpose(tm.RenewalGuidance)
def remind(customer_id: int) -> str:
    return f"Dear {find(customer_id).name}"
