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


class Speaking:
    """What the methods of all these classes give."""

    __slots__ = ()

    def shout(self: Any) -> Any:
        return self.email.upper()

    def both(self: Any) -> Any:
        return self.email + self.device


class Model(Speaking, BaseModel):
    email: Email
    device: Device
    note: str = "n"


@dataclasses.dataclass
class Data(Speaking):
    email: Email
    device: Device = "default"
    note: str = "n"


@dataclasses.dataclass(slots=True, frozen=True, order=True, kw_only=True)
class Slotted(Speaking):
    email: Email
    device: Device
    note: str = "n"


@attrs.define
class Attrs(Speaking):
    email: Email
    device: Device
    note: str = "n"


@attrs.frozen(slots=False)
class Frozen(Speaking):
    email: Email
    device: Device
    note: str = "n"


class Named(NamedTuple):
    email: Email
    device: Device
    note: str = "n"

    def shout(self) -> str:
        return self.email.upper()

    def both(self) -> str:
        return self.email + self.device
