"""Four applications that do not know the library, adopted as `purposeguard adopt` does: `adoption.py [NAME …]`.

Their own tests run plainly, observed (`purposeguard adopt run`) and enforced. The same tests must pass observed, with
the same responses. Proposals of `adopt scan` and `adopt propose` are compared with the files in `truth`. `make
adopt-apps` runs it. It ends with 1 if an application behaves differently when it is observed.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple

from purposeguard.adoption.evidence_store import EvidenceFile, EvidenceRow
from purposeguard.adoption.proposals import Proposal, propose_purposes
from purposeguard.adoption.summary import summarize
from purposeguard.guard import Guard
from purposeguard.project.directory import read_project
from purposeguard.project.tags import TABLE

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
NONE: Final = "none"
"""The purpose of an entry point that needs no personal data, in the files of truth."""
NOT_PERSONAL: Final = "not-personal"
UNDECIDED: Final = "undecided"
DECIDED: Final = "1.1(b)"
"""The source of undecided fields when they are enforced."""
ENFORCING: Final = ("-p", "_purposeguard_pytest", "-p", "enforced_purposes")
PIP: Final = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
_CLOCK_TIME: Final = re.compile(rb"\d{1,2}:\d\d(:\d\d(\.\d+)?)?([^\w<]{1,3}[AP]M)?")
# Bodies are compared themselves; the length of a compressed one depends on its random values.
UNSTABLE_HEADERS: Final = frozenset({"content-length", "date", "set-cookie", "etag", "last-modified"})


class App(NamedTuple):
    """An application.

    Attributes:
        name: Its name.
        python: The Python that its lock is made for.
        suites: The sdists whose tests run, each with the paths of the tests.
        scanned: The arguments of `adopt scan`.
        test_purpose: The purpose of its tests, which use the database themselves.
        options: The other arguments for pytest.
        prepare: Commands for its Python that run in each folder before its tests.
        files: Further files that its tests need, by their paths in each folder.
        in_packages: The same, by their paths in site-packages.
    """

    name: str
    python: str
    suites: Mapping[str, tuple[str, ...]]
    scanned: tuple[str, ...]
    test_purpose: str
    options: tuple[str, ...] = ()
    prepare: tuple[tuple[str, ...], ...] = ()
    files: Mapping[str, str] = {}
    in_packages: Mapping[str, str] = {}


NEED_DNS: Final = (
    "budget_test.py::TestBudget::test_notifications",
    "budget_test.py::TestBudget::test_invite",
    "main_test.py::TestEmailFailure::test_invitation_email_failure",
)
LAZY_ANNOTATIONS: Final = '''\
"""Compile FlaskBB as Python 3.14 does, which does not evaluate annotations."""
import __future__
import importlib.machinery

compile_plainly = importlib.machinery.SourceFileLoader.source_to_code


def source_to_code(self, data, path, *, _optimization=-1):
    if self.name.partition(".")[0] not in {"flaskbb", "conversations", "portal"}:
        return compile_plainly(self, data, path)
    flag = __future__.annotations.compiler_flag
    return compile(data, path, "exec", flags=flag, dont_inherit=True, optimize=_optimization)


importlib.machinery.SourceFileLoader.source_to_code = source_to_code
'''
TEMPLATE: Final = (
    "<html><head>{% if inertia_head %}{% inertia_head %}{% endif %}</head><body>{% inertia_body %}</body></html>\n"
)

SIMPLE_MODULES: Final = (
    *("users.models", "tenants.models", "api_tokens.models", "audit_log.models", "background_tasks.models"),
    *("feature_flags.models", "file_storage.models", "permissions.models", "sharing.models"),
    *("simple_module_db.leases", "simple_module_db.stored_settings"),
)

APPS: Final = (
    App(
        "ihatemoney",
        "python3.11",
        {"ihatemoney": ("ihatemoney/tests",)},
        ("ihatemoney.run:create_app",),
        "1.2(2)①",
        # These ask DNS for the domains of addresses.
        options=tuple(f"--deselect=ihatemoney/tests/{test}" for test in NEED_DNS),
    ),
    App(
        "flaskbb",
        "python3.13",
        {"flaskbb": ("tests",)},
        ("flaskbb", "--import", "conversations.models"),
        "2.2⑪",
        options=("-p", "no:cov", "-o", "addopts="),
        prepare=(("-m", "babel.messages.frontend", "-q", "compile", "-d", "flaskbb/translations"),),
        in_packages={"lazy_annotations.py": LAZY_ANNOTATIONS, "lazy_annotations.pth": "import lazy_annotations\n"},
    ),
    App(
        "simple-module",
        "python3.13",
        {
            "simple-module-tenants": ("tests",),
            "simple-module-api-tokens": ("tests",),
        },
        # The host looks for the modules that are installed when it starts.
        ("simple_module_hosting.app_builder", *(f"--import={module}" for module in SIMPLE_MODULES)),
        "1.2(2)①",
        options=("-o", "asyncio_mode=auto"),
        files={"templates/index.html": TEMPLATE},
    ),
    App(
        "ephios",
        "python3.13",
        {"ephios": ("tests/api", "tests/modellogging", "tests/extra")},
        ("ephios.settings",),
        "1.2(2)①",
        prepare=(("manage.py", "build"),),
    ),
)


# --- environments -----------------------------------------------------------------------------------------------------


def make_environment(app: App, folder: Path) -> Path:
    """Make the environment of an application, with the packages that the library needs. Return its Python."""
    lock = HERE / "locks" / f"{app.name}.txt"
    python = folder / "venv" / "bin" / "python"
    stamp = folder / "venv" / ".lock"
    if not stamp.is_file() or stamp.read_text("utf-8") != lock.read_text("utf-8"):
        print(f"making the environment of {app.name}", file=sys.stderr)
        subprocess.run([app.python, "-m", "venv", "--clear", str(folder / "venv")], check=True)
        install = [str(python), *PIP, "install", "--no-deps", "--require-hashes", "--no-build-isolation", "-r"]
        subprocess.run([*install, str(ROOT / "requirements" / "build.txt")], check=True)
        subprocess.run([*install, str(lock)], check=True)
        (packages,) = (folder / "venv" / "lib").glob("*/site-packages")
        (packages / "purposeguard.pth").write_text(f"{ROOT}\n", "utf-8")
        for name, text in app.in_packages.items():
            (packages / name).write_text(text, "utf-8")
        stamp.write_text(lock.read_text("utf-8"), "utf-8")
    return python


def unpack_sources(app: App, python: Path, folder: Path) -> dict[str, Path]:
    """Unpack the sdists of an application anew, and return their folders by their names."""
    entries = re.split(r"^(?=[a-z0-9])", (HERE / "locks" / f"{app.name}.txt").read_text("utf-8"), flags=re.MULTILINE)
    wanted = [entry for entry in entries if entry.partition("==")[0] in app.suites]
    archives = folder / "sdists"
    if len([*archives.glob("*.tar.gz")]) != len(wanted):
        archives.mkdir(exist_ok=True)
        (archives / "wanted.txt").write_text("".join(wanted), "utf-8")
        command = [str(python), *PIP, "download", "--no-deps", "--require-hashes", "--no-binary", ":all:"]
        command += ["--no-build-isolation", "-d", str(archives), "-r", str(archives / "wanted.txt")]
        subprocess.run(command, check=True)
    sources = folder / "sources"
    shutil.rmtree(sources, ignore_errors=True)
    unpacked: dict[str, Path] = {}
    for archive in archives.glob("*.tar.gz"):
        with tarfile.open(archive) as packed:
            packed.extractall(sources, filter="data")
        name = archive.name.removesuffix(".tar.gz")
        unpacked[name.rpartition("-")[0].replace("_", "-")] = sources / name
    for source in unpacked.values():
        if (source / ".env.example").is_file():
            shutil.copy(source / ".env.example", source / ".env")
        for path, text in app.files.items():
            (source / path).parent.mkdir(exist_ok=True)
            (source / path).write_text(text, "utf-8")
        for arguments in app.prepare:
            subprocess.run([str(python), *arguments], cwd=source, check=True, stdout=subprocess.DEVNULL)
    return unpacked


# --- tests ------------------------------------------------------------------------------------------------------------


class Response(NamedTuple):
    """A response that a test client received."""

    method: str
    status: str
    headers: tuple[str, ...]
    body: bytes


@dataclass
class Run:
    """The results of the tests of an application."""

    seconds: float = 0.0
    outcomes: defaultdict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    """For each test: the phases with their outcomes."""
    responses: defaultdict[str, list[Response]] = field(default_factory=lambda: defaultdict(list))
    reasons: dict[str, str] = field(default_factory=dict)
    """The reasons of failures."""

    @property
    def passed(self) -> set[str]:
        """The tests that passed."""
        return {test for test, outcomes in self.outcomes.items() if outcomes == [("call", "passed")]}

    def add(self, suite: str, record: Mapping[str, Any]) -> None:
        """Add a record of the plugin."""
        test = f"{suite}: {record['test']}"
        if "outcome" not in record:
            headers = tuple(each for each in record["headers"] if each.partition(":")[0] not in UNSTABLE_HEADERS)
            body = base64.b64decode(record["body"])
            self.responses[test].append(Response(record["method"], record["status"], headers, body))
            return
        self.outcomes[test].append((record["when"], record["outcome"]))
        if record["reason"]:
            self.reasons[test] = record["reason"]


class Adoption:
    """The adoption of one application, in a folder of its own."""

    def __init__(self, app: App, folder: Path) -> None:
        self._app = app
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._python = make_environment(app, folder)
        self._sources = unpack_sources(app, self._python, folder)
        self._privacy = folder / "privacy"
        self._evidence = folder / "evidence.sqlite"
        shutil.rmtree(self._privacy, ignore_errors=True)
        self._evidence.unlink(missing_ok=True)
        self._privacy.mkdir()
        shutil.copy(ROOT / "purposeguard" / "notices" / "trendmicro_jp" / "notice.toml", self._privacy)
        self._true_tags = HERE / "truth" / f"{app.name}-tags.toml"

    def run_tests(self, name: str, *, observed: bool = False, seeded: bool = True, tests: Iterable[str] = ()) -> Run:
        """Run the tests of the application.

        Args:
            name: A name for the files of this run.
            observed: True for `purposeguard adopt run`.
            seeded: False if random values are to differ from those of other runs.
            tests: The tests to run, as `Run` names them. All if there are none.
        """
        run = Run()
        for suite, paths in self._app.suites.items():
            chosen = [test.removeprefix(f"{suite}: ") for test in tests if test.startswith(f"{suite}: ")]
            if tests and not chosen:
                continue
            record = self._folder / f"{name}-{suite}.jsonl"
            record.unlink(missing_ok=True)
            environment = {
                **os.environ,
                "PYTHONPATH": make_path(self._sources[suite], HERE),
                "PYTHONHASHSEED": "0",
                "ADOPT_RECORD": str(record),
                "ADOPT_PRIVACY": str(self._privacy),
                "ADOPT_REFUSALS": str(self._folder / f"refusals-{suite}.json"),
                **({"ADOPT_SEED": "1"} if seeded else {}),
            }
            command = [str(self._python), "-m", "pytest", "-q", "-p", "recorded_responses", "-p", "no:cacheprovider"]
            command += ["-W", "ignore", "--tb=short", *(ENFORCING if name == "enforced" else ())]
            command += [*self._app.options, *(chosen or paths)]
            if observed:
                adopt = [str(self._python), "-m", "purposeguard", "adopt", "run", "--directory", str(self._privacy)]
                command = [*adopt, "--evidence", str(self._evidence), "--", *command]
            started = time.monotonic()
            with (self._folder / f"{name}-{suite}.out").open("w", encoding="utf-8") as output:
                subprocess.run(
                    command, cwd=self._sources[suite], env=environment, stdout=output, stderr=output, check=False
                )
            run.seconds += time.monotonic() - started
            if not record.is_file():
                raise SystemExit(f"{suite}: its tests did not run, see {output.name}")
            for line in record.read_text("utf-8").splitlines():
                run.add(suite, json.loads(line))
        return run

    def observe(self) -> tuple[Run, Run, list[str]]:
        """Run the tests plainly and observed. Return both results, and what differs."""
        shutil.copy(self._true_tags, self._privacy / "tags.toml")
        plain = self.run_tests("plain")
        observed = self.run_tests("observed", observed=True)
        differences = [
            f"{test}: {plain.outcomes[test]}, and {outcomes} when it is observed"
            for test, outcomes in observed.outcomes.items()
            if plain.outcomes[test] != outcomes
        ]
        differences += [f"{test}: only plainly" for test in plain.outcomes.keys() - observed.outcomes.keys()]
        suspicious = [test for test in plain.responses if plain.responses[test] != observed.responses[test]]
        if suspicious:
            again = self.run_tests("again", seeded=False, tests=suspicious)
            for test in suspicious:
                differences += compare_responses(test, plain, again, observed)
        return plain, observed, differences

    def enforce(self) -> Run:
        """Run the tests with the true purposes in enforce mode."""
        # Undecided fields are refused, so somebody has to decide them first.
        tags = self._true_tags.read_text("utf-8").replace(f'"{UNDECIDED}"', f'"{DECIDED}"')
        (self._privacy / "tags.toml").write_text(tags, "utf-8")
        # Tests use the database themselves, and middlewares authenticate before the route is chosen.
        lines = [f'["{name}"]\npurpose = "{self._app.test_purpose}"\n' for name in ("test **", "* (no route)")]
        # Migrations alter tables, which is refused unless it is only observed.
        migration = f'purpose = "{self._app.test_purpose}"\nmode = "observe"\n'
        lines += [f'["command {command}"]\n{migration}' for command in ("upgrade", "migrate")]
        for name, purpose in self._read_true_purposes().items():
            if purpose != NONE:
                header = name if " " in name else f"* {name}"
                lines.append(f'[{json.dumps(header, ensure_ascii=False)}]\npurpose = "{purpose}"\n')
        (self._privacy / "purposes.toml").write_text("\n".join(lines), "utf-8")
        run = self.run_tests("enforced")
        (self._privacy / "purposes.toml").unlink()
        return run

    def _read_true_purposes(self) -> dict[str, str]:
        return tomllib.loads((HERE / "truth" / f"{self._app.name}-purposes.toml").read_text("utf-8"))

    # --- proposals ----------------------------------------------------------------------------------------------------

    def measure_proposals(self) -> ProposalFigures:
        """Compare the proposals of purposes with the true ones."""
        project = read_project(self._privacy)
        guard = Guard(project.notice, tags=project.tags)
        rows = EvidenceFile(self._evidence).load()
        summary = summarize(rows, guard)
        return measure_proposals(propose_purposes(summary, guard, {}), self._read_true_purposes(), rows)

    def measure_scan(self) -> ScanFigures:
        """Compare the proposals of `adopt scan` with the true tags."""
        (self._privacy / "tags.toml").unlink(missing_ok=True)
        command = [str(self._python), "-m", "purposeguard", "adopt", "scan", *self._app.scanned]
        command += ["--directory", str(self._privacy), "--dry-run", "--format", "json"]
        source = next(iter(self._sources.values()))
        environment = {**os.environ, "PYTHONPATH": make_path(source)}
        started = time.monotonic()
        ended = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - started
        if not ended.stdout.startswith("{"):
            raise SystemExit(f"{self._app.name}: scan failed\n{ended.stderr[-3000:]}")
        proposed = {(row["class"], row["field"]): row["source"] for row in json.loads(ended.stdout)["fields"]}
        return measure_scan(proposed, tomllib.loads(self._true_tags.read_text("utf-8")), seconds)


def make_path(source: Path, *further: Path) -> str:
    """Return the path on which modules of an sdist are found before those of packages."""
    return os.pathsep.join(map(str, (source / "src", source, *further)))


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
    constant: int
    """Those for which the most frequent true purpose is true."""
    needless: int
    """Those with a proposal although they need no personal data."""
    unresolved: float
    """The share of unresolved events in all events at entry points."""
    reasons: list[tuple[str, int]]
    """The most frequent descriptions of what was not resolved at entry points."""


def measure_proposals(
    proposals: Iterable[Proposal], truth: Mapping[str, str], rows: Sequence[EvidenceRow]
) -> ProposalFigures:
    """Return the figures of proposals that were made from evidence."""
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


def main(names: Sequence[str]) -> int:
    """Adopt applications, and print the figures."""
    folder = Path(os.environ.get("ADOPT_FOLDER", ROOT / "build" / "adopt-apps"))
    rows: list[dict[str, str]] = []
    differing: list[str] = []
    for app in (each for each in APPS if not names or each.name in names):
        adoption = Adoption(app, folder / app.name)
        plain, observed, differences = adoption.observe()
        if not plain.passed:
            raise SystemExit(f"{app.name}: none of its tests passes plainly")
        differing += differences
        proposals = adoption.measure_proposals()
        enforced = adoption.enforce()
        scan = adoption.measure_scan()
        responses = sum(map(len, plain.responses.values()))
        rows.append(
            {
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
                "constant answer": format_percent(proposals.constant, proposals.proposed),
                "unresolved": format_percent(proposals.unresolved),
                "seconds: plain, observed, enforced": f"{plain.seconds:.0f}, {observed.seconds:.0f}, "
                f"{enforced.seconds:.0f}",
            }
        )
        print(f"{app.name}: {proposals}\n{app.name}: {scan}", file=sys.stderr)
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + " --- |" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")
    for difference in differing:
        print(f"differs when it is observed: {difference}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
