"""What the tests of the plugin share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from purposeguard.testing import watching
from purposeguard.testing._report import Collector


@pytest.fixture
def collector() -> Iterator[Collector]:
    """One that counts in this process."""
    collector = Collector(by_test=True, is_test=lambda module: module == "tests")
    watching.watch_all(collector)
    yield collector
    watching.leave_all(collector)
