"""Four applications that do not know the library: their environments, their sources, and runs of their tests."""

from __future__ import annotations

import base64
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from purposeguard.project.editing import TomlEditor

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
NONE: Final = "none"
"""The purpose of an entry point that needs no personal data, in the files of truth."""
UNDECIDED: Final = "undecided"
DECIDED: Final = "1.1(b)"
"""The source of undecided fields when they are enforced."""
ENFORCING: Final = ("-p", "_purposeguard_pytest", "-p", "enforced_purposes")
SOURCE_SUFFIXES: Final = frozenset({".cfg", ".html", ".ini", ".py", ".toml"})
PIP: Final = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
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
        enforced_tags: The sources that columns get when they are enforced, by header and column: what a statement
            writes that chooses its rows by a personal column, and tables that only tests define.
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
    enforced_tags: Mapping[str, Mapping[str, str | tuple[str, ...]]] = {}


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

PAGE_OF_TESTS: Final = dict.fromkeys(("id", "title", "tenant_id"), "not-personal")

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
        # Its own tests send no request.
        files={"tests/test_pages.py": (HERE / "pages" / "flaskbb.py").read_text("utf-8")},
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
        enforced_tags={
            "users.models.user.User": dict.fromkeys(
                ("updated_at", "failed_login_count", "last_failed_login_at", "locked_until"), ("1.1(a)", "1.1(b)")
            ),
            "api_tokens.models.ApiToken": {"updated_at": "1.1(b)"},
            "tenants.models.Membership": {"updated_at": "1.1(a)"},
            "table subdom_page": PAGE_OF_TESTS,
            "table fwdhost_page": PAGE_OF_TESTS,
            "table tenantse2e_note": dict.fromkeys(("id", "body", "tenant_id"), "not-personal"),
        },
    ),
    App(
        "ephios",
        "python3.13",
        {"ephios": ("tests/api", "tests/modellogging", "tests/extra")},
        ("ephios.settings",),
        "1.2(2)①",
        prepare=(("manage.py", "build"),),
        enforced_tags={
            "django.contrib.sessions.models.Session": {"session_data": ("1.1", "1.1(b)"), "expire_date": "1.1(b)"}
        },
    ),
)


# --- environments -----------------------------------------------------------------------------------------------------


def make_environment(app: App, folder: Path) -> Path:
    """Make the environment of an application, with the packages that the library needs. Return its Python."""
    lock = HERE / "locks" / f"{app.name}.txt"
    python = folder / "venv" / "bin" / "python"
    stamp = folder / "venv" / ".lock"
    if not stamp.is_file() or stamp.read_text("utf-8") != lock.read_text("utf-8"):
        sys.stderr.write(f"making the environment of {app.name}\n")
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


def count_changed_lines(folder: Path) -> int:
    """Return the number of lines of unpacked sources that differ from those in the sdists."""
    changed = 0
    for archive in (folder / "sdists").glob("*.tar.gz"):
        with tarfile.open(archive) as packed:
            for member in packed:
                path = folder / "sources" / member.name
                content = packed.extractfile(member) if path.suffix in SOURCE_SUFFIXES else None
                if content is not None:
                    before = content.read().decode().splitlines()
                    after = path.read_text("utf-8").splitlines() if path.is_file() else []
                    if before != after:
                        changed += sum(line[:2] in ("+ ", "- ") for line in difflib.ndiff(before, after))
    return changed


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


