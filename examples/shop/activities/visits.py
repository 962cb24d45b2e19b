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
    return _counted()


def _counted() -> list[PageTraffic]:
    """Count visits by page.

    The database cannot count them: it does not know who asked that their visits are left out.
    """
    visits = Counter(visit.page for visit in repository.visits())
    return [PageTraffic(page=page, visits=count) for page, count in sorted(visits.items())]


@guard.purpose(tm.UsageAnalysis).with_use
def pages_of_customers(use: Use[tm.UsageAnalysis]) -> list[LinkedVisit]:
    """Return visits with the names of the customers who made them.

    A customer's name alone may not serve this purpose. A name that is linked with a visit has a source that may.
    """
    visits = repository.visits_of_customers()
    linked = [tm.link_usage(visit.page, visit.customer) for visit in visits]
    return [LinkedVisit(page=page, customer=customer) for page, customer in use.open_all(linked, subjects=visits)]


# This activity is new. While it is observed, nothing is refused, and the ledger shows what would be.
@guard.purpose(tm.WebBehaviourAnalysis, mode="observe")
def compare_visits_with_leads() -> Comparison:
    companies = Counter(lead.company for lead in repository.lead_companies())
    return Comparison(
        pages=_counted(), companies=[LeadCompanies(company=name, leads=count) for name, count in companies.items()]
    )
