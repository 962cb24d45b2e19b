"""A service that writes to the customers of a shop. The tests of `check` put violations into copies of it."""

from __future__ import annotations

import functools
import logging
from typing import Annotated

from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)
logger = logging.getLogger(__name__)


class Device(BaseModel):
    id: int
    name: Annotated[str, tm.ProductData]
    crashes: Annotated[int, tm.ProductData]


class Customer(BaseModel):
    id: int
    name: Annotated[str, tm.Registration]
    email: Annotated[str, tm.Registration]
    country: Annotated[str, tm.Registration]
    renews: Annotated[str, tm.Contract]
    devices: list[Device]


customers: dict[int, Customer] = {}
outbox: list[tuple[str, str]] = []
summaries: dict[int, str] = {}


class NotFound(LookupError):
    pass


def find(customer_id: int) -> Customer:
    try:
        return customers[customer_id]
    except KeyError:
        raise NotFound(f"no customer {customer_id}") from None


def send(address: str, text: str) -> None:
    logger.info("mail to %s", address)
    outbox.append((address, text))


@guard.purpose(tm.RenewalGuidance)
def remind(customer_id: int) -> str:
    customer = find(customer_id)
    text = f"Dear {customer.name}, your licence ends on {customer.renews}."
    send(customer.email, text)
    return text


@guard.purpose(tm.RenewalGuidance)
def remind_all() -> int:
    for customer in customers.values():
        send(customer.email, f"Dear {customer.name}")
    return len(customers)


@guard.purpose(tm.ProductImprovement)
def count_crashes(device: str) -> int:
    return sum(each.crashes for customer in customers.values() for each in customer.devices if each.name == device)


@functools.lru_cache
def summarize(customer_id: int) -> str:
    return ", ".join(device.name for device in find(customer_id).devices)


@guard.purpose(tm.ProductProvision)
def support(customer_id: int) -> str:
    return f"{find(customer_id).name}: {summarize(customer_id)}"


def newsletter(subject: str) -> list[str]:
    with guard.purpose(tm.AnyProductGuidance, channel="email"):
        return [f"{subject}: {customer.email}" for customer in customers.values()]
