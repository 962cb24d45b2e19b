"""What is added up while tests run: by name, once, bounded, and the same after a way through another process."""

from __future__ import annotations

import gc
import weakref
from typing import Annotated, Any

import execnet
import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.adoption.evidence import Evidence
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import PurposeViolation
from purposeguard.testing import _report
from purposeguard.testing._report import Collector, CoverageReport, Records
from tests.support import in_threads

pytestmark = pytest.mark.usefixtures("remembers")

NOTICE = "trendmicro-jp 2024-04-01"
NAME: pg.Personal[str, tm.Registration] = pg.Personal("Aiko", tm.Registration)


class Row(BaseModel):
    total: Annotated[int, tm.Contract]


def service() -> pg.Guard:
    guard = pg.Guard(tm.NOTICE)

    @guard.access
    def rows() -> list[Row]:
        return [Row(total=1)]

    @guard.purpose(tm.AnyFeedback, activity="feedback")
    def ask() -> None:
        rows()
        guard.use(tm.ExperienceHearing).open(NAME)

    @guard.purpose(tm.RenewalGuidance, activity="reminders")
    def remind() -> None: ...

    ask()
    return guard


def test_the_members_of_a_family_that_were_used_stand_under_their_activity(collector: Collector) -> None:
    guard = service()
    report = CoverageReport(collector.finish([guard]))
    assert list(report.lines())[:6] == [
        "cells that the service can reach and no test exercises",
        "  1.2(1)① renewal-guidance: 1.1(c) (granted) by reminders",
        NOTICE,
        "  feedback for 1.2(2)⑥: used 1.1(a) 1×",
        "  feedback for AnyFeedback: used 1.1(c) 1×",
        "  reminders for 1.2(1)①: never ran",
    ]
    told = {(one["activity"], one["purpose"]): one for one in report.tables()["activities"]}
    assert told["feedback", "1.2(2)⑥"]["ran"]
    assert not told["reminders", "1.2(1)①"]["ran"]


def test_cells_count_where_they_were_answered_as_the_notice_has_it(collector: Collector) -> None:
    guard = service()
    records = collector.finish([guard])
    # Of the family, the one member that contracts may serve; of the other activity, its own purpose.
    assert records.universe == {(NOTICE, "1.1(c)", "1.2(2)⑥"): True, (NOTICE, "1.1(c)", "1.2(1)①"): True}
    assert CoverageReport(records).counted == (1, 2)
    with pytest.raises(PurposeViolation):
        guard.check("1.1c", "2.2①")
    assert CoverageReport(collector.finish([guard])).counted == (1, 2)
    guard.check("1.1c", "1.2(1)①")
    assert CoverageReport(collector.finish([guard])).counted == (2, 2)


def test_what_a_guard_was_made_for_counts_and_not_what_a_test_put_in_its_place(collector: Collector) -> None:
    guard = service()
    guard.replace(pg.Notice.parse(tm.NOTICE.dump() | {"revision": "2026-04-01"}))
    records = collector.finish([guard])
    assert {notice for notice, _, _ in records.universe} == {NOTICE}


def test_records_are_the_same_after_a_way_through_another_process(collector: Collector) -> None:
    records = collector.finish([service()])
    other = Records()
    other.merge(execnet.loads(execnet.dumps(records.dump())))
    assert other.dump() == records.dump()
    assert list(CoverageReport(other).lines()) == list(CoverageReport(records).lines())
    other.merge(records.dump())
    cell = (NOTICE, "1.1(c)", "1.2(2)⑥", True)
    assert CoverageReport(other).cells[cell] == 2 * CoverageReport(records).cells[cell] > 0
    assert other.universe == records.universe


def test_a_test_may_make_any_number_of_guards(collector: Collector) -> None:
    collector.begin("test")
    gone: list[weakref.ref[pg.Guard]] = []
    for _ in range(2 * _report._MOST_YOUNG):
        gone.append(weakref.ref(service()))  # noqa: PERF401  # a comprehension would be over before the next is made
    gc.collect()
    assert sum(one() is not None for one in gone) == _report._MOST_YOUNG
    collector.end()
    gc.collect()
    assert [one() for one in gone if one() is not None] == []
    assert list(CoverageReport(collector.records).called.values()) == [len(gone)]
    assert collector.records.activities


