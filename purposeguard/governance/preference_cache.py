"""A cache of the preferences of subjects, kept true by looking at the feed of changes."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import math
import operator
import time
import weakref
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from typing import Final, Literal, cast

import cachetools

from purposeguard.errors import StoreUnavailable
from purposeguard.governance import changes
from purposeguard.governance.deadlines import current_deadline, limit_waiting
from purposeguard.governance.engines import make_unavailable_error
from purposeguard.governance.loops import wait_for_future, warn_if_blocking
from purposeguard.governance.preference_watcher import ReadRequest, WatcherThread, finish_requests
from purposeguard.governance.restrictions import SubjectState
from purposeguard.governance.rosters import Rosters
from purposeguard.governance.subjects import Subjects
from purposeguard.locks import make_lock
from purposeguard.policy.context import SubjectPreferences
from purposeguard.processes import LiveObjects
from purposeguard.runtime.protocols import Roster

SHARED: Final = 4096
"""The number of preferences, and of cache entries, that are kept to be shared by subjects."""

STEPS: Final = 64
"""The number of steps into which the maximum age is divided, so that entries of one step are equal and shared."""

BATCH: Final = 1_000
"""The number of subjects that one query asks for."""

Cause = Literal["closed", "waited", "look", "read"]
"""The cause of a refusal: the cache is closed, a look did not end in time, the last look failed, or a read failed."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _CacheEntry:
    """The cached preferences of some subjects. Subjects share entries, which are compared by identity."""

    preferences: SubjectPreferences
    ends: float
    """The time until which the entry may be used, on the monotonic clock."""
    changing: SubjectState | None
    """The state of the subject if it changes by itself at some time; otherwise None."""


_PREFERENCES: Final[Callable[[_CacheEntry], SubjectPreferences]] = operator.attrgetter("preferences")


