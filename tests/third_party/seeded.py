"""Violations that are seeded into the four applications: are they in the evidence, and are they refused?

The files in `violations` describe them: `NAME.toml` says what is inserted into the sources of an application, and
`NAME.py` has a test for each violation, which passes if the violation takes place. These tests run in the test
environment of the application:

1. observed, in the unchanged application. No violation may take place, or be in the evidence.
2. plainly, after the insertions. Each violation must take place.
3. observed. The evidence must name the column at the entry point as one that its purpose does not permit.
4. enforced. No violation may take place.
5. enforced, with a purpose for each entry point that permits the column. Each violation must take place.

`limits.md` must name what is missing in 3 and what takes place in 4 or does not in 5.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from purposeguard.adoption.evidence_store import EvidenceFile
from purposeguard.adoption.summary import Judgment, summarize
from purposeguard.guard import Guard
from purposeguard.project.directory import read_project
from tests.third_party.applications import APPS, HERE, NONE, ROOT, Checkout

LIMITS: Final = ROOT / "docs" / "explanation" / "limits.md"
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
    refused: bool
    faults: tuple[str, ...]
    """What is not as it is described."""


def read_violations(name: str) -> tuple[dict[str, Any], list[Violation]]:
    """Return the settings of an application, and its violations."""
    document = tomllib.loads((HERE / "violations" / f"{name}.toml").read_text("utf-8"))
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


class SeededApplication:
    """An application into which violations are seeded."""

    def __init__(self, checkout: Checkout) -> None:
        self._checkout = checkout
        self._settings, self.violations = read_violations(checkout.app.name)
        suite = self._settings["suite"]
        tests = Path(self._settings["tests"])
        shutil.copy(HERE / "violations" / f"{checkout.app.name}.py", checkout.sources[suite] / tests / TESTS)
        self._test = f"{suite}: {tests / TESTS}"

    def measure(self) -> list[Outcome]:
        """Run the tests of the violations in all five ways."""
        stated = {each.entry_point: each.purpose for each in self.violations if each.purpose is not None}
        self._checkout.write_tags(decided=True)
        self._checkout.write_purposes(self._checkout.true_purposes | stated)
        before = self._run("unchanged", observed=True)
        seen_before = self._find_seen()
        seed(self._checkout, self.violations)
        plain = self._run("seeded")
        observed = self._run("seeded-observed", observed=True)
        seen = self._find_seen()
        enforced = self._run("seeded-enforced", enforced=True)
        permitting = {name: self._checkout.app.test_purpose for name in (*self._checkout.true_purposes, *stated)}
        self._checkout.write_purposes(permitting)
        permitted = self._run("seeded-permitted", enforced=True)

        text = " ".join(LIMITS.read_text("utf-8").split())
        outcomes = []
        for violation in self.violations:
            name, place = violation.name, (violation.entry_point, violation.column)
            checks = (
                (name not in before, "takes place in the unchanged application"),
                (place not in seen_before, "is in the evidence of the unchanged application"),
                (name in plain, "does not take place"),
                (name in observed, "does not take place when it is observed"),
                ((place in seen) == (not violation.unseen), "is in the evidence, or is not, unlike described"),
                ((name in enforced) == bool(violation.allowed), "is refused, or is not, unlike described"),
                ((name in permitted) == (not violation.refused_anyway), "is permitted, or is not, unlike described"),
                (all(words in text for words in violation[-3:]), "is described by words that limits.md does not have"),
            )
            faults = tuple(fault for is_right, fault in checks if not is_right)
            outcomes.append(
                Outcome(self._checkout.app.name, violation, place in seen, name not in enforced, faults)
            )
        return outcomes

    def _run(self, name: str, *, observed: bool = False, enforced: bool = False) -> set[str]:
        """Run the tests, and return the names of the violations that took place."""
        self._checkout.evidence.unlink(missing_ok=True)
        run = self._checkout.run_tests(name, observed=observed, enforced=enforced, tests=[self._test])
        return {test.rpartition("::test_")[2].replace("_", "-") for test in run.passed}

    def _find_seen(self) -> set[tuple[str, str]]:
        """Return the entry points that read what their purpose does not permit, with the columns."""
        project = read_project(self._checkout.privacy)
        guard = Guard(project.notice, tags=project.tags, purposes=project.purposes, mode="observe")
        uses = summarize(EvidenceFile(self._checkout.evidence).load(), guard).uses
        return {
            (use.key.entry_point, column)
            for use in uses
            if use.times and use.judgment in VISIBLE
            for column in use.fields
        }


def measure_violations(folder: Path, names: Sequence[str]) -> list[Outcome]:
    """Seed violations into applications, and return what became of them."""
    outcomes: list[Outcome] = []
    for app in APPS:
        if not names or app.name in names:
            outcomes += SeededApplication(Checkout(app, folder / app.name)).measure()
    return outcomes


def print_outcomes(outcomes: Sequence[Outcome]) -> bool:
    """Print a table of violations. Return True if enough of them are visible, and each is refused or described."""
    print("| application | violation | entry point | visible in evidence | refused when enforced |")
    print("| --- | --- | --- | --- | --- |")
    for outcome in outcomes:
        answers = ["yes" if answer else "no" for answer in (outcome.visible, outcome.refused)]
        kind = f"{outcome.violation.kind} ({outcome.violation.column})"
        print(f"| {outcome.application} | {kind} | {outcome.violation.entry_point} | {' | '.join(answers)} |")
    visible = sum(outcome.visible for outcome in outcomes)
    refused = sum(outcome.refused for outcome in outcomes)
    print(f"\n{len(outcomes)} violations: {visible} visible in evidence, {refused} refused when enforced")
    for outcome in outcomes:
        for fault in outcome.faults:
            print(f"{outcome.application}: {outcome.violation.name} {fault}")
    return visible >= 0.9 * len(outcomes) and not any(outcome.faults for outcome in outcomes)
