"""Customers as every kind of class, and how a purpose that may use their e-mail address alone is given them."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import attrs
from pydantic import BaseModel

from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import Device, Email, guard


def withheld(value: Any, like: Any = None, purpose: Any = tm.RenewalGuidance) -> Any:
    """`value` as a purpose that may use registration data and no product data is given it."""
    with guard.purpose(purpose) as use:
        return use.withhold(value, like)


class Model(BaseModel):
    email: Email
    device: Device
    note: str = "n"

    def shout(self) -> str:
        return self.email.upper()

    def both(self) -> str:
        return self.email + self.device


@dataclasses.dataclass
class Data:
    email: Email
    device: Device = "default"
    note: str = "n"

    def shout(self) -> str:
        return self.email.upper()

    def both(self) -> str:
        return self.email + self.device


@dataclasses.dataclass(slots=True, frozen=True, order=True, kw_only=True)
class Slotted:
    email: Email
    device: Device
    note: str = "n"

    def shout(self) -> str:
        return self.email.upper()

    def both(self) -> str:
        return self.email + self.device


@attrs.define
class Attrs:
    email: Email
    device: Device
    note: str = "n"

    def shout(self) -> str:
        return self.email.upper()

    def both(self) -> str:
        return self.email + self.device


@attrs.frozen(slots=False)
class Frozen:
    email: Email
    device: Device
    note: str = "n"

    def shout(self) -> str:
        return self.email.upper()

    def both(self) -> str:
        return self.email + self.device


class Named(NamedTuple):
    email: Email
    device: Device
    note: str = "n"

    def shout(self) -> str:
        return self.email.upper()

    def both(self) -> str:
        return self.email + self.device
