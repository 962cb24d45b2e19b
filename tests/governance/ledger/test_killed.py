"""A process that is killed loses no denial and no hand-over that it was told of, and the counts of a second at most.

Two at a time write to one ledger; and in the end two that are left alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.governance.ledger.killing import HANDS
from tests.governance.ledger.places import Place
from tests.unit.command_line import ROOT


def killed(place: Place, rounds: int, longest: float) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.governance.ledger.killing", place.target, str(rounds), str(longest)],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == 2 * rounds
    for one in told:
        # One more may be on record than it was told of: it was killed between the two.
        assert one["denied"] <= one["kept_denials"] <= one["denied"] + 1, one
        assert one["flushed"] <= one["kept_uses"] <= one["used"] + 50, one
        unheard = set(one["kept_hand_overs"]) - set(one["handed"])
        assert set(one["handed"]) <= set(one["kept_hand_overs"]), one
        assert len(unheard) <= HANDS, one
    return told


def test_no_denial_and_no_hand_over_is_lost_and_no_count_that_was_written(place: Place) -> None:
    told = killed(place, rounds=8, longest=0.5)
    assert sum(one["denied"] for one in told) > 0
    assert sum(len(one["handed"]) for one in told) > 0


@pytest.mark.deep
def test_in_two_hundred_rounds_no_denial_is_lost_and_the_counts_of_a_second_at_most(place: Place) -> None:
    told = killed(place, rounds=200, longest=2.5)
    assert sum(one["denied"] for one in told) > 10_000
    assert sum(one["used_a_second_before"] for one in told) > 10_000
    for one in told:
        assert one["kept_uses"] >= one["used_a_second_before"], one
