"""What visitors of the website do. Clauses 2.3①, 2.3③ and, on trial, 2.2⑧."""

from __future__ import annotations

from pydantic import BaseModel

from examples.shop import repository
from examples.shop.models import LeadCompanies, LinkedVisit, PageTraffic
from examples.shop.privacy import guard
from purposeguard.notices import trendmicro_jp as tm


class Comparison(BaseModel):
    pages: list[PageTraffic]
    companies: list[LeadCompanies]


@guard.purpose(tm.TrafficAnalysis)
def traffic() -> list[PageTraffic]:
    return repository.page_traffic()


@guard.purpose(tm.UsageAnalysis)
def pages_of_customers() -> list[LinkedVisit]:
    return repository.linked_visits()


# New, and rolled out in stages: while it is observed nothing is refused, and the ledger shows what would be.
@guard.purpose(tm.WebBehaviourAnalysis, mode="observe")
def compare_visits_with_leads() -> Comparison:
    return Comparison(pages=repository.page_traffic(), companies=repository.lead_companies())
