"""What is in force as figures without persons, and whether a store is open."""

from __future__ import annotations

import datetime

import pytest

import purposeguard as pg
from purposeguard.cli.report.records import LedgerEvidence, records_of
from purposeguard.governance import Governance
from purposeguard.governance.restrictions import Figure, count_declarations
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.support import Time

REVISION = tm.NOTICE.revision


def test_figures_count_subjects_and_name_none(subjects: Subjects, store: Store, time: Time) -> None:
    for subject in ("7", "8", "8"):
        subjects.restrict(subject, [tm.RenewalGuidance, tm.ProductGuidance])
    subjects.restrict("9")
    subjects.restrict("7", kind="erasure")
    subjects.restrict("9", kind="stop-of-provision", until=time.now + datetime.timedelta(hours=1))
    subjects.lift(subjects.restrict("10", kind="erasure"))
    subjects.consent("7", tm.EventInvitation)
    subjects.consent("8", tm.EventInvitation)
    subjects.withdraw("8", tm.EventInvitation)
    named = ("1.2(1)①", "1.2(1)②")
    expected = {
        Figure("consent", ("1.2(1)⑤",), REVISION, 1),
        Figure("erasure", None, REVISION, 1),
        Figure("stop-of-provision", None, REVISION, 1),
        Figure("suspension-of-use", named, REVISION, 2),
        Figure("suspension-of-use", None, REVISION, 1),
    }
    with store.reading() as connection:
        assert set(count_declarations(connection, time.now)) == expected
    time.passes(hours=2)
    with store.reading() as connection:
        later = set(count_declarations(connection, time.now))
    assert expected - later == {Figure("stop-of-provision", None, REVISION, 1)}


def test_the_report_reads_a_store_of_either_database(store: Store, store_url: str, time: Time) -> None:
    governance = Governance(store, notice=tm.NOTICE, clock=time.clock)
    guard = pg.Guard(tm.NOTICE, governance=governance, clock=time.clock)
    with guard.purpose(tm.RenewalGuidance, activity="remind") as use:
        use.open(pg.Personal("Aiko", tm.Registration))
        with pytest.raises(pg.PurposeViolation):
            use.check(tm.ProductData)
    governance.restrict("7340-7340")
    governance.requests.open("disclosure", subject="7340-7340", received_at=time.now - datetime.timedelta(days=3))
    governance.ledger.flush()  # type: ignore[union-attr]  # the one in the store
    read: list[int] = []
    for target in (None, store_url):  # that of the guard, and one that is named
        records = records_of(guard, target, lambda count, _: read.append(count))
        assert records is not None
        evidence = {(activity, purpose): each for activity, purpose, _, each in records.uses() if each.uses}
        assert evidence == {("remind", "1.2(1)①"): LedgerEvidence(uses=1, last_use="2026-05-02T09:00Z")}
        (denial,) = (each for *_, each in records.uses() if each.denials)
        assert (denial.refused, denial.observed, denial.last_denial) == (1, 0, "2026-05-02T09:15:00.000000Z")
        assert [figure[:2] for figure in records.restrictions] == [("suspension-of-use", None)]
        assert {row.kind: row.states for row in records.requests if row.states} == {"disclosure": {"open": 1}}
        assert records.where.endswith(str(store.engine.url.database))
        assert "7340" not in repr(records)
        assert sum(read) == records.entries
        read.clear()
    governance.close()


def test_a_store_tells_whether_it_is_open(store_url: str) -> None:
    store = Store()
    assert not store.is_open
    store.connect(store_url)
    told = [store.is_open]
    store.close()
    assert [*told, store.is_open] == [True, False]
