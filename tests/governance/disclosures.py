"""A shop that holds data of one customer, and a report with something in each of its parts."""

from __future__ import annotations

import contextlib
import copy
import datetime
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel

import purposeguard as pg
from purposeguard.governance.disclosure import RecordsAboutSubject, build_disclosure
from purposeguard.governance.disclosure_page import (
    ConsentPart,
    Disclosure,
    Language,
    ProvisionPart,
    RequestPart,
    RestrictionPart,
)
from purposeguard.governance.holdings import Holdings
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.protocols import SubjectPreferences
from purposeguard.values.markers import Collected, Ended, Subject
from purposeguard.values.sealed import compute_plain_value

NOW = datetime.datetime(2026, 5, 2, 22, 30, tzinfo=datetime.UTC)  # the third of May already in Tokyo
HOSTILE = '<script>alert("1")</script>"><img src=x onerror=alert(2)>&amp;\'{{ 7 * 7 }}{% raw %}'


def _tables() -> dict[str, Any]:
    made = copy.deepcopy(tm.NOTICE.dump())
    made["rights"]["days"] = 14
    made["retention"]["period"] = [
        {"source": "1.1(a)", "days": 30},
        {"source": "1.1(a)", "days": 3650, "from": "collection"},
        {"source": "2.3", "days": 90, "from": "collection"},
    ]
    first, second = made["grant"][:2]
    first["basis"] = "consent"
    first["purpose"][0]["basis"] = "contract"
    second["basis"] = "legitimate-interest"
    return made


NOTICE = pg.Notice.parse(_tables(), classes=vars(tm))


def _in_german(value: Any) -> Any:
    if isinstance(value, dict):
        both = value.keys() == {"en", "ja"}
        return {"de": value["en"]} if both else {key: _in_german(inner) for key, inner in value.items()}
    return [_in_german(inner) for inner in value] if isinstance(value, list) else value


GERMAN = pg.Notice.parse(_in_german(_tables()))
"""The same notice with titles that are German, and no others."""


class Order(BaseModel):
    product: Annotated[str, tm.Contract]
    address: Annotated[str, tm.Registration]


class Customer(BaseModel):
    id: Annotated[int, Subject]
    since: Annotated[datetime.date, Collected]
    left: Annotated[datetime.date | None, Ended] = None
    email: Annotated[str, tm.Registration]
    phone: pg.Personal[str, tm.Registration] | None = None
    device: pg.Personal[str, tm.ProductData]
    segment: Annotated[str, tm.Registration, tm.ProductData]
    settings: Annotated[dict[str, Any], tm.ProductData]
    orders: list[Order]


class Visit(BaseModel):
    page: Annotated[str, tm.Cookie]


def customer(**more: Any) -> Customer:
    given: dict[str, Any] = {
        "id": 7,
        "since": "2021-04-01",
        "left": "2026-04-20",
        "email": "aiko@example.org",
        "device": pg.Personal("TM-99", tm.ProductData),
        "segment": HOSTILE,
        "settings": {"scan": [1, {HOSTILE: None}], "on": True},
        "orders": [{"product": "Cloud One", "address": "〒151-0053 東京都渋谷区代々木\n2-1-1 \N{NO-BREAK SPACE}\x07"}],
    }
    return Customer.model_validate({**given, **more})


def holdings(load: Callable[[str], Any] | None = None) -> Holdings:
    made = Holdings()
    names = {"orders[].product": {"en": "Product ordered", "ja": "購入製品"}, "email": {"en": HOSTILE, "ja": HOSTILE}}
    made.holding("customers", title={"en": "Customers", "ja": "お客さま"}, names=names)(
        load or (lambda key: customer())
    )
    made.holding("visits")(lambda key: [Visit(page="/a"), Visit(page="/b")])
    made.holding("leads")(lambda key: None)
    return made


@contextlib.contextmanager
def door(subject: str) -> Iterator[Callable[[Any], Any]]:
    yield compute_plain_value


def on_record(language: Language = "en") -> RecordsAboutSubject:
    ja = language == "ja"
    return RecordsAboutSubject(
        preferences=SubjectPreferences(
            suspended=frozenset({"1.2(1)①"}), consents=frozenset({("1.2(1)②", NOTICE.revision)})
        ),
        restrictions=(
            RestrictionPart(
                kind="suspension",
                title="利用停止" if ja else "Suspension of use",
                purposes=("1.2(1)①",),
                requester="subject",
                since=NOW,
                until=None,
                lifted_at=None,
            ),
            RestrictionPart(
                kind="stop-of-provision",
                title="提供の停止" if ja else "Stop of provision",
                purposes=None,
                requester="agent",
                since=NOW,
                until=NOW,
                lifted_at=NOW,
            ),
        ),
        consents=(
            ConsentPart(
                purpose="1.2(1)②",
                title="製品" if ja else "Products",
                revision=NOTICE.revision,
                given_at=NOW,
                withdrawn_at=None,
            ),
        ),
        provisions=(
            ProvisionPart(
                at=NOW,
                recipient=HOSTILE,
                kind="海外委託先" if ja else "Contractor abroad",
                country="US",
                country_title="米国" if ja else "United States",
                means="電子メール" if ja else "E-mail",
                purpose="1.2(1)②",
                purpose_title="製品" if ja else "Products",
                sources=("1.1(a)", "1.1(c)"),
            ),
        ),
        requests=(
            RequestPart(
                id=7,
                kind="erasure",
                title="消去" if ja else "Erasure",
                requester="agent",
                purposes=None,
                state="refused",
                received_on=datetime.date(2026, 4, 28),
                due_on=datetime.date(2026, 5, 12),
                closed_on=datetime.date(2026, 4, 30),
                reason=HOSTILE,
            ),
            RequestPart(
                id=8,
                kind="suspension-of-use",
                title="利用停止" if ja else "Suspension of use",
                requester="subject",
                purposes=("1.2(1)①", "9.9①"),
                state="open",
                received_on=datetime.date(2026, 5, 1),
                due_on=None,
                closed_on=None,
                reason=None,
            ),
        ),
    )


def report(language: Language = "en", **more: Any) -> Disclosure:
    given: dict[str, Any] = {"now": NOW, "language": language, "values": True, "door": door, "request": 9}
    return build_disclosure(NOTICE, "7", holdings(), on_record(language), **{**given, **more})
