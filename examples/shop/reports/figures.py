"""Monthly figures, counted by the database. A count of tagged columns has their tags."""

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
    """Crashes of the products whose contracts end in a month."""

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
    """Count the reminders of each month. People who asked for no reminders are not counted."""
    due = (
        select(*_month, ContractRow.product, func.count().label("contracts"))
        .group_by("year", "month", ContractRow.product)
        .order_by("year", "month", ContractRow.product)
    )
    with Reading() as session:
        return [RenewalsDue.model_validate(row) for row in session.execute(due)]


@guard.purpose(tm.ProductImprovement)
def crashes_before_renewal() -> list[Crashes]:
    """Join telemetry with contracts: this purpose may use each of them, so it may use both together."""
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
