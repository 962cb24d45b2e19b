"""The benchmark's own parts: nothing here is timed against a target."""

import contextvars
import json
from contextlib import contextmanager

import pytest

import purposeguard as pg
from benchmarks import __main__ as command
from benchmarks import (
    comparing,
    counting,
    decisions,
    floors,
    growth,
    memory,
    models,
    peers,
    processes,
    row_peers,
    rows,
    table,
    worker,
)
from benchmarks.timing import UNROLLED, Case, Figure, Runner, figure, race, ratio


def test_every_block_runs_each_statement_equally_often():
    seen: list[int] = []
    names = {"seen": seen}
    Runner(Case("three", ["seen.append(1)", "seen.append(2)", "seen.append(3)"], names), block=1e-6)
    assert seen.count(1) == seen.count(2) == seen.count(3) >= UNROLLED // 3


def test_a_case_runs_in_a_context_of_its_own():
    variable = contextvars.ContextVar("variable", default="outside")
    seen: set[tuple[str, str]] = set()

    @contextmanager
    def within():
        variable.set("inside")
        yield "given"

    case = Case("context", "seen.add((variable.get(), use))", {"seen": seen, "variable": variable}, within)
    race([case], blocks=2, block=1e-6)
    assert seen == {("inside", "given")}
    assert variable.get() == "outside"


def test_of_several_processes_the_median_counts_and_ratios_are_made_process_by_process():
    runs = [{"case": 10.0, "floor": 5.0}, {"case": 40.0, "floor": 10.0}, {"case": 90.0, "floor": 30.0}]
    assert figure(runs, "case") == Figure(40.0, 10.0, 90.0)
    assert ratio(runs, "case", "floor") == Figure(3.0, 2.0, 4.0)


def test_every_row_is_measured_by_its_group():
    known = {
        "decisions": {case.name for case in floors.floors() + decisions.decisions()},
        "growth": {name for pair in growth.PAIRS for name in pair},
    }
    for row in (*table.TARGETS, *table.FLOORS, *table.BESIDE):
        if row.group in known:
            assert {row.case, row.floor} - {None} <= known[row.group]


def test_rows_measure_what_their_targets_ask_for(monkeypatch):
    monkeypatch.setattr(rows, "COUNT", 200)
    monkeypatch.setattr(rows, "PLAIN", rows.PLAIN[:200])
    monkeypatch.setattr(models, "INPUTS", models.INPUTS[:200])
    with rows.open_cases() as cases:
        measured = {case.name for case in (*cases, *models.models())}
    missing = {name for row in (*table.ROWS, *table.MODELS) for name in (row.case, row.floor or row.case)} - measured
    assert {name for name in missing if "attrs" not in name} == set()
    assert {row_peers.LOOP, row_peers.FIELD_MASK, row_peers.REGEX, row_peers.CRITERIA} <= measured


def test_counting_measures_what_its_rows_ask_for():
    found = counting.measure(blocks=1)
    assert {row.case for row in (*table.TARGETS, *table.BESIDE) if row.group == "counting"} <= set(found)


def test_growth_measures_what_it_compares(monkeypatch):
    monkeypatch.setattr(growth, "OTHERS", 60)
    monkeypatch.setattr(growth, "PURPOSES", (34, 60))
    monkeypatch.setattr(growth, "SOURCES", (10, 60))
    compared = {name for pair in growth.PAIRS for name in pair if "10,000" not in name and "1,000" not in name}
    assert compared <= {case.name for case in growth.growth()}


def test_peers_are_given_what_the_notice_grants():
    notice = pg.Notice.bundled("trendmicro-jp")
    granted = peers.collect_grants()
    pairs = {(source, purpose) for purpose, sources in granted.items() for source in sources}
    asked = {(source.slug, purpose.slug) for source in notice.sources for purpose in notice.purposes}
    guard = pg.Guard(notice)
    assert pairs == {(source, purpose) for source, purpose in asked if guard.allows(source, purpose)}
    again = {purpose: sources for purposes, sources in peers.clauses(granted) for purpose in purposes}
    assert again == granted


class Obliging:
    """A peer that allows everything."""

    package = "obliging"
    form = ""

    def __init__(self, granted):
        pass

    def question(self, sources, purpose):
        return lambda: True