class Checkout:
    """An application in a folder of its own: its sources, and a privacy directory with the notice.

    Attributes:
        app: The application.
        folder: The folder.
        python: The Python of its environment.
        sources: The unpacked sdists by their names.
        privacy: The privacy directory.
        evidence: The file of the evidence.
        true_tags: The text of the file with the true sources.
        true_purposes: The true purpose, or `NONE`, of each entry point.
    """

    def __init__(self, app: App, folder: Path) -> None:
        self.app = app
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.python = make_environment(app, folder)
        self.sources = unpack_sources(app, self.python, folder)
        self.privacy = folder / "privacy"
        self.evidence = folder / "evidence.sqlite"
        shutil.rmtree(self.privacy, ignore_errors=True)
        self.evidence.unlink(missing_ok=True)
        self.privacy.mkdir()
        shutil.copy(ROOT / "purposeguard" / "notices" / "trendmicro_jp" / "notice.toml", self.privacy)
        self.true_tags = (HERE / "truth" / f"{app.name}-tags.toml").read_text("utf-8")
        self.true_purposes: dict[str, str] = tomllib.loads(
            (HERE / "truth" / f"{app.name}-purposes.toml").read_text("utf-8")
        )

    def write_tags(self, *, decided: bool = False) -> None:
        """Write `tags.toml` with the true sources.

        Args:
            decided: True to give undecided fields a source, which are refused when they are enforced, and to add what
                else enforcement needs.
        """
        path = self.privacy / "tags.toml"
        path.write_text(
            self.true_tags.replace(f'"{UNDECIDED}"', f'"{DECIDED}"') if decided else self.true_tags, "utf-8"
        )
        if decided:
            editor = TomlEditor(path)
            for header, columns in self.app.enforced_tags.items():
                editor.set_entry(header, columns)
            editor.save()

    def write_purposes(self, purposes: Mapping[str, str]) -> None:
        """Write `purposes.toml` with the purposes of entry points, and those that their tests need.

        Args:
            purposes: The purposes. Entry points with `NONE` are left out.
        """
        entries = {
            name if " " in name else f"* {name}": f'purpose = "{purpose}"\n'
            for name, purpose in purposes.items()
            if purpose != NONE
        }
        # Tests use the database themselves, and middlewares authenticate before the route is chosen.
        entries |= dict.fromkeys(("test **", "* (no route)"), f'purpose = "{self.app.test_purpose}"\n')
        # Migrations alter tables, which is refused unless it is only observed.
        migration = f'purpose = "{self.app.test_purpose}"\nmode = "observe"\n'
        entries |= dict.fromkeys(("command upgrade", "command migrate"), migration)
        lines = [f"[{json.dumps(name, ensure_ascii=False)}]\n{entry}" for name, entry in entries.items()]
        (self.privacy / "purposes.toml").write_text("\n".join(lines), "utf-8")

    def run_tests(
        self,
        name: str,
        *,
        observed: bool = False,
        enforced: bool = False,
        repeatable: bool = True,
        tests: Iterable[str] = (),
    ) -> Run:
        """Run the tests of the application.

        Args:
            name: A name for the files of this run.
            observed: True for `purposeguard adopt run`.
            enforced: True to enforce the files of the privacy directory.
            repeatable: False if random values are to differ from those of other runs.
            tests: The tests to run, as `Run` names them. All if there are none.
        """
        run = Run()
        for suite, paths in self.app.suites.items():
            chosen = [test.removeprefix(f"{suite}: ") for test in tests if test.startswith(f"{suite}: ")]
            if tests and not chosen:
                continue
            record = self.folder / f"{name}-{suite}.jsonl"
            record.unlink(missing_ok=True)
            environment = {
                **os.environ,
                "PYTHONPATH": make_path(self.sources[suite], HERE),
                "PYTHONHASHSEED": "0",
                "ADOPT_RECORD": str(record),
                "ADOPT_PRIVACY": str(self.privacy),
                "ADOPT_REFUSALS": str(self.folder / f"refusals-{suite}.json"),
                **({"ADOPT_SEED": "1"} if repeatable else {}),
            }
            command = [str(self.python), "-m", "pytest", "-q", "-p", "recorded_responses", "-p", "no:cacheprovider"]
            command += ["-W", "ignore", "--tb=short", *(ENFORCING if enforced else ())]
            command += [*self.app.options, *(chosen or paths)]
            if observed:
                adopt = [str(self.python), "-m", "purposeguard", "adopt", "run", "--directory", str(self.privacy)]
                command = [*adopt, "--evidence", str(self.evidence), "--", *command]
            started = time.monotonic()
            with (self.folder / f"{name}-{suite}.out").open("w", encoding="utf-8") as output:
                subprocess.run(
                    command, cwd=self.sources[suite], env=environment, stdout=output, stderr=output, check=False
                )
            run.seconds += time.monotonic() - started
            if not record.is_file():
                raise SystemExit(f"{suite}: its tests did not run, see {output.name}")
            for line in record.read_text("utf-8").splitlines():
                run.add(suite, json.loads(line))
        return run


def make_path(source: Path, *further: Path) -> str:
    """Return the path on which modules of an sdist are found before those of packages."""
    return os.pathsep.join(map(str, (source / "src", source, *further)))
