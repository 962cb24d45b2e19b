"""The executable specification of rule 9 and clauses 7 and 8, case by case as the reading has them."""

from __future__ import annotations

from datetime import date
from typing import Any

import purposeguard as pg
from purposeguard.notice.schema import Document
from purposeguard.policy.spec import allowed
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
NARROW = revision(SECOND, sources={"3(1)": ["2"]})
WIDE = revision(SECOND, sources={"4": ["1", "2"]})


def extending(basis: str, **row: Any) -> Document:
    given = {"purposes": [STATISTICS], "basis": basis, "notified": SECOND, **row}
    return revision(SECOND, sources={"4": ["1", "2"]}, extension=[given])


def test_without_circumstances_it_is_what_the_notice_in_force_grants() -> None:
    assert allowed([OLD], ["1(a)"], OFFERS)
    assert not allowed([OLD], ["1(b)"], OFFERS)
    assert not allowed([OLD], ["1(a)", "1(b)"], OFFERS)
    assert allowed([OLD], ["1(a)"], RENEWAL, "email")
    assert not allowed([OLD], ["1(a)"], RENEWAL, "phone")
    assert allowed([OLD], ["1(a)", "2"], "AnyAdvice")
    assert not allowed([OLD], ["1(b)", "2"], "AnyAdvice")
    assert not allowed([OLD], [], OFFERS)


def test_earlier_data_serves_what_both_revisions_grant() -> None:
    assert allowed([OLD, WIDE], ["1(a)"], OFFERS, collected_under=FIRST)
    assert allowed([OLD, WIDE], ["1(a)"], STATISTICS)
    assert allowed([OLD, WIDE], ["1(a)"], STATISTICS, collected_under=SECOND)
    assert not allowed([OLD, WIDE], ["1(a)"], STATISTICS, collected_under=FIRST)


def test_a_narrower_revision_binds_earlier_data_too() -> None:
    assert not allowed([OLD, NARROW], ["1(a)"], OFFERS, collected_under=FIRST)


def test_of_a_revision_that_is_not_known_nothing_is_known_to_be_granted() -> None:
    assert not allowed([OLD, WIDE], ["1(a)"], OFFERS, collected_under=THIRD)


def test_an_activity_states_its_channel_where_its_purpose_or_the_revision_of_the_data_names_them() -> None:
    """Rule 7, and 9: renewals reach people by e-mail alone in the one revision, and by any channel in the other."""
    by_any = pg.Notice.parse(changed(lambda t: t["grant"][0]["purpose"][0].pop("channels"))).document
    opened = by_any.model_copy(update={"revision": SECOND})
    for notices, under in (([OLD], None), ([OLD, opened], FIRST)):
        for purpose in (RENEWAL, "AnyAdvice"):
            asked = notices, ["1(a)"], purpose
            assert allowed(*asked, collected_under=under)
            assert allowed(*asked, "email", collected_under=under, activity=True)
            assert not allowed(*asked, collected_under=under, activity=True)
    assert allowed([OLD, opened], ["1(a)"], RENEWAL, activity=True)
    assert allowed([by_any], ["1(a)"], RENEWAL, activity=True)


def test_the_earlier_revision_grants_by_its_own_channels_and_sources() -> None:
    def closed(t: dict[str, Any]) -> None:
        t["grant"][0]["purpose"][1]["channels"] = {"closed": ["phone"]}

    strict = pg.Notice.parse(changed(closed)).document
    later = revision(SECOND)
    assert allowed([strict, later], ["1(a)"], OFFERS, "phone", collected_under=FIRST)
    assert not allowed([strict, later], ["1(a)"], OFFERS, "email", collected_under=FIRST)
    without = revision(without=["overlay"])
    assert not allowed([without, later], ["1(b) router"], SERVICE, collected_under=FIRST)
    assert allowed([without, later], ["1(b)"], SERVICE, collected_under=FIRST)


