"""An application over the generated module of a notice, which lies beside it.

Under the published revision it is legal. A line that a narrower revision forbids is marked with that revision's name.
"""

from __future__ import annotations

from datetime import date
from typing import Any, assert_type

import purposeguard as pg
from purposeguard import Personal, PersonalModel, Use

from . import my_notice as notice  # noqa: TID252  # the one beside it, of which the tests make several

guard = pg.Guard(notice.NOTICE)

# Which revision it is made for, an application reads.
revision: str = notice.REVISION
assert_type(guard.notice.revision, date)


class Customer(PersonalModel):
    email: Personal[str, notice.Registration]
    renews: Personal[str, notice.Contract]
    device: Personal[str, notice.ProductData]
    visits: Personal[int, notice.Cookie]


def remind(use: Use[notice.RenewalGuidance], to: Personal[str, notice.RenewalGuidance]) -> str:
    return use.open(to)


def renewals(customer: Customer) -> str:
    with guard.purpose(notice.RenewalGuidance) as use:
        remind(use, customer.email)
        remind(use, customer.renews)
        return use.open(customer.email.zip(customer.renews))[0]


def recommend(
    use: Use[notice.RelatedThirdPartyProducts], to: Personal[str, notice.RelatedThirdPartyProducts], because: str
) -> str:
    return use.open(to) + because


def campaign(customer: Customer, customers: list[Customer]) -> list[str]:
    with guard.purpose(notice.RelatedThirdPartyProducts) as use:
        because = use.open(customer.renews)  # error: third_parties
        recommend(use, customer.email, because)
        recommend(use, customer.renews, because)  # error: third_parties
        recommend(use, customer.email.zip(customer.renews).map(" ".join), because)  # error: third_parties
        return use.open_all([one.renews for one in customers])  # error: third_parties


def campaign_for_all(customer: Customer) -> str:
    with guard.purpose(notice.AnyThirdPartyProducts, channel="email") as use:
        use.open(customer.email)
        return use.open(customer.renews)  # error: third_parties


def improve(use: Use[notice.ProductImprovement], of: Personal[str, notice.ProductImprovement]) -> str:
    return use.open(of)


def improvement(customer: Customer) -> None:
    with guard.purpose(notice.ProductImprovement) as use:
        improve(use, customer.device)  # error: telemetry
        improve(use, customer.email)
        use.open(customer.device.zip(customer.email))  # error: telemetry
    with guard.purpose(notice.ProductProvision) as providing:
        providing.open(customer.device.zip(customer.email))


def first_of(values: list[Personal[str, notice.ProductData]]) -> Personal[str, notice.ProductImprovement]:
    return values[0]  # error: telemetry


@guard.purpose(notice.EventInvitation)  # error: no_events
def invitation(customer: Customer) -> str:
    return guard.current.open(customer.email)


def usage(customer: Customer) -> Personal[Any, notice.UsageAnalysis]:
    return notice.link_usage(customer.visits, customer.email)  # error: unlinked
