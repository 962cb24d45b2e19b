"""Governance over several notices: what subjects declare, and what is on record, says of which notice it is."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.errors import SeveralNotices
from purposeguard.governance import Governance, Store
from purposeguard.governance.ledger import SqlLedger
from tests.unit.samples import revised
from tests.unit.test_conditions import tables
from tests.unit.test_several import recipient
from tests.unit.together import EU, JP, both, day, term

NOW = day("2025-06-01")
JP_ACCOUNT, EU_ACCOUNT = term(JP, "Account"), term(EU, "Account")
JP_SERVICE, EU_SERVICE = term(JP, "Service"), term(EU, "Service")
VISIT, STATISTICS = term(EU, "Visit"), term(EU, "Statistics")


def opened(store: Store, notices: Any = None) -> tuple[Governance, pg.Guard]:
    notices = both() if notices is None else notices
    governance = Governance(store, notice=notices, clock=lambda: NOW)
    return governance, pg.Guard(notices, governance=governance, clock=lambda: NOW)


def test_what_is_declared_for_one_notice_holds_for_that(store: Store) -> None:
    governance, guard = opened(store)
    with governance:
        restriction = governance.restrict(7, JP_SERVICE)
        assert (restriction.purposes, restriction.revision) == (("shop-jp:3(2)①",), JP.revision)
        assert not guard.allows(JP_ACCOUNT, JP_SERVICE, subject=7)
        assert guard.allows(EU_ACCOUNT, EU_SERVICE, subject=7)
        governance.lift(restriction)
        assert guard.allows(JP_ACCOUNT, JP_SERVICE, subject=7)
        (consent,) = governance.consent(8, "shop-eu:Statistics")
        assert (consent.purpose, consent.revision) == ("shop-eu:4①", EU.revision)
        assert guard.allows(VISIT, STATISTICS, subject=8)
        governance.withdraw(8, STATISTICS)
        assert not guard.allows(VISIT, STATISTICS, subject=8)
        with pytest.raises(pg.UnknownPurpose, match="more than one notice has it"):
            governance.consent(8, "Statistics")
        with pytest.raises(ValueError, match="of shop-eu and shop-jp: declare it for those of each by itself"):
            governance.restrict(7, "AnyRenewal")
        assert len(governance.consent(8, "AnyRenewal")) == 2
        assert governance.restrict(9).revision == max(JP.revision, EU.revision)
        assert not guard.allows([JP_ACCOUNT, EU_ACCOUNT], "AnyRenewal", subject=9)


def test_what_was_declared_under_one_notice_before(store: Store) -> None:
    """Restrictions go on to hold, for every notice that has such an id; no consent is taken for another notice's."""
    with Governance(store, notice=EU, clock=lambda: NOW) as before:
        before.restrict(7, EU_SERVICE)
        before.consent(8, STATISTICS)
    governance, guard = opened(store)
    with governance:
        assert not guard.allows(EU_ACCOUNT, EU_SERVICE, subject=7)
        assert not guard.allows(JP_ACCOUNT, JP_SERVICE, subject=7)
        assert not guard.allows(VISIT, STATISTICS, subject=8)


def _rename(t: dict[str, Any]) -> None:
    t["grant"][2]["purpose"][0]["id"] = "4⑨"
    t["derivation"][0]["serves"] = ["4⑨"]
    t["renamed"] = [{"kind": "purpose", "old": "4①", "new": "4⑨"}]


def _drop(t: dict[str, Any]) -> None:
    del t["grant"][2]["purpose"][0], t["derivation"]


def test_a_purpose_that_was_renamed_in_one_notice(store: Store) -> None:
    later = revised(EU, _rename, "2025-01-01")
    governance, guard = opened(store)
    with governance:
        governance.consent(8, STATISTICS)
        governance.consent(7, STATISTICS)
        governance.restrict(7, STATISTICS)
        guard.replace(later)
        statistics = term(later, "Statistics")
        assert guard.allows(term(later, "Visit"), statistics, subject=8)
        assert not guard.allows(term(later, "Visit"), statistics, subject=7)
        assert governance.subjects.preferences(7).suspended == {"shop-eu:4⑨"}
        assert [each.purpose for each in governance.withdraw(8, statistics)] == ["shop-eu:4①"]
        guard.replace(revised(EU, _drop, "2025-02-01"))
        assert governance.subjects.preferences(7).suspended == frozenset()  # there is no such purpose any more


