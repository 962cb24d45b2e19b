"""What the tests of integrations share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from purposeguard.integrations import _masking_classes

MASKING = {"test_logging", "test_masking", "test_opentelemetry", "test_sentry", "test_structlog"}


@pytest.fixture(autouse=True)
def known_classes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where values are masked by the names of fields, the classes of other tests in this process are left out."""
    module = request.module.__name__
    if module.rpartition(".")[2] not in MASKING:
        yield
        return
    every = _masking_classes._iter_classes

    def of_these_tests() -> Iterator[type]:
        own = (module, "purposeguard.", "tests.integrations.people")
        return (cls for cls in every() if cls.__module__.startswith(own))

    monkeypatch.setattr(_masking_classes, "_iter_classes", of_these_tests)
    monkeypatch.setattr(_masking_classes.CLASSES, "_found", (0, 0))
    yield
    monkeypatch.undo()
    _masking_classes.CLASSES._found = (0, 0)
