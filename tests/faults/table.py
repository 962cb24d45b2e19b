"""The table of the documentation: what was found by which tool, kept beside the corpus, and written into the page.

`python -m tests.faults.table SEEN.json…` takes what `python -m tests.faults.harness --json SEEN.json` saw.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tests.faults.corpus import ROOT, Fault, load
from tests.faults.sighting import Seen
from tests.faults.suites import TOOLS

FOUND: Final = Path(__file__).with_name("found.json")
PAGE: Final = ROOT / "docs" / "explanation" / "seeded-faults.md"

Tools = Mapping[str, str]
"""The tools that find a fault, each with the first of its checks that does."""

HEADS: Final = {
    "types": "types",
    "start": "start",
    "refusals": "refused",
    "results": "results",
    "plugin": "plugin",
    "inventory": "inventory",
    "noninterference": "noninter­ference",
    "canaries": "canaries",
    "stories": "stories",
}

AREAS: Final = {
    "activities": "Activities",
    "kept": "What is kept for later",
    "mailer": "Mail",
    "models": "Models and tables",
    "privacy": "What the privacy office does",
    "reports": "Reports",
    "repository": "Access functions",
    "routes": "Routes, errors and what is around them",
    "unseen": "Written last, and not seen by who wrote the tools",
}
"""Of the corpus, by its files."""


def stamp(fault: Fault) -> str:
    """What changes when a fault does."""
    told = asdict(fault, dict_factory=lambda items: dict(item for item in items if item != ("imports", "")))
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def found() -> dict[str, tuple[str, Tools]]:
    """By fault: its stamp when it was looked for, and the tools that find it."""
    told = json.loads(FOUND.read_text("utf-8"))
    return {one: (entry["stamp"], entry["by"]) for one, entry in told.items()}


def tools_of(seen: Seen) -> dict[str, str]:
    """The tools that saw something, in their order, each with the first of its checks that did."""
    first: dict[str, str] = {}
    for one in seen.sightings:
        first.setdefault(one.tool, one.by)
    return {tool: first[tool] for tool in TOOLS if tool in first}


def share(number: int, of: int) -> str:
    return f"{number} of {of} ({100 * number / of:.1f} %)" if of else "none"


def figures(faults: Sequence[Fault], by: Mapping[str, Tools]) -> Iterator[str]:
    """What comes of all of it, a line each."""
    hit = sum(bool(by[one.id]) for one in faults)
    yield f"found by one tool or more: {share(hit, len(faults))}"
    for tool, what in TOOLS.items():
        hit = sum(tool in by[one.id] for one in faults)
        alone = sum(list(by[one.id]) == [tool] for one in faults)
        yield f"{tool}: {share(hit, len(faults))}, {alone} by nothing else; {what}"


def rendered(faults: Sequence[Fault], by: Mapping[str, Tools]) -> str:
    """The tables as Markdown: one for each area, and the sums."""
    lines: list[str] = []
    for part in dict.fromkeys(one.part for one in faults):
        own = [one for one in faults if one.part == part]
        lines += [f"### {AREAS[part]}", "", f"| fault | way | {' | '.join(HEADS[tool] for tool in TOOLS)} |"]
        lines.append("| --- | --- |" + " :-: |" * len(TOOLS))
        for one in own:
            marks = " | ".join("●" if tool in by[one.id] else "" for tool in TOOLS)
            lines.append(f"| {one.what} | {one.way} | {marks} |".replace("|  |", "| |").replace("|  |", "| |"))
        lines.append("")
    hit = sum(bool(by[one.id]) for one in faults)
    lines += ["### In all", "", f"Found by one tool or more: **{share(hit, len(faults))}**.", ""]
    lines += ["| tool | finds | alone |", "| --- | --: | --: |"]
    for tool, what in TOOLS.items():
        count = sum(tool in by[one.id] for one in faults)
        alone = sum(list(by[one.id]) == [tool] for one in faults)
        lines.append(f"| {HEADS[tool]}: {what} | {share(count, len(faults))} | {alone} |")
    lines.append("")
    missed = [one for one in faults if not by[one.id]]
    if missed:
        lines += ["Found by nothing:", "", *(f"- `{one.id}`: {one.what}" for one in missed), ""]
    return "\n".join(lines)


_MARKED = re.compile(r"(?<=<!-- table -->\n\n).*?(?=<!-- end of table -->)", re.DOTALL)


def told(page: str) -> str:
    """The tables that a page has now."""
    match = _MARKED.search(page)
    return "" if match is None else match[0]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.table", description="Writes down what was seen.")
    parser.add_argument("seen", nargs="*", type=Path)
    faults = load()
    known = found() if FOUND.exists() else {}
    fresh: dict[str, Seen] = {}
    for path in parser.parse_args(arguments).seen:
        for one, given in json.loads(path.read_text("utf-8")).items():
            fresh[one] = fresh.get(one, Seen()) + Seen.load(given)
    kept = {one.id: known.get(one.id, (stamp(one), {})) for one in faults}
    kept |= {one.id: (stamp(one), tools_of(fresh[one.id])) for one in faults if one.id in fresh}
    told_now = {one: {"stamp": kept[one][0], "by": dict(kept[one][1])} for one in kept}
    FOUND.write_text(json.dumps(told_now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    by = {one: tools for one, (_, tools) in kept.items()}
    page = PAGE.read_text("utf-8")
    PAGE.write_text(_MARKED.sub(lambda _: rendered(faults, by) + "\n", page), encoding="utf-8")
    sys.stdout.write("".join(f"{line}\n" for line in figures(faults, by)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
