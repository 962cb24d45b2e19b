"""What holds for a subject, without a query at each check: a cache, kept true by looking at the feed of changes."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import math
import operator
import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final, cast

import cachetools

from purposeguard.errors import StoreUnavailable
from purposeguard.governance import changes
from purposeguard.governance.engines import unavailable
from purposeguard.governance.restrictions import NOTHING_DECLARED, Stands, all_stands, stands
from purposeguard.governance.subjects import Subjects
from purposeguard.locks import new_lock
from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.runtime.clock import Span
from purposeguard.runtime.protocols import Roster

PATIENCE: Final = 0.25
"""Seconds for which a check waits for a look that another thread has begun."""

SHARED: Final = 4096
"""Preferences, and entries of the cache, that subjects share."""

STEPS: Final = 64
"""Steps into which the maximum age is divided, so that entries of one step are equal, and shared."""

BATCH: Final = 1_000
"""Subjects that one query asks for."""

MOST_READ_SINGLY: Final = 200
"""Changed subjects that are read one by one for the roster; if there are more, all are read again."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """Preferences; until when they are kept, by the monotonic clock; when they change by themselves, if they do.

    Subjects share entries, which are compared by identity.
    """

    preferences: SubjectPreferences
    ends: float
    changing: Stands | None


_PREFERENCES: Final[Callable[[_Entry], SubjectPreferences]] = operator.attrgetter("preferences")


class PreferenceCache:
    """A cache of what holds for each subject: `cache.preferences(key)`, from any thread.

    It keeps at most `maxsize` subjects, each for `max_age` seconds, and relies on an entry only if the store was looked
    at within the last `staleness` seconds. So a change by any process is in force here by then, as a rule within `poll`
    seconds; a change through the same store is in force when the method that made it returns.

    If the store was not looked at in time, a check looks itself. If that fails it raises StoreUnavailable; so do the
    checks of the next `poll` seconds. The time of day decides nothing here.
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
        self._begin_anew()
        self.store.listeners.add(self)
        _CACHES.add(self)

    def _begin_anew(self) -> None:
        # First in, first out: reading changes nothing, so it needs no lock. A dict, since lists of rows read many.
        self._cache: dict[str, _Entry] = {}
        self._all_preferences: cachetools.FIFOCache[SubjectPreferences, SubjectPreferences] = cachetools.FIFOCache(
            SHARED
        )
        self._entries: cachetools.FIFOCache[object, _Entry] = cachetools.FIFOCache(SHARED)
        self._reads: set[_Read] = set()
        self._rosters = _Rosters(self.subjects)
        self._lock = new_lock()  # guards the five above
        self._looking = new_lock()  # guards those below
        self._look_began = self._failed_until = self._fresh_until = -math.inf
        self._failure = ""
        self._seen: int | None = None
        self._interruptions = self.store.interruptions
        self._watcher: _Watcher | None = None

    def preferences(self, subject: str, /) -> SubjectPreferences:
        """What holds for a subject, by its `subject_key`.

        Raises:
            StoreUnavailable: it is not known, and cannot be read now.
        """
        try:
            entry = self._cache[subject]
        except KeyError:
            return self._read(subject)
        now = time.monotonic()
        if now < self._fresh_until and now < entry.ends and entry.changing is None:
            return entry.preferences
        self._look_if_stale()
        with self._lock:
            kept = self._cache.get(subject)
        if kept is None or time.monotonic() >= kept.ends:
            return self._read(subject)
        if kept.changing is not None and not kept.changing.holds(self.subjects.clock.span()):
            return self._read(subject)
        return kept.preferences

    def preferences_of_each(self, subjects: Sequence[str], /) -> list[SubjectPreferences]:
        """What holds for each of these subjects, in their order. Those not in the cache are read in batches.

        Raises:
            StoreUnavailable: as `preferences`.
        """
        entries = list(map(self._cache.get, subjects))
        if time.monotonic() >= self._fresh_until:
            self._look_if_stale()
            entries = list(map(self._cache.get, subjects))
        now = time.monotonic()
        different = set(entries)  # few: subjects share them
        usable = {entry for entry in different if entry is not None and now < entry.ends and entry.changing is None}
        if len(usable) == len(different):
            return list(map(_PREFERENCES, cast("list[_Entry]", entries)))
        unknown = [subject for subject, entry in zip(subjects, entries, strict=True) if entry not in usable]
        unknown = list(dict.fromkeys(unknown))
        read: dict[str, SubjectPreferences] = {}
        for first in range(0, len(unknown), BATCH):
            read |= self._read_each(unknown[first : first + BATCH])
        if len(unknown) == len(subjects):
            return list(map(read.__getitem__, subjects))
        return [
            entry.preferences if entry in usable else read[subject]
            for subject, entry in zip(subjects, entries, strict=True)
        ]

    def roster(self) -> Roster:
        """What holds for all subjects who asked for something: read whole once, then only what has changed.

        Raises:
            StoreUnavailable: it cannot be read now.
        """
        self._look_if_stale()  # the next look finds what changes from here on
        return self._rosters.roster()

    def _read(self, subject: str) -> SubjectPreferences:
        return self._read_each((subject,))[subject]

    def _read_each(self, subjects: Sequence[str]) -> dict[str, SubjectPreferences]:
        """What the store says of these subjects. What changes meanwhile is not kept, nor what was read beside it."""
        cache = self._cache  # `_begin_anew` may replace it meanwhile, by that of another store
        self._look_if_stale()  # the next look finds what changes from here on
        read = _Read(frozenset(subjects))
        with self._lock:
            self._reads.add(read)
        try:
            present = self.subjects.stands_of_each(subjects)
        except BaseException:
            with self._lock:
                self._reads.discard(read)
            raise
        with self._lock:
            self._reads.discard(read)
            numbers = list(map(id, present.values()))
            entries = {
                number: self._entry(stands)
                for number, stands in dict(zip(numbers, present.values(), strict=True)).items()
            }
            given = dict(zip(present, map(entries.__getitem__, numbers), strict=True))
            if not read.spoiled:
                cache.update(given)
                while len(cache) > self.maxsize:
                    del cache[next(iter(cache))]
        return dict(zip(given, map(_PREFERENCES, given.values()), strict=True))

    def _entry(self, stands: Stands) -> _Entry:
        preferences = self._all_preferences.setdefault(stands.preferences, stands.preferences)
        step = self._max_age / STEPS
        ends = math.floor(time.monotonic() / step) * step + self._max_age
        changing = None if stands.until is stands.since is None else stands._replace(preferences=preferences)
        return self._entries.setdefault((preferences, ends, changing), _Entry(preferences, ends, changing))

    def __len__(self) -> int:
        """The number of subjects in the cache."""
        return len(self._cache)

    def __iter__(self) -> Iterator[str]:
        """The subjects in the cache."""
        with self._lock:
            return iter(list(self._cache))

    # ---- changes --------------------------------------------------------------------------------------------------

    def changed(self, subjects: Collection[str], /) -> None:
        """Forgets these subjects, and keeps nothing that is being read of them."""
        with self._lock:
            for subject in subjects:
                self._cache.pop(subject, None)
            for read in self._reads:
                read.spoiled = read.spoiled or not read.subjects.isdisjoint(subjects)
        self._rosters.changed(subjects)

    def forget(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._cache.clear()
            for read in self._reads:
                read.spoiled = True
        self._rosters.forget()

    # ---- looks ----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Looks at the feed, and forgets what has changed.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        with self._looking:
            self._look()

    def _look(self) -> None:
        self._look_began = began = time.monotonic()
        try:
            with self.store.reading(single=True) as connection:
                if self._seen is None:
                    news = changes.Changes(changes.latest(connection), None)
                else:
                    news = changes.since(connection, self._seen)
        except StoreUnavailable as error:
            self._seen = None  # when it is back it may be in an earlier state, or another in its place
            self._failure = str(error.args[0])
            self._failed_until = time.monotonic() + self._poll
            raise
        interruptions = self.store.interruptions
        if news.subjects is None or interruptions != self._interruptions:
            self.forget()
        else:
            self.changed(news.subjects)
        self._seen = news.seq
        self._interruptions = interruptions
        self._failed_until = -math.inf
        if not self._closed:
            self._fresh_until = began + self._staleness

    def _look_if_stale(self) -> None:
        if time.monotonic() < self._fresh_until:
            return
        if self._closed:
            raise unavailable(self.store.where, "was closed", "open it again")
        # While another thread looks, its result is shared, and not waited for long.
        if not self._looking.acquire(timeout=max(0.0, self._look_began + PATIENCE - time.monotonic())):
            raise unavailable(self.store.where, "does not answer", "see that the database runs and can be reached")
        try:
            if time.monotonic() >= self._fresh_until:
                if time.monotonic() < self._failed_until:
                    raise StoreUnavailable(self._failure)
                self._look()
        finally:
            self._looking.release()
        self._watch()

    def _watch(self) -> None:
        with self._lock:
            if not self._closed and (self._watcher is None or not self._watcher.is_alive()):
                with contextlib.suppress(RuntimeError):  # no thread can be started: checks go on looking themselves
                    watcher = _Watcher(weakref.WeakMethod(self.look), self._poll)
                    watcher.start()
                    self._watcher = watcher

    def close(self) -> None:
        """Stops looking. From now on every question is refused."""
        with self._lock:
            self._closed = True
            watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()
        self._fresh_until = -math.inf
        self.forget()

    def resume(self) -> None:
        """Looks again after `close`, with an empty cache."""
        with self._lock:
            self._closed = False
            self._begin_anew()

    def leave_to_the_parent(self) -> None:
        """In a forked child: begins with an empty cache, and a thread of its own."""
        self._begin_anew()


class _Read:
    """A read of some subjects under way; spoiled if one of them changes meanwhile, so that its result is not kept."""

    __slots__ = ("spoiled", "subjects")

    def __init__(self, subjects: frozenset[str]) -> None:
        self.subjects = subjects
        self.spoiled = False


class _Watcher(threading.Thread):
    """Looks every `poll` seconds, until it is stopped or the cache is gone. Checks notice if a look fails."""

    def __init__(self, look: weakref.WeakMethod[Callable[[], None]], poll: float) -> None:
        super().__init__(name="purposeguard-watcher", daemon=True)
        self._look = look
        self._poll = poll
        self._stopping = threading.Event()

    def run(self) -> None:
        """Looks, and waits."""
        while not self._stopping.is_set() and self._looked():
            self._stopping.wait(self._poll)

    def _looked(self) -> bool:
        look = self._look()
        if look is None:
            return False
        with contextlib.suppress(StoreUnavailable):
            look()
        return True

    def stop(self) -> None:
        """Ends the thread, and waits for it unless called in it."""
        self._stopping.set()
        if self is not threading.current_thread():
            self.join()


class _Rosters:
    """Keeps a roster of all subjects: read whole once, then only the changed ones.

    A change reported during a reading is read the next time, so none is lost.
    """

    def __init__(self, subjects: Subjects) -> None:
        self._subjects = subjects
        self._lock = new_lock()  # held while reading: others wait for the same answer
        self._reading = False
        self._noting = new_lock()  # guards the two that follow; never held for long
        self._dirty: set[str] = set()
        self._unknown = True
        self._roster = Roster({})
        self._all_preferences: dict[str, Stands] = {}
        self._next_change = NOTHING_DECLARED  # when the first of them changes by itself

    def changed(self, subjects: Collection[str], /) -> None:
        """Has these subjects read again."""
        with self._noting:
            if not self._unknown:
                self._dirty.update(subjects)

    def forget(self) -> None:
        """Has all subjects read again."""
        with self._noting:
            self._unknown = True
            self._dirty.clear()

    def roster(self) -> Roster:
        """What holds for all subjects; the same object until something changes. Raises StoreUnavailable."""
        with self._lock:
            now = self._subjects.clock.span()
            if self._reading:  # a signal handler or finaliser cannot wait for the thread that it interrupts
                return _grouped(self._all(now))
            due = not self._next_change.holds(now)
            if not self._unknown and not self._dirty and not due:
                return self._roster
            self._reading = True
            with self._noting:
                whole, dirty = self._unknown, set(self._dirty)
                self._unknown, self._dirty = False, set()
            try:
                if due:
                    dirty.update(
                        subject for subject, present in self._all_preferences.items() if not present.holds(now)
                    )
                if whole or len(dirty) > MOST_READ_SINGLY:
                    self._all_preferences = self._all(now)
                else:
                    self._read(dirty, now)
            except BaseException:
                self.forget()
                raise
            finally:
                self._reading = False
            ends = [present.until for present in self._all_preferences.values() if present.until is not None]
            began = [present.since for present in self._all_preferences.values() if present.since is not None]
            self._next_change = Stands(CLEAR, min(ends, default=None), max(began, default=None))
            roster = _grouped(self._all_preferences)
            if roster.groups != self._roster.groups:  # a change that was reported twice is none the second time
                self._roster = roster
            return self._roster

    def _all(self, now: Span) -> dict[str, Stands]:
        with self._subjects.store.reading() as connection:
            return all_stands(connection, now, self._subjects.clause_now)

    def _read(self, dirty: Collection[str], now: Span) -> None:
        with self._subjects.store.reading() as connection:
            for subject in dirty:
                present = stands(connection, subject, now, self._subjects.clause_now)
                if present == NOTHING_DECLARED:
                    self._all_preferences.pop(subject, None)
                else:
                    self._all_preferences[subject] = present


def _grouped(all_preferences: Mapping[str, Stands]) -> Roster:
    groups: dict[SubjectPreferences, list[str]] = {}
    for subject, present in all_preferences.items():
        if present.preferences != CLEAR:  # one that is clear now may be otherwise at another time
            groups.setdefault(present.preferences, []).append(subject)
    return Roster({preferences: tuple(sorted(subjects)) for preferences, subjects in groups.items()})


_CACHES: Final[weakref.WeakSet[PreferenceCache]] = weakref.WeakSet()
"""For forked children, and for the end of the interpreter."""


def _forked() -> None:
    for all_preferences in list(_CACHES):
        all_preferences.leave_to_the_parent()


@atexit.register
def _close_all() -> None:
    for all_preferences in list(_CACHES):
        all_preferences.close()


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no forks
    os.register_at_fork(after_in_child=_forked)
