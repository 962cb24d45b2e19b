"""Clause 8: which periods apply to a source, and on which day they are over."""

import datetime
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

import purposeguard as pg
from purposeguard.notice.retention import Periods
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.rows import LONG_AGO
from tests.unit.samples import RETENTION, tables

TOKYO = ZoneInfo("Asia/Tokyo")


def made_of(*periods, timezone="UTC", table=True) -> Periods:
    """The small notice with periods of `(source, days)` or `(source, days, from)`."""
    made = tables() | {"timezone": timezone}
    if table:
        rows = [dict(zip(("source", "days", "from"), row, strict=False)) for row in periods]
        made["retention"] = RETENTION | {"bases": ["law", "granted-purposes"], "period": rows}
    return Periods(pg.Notice.parse(made).document)


def lengths(periods: Periods) -> dict[str, list[int]]:
    every = ("1", "1(a)", "1(b)", "2", "5", "1(b) router", "not-personal")
    return {source: [one.days for one in periods.of(source)] for source in every}


def test_without_periods_nothing_is_ever_overdue():
    for made in (made_of(), made_of(table=False)):
        assert set(map(tuple, lengths(made).values())) == {()}
        assert not made.overdue(["1(a)"], collected=date.min, ended=date.min, today=date.max)
        assert made.due_on("1(a)", collected=date.min, ended=date.min) is None


APPLYING = {
    # The overlay narrows 1(b); what is derived from 2 and from 1 has no row, so it has those of 1 and of its items.
    "those of the clause and of its items": (
        [("1", 30), ("1(b)", 90)],
        {"1": [30, 90], "1(a)": [30], "1(b)": [90], "2": [], "5": [30, 90], "1(b) router": [90], "not-personal": []},
    ),
    "a clause without a row of its own": ([("1(a)", 30), ("1(b)", 90)], {"1": [30, 90]}),
    "an overlay that is shorter": ([("1(b)", 30), ("1(b) router", 7)], {"1(b) router": [7, 30]}),
    "an overlay that is longer": ([("1(b)", 30), ("1(b) router", 90)], {"1(b) router": [30, 90]}),
    "a derivation with its own": ([("1", 30), ("2", 7), ("5", 400)], {"5": [400]}),
    "a derivation without": ([("1", 30), ("2", 7)], {"5": [7, 30]}),
}


@pytest.mark.parametrize(("rows", "expected"), APPLYING.values(), ids=APPLYING)
def test_the_periods_that_apply_to_a_source(rows, expected):
    assert lengths(made_of(*rows)).items() >= expected.items()


def test_of_several_periods_the_one_that_is_over_first_counts():
    made = made_of(("2", 30), ("2", 365, "collection"))
    begun = date(2025, 1, 1)
    assert made.due_on("2", collected=begun, ended=date(2025, 6, 1)) == date(2025, 7, 2)
    assert made.due_on("2", collected=begun, ended=date(2026, 6, 1)) == date(2026, 1, 2)
    assert made.due_on("2", collected=begun) == date(2026, 1, 2)


def test_unknown_clauses_are_no_licence():
    with pytest.raises(pg.UnknownSource, match=r"`1\(z\)`.*did you mean"):
        made_of(("1", 30)).overdue(["1(z)"], today=date(2025, 1, 1))


def test_the_day_from_which_it_is_counted_is_not_counted():
    made = made_of(("1(a)", 30))
    ended = date(2025, 6, 1)
    assert not made.overdue(["1(a)"], ended=ended, today=date(2025, 7, 1))
    assert made.overdue(["1(a)"], ended=ended, today=date(2025, 7, 2)) == {"1(a)"}
    assert made.due_on("1(a)", ended=ended) == date(2025, 7, 2)


def test_only_the_sources_asked_for_are_told():
    made = made_of(("1(a)", 1), ("1(b)", 100), ("2", 1))
    assert made.overdue(["1(a)", "1(b)", "not-personal"], ended=date(2025, 1, 1), today=date(2025, 2, 1)) == {"1(a)"}


@pytest.mark.parametrize(
    ("began", "days", "last"),
    [
        (date(2024, 2, 28), 1, date(2024, 2, 29)),
        (date(2023, 2, 28), 1, date(2023, 3, 1)),
        (date(2024, 2, 29), 365, date(2025, 2, 28)),
        (date(2023, 3, 1), 366, date(2024, 3, 1)),
        (date(2025, 12, 31), 1, date(2026, 1, 1)),
    ],
    ids=str,
)
def test_leap_days_are_days(began, days, last):
    made = made_of(("2", days, "collection"))
    assert not made.overdue(["2"], collected=began, today=last)
    assert made.overdue(["2"], collected=began, today=last + timedelta(days=1))
    assert made.due_on("2", collected=began) == last + timedelta(days=1)


