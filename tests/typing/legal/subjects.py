"""Subjects, days of collection, revisions and exceptions. Accepted, and runs."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any, NamedTuple, TypedDict, assert_type

from pydantic import BaseModel

import purposeguard as pg
from purposeguard import Personal, Use
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Provision
from purposeguard.runtime.declarations import LegalException, Reclassification
from purposeguard.runtime.protocols import CLEAR, Oversight, SubjectPreferences

# What keeps what subjects asked for is whatever has these four.


class Ledger:
    def denied(self, error: pg.PurposeViolation | pg.PurposeMissing, *, observed: bool) -> None: ...

    def counter(self, activity: str | None, purpose: str, label: pg.Label) -> Callable[[], object]:
        return list

    def reclassified(self, declared: Reclassification, label: pg.Label, activity: str | None) -> None: ...

    def excepted(self, exception: LegalException, label: pg.Label, subject: str | None, count: int) -> None: ...


class Office:
    def __init__(self) -> None:
        self.suspended = SubjectPreferences(suspended=frozenset({"1.2(1)①"}), all_suspended=False)

    @property
    def ledger(self) -> Ledger:
        return Ledger()

    @property
    def requires_subject(self) -> bool:
        return False

    def preferences(self, subject: str, /) -> SubjectPreferences:
        return self.suspended if subject == "7" else CLEAR

    def provided(self, provision: Provision, /) -> None: ...


asked: Oversight = Office()
NOON = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)


def noon() -> datetime.datetime:
    return NOON


guard = pg.Guard(tm.NOTICE, governance=Office(), clock=noon)
strict = pg.Guard(pg.History(tm.NOTICE), mode="observe", ledger=Ledger(), governance=asked, clock=lambda: NOON)
assert_type(guard.governance, Oversight | None)
assert_type(guard.history, pg.History)

# Marks stand beside tags, on whatever a model is.

Key = Annotated[int, pg.Subject]


class Customer(BaseModel):
    key: Key
    since: Annotated[datetime.datetime, pg.Collected] = NOON
    until: Annotated[datetime.date | None, pg.Ended] = None
    friends: list[Annotated[int, pg.Subject]] = []
    lead: Annotated[str | None, pg.Subject("lead"), tm.Registration] = None
    email: Annotated[str, tm.Registration] = "mail@example.org"
    phone: Personal[str, tm.Registration]


@dataclasses.dataclass
class Data:
    key: Key
    email: Annotated[str, tm.Registration] = "mail@example.org"


class Named(NamedTuple):
    key: Annotated[uuid.UUID, pg.Subject]
    email: Annotated[str, tm.Registration] = "mail@example.org"


class Row(TypedDict):
    key: Key
    email: Annotated[str, tm.Registration]


def text() -> str:
    return "03-1234-5678"


phone = Personal(text(), tm.Registration)
customer = Customer(key=8, phone=phone)
SOME = uuid.UUID(int=8)

# What is known beyond the label.

about = pg.RowContext(8, collected=datetime.date(2025, 3, 1), ended=NOON)
assert_type(about.subject, str | None)
assert_type(about.collected, datetime.date | datetime.datetime | None)
pg.RowContext()
pg.RowContext("eight")
pg.RowContext(SOME, ended=datetime.date(2026, 1, 1))

# Decisions about somebody.

assert_type(guard.allows(tm.Registration, tm.RenewalGuidance, subject=8), bool)
guard.allows("1.1a", "1.2(1)①", subject="eight")
guard.allows(tm.Registration, tm.AnyProductGuidance, subject=SOME)
guard.allows(tm.WebContact, tm.WebSecurityMail, "email", subject=about)
guard.check({tm.Registration, tm.Contract}, tm.RenewalGuidance, subject=customer)
guard.check(tm.Registration, tm.RenewalGuidance, subject=Data(8))
guard.check(tm.Registration, tm.RenewalGuidance, subject=Named(SOME))
guard.check(tm.Registration, tm.RenewalGuidance, subject=None)
assert_type(guard.explain(tm.Registration, tm.RenewalGuidance, subject=7), pg.Decision)

# Seals of somebody: of the same types as those of nobody.

with guard.purpose(tm.RenewalGuidance) as use:
    assert_type(use.open(phone, subject=8), str)
    assert_type(use.open(customer.phone, subject=customer), str)
    assert_type(use.open(phone, subject=Data(8)), str)
    assert_type(use.open(phone.map(len), subject="eight"), int)
    assert_type(use.try_open(phone, None, subject=about), str | None)
    assert_type(use.open_all([phone, customer.phone], subjects=[8, customer]), list[str])
    assert_type(use.open_all([phone], subjects=(one for one in (SOME,))), list[str])
    assert_type(use.open_all(iter([phone, phone]), subjects=["eight", None]), list[str])
    assert_type(use.allows(phone.label, subject=8), bool)
    assert_type(use.explain(tm.Registration, subject=Named(SOME)), pg.Decision)
    use.check(tm.Registration, subject=8)


def remind(use: Use[tm.RenewalGuidance], key: int) -> str:
    return use.open(phone, subject=key)


with guard.purpose(tm.RenewalGuidance) as use:
    remind(use, 8)

# Functions that leave rows out keep their types.


@guard.access(narrow=True)
def customers(*keys: int) -> list[Customer]:
    return [Customer(key=key, phone=phone) for key in keys]


@guard.access(tm.Registration, narrow=True, withhold=False)
def rows() -> dict[str, Row]:
    return {"eight": {"key": 8, "email": "mail@example.org"}}


@guard.access(narrow=True)
def each() -> Iterator[Data]:
    yield Data(7)
    yield Data(8)


@guard.access(narrow=True, withhold=True)
async def load(key: int) -> tuple[Named, ...]:
    await asyncio.sleep(0)
    return (Named(uuid.UUID(int=key)),)


@guard.access(narrow=True)
async def stream() -> AsyncIterator[Data]:
    yield Data(8)


class Repository:
    @guard.access(narrow=True)
    def first(self) -> list[Customer | None]:
        return [customer, None]

    @guard.cached()
    @guard.access(narrow=True)
    def some(self, key: int) -> list[Data]:
        return [Data(key)]


load_all: Callable[[int], list[Data]] = Repository().some


@guard.purpose(tm.RenewalGuidance)
def read() -> int:
    assert_type(customers(7, 8), list[Customer])
    assert_type(rows()["eight"]["email"], str)
    assert_type(next(each()).email, str)
    assert_type(asyncio.run(load(8)), tuple[Named, ...])
    assert_type(load_all(8), list[Data])
    return len(Repository().first()) + len(customers(7, 8))


assert read() == 3

# Revisions.

history = pg.History(tm.NOTICE)
assert_type(history.on(datetime.date(2025, 1, 1)), pg.Notice | None)
assert_type(history.on(NOON), pg.Notice | None)
assert_type(history.latest, pg.Notice)
assert_type(history.label(tm.Registration, "1.1c", phone.label, collected=NOON), pg.Label)
assert_type(list(history), list[pg.Notice])
guard.replace(history)
guard.replace(history.latest)

# Exceptions: they open whatever there is.

UNTIL = datetime.datetime(2026, 6, 2, tzinfo=datetime.UTC)
device = Personal(len(text()), tm.ProductData)

with guard.exception(
    basis="vital-interest", reason="an accident", approver="the officer", subjects=[7, "eight", SOME], until=UNTIL
) as rescue:
    assert_type(rescue, Use[Any])
    assert_type(rescue.open(device, subject=7), int)
    assert_type(rescue.open(phone, subject="eight"), str)
    assert_type(rescue.try_open(device, None, subject=9), int | None)


async def warrant() -> str:
    door = guard.exception(
        basis="law", reason="a warrant", approver="counsel", subjects="all", until=UNTIL, activity="warrant"
    )
    async with door as use:
        return use.open(phone)


assert asyncio.run(warrant()) == "03-1234-5678"
