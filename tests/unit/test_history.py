"""Revisions in order, and which one held when a datum was collected (clause 11)."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

import purposeguard as pg
from tests.unit.models import UTC
from tests.unit.samples import revised, tables

FIRST = pg.Notice.parse(tables())
SECOND = revised(FIRST, lambda t: None, "2025-01-01")
THIRD = revised(FIRST, lambda t: None, "2026-01-01")
HISTORY = pg.History(FIRST, SECOND, THIRD)


def faults(*notices: pg.Notice) -> dict[str, str]:
    with pytest.raises(pg.NoticeError) as caught:
        pg.History(*notices)
    return {fault.place: fault.message for fault in caught.value.faults}


def test_revisions_stand_in_the_order_of_their_dates() -> None:
    assert tuple(HISTORY) == HISTORY.notices == (FIRST, SECOND, THIRD)
    assert len(HISTORY) == 3
    assert HISTORY.latest is THIRD
    assert repr(HISTORY) == "<History of small: 2024-01-01, 2025-01-01, 2026-01-01>"


def test_drafts_stand_in_the_order_of_their_dates_too() -> None:
    assert pg.History.of_drafts(FIRST, SECOND).is_draft
    with pytest.raises(pg.NoticeError, match="2024-01-01 comes after 2025-01-01"):
        pg.History.of_drafts(SECOND, FIRST)


def test_all_faults_are_told_at_once() -> None:
    other = revised(FIRST, lambda t: t.update(id="other"), "2025-01-01")
    assert faults(SECOND, FIRST, other, SECOND) == {
        "revision 2": "2024-01-01 comes after 2025-01-01",
        "revision 3": "`other` is another notice than `small`",
        "revision 4": "`small` is another notice than `other`",
    }


def test_a_history_has_revisions() -> None:
    assert faults() == {"": "a history without revisions"}
    wrong: Any = FIRST.document
    with pytest.raises(TypeError, match="made of notices, not of Document"):
        pg.History(FIRST, wrong)


def test_a_history_is_equal_where_its_revisions_are_and_cannot_be_changed() -> None:
    same = pg.History(FIRST, SECOND, THIRD)
    assert same == HISTORY
    assert hash(HISTORY) == hash(same)
    assert pg.History(FIRST, SECOND) != HISTORY
    assert pg.History(FIRST) != FIRST
    with pytest.raises(AttributeError):
        HISTORY.notices = ()


@pytest.mark.parametrize(
    ("day", "held"),
    [
        ("2023-12-31", None), ("2024-01-01", FIRST), ("2024-12-31", FIRST), ("2025-01-01", SECOND),
        ("2025-12-31", SECOND), ("2026-01-01", THIRD), ("2099-01-01", THIRD),
    ],
)  # fmt: skip
def test_a_revision_holds_until_the_next(day: str, held: pg.Notice | None) -> None:
    assert HISTORY.on(datetime.date.fromisoformat(day)) is held


def test_a_moment_counts_by_the_day_of_the_latest_revisions_time_zone() -> None:
    evening = datetime.datetime(2024, 12, 31, 16, 30, tzinfo=UTC)  # 1:30 of 1 January in Tokyo
    assert HISTORY.on(evening) is FIRST
    tokyo = revised(FIRST, lambda t: t.update(timezone="Asia/Tokyo"), "2026-01-01")
    assert pg.History(FIRST, SECOND, tokyo).on(evening) is SECOND
    assert pg.History(FIRST, SECOND, tokyo).on(evening - datetime.timedelta(hours=2)) is FIRST


def test_days_are_those_of_daylight_saving() -> None:
    """In the summer Berlin is two hours ahead, and its day begins at 22:00 in UTC."""
    berlin = revised(FIRST, lambda t: t.update(timezone="Europe/Berlin"), "2025-07-01")
    history = pg.History(FIRST, berlin)
    assert history.on(datetime.datetime(2025, 6, 30, 22, 0, tzinfo=UTC)) is berlin
    assert history.on(datetime.datetime(2025, 6, 30, 21, 59, tzinfo=UTC)) is FIRST


def test_a_moment_without_its_time_zone_is_of_no_day() -> None:
    with pytest.raises(ValueError, match="time zone"):
        HISTORY.on(datetime.datetime(2025, 1, 1))  # noqa: DTZ001  # what is refused
    wrong: Any = "2025-01-01"
    with pytest.raises(TypeError, match="a day is a date or a datetime, not str"):
        HISTORY.on(wrong)


def test_the_ends_of_the_calendar_are_days_too() -> None:
    tokyo = revised(FIRST, lambda t: t.update(timezone="Asia/Tokyo"), "2026-01-01")
    history = pg.History(FIRST, tokyo)
    for hours in (-14, 14):
        zone = datetime.timezone(datetime.timedelta(hours=hours))
        assert history.on(datetime.datetime(9999, 12, 31, 12, tzinfo=zone)) is tokyo
        assert history.on(datetime.datetime(1, 1, 1, 12, tzinfo=zone)) is None


def test_the_label_of_a_day_is_of_the_revision_that_held() -> None:
    account = HISTORY.label("1(a)", collected=datetime.date(2025, 6, 1))
    assert account is pg.Label(SECOND.source("1(a)"))
    with pytest.raises(LookupError, match="the earliest revision known is of 2024-01-01"):
        HISTORY.label("1(a)", collected=datetime.date(2023, 1, 1))
    both = HISTORY.label(THIRD.source("1(a)"), pg.Label(FIRST.source("2")), collected=datetime.date(2024, 6, 1))
    assert both is pg.Label(FIRST.source("1(a)"), FIRST.source("2"))


def test_a_revision_may_lack_a_source() -> None:
    def drop(t: dict[str, Any]) -> None:
        t["source"] = [row for row in t["source"] if row["id"] != "2"]
        t["grant"] = t["grant"][:2]
        for gone in ("family", "derivation"):
            del t[gone]

    history = pg.History(revised(FIRST, drop), SECOND)
    for given in ("2", SECOND.source("2")):
        with pytest.raises(pg.UnknownSource):
            history.label(given, collected=datetime.date(2024, 6, 1))
    foreign = pg.Notice.bundled("trendmicro-jp").source("1.1(a)")
    with pytest.raises(pg.UnknownSource):
        history.label(foreign, collected=datetime.date(2025, 6, 1))
    with pytest.raises(pg.UnlabelledData):
        history.label(collected=datetime.date(2025, 6, 1))


def test_a_class_means_what_its_clause_was_called_then() -> None:
    """A number that was given to another source meanwhile is not taken for the same."""

    def renumber(t: dict[str, Any]) -> None:
        numbers = {"1(a)": "1(b)", "1(b)": "1(a)"}
        for row in t["source"]:
            row["id"] = numbers.get(row["id"], row["id"])
        t["grant"][0]["sources"] = ["1(b)"]
        t["forbid"][0]["sources"] = ["1(a)"]
        t["overlay"][0]["source"] = "1(a)"
        t["renamed"] = [{"kind": "source", "old": old, "new": new} for old, new in numbers.items()]

    later = revised(FIRST, renumber, "2025-01-01")
    history = pg.History(FIRST, later)
    day = datetime.date(2024, 6, 1)
    assert history.label(later.source("Account"), collected=day) is pg.Label(FIRST.source("Account"))
    assert history.label(FIRST.source("Account"), collected=later.revision) is pg.Label(later.source("Account"))
    assert history.label("1(a)", collected=day) is pg.Label(FIRST.source("Account"))
    assert history.label("1(a)", collected=later.revision) is pg.Label(later.source("Usage"))


def test_a_revision_takes_its_place_by_date() -> None:
    assert pg.History(FIRST, THIRD).with_(SECOND) == HISTORY
    assert HISTORY.with_(SECOND) == HISTORY
    mended = revised(SECOND, lambda t: t["grant"][0]["title"].update(en="Uses"))
    assert tuple(HISTORY.with_(mended)) == (FIRST, mended, THIRD)


def test_of_a_history_that_revision_is_in_force_which_its_day_has_come() -> None:
    now = datetime.datetime(2025, 12, 31, 23, 59, tzinfo=UTC)
    guard = pg.Guard(HISTORY, clock=lambda: now)
    assert guard.notice is SECOND
    assert guard.history == HISTORY
    with pytest.raises(pg.NoticeError, match="none is in force yet: the first is of 2025-01-01"):
        pg.Guard(pg.History(SECOND, THIRD), clock=lambda: now - datetime.timedelta(days=500))
    with pytest.raises(pg.NoticeError, match="none is in force yet"):
        guard.replace(pg.History(THIRD))
    assert guard.notice is SECOND


def test_neither_a_notice_nor_a_history_is_nothing_to_decide_by() -> None:
    wrong: Any = "notice.toml"
    for make in (pg.Guard, pg.Guard(FIRST).replace):
        with pytest.raises(TypeError, match="needs a Notice, not str"):
            make(wrong)


def test_a_guard_remembers_what_it_decided_by_before() -> None:
    guard = pg.Guard(FIRST)
    guard.replace(SECOND)
    guard.replace(THIRD)
    assert guard.history == HISTORY
    guard.replace(FIRST)
    assert guard.history == HISTORY
    assert guard.notice is FIRST
    guard.replace(pg.History(FIRST, THIRD))
    assert guard.history == pg.History(FIRST, THIRD)
