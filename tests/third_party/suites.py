"""The own tests of three applications on guarded engines: `python tests/third_party/suites.py [NAME …]`.

Each suite runs as it came, from the application's sdist, three times: on plain engines, on guarded ones, and on guarded
ones where rows are left out of each statement. It ends with 1 if a test fails on guarded engines alone, and not for a
reason that is named here. `make third-party` makes the environment for it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final, NamedTuple

HERE: Final = Path(__file__).parent
LOCK: Final = HERE.parents[1] / "requirements" / "apps.txt"
MODES: Final = ("plain", "guarded", "narrowed")


class Suite(NamedTuple):
    """Tests of an application.

    `tables`: its declarative base, if it has one. `subjects`: columns that say whose a row is. `named`: tests that are
    refused, and why.
    """

    name: str
    tests: tuple[str, ...]
    tables: str
    subjects: str
    named: Mapping[str, str]


MIGRATIONS: Final = "migrations read tables as they were, and alter them: run them on an engine of their own"

SUITES: Final = (
    Suite(
        "optuna",
        ("tests/storages_tests/rdb_tests", "-k", "not module_import_error"),  # that one looks for a server
        "optuna.storages._rdb.models:BaseModel",
        "studies.study_id trials.trial_id trial_params.trial_id trial_values.trial_id study_user_attributes.study_id",
        {"*::test_upgrade_*": MIGRATIONS},
    ),
    Suite(
        "apscheduler",
        ("tests/test_datastores.py", "-m", "not external_service"),
        "",
        "schedules.id jobs.schedule_id job_results.job_id",
        {},
    ),
    Suite(
        "flask-security",
        ("tests/test_datastore.py", "tests/test_trackable.py"),
        "",
        "user.id roles_users.user_id webauthn.user_id",
        {},
    ),
)


def sources(names: Sequence[str], folder: Path) -> dict[str, Path]:
    """The sdists of packages, as the lock has them, each unpacked into a folder."""
    entries = re.split(r"^(?=[a-z0-9])", LOCK.read_text("utf-8"), flags=re.MULTILINE)
    wanted = folder / "wanted.txt"
    wanted.write_text("".join(entry for entry in entries if entry.partition("==")[0] in names), "utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--no-binary", ":all:", "--no-build-isolation", "-d", str(folder)]
    subprocess.run([*command, "-r", str(wanted)], check=True)
    found = {}
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        unpacked = archive.name.removesuffix(".tar.gz")
        found[unpacked.rpartition("-")[0].replace("_", "-")] = folder / unpacked
    return found


def run(suite: Suite, mode: str, source: Path) -> Any:
    """What came of the tests of an application."""
    report = source / f"{mode}.json"
    variables = {"SUITE_MODE": mode, "SUITE_SUBJECTS": suite.subjects, "SUITE_TABLES": suite.tables}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "guarded_engines",
        "-W",
        "ignore",
        "--tb=short",
        *suite.tests,
    ]
    done = subprocess.run(
        command,
        cwd=source,
        env={**os.environ, **variables, "PYTHONPATH": str(HERE), "SUITE_REPORT": str(report)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode > 1:  # not by tests that fail
        raise SystemExit(f"{suite.name}: its tests did not run\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return json.loads(report.read_text("utf-8"))


def main(names: Sequence[str]) -> int:
    """Runs suites, and prints what came of them."""
    chosen = [suite for suite in SUITES if not names or suite.name in names]
    unnamed = []
    print("| application | tests that pass | guarded | and narrowed | statements | of these narrowed | refused |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        found = sources([suite.name for suite in chosen], Path(folder))
        for suite in chosen:
            source = found[suite.name]
            results = {mode: run(suite, mode, source) for mode in MODES}
            plain, guarded, narrowed = ({*results[mode]["passed"]} for mode in MODES)
            if not plain:
                raise SystemExit(f"{suite.name}: none of its tests passes on plain engines")
            why = {test: _reason(suite, test) for test in sorted(plain - (guarded & narrowed))}
            numbers = [len(plain), len(guarded), len(narrowed)]
            numbers += [results["guarded"]["counted"]["statements"], results["narrowed"]["counted"]["narrowed"]]
            print(
                "|",
                " | ".join([source.name, *map(str, numbers), "; ".join(sorted({*why.values()} - {""})) or "nothing"]),
                "|",
            )
            for test in (test for test, reason in why.items() if not reason):
                unnamed.append(f"{suite.name}: {test}")
                print(*results["guarded"]["refusals"], *results["narrowed"]["refusals"], sep="\n", file=sys.stderr)
    for test in unnamed:
        print(f"fails on guarded engines alone, and nobody said why: {test}")
    return 1 if unnamed else 0


def _reason(suite: Suite, test: str) -> str:
    return "; ".join(why for pattern, why in suite.named.items() if fnmatch(test, pattern))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
