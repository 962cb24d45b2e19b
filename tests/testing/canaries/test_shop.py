"""Marked values through endpoints of the example: those that leak are found."""

# ruff: noqa: PT012  # a block is what is tested

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from examples.shop.app import create_app
from examples.shop.privacy import guard
from examples.shop.settings import Settings
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing import Leaked, canaries
from tests.testing.noninterference.test_shop import Buyer, hurried, looked_up, settle


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("shop")
    app = create_app(
        Settings(
            database_url=f"sqlite:///{folder / 'shop.db'}",
            governance_url=f"sqlite:///{folder / 'privacy.db'}",
            reports_folder=folder / "reports",
        )
    )
    hurried.state.folder = folder
    app.mount("/hurried", hurried)
    with TestClient(app) as client:
        yield client


LEAKS = {
    "in-a-log-line": "log record shop.hurry INFO, message: …‹device›",
    "in-an-error-message": "HTTP response, body: …‹device›…",
    "in-a-hash": "HTTP response, body: …‹device, hashed by blake2b›…",
    "through-a-thread": "‹seconds›",
    "in-an-http-call": "HTTP request POST, body: ‹device›",
    "in-sql-parameters": "SQL statement, parameter 4: …‹device›…",
    "in-a-file": "file written, content: …‹device›",
}
"""Those by which a value comes out: an order, a condition or the key of a cache shows none."""


@pytest.mark.parametrize("path", LEAKS)
def test_each_leak_of_a_value_is_found(path, shop):
    looked_up.cache_clear()
    with pytest.raises(Leaked) as caught, canaries(guard, tm.RenewalGuidance) as marked:
        settle(marked.instance(Buyer))
        shop.get(f"/hurried/{path}")
    assert LEAKS[path] in str(caught.value)


@pytest.mark.parametrize("path", ["in-an-if", "in-a-sort-key", "in-a-cache-key"])
def test_where_no_value_comes_out_there_is_no_canary(path, shop):
    looked_up.cache_clear()
    with canaries(guard, tm.RenewalGuidance) as marked:
        settle(marked.instance(Buyer))
        shop.get(f"/hurried/{path}")
