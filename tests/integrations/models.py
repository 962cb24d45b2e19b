"""A customer that the applications of these tests load, and the question which purpose is under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm


class Customer(BaseModel):
    name: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]


def make_loader(guard: pg.Guard) -> Callable[..., Customer]:
    """Make the function of an application that loads a customer, without what the purpose may not use."""

    @guard.access(withhold=True)
    def load(key: int = 1) -> Customer:
        return Customer(name="Aiko", device=f"TM-{key}")

    return load


def get_purpose(guard: pg.Guard) -> str | None:
    """Return the clause of the purpose under way here, if there is one."""
    try:
        return guard.current.activity.purpose_id
    except pg.PurposeMissing:
        return None
