"""What the tests of the testing tools share."""

from __future__ import annotations

import pytest

from tests.heap import only_new_objects


@pytest.fixture(autouse=True, scope="module")
def small_heap() -> None:
    """Effects search the heap, and that of a whole run is large."""
    only_new_objects()