class Faithful(Obliging):
    """A peer that answers as the notice does."""

    def __init__(self, granted):
        self.granted = granted

    def question(self, sources, purpose):
        return lambda: set(sources) <= set(self.granted[purpose])


def test_a_peer_is_asked_everything_and_found_out_where_it_differs():
    guard = pg.Guard(pg.Notice.bundled("trendmicro-jp"))
    with pytest.raises(peers.PeerDiffers, match="obliging says True of"):
        peers.count_agreements(Obliging({}), guard)
    sources, purposes = len(guard.notice.sources), len(guard.notice.purposes)
    pairs = sources * (sources - 1) // 2
    assert peers.count_agreements(Faithful(peers.collect_grants()), guard) == (sources + pairs + 1) * purposes


def test_a_worker_prints_what_it_measured(capsys, monkeypatch):
    monkeypatch.setattr(peers, "peers", lambda: [Case("nothing", "pass", {})])
    worker.main(["peers", "1"])
    assert json.loads(capsys.readouterr().out)["nothing"] > 0


def test_the_report_says_of_each_row_whether_it_is_met(capsys, monkeypatch, tmp_path):
    def measured(group, effort):
        assert group == "import"
        return [{processes.IMPORT: 120.0, processes.PYDANTIC: 100.0}] * effort.imports

    monkeypatch.setattr(command, "_measure_group", measured)
    path = tmp_path / "figures.json"
    assert command.main(["--quick", "--only", "import purposeguard", "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert "| 120 ns | 100 ns, `import pydantic` and the same models built | 1.20 (1.20-1.20) | ≤ 1.15 × | no |" in out
    (row,) = json.loads(path.read_text("utf-8"))["rows"]
    assert row["met"] is False
    assert row["result"]["value"] == pytest.approx(1.2)


def facts(*rows, setting="CPython"):
    return {
        "setting": setting,
        "rows": [
            {"what": what, "floor": floor, "unit": "ns", "result": {"value": value, "low": low, "high": high}}
            for what, floor, (value, low, high) in rows
        ],
    }


def compared(tmp_path, old, new):
    paths = tmp_path / "old.json", tmp_path / "new.json"
    for path, content in zip(paths, (old, new), strict=True):
        path.write_text(json.dumps(content), "utf-8")
    return comparing.comparison(*map(comparing.read, paths)).splitlines()


@pytest.mark.parametrize(
    ("now", "change"),
    [
        ((2.6, 2.3, 2.7), "slower"),
        ((2.6, 2.2, 2.7), ""),  # the spreads touch
        ((2.1, 1.0, 3.0), ""),
        ((1.5, 1.4, 1.7), "quicker"),
        ((1.5, 1.4, 1.8), ""),
    ],
)
def test_only_a_change_beyond_both_spreads_is_marked(tmp_path, now, change):
    old, new = facts(("case", "floor", (2.0, 1.8, 2.2))), facts(("case", "floor", now))
    *_, line = compared(tmp_path, old, new)
    times = f"{now[0] / 2:.2f} ×"
    shown = f"{now[0]:.2f} × ({now[1]:.2f}-{now[2]:.2f})"
    assert line == f"| case | 2.00 × (1.80-2.20) | {shown} | {times} | {change} |"


def test_a_run_is_compared_with_the_file_of_an_earlier_one(capsys, monkeypatch, tmp_path):
    path = tmp_path / "figures.json"
    for took, options in ((110.0, ["--json", str(path)]), (220.0, ["--compare", str(path)])):
        times = {processes.IMPORT: took, processes.PYDANTIC: 100.0}
        monkeypatch.setattr(command, "_measure_group", lambda _, effort, times=times: [times] * effort.imports)
        assert command.main(["--quick", "--only", "import purposeguard", *options]) == 0
    assert "| 1.10 × (1.10-1.10) | 2.20 × (2.20-2.20) | 2.00 × | slower |" in capsys.readouterr().out


def test_a_round_of_a_day_has_its_share_of_each_part():
    day = memory.Day(0.001, {"requests", "classes", "revisions"})
    day.run()
    assert (day.requests, day.classes, day.revisions) == (1_000, 10, 1)
