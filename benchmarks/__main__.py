"""The command: `python -m benchmarks [--quick] [--only ROW] [--json FILE] [--compare OLD]`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import comparing, processes, table
from benchmarks.timing import Times, figure

ALONE: dict[str, Callable[[], Times]] = {
    "compile": processes.compiling,
    "import": processes.importing,
    "sealing": processes.sealing,
    "counting": processes.counting,
}


@dataclasses.dataclass(frozen=True)
class Effort:
    """How many processes, and how many blocks of each case in one."""

    processes: int
    blocks: int
    imports: int


FULL = Effort(processes=9, blocks=60, imports=25)
QUICK = Effort(processes=3, blocks=15, imports=5)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        earlier = comparing.read(options.compare) if options.compare else None
    except comparing.Malformed as error:
        print(error, file=sys.stderr)
        return 2
    effort = QUICK if options.quick else FULL
    chosen = table.chosen((*table.TARGETS, *table.ROWS, *table.MODELS, *table.FLOORS, *table.BESIDE), options.only)
    groups = dict.fromkeys(row.group for row in chosen)
    if options.only is None or options.only.casefold() in "peers":
        groups["peers"] = None
    if not groups:
        print(f"no row has `{options.only}` in it", file=sys.stderr)
        return 2
    runs = {group: _measure_group(group, effort) for group in groups}
    print(_report(runs, options.only, effort))
    facts = _facts(chosen, runs, effort)
    if earlier is not None:
        changes = comparing.comparison(earlier, facts, whole=options.only is None)
        print(f"\n## Compared with {options.compare}\n\n{changes}")
    if options.json:
        options.json.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="fewer processes and blocks: rougher, in a fifth of the time"
    )
    parser.add_argument(
        "--only", metavar="ROW", help="only the rows (or the group: peers, growth, …) with this in them"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write what was measured, process by process, too")
    parser.add_argument(
        "--compare", metavar="OLD", type=Path, help="mark what is slower or quicker than in this file of --json"
    )
    return parser


def _measure_group(group: str, effort: Effort) -> list[Times]:
    """Return the times that each of several processes measured."""
    if group in ALONE:
        ALONE[group]()  # the first one compiles bytecode and warms the disk's cache
        times = effort.imports if group == "import" else effort.processes
        return [ALONE[group]() for _ in range(times)]
    times_by_process = []
    for number in range(effort.processes):
        print(f"{group}: process {number + 1} of {effort.processes}", file=sys.stderr)
        command = [sys.executable, "-m", "benchmarks.worker", group, str(effort.blocks)]
        done = subprocess.run(command, cwd=processes.ROOT, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603  # our own
        times_by_process.append(json.loads(done.stdout))
    return times_by_process


def _report(runs: table.Runs, only: str | None, effort: Effort) -> str:
    parts = [table.setting(effort.processes)]
    for title, group, form in (
        ("Targets", table.TARGETS, table.format_comparison),
        ("Rows", table.ROWS, table.format_comparison),
        ("Models", table.MODELS, table.format_untargeted),
        ("Floors", table.FLOORS, table.floor_table),
        ("Beside them", table.BESIDE, table.format_untargeted),
    ):
        some = table.chosen(group, only)
        if some:
            parts.append(f"## {title}\n\n{form(some, runs)}")
    if "peers" in runs:
        parts.append(f"## Peers\n\n{table.peer_table(runs)}")
    if "rows" in runs:
        parts.append(f"## Peers that guard rows\n\n{table.row_peer_table(runs)}")
    return "\n\n".join(parts)


def _facts(chosen: Sequence[table.Row], runs: table.Runs, effort: Effort) -> dict[str, object]:
    rows: list[dict[str, object]] = []
    for row in chosen:
        if not row.is_measured(runs):
            continue
        facts: dict[str, object] = {
            "what": row.case,
            "takes": figure(runs[row.group], row.case).value,
            "unit": row.unit,
            "floor": row.floor,
            "result": dataclasses.asdict(row.result(runs)),
            "limit": row.limit,
            "met": row.describe_target(runs) == "yes" if row.limit is not None else None,
        }
        rows.append(facts)
    return {"setting": table.setting(effort.processes), "rows": rows, "runs": runs}


if __name__ == "__main__":
    sys.exit(main())
