"""Writes `decisions.json`, to be read before it is kept: `python -m tests.conformance.write`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from tests.conformance.asked import cases
from tests.conformance.worlds import NOTICES

PATH = Path(__file__).parent / "decisions.json"

ABOUT = "Which uses of data a notice allows: see decisions.md. Written by `python -m tests.conformance.write`."


def text() -> str:
    """The file, one case a line and one revision a line."""

    def line(given: object) -> str:
        return json.dumps(given, ensure_ascii=False)

    numbers: Counter[str] = Counter()
    asked = []
    for one in cases():
        theme = one["theme"]
        numbers[theme] += 1
        asked.append(f"    {line({'id': f'{theme} {numbers[theme]}', **one})}")
    notices = []
    for name, revisions in NOTICES.items():
        rows = ",\n".join(f"      {line(one)}" for one in revisions)
        notices.append(f'    {line(name)}: {{"revisions": [\n{rows}\n    ]}}')
    lines = [
        "{",
        '  "$schema": "decisions.schema.json",',
        '  "format": 1,',
        f'  "about": {line(ABOUT)},',
        '  "notices": {',
        ",\n".join(notices),
        "  },",
        '  "cases": [',
        ",\n".join(asked),
        "  ]",
        "}",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), "utf-8")
    sys.stdout.write(f"{PATH.name}: {sum(1 for _ in cases())} cases\n")