class PreferenceCache:
    """A cache of the preferences of each subject, for any thread: `cache.preferences(key)`.

    The cache uses an entry only if the store was looked at within the last `staleness` seconds. So a change by any
    process is in force here by then, usually within `poll` seconds. A change through the same store is in force when
    the method that made it returns.

    A thread looks at the store, and reads entries again before they are too old, one query per batch. If it did not
    look in time, a check looks itself, or waits for the current look; the `timeout` of the store limits all waits of a
    call together. After a failed look, checks are refused at once until a look succeeds. The time of day is not used.

    Args:
        subjects: The restrictions and consents.
        maxsize: The most subjects in the cache.
        max_age: The seconds for which an entry may be used.
        staleness: The seconds for which the result of a look may be used.
        poll: The seconds between two looks.

    Attributes:
        looks: The number of looks.
        failed_looks: The number of failed looks.
        refusals: The number of refused questions, by `Cause`.
    """

    def __init__(
        self,
        subjects: Subjects,
        *,
        maxsize: int = 100_000,
        max_age: float = 60.0,
        staleness: float = 1.0,
        poll: float = 0.2,
    ) -> None:
        if maxsize <= 0 or not 0 < poll < staleness or max_age <= 0:
            raise ValueError(
                f"the cache needs room, and a poll within its staleness: {maxsize=}, {max_age=}, {staleness=}, {poll=}"
            )
        self.subjects = subjects
        self.store = subjects.store
        self.maxsize = maxsize
        self._max_age = max_age
        self._staleness = staleness
        self._poll = poll
        self._closed = False
        self.looks = self.failed_looks = 0
        self.refusals: collections.Counter[str] = collections.Counter()
        self._reset()
        self.store.listeners.add(self)
        _CACHES.add(self)

    def _reset(self) -> None:
        # First in, first out: reading changes nothing and needs no lock. A plain dict is fast enough for many rows.
        self._cache: dict[str, _CacheEntry] = {}
        self._all_preferences: cachetools.FIFOCache[SubjectPreferences, SubjectPreferences] = cachetools.FIFOCache(
            SHARED
        )
        self._entries: cachetools.FIFOCache[object, _CacheEntry] = cachetools.FIFOCache(SHARED)
        self._reads: set[_SubjectsRead] = set()
        self._wanted: list[ReadRequest] = []
        self._lock = make_lock()  # guards the five attributes above
        self._rosters = Rosters(self.subjects)
        self._looking = make_lock()  # guards the attributes below
        self._failed_until = self._fresh_until = -math.inf
        self._look_ends = math.inf  # the time at which the current look has ended or is given up
        self._failure: str | None = None
        self._seen: int | None = None
        self._interruptions = self.store.interruptions
        self._watcher: WatcherThread | None = None

    def preferences(self, subject: str, /) -> SubjectPreferences:
        """Return the preferences of a subject, named by their `subject_key`.

        Raises:
            StoreUnavailable: it is not known, and cannot be read now.
        """
        try:
            entry = self._cache[subject]
        except KeyError:
            pass
        else:
            now = time.monotonic()
            if now < self._fresh_until and now < entry.ends and entry.changing is None:
                return entry.preferences
        with limit_waiting(self.store.timeout):
            while True:
                self._poll_if_stale()
                with self._lock:
                    cached_entry = self._cache.get(subject)
                if cached_entry is None or not self._is_usable(cached_entry):
                    return self._read_each((subject,))[subject]
                if time.monotonic() < self._fresh_until:  # otherwise this process was halted
                    return cached_entry.preferences

    def _is_usable(self, entry: _CacheEntry) -> bool:
        """Return True if an entry may be used, provided that the store was looked at in time."""
        changing = entry.changing
        return time.monotonic() < entry.ends and (changing is None or changing.holds(self.subjects.clock.span()))

    def preferences_of_each(self, subjects: Sequence[str], /) -> list[SubjectPreferences]:
        """Return the preferences of each of these subjects, in their order.

        Subjects that are not in the cache are read in batches.

        Raises:
            StoreUnavailable: as `preferences`.
        """
        entries = list(map(self._cache.get, subjects))
        now = time.monotonic()
        if now >= self._fresh_until:
            with limit_waiting(self.store.timeout):
                self._poll_if_stale()
                return self.preferences_of_each(subjects)
        different = set(entries)  # There are few entries: subjects share them.
        usable = {entry for entry in different if entry is not None and now < entry.ends and entry.changing is None}
        if len(usable) == len(different):
            return list(map(_PREFERENCES, cast("list[_CacheEntry]", entries)))
        unusable = [subject for subject, entry in zip(subjects, entries, strict=True) if entry not in usable]
        unknown = list(dict.fromkeys(unusable))
        with limit_waiting(self.store.timeout):
            read = self._read_each(unknown)
            if time.monotonic() >= now + self._staleness:  # The other subjects may have changed meanwhile.
                others = [subject for subject in subjects if subject not in read]
                read.update(zip(others, self.preferences_of_each(others), strict=True))
                usable.clear()
        for subject, entry in zip(subjects, entries, strict=True):
            if entry is not None and entry in usable:
                read[subject] = entry.preferences
        return list(map(read.__getitem__, subjects))

    def roster(self) -> Roster:
        """Return the preferences of all subjects who declared something.

        The first call reads all of them. Later calls read only what has changed.

        Raises:
            StoreUnavailable: it cannot be read now.
        """
        return self._roster_until()[0]

    def _roster_until(self) -> tuple[Roster, float]:
        """Return the roster, and the time until which it may be used, on the monotonic clock."""
        with limit_waiting(self.store.timeout):
            while True:
                self._poll_if_stale()
                until = self._fresh_until  # the next look finds what changes from here on
                with self._count_refusal("read"):
                    roster = self._rosters.roster()
                if time.monotonic() < until:  # otherwise the changes since then are read, which is quick
                    return roster, until

    async def ready(self, subjects: Sequence[str] = (), /) -> None:
        """Read the preferences of these subjects, so that a check that follows need not read the store or wait for it.

        Nothing is waited for in the thread of the event loop. The look at the store is new enough for half of
        `staleness` at least.

        Raises:
            StoreUnavailable: the store did not answer within its `timeout`.
        """
        entries = map(self._cache.get, subjects)
        if self._is_fresh() and all(entry is not None and self._is_usable(entry) for entry in entries):
            return
        if not await self._read_by_watcher(ReadRequest(subjects), self.store.timeout):
            self.preferences_of_each(subjects)

    async def aroster(self) -> Roster:
        """Return `roster` without waiting for anything in the thread of the event loop.

        Raises:
            StoreUnavailable: it cannot be read within the `timeout` of the store.
        """
        until, roster = self._fresh_until, self._rosters.get_if_current()
        ends = time.monotonic() + self.store.timeout
        while roster is None or time.monotonic() >= until:  # the loop may come back to this task late
            request = ReadRequest(wants_roster=True)
            if not await self._read_by_watcher(request, ends - time.monotonic()):
                return self.roster()
            roster, until = request.roster, request.until
        return roster

    def _is_fresh(self) -> bool:
        return time.monotonic() < self._fresh_until - self._staleness / 2

    async def _read_by_watcher(self, request: ReadRequest, seconds: float) -> bool:
        """Have the watcher read what is wanted, and wait for it. Return False if there is no watcher."""
        if self._closed:
            raise self._make_refusal("closed")
        self._refuse_if_down()
        with self._lock:
            self._wanted.append(request)
        watcher = self._get_watcher()
        if watcher is None:  # no thread can be started, or `close` came between
            return False
        watcher.ring()
        if not await wait_for_future(request.outcome, max(0.0, seconds)):
            raise self._make_refusal("waited")
        failure = request.outcome.result()
        if failure is not None:
            with self._count_refusal("look"):
                raise StoreUnavailable(*failure.args)
        return True

    def _read_each(self, subjects: Sequence[str]) -> dict[str, SubjectPreferences]:
        """Read the preferences of these subjects from the store, in batches, and cache those that did not change.

        Since reading may take long, subjects that changed meanwhile are read again.
        """
        cache = self._cache  # `_reset` may replace the attribute meanwhile
        self._poll_if_stale()  # the next look finds what changes from here on
        warn_if_blocking()
        began = time.monotonic()
        read = _SubjectsRead(subjects)
        with self._lock:
            self._reads.add(read)
        present: dict[str, SubjectState] = {}
        try:
            for first in range(0, len(subjects), BATCH):
                with self._count_refusal("read"):
                    present |= self.subjects.stands_of_each(subjects[first : first + BATCH])
            self._poll_if_stale()
        finally:
            with self._lock:
                self._reads.discard(read)
        with self._lock:
            entry_by_subject = dict(zip(present, self._make_entries(present.values()), strict=True))
            for subject in read.unchanged:
                cache.pop(subject, None)  # keeps the entries in the order of their age
                cache[subject] = entry_by_subject[subject]
            while len(cache) > self.maxsize:
                del cache[next(iter(cache))]
        preferences = dict(zip(entry_by_subject, map(_PREFERENCES, entry_by_subject.values()), strict=True))
        if time.monotonic() >= began + self._staleness and len(read.unchanged) < len(present):
            preferences |= self._read_each([subject for subject in present if subject not in read.unchanged])
        return preferences

    def _make_entries(self, states: Collection[SubjectState]) -> Iterator[_CacheEntry]:
        """Return the entry of each state. Most subjects share a state object, so each object is looked up once."""
        ids = list(map(id, states))
        entries: dict[int, _CacheEntry] = {}
        for number, state in dict(zip(ids, states, strict=True)).items():
            entries[number] = self._make_entry(state)
        return map(entries.__getitem__, ids)

    def _make_entry(self, state: SubjectState) -> _CacheEntry:
        preferences = self._all_preferences.setdefault(state.preferences, state.preferences)
        step = self._max_age / STEPS
        ends = math.floor(time.monotonic() / step) * step + self._max_age
        changing = None if state.until is state.since is None else state._replace(preferences=preferences)
        return self._entries.setdefault((preferences, ends, changing), _CacheEntry(preferences, ends, changing))

    def __len__(self) -> int:
        """Return the number of subjects in the cache."""
        return len(self._cache)

    def __iter__(self) -> Iterator[str]:
        """Return the subjects in the cache."""
        with self._lock:
            return iter(list(self._cache))

    # ---- changes --------------------------------------------------------------------------------------------------

    def invalidate(self, subjects: Collection[str], /) -> None:
        """Forget these subjects, and do not cache what is being read of them."""
        with self._lock:
            for subject in subjects:
                self._cache.pop(subject, None)
            for read in self._reads:
                read.unchanged.difference_update(subjects)
        self._rosters.invalidate(subjects)

    def forget(self) -> None:
        """Forget everything."""
        with self._lock:
            self._cache.clear()
            for read in self._reads:
                read.unchanged.clear()
        self._rosters.forget()

    # ---- looks ----------------------------------------------------------------------------------------------------

    def poll_changes(self) -> None:
        """Look at the feed, and forget what has changed.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        with self._looking:
            self._poll_changes()

    def _poll_changes(self) -> None:
        began = time.monotonic()
        self._look_ends = began + self.store.timeout
        self.looks += 1
        try:
            with limit_waiting(self.store.timeout), self.store.reading(single=True) as connection:
                if self._seen is None:
                    news = changes.ChangeSet(changes.latest_change(connection), None)
                else:
                    news = changes.changes_since(connection, self._seen)
        except StoreUnavailable as error:
            self._seen = None  # the store may come back in an earlier state, or be another
            self.failed_looks += 1
            self._failed_until = time.monotonic() + self._poll
            self._failure = str(error.args[0])
            raise
        finally:
            self._look_ends = math.inf
        interruptions = self.store.interruptions
        if news.subjects is None or interruptions != self._interruptions:
            self.forget()
        else:
            self.invalidate(news.subjects)
        self._seen = news.seq
        self._interruptions = interruptions
        self._failure = None
        if not self._closed:
            self._fresh_until = began + self._staleness

    def _poll_if_stale(self) -> None:
        while time.monotonic() >= self._fresh_until:
            if self._closed:
                raise self._make_refusal("closed")
            self._refuse_if_down()
            warn_if_blocking()
            # Threads share the result of a look, and those that wait for the same look are refused together.
            ends = min(current_deadline(), self._look_ends)
            if not self._looking.acquire(timeout=max(0.0, ends - time.monotonic())):
                raise self._make_refusal("waited")
            try:
                if time.monotonic() >= self._fresh_until:
                    self._refuse_if_down()
                    with self._count_refusal("look"):
                        self._poll_changes()
                    if time.monotonic() >= max(
                        self._fresh_until, current_deadline()
                    ):  # each look took longer than its result may be used
                        raise self._make_refusal("waited")
            finally:
                self._looking.release()
                self._get_watcher()

    def _refuse_if_down(self) -> None:
        """Raise StoreUnavailable if the last look failed. Only the watcher waits for the store to be back."""
        failure = self._failure
        watcher = self._watcher
        if failure is None or time.monotonic() < self._fresh_until:
            return
        if time.monotonic() < self._failed_until or (watcher is not None and watcher.is_alive()):
            with self._count_refusal("look"):
                raise StoreUnavailable(failure)

    @contextlib.contextmanager
    def _count_refusal(self, cause: Cause) -> Generator[None]:
        """Return a context manager that counts a refusal if its block raises StoreUnavailable."""
        try:
            yield
        except StoreUnavailable:
            with self._lock:
                self.refusals[cause] += 1
            raise

    def _make_refusal(self, cause: Literal["closed", "waited"]) -> StoreUnavailable:
        with self._lock:
            self.refusals[cause] += 1
        if cause == "closed":
            return make_unavailable_error(self.store.where, "was closed", "open it again")
        return make_unavailable_error(
            self.store.where, "does not answer", "see that the database runs and can be reached"
        )

    @property
    def staleness(self) -> float:
        """Seconds since the look began that the cache relies on; infinite if there is none."""
        return time.monotonic() - (self._fresh_until - self._staleness)

    # ---- the watcher ----------------------------------------------------------------------------------------------

    def _get_watcher(self) -> WatcherThread | None:
        """Return the thread that looks at the store, started if needed; None if it cannot be started."""
        with self._lock:
            if not self._closed and (self._watcher is None or not self._watcher.is_alive()):
                with contextlib.suppress(RuntimeError):  # no thread can be started: checks go on looking themselves
                    watcher = WatcherThread(weakref.WeakMethod(self._take_turn), self._poll)
                    watcher.start()
                    self._watcher = watcher
            return self._watcher

    def _take_turn(self) -> float:
        """Look at the store if it is time, read requested and aging entries, and return the seconds to wait."""
        failure: StoreUnavailable | None = None
        more = False
        try:
            if self.staleness >= self._poll:
                self.poll_changes()
        except StoreUnavailable as error:
            failure = error
        with self._lock:
            requests, self._wanted = self._wanted, []
        try:
            if failure is None and requests:
                subjects: list[str] = []
                for request in requests:
                    subjects += request.subjects
                self.preferences_of_each(subjects)
                for request in requests:
                    if request.wants_roster:
                        request.roster, request.until = self._roster_until()
            if failure is None:
                more = self._refresh_oldest()
        except StoreUnavailable as error:
            failure = error
        finish_requests(requests, failure)
        if failure is not None:
            return self._poll
        return max(self._poll / 8, 0.0 if more else self._poll - self.staleness)

    def _refresh_oldest(self) -> bool:
        """Read again a batch of the entries in the last quarter of their time. Return True if there may be more."""
        soon = time.monotonic() + self._max_age / 4
        with self._lock:
            first = itertools.takewhile(lambda item: item[1].ends < soon, self._cache.items())
            due = [subject for subject, _ in itertools.islice(first, BATCH)]
        if due:
            with limit_waiting(self.store.timeout):
                self._read_each(due)
        return len(due) == BATCH

    def close(self) -> None:
        """Stop looking. From now on every question is refused."""
        with self._lock:
            self._closed = True
            watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()
        with self._lock:
            requests, self._wanted = self._wanted, []
        if requests:
            finish_requests(requests, self._make_refusal("closed"))
        self._fresh_until = -math.inf
        self.forget()

    def resume(self) -> None:
        """Look again after `close`, with an empty cache."""
        with self._lock:
            self._closed = False
            self._reset()

    def reset_after_fork(self) -> None:
        """Empty the cache in a forked child, which gets a thread of its own."""
        self.looks = self.failed_looks = 0
        self.refusals.clear()
        self._reset()


class _SubjectsRead:
    """A read of some subjects under way; `unchanged` are those who did not change since it began."""

    __slots__ = ("unchanged",)

    def __init__(self, subjects: Iterable[str]) -> None:
        self.unchanged = set(subjects)


_CACHES: Final = LiveObjects(in_child=PreferenceCache.reset_after_fork, at_exit=PreferenceCache.close)
