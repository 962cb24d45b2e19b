"""Which tools find which mutants: `python -m tests.testing_kit.measure [SERVICE …] [--seeds N] [--mutants NAME …]`.

Each run is a process of its own: the tests of a tool on a copy of a service. Odd seeds run the plain tests first in the
same process, and so in another order. Results are kept in `build/testing-kit`: delete the file to measure again.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.testing_kit.mutants import SERVICES, Mutant, copy_package, read_mutants

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = ROOT / "build" / "testing-kit"
TOOLS: Final = ("plain", "quick", "thorough")
EXTRAS: Final = ("hypothesis==6.170.17", "time-machine")
"""What `check` needs in the environment of a service of its own."""
CLEAN: Final = "clean"
"""The name of the service without changes."""


class Service(NamedTuple):
    """A service.

    Attributes:
        name: The name of its folder in `services`.
        package: The package that is changed.
        python: The Python that has what it needs.
        root: The folder that the package is in.
    """

    name: str
    package: str
    python: Path
    root: Path


class Task(NamedTuple):
    """A run of a tool. `mutant` is None for the service without changes."""

    service: Service
    mutant: Mutant | None
    tool: str
    seed: int

    @property
    def key(self) -> str:
        """The key of its result."""
        return f"{self.mutant.name if self.mutant else CLEAN} {self.tool} {self.seed}"


def find_service(name: str) -> Service:
    """Return a service by its name, and make its environment if it needs one of its own."""
    if name == "shop":
        return Service(name, "examples", Path(sys.executable), ROOT)
    if name == "accounts":
        (root,) = (Path(path) for path in sys.path if (Path(path) / "regstack").is_dir())
        return Service(name, "regstack", Path(sys.executable), root)
    from tests.third_party.applications import APPS, PIP, make_environment

    (app,) = (app for app in APPS if app.name == "ihatemoney")
    folder = BUILD / name
    folder.mkdir(parents=True, exist_ok=True)
    python = make_environment(app, folder)
    (root,) = (folder / "venv" / "lib").glob("*/site-packages")
    if not (root / "time_machine").is_dir():
        subprocess.run([str(python), *PIP, "install", *EXTRAS], check=True)
    return Service(name, "ihatemoney", python.absolute(), root)


# --- runs -------------------------------------------------------------------------------------------------------------


def make_environ(copy: Path, seed: int = 0, **more: str) -> dict[str, str]:
    """Return the environment of a process that imports a copy of a package."""
    paths = f"{copy}{os.pathsep}{ROOT}"
    return {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": str(seed), "PYTHONDONTWRITEBYTECODE": "1", **more}


def run(task: Task, seconds: float) -> dict[str, Any]:
    """Run the tests of a tool.

    Returns:
        `failed`, `seconds` without imports, and `text`, the message of the failure, or why it did not run.
    """
    folder = SERVICES / task.service.name
    tested = [folder / ("plain.py" if task.tool == "plain" else "checked.py")]
    if task.seed % 2 and task.tool != "plain":
        tested.insert(0, folder / "plain.py")
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        copy_package(task.service.root, task.service.package, Path(name), task.mutant)
        report = Path(name) / "report.xml"
        command = [str(task.service.python), "-m", "pytest", "-q", "-c", os.devnull, "--noconftest", "--rootdir", name]
        command += ["-o", f"faulthandler_timeout={max(seconds - 20, 1)}", "-p", "no:cacheprovider", "-W", "ignore"]
        command += [f"--junitxml={report}", *map(str, tested)]
        command += [] if task.tool == "plain" else [f"--hypothesis-seed={task.seed}"]
        environ = make_environ(Path(name), task.seed, CHECK=task.tool)
        try:
            ended = subprocess.run(
                command, cwd=name, env=environ, capture_output=True, text=True, check=False, timeout=seconds
            )
        except subprocess.TimeoutExpired as error:
            # Where it hangs is on stderr.
            place = (error.stderr or b"").decode("utf-8", "replace")[-6000:]
            return {"failed": False, "seconds": seconds, "text": f"not done in time\n{place}"}
        if ended.returncode > 1:
            return {"failed": False, "seconds": 0.0, "text": f"did not run: {(ended.stdout + ended.stderr)[-3000:]}"}
        return _read_report(report, task.tool)


def _read_report(report: Path, tool: str) -> dict[str, Any]:
    seconds, texts = 0.0, []
    for case in ET.parse(report).iter("testcase"):  # noqa: S314  # pytest wrote it.
        if tool == "plain" or case.get("name") == "test_purposes":
            seconds += float(case.get("time", 0))
            texts += [str(part.text) for part in case if part.tag in ("failure", "error")]
    return {"failed": bool(texts), "seconds": round(seconds, 2), "text": "\n".join(texts)[-9000:]}


def list_tasks(service: Service, mutants: Sequence[Mutant], tools: Sequence[str], seeds: int) -> Iterator[Task]:
    """Yield all runs. Plain tests run once, since nothing in them is drawn."""
    for seed in range(seeds):
        for tool in tools:
            if tool != "plain" or seed == 0:
                yield from (Task(service, mutant, tool, seed) for mutant in (None, *mutants))


# --- triggers ---------------------------------------------------------------------------------------------------------


def judge_mutant(service: Service, mutant: Mutant) -> str:
    """Return what is wrong with a mutant: that no violation takes place, or that one does in the unchanged service."""
    if mutant.reason:
        return ""
    seen: dict[tuple[bool, str], str] = {}
    for changed in (False, True):
        with tempfile.TemporaryDirectory(prefix="mutant-") as name:
            copy_package(service.root, service.package, Path(name), mutant if changed else None)
            for state in ("one", "other"):
                command = [str(service.python), "-m", "tests.testing_kit.triggers", service.name, mutant.name, state]
                ended = subprocess.run(
                    command, cwd=name, env=make_environ(Path(name)), capture_output=True, text=True, check=False
                )
                if ended.returncode:
                    return f"cannot be triggered: {ended.stderr[-1500:]}"
                seen[changed, state] = ended.stdout
    if seen[False, "one"] != seen[False, "other"]:
        return "the unchanged service differs in the two states"
    if mutant.violates and seen[True, "one"] == seen[True, "other"]:
        return "no violation takes place:\n" + seen[True, "one"]
    if mutant.harmless and seen[True, "one"] != seen[True, "other"]:
        return "it is not harmless"
    return ""


# --- figures ----------------------------------------------------------------------------------------------------------


def count_lines(service: str, tool: str) -> int:
    """Return the number of lines of test code."""
    text = (SERVICES / service / ("plain.py" if tool == "plain" else "checked.py")).read_text("utf-8")
    return sum(bool(line.strip()) and not line.lstrip().startswith(("#", '"""')) for line in text.splitlines())


