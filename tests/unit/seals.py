"""Sealed values of several sources, and what tests of them share."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.declarations import Reclassification
from tests.bypass.seal_looking import TEXT
from tests.unit.samples import Tape

SENTINEL = TEXT
"""What is shown nowhere."""

ABSENT = object()

# Their sources are known at run time alone, so that a test may do with them what no type checker lets pass.
NAME: pg.Personal[str, Any] = pg.Personal("name", tm.Registration)
BILL: pg.Personal[str, Any] = pg.Personal("bill", tm.Contract)
DEVICE: pg.Personal[str, Any] = pg.Personal("device", tm.ProductData)
COOKIE: pg.Personal[str, Any] = pg.Personal("cookie", tm.Cookie)
FREE: pg.Personal[str, Any] = pg.Personal("free", pg.NotPersonal)


def words(error: BaseException | pytest.ExceptionInfo[BaseException]) -> str:
    """A message on one line."""
    return " ".join(str(error.value if isinstance(error, pytest.ExceptionInfo) else error).split())


def opened_anywhere(guard: pg.Guard, value: pg.Personal[Any, Any]) -> Any:
    """As any purpose may open it, which is to say: it is not personal."""
    assert value.label is pg.Label(pg.NotPersonal)
    with guard.purpose(tm.TrafficAnalysis) as use:
        return use.open(value)


class Told(Tape):
    """Writes down for which activity a reclassification was, too."""

    def __init__(self) -> None:
        super().__init__()
        self.figures: list[tuple[Reclassification, pg.Label, str | None]] = []

    def reclassified(self, declared: Reclassification, label: pg.Label, activity: str | None = None) -> None:
        self.figures.append((declared, label, activity))


# ---- What access functions of every kind return ---------------------------------------------------------------------

Name = pg.Personal[str, tm.Registration]
Device = pg.Personal[str, tm.ProductData]


class Sealed(BaseModel):
    name: Name
    device: Device | None = None


def sealed_customer() -> Sealed:
    return Sealed(name=NAME, device=DEVICE)


async def sealed_later() -> Sealed:
    await asyncio.sleep(0)
    return sealed_customer()


def sealed_each() -> Iterator[Sealed]:
    yield sealed_customer()


async def sealed_stream() -> AsyncIterator[Sealed]:
    yield sealed_customer()


def sealed_by_key() -> Mapping[str, Sealed]:
    return {"a": sealed_customer()}


async def listed(stream: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in stream]


def run(fn: Callable[[], Any]) -> Any:
    """What a function of any kind gives, to the end."""
    made = fn()
    if hasattr(made, "__aiter__"):
        return asyncio.run(listed(made))
    if inspect.iscoroutine(made):
        return asyncio.run(made)
    return list(made) if hasattr(made, "__next__") else made
