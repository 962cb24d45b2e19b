"""Four applications that do not know the library, adopted as `purposeguard adopt` does: `adoption.py [NAME …]`.

Their own tests run plainly, observed (`purposeguard adopt run`) and enforced. The same tests must pass observed, with
the same responses. Proposals of `adopt scan` and `adopt propose` are compared with the files in `truth`. Then
`seeded.py` seeds violations, which `--violations` does alone. `make adopt-apps` runs all this. It ends with 1 if an
application behaves differently when it is observed, or if violations are missed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

from purposeguard.adoption.evidence_store import EvidenceFile, EvidenceRow
from purposeguard.adoption.proposals import Proposal, propose_purposes
from purposeguard.adoption.summary import summarize
from purposeguard.guard import Guard
from purposeguard.project.directory import read_project
from purposeguard.project.tags import TABLE
from tests.third_party.applications import (
    APPS,
    NONE,
    ROOT,
    UNDECIDED,
    App,
    Checkout,
    Response,
    Run,
    count_changed_lines,
    make_path,
)
from tests.third_party.seeded import are_enough_visible, count_outcomes, list_faults, measure_violations

NOT_PERSONAL: Final = "not-personal"
REPETITIONS: Final = 3
"""How often tests with other responses are run plainly again, to see which values differ anyway. Once is not enough:
the tests of ihatemoney salt a password with one of 62 characters, which sometimes is the same."""
SECONDS_PER_PROPOSED_FIELD: Final = 5
"""An estimate, not a measurement: the time in which a person reviews the source that `adopt scan` proposes."""
SECONDS_PER_UNDECIDED_FIELD: Final = 30
"""An estimate of the time in which a person decides on the source of a field for which there is no proposal."""
SECONDS_PER_ENTRY_POINT: Final = 20
"""An estimate of the time in which a person decides on the purpose of an entry point, with a proposal or without."""
_CLOCK_TIME: Final = re.compile(rb"\d{1,2}:\d\d(:\d\d(\.\d+)?)?([^\w<]{1,3}[AP]M)?")


class Adoption:
    """The adoption of one application."""

    def __init__(self, checkout: Checkout) -> None:
        self._checkout = checkout

    def observe(self) -> tuple[Run, Run, list[str]]:
        """Run the tests plainly and observed. Return both results, and what differs."""
        self._checkout.write_tags()
        plain = self._checkout.run_tests("plain")
        observed = self._checkout.run_tests("observed", observed=True)
        differences = [
            f"{test}: {plain.outcomes[test]}, and {outcomes} when it is observed"
            for test, outcomes in observed.outcomes.items()
            if plain.outcomes[test] != outcomes
        ]
        differences += [f"{test}: only plainly" for test in plain.outcomes.keys() - observed.outcomes.keys()]
        differing: dict[str, list[str]] = {}
        for test, responses in plain.responses.items():
            if responses != observed.responses[test]:
                differing[test] = [f"{test}: its responses differ"]
        for _ in range(REPETITIONS):
            if differing:
                again = self._checkout.run_tests("again", repeatable=False, tests=differing)
                found = {test: [*compare_responses(test, plain, again, observed)] for test in differing}
                differing = {test: lines for test, lines in found.items() if lines}
        for lines in differing.values():
            differences += lines
        return plain, observed, differences

    def enforce(self) -> Run:
        """Run the tests with the true purposes in enforce mode."""
        self._checkout.write_tags(decided=True)  # Undecided fields are refused, so somebody has to decide them first.
        self._checkout.write_purposes(self._checkout.true_purposes)
        run = self._checkout.run_tests("enforced", enforced=True)
        (self._checkout.privacy / "purposes.toml").unlink()
        return run

    # --- proposals ----------------------------------------------------------------------------------------------------

    def measure_proposals(self) -> ProposalFigures:
        """Compare the proposals of purposes with the true ones."""
        project = read_project(self._checkout.privacy)
        guard = Guard(project.notice, tags=project.tags)
        rows = EvidenceFile(self._checkout.evidence).load()
        summary = summarize(rows, guard)
        truth = self._checkout.true_purposes
        proposals = propose_purposes(summary, guard, {})
        stated = state_one_purpose(proposals, truth, rows)
        return measure_proposals(proposals, propose_purposes(summary, guard, stated), truth, rows)

    def measure_scan(self) -> ScanFigures:
        """Compare the proposals of `adopt scan` with the true tags."""
        (self._checkout.privacy / "tags.toml").unlink(missing_ok=True)
        command = [str(self._checkout.python), "-m", "purposeguard", "adopt", "scan", *self._checkout.app.scanned]
        command += ["--directory", str(self._checkout.privacy), "--dry-run", "--format", "json"]
        source = next(iter(self._checkout.sources.values()))
        environment = {**os.environ, "PYTHONPATH": make_path(source)}
        started = time.monotonic()
        ended = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - started
        if not ended.stdout.startswith("{"):
            raise SystemExit(f"{self._checkout.app.name}: scan failed\n{ended.stderr[-3000:]}")
        proposed = {(row["class"], row["field"]): row["source"] for row in json.loads(ended.stdout)["fields"]}
        return measure_scan(proposed, tomllib.loads(self._checkout.true_tags), seconds)


def compare_responses(test: str, plain: Run, again: Run, observed: Run) -> Iterator[str]:
    """Yield the differences of responses that are not among two plain runs as well."""
    if len(plain.responses[test]) != len(observed.responses[test]):
        if len(plain.responses[test]) == len(again.responses[test]):
            yield f"{test}: another number of responses"
        return
    for number, (response, other) in enumerate(zip(plain.responses[test], observed.responses[test], strict=True)):
        if response == other:
            continue
        second = again.responses[test][number] if number < len(again.responses[test]) else response
        if not is_same_but_for(_list_tokens(response), _list_tokens(second), _list_tokens(other)):
            yield f"{test}: response {number} differs: {response.method} {response.status}, then {other.status}"


def is_same_but_for(first: list[bytes], second: list[bytes], observed: list[bytes]) -> bool:
    """Return True if a list equals the first one wherever the first and second agree."""
    if len(first) != len(second):
        return True  # The two runs agree in no place.
    return len(first) == len(observed) and all(
        one == third for one, two, third in zip(first, second, observed, strict=True) if one == two
    )


def _list_tokens(response: Response) -> list[bytes]:
    text = "\n".join([response.method, response.status, *response.headers]).encode()
    return re.split(rb"([^\w-])", _CLOCK_TIME.sub(b"", text + b"\n\n" + response.body))


# --- figures ----------------------------------------------------------------------------------------------------------


class ScanFigures(NamedTuple):
    """The proposals of `adopt scan` beside the true tags. Fields that are undecided there are left out."""

    fields: int
    """The number of true fields."""
    missing: int
    """Those for which there is no proposal."""
    precision: float
    recall: float
    exact: float
    """The share of fields with the true source."""
    baseline: float
    """The share of fields that are not personal."""
    undecided: int
    seconds: float


def measure_scan(
    proposed: Mapping[tuple[str, str], str], truth: Mapping[str, Mapping[str, str]], seconds: float
) -> ScanFigures:
    """Return the figures of a scan."""
    true: dict[tuple[str, str], str] = {}
    for header, fields in truth.items():
        if not header.startswith(TABLE):
            true |= {(header, name): source for name, source in fields.items() if source != UNDECIDED}
    personal = {key for key, source in true.items() if source != NOT_PERSONAL}
    found = {key for key in true if proposed.get(key, UNDECIDED) not in (NOT_PERSONAL, UNDECIDED)}
    return ScanFigures(
        len(true),
        sum(key not in proposed for key in true),
        len(found & personal) / max(len(found), 1),
        len(found & personal) / max(len(personal), 1),
        sum(proposed.get(key) == source for key, source in true.items()) / max(len(true), 1),
        1 - len(personal) / max(len(true), 1),
        sum(proposed.get(key) == UNDECIDED for key in true),
        seconds,
    )


class ProposalFigures(NamedTuple):
    """The proposals of `adopt propose` beside the true purposes, and what is in the evidence."""

    known: int
    """The number of true entry points."""
    seen: int
    """Those that are in the evidence."""
    proposed: int
    """Those with a proposal."""
    first: int
    """Those whose first proposal is true."""
    any: int
    """Those of whose proposals one is true."""
    first_of_others: int
    """Those whose first proposal is true after the purpose of the most frequent entry point was stated."""
    constant: int
    """Those for which the most frequent true purpose is true."""
    needless: int
    """Those with a proposal although they need no personal data."""
    unresolved: float
    """The share of unresolved events in all events at entry points."""
    reasons: list[tuple[str, int]]
    """The most frequent descriptions of what was not resolved at entry points."""


def state_one_purpose(
    proposals: Iterable[Proposal], truth: Mapping[str, str], rows: Iterable[EvidenceRow]
) -> dict[str, str]:
    """Return the true purpose of the most frequent entry point that has a proposal and needs personal data."""
    times: Counter[str] = Counter()
    for row in rows:
        times[row.key.entry_point] += row.times
    purposes: dict[str, str] = {}
    for proposal in proposals:
        purpose = find_true_purpose(truth, proposal.entry_point)
        if purpose is not None and purpose != NONE:
            purposes[proposal.entry_point] = purpose
    chosen = max(purposes, key=lambda name: (times[name], name))
    return {chosen: purposes[chosen]}


def measure_proposals(
    proposals: Iterable[Proposal], later: Iterable[Proposal], truth: Mapping[str, str], rows: Sequence[EvidenceRow]
) -> ProposalFigures:
    """Return the figures of proposals that were made from evidence.

    Args:
        proposals: The proposals without any stated purpose.
        later: The proposals after one purpose was stated.
        truth: The true purposes.
        rows: The evidence.
    """
    constant = Counter(purpose for purpose in truth.values() if purpose != NONE).most_common(1)[0][0]
    counts: Counter[str] = Counter()
    for proposal in proposals:
        purpose = find_true_purpose(truth, proposal.entry_point)
        if purpose is None:
            continue
        purposes = [candidate.purpose for candidate in proposal.candidates]
        counts["proposed"] += 1
        counts["first"] += purposes[:1] == [purpose]
        counts["any"] += purpose in purposes
        counts["constant"] += purpose == constant
        counts["needless"] += purpose == NONE
    for proposal in later:
        purposes = [candidate.purpose for candidate in proposal.candidates]
        counts["later"] += purposes[:1] == [find_true_purpose(truth, proposal.entry_point)]
    reasons: Counter[str] = Counter()
    for row in rows:
        if row.key.entry_point:
            counts["events"] += row.times
            if row.key.outcome == "unresolved":
                reasons[row.key.detail] += row.times
    return ProposalFigures(
        len(truth),
        len({row.key.entry_point for row in rows if find_true_purpose(truth, row.key.entry_point) is not None}),
        counts["proposed"],
        counts["first"],
        counts["any"],
        counts["later"],
        counts["constant"],
        counts["needless"],
        reasons.total() / max(counts["events"], 1),
        reasons.most_common(5),
    )


def find_true_purpose(truth: Mapping[str, str], entry_point: str) -> str | None:
    """Return the true purpose of an entry point. The files name routes of Django without a method."""
    path = entry_point.partition(" ")[2]
    for name, purpose in truth.items():
        if name in (entry_point, path) or (name.endswith("*") and fnmatchcase(path, name)):
            return purpose
    return None


def format_percent(part: float, whole: float = 1) -> str:
    """Return a share in percent."""
    return f"{100 * part / whole:.0f} %" if whole else "-"


def estimate_minutes(scan: ScanFigures, proposals: ProposalFigures, runs: Iterable[Run]) -> float:
    """Return the minutes that the adoption takes: the measured time of commands, and the estimate for decisions."""
    commands = scan.seconds + sum(run.seconds for run in runs)
    undecided = scan.undecided + scan.missing
    fields = (scan.fields - undecided) * SECONDS_PER_PROPOSED_FIELD + undecided * SECONDS_PER_UNDECIDED_FIELD
    return (commands + fields + proposals.known * SECONDS_PER_ENTRY_POINT) / 60


def adopt(app: App, folder: Path) -> tuple[dict[str, str], list[str]]:
    """Adopt an application. Return a row of the table, and what differs when it is observed."""
    adoption = Adoption(Checkout(app, folder))
    plain, observed, differences = adoption.observe()
    if not plain.passed:
        raise SystemExit(f"{app.name}: none of its tests passes plainly")
    proposals = adoption.measure_proposals()
    enforced = adoption.enforce()
    scan = adoption.measure_scan()
    responses = sum(map(len, plain.responses.values()))
    row = {
        "application": app.name,
        "tests: plain, observed, enforced": f"{len(plain.passed)}, {len(plain.passed & observed.passed)}, "
        f"{len(plain.passed & enforced.passed)}",
        "responses": str(responses),
        "differences": str(len(differences)),
        "scan: fields": str(scan.fields),
        "precision": format_percent(scan.precision),
        "recall": format_percent(scan.recall),
        "right source": format_percent(scan.exact),
        "all not personal": format_percent(scan.baseline),
        "entry points seen": f"{proposals.seen} of {proposals.known}",
        "with a proposal": str(proposals.proposed),
        "first right": format_percent(proposals.first, proposals.proposed),
        "any right": format_percent(proposals.any, proposals.proposed),
        "first right of the others, one stated": format_percent(proposals.first_of_others, proposals.proposed - 1),
        "constant answer": format_percent(proposals.constant, proposals.proposed),
        "unresolved": format_percent(proposals.unresolved),
        "changed application lines": str(count_changed_lines(folder)),
        "minutes, mostly estimated": f"{estimate_minutes(scan, proposals, (observed, enforced)):.0f}",
        "seconds: plain, observed, enforced": f"{plain.seconds:.0f}, {observed.seconds:.0f}, {enforced.seconds:.0f}",
    }
    print(f"{app.name}: {proposals}\n{app.name}: {scan}", file=sys.stderr)
    return row, differences


def print_table(rows: Sequence[Mapping[str, str]]) -> None:
    """Print rows as a table of Markdown."""
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + " --- |" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")


def main(arguments: Sequence[str]) -> int:
    """Adopt applications and seed violations into them, and print the figures."""
    folder = Path(os.environ.get("ADOPT_FOLDER", ROOT / "build" / "adopt-apps"))
    names = [argument for argument in arguments if argument != "--violations"]
    apps = [app for app in APPS if not names or app.name in names]
    differing: list[str] = []
    if "--violations" not in arguments:
        rows: list[Mapping[str, str]] = []
        for app in apps:
            row, differences = adopt(app, folder / app.name)
            rows.append(row)
            differing += differences
        print_table(rows)
        for difference in differing:
            print(f"differs when it is observed: {difference}")
        print()
    outcomes = [outcome for app in apps for outcome in measure_violations(Checkout(app, folder / app.name))]
    print_table([outcome.describe() for outcome in outcomes])
    faults = list_faults(outcomes)
    if len(apps) == len(APPS) and not are_enough_visible(outcomes):
        faults.append("fewer than nine of ten violations are visible in evidence")
    print(f"\n{count_outcomes(outcomes)}", *faults, sep="\n")
    return 1 if differing or faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
