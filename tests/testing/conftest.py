"""What the tests of the testing tools share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def small_heap() -> Iterator[None]:
    """Hides all earlier objects from the collector: effects search the heap, and that of a whole run is large."""
    gc.freeze()
    yield
    gc.unfreeze()
