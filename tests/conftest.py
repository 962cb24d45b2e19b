"""How far the property tests go.

Every run draws the same examples, whatever the environment says. `HYPOTHESIS_PROFILE=explore` draws others each time;
`deep` draws many of them.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.exporting import summary as cedar
from tests.faults import summary as faults
from tests.typing import summary


def pytest_configure(config: pytest.Config) -> None:
    """Ends a run with what tools said of programs: the process that prints it may have collected no test."""
    summary.add_to(config)
    cedar.add_to(config)
    faults.add_to(config)


# No deadlines: a machine under load is no fault of the code, and nothing here is a measurement.
_always = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

settings.register_profile("fixed", _always, max_examples=40, derandomize=True, database=None, print_blob=True)
settings.register_profile("explore", _always, max_examples=100, print_blob=True)
settings.register_profile("deep", _always, max_examples=1_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "fixed")


@pytest.fixture(scope="session")
def remembers(request: pytest.FixtureRequest) -> None:
    """For tests of what a guard remembers: one that is watched decides each question anew."""
    if request.config.pluginmanager.hasplugin("purposeguard-session"):
        pytest.skip("a watched guard remembers nothing")
