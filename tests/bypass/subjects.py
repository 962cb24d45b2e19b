"""What the tests of ways around a subject share: rows that say whose they are, and what an act comes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

P = tm.RenewalGuidance
NAME: pg.Personal[str, Any] = pg.Personal("name", tm.Registration)
R = NAME.label


class Row(BaseModel):
    key: Annotated[int, pg.Subject]
    email: Annotated[str, tm.Registration] = "e"


class Safe(pg.PersonalModel):
    key: Annotated[int, pg.Subject]
    email: pg.Personal[str, tm.Registration]


def answer(ask: Callable[[], Any]) -> object:
    """What it gives, or the class of its error."""
    try:
        return ask()
    except Exception as error:
        return type(error)
