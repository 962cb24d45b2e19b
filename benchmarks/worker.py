"""One process of a benchmark: `python -m benchmarks.worker GROUP BLOCKS` prints the times of a group's cases as JSON.

A module of its own, which loads nothing but the group: where asyncio is loaded, a use also asks whether a loop runs.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence

from benchmarks.timing import Case, race

RACES = {
    "decisions": ("floors.floors", "decisions.decisions"),
    "growth": ("growth.growth",),
    "models": ("models.models",),
    "peers": ("peers.peers",),
    "rows": ("rows.rows",),
}
"""Group → the functions that give its cases, by module."""

FEWER = {"models": 5, "rows": 5}
"""Groups whose blocks are long, so that one in so many is enough."""


def cases(group: str) -> list[Case]:
    """Return the cases of a group."""
    found: list[Case] = []
    for name in RACES[group]:
        module, _, function = name.partition(".")
        found += getattr(importlib.import_module(f"benchmarks.{module}"), function)()
    return found


def main(arguments: Sequence[str]) -> None:
    """Print what the cases of a group take."""
    group, blocks = arguments
    print(json.dumps(race(cases(group), blocks=max(3, int(blocks) // FEWER.get(group, 1)))))


if __name__ == "__main__":
    main(sys.argv[1:])
