"""The cases themselves: well formed, and answered as a second opinion answers them, before any engine is asked."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it comes without stubs

from tests.adapters.conformance import verdicts
from tests.adapters.conformance.cases import THEMES, Case, cases, loaded
from tests.adapters.conformance.evaluator import Evaluated, Judge, Used, evaluated, labels

CASES = cases()
FRAMES = [case for case in CASES if case.frame is not None]


def _by_id(given: list[Case]) -> Any:
    return pytest.mark.parametrize("case", given, ids=[case.id for case in given])


@pytest.mark.parametrize("name", ["common", *THEMES])
def test_each_file_is_what_the_schema_says(name: str) -> None:
    faults = [
        f"{'/'.join(map(str, fault.absolute_path))}: {fault.message[:200]}"
        for fault in Draft202012Validator(loaded("schema")).iter_errors(loaded(name))
    ]
    assert not faults


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(loaded("schema"))


def test_there_are_at_least_150_cases_each_with_a_name_of_its_own() -> None:
    assert len(CASES) >= 150
    assert [name for name, times in Counter(case.id for case in CASES).items() if times > 1] == []


def _used(case: Case) -> Used | None:
    """The columns that a case says, or its operations show, that it uses; None where nothing tells."""
    told = case.expect.get("used")
    if told is not None:
        return frozenset((table, name) for table, _, name in (one.partition(".") for one in told))
    if case.frame is not None and case.op not in ("withhold", "permitted-withhold"):
        return evaluated(case).used
    return None


@_by_id([case for case in FRAMES if case.op in ("check", "permitted")])
def test_frames_use_and_give_what_their_case_says(case: Case) -> None:
    if any(table.has_metadata for table in case.tables) or _has_broken_tags(case):
        return
    answer = evaluated(case)
    if "used" in case.expect:
        assert answer.used == _used(case)
    if case.refused is not None:
        return
    judge = Judge(case) if case.purpose is not None else None
    if case.op == "permitted" and judge is not None and case.given.get("mode") != "observe":
        answer = evaluated(case, {table.name: judge.rows(table, answer.used) for table in case.tables})
    _compare(case, answer)


def _compare(case: Case, answer: Evaluated) -> None:
    assert answer.columns == case.expect["columns"]
    expected = [tuple(row) for row in case.expect["rows"]]
    if case.expect.get("ordered"):
        assert answer.rows == expected
    else:
        assert Counter(answer.rows) == Counter(expected)
    for name, clauses in case.expect.get("labels", {}).items():
        if not any(case.tags(table)[one].by_row for table, one in answer.reads[name]):
            assert labels(case, answer.reads[name]) == sorted(clauses), name


@_by_id([case for case in CASES if case.theme != "bad" and case.expect.get("by_rows") is None])
def test_cases_are_refused_where_the_specification_refuses(case: Case) -> None:
    used = _used(case)
    if used is None or case.refused == "FlowViolation" or case.name.startswith("a tag of a revision that nobody"):
        return
    found = verdicts.verdict(case, used)
    if case.refused is None:
        assert found is None
        return
    assert found is not None
    assert found.kind == case.refused
    if "column" in case.expect:
        assert found.column == case.expect["column"]


def _has_broken_tags(case: Case) -> bool:
    """Whether a declared tag is none: what is tested then is that it is refused."""
    return case.refused == "UnknownSource" and not case.expect.get("by_rows")
