"""The roster tells of all subjects what `preferences` tells of each, and is read anew only after a change."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import closing

import pytest

from purposeguard import Guard, Notice
from purposeguard.errors import StoreUnavailable
from purposeguard.governance import Governance
from purposeguard.governance.preference_cache import PreferenceCache
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.runtime.protocols import Roster
from tests.governance.support import Time, outage
from tests.governance.test_preferences import queries


@pytest.fixture
def cache(subjects: Subjects) -> Iterator[PreferenceCache]:
    with closing(PreferenceCache(subjects)) as found:
        yield found


def _by_subject(roster: Roster) -> dict[str, SubjectPreferences]:
    return {subject: preferences for preferences, of in roster.groups.items() for subject in of}


def _agrees(cache: PreferenceCache, subjects: Subjects, keys: list[str]) -> bool:
    told = _by_subject(cache.roster())
    return all(told.get(key, CLEAR) == subjects.preferences(key) for key in keys)


KEYS = [str(number) for number in range(12)]


def test_it_tells_of_each_subject_what_standing_tells(cache: PreferenceCache, subjects: Subjects, time: Time) -> None:
    assert cache.roster().groups == {}
    subjects.restrict(1)
    subjects.restrict(2, tm.RenewalGuidance)
    subjects.restrict(3, tm.RenewalGuidance)
    subjects.restrict(3, tm.EventInvitation)
    subjects.restrict(4, kind="erasure")
    subjects.restrict(5, kind="stop-of-provision")
    subjects.consent(6, tm.ProductGuidance)
    ended = subjects.restrict(7)
    subjects.lift(ended)
    subjects.restrict(8, until=time.now + datetime.timedelta(days=1))
    assert _agrees(cache, subjects, KEYS)
    told = _by_subject(cache.roster())
    assert sorted(told) == ["1", "2", "3", "4", "5", "6", "8"]
    assert told["1"].all_suspended


def test_nothing_is_read_again_while_nothing_changes(cache: PreferenceCache, subjects: Subjects, store: Store) -> None:
    subjects.restrict(1)
    first = cache.roster()
    with queries(store) as asked:
        assert cache.roster() is first
        assert asked == []
        subjects.restrict(2)
        asked.clear()
        second = cache.roster()
        assert second is not first
        assert len(asked) == 1  # of the subject who changed
    assert sorted(_by_subject(second)) == ["1", "2"]


def test_a_change_of_another_process_is_in_it_within_a_second(
    cache: PreferenceCache, store_url: str, time: Time
) -> None:
    assert cache.roster().groups == {}
    with Store.open(store_url) as other:
        Subjects(other, tm.NOTICE, clock=time.clock).restrict(7)
        cache.poll_changes()
        assert sorted(_by_subject(cache.roster())) == ["7"]


def test_what_ends_by_itself_is_out_of_it_then(cache: PreferenceCache, subjects: Subjects, time: Time) -> None:
    subjects.restrict(1, until=time.now + datetime.timedelta(hours=1))
    subjects.restrict(2)
    before = cache.roster()
    assert sorted(_by_subject(before)) == ["1", "2"]
    time.passes(minutes=59)
    assert cache.roster() is before
    time.passes(minutes=1)
    assert sorted(_by_subject(cache.roster())) == ["2"]


def test_many_changes_are_read_at_once(cache: PreferenceCache, subjects: Subjects) -> None:
    cache.roster()
    for number in range(250):
        subjects.restrict(number, tm.EventInvitation)
    assert len(_by_subject(cache.roster())) == 250
    assert _agrees(cache, subjects, KEYS)


def test_it_is_refused_where_the_store_cannot_be_read(
    cache: PreferenceCache, subjects: Subjects, store: Store, request: pytest.FixtureRequest
) -> None:
    subjects.restrict(1)
    with outage(store, request):
        with pytest.raises(StoreUnavailable):
            cache.roster()
        with pytest.raises(StoreUnavailable):
            cache.roster()
    cache.poll_changes()
    assert sorted(_by_subject(cache.roster())) == ["1"]


def test_another_revision_is_asked_anew(store: Store) -> None:
    tables = tm.NOTICE.dump()
    earlier = Notice.parse({**tables, "revision": "2023-04-01"})
    with Governance(store, notice=earlier) as governance:
        guard = Guard(earlier, governance=governance)
        governance.attach(guard)
        governance.restrict(1, "1.2(1)①")
        before = governance.roster()
        guard.replace(Notice.parse(tables))
        governance.notice = guard.notice
        assert _by_subject(governance.roster()) == _by_subject(before)


def test_a_change_that_is_told_twice_gives_one_roster(cache: PreferenceCache, subjects: Subjects) -> None:
    cache.roster()
    subjects.restrict(1)
    told = cache.roster()  # by the store, in the process that changed it
    cache.invalidate(["1"])  # and by the feed, a little later
    assert cache.roster() is told
    cache.forget()
    assert cache.roster() is told
