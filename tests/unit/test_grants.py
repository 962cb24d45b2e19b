"""What a notice file says of legal bases, of days, and of earlier revisions: what is read, and what is refused."""

from __future__ import annotations

import sys
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notice import timezones as zones
from purposeguard.notice.bases import summarize_bases
from purposeguard.notice.grants import compute_extensions
from purposeguard.notice.schema import Document
from tests.unit.samples import RETENTION, changed, faults_of, numbered, tables

RELATED = {"purposes": ["3(2)①"], "basis": "related", "notified": date(2023, 12, 1)}
CONSENT = {"purposes": ["3(2)①"], "basis": "consent"}
RIGHTS = {
    "clause": "7",
    "requesters": ["subject"],
    "request": [{"id": "erasure", "title": {"en": "x", "ja": "x"}, "effect": "deletes"}],
}


def document(change: Callable[[dict[str, Any]], object]) -> Document:
    return pg.Notice.parse(changed(change)).document


def extending(*rows: dict[str, Any], more: Callable[[dict[str, Any]], object] = lambda t: None) -> dict[str, Any]:
    def change(t: dict[str, Any]) -> None:
        t["extension"] = list(rows)
        more(t)

    return changed(change)


def pairs(*rows: dict[str, Any], more: Callable[[dict[str, Any]], object] = lambda t: None) -> dict[Any, str]:
    """What is extended, and on which basis."""
    found = compute_extensions(pg.Notice.parse(extending(*rows, more=more)).document)
    return {pair: row.basis for pair, row in found.items()}


def test_a_purpose_has_the_basis_of_its_grant_unless_it_states_its_own() -> None:
    def change(t: dict[str, Any]) -> None:
        t["grant"][0]["basis"] = "contract"
        t["grant"][0]["purpose"][1]["basis"] = "consent"
        t["grant"][1]["purpose"][0]["basis"] = "law"

    assert summarize_bases(document(change)) == {
        "3(1)①": "contract", "3(1)②": "consent", "3(2)①": "law", "3(2)②": None, "4①": None, "4②": None,
    }  # fmt: skip


def test_a_notice_that_states_none_of_this_is_as_it_was() -> None:
    made = pg.Notice.parse(tables()).document
    assert (made.timezone, made.extension, made.renamed) == ("UTC", (), ())
    assert set(summarize_bases(made).values()) == {None}
    assert compute_extensions(made) == {}


def test_every_key_is_read_and_dumped() -> None:
    def change(t: dict[str, Any]) -> None:
        t["timezone"] = "Asia/Tokyo"
        t["grant"][0]["basis"] = "legitimate-interest"
        t["extension"] = [{**RELATED, "sources": ["1(a)"]}, {**CONSENT, "purposes": ["3(1)①"]}]
        t["renamed"] = [{"kind": "source", "old": "9", "new": "2"}, {"kind": "purpose", "old": "2", "new": "4①"}]
        t["rights"] = {**RIGHTS, "days": 14}
        t["retention"] = {
            **RETENTION,
            "period": [{"source": "2", "days": 30, "from": "collection"}, {"source": "2", "days": 9}],
        }

    notice = pg.Notice.parse(changed(change))
    assert pg.Notice.parse(notice.dump()) == notice
    assert notice.document.rights is not None
    assert notice.document.rights.days == 14
    assert notice.document.retention is not None
    assert [row.from_ for row in notice.document.retention.period] == ["collection", "end-of-use"]
    assert notice.dump()["retention"]["period"][0] == {"source": "2", "days": 30, "from": "collection"}
    assert notice.document.extension[0].notified == date(2023, 12, 1)


def test_without_sources_all_that_may_serve_the_purpose_is_extended() -> None:
    # 1 is the parent of 1(a) and 1(b); the overlay narrows 1(b).
    assert pairs(CONSENT) == dict.fromkeys(
        [("1(a)", "3(2)①"), ("1(b)", "3(2)①"), ("1", "3(2)①"), ("1(b) router", "3(2)①")], "consent"
    )
    # A derivation is a source too, and a prohibition takes its part away.
    assert pairs({**CONSENT, "purposes": ["4①"]}) == {("2", "4①"): "consent", ("5", "4①"): "consent"}
    assert pairs({**CONSENT, "purposes": ["3(2)②"]}) == {("1(a)", "3(2)②"): "consent"}


def test_a_parent_means_its_items_and_overlays_go_with_what_they_narrow() -> None:
    assert pairs({**RELATED, "sources": ["1"]}) == dict.fromkeys(
        [("1(a)", "3(2)①"), ("1(b)", "3(2)①"), ("1", "3(2)①"), ("1(b) router", "3(2)①")], "related"
    )
    assert pairs({**RELATED, "sources": ["Usage"]}) == dict.fromkeys(
        [("1(b)", "3(2)①"), ("1(b) router", "3(2)①")], "related"
    )

    def narrow(t: dict[str, Any]) -> None:
        t["overlay"][0]["serves"] = []

    assert pairs({**RELATED, "sources": ["1(b)"]}, more=narrow) == {("1(b)", "3(2)①"): "related"}


