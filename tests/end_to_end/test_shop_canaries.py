"""Marked values in all that the shop holds: what a purpose may not use comes out nowhere."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from examples.shop.database import Session, UploadRow
from examples.shop.privacy import guard
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing import canaries
from tests.end_to_end.worlds import WORK, Report, Work, World, do, opened

PROVEN = (
    "buyers[].product",
    "buyers[].reports[].product",
    "buyers[].reports[].kind",
    "buyers[].visits[].page",
    "visit.page",
)
"""Of products, pages and kinds of reports there are a few: that they do not matter is proven beside this."""

canaries_in_shop = functools.partial(canaries, guard, proven=PROVEN)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with opened(tmp_path_factory.mktemp("shop")) as client:
        yield client


@pytest.mark.parametrize("work", WORK, ids=lambda work: work.name)
def test_nothing_else_comes_out(shop: TestClient, work: Work) -> None:
    with canaries_in_shop(work.purpose, channel=work.channel) as marked:
        marked.result(do(shop, work, marked.instance(World)))


ASIDE = ("log", "stdout", "stderr", "http", "process", "file")
"""Ways by which nothing personal is to go, whatever the purpose may use: the shop answers, and writes letters."""


@pytest.mark.parametrize("work", WORK, ids=lambda work: work.name)
def test_nothing_personal_goes_aside(shop: TestClient, work: Work) -> None:
    # This purpose may use what visits and customers are linked to, and nothing by itself.
    with canaries_in_shop(tm.UsageAnalysis, effects=ASIDE) as marked:
        do(shop, work, marked.instance(World))


def test_only_reports_of_products_are_handed_over(shop: TestClient) -> None:
    crash = Report(product="Shield", device="laptop", kind="crash", seconds=0.5)
    handed: list[tuple[str, str]] = []
    with canaries_in_shop(tm.UsageAnalysis, effects=()) as marked:
        drawn = marked.instance(World)
        # Reports are on record, so in this world they are no canaries.
        buyers = [one.model_copy(update={"reports": [crash]}) for one in drawn.buyers]
        for work in WORK:
            do(shop, work, drawn.model_copy(update={"buyers": buyers}))
            with Session() as session:
                handed += [(one.recipient, one.line) for one in session.scalars(sa.select(UploadRow))]
        marked.result(handed)
    assert {recipient for recipient, _ in handed} == {"crash-lab"}


def test_what_is_collected_is_told_nowhere(shop: TestClient) -> None:
    with canaries_in_shop(tm.UsageAnalysis, effects=(*ASIDE, "response")) as marked:
        world = marked.instance(World)
        for _ in range(2):  # somebody sends it once more
            for buyer, lead, prospect in zip(world.buyers, world.leads, world.prospects, strict=True):
                contract = {"product": buyer.product, "renews_on": str(buyer.renews_on)}
                customer = buyer.model_dump(include={"name", "email", "phone"}) | {"contracts": [contract]}
                number = shop.post("/customers", json=customer).json().get("id", 1)
                reports = [{"customer_id": number, **one.model_dump()} for one in buyer.reports]
                shop.post("/telemetry", json=reports)
                for visit in buyer.visits:
                    shop.post("/visits", json={"customer_id": number, **visit.model_dump()})
                shop.post("/leads", json=lead.model_dump(exclude={"question"}))
                shop.post("/prospects", json=prospect.model_dump(exclude={"question"}))
                shop.post("/inquiries", json={"customer_id": number, "text": buyer.question})
