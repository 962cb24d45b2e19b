"""Faults of the example shop that an application of Django can have too: each is found, by a refusal or by a test.

What a copy with a fault in it does is compared with what the shop does as it is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.copies import copied
from tests.faults.corpus import Fault, load

pytestmark = pytest.mark.faults

FAULTS = {fault.id: fault for fault in load(Path(__file__).with_name("corpus"))}

FIRST = {
    "start": ("governance-in-memory",),
    "check": ("scan-untagged", "kind-of-event-untagged", "phone-untagged", "rows-not-held", "refusals-not-answered"),
    "refused": (
        *("renewals-in-order-of-use", "reminder-names-the-scan", "renewals-read-in-a-bare-thread"),
        *("letters-tagged-by-a-hash", "search-in-plain-sql", "search-by-the-driver", "segments-from-telemetry"),
        *("crashes-for-the-sales-team", "letters-by-the-door-of-warrants", "guard-of-ones-own"),
        *("serialiser-withholds-nothing", "interface-reads-all-columns", "method-field-tells-the-scan"),
        *("office-without-a-purpose", "remind-names-the-scan"),
    ),
    "results": (
        *("renewals-sorted-by-reports", "renewals-purpose-widened", "renewals-observed-only"),
        *("renewals-fall-back-past-the-refusal", "customers-remembered-in-a-global", "crashes-memoised"),
        *("scan-kept-in-the-session", "search-sets-a-cookie", "search-quotes-whom-it-found"),
        *("purpose-within-a-purpose", "scan-said-to-be-contract", "scan-not-personal"),
        *("kind-of-event-said-to-be-registration", "customers-without-a-subject", "guard-observes"),
        *("guard-asks-nobody", "renewals-of-the-interface-swapped", "invalid-requests-quoted"),
    ),
    "inventory": ("export-in-a-plain-generator", "shop-said-to-be-nobodys"),
    "log": ("reminder-addresses-logged", "reminder-addresses-logged-in-hexadecimal", "statements-echoed"),
    "left": ("export-kept-in-a-file",),
}
"""What finds a fault first, in this order, and which."""

REFUSED = ("purposeguard:problem", "PurposeMissing", "PurposeViolation")
"""What stands in an answer, or in what a command ends with, that is a refusal."""

See = Callable[[Fault | None], dict[str, Any]]


@pytest.fixture(scope="session")
def see(tmp_path_factory: pytest.TempPathFactory) -> Iterator[See]:
    """What is seen of a copy with a fault in it, or without one."""
    template = tmp_path_factory.mktemp("shop") / "template.db"
    command = [sys.executable, "-m", "tests.django.faulty", str(template)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        told = server.stdout

        def seen(fault: Fault | None) -> dict[str, Any]:
            folder = tmp_path_factory.mktemp("copy")
            copied(fault, folder / "copy")
            print(folder, file=server.stdin, flush=True)
            assert told.readline().strip() == str(folder)
            found: dict[str, Any] = json.loads((folder / "facts.json").read_text("utf-8"))
            return found

        yield seen
        server.stdin.close()


@pytest.fixture(scope="session")
def usual(see: See) -> dict[str, Any]:
    """What is seen of the shop as it is."""
    return see(None)


def found_by(seen: dict[str, Any], usual: dict[str, Any]) -> list[str]:
    """What finds a fault: the library, or tests that know what the shop answers, declares, logs and leaves."""
    if "start" in seen:
        return ["start"]
    assert seen["broken"] == []  # which nobody has to find
    answers = [
        answer for part in ("answers", "mistakes") for name, answer in seen[part].items() if answer != usual[part][name]
    ]
    found = {
        "check": seen["check"] != usual["check"],
        "refused": any(sign in str(each) for each in answers for sign in REFUSED),
        "results": bool(answers),
        **{kind: seen[kind] != usual[kind] for kind in ("inventory", "log", "left")},
    }
    return [kind for kind, differs in found.items() if differs]


def test_nothing_is_found_in_the_shop_as_it_is(see: See, usual: dict[str, Any]) -> None:
    assert found_by(see(None), usual) == []
    assert usual["log"] == usual["left"] == []
    assert "no issues" in usual["check"]


def test_every_fault_is_here() -> None:
    assert sorted(name for names in FIRST.values() for name in names) == sorted(FAULTS)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in FIRST.items() for name in names])
def test_a_fault_is_found(kind: str, name: str, see: See, usual: dict[str, Any]) -> None:
    assert found_by(see(FAULTS[name]), usual)[:1] == [kind]
