"""What the shop's team has to find a fault with: the type checker, and its tests, by what they prove."""

from __future__ import annotations

from typing import Final

TESTS: Final = (
    "tests/end_to_end/test_shop_endpoints.py",
    "tests/end_to_end/test_shop_people.py",
    "tests/end_to_end/test_shop_parties.py",
    "tests/end_to_end/test_shop_reports.py",
    "tests/end_to_end/test_shop_refusals.py",
    "tests/end_to_end/test_shop_seals.py",
)
"""Ordinary tests of a service: what is asked of it, and what it answers."""

INVENTORY: Final = ("tests/end_to_end/test_shop_inventory.py", "tests/end_to_end/test_shop_ledger.py")
"""What the shop declares, and what its ledger says of its work, held against what the office expects."""

NONINTERFERENCE: Final = ("tests/end_to_end/test_shop_noninterference.py",)
CANARIES: Final = ("tests/end_to_end/test_shop_canaries.py",)
STORIES: Final = ("tests/end_to_end/test_shop_stories.py",)

TOOLS: Final = {
    "types": "mypy, strict",
    "start": "the service does not start: the library refuses what it declares",
    "refusals": "the service's ordinary tests: what should succeed is refused by the guard",
    "results": "the same tests: an answer, a mail or a log is not as expected",
    "plugin": "`pytest --purposeguard` over the same tests: what never runs, cells not exercised",
    "inventory": "what is declared, and what the ledger says, compared with what is expected",
    "noninterference": "`@noninterference`",
    "canaries": "`canaries`",
    "stories": "`PurposeMachine`",
}
"""In the order in which they are asked: those that cost least come first."""

PARTS: Final = {"tests": (*TESTS, *INVENTORY), "proofs": (*NONINTERFERENCE, *CANARIES, *STORIES)}
"""What runs in one process."""


SUITES: Final = {
    "tests": TESTS,
    "inventory": INVENTORY,
    "noninterference": NONINTERFERENCE,
    "canaries": CANARIES,
    "stories": STORIES,
}


def suite_of(file: str) -> str | None:
    """The suite that a file of tests is of."""
    return next((suite for suite, files in SUITES.items() if file in files), None)


def tool_of(file: str, kind: str) -> str | None:
    """The tool that a failure of a test speaks for, by the test's file and the kind of the failure, if it does."""
    suite = suite_of(file)
    kinds: dict[str | None, dict[str, str]] = {
        "tests": {"refused": "refusals", "assertion": "results"},
        "inventory": {"refused": "inventory", "assertion": "inventory"},
        "noninterference": {"interference": "noninterference"},
        "canaries": {"leaked": "canaries"},
        "stories": {"refused": "stories", "assertion": "stories"},
    }
    return kinds.get(suite, {}).get(kind)
