"""The executable specification of rule 9 and clauses 7 and 8, case by case as the reading has them."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notice.schema import Document
from purposeguard.policy.spec import allowed, permits
from tests.unit.samples import changed

FIRST, SECOND, THIRD = date(2024, 1, 1), date(2025, 1, 1), date(2026, 1, 1)
RENEWAL, OFFERS, SERVICE, BILLING, STATISTICS, ADVICE = "3(1)①", "3(1)②", "3(2)①", "3(2)②", "4①", "4②"


def revision(day: date = FIRST, **of: Any) -> Document:
    """The small notice in another revision: `sources` by clause of a grant, `basis` by purpose, `extension`."""

    def change(t: dict[str, Any]) -> None:
        t["revision"] = day
        for grant in t["grant"]:
            grant["sources"] = of.get("sources", {}).get(grant["clause"], grant["sources"])
            for row in grant["purpose"]:
                if row["id"] in of.get("basis", {}):
                    row["basis"] = of["basis"][row["id"]]
        t["extension"] = of.get("extension", [])
        for key in of.get("without", ()):
            del t[key]

    return pg.Notice.parse(changed(change)).document


OLD = revision()


def test_an_empty_label_and_unknown_ids_are_refused() -> None:
    with pytest.raises(pg.UnlabelledData):
        permits(OLD, set(), SERVICE)
    with pytest.raises(KeyError):
        permits(OLD, {"9"}, SERVICE)


def renumbered(*rows: dict[str, str], **of: Any) -> Document:
    """A later revision in which purposes have other ids: OFFERS is `3(9)`, as its row says."""

    def change(t: dict[str, Any]) -> None:
        t["revision"] = SECOND
        t["grant"][0]["purpose"][1] |= {"id": "3(9)", **of}
        t["renamed"] = [{"kind": "purpose", "old": OFFERS, "new": "3(9)"}, *rows]

    return pg.Notice.parse(changed(change)).document


def test_a_purpose_that_was_renamed_is_the_same_purpose() -> None:
    later = renumbered()
    assert allowed([OLD, later], ["1(a)"], "3(9)", collected_under=FIRST)
    silent = later.model_copy(update={"renamed": ()})
    assert not allowed([OLD, silent], ["1(a)"], "3(9)", collected_under=FIRST)


def test_consents_and_suspensions_move_with_the_purpose() -> None:
    asks = renumbered(basis="consent")
    for consents, expected in (([(OFFERS, FIRST)], True), ([("3(9)", SECOND)], True), ([(OFFERS, SECOND)], False)):
        assert allowed([OLD, asks], ["1(a)"], "3(9)", consents=consents) is expected
    later = renumbered()
    assert not allowed([OLD, later], ["1(a)"], "3(9)", suspended=[OFFERS])
    assert not allowed([OLD, later], ["1(a)"], "3(9)", suspended=["3(9)"])
    assert allowed([OLD, later], ["1(a)"], "3(9)", suspended=[SERVICE])


def test_a_number_that_was_given_away_means_another_purpose() -> None:
    """OFFERS is `3(9)` now, and what has its number is new."""

    def change(t: dict[str, Any]) -> None:
        t["revision"] = SECOND
        moved = {**t["grant"][0]["purpose"][1], "id": "3(9)", "class": "Offered"}
        t["grant"][0]["purpose"].append(moved)
        t["grant"][0]["purpose"][1] |= {"class": "Lottery", "basis": "consent"}
        t["renamed"] = [{"kind": "purpose", "old": OFFERS, "new": "3(9)"}]

    notices = [OLD, pg.Notice.parse(changed(change)).document]
    assert allowed(notices, ["1(a)"], "3(9)", collected_under=FIRST)
    everything = [(OFFERS, FIRST), (OFFERS, SECOND)]
    assert not allowed(notices, ["1(a)"], OFFERS, collected_under=FIRST, consents=everything)
    assert allowed(notices, ["1(a)"], OFFERS, consents=everything)
    assert not allowed(notices, ["1(a)"], OFFERS, consents=everything[:1])


def test_a_source_that_was_renamed_is_the_same_source() -> None:
    def change(t: dict[str, Any]) -> None:
        t["revision"] = SECOND
        t["source"][3]["id"] = "8"
        t["grant"][2]["sources"] = t["derivation"][0]["from"] = ["8"]
        t["renamed"] = [{"kind": "source", "old": "2", "new": "8"}]

    notices = [OLD, pg.Notice.parse(changed(change)).document]
    assert allowed(notices, ["8"], STATISTICS, collected_under=FIRST)
    # And back, where the earlier revision is in force again.
    assert allowed(notices[::-1], ["2"], STATISTICS, collected_under=SECOND)