def test_a_test_may_make_up_any_number_of_notices(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_report, "MOST_NOTICES", 3)
    collector.begin("test")
    for year in range(2030, 2040):
        pg.Guard(pg.Notice.parse(tm.NOTICE.dump() | {"revision": f"{year}-04-01"})).allows("1.1a", "1.2(1)①")
    collector.end()
    assert len({one[0] for one in CoverageReport(collector.records).cells}) == 3


def test_notices_that_tests_make_up_do_not_crowd_out_the_service_s_own(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_report, "MOST_NOTICES", 3)
    collector.begin("test")
    for year in range(2030, 2034):
        pg.Guard(pg.Notice.parse(tm.NOTICE.dump() | {"revision": f"{year}-04-01"})).allows("1.1a", "1.2(1)①")
    collector.end()
    collector.begin("one that imports the service")
    guard = service()
    collector.end()
    assert CoverageReport(collector.finish([guard])).counted == (1, 2)


def test_threads_lose_no_count(collector: Collector) -> None:
    guard = pg.Guard(tm.NOTICE)

    def work() -> None:
        for _ in range(200):
            guard.allows("1.1a", "1.2(1)①")

    in_threads([work] * 4)
    assert CoverageReport(collector.finish([guard])).cells[NOTICE, "1.1(a)", "1.2(1)①", True] == 800


def test_what_several_tests_share_is_consulted_by_each(collector: Collector) -> None:
    guard = pg.Guard(tm.NOTICE)
    guard.allows("2.3", "2.3①")  # while modules are imported
    collector.begin("one")
    collector.begin_fixture("shared")
    guard.allows("1.1a", "1.2(1)①")
    collector.end_fixture()
    guard.allows("1.1b", "1.2(1)①")
    collector.end()
    told = {test: sorted(cell.source for cell in cells) for test, cells in collector.by_test.items()}
    assert told == {None: ["2.3"], "one": ["1.1(a)", "1.1(b)"]}
    assert [cell.source for cell in collector.by_fixture["shared"]] == ["1.1(a)"]


def test_a_report_says_how_much_it_leaves_out(collector: Collector) -> None:
    records = collector.finish([service()])
    records.accesses.update(((NOTICE, f"service.f{number}", number), None) for number in range(50))
    lines = list(CoverageReport(records).lines())
    assert "  … and 20 more: -v, or --purposeguard-json=FILE" in lines
    assert len(list(CoverageReport(records).lines(verbose=True))) == len(lines) + 19


def test_of_what_is_combined_the_source_that_is_denied_counts_as_denied(collector: Collector) -> None:
    guard = service()
    both: Any = NAME.zip(pg.Personal("TM-99", tm.ProductData))
    with guard.purpose(tm.RenewalGuidance, activity="reminders") as use:
        assert use.try_open(both, None) is None
    report = CoverageReport(collector.finish([guard]))
    assert [key for key in report.denied if key[1] == "reminders"] == [(NOTICE, "reminders", "1.2(1)①", "1.1(b)")]
    cells = {key: count for key, count in report.cells.items() if key[2] == "1.2(1)①"}
    assert cells == {(NOTICE, "1.1(a)", "1.2(1)①", True): 1, (NOTICE, "1.1(b)", "1.2(1)①", False): 1}


def test_counting_that_stopped_is_reported(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "_evidence", Evidence(collector.records.evidence, interval=None, max_waiting=1))
    guard = service()
    records = collector.finish([guard])
    report = CoverageReport(records)
    assert list(report.lines())[-1] == (
        "the figures are too low: one test had so many different decisions that counting stopped"
    )
    assert not report.tables()["complete"]
    other = Records()
    other.merge(execnet.loads(execnet.dumps(records.dump())))
    assert not other.is_complete


def test_each_test_may_have_many_different_decisions(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "_evidence", Evidence(collector.records.evidence, interval=None, max_waiting=1))
    guard = pg.Guard(tm.NOTICE)
    for purpose in ("1.2(1)①", "1.2(1)②"):
        collector.begin(purpose)
        guard.allows("1.1a", purpose)
        collector.end()
    report = CoverageReport(collector.records)
    assert [key[2] for key in report.cells] == ["1.2(1)①", "1.2(1)②"]
    assert report.records.is_complete
