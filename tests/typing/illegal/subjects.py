"""Subjects, days, revisions and exceptions said wrongly: an error on each line that is marked so."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel

import purposeguard as pg
from purposeguard import Personal, Use
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.protocols import SubjectPreferences

guard = pg.Guard(tm.NOTICE)
DAY = datetime.date(2026, 6, 1)
NOON = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
phone = Personal("03-1234-5678", tm.Registration)
device = Personal(7, tm.ProductData)


class Customer(BaseModel):
    key: Annotated[int, pg.Subject]
    email: Annotated[str, tm.Registration]


class Plain:
    key = 8


customer = Customer(key=8, email="mail@example.org")

# What is known of a datum.

pg.RowContext(7.5)  # error
pg.RowContext([7])  # error
pg.RowContext(customer)  # error
pg.RowContext(7, DAY)  # error
pg.RowContext(7, collected="2026-06-01")  # error
pg.RowContext(7, ended=20260601)  # error
pg.RowContext(7, since=DAY)  # error
about = pg.RowContext(7, collected=DAY)
about.subject.upper()  # error

# Whose it is: an id, what is known, or a row.

guard.allows(tm.Registration, tm.RenewalGuidance, subject=7.5)  # error
guard.check(tm.Registration, tm.RenewalGuidance, subject=[7])  # error
guard.explain(tm.Registration, tm.RenewalGuidance, subject=b"7")  # error
guard.allows(tm.Registration, tm.RenewalGuidance, subjects=[7])  # error
guard.check(tm.Registration, tm.RenewalGuidance, subject=Plain())  # error

with guard.purpose(tm.RenewalGuidance) as use:
    use.open(phone, subject=7.5)  # error
    use.open(phone, subject=Customer)  # error
    use.open(phone, subject={"key": 7})  # error
    use.open(phone, whose=7)  # error
    use.open(device, subject=7)  # error
    use.try_open(phone, subject=7)  # error
    use.open_all([phone], subject=7)  # error
    use.open_all([phone], subjects=7)  # error
    use.open_all([phone, device], subjects=[7, 8])  # error
    use.allows(tm.Registration, subject=DAY)  # error
    opened: int = use.open(phone, subject=7)  # error

# Marks, and what leaves rows out.

pg.Subject(7)  # error
pg.Collected("customer")  # error


@guard.access(narrow="yes")  # error
def first() -> list[Customer]:
    return []


@guard.access(narrow=True)
def rows() -> list[Customer]:
    return [customer]


count: int = rows()  # error
other: Callable[[], list[int]] = rows  # error

# Who is asked, and when.

pg.Guard(tm.NOTICE, governance=Plain())  # error
pg.Guard(tm.NOTICE, governance="sqlite:///privacy.db")  # error
pg.Guard(tm.NOTICE, clock=NOON)  # error
pg.Guard(tm.NOTICE, clock=lambda: DAY)  # error
SubjectPreferences(suspended=["1.2(1)①"])  # error
pg.Guard(tm.NOTICE, ledger=Plain())  # error

# Revisions.

pg.History("notice.toml")  # error
pg.History([tm.NOTICE])  # error
pg.History(tm.NOTICE).on("2026-06-01")  # error
pg.History(tm.NOTICE).label(tm.Registration)  # error
pg.History(tm.NOTICE).label(7, collected=DAY)  # error
pg.History(tm.NOTICE).on(DAY).revision  # error
guard.replace("notice.toml")  # error

# Exceptions say on what they rest.

guard.exception()  # error
guard.exception(basis="law", reason="r", approver="a", subjects=[7])  # error
guard.exception(basis="consent", reason="r", approver="a", subjects=[7], until=NOON)  # error
guard.exception(basis="law", reason=None, approver="a", subjects=[7], until=NOON)  # error
guard.exception(basis="law", reason="r", approver="a", subjects=7, until=NOON)  # error
guard.exception(basis="law", reason="r", approver="a", subjects=[7.5], until=NOON)  # error
guard.exception(basis="law", reason="r", approver="a", subjects=[7], until=DAY)  # error

with guard.exception(basis="law", reason="r", approver="a", subjects="all", until=NOON) as use_by_law:
    use_by_law.open(phone, subject=7.5)  # error
    mine: Use[tm.RenewalGuidance] = use
    word: int = use_by_law.open(phone)  # error
