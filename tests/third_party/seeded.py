"""Violations that are seeded into the four applications: are they in the evidence, and are they refused?

The files in `violations` describe them: `NAME.toml` says what is inserted into the sources of an application, and
`NAME.py` has a test for each violation, which passes if the violation takes place. These tests run in the test
environment of the application:

1. observed, in the unchanged application. No violation may take place, or be in the evidence.
2. plainly, after the insertions. Each violation must take place.
3. observed. The evidence must name the column at the entry point as one that its purpose does not permit.
4. enforced. No violation may take place.
5. enforced, with a purpose for each entry point that permits the column. Each violation must take place.

`limits.md` must name what is missing in 3, what takes place in 4, and what does not in 5. `test_seeded.py` checks it.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from purposeguard.adoption.evidence_store import EvidenceFile
from purposeguard.adoption.summary import Judgment, summarize
from purposeguard.guard import Guard
from purposeguard.project.directory import read_project
from tests.third_party.applications import HERE, Checkout, Run

VISIBLE: Final = (Judgment.NOT_PERMITTED, Judgment.NO_PURPOSE, Judgment.UNRESOLVED)
TESTS: Final = "test_seeded_violations.py"


class Edit(NamedTuple):
    """An insertion into a file of an application.

    Attributes:
        suite: The sdist.
        file: The path of the file in it.
        before: The line before which the text is inserted. It occurs once. Empty for a new file.
        text: The text.
    """

    suite: str
    file: str
    before: str
    text: str


class Violation(NamedTuple):
    """A violation.

    Attributes:
        name: Its name. `NAME.py` has a test with this name.
        kind: The kind of violation.
        entry_point: Where the evidence must show it.
        column: The column that is read.
        purpose: The purpose of the entry point. None for the true one.
        edits: What is inserted into the application.
        unseen: The words of `limits.md`, if it is not in the evidence.
        allowed: The words of `limits.md`, if it is not refused.
        refused_anyway: The words of `limits.md`, if it is refused although the purpose permits it.
    """

    name: str
    kind: str
    entry_point: str
    column: str
    purpose: str | None
    edits: tuple[Edit, ...]
    unseen: str
    allowed: str
    refused_anyway: str


class Outcome(NamedTuple):
    """What became of a violation."""

    application: str
    violation: Violation
    visible: bool
    """The evidence shows it."""
    refused: bool
    """It does not take place when it is enforced."""
    faults: tuple[str, ...]
    """What is not as it is described."""

    def describe(self) -> dict[str, str]:
        """Return a row of the table."""
        return {
            "application": self.application,
            "violation": f"{self.violation.kind} (`{self.violation.column}`)",
            "entry point": f"`{self.violation.entry_point}`",
            "visible in evidence": "yes" if self.visible else "no",
            "refused when enforced": "yes" if self.refused else "no",
        }


def find_file(name: str, suffix: str) -> Path:
    """Return the file of an application in `violations`."""
    return HERE / "violations" / f"{name.replace('-', '_')}.{suffix}"


def read_violations(name: str) -> tuple[dict[str, Any], list[Violation]]:
    """Return the settings of an application, and its violations."""
    document = tomllib.loads(find_file(name, "toml").read_text("utf-8"))
    violations = []
    for entry in document.pop("violation"):
        defaults = {"purpose": None, "unseen": "", "allowed": "", "refused_anyway": ""}
        edits = tuple(Edit(**{"suite": document["suite"], "before": "", **edit}) for edit in entry.pop("edit"))
        violations.append(Violation(**{**defaults, **entry}, edits=edits))
    return document, violations


def seed(checkout: Checkout, violations: Iterable[Violation]) -> None:
    """Insert violations into the unpacked sources of an application."""
    for violation in violations:
        for edit in violation.edits:
            path = checkout.sources[edit.suite] / edit.file
            if not edit.before:
                path.write_text(edit.text, "utf-8")
                continue
            lines = path.read_text("utf-8").splitlines(keepends=True)
            places = [number for number, line in enumerate(lines) if line.rstrip() == edit.before]
            if len(places) != 1:
                raise SystemExit(f"{violation.name}: {edit.file} has {len(places)} lines `{edit.before}`, not one")
            lines.insert(places[0], edit.text)
            path.write_text("".join(lines), "utf-8")


class _ViolationRuns:
    """Runs of the tests of violations in one application."""

    def __init__(self, checkout: Checkout, settings: Mapping[str, str]) -> None:
        self._checkout = checkout
        tests = Path(settings["tests"])
        shutil.copy(find_file(checkout.app.name, "py"), checkout.sources[settings["suite"]] / tests / TESTS)
        self._test = f"{settings['suite']}: {tests / TESTS}"

    def run(self, name: str, *, enforced: bool = False) -> set[str]:
        """Run the tests, and return the names of the violations that took place."""
        return self._find_passed(self._checkout.run_tests(name, enforced=enforced, tests=[self._test]))

    def observe(self, name: str) -> tuple[set[str], set[tuple[str, str]]]:
        """Run the tests observed.

        Returns:
            The names of the violations that took place, and the entry points that read what their purposes do not
            permit, with the columns.
        """
        self._checkout.evidence.unlink(missing_ok=True)
        passed = self._find_passed(self._checkout.run_tests(name, observed=True, tests=[self._test]))
        project = read_project(self._checkout.privacy)
        guard = Guard(project.notice, tags=project.tags, purposes=project.purposes, mode="observe")
        uses = summarize(EvidenceFile(self._checkout.evidence).load(), guard).uses
        bad_uses = [use for use in uses if use.times and use.judgment in VISIBLE]
        return passed, {(use.key.entry_point, column) for use in bad_uses for column in use.fields}

    def _find_passed(self, run: Run) -> set[str]:
        return {test.rpartition("::test_")[2].replace("_", "-") for test in run.passed}


def measure_violations(checkout: Checkout) -> list[Outcome]:
    """Seed violations into an application, and return what became of them."""
    settings, violations = read_violations(checkout.app.name)
    runs = _ViolationRuns(checkout, settings)
    stated = {each.entry_point: each.purpose for each in violations if each.purpose is not None}
    checkout.write_tags(decided=True)
    checkout.write_purposes(checkout.true_purposes | stated)
    before, seen_before = runs.observe("unchanged")
    seed(checkout, violations)
    plain = runs.run("seeded")
    observed, seen = runs.observe("seeded-observed")
    enforced = runs.run("seeded-enforced", enforced=True)
    checkout.write_purposes(dict.fromkeys((*checkout.true_purposes, *stated), checkout.app.test_purpose))
    permitted = runs.run("seeded-permitted", enforced=True)

    outcomes = []
    for violation in violations:
        name, place = violation.name, (violation.entry_point, violation.column)
        checks = {
            "takes place in the unchanged application": name not in before,
            "is in the evidence of the unchanged application": place not in seen_before,
            "does not take place": name in plain,
            "does not take place when it is observed": name in observed,
            "is in the evidence, or is not, unlike described": (place in seen) == (not violation.unseen),
            "is refused, or is not, unlike described": (name in enforced) == bool(violation.allowed),
            "is permitted, or is not, unlike described": (name in permitted) == (not violation.refused_anyway),
        }
        faults = tuple(fault for fault, is_right in checks.items() if not is_right)
        outcomes.append(Outcome(checkout.app.name, violation, place in seen, name not in enforced, faults))
    return outcomes


def count_outcomes(outcomes: Sequence[Outcome]) -> str:
    """Return the totals in words."""
    visible = sum(outcome.visible for outcome in outcomes)
    refused = sum(outcome.refused for outcome in outcomes)
    return f"{len(outcomes)} violations: {visible} visible in evidence, {refused} refused when enforced"


def list_faults(outcomes: Sequence[Outcome]) -> list[str]:
    """Return what is not as it is described."""
    return [
        f"{outcome.application}: {outcome.violation.name} {fault}" for outcome in outcomes for fault in outcome.faults
    ]


def are_enough_visible(outcomes: Sequence[Outcome]) -> bool:
    """Return True if at least nine of ten violations are visible in evidence."""
    return sum(outcome.visible for outcome in outcomes) >= 0.9 * len(outcomes)
