"""Tests that a team would have without the library's tools: each endpoint of the shop's work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.end_to_end.conftest import PEOPLE
from tests.end_to_end.worlds import WORK, Work, opened

ANSWERS = {"/telemetry/Shield/figures": 409, "/newsletters/advertisements": 409}
"""There are too few customers for figures."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with opened(tmp_path_factory.mktemp("shop")) as client:
        for path, body in PEOPLE:
            assert client.post(path, json=body).status_code in {201, 202}
        yield client


@pytest.mark.parametrize("work", WORK, ids=lambda work: work.name)
def test_work_is_done(shop: TestClient, work: Work) -> None:
    for method, path, body in work.requests:
        there = path.replace("inquiries/3", "inquiries/1").replace("inquiries/5", "inquiries/2")
        assert shop.request(method, there, json=body).status_code == ANSWERS.get(path, 200), path


def test_renewal_card(shop: TestClient) -> None:
    card = shop.get("/renewals/customers/1").json()
    assert card["name"] == "Aiko Mori"
    assert "devices" not in card


def test_crashes(shop: TestClient) -> None:
    assert shop.get("/telemetry/Shield/crashes").json() == {"product": "Shield", "events": 2, "crashes": 1}


def test_traffic(shop: TestClient) -> None:
    assert shop.get("/visits/traffic").json() == [{"page": "/pricing", "visits": 2}]
