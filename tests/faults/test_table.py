"""The table in the documentation is true: each fault is found as it says, and the example as it is by nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.faults import summary
from tests.faults.corpus import ROOT, load
from tests.faults.sighting import Seen
from tests.faults.suites import PARTS
from tests.faults.table import PAGE, figures, found, rendered, stamp, told, tools_of

FAULTS = load()
FEWEST = 95
"""So many of a hundred faults are found by one tool or more."""

SHARE = 24
"""Of so many faults one is looked for in every run, always the same: a run tells of a change, and not of the day."""


def looked(tmp_path, plan):
    """What the harness sees, by fault, in a process of its own: here the example itself may be imported."""
    asked, seen = tmp_path / "plan.json", tmp_path / "seen.json"
    asked.write_text(json.dumps(plan), encoding="utf-8")
    command = [sys.executable, "-m", "tests.faults.harness", "--plan", str(asked), "--jobs", "1", "--json", str(seen)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert seen.exists(), done.stdout + done.stderr
    return {one: Seen.load(given) for one, given in json.loads(seen.read_text("utf-8")).items()}


def must_be_honest(seen):
    assert {one: what.crashes for one, what in seen.items() if what.crashes} == {}, "these do not violate, but crash"


def by_fault():
    return {one: tools for one, (_, tools) in found().items()}


def test_each_fault_was_looked_for_as_it_is_now():
    assert {one: given for one, (given, _) in found().items()} == {one.id: stamp(one) for one in FAULTS}


def test_the_page_has_the_table():
    assert told(PAGE.read_text("utf-8")).strip() == rendered(FAULTS, by_fault()).strip()


def test_nearly_all_are_found(record_property):
    by = by_fault()
    for line in figures(FAULTS, by):
        record_property(summary.NAME, line)
    assert 100 * sum(bool(tools) for tools in by.values()) >= FEWEST * len(FAULTS)


def first_of(fault):
    """The cheapest of what finds a fault, as the harness is asked for it."""
    tool, by = next(iter(by_fault()[fault].items()))
    if tool == "types":
        return [tool], []
    if tool == "plugin":
        return ["tests"], []
    return [], ["start"] if tool == "start" else [by]


def finds(tool, seen):
    """Whether a tool saw something. Where threads race, ordinary tests see a refusal or what comes of it first."""
    ordinary = {"refusals", "results"}
    return bool((ordinary if tool in ordinary else {tool}) & tools_of(seen).keys())


CLEAN = {"id": "clean", "tools": ["tests"], "only": []}
"""The example as it is, and what the plugin says of its tests; `make types` reads it."""


def test_faults_are_found_as_the_table_says_and_the_example_as_it_is_alarms_nothing(tmp_path):
    """A share of them, each by the first of the tools that find it."""
    must_be_found(tmp_path, 0)


@pytest.mark.deep
@pytest.mark.parametrize("share", range(1, SHARE))
def test_the_other_faults_are_found_as_the_table_says(tmp_path, share):
    must_be_found(tmp_path, share)


def must_be_found(tmp_path, share):
    wanted = {one: next(iter(tools)) for one, tools in by_fault().items() if tools}
    wanted = dict(list(wanted.items())[share::SHARE])
    plan = [{"id": one, "tools": first_of(one)[0], "only": first_of(one)[1]} for one in wanted]
    seen = looked(tmp_path, [CLEAN, *plan])
    must_be_honest(seen)
    assert seen.pop("clean") == Seen()
    missed = [one for one, tool in wanted.items() if not finds(tool, seen[one])]
    if missed:  # some are found once other tests of the same process have run: what they keep is seen then
        seen = looked(tmp_path, [{"id": one, "tools": list(PARTS), "only": []} for one in missed])
        must_be_honest(seen)
    assert [one for one in missed if not finds(wanted[one], seen[one])] == []


@pytest.mark.deep
def test_every_row(tmp_path):
    plan = [{"id": one, "tools": ["types", *PARTS], "only": []} for one in ("clean", *by_fault())]
    seen = looked(tmp_path, plan)
    must_be_honest(seen)
    assert seen.pop("clean") == Seen()
    missed = {one: [tool for tool in tools if not finds(tool, seen[one])] for one, tools in by_fault().items()}
    assert {one: tools for one, tools in missed.items() if tools} == {}