def test_a_derivation_is_named_itself() -> None:
    assert pairs({**CONSENT, "purposes": ["4①"], "sources": ["2"]}) == {("2", "4①"): "consent"}
    assert pairs({**CONSENT, "purposes": ["4①"], "sources": ["LinkedVisit"]}) == {("5", "4①"): "consent"}


def test_a_family_means_the_members_that_the_source_may_serve() -> None:
    assert pairs({**CONSENT, "purposes": ["any-advice"]}) == {("1(a)", "3(1)①"): "consent", ("2", "4②"): "consent"}
    assert pairs({**CONSENT, "purposes": ["AnyAdvice"], "sources": ["2"]}) == {("2", "4②"): "consent"}


def test_of_a_parent_whose_items_are_extended_apart_one_that_asks_for_consent_stands_for_all() -> None:
    apart = pairs({**RELATED, "sources": ["1(a)"]}, {**CONSENT, "sources": ["1(b)"]})
    assert apart == {
        ("1(a)", "3(2)①"): "related",
        ("1(b)", "3(2)①"): "consent",
        ("1(b) router", "3(2)①"): "consent",
        ("1", "3(2)①"): "consent",
    }
    assert ("1", "3(2)①") not in pairs({**RELATED, "sources": ["1(a)"]})


@pytest.mark.parametrize(
    ("change", "place", "words"),
    numbered([
        (lambda t: t["grant"][0].update(basis="habit"), "grant[0].basis", ("consent",)),
        (lambda t: t["grant"][0]["purpose"][0].update(basis="habit"), "grant[0].purpose[0].basis", ("consent",)),
        (lambda t: t.update(extension=[{**CONSENT, "basis": "habit"}]), "extension[0].basis", ("related",)),
        (lambda t: t.update(extension=[{**CONSENT, "purposes": []}]), "extension[0].purposes", ("1 entry",)),
        (lambda t: t.update(extension=[{**CONSENT, "sources": []}]), "extension[0].sources", ("1 entry",)),
        (lambda t: t.update(extension=[{**CONSENT, "notified": "soon"}]), "extension[0].notified", ("date",)),
        (lambda t: t.update(extension=[{**CONSENT, "purposes": ["7"]}]), "extension[0].purposes[0]",
         ("unknown purpose or family `7`",)),
        (lambda t: t.update(extension=[{**CONSENT, "sources": ["7"]}]), "extension[0].sources[0]",
         ("unknown source `7`",)),
        (lambda t: t.update(extension=[{**CONSENT, "sources": ["1(a)", "1A"]}]), "extension[0].sources[1]",
         ("a second time",)),
        # what no grant gives
        (lambda t: t.update(extension=[{**CONSENT, "purposes": ["4①"], "sources": ["1(a)"]}]),
         "extension[0].purposes", ("no grant lets `1(a)` serve `4①`",)),
        (lambda t: t.update(extension=[{**CONSENT, "purposes": ["AnyAdvice", "4①"], "sources": ["1(b)", "2"]}]),
         "extension[0].purposes", ("no grant lets `1(b)` serve `AnyAdvice`, or `1(b)` serve `4①`",)),
        (lambda t: t.update(extension=[{**CONSENT, "purposes": ["3(1)①"], "sources": ["1"]}]),
         "extension[0].purposes", ("no grant lets `1` serve `3(1)①`",)),
        (lambda t: (t["forbid"].append({**t["forbid"][0], "sources": ["1(a)", "2"], "purposes": ["AnyAdvice"]}),
                    t.update(extension=[{**CONSENT, "purposes": ["AnyAdvice"]}])),
         "extension[0].purposes", ("no grant lets anything serve `AnyAdvice`",)),
        (lambda t: t.update(extension=[{**CONSENT, "sources": ["router-usage"]}]), "extension[0].sources",
         ("`1(b) router` is an overlay",)),
        (lambda t: t.update(extension=[CONSENT, {**RELATED, "sources": ["1"]}]), "extension[1].purposes",
         ("extends data of `1(a)` to `3(2)①` a second time",)),
        # notice given
        (lambda t: t.update(extension=[{**CONSENT, "basis": "related"}]), "extension[0].notified", ("is missing",)),
        (lambda t: t.update(extension=[{**RELATED, "notified": date(2024, 1, 2)}]), "extension[0].notified",
         ("later than 2024-01-01",)),
        # renamings
        (lambda t: t.update(renamed=[{"kind": "family", "old": "3", "new": "AnyAdvice"}]), "renamed[0].kind",
         ("source",)),
        (lambda t: t.update(renamed=[{"kind": "source", "old": "9", "new": "4①"}]), "renamed[0].new",
         ("unknown source `4①`",)),
        (lambda t: t.update(renamed=[{"kind": "purpose", "old": "9", "new": "1(a)"}]), "renamed[0].new",
         ("unknown purpose `1(a)`",)),
        (lambda t: t.update(renamed=[{"kind": "purpose", "old": "4 (1)", "new": "4①"}]), "renamed[0].old",
         ("is the id that the purpose has now",)),
        (lambda t: t.update(renamed=[{"kind": "source", "old": "9", "new": "1(a)"},
                                     {"kind": "source", "old": "9", "new": "2"}]), "renamed[1].old",
         ("`9` is renamed a second time",)),
        (lambda t: t.update(renamed=[{"kind": "source", "old": "9", "new": "2"},
                                     {"kind": "source", "old": "8", "new": "Visit"}]), "renamed[1].new",
         ("`2` has another old id already",)),
        # periods and days
        (lambda t: t.update(retention={**RETENTION, "period": [{"source": "2", "days": 3, "from": "birth"}]}),
         "retention.period[0].from", ("collection",)),
        (lambda t: t.update(rights={**RIGHTS, "days": 0}), "rights.days", ("greater than 0",)),
        (lambda t: t.update(timezone=""), "timezone", ("is empty",)),
        (lambda t: t.update(timezone=9), "timezone", ("text",)),
    ]),
)  # fmt: skip
def test_a_fault_has_its_place(change: Callable[[dict[str, Any]], object], place: str, words: tuple[str, ...]) -> None:
    found = faults_of(changed(change))
    assert list(found) == [place]
    for word in words:
        assert word in found[place].message


