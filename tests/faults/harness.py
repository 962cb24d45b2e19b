"""Runs tools on copies of the example with a fault in each: `python -m tests.faults.harness`.

Everything but the example is imported once, here. Each run is a fork of this process, so it costs what it does itself.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.faults.copies import copied
from tests.faults.corpus import CORPUS, Fault, load
from tests.faults.sighting import Seen, Sighting
from tests.faults.suites import PARTS

WARM: Final = (
    *("duckdb", "fastapi.testclient", "httpx2", "hypothesis.extra", "hypothesis.stateful", "mypy.main"),
    *("pyarrow.parquet", "sqlalchemy.orm", "uvicorn", "tests.faults.reading", "tests.faults.running"),
    *(f"purposeguard.adapters.{name}" for name in ("arrow", "duckdb", "frames", "sqlalchemy")),
    *(f"purposeguard.cli.{name}" for name in ("diff", "application", "revision_effects")),
    *(f"purposeguard.{name}" for name in ("governance", "notices.trendmicro_jp", "testing.stateful")),
)

PATIENCE = 600.0
"""Seconds that a run may take."""

Run = Callable[[Path], Seen]
"""Is given a folder of its own."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What to run of a copy: `static` tools, and `tests`, by parts or by single ones."""

    fault: Fault | None
    tools: tuple[str, ...] = ("types", *PARTS)
    only: tuple[str, ...] = ()


@dataclass(slots=True)
class _Child:
    pid: int
    number: int
    folder: Path
    told: Path
    until: float = field(default_factory=lambda: time.monotonic() + PATIENCE)


class Harness:
    """Runs what is asked, `jobs` at a time, in a folder that it removes."""

    def __init__(self, folder: Path, jobs: int) -> None:
        for name in WARM:
            importlib.import_module(name)
        if loaded := [name for name in sys.modules if name.partition(".")[0] == "examples"]:
            raise RuntimeError(f"the example itself may not be imported here: {loaded[:3]}")
        self._folder = folder
        self._jobs = jobs
        self._cache: Path | None = None

    def look(
        self, wanted: Sequence[Asked], told: Callable[[Asked, Seen], object] = lambda _asked, _seen: None
    ) -> list[Seen]:
        """What is seen of each, in their order; `told` of each run as it ends."""
        if self._cache is None and any("types" in one.tools for one in wanted):
            self._cache = self._made_cache()
        runs: list[tuple[int, Run]] = []
        for number, one in enumerate(wanted):
            runs += [(number, run) for run in self._runs(one)]
        found = [Seen() for _ in wanted]
        for number, seen in self._forked(runs):
            found[number] += seen
            told(wanted[number], seen)
        return found

    def _made_cache(self) -> Path:
        """What mypy knows of the example as it is."""
        ((_, clean),) = self._forked([(0, lambda folder: _keep(self._folder / "cache", folder))])
        if clean.sightings or clean.crashes:
            raise RuntimeError(f"mypy alarms on the example as it is: {clean}")
        return self._folder / "cache"

    def _runs(self, asked: Asked) -> Iterator[Run]:
        fault = asked.fault
        from tests.faults import reading, running  # not before what they import is warm

        if "types" in asked.tools:
            yield lambda folder: reading.typed(copied(fault, folder / "copy"), folder, self._cache)
        reach = fault.reach if fault is not None else ""

        def run(part: str, only: Sequence[str] = ()) -> Run:
            return lambda folder: running.seen(copied(fault, folder / "copy"), folder, part, only, reach)

        yield from (run(part) for part in PARTS if part in asked.tools)
        if asked.only:
            yield run("", asked.only)

    def _forked(self, runs: Iterable[tuple[int, Run]]) -> Iterator[tuple[int, Seen]]:
        running: list[_Child] = []
        for number, run in runs:
            while len(running) >= self._jobs:
                yield self._ended(running)
            running.append(self._fork(number, run))
        while running:
            yield self._ended(running)

    def _fork(self, number: int, run: Run) -> _Child:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        told = folder / "seen.json"
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return _Child(pid, number, folder, told)
        try:  # the child: it ends here, whatever happens
            os.setsid()
            log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
            os.dup2(log, 1)
            os.dup2(log, 2)
            told.write_text(json.dumps(run(folder).dump()), encoding="utf-8")
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(0)

    def _ended(self, running: list[_Child]) -> tuple[int, Seen]:
        """Waits until one of them has ended."""
        while True:
            for child in running:
                late = time.monotonic() > child.until
                if late:
                    os.killpg(child.pid, signal.SIGKILL)
                if os.waitpid(child.pid, 0 if late else os.WNOHANG)[0]:
                    running.remove(child)
                    return child.number, _read(child, late)
            time.sleep(0.01)


def _keep(cache: Path, folder: Path) -> Seen:
    from tests.faults import reading  # not before what it imports is warm

    seen = reading.typed(copied(None, folder / "copy"), folder, None)
    shutil.move(folder / "mypy", cache)
    return seen


def _read(child: _Child, late: bool) -> Seen:
    if late:
        seen = Seen(crashes=[f"it was not done after {PATIENCE:.0f} seconds"])
    elif child.told.exists():
        seen = Seen.load(json.loads(child.told.read_text("utf-8")))
    else:
        seen = Seen(crashes=[f"the run ended early: {(child.folder / 'log').read_text('utf-8', 'replace')[-2000:]}"])
    if not os.environ.get("KEEP"):
        shutil.rmtree(child.folder)
    return seen


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.harness", description="Which tool finds which fault.")
    parser.add_argument("ids", nargs="*", help="faults; all of them if left out; `clean` is the example as it is")
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    parser.add_argument("--tools", nargs="*", default=["types", *PARTS])
    parser.add_argument("--only", nargs="*", default=[], help="single tests, instead of parts")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--plan", type=Path, help="a file that says for each fault what to run: `id`, `tools`, `only`")
    parser.add_argument("--json", type=Path, help="where to write what was seen")
    given = parser.parse_args(arguments)
    faults: dict[str, Fault | None] = {"clean": None, **{one.id: one for one in load(given.corpus)}}
    if given.plan:
        plan = [
            (one["id"], *map(tuple, (one["tools"], one["only"]))) for one in json.loads(given.plan.read_text("utf-8"))
        ]
    else:
        tools = () if given.only else tuple(given.tools)
        plan = [(one, tools, tuple(given.only)) for one in given.ids or faults]
    wanted = [one for one, *_ in plan]
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        harness = Harness(Path(folder), given.jobs)
        asked = [Asked(faults[one], tools, only) for one, tools, only in plan]
        found = dict(zip(wanted, harness.look(asked, _print), strict=True))
    if given.json:
        given.json.write_text(json.dumps({one: seen.dump() for one, seen in found.items()}, indent=1), encoding="utf-8")
    return 1 if any(seen.crashes for seen in found.values()) else 0


def _print(asked: Asked, seen: Seen) -> None:
    tools = ", ".join(dict.fromkeys(one.tool for one in seen.sightings)) or "nothing"
    lines = [f"{asked.fault.id if asked.fault else 'clean'} - {tools}", *(f"    {one}" for one in _shown(seen))]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _shown(seen: Seen) -> Iterator[str]:
    first: dict[str, Sighting] = {}
    for one in seen.sightings:
        first.setdefault(one.tool, one)
    for one in first.values():
        yield f"{one.tool}: {one.by}: {one.says}"
    for crash in seen.crashes[:5]:
        yield f"CRASH {crash}"


if __name__ == "__main__":
    sys.exit(main())
