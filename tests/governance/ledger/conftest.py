"""Ledgers in a store on either database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.governance.ledger.places import Place


@pytest.fixture
def place(store_url: str) -> Iterator[Place]:
    """Where a ledger may be kept: nothing is in it yet."""
    with Place(store_url) as made:
        yield made