def test_records_name_the_notice(store: Store) -> None:
    governance, guard = opened(store)
    with governance:

        @guard.entrust(recipient("JP"), JP_ACCOUNT, EU_ACCOUNT)
        def send(_: int) -> None: ...

        with guard.purpose("AnyRenewal", channel="email"):
            send(1)
        with pytest.raises(pg.PurposeViolation):
            guard.check(EU_ACCOUNT, JP_SERVICE)
        governance.restrict(7, JP_SERVICE)
        assert isinstance(governance.ledger, SqlLedger)
        governance.ledger.flush()
        with governance.ledger.reading() as reading:
            reading.verify()
            found = {
                (each.kind, str(each.body.get("sources", each.body.get("purposes")))) for each in reading.entries()
            }
        assert {
            ("provision", "['shop-jp:1(a)']"),
            ("provision", "['shop-eu:1(a)']"),
            ("denial", "['shop-eu:1(a)']"),
            ("restriction", "['shop-jp:3(2)①']"),
        } <= found


def test_what_goes_by_the_rules_of_one_notice_is_refused(store: Store) -> None:
    governance, _ = opened(store)
    with governance:
        for ask in (
            lambda: governance.requests.open("erasure", subject=7),
            lambda: governance.disclose(7, by="me"),
            governance.retention.plan,
        ):
            with pytest.raises(SeveralNotices):
                ask()


def test_who_is_forgotten_is_forgotten_by_all(store: Store) -> None:
    governance, guard = opened(store)
    with governance:
        governance.restrict(7, JP_SERVICE)
        governance.consent(7, STATISTICS)
        assert guard.allows(VISIT, STATISTICS, subject=7)
        governance.forget(7)
        of_seven = governance.subjects.of(7)
        assert (of_seven.restrictions, of_seven.consents) == ((), ())
        assert not guard.allows(VISIT, STATISTICS, subject=7)
        assert not guard.allows(EU_ACCOUNT, EU_SERVICE, subject=7)  # barred, by whichever notice


def test_the_ledger_names_the_notice_of_a_condition(store: Store) -> None:
    here, there = (pg.Notice.parse(tables(id=id_)) for id_ in ("here", "there"))
    with Governance(store, notice=pg.Notices(here, there), clock=lambda: day("2026-06-01")) as governance:
        guard = pg.Guard(pg.Notices(here, there), governance=governance, clock=lambda: day("2026-06-01"))
        with pytest.raises(pg.ConditionViolation):
            guard.check(term(here, "Usage"), term(here, "Newsletter"), conditions={"there:adult", "here:outside-eu"})
        assert isinstance(governance.ledger, SqlLedger)
        (entry,) = governance.ledger.entries()
    assert entry.body["conditions"] == ["here:outside-eu", "there:adult"]


def test_guards_and_governance_are_of_the_same_notices(store: Store) -> None:
    with Governance(store, notice=both(), clock=lambda: NOW) as of_both, Governance(store, notice=JP) as of_one:
        with pytest.raises(pg.NoticeError, match=r"`shop-jp` is another notice than `shop-jp [+] shop-eu`"):
            pg.Guard(JP, governance=of_both)
        with pytest.raises(pg.NoticeError, match=r"`shop-jp [+] shop-eu` is another notice than `shop-jp`"):
            pg.Guard(both(), governance=of_one)
    given: Any = pg.Guard(both()).notice
    with pytest.raises(TypeError, match="governance needs a Notice, a History or Notices, not JointNotice"):
        Governance(store, notice=given)


def test_days_of_supervision_are_counted_somewhere(store: Store) -> None:
    governance, _ = opened(store)
    with governance:
        assert governance._timezone() == "UTC"
        assert governance._clause_now("3(2)①", datetime.date(2024, 1, 1)) == "3(2)①"
        assert governance._clause_now("shop-jp:3(2)①", datetime.date(2019, 1, 1)) == "shop-jp:3(2)①"