def test_an_overlay_in_an_extension_is_told_what_to_name() -> None:
    fault = faults_of(extending({**CONSENT, "sources": ["1(b) router"]}))["extension[0].sources"]
    assert fault.suggestion == "name `1(b)`"


def test_two_purposes_may_have_shifted() -> None:
    shifted = [{"kind": "purpose", "old": "4①", "new": "4②"}, {"kind": "source", "old": "4①", "new": "2"}]
    assert [row.new for row in document(lambda t: t.update(renamed=shifted)).renamed] == ["4②", "2"]


def test_rows_at_fault_are_looked_into_all_the_same() -> None:
    def spoil(t: dict[str, Any]) -> None:
        t["revision"] = "soon"
        t["extension"] = [
            {"purposes": ["7"], "basis": "habit"},
            {**RELATED, "sources": [], "purposes": ["8"]},
            {**RELATED, "notified": date(2999, 1, 1)},  # whether that is too late cannot be told
        ]
        t["renamed"] = [{"kind": "family", "old": "1", "new": "2"}, {"kind": "source", "old": "1", "new": "7"}]
        t["timezone"] = "Nowhere"

    assert list(faults_of(changed(spoil))) == [
        "revision", "timezone", "extension[0].purposes[0]", "extension[0].basis", "extension[1].purposes[0]",
        "extension[1].sources", "renamed[0].kind", "renamed[1].new",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Asia/Tokio", "did you mean `Asia/Tokyo`"),
        ("Berlin", "did you mean `Europe/Berlin`"),
        ("xyzzy" * 9, "e.g. `Europe/Berlin`"),
        ("../etc/passwd", ""),
        ("a\0b", ""),
    ],
)
def test_an_unknown_time_zone_is_a_fault_with_the_nearest(name: str, near: str) -> None:
    (fault,) = faults_of(changed(lambda t: t.update(timezone=name))).values()
    assert fault.place == "timezone"
    if "\0" not in name:
        assert fault.message == f"unknown time zone `{name}`"
        assert near in (fault.suggestion or "")
        with pytest.raises(pg.NoticeError, match="unknown time zone"):
            zones.load_zone(name)


def test_a_time_zone_tells_the_day_of_a_moment() -> None:
    moment = datetime(2024, 3, 31, 16, 0, tzinfo=UTC)
    assert moment.astimezone(zones.load_zone("Asia/Tokyo")).date() == date(2024, 4, 1)
    assert moment.astimezone(zones.load_zone("UTC")).date() == date(2024, 3, 31)


@pytest.fixture
def no_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without a database of time zones."""
    # With its parts: one that was looked into before is found by itself.
    for name in {"tzdata", *(one for one in sys.modules if one.partition(".")[0] == "tzdata")}:
        monkeypatch.setitem(sys.modules, name, None)
    zoneinfo.reset_tzpath(to=[])
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.usefixtures("no_database")
def test_without_a_database_a_time_zone_is_missed_only_when_it_is_needed() -> None:
    assert document(lambda t: t.update(timezone="Asia/Tokyo")).timezone == "Asia/Tokyo"
    assert zones.load_zone("UTC") is UTC
    with pytest.raises(pg.NoticeError) as caught:
        zones.load_zone("Asia/Tokyo")
    assert caught.value.faults[0].suggestion == "pip install tzdata"
