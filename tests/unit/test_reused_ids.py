"""Ids that mean another term in a later revision: swapped, reused, renamed, split. Nothing moves to it unawares."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.policy import spec
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.diff import compare
from purposeguard.policy.table import PolicyTable
from tests.unit.command_line import run
from tests.unit.samples import SMALL, revised, tables

Tables = dict[str, Any]
Change = Callable[[Tables], object]

FIRST = pg.Notice.parse(tables())
LATER = "2025-01-01"
SINCE = FIRST.revision.isoformat()


def purpose(t: Tables, id_: str) -> Tables:
    return next(row for grant in t["grant"] for row in grant["purpose"] if row["id"] == id_)


RENEWAL, OFFERS = (row.id for row in FIRST.document.grant[0].purpose[:2])


def swap(t: Tables) -> None:
    """Two purposes change their numbers."""
    one, other = purpose(t, RENEWAL), purpose(t, OFFERS)
    for key in ("class", "title"):
        one[key], other[key] = other[key], one[key]


def reuse(t: Tables) -> None:
    """The number of a purpose that is gone is given to another one."""
    purpose(t, OFFERS).update({"class": "Profiling", "title": {"en": "Profiles of customers", "ja": "分析"}})


def reword(t: Tables) -> None:
    """A purpose has the same class, and says something else."""
    purpose(t, OFFERS)["title"] = {"en": "Offers of ours and of others", "ja": "当社と他社の案内"}


def split(t: Tables) -> None:
    """A purpose is said more narrowly, and another one takes what it said besides."""
    reword(t)
    t["grant"][0]["purpose"].append(
        {"id": "9.9", "class": "OtherOffers", "title": {"en": "Offers of others", "ja": "他社の案内"}}
    )


def publish(t: Tables) -> None:
    """The published words of a purpose differ, and its title does not."""
    purpose(t, OFFERS)["text"] = {"en": "We analyze what you buy."}


def reuse_source(t: Tables) -> None:
    """The number of a source is given to another one."""
    t["source"][0].update({"class": "Fingerprints", "title": {"en": "Fingerprints", "ja": "指紋"}})


def translate(t: Tables) -> None:
    """No language is left in which the words could be compared."""
    purpose(t, OFFERS)["title"] = {"de": "Angebote"}


PUBLISHED = revised(FIRST, lambda t: purpose(t, OFFERS).update(text={"en": "We send you offers."}))
CHANGES: list[tuple[pg.Notice, Change, list[tuple[str, str]]]] = [
    (FIRST, swap, [("purpose", RENEWAL), ("purpose", OFFERS)]),
    (FIRST, reuse, [("purpose", OFFERS)]),
    (FIRST, reword, [("purpose", OFFERS)]),
    (FIRST, split, [("purpose", OFFERS)]),
    (FIRST, translate, [("purpose", OFFERS)]),
    (PUBLISHED, publish, [("purpose", OFFERS)]),
    (FIRST, reuse_source, [("source", FIRST.document.source[0].id)]),
]
NAMES = [change.__name__ for _, change, _ in CHANGES]


@pytest.mark.parametrize(("before", "change", "changed"), CHANGES, ids=NAMES)
def test_an_id_that_may_mean_another_term_is_a_fault(
    before: pg.Notice, change: Change, changed: list[tuple[str, str]]
) -> None:
    after = revised(before, change, LATER)
    with pytest.raises(pg.NoticeError) as raised:
        pg.History(before, after)
    faults = raised.value.faults
    assert [fault.place for fault in faults] == ["revision of 2025-01-01"] * len(changed)
    for fault, (kind, id_) in zip(faults, changed, strict=True):
        assert f"the {kind} `{id_}`" in fault.message or f"of the {kind} `{id_}`" in fault.message
        confirmation = f'`[[unchanged]]` with `kind = "{kind}"`, `ids = ["{id_}"]` and `since = {SINCE}`'
        assert confirmation in str(fault.suggestion)
    guard = pg.Guard(before)
    with pytest.raises(pg.NoticeError):
        guard.replace(after)
    assert guard.notice is before
    with pytest.raises(pg.NoticeError):
        guard.replace(pg.History(after))  # which does not know the one before, and the guard does


@pytest.mark.parametrize(("before", "change", "changed"), CHANGES, ids=NAMES)
def test_a_history_of_drafts_compares_them_and_decides_nothing(
    before: pg.Notice, change: Change, changed: list[tuple[str, str]]
) -> None:
    """Its ids are unexplained: a comparison reports each as widened, and whatever decides refuses it."""
    drafts = pg.History.of_drafts(before, revised(before, change, LATER))
    reported = [row for row in compare(*drafts).changes if "unexplained" in row.kind]
    assert [(row["what"], row["id"]) for row in reported] == changed
    assert {(row.direction, row.needs) for row in reported} == {("widened", "consent")}
    guard = pg.Guard(before)
    other = revised(before, lambda t: t.update(id="other"))
    for decide in (
        lambda: pg.Guard(drafts),
        lambda: pg.Guard(pg.Notices(drafts, other)),
        lambda: guard.replace(drafts),
    ):
        with pytest.raises(pg.NoticeError, match="a history of drafts is for comparing revisions only"):
            decide()
    assert guard.notice is before


@pytest.mark.parametrize(("before", "change", "changed"), CHANGES, ids=NAMES)
def test_it_is_none_once_the_notice_says_that_it_is_the_same(
    before: pg.Notice, change: Change, changed: list[tuple[str, str]]
) -> None:
    def confirm(t: Tables) -> None:
        change(t)
        t["unchanged"] = [{"kind": kind, "ids": [id_], "since": SINCE} for kind, id_ in changed]

    after = revised(before, confirm, LATER)
    assert len(pg.History(before, after)) == 2
    assert not [change for change in compare(before, after).changes if "unexplained" in change.kind]
    # A row that is copied into the revision after that says nothing there.
    with pytest.raises(pg.NoticeError):
        pg.History(after, revised(after, lambda t: purpose(t, OFFERS).update({"class": "Anything"}), "2026-01-01"))


def by_consent(t: Tables) -> None:
    purpose(t, OFFERS)["basis"] = "consent"


def test_the_id_of_a_term_that_is_gone_may_be_given_to_another_one() -> None:
    def stated(t: Tables) -> None:
        reuse(t)
        t["renamed"] = [{"kind": "purpose", "old": OFFERS}]

    first = revised(FIRST, by_consent)
    after = revised(first, stated, LATER)
    history = pg.History(first, after)
    assert history.translate_clause("purpose", OFFERS, first, after) is None
    assert history.translate_clause("purpose", OFFERS, after, first) is None
    documents = [notice.document for notice in history]
    for day, expected in ((first.revision, False), (datetime.date(2024, 6, 1), False), (after.revision, True)):
        consents = frozenset({(OFFERS, day)})
        for known, notices in ((history, documents), (pg.History(after), documents[1:])):
            table = PolicyTable(after, history=known)
            label = table.resolve_label("1(a)")
            preferences, today = SubjectPreferences(consents=consents), datetime.date(2026, 1, 1)
            context = table.build_context(label, preferences, collected=None, ended=None, today=today)
            assert (after.purpose(OFFERS) in table.row_for(label, None, context)) is expected
            assert spec.is_allowed(notices, ["1(a)"], OFFERS, consents=consents, named=True) is expected
    kinds = {change.kind for change in compare(first, after).changes}
    assert {"reused", "removed", "added"} <= kinds
    assert not any("unexplained" in kind for kind in kinds)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"kind": "purpose", "ids": ["9.9"], "since": SINCE}], "unchanged[0].ids[0]: unknown purpose `9.9`"),
        ([{"kind": "purpose", "ids": [OFFERS], "since": LATER}], "unchanged[0].since: is not before 2025-01-01"),
        ([{"kind": "purpose", "ids": [OFFERS], "since": SINCE}] * 2, "a second time"),
        ([{"kind": "purpose", "ids": [RENEWAL], "since": SINCE}], "is in a `[[renamed]]` row as well"),
        ([{"kind": "purpose", "ids": [], "since": SINCE}], "unchanged[0].ids"),
        ([{"kind": "purpose", "ids": [OFFERS]}], "unchanged[0].since"),
    ],
)
def test_mistakes_in_confirmations(rows: list[Tables], told: str) -> None:
    def confirm(t: Tables) -> None:
        t["unchanged"] = rows
        t["renamed"] = [{"kind": "purpose", "old": "9.8", "new": RENEWAL}]

    with pytest.raises(pg.NoticeError) as raised:
        revised(FIRST, confirm, LATER)
    assert told in str(raised.value)


def test_an_id_that_is_gone_is_said_once() -> None:
    def twice(t: Tables) -> None:
        t["renamed"] = [{"kind": "purpose", "old": "9.8"}, {"kind": "purpose", "old": "9.8", "new": RENEWAL}]

    with pytest.raises(pg.NoticeError, match=r"renamed a second time [(]help: it is gone already[)]"):
        revised(FIRST, twice, LATER)


def test_diff_fails_on_it(tmp_path: Path) -> None:
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.write_text(SMALL, "utf-8")
    title = f'title = {{ en = "{purpose(tables(), OFFERS)["title"]["en"]}"'
    assert SMALL.count(title) == 1
    later = SMALL.replace("revision = 2024-01-01", f"revision = {LATER}")
    new.write_text(later.replace(title, 'title = { en = "Profiling"'), "utf-8")
    result = run("diff", old, new, "--fail-on", "widening", columns=200)
    assert result.exit_code == 1
    said = f"the words of purpose {OFFERS} are not those of the revision of {SINCE}: say which one it is"
    assert said in result.stdout
    japanese = run("--language", "ja", "diff", old, new, columns=200)
    assert f"利用目的 {OFFERS} の文言が {SINCE} 版と違います" in japanese.stdout
