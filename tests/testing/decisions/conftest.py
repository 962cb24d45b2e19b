"""What the tests of decisions share."""

from __future__ import annotations

import weakref

import pytest

from purposeguard import guard
from purposeguard.testing import watching


@pytest.fixture(autouse=True)
def few_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the guards of this test are live: a block that watches every guard would watch those of the whole run."""
    live: weakref.WeakSet[guard.Guard] = weakref.WeakSet()
    monkeypatch.setattr(guard, "LIVE_GUARDS", live)
    monkeypatch.setattr(watching, "LIVE_GUARDS", live)
