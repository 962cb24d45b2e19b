"""Rule 9 where two clauses have each other's number since: a decision follows the clause, not its number."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import purposeguard as pg
from purposeguard.notice.vocabulary import Purpose, Source
from purposeguard.policy.context import Context, DenialReason, SubjectPreferences
from purposeguard.policy.table import PolicyTable
from tests.unit.samples import revised, tables

RENEWAL, OFFERS, STATISTICS = "3(1)①", "3(1)②", "4①"


def by_consent(t: dict[str, Any]) -> None:
    for purpose in t["grant"][0]["purpose"]:
        purpose["basis"] = "consent"


def purposes_swapped(t: dict[str, Any]) -> None:
    """Renewals and offers have each other's number."""
    renewal, offers = t["grant"][0]["purpose"]
    renewal["id"], offers["id"] = OFFERS, RENEWAL
    t["family"] = []
    t["renamed"] = [{"kind": "purpose", "old": old, "new": new} for old, new in ((RENEWAL, OFFERS), (OFFERS, RENEWAL))]


def sources_swapped(t: dict[str, Any]) -> None:
    """Accounts and usage have each other's number, and both serve renewals and offers."""
    numbers = {"1(a)": "1(b)", "1(b)": "1(a)"}
    for row in t["source"]:
        row["id"] = numbers.get(row["id"], row["id"])
    t["grant"][0]["sources"] = ["1(a)", "1(b)"]
    t["forbid"][0]["sources"] = ["1(a)"]
    t["overlay"][0]["source"] = "1(a)"
    t["renamed"] = [{"kind": "source", "old": old, "new": new} for old, new in numbers.items()]


def visits_renumbered(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def change(t: dict[str, Any]) -> None:
        next(row for row in t["source"] if row["id"] == old)["id"] = new
        t["grant"][2]["sources"] = t["derivation"][0]["from"] = [new]
        t["renamed"] = [{"kind": "source", "old": old, "new": new}]

    return change


def nothing_else(t: dict[str, Any]) -> None:
    t["renamed"] = []


FIRST = pg.Notice.parse(tables())
SWAPPED = revised(FIRST, sources_swapped, "2025-01-01")


def table(*notices: pg.Notice) -> PolicyTable:
    """The decisions of the last notice."""
    return PolicyTable(notices[-1], history=pg.History(*notices))


def bar(matrix: PolicyTable, source: type[Source], purpose: type[Purpose], context: Context) -> DenialReason | None:
    return matrix.find_denial_reason(source, purpose, None, context)


def test_consent_to_a_purpose_is_none_to_what_has_its_number_now() -> None:
    first = revised(FIRST, by_consent)
    later = revised(first, purposes_swapped, "2025-01-01")
    matrix, account = table(first, later), later.source("1(a)")
    renewal, offers = later.purpose("Renewal"), later.purpose("Offers")
    to_offers = Context(SubjectPreferences(consents=frozenset({(OFFERS, first.revision)})))
    assert bar(matrix, account, offers, to_offers) is None
    assert bar(matrix, account, renewal, to_offers) is DenialReason.CONSENT
    to_renewal = Context(SubjectPreferences(consents=frozenset({(OFFERS, later.revision)})))
    assert bar(matrix, account, offers, to_renewal) is DenialReason.CONSENT
    assert bar(matrix, account, renewal, to_renewal) is None


def test_a_stopped_purpose_stays_stopped_under_its_next_number() -> None:
    later = revised(FIRST, purposes_swapped, "2025-01-01")
    matrix, account = table(FIRST, later), later.source("1(a)")
    for stopped in (RENEWAL, OFFERS):  # the date of a stop is not known: it holds for all that had the number
        context = Context(SubjectPreferences(suspended=frozenset({stopped})))
        for purpose in ("Renewal", "Offers"):
            assert bar(matrix, account, later.purpose(purpose), context) is DenialReason.SUBJECT


def test_a_source_was_granted_what_its_clause_was_granted_then() -> None:
    matrix, context = table(FIRST, SWAPPED), Context(under=FIRST.revision)
    offers = SWAPPED.purpose("Offers")
    assert bar(matrix, SWAPPED.source("Account"), offers, context) is None
    assert bar(matrix, SWAPPED.source("Usage"), offers, context) is DenialReason.REVISION
    assert bar(matrix, SWAPPED.source("Usage"), offers, Context()) is None


def test_a_row_may_repeat_the_revision_of_its_class_though_no_history_has_it() -> None:
    before = revised(FIRST, nothing_else, "2023-01-01")
    matrix = PolicyTable(FIRST, PolicyTable(before), pg.History(FIRST))
    account, offers = before.source("1(a)"), FIRST.purpose(OFFERS)
    assert bar(matrix, account, offers, Context()) is None
    assert bar(matrix, account, offers, Context(under=before.revision)) is None


def test_a_class_of_a_revision_is_its_own_on_a_day_of_that_revision() -> None:
    third = revised(SWAPPED, nothing_else, "2026-01-01")
    history = pg.History(FIRST, SWAPPED, third)
    day = datetime.date(2025, 6, 1)
    for notice in (SWAPPED, third):
        assert history.label(notice.source("Account"), collected=day) is pg.Label(SWAPPED.source("Account"))


def test_numbers_that_change_twice_are_followed_in_order() -> None:
    second = revised(FIRST, visits_renumbered("2", "8"), "2025-01-01")
    third = revised(second, visits_renumbered("8", "9"), "2026-01-01")
    history = pg.History(FIRST, second, third)
    assert history.translate_clause("source", "2", FIRST, third) == "9"
    assert history.translate_clause("source", "9", third, FIRST) == "2"