def test_moments_fall_on_days_of_the_time_zone_of_the_notice():
    late = datetime.datetime(2025, 5, 31, 16, 0, tzinfo=datetime.UTC)  # 1 June, one o'clock in Tokyo
    assert made_of(("1(a)", 30), timezone="Asia/Tokyo").due_on("1(a)", ended=late) == date(2025, 7, 2)
    assert made_of(("1(a)", 30)).due_on("1(a)", ended=late) == date(2025, 7, 1)
    made = made_of(("1(a)", 30), timezone="Asia/Tokyo")
    day = date(2025, 6, 1)
    assert not made.overdue(["1(a)"], ended=day, today=datetime.datetime(2025, 7, 1, 23, 59, tzinfo=TOKYO))
    assert made.overdue(["1(a)"], ended=day, today=datetime.datetime(2025, 7, 1, 15, 0, tzinfo=datetime.UTC))


@pytest.mark.parametrize("moment", ["2025-03-29T12:00", "2025-03-30T03:30", "2025-10-25T23:30", "2025-10-26T02:30"])
@pytest.mark.parametrize("fold", [0, 1])
def test_daylight_saving_moves_no_day(moment, fold):
    """In Berlin 30 March 2025 had 23 hours and 26 October 25; half past two was there twice."""
    zone = ZoneInfo("Europe/Berlin")
    began = datetime.datetime.fromisoformat(moment).replace(tzinfo=zone, fold=fold)
    made = made_of(("2", 1, "collection"), timezone="Europe/Berlin")
    due = began.date() + timedelta(days=2)
    assert made.due_on("2", collected=began) == due
    start = datetime.datetime.combine(due, datetime.time(), zone)
    assert made.overdue(["2"], collected=began, today=start)
    assert not made.overdue(["2"], collected=began, today=start.astimezone(datetime.UTC) - timedelta(seconds=1))


def test_use_that_goes_on_is_not_over():
    made = made_of(("1(a)", 30))
    assert not made.overdue(["1(a)"], collected=date(1970, 1, 1), ended=None, today=date(2025, 1, 1))
    assert not made.overdue(["1(a)"], ended=date(2026, 1, 1), today=date(2025, 1, 1))


def test_what_does_not_say_when_it_was_collected_cannot_be_counted_and_what_should_and_does_not_is_old():
    made = made_of(("2", 30, "collection"))
    assert not made.overdue(["2"], collected=None, today=date(2025, 1, 1))
    assert made.overdue(["2"], collected=LONG_AGO, today=date(2025, 1, 1)) == {"2"}
    assert made.due_on("2") is None


def test_days_beyond_the_calendar_are_never():
    made = made_of(("1(a)", 10**12))
    assert made.due_on("1(a)", ended=date(2025, 1, 1)) is None
    assert not made.overdue(["1(a)"], ended=date.min, today=date.max)
    last = datetime.datetime.max.replace(tzinfo=datetime.UTC)
    assert not made_of(("1(a)", 1), timezone="Asia/Tokyo").overdue(["1(a)"], ended=last, today=last)


def test_naive_moments_and_other_things_are_refused():
    made = made_of(("1(a)", 30))
    with pytest.raises(ValueError, match="time zone"):
        made.due_on("1(a)", ended=datetime.datetime(2025, 1, 1))  # noqa: DTZ001  # what is tested
    with pytest.raises(TypeError, match="date"):
        made.due_on("1(a)", ended="2025-01-01")  # type: ignore[arg-type]  # what is tested


def test_a_period_that_ends_on_the_last_day_of_the_calendar_is_never_over():
    made = made_of(("1(a)", 30))
    assert made.due_on("1(a)", ended=date.max - timedelta(days=31)) == date.max
    assert made.due_on("1(a)", ended=date.max - timedelta(days=30)) is None


def kept(**tables):
    retention = tm.NOTICE.dump()["retention"] | tables
    return pg.Notice.parse(tm.NOTICE.dump() | {"retention": retention})


def test_as_long_as_it_is_used_is_a_period_of_no_days():
    periods = Periods(kept(period=[{"source": "2.3", "days": 0}]).document)
    used = date(2026, 6, 1)
    assert periods.overdue(["2.3"], ended=used, today=used) == frozenset()
    assert periods.overdue(["2.3"], ended=used, today=date(2026, 6, 2)) == {"2.3"}
    assert periods.overdue(["2.3"], collected=used, today=date(2030, 1, 1)) == frozenset()
    with pytest.raises(pg.NoticeError, match="kept for no days from its collection"):
        kept(period=[{"source": "2.3", "days": 0, "from": "collection"}])


def test_a_range_ends_where_its_days_do():
    periods = Periods(kept(period=[{"source": "2.3", "days": 180, "at_least": 30, "from": "collection"}]).document)
    (period,) = periods.of("2.3")
    assert (period.at_least, period.days) == (30, 180)
    with pytest.raises(pg.NoticeError, match="ends before `at_least`"):
        kept(period=[{"source": "2.3", "days": 30, "at_least": 180}])


def test_a_criterion_without_a_number_is_kept_and_decides_nothing():
    title = {"en": "As long as the account exists", "ja": "アカウントがある限り"}
    notice = kept(criterion=[{"source": "Cookie", "title": title}])
    assert notice.document.retention.criterion[0].source == "2.3"
    assert Periods(notice.document).of("2.3") == ()
    with pytest.raises(pg.NoticeError, match=r"retention.criterion\[0\].source: unknown source"):
        kept(criterion=[{"source": "9.9", "title": title}])
