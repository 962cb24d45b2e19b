"""Ledgers in a store on either database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from purposeguard.governance.ledger.checkpoints import make_keys
from tests.governance.ledger.places import Place


@pytest.fixture
def place(store_url: str) -> Iterator[Place]:
    """Where a ledger may be kept: nothing is in it yet."""
    with Place(store_url) as made:
        yield made


@pytest.fixture(scope="package")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key, and its public one beside it."""
    path = tmp_path_factory.mktemp("keys") / "ledger.key"
    make_keys(path)
    return path
