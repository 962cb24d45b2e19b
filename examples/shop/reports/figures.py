"""Monthly figures, counted by the database. What is counted from tagged columns is tagged as they are."""

from __future__ import annotations

from typing import Annotated

from sqlalchemy import extract, func, select

from examples.shop.database import ContractRow, EventRow
from examples.shop.models import Model
from examples.shop.privacy import guard
from examples.shop.reports.reading import Reading
from purposeguard.notices import trendmicro_jp as tm


class RenewalsDue(Model):
    year: Annotated[int, tm.Contract]
    month: Annotated[int, tm.Contract]
    product: Annotated[str, tm.Contract]
    contracts: Annotated[int, tm.Contract]


class Crashes(Model):
    """Of the products whose contracts end in a month."""

    year: Annotated[int, tm.Contract]
    month: Annotated[int, tm.Contract]
    product: Annotated[str, tm.Contract]
    runs: Annotated[int, tm.ProductData]
    crashes: Annotated[int, tm.ProductData]


_month = (
    extract("year", ContractRow.renews_on).label("year"),
    extract("month", ContractRow.renews_on).label("month"),
)


@guard.purpose(tm.RenewalGuidance)
def renewals_due() -> list[RenewalsDue]:
    """How many reminders each month will take: who asked to get none is not counted."""
    due = (
        select(*_month, ContractRow.product, func.count().label("contracts"))
        .group_by("year", "month", ContractRow.product)
        .order_by("year", "month", ContractRow.product)
    )
    with Reading() as session:
        return [RenewalsDue.model_validate(row) for row in session.execute(due)]


@guard.purpose(tm.ProductImprovement)
def crashes_before_renewal() -> list[Crashes]:
    """Telemetry joined with contracts: this purpose may use either, so it may use both."""
    reported = (EventRow.customer_id == ContractRow.customer_id) & (EventRow.product == ContractRow.product)
    counted = (
        select(
            *_month,
            ContractRow.product,
            func.count(EventRow.kind).label("runs"),
            func.count().filter(EventRow.kind == "crash").label("crashes"),
        )
        .join(EventRow, reported)
        .group_by("year", "month", ContractRow.product)
        .order_by("year", "month", ContractRow.product)
    )
    with Reading() as session:
        return [Crashes.model_validate(row) for row in session.execute(counted)]
