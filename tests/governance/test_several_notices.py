"""Governance over several notices: what subjects declare, and what is on record, says of which notice it is."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.errors import SeveralNotices
from purposeguard.governance import Governance, Store
from tests.governance.support import Rows, entries
from tests.unit.conditions import tables
from tests.unit.samples import revised
from tests.unit.together import EU, JP, both, day, recipient, term

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
        found = {(each.kind, str(each.body.get("sources", each.body.get("purposes")))) for each in entries(governance)}
        assert {
            ("provision", "['shop-jp:1(a)']"),
            ("provision", "['shop-eu:1(a)']"),
            ("denial", "['shop-eu:1(a)']"),
            ("restriction", "['shop-jp:3(2)①']"),
        } <= found


def test_what_goes_by_the_rules_of_one_notice_is_refused(store: Store) -> None:
    governance, _ = opened(store)
    with governance:
        for ask in (lambda: governance.requests.open("erasure", subject=7), lambda: governance.disclose(7, by="me")):
            with pytest.raises(SeveralNotices):
                ask()


def kept(notice: pg.Notice, timezone: str, *periods: tuple[str, int], **others: Any) -> pg.Notice:
    """The notice in a time zone, by which data of these sources is kept for so many days from its collection."""
    rows = [{"source": source, "days": days, "from": "collection"} for source, days in periods]
    held = {"clause": "8", "starts": "end-of-use", "bases": ["law"], "after": "law-only", "period": rows}
    return pg.Notice.parse(notice.dump() | {"timezone": timezone, "retention": held} | others)


def test_the_retention_job_goes_by_the_notice_of_each_source(store: Store) -> None:
    """At 18 o'clock UTC it is the next day in Tokyo, and not in Paris."""
    jp = kept(JP, "Asia/Tokyo", ("1(a)", 30), ("2", 10))
    eu = kept(EU, "Europe/Paris", ("1(a)", 30), ("2", 90))
    now = datetime.datetime(2025, 6, 30, 18, tzinfo=datetime.UTC)
    notices = both(jp, eu)
    governance = Governance(store, notice=notices, clock=lambda: now)
    pg.Guard(notices, governance=governance, clock=lambda: now)
    days = [datetime.date(2025, 5, 30), datetime.date(2025, 5, 31), datetime.date(2025, 6, 1)]
    rows = {name: Rows(enumerate(days)) for name in ("jp", "eu", "either")}
    with governance:
        governance.eraser(term(jp, "Account"), counted="collection", name="jp")(rows["jp"])
        governance.eraser("shop-eu:1(a)", counted="collection", name="eu")(rows["eu"])
        both_ = pg.Label(term(jp, "Account"), term(eu, "Account"))
        governance.eraser(both_, counted="collection", name="either")(rows["either"])
        with pytest.raises(pg.UnknownSource, match="more than one notice has it"):
            governance.eraser("1(a)", name="unsaid")
        with pytest.raises(pg.UnknownSource):
            governance.eraser(JP_ACCOUNT, name="of another copy")
        plan = governance.retention.plan()
        assert plan.today == datetime.date(2025, 6, 30)
        # The last of 30 days from 31 May is 30 June, which has passed in Tokyo alone. Data of both is due by either.
        assert {due.eraser: (sorted(due.sources), due.before, due.count) for due in plan.parts} == {
            "jp": (["shop-jp:1(a)"], datetime.date(2025, 6, 1), 2),
            "eu": (["shop-eu:1(a)"], datetime.date(2025, 5, 31), 1),
            "either": (["shop-eu:1(a)", "shop-jp:1(a)"], datetime.date(2025, 6, 1), 2),
        }
        assert [(period.source, period.days) for period in plan.unserved] == [("shop-jp:2", 10), ("shop-eu:2", 90)]
        outcome = governance.retention.run(max_share=1)
        assert outcome.good
        assert {name: len(left.rows) for name, left in rows.items()} == {"jp": 1, "eu": 2, "either": 1}


def test_an_eraser_of_a_source_that_a_revision_of_its_notice_has_no_more(store: Store) -> None:
    gone = kept(JP, "UTC", ("1(a)", 30))
    notices = both(gone, kept(EU, "UTC", ("1(a)", 30)))
    governance = Governance(store, notice=notices, clock=lambda: NOW)
    guard = pg.Guard(notices, governance=governance, clock=lambda: NOW)
    rows = Rows({1: datetime.date(2025, 1, 1)})
    with governance:
        governance.eraser(term(gone, "Account"), counted="collection", name="jp")(rows)
        renamed = {
            "renamed": [{"kind": "source", "old": "1(a)", "new": "2"}, {"kind": "source", "old": "2", "new": "1(a)"}]
        }
        guard.replace(kept(JP, "UTC", ("1(a)", 30), ("2", 10), revision="2025-05-01", **renamed))
        (due,) = governance.retention.plan().parts
        assert (due.sources, due.before) == (("shop-jp:2",), datetime.date(2025, 5, 22))


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
        (entry,) = entries(governance)
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
