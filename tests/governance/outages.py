"""Stores that cannot be reached for a while: a file that is gone, a server that is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from purposeguard.governance.store import Store


@contextmanager
def outage(store: Store, request: pytest.FixtureRequest) -> Iterator[None]:
    if store.dialect == "postgresql":
        with request.getfixturevalue("postgresql").stopped():
            yield
        return
    path = Path(str(store.engine.url.database))
    path.rename(path.with_suffix(".away"))
    try:
        yield
    finally:
        path.with_suffix(".away").rename(path)