def write_table(service: Service, mutants: Sequence[Mutant], results: dict[str, Any], seeds: int) -> str:
    """Return a table of tools and mutants, and the figures of each tool, in Markdown."""
    lines = [f"| {service.name} | {' | '.join(TOOLS)} |", "| --- " * (len(TOOLS) + 1) + "|"]
    found = {tool: [0, 0] for tool in TOOLS}
    changing: list[str] = []
    for mutant in (None, *mutants):
        name = mutant.name if mutant else CLEAN
        cells = []
        for tool in TOOLS:
            runs = [results[key] for seed in range(seeds) if (key := f"{name} {tool} {seed}") in results]
            failed = sum(each["failed"] for each in runs)
            cells.append(f"{failed}/{len(runs)}")
            if 0 < failed < len(runs):
                changing.append(f"{name} by {tool}")
            if mutant is not None and failed == len(runs) > 0:
                found[tool][bool(mutant.harmless)] += 1
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| tool | found | false alarms | lines | seconds | relative |", "| --- " * 6 + "|"]
    totals = (sum(bool(mutant.violates) for mutant in mutants), sum(bool(mutant.harmless) for mutant in mutants))
    base = results.get(f"{CLEAN} plain 0", {}).get("seconds", 0)
    for tool in TOOLS:
        times = [results[key]["seconds"] for seed in range(seeds) if (key := f"{CLEAN} {tool} {seed}") in results]
        mean = sum(times) / max(len(times), 1)
        figures = [f"{found[tool][0]} of {totals[0]}", f"{found[tool][1]} of {totals[1]}"]
        figures += [str(count_lines(service.name, tool)), f"{mean:.1f}", f"{mean / (base or 1):.1f}"]
        lines.append(f"| {tool} | {' | '.join(figures)} |")
    unfinished = [f"{key}: {each['text'].splitlines()[0]}" for key, each in results.items() if _is_unfinished(each)]
    lines += ["", f"Changed with seed or order: {', '.join(changing) or 'nothing'}.", *unfinished]
    return "\n".join(lines) + "\n"


def _is_unfinished(result: dict[str, Any]) -> bool:
    return bool(result["text"]) and not result["failed"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure services."""
    names = sorted(folder.name for folder in SERVICES.iterdir() if (folder / "plain.py").is_file())
    parser = argparse.ArgumentParser(prog="python -m tests.testing_kit.measure", description=__doc__)
    parser.add_argument("services", nargs="*", help=f"{', '.join(names)}; all if left out")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tools", nargs="*", default=TOOLS)
    parser.add_argument("--mutants", nargs="*", help="names of mutants; all if left out")
    parser.add_argument("--triggers", action="store_true", help="only look whether the violations take place")
    parser.add_argument("--limit", type=float, default=600, help="seconds that a run may take")
    options = parser.parse_args(arguments)
    faults = 0
    BUILD.mkdir(parents=True, exist_ok=True)
    for name in options.services or names:
        service = find_service(name)
        mutants = [each for each in read_mutants(name) if not options.mutants or each.name in options.mutants]
        if options.triggers:
            with ThreadPoolExecutor(2) as pool:
                found = pool.map(functools.partial(judge_mutant, service), mutants)
                for mutant, fault in zip(mutants, found, strict=True):
                    faults += bool(fault)
                    sys.stdout.write(f"{name}: {mutant.name}: {fault}\n" if fault else "")
            continue
        path = BUILD / f"{name}.json"
        results: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        tasks = list_tasks(service, mutants, options.tools, options.seeds)
        with ThreadPoolExecutor(2) as pool:
            futures = {pool.submit(run, task, options.limit): task.key for task in tasks if task.key not in results}
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                path.write_text(json.dumps(results, indent=1, sort_keys=True), "utf-8")
        table = write_table(service, mutants, results, options.seeds)
        (BUILD / f"{name}.md").write_text(table, "utf-8")
        sys.stdout.write(table)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
