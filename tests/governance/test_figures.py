"""What is in force as figures without persons, and whether a store is open."""

from __future__ import annotations

import datetime

from purposeguard.governance.restrictions import Figure, figures
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
        assert set(figures(connection, time.now)) == expected
    time.passes(hours=2)
    with store.reading() as connection:
        later = set(figures(connection, time.now))
    assert expected - later == {Figure("stop-of-provision", None, REVISION, 1)}


def test_a_store_tells_whether_it_is_open(store_url: str) -> None:
    store = Store()
    assert not store.is_open
    store.connect(store_url)
    told = [store.is_open]
    store.close()
    assert [*told, store.is_open] == [True, False]
