"""Analyses of visits to the website: clauses 2.3①, 2.3③ and, on trial, 2.2⑧."""

from __future__ import annotations

from collections import Counter

from pydantic import BaseModel

from examples.shop import repository
from examples.shop.models import LeadCompanies, LinkedVisit, PageTraffic
from examples.shop.privacy import guard
from purposeguard import Use
from purposeguard.notices import trendmicro_jp as tm


class Comparison(BaseModel):
    pages: list[PageTraffic]
    companies: list[LeadCompanies]


@guard.purpose(tm.TrafficAnalysis)
def traffic() -> list[PageTraffic]:
    return _count_visits()


def _count_visits() -> list[PageTraffic]:
    """Return the number of visits of each page.

    The visits are counted here, because the database does not know who asked to leave their visits out.
    """
    visits = Counter(one.page for one in repository.visits())
    return [PageTraffic(page=page, visits=count) for page, count in sorted(visits.items())]


@guard.purpose(tm.UsageAnalysis).with_use
def pages_of_customers(use: Use[tm.UsageAnalysis]) -> list[LinkedVisit]:
    """Return the pages that customers visited.

    A name alone may not serve this purpose. Linked with a visit, it belongs to a source that may.
    """
    visits = repository.visits_of_customers()
    linked = [tm.link_usage(one.page, one.customer) for one in visits]
    return [LinkedVisit(page=page, customer=customer) for page, customer in use.open_all(linked, subjects=visits)]


# This activity is new and rolled out in stages. In observe mode nothing is refused, and the ledger shows what would be.
@guard.purpose(tm.WebBehaviourAnalysis, mode="observe")
def compare_visits_with_leads() -> Comparison:
    companies = Counter(one.company for one in repository.lead_companies())
    return Comparison(
        pages=_count_visits(), companies=[LeadCompanies(company=name, leads=count) for name, count in companies.items()]
    )
