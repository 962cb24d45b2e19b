"""Each type checker is asked once, about the whole corpus; a run that asked any ends with a table of what they said."""

from __future__ import annotations

import pytest

from tests.typing.checkers import CHECKERS
from tests.typing.corpus import Findings
from tests.typing.corpus import findings as ask


# Of the session: pytest then runs all tests of one checker in a row, so that each is asked once.
@pytest.fixture(scope="session", params=list(CHECKERS))
def findings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """What one checker says of the corpus."""
    return ask(request.param, tmp_path_factory.mktemp(request.param).resolve())
