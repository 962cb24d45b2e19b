"""Ways to get, from a guard over several notices, a use that one of them alone refuses: each is refused."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notice.vocabulary import TermMeta
from purposeguard.policy.context import SubjectPreferences
from tests.oversights import Told
from tests.unit.conditions import tables
from tests.unit.samples import revised
from tests.unit.together import EU, JP, both, day, one, term

USAGE, EU_USAGE, EU_ACCOUNT = term(JP, "Usage"), term(EU, "Usage"), term(EU, "Account")
RENEWAL = term(JP, "Renewal") | term(EU, "Renewal")


def test_a_purpose_of_the_same_id_in_the_other_notice() -> None:
    """`3(1)①` of one notice lets usage be used; the other's does not, whatever it is asked by."""
    guard = pg.Guard(both())
    assert guard.allows(EU_USAGE, "shop-eu:3(1)①")
    asked: list[Any] = ["shop-eu:3(1)①", term(EU, "Renewal"), RENEWAL, "AnyRenewal", "any-renewal", "shop-eu:renewal"]
    for purpose in asked:
        assert not guard.allows(USAGE, purpose)
        assert not guard.allows([USAGE, EU_USAGE], purpose)
        assert not guard.allows("shop-jp:1(b)", purpose)


def test_a_union_of_more_purposes_of_one_notice() -> None:
    """Rule 3: a union would let data that may serve one of its purposes be used for the others."""
    wide = RENEWAL | term(JP, "Service")
    guard = pg.Guard(both())
    for union in (wide, term(JP, "Service") | term(EU, "Renewal"), RENEWAL | term(one("shop-uk"), "Renewal")):
        with pytest.raises(pg.UnknownPurpose):
            guard.allows(USAGE, union)
    forged = pg.Family("AnyRenewal", "any-renewal", {"en": "x"}, (term(JP, "Service"), term(EU, "Renewal")))
    with pytest.raises(pg.UnknownPurpose):
        guard.allows(USAGE, forged)


def test_a_class_that_claims_both_notices() -> None:
    facts = {"clause": "1(b)", "slug": "usage", "title": {"en": "x", "ja": "x"}}
    forged: Any = TermMeta("Usage", (USAGE, EU_USAGE), facts)
    guard = pg.Guard(both())
    with pytest.raises(pg.UnknownSource):
        guard.allows(forged, "AnyRenewal")
    with pytest.raises(pg.UnknownSource):
        guard.allows([EU_USAGE, forged], "AnyRenewal")


def test_one_module_under_two_notices() -> None:
    """The classes are of a revision that is not in force."""
    classes = {each.__name__: each for each in (*JP.sources, *JP.purposes)}
    twin = pg.Notice.parse(JP.dump() | {"id": "shop-uk"}, classes=classes)
    later = revised(twin, lambda t: None, "2025-01-01")
    with pytest.raises(pg.NoticeError, match="generate a module for each notice"):
        pg.Guard(pg.Notices(JP, pg.History(twin, later)), clock=lambda: day("2025-06-01"))


def test_a_consent_or_a_revision_of_the_other_notice() -> None:
    """The other notice was revised since, which gives neither consent nor notice for this one."""

    def extend(t: dict[str, Any]) -> None:
        t["grant"][0].update(sources=["1(a)", "1(b)"])
        t["extension"] = [{"purposes": ["3(1)②"], "basis": "consent"}]

    now = revised(JP, extend, "2024-03-01")
    other = pg.History(EU, revised(EU, lambda t: None, "2025-01-01"))
    preferences = {
        "7": SubjectPreferences(consents=frozenset({("shop-eu:3(1)②", datetime.date(2025, 1, 1))})),
        "8": SubjectPreferences(consents=frozenset({("shop-jp:3(1)②", datetime.date(2024, 1, 1))})),
        "9": SubjectPreferences(consents=frozenset({("shop-jp:3(1)②", datetime.date(2024, 3, 1))})),
    }
    guard = pg.Guard(
        pg.Notices(pg.History(JP, now), other), governance=Told(preferences), clock=lambda: day("2025-06-01")
    )
    usage, offers = term(now, "Usage"), term(now, "Offers")
    before = [pg.RowContext(each, collected=datetime.date(2024, 2, 1)) for each in (7, 8, 9)]
    assert [guard.allows(usage, offers, subject=each) for each in before] == [False, False, True]


@pytest.mark.parametrize(
    "stated",
    [
        ["there:adult"], ["adult"], ["here:here:adult"], ["there:here:adult"], ["here", "adult"], "here:adult",
        [("here", "adult")],
    ],
)  # fmt: skip
def test_a_condition_that_only_the_other_notice_is_told_of(stated: Any) -> None:
    here, there = (pg.Notice.parse(tables(id=id_)) for id_ in ("here", "there"))
    guard = pg.Guard(pg.Notices(here, there, families={"AnyWine": term(here, "Wine") | term(there, "Wine")}))
    for purpose in (term(here, "Wine"), "AnyWine"):
        with pytest.raises((pg.ConditionViolation, pg.UnknownCondition, TypeError)):
            guard.check(term(here, "Usage"), purpose, conditions=stated)
        with (
            pytest.raises((pg.ConditionViolation, pg.UnknownCondition, TypeError)),
            guard.purpose(purpose, conditions=stated) as use,
        ):
            use.check(term(here, "Usage"))
