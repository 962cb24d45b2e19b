"""What many of these tests ask for: a guard of the reference notice, fresh for each, and what it tells its ledger."""

from __future__ import annotations

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.seals import Told


@pytest.fixture
def tape() -> Told:
    return Told()


@pytest.fixture
def guard(tape: Told) -> pg.Guard:
    return pg.Guard(tm.NOTICE, ledger=tape)
