"""What a purpose may not use makes no difference to anything that the shop does for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import Phase, settings

from examples.shop.privacy import guard
from purposeguard.testing import noninterference
from tests.end_to_end.worlds import WORK, Work, World, do, opened

briefly = settings(max_examples=3, deadline=None, phases=[Phase.explicit, Phase.generate], database=None)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with opened(tmp_path_factory.mktemp("shop")) as client:
        yield client


@pytest.mark.parametrize("work", WORK, ids=lambda work: work.name)
def test_nothing_else_matters(shop: TestClient, work: Work) -> None:
    @briefly
    @noninterference(guard, work.purpose, channel=work.channel, twins=2)
    def proof(world: World) -> list[Any]:
        return do(shop, work, world)

    proof()
