"""The baseline: which violations it tolerates, until when, and what is refused."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest

from purposeguard import Label, Notice, NoticeError, UnknownTerm
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.project.baseline import Baseline, Violation

FILE = """\
# Agreed in March.
[[tolerated]]
entry_point = "GET /users/{id}"
sources = ["1.1(a)", "1.1(b)"]
purpose = "1.2(1)①"
reason = "a report" # see the minutes
owner = "sales"
until = 2026-03-31

[[tolerated]]
entry_point = "task shop.export"
sources = ["1.1(b)"]
reason = "moves in May"
owner = "data"
until = 2026-05-31
"""
LAST = datetime.date(2026, 3, 31)
AFTER = datetime.date(2026, 4, 1)


@pytest.fixture
def baseline(write: Callable[..., Path], notice: Notice) -> Baseline:
    return Baseline.read(write(FILE, "baseline.toml"), notice)


def test_a_row_covers_its_violation_until_its_last_day(baseline: Baseline) -> None:
    assert baseline.tolerates("GET /users/{id}", ["1.1(b)"], "1.2(1)①", LAST)
    assert baseline.tolerates("GET /users/{id}", Label(tm.Registration, tm.ProductData), tm.RenewalGuidance, LAST)
    assert baseline.tolerates("task shop.export", [Label(tm.ProductData)], None, AFTER)
    assert not baseline.tolerates("GET /users/{id}", ["1.1(b)"], "1.2(1)①", AFTER)
    assert not baseline.tolerates("GET /users/{id}", ["1.1(b)", "1.1(c)"], "1.2(1)①", LAST)
    assert not baseline.tolerates("GET /users/{id}", ["1.1(b)"], "1.2(1)②", LAST)
    assert not baseline.tolerates("GET /users/{id}", ["1.1(b)"], None, LAST)
    assert not baseline.tolerates("GET /users/me", ["1.1(b)"], "1.2(1)①", LAST)
    assert not baseline.tolerates("task shop.export", ["1.1(b)"], "1.2(1)①", LAST)
    with pytest.raises(UnknownTerm):
        baseline.tolerates("GET /users/{id}", ["1.1(z)"], None, LAST)


def test_expired_and_obsolete_rows(baseline: Baseline) -> None:
    first, second = baseline.rows
    assert (first.reason, first.owner, first.until, first.position) == ("a report", "sales", LAST, (2, 3))
    assert baseline.list_expired(LAST) == []
    assert baseline.list_expired(AFTER) == [first]
    assert baseline.list_obsolete([]) == [first, second]
    assert baseline.list_obsolete([Violation("task shop.export", ["1.1(b)"])]) == [first]
    assert baseline.list_obsolete([Violation("task shop.export", ["1.1(b)", "1.1(a)"])]) == [first, second]


def test_rows_are_added_and_the_rest_stays(baseline: Baseline) -> None:
    violation = Violation("GET /all", [tm.ProductData, "1.1(a)"], tm.AnyProductGuidance)
    added = baseline.add(violation, reason="old", owner="web", until=AFTER)
    text = Path(baseline.path).read_text("utf-8")
    assert text == FILE + (
        '\n[[tolerated]]\nentry_point = "GET /all"\nsources = ["1.1(a)", "1.1(b)"]\npurpose = "AnyProductGuidance"\n'
        'reason = "old"\nowner = "web"\nuntil = 2026-04-01\n'
    )
    assert added.tolerates("GET /all", ["1.1(a)"], tm.AnyProductGuidance, AFTER)
    assert added.add(violation, reason="old", owner="web", until=AFTER).rows == added.rows
    assert Path(baseline.path).read_text("utf-8") == text
    with_purpose = added.add(Violation("GET /one", ["1.1(a)"], "1.2(1)①"), reason="o", owner="w", until=AFTER)
    assert with_purpose.rows[-1].purpose is tm.RenewalGuidance
    assert (
        with_purpose.add(Violation("GET /no", ["1.1(a)"]), reason="o", owner="w", until=AFTER).rows[-1].purpose is None
    )

    with pytest.raises(NoticeError, match="reason: is empty"):
        added.add(Violation("GET /b", ["1.1(a)"]), reason=" ", owner="web", until=AFTER)
    assert "GET /b" not in Path(baseline.path).read_text("utf-8")


def test_a_baseline_begins_with_its_first_row(tmp_path: Path, notice: Notice) -> None:
    empty = Baseline(tmp_path / "privacy" / "baseline.toml", notice)
    assert len(empty.add(Violation("GET /", ["1.1(a)"]), reason="r", owner="o", until=LAST).rows) == 1


def test_all_faults_are_reported_with_their_places(refuse: Callable[..., list[str]]) -> None:
    row = 'entry_point = "GET /"\nsources = ["1.1(a)"]\nreason = "r"\nowner = "o"\nuntil = 2026-01-01\n'
    text = f"""\
tolerate = 1
[[tolerated]]
entry_point = " "
sources = []
reason = 1
until = 2026-01-01T00:00:00
[[tolerated]]
{row}purpose = "x"
[[tolerated]]
{row}[[tolerated]]
{row}unless = 1
[[tolerated]]
{row}"""
    assert refuse(Baseline, text) == [
        "1:1: tolerate: is no key here (help: did you mean `tolerated`?)",
        "2:3: tolerated[0]: needs `owner`",
        "3:1: tolerated[0].entry_point: is empty",
        "4:1: tolerated[0].sources: names no source",
        "5:1: tolerated[0].reason: must be a text in quotes",
        "6:1: tolerated[0].until: must be a date, such as 2026-01-31",
        "13:1: tolerated[1].purpose: unknown purpose `x`: notice trendmicro-jp (2024-04-01) has none of this id",
        (
            "26:1: tolerated[3].unless: is no key here (help: the keys are `entry_point`, `sources`, `purpose`, "
            "`reason`, `owner`, `until`)"
        ),
        "27:3: tolerated[4]: repeats the row of line 14 (help: remove one of the two)",
    ]
    assert refuse(Baseline, "tolerated = 1\n") == ["1:1: tolerated: must be a list"]
    assert refuse(Baseline, "tolerated = [1]\n") == ["1:14: tolerated[0]: must be a table"]
