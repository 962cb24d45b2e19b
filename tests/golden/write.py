"""Writes what messages say, and `purposeguard diff` of the made-up revisions, to be read before it is kept.

`python -m tests.golden.write`
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.golden.changes import lines
from tests.testing.checking import test_messages as violations
from tests.unit import test_messages as messages
from tests.unit import test_mistakes as mistakes
from tests.unit.command_line import run

FOLDER = Path(__file__).parent / "diff"
STEPS = {"v1-v2": ("v1", "v2"), "v2-v3": ("v2", "v3"), "v1-v3": ("v1", "v3", "--between", "v2")}
KEPT = [*(f"{step}.txt" for step in STEPS), "v2-v3.json"]
"""The files that are kept; of JSON, in which sentences stand beside their facts, one is enough."""


def said(file: str) -> str:
    """What the command prints of a step, in one form."""
    step, _, ending = file.partition(".")
    names = [FOLDER / f"{one}.toml" if one.startswith("v") else one for one in STEPS[step]]
    result = run("diff", *names, "--format", "text" if ending == "txt" else ending, columns=100)
    if result.exit_code != 0:
        raise RuntimeError(result.output)
    return "".join(f"{line.rstrip()}\n" for line in result.stdout.splitlines())


def said_of_changes() -> str:
    """What is said of one change each."""
    return "".join(f"{line}\n" for line in lines())


if __name__ == "__main__":
    messages.GOLDEN.write_text(messages.written(), "utf-8")
    violations.GOLDEN.write_text(violations.written(), "utf-8")
    mistakes.GOLDEN.write_text(mistakes.written(), "utf-8")
    (FOLDER / "changes.md").write_text(said_of_changes(), "utf-8")
    for file in KEPT:
        (FOLDER / file).write_text(said(file), "utf-8")
        sys.stdout.write(f"{file}\n")
