"""What visitors of the website do. Clauses 2.3①, 2.3③ and, on trial, 2.2⑧."""

from __future__ import annotations

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
    return repository.page_traffic()


@guard.purpose(tm.UsageAnalysis).with_use
def pages_of_customers(use: Use[tm.UsageAnalysis]) -> list[LinkedVisit]:
    """Alone, a customer's name may not serve this purpose; linked with a visit it is of a source that may."""
    linked = [tm.link_usage(one.page, one.customer) for one in repository.visits_of_customers()]
    return [LinkedVisit(page=page, customer=customer) for page, customer in use.open_all(linked)]


# New, and rolled out in stages: while it is observed nothing is refused, and the ledger shows what would be.
@guard.purpose(tm.WebBehaviourAnalysis, mode="observe")
def compare_visits_with_leads() -> Comparison:
    return Comparison(pages=repository.page_traffic(), companies=repository.lead_companies())
