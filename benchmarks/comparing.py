"""What a change slowed or quickened: the rows of two runs, each with its spread over processes.

A row with a floor is compared by its ratio to the floor, since the machine slows both; any other by what it takes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from benchmarks.table import amount, markdown
from benchmarks.timing import Figure

Facts = Mapping[str, Any]
"""What `--json` writes."""

SLOWER, QUICKER, NOISE, NEW, GONE = "slower", "quicker", "", "new", "not measured now"


class Malformed(Exception):  # says what the file is
    """The file is none that `--json` wrote."""


class _Result(BaseModel):
    value: float
    low: float
    high: float

    def figure(self) -> Figure:
        return Figure(self.value, self.low, self.high)


class _ReportedRow(BaseModel):
    what: str
    floor: str | None
    unit: str
    result: _Result

    def format_result(self) -> str:
        found = self.result.figure()
        if self.floor is not None:
            return f"{found.value:.2f} × ({found.low:.2f}-{found.high:.2f})"
        low, high = amount(found.low, self.unit), amount(found.high, self.unit)
        return f"{amount(found.value, self.unit)} ({low} - {high})"


class _Run(BaseModel):
    setting: str
    rows: list[_ReportedRow]

    def by_name(self) -> dict[tuple[str, str | None], _ReportedRow]:
        return {(row.what, row.floor): row for row in self.rows}


def read(path: Path) -> Facts:
    """Read the file that an earlier run wrote with `--json`.

    Raises:
        Malformed: the file is something else, or cannot be read.
    """
    try:
        facts: Facts = json.loads(path.read_text("utf-8"))
        _Run.model_validate(facts)
    except (OSError, ValueError) as error:
        kind = "not what --json writes" if isinstance(error, ValidationError) else error
        raise Malformed(f"{path}: {kind}") from error
    return facts


def change(old: Figure, new: Figure) -> str:
    """Classify a change: it counts only if the spreads of both runs do not overlap."""
    if new.low > old.high:
        return SLOWER
    return QUICKER if new.high < old.low else NOISE


def comparison(old: Facts, new: Facts, *, whole: bool = True) -> str:
    """Return the table of both runs. With `whole`, add the rows that only the old run has."""
    earlier, now = _Run.model_validate(old), _Run.model_validate(new)
    before, after = earlier.by_name(), now.by_name()
    lines: list[Sequence[str]] = []
    for key, row in after.items():
        if key in before:
            was, became = before[key].result.figure(), row.result.figure()
            times = f"{became.value / was.value:.2f} ×" if was.value else ""
            lines.append([row.what, before[key].format_result(), row.format_result(), times, change(was, became)])
        else:
            lines.append([row.what, "", row.format_result(), "", NEW])
    if whole:
        lines += [[row.what, row.format_result(), "", "", GONE] for key, row in before.items() if key not in after]
    head = f"Before: {earlier.setting}"
    if earlier.setting != now.setting:
        head += "\nNow, otherwise: " + now.setting
    return f"{head}\n\n{markdown(['what', 'before (spread)', 'now (spread)', 'now to before', 'change'], lines)}"
