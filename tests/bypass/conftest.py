"""Errors keep all their frames here, as in development mode: what stands in them is looked through."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def all_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("purposeguard.errors.ALL_FRAMES", True)
