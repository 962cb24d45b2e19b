"""The descriptions of the violations that `seeded.py` seeds into applications, which `make adopt-apps` runs."""

from __future__ import annotations

import re

import pytest

from tests.third_party.applications import APPS, ROOT
from tests.third_party.seeded import find_file, read_violations

LIMITS = ROOT / "docs" / "explanation" / "limits.md"
NAMES = [app.name for app in APPS]


@pytest.mark.parametrize("name", NAMES)
def test_each_violation_has_a_test_and_limits_name_what_is_missed(name: str) -> None:
    _, violations = read_violations(name)
    tests = re.findall(r"def test_(\w+)\(", find_file(name, "py").read_text("utf-8"))
    assert sorted(tests) == sorted(violation.name.replace("-", "_") for violation in violations)
    text = " ".join(LIMITS.read_text("utf-8").split())
    for violation in violations:
        for words in (violation.unseen, violation.allowed, violation.refused_anyway):
            assert words in text, violation.name


def test_violations_are_of_many_kinds_in_each_application() -> None:
    violations = {name: read_violations(name)[1] for name in NAMES}
    total = sum(map(len, violations.values()))
    assert total >= 30
    assert sum(bool(each.unseen) for seeded in violations.values() for each in seeded) <= total / 10
    for seeded in violations.values():
        assert len({each.kind for each in seeded}) >= 5
        assert len({(each.entry_point, each.column) for each in seeded}) == len(seeded)