def test_what_is_related_reaches_earlier_data() -> None:
    for notices in ([OLD, extending("related")], [OLD, extending("related", sources=["1"])]):
        for source in ("1", "1(a)", "1(b)"):
            assert allowed(notices, [source], STATISTICS, collected_under=FIRST)
    some = [OLD, extending("related", sources=["1(a)"])]
    assert allowed(some, ["1(a)"], STATISTICS, collected_under=FIRST)
    assert not allowed(some, ["1(b)"], STATISTICS, collected_under=FIRST)
    assert not allowed(some, ["1"], STATISTICS, collected_under=FIRST)
    assert not allowed(some, ["1(a)"], ADVICE, collected_under=FIRST)


def test_an_overlay_goes_with_what_it_narrows() -> None:
    def narrowed(t: dict[str, Any]) -> None:
        t["revision"] = SECOND
        t["overlay"][0]["serves"] = [SERVICE]
        t["extension"] = [{"purposes": [SERVICE], "basis": "consent", "sources": ["1(b)"]}]

    notices = [revision(without=["overlay"]), pg.Notice.parse(changed(narrowed)).document]
    since, before = [(SERVICE, SECOND)], [(SERVICE, FIRST)]
    assert allowed(notices, ["1(b) router"], SERVICE, collected_under=FIRST, consents=since)
    assert not allowed(notices, ["1(b) router"], SERVICE, collected_under=FIRST, consents=before)


def test_with_consent_it_reaches_the_data_of_those_who_agreed_since() -> None:
    notices = [OLD, extending("consent")]
    assert not allowed(notices, ["1(a)"], STATISTICS, collected_under=FIRST)
    assert not allowed(notices, ["1(a)"], STATISTICS, collected_under=FIRST, consents=[(STATISTICS, FIRST)])
    assert not allowed(notices, ["1(a)"], STATISTICS, collected_under=FIRST, consents=[(OFFERS, SECOND)])
    assert allowed(notices, ["1(a)"], STATISTICS, collected_under=FIRST, consents=[(STATISTICS, SECOND)])


def test_a_revision_that_is_put_back_in_force_extends_nothing() -> None:
    back = revision(FIRST, extension=[{"purposes": [OFFERS], "basis": "related", "notified": FIRST}])
    assert not allowed([NARROW, back], ["1(a)"], OFFERS, collected_under=SECOND)
    assert allowed([NARROW, back], ["1(a)"], SERVICE, collected_under=SECOND)


def test_what_rests_on_consent_serves_those_who_gave_it() -> None:
    asks = revision(SECOND, basis={OFFERS: "consent"})
    for consents, expected in (([], False), ([(SERVICE, SECOND)], False), ([(OFFERS, FIRST)], True)):
        assert allowed([asks], ["1(a)"], OFFERS, consents=consents) is expected
        # Data collected under an earlier revision that asked for none needs it now.
        assert allowed([OLD, asks], ["1(a)"], OFFERS, collected_under=FIRST, consents=consents) is expected
        # And the other way round: what was collected for those who agree goes on to need it.
        asked = revision(FIRST, basis={OFFERS: "consent"})
        now = revision(SECOND)
        assert allowed([asked, now], ["1(a)"], OFFERS, collected_under=FIRST, consents=consents) is expected
        assert allowed([asked, now], ["1(a)"], OFFERS, consents=consents)


def test_a_suspension_is_heeded() -> None:
    assert not allowed([OLD], ["1(a)"], OFFERS, suspended=[OFFERS])
    assert allowed([OLD], ["1(a)"], OFFERS, suspended=[SERVICE])
    assert not allowed([OLD], ["1(a)"], OFFERS, stopped=True)
    # Of a family, the members that are left.
    assert not allowed([OLD], ["1(a)", "2"], "AnyAdvice", suspended=[ADVICE])
    assert allowed([OLD], ["1(a)"], "AnyAdvice", suspended=[ADVICE])


def test_past_its_period_data_serves_what_rests_on_law() -> None:
    notice = revision(basis={BILLING: "law"})
    assert allowed([notice], ["1(a)"], BILLING, overdue=["1(a)"])
    assert not allowed([notice], ["1(a)"], SERVICE, overdue=["1(a)"])
    assert allowed([notice], ["1(a)"], SERVICE, overdue=["1(b)"])
    assert not allowed([notice], ["1(a)", "1(b)"], SERVICE, overdue=["1(b)"])
    assert not allowed([notice], ["1(a)"], BILLING, overdue=["1(a)"], stopped=True)


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
