"""The corpus of seeded faults by itself: each can be read, and is put into the example where it says it is.

Whether a fault is found, and by what, is not asked here.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAULTS = [
    (path.stem, fault)
    for path in sorted(Path(__file__).with_name("corpus").glob("*.toml"))
    for fault in tomllib.loads(path.read_text(encoding="utf-8"))["fault"]
]


@pytest.mark.parametrize(("area", "fault"), [pytest.param(area, one, id=one["id"]) for area, one in FAULTS])
def test_a_fault_goes_into_the_example(area, fault):
    assert fault.keys() == {"id", "what", "way", "breaks", "reach", "edit"}
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", fault["id"])
    texts = [fault[key] for key in ("what", "way", "breaks", "reach")]
    assert all(text.strip() and "\n" not in text for text in texts)
    mutated: dict[str, str] = {}
    for edit in fault["edit"]:
        assert edit.keys() == {"file", "old", "new"}
        text = mutated.get(edit["file"]) or (ROOT / edit["file"]).read_text(encoding="utf-8")
        assert text.count(edit["old"]) == 1, f"{edit['file']}: {edit['old']}"
        mutated[edit["file"]] = text.replace(edit["old"], edit["new"])
    for file, text in mutated.items():
        assert ast.dump(ast.parse(text)) != ast.dump(ast.parse((ROOT / file).read_text(encoding="utf-8")))


def test_ids_are_unique():
    assert [one for one, times in Counter(fault["id"] for _, fault in FAULTS).items() if times > 1] == []
