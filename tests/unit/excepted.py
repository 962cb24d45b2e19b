"""A guard with a door for exceptions, and what is recorded of it."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Annotated, Any

from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.legal_override import LegalExceptionBlock
from tests.unit.models import UTC
from tests.unit.oversights import Counting, Office, guarded

NOON = datetime.datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = datetime.timedelta(hours=1)


class Watch:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime.datetime:
        return self.time


class Case:
    """A guard, its ledger, its office and its clock."""

    def __init__(self, office: Office | None = None, **options: Any) -> None:
        self.ledger = Counting()
        self.watch = Watch()
        self.guard = guarded(office, ledger=self.ledger, clock=self.watch, **options)

    def door(self, subjects: Any = (7, 8), **given: Any) -> LegalExceptionBlock:
        facts: dict[str, Any] = {
            "basis": "vital-interest", "reason": "an accident", "approver": "the officer", "until": NOON + HOUR,
            "activity": "rescue",
        }  # fmt: skip
        return self.guard.exception(subjects=subjects, **facts | given)

    @property
    def recorded(self) -> list[tuple[pg.Label, str | None, int]]:
        return [(label, subject, count) for _, label, subject, count in self.ledger.exceptions]


class Row(BaseModel):
    key: Annotated[int, pg.Subject]
    email: Annotated[str, tm.Registration] = "e"
    device: Annotated[str, tm.ProductData] = "d"


@dataclasses.dataclass
class Two:
    one: Annotated[int, pg.Subject]
    other: Annotated[int, pg.Subject]
