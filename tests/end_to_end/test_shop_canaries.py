"""Marked values in all that the shop holds: what a purpose may not use comes out nowhere."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from examples.shop.privacy import guard
from purposeguard.testing import Unrecognisable, canaries
from tests.end_to_end.worlds import WORK, Work, World, do, opened


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with opened(tmp_path_factory.mktemp("shop")) as client:
        yield client


@pytest.mark.parametrize("work", WORK, ids=lambda work: work.name)
def test_nothing_else_comes_out(shop: TestClient, work: Work) -> None:
    with warnings.catch_warnings():
        # Of kinds of reports there are two, which cannot be marked: that they do not matter is proven beside this.
        warnings.simplefilter("ignore", Unrecognisable)
        with canaries(guard, work.purpose, channel=work.channel) as marked:
            marked.result(do(shop, work, marked.instance(World)))
