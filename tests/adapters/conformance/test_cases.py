"""The cases themselves: well formed, and answered as a second opinion answers them, before any engine is asked."""

from __future__ import annotations

import re
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
    if case.frame is not None and case not in WITHHELD:
        return evaluated(case).used
    return None


def _is_evaluated(case: Case) -> bool:
    """True if the operations of a case on frames have an answer: its tags are sound, and it is not merely refused."""
    if case.op not in ("check", "permitted") or any(table.has_metadata for table in case.tables):
        return False
    if case.refused == "UnknownSource" and not case.expect.get("by_rows"):
        return False  # a declared tag is none: what is tested then is that it is refused
    return case.refused is None or "used" in case.expect


@_by_id([case for case in FRAMES if _is_evaluated(case)])
def test_frames_use_and_give_what_their_case_says(case: Case) -> None:
    answer = evaluated(case)
    if "used" in case.expect:
        assert answer.used == _used(case)
    if case.refused is None:
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


SPECIFIED = [case for case in CASES if case.theme != "bad" and case.expect.get("by_rows") is None]
WITHHELD = [case for case in SPECIFIED if case.op in ("withhold", "permitted-withhold")]
FLOWS = [case for case in SPECIFIED if case.refused == "FlowViolation"]
UNKNOWN_REVISIONS = [case for case in SPECIFIED if case.name.startswith("a tag of a revision that nobody")]
NEW_TABLES = [case for case in SPECIFIED if case.name == "a table made of a query has no tags"]
ELSEWHERE = [*WITHHELD, *FLOWS, *UNKNOWN_REVISIONS, *NEW_TABLES]


@_by_id([case for case in SPECIFIED if case not in ELSEWHERE])
def test_cases_are_refused_where_the_specification_refuses(case: Case) -> None:
    used = _used(case)
    assert used is not None, "say in `used` which columns the statement uses"
    found = verdicts.verdict(case, used)
    if case.refused is None:
        assert found is None
        return
    assert found is not None
    assert found.kind == case.refused
    if "column" in case.expect:
        assert found.column == case.expect["column"]


@_by_id(WITHHELD)
def test_columns_are_left_where_the_specification_allows_them(case: Case) -> None:
    (table,) = case.tables
    found = {name: verdicts.verdict(case, frozenset({(table.name, name)})) for name in table.names}
    if case.refused is None:
        assert [name for name, refusal in found.items() if refusal is None] == case.expect["columns"]
    else:
        assert case.refused in {refusal.kind for refusal in found.values() if refusal is not None}


@_by_id(FLOWS)
def test_what_does_not_flow_lacks_a_source_in_its_target(case: Case) -> None:
    target, _, column = case.expect["column"].partition(".")
    covered = {source.clause for source in case.tags(target)[column].label.sources}
    tags = [tag for table in case.tables for tag in case.tags(table.name).values()]
    of_rows = case.history.latest.sources if any(tag.by_row for tag in tags) else ()
    known = {source.clause for tag in tags for source in tag.label.sources} | {source.clause for source in of_rows}
    missing = set(case.expect.get("missing", ()))
    assert missing <= known - covered
    assert missing or of_rows, "a row that names its source lacks it where that is left out"


@_by_id(UNKNOWN_REVISIONS)
def test_a_revision_that_nobody_knows_is_none_of_the_history(case: Case) -> None:
    known = {revision.revision.isoformat() for revision in case.history}
    told = {column.tag["revision"] for table in case.tables for column in table.columns if isinstance(column.tag, dict)}
    assert case.refused == "UnknownSource"
    assert told - known


@_by_id(NEW_TABLES)
def test_a_new_table_is_none_that_carries_tags(case: Case) -> None:
    made = re.search(r"CREATE TABLE (\w+)", str(case.sql("postgresql")))
    assert made is not None
    assert case.refused == "UnlabelledData"
    assert made[1] not in {table.name for table in case.tables}
