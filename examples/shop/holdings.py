"""The shop's data about one person, for a report (clause 7).

It is read under an exception, which is recorded in the ledger.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from examples.shop import repository
from examples.shop.models import Customer, Event, Inquiry, Lead, Prospect, Visit
from examples.shop.privacy import governance
from purposeguard.governance import Disclosure

Language = Literal["en", "ja"]

NAMES = {
    "name": {"en": "Name", "ja": "氏名"},
    "email": {"en": "E-mail", "ja": "メールアドレス"},
    "phone": {"en": "Telephone", "ja": "電話番号"},
    "contracts[].product": {"en": "Product", "ja": "製品"},
    "contracts[].renews_on": {"en": "Renews on", "ja": "更新日"},
    "devices": {"en": "Devices", "ja": "端末"},
}


@governance.holding("customer", realm="customer", title={"en": "Customer", "ja": "お客さま"}, names=NAMES)
def customer(key: str) -> Customer | None:
    with suppress(repository.NotFound):
        return repository.customer(int(key))
    return None


@governance.holding("telemetry", realm="customer", title={"en": "Reports of products", "ja": "製品からの報告"})
def telemetry(key: str) -> list[Event]:
    return repository.events_of(int(key))


@governance.holding("visits", realm="customer", title={"en": "Visits of the website", "ja": "Webサイトの訪問"})
def visits(key: str) -> list[Visit]:
    return repository.visits_of(int(key))


@governance.holding("lead", realm="lead", title={"en": "Website user", "ja": "Webサイト利用者"}, names=NAMES)
def lead(key: str) -> Lead | None:
    with suppress(repository.NotFound):
        return repository.lead(int(key))
    return None


@governance.holding("prospect", realm="prospect", title={"en": "Prospect", "ja": "見込み客"}, names=NAMES)
def prospect(key: str) -> Prospect | None:
    with suppress(repository.NotFound):
        return repository.prospect(int(key))
    return None


@governance.holding("inquiries", title={"en": "Inquiries", "ja": "お問い合わせ"})
def inquiries(subject: str) -> list[Inquiry]:
    """Return the inquiries of a person of any kind: `subject` is the full id, such as `customer:1`."""
    kind, _, key = subject.partition(":")
    return repository.inquiries_of(kind, int(key))


def report(subject: str, by: str, language: Language, *, values: bool) -> Disclosure:
    """Return all data about a person, its purposes, and its recipients. `by` names who opened it."""
    return governance.disclose(subject, by=by, language=language, values=values)
