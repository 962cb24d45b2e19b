"""Ledgers that are kept: in a store on either database, and in a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.governance.ledger.places import Place


@pytest.fixture(params=["sqlite", "postgresql", "jsonl"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def dialect(kind: str) -> str:
    """For the fixtures of stores."""
    return "sqlite" if kind == "jsonl" else kind


@pytest.fixture
def place(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where a ledger may be kept: nothing is in it yet."""
    target = str(tmp_path / "ledger.jsonl") if kind == "jsonl" else request.getfixturevalue("store_url")
    with Place(kind, target) as made:
        yield made
