"""How things stand for a subject, known without asking the store at every check: a cache, and who keeps it true."""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import time
import weakref
from collections.abc import Collection, Iterator
from typing import Final

import cachetools

from purposeguard.errors import StoreUnavailable
from purposeguard.governance import changes
from purposeguard.governance.declarations import Stands
from purposeguard.governance.roster import Rolls
from purposeguard.governance.subjects import Subjects
from purposeguard.governance.unavailable import unavailable
from purposeguard.governance.watching import Watcher
from purposeguard.locks import new_lock
from purposeguard.policy.context import SubjectPreferences
from purposeguard.runtime.protocols import Roster

Kept = tuple[SubjectPreferences, float, Stands | None]
"""How things stand; until when that is kept, by the monotonic clock; when it changes by itself, where it does."""

PATIENCE: Final = 0.25
"""Seconds for which a check waits for the look that another thread has begun."""

SHARED: Final = 4096
"""Standings, and entries of the cache, that are kept to be shared by subjects for whom things stand alike."""

STEPS: Final = 64
"""Into how many steps the greatest age is divided."""


class Standings:
    """How things stand for each subject: `standings.standing(key)`, from any thread.

    Of at most `maxsize` subjects it is kept, for at most `max_age` seconds. What is kept is relied on only as long as
    the store was looked at within the last `staleness` seconds: so a change made by any process is in force in this one
    by then, whatever happens, and as a rule within `poll` seconds on SQLite, and at once on PostgreSQL, which notifies.
    A change made through the same store is in force when the method that made it returns.

    Where the store was not looked at for so long, a check looks itself; if that fails it raises StoreUnavailable, and
    so do those that come within the next `poll` seconds. No time of day decides about any of this.
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
                f"standings need room, and a poll within their staleness: {maxsize=}, {max_age=}, {staleness=}, {poll=}"
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
        _STANDINGS.add(self)

    def _begin_anew(self) -> None:
        # Which entry goes first says less than a read costs: reads of a FIFO cache change nothing, so they need no
        # lock (one look-up in a dictionary, which the interpreter makes whole); those of an LRU cache would.
        self._cache: cachetools.FIFOCache[str, Kept] = cachetools.FIFOCache(self.maxsize)
        self._all_preferences: cachetools.FIFOCache[SubjectPreferences, SubjectPreferences] = cachetools.FIFOCache(
            SHARED
        )
        self._entries: cachetools.FIFOCache[Kept, Kept] = cachetools.FIFOCache(SHARED)
        self._reads: dict[str, set[_Read]] = {}
        self._rolls = Rolls(self.subjects)
        self._lock = new_lock()  # of these four; a finaliser may ask while its thread holds it
        self._looking = new_lock()  # of those that follow
        self._look_began = self._failed_until = self._fresh_until = -math.inf
        self._failure = ""
        self._seen: int | None = None
        self._interruptions = self.store.interruptions
        self._watcher: Watcher | None = None

    def preferences(self, subject: str, /) -> SubjectPreferences:
        """How things stand for a subject, by its `subject_key`.

        Raises:
            StoreUnavailable: it is not known, and cannot be read now.
        """
        try:
            preferences, ends, changing = self._cache[subject]
        except KeyError:
            return self._read(subject)
        now = time.monotonic()
        if now < self._fresh_until and now < ends and changing is None:
            return preferences
        return self._reconsidered(subject)

    def roster(self) -> Roster:
        """How things stand for all subjects for whom something was asked; as old as `preferences` may be, at most.

        The first time all of it is read, afterwards only what has changed.

        Raises:
            StoreUnavailable: it cannot be read now.
        """
        self._look_if_stale()  # what is read from now on is what the next look would find changed
        return self._rolls.roster()

    def _reconsidered(self, subject: str) -> SubjectPreferences:
        self._look_if_stale()
        with self._lock:
            kept = self._cache.get(subject)
        if kept is None:
            return self._read(subject)
        preferences, ends, changing = kept
        if time.monotonic() >= ends or (changing is not None and not changing.holds(self.subjects.clock.span())):
            return self._read(subject)
        return preferences

    def _read(self, subject: str) -> SubjectPreferences:
        cache = self._cache  # of before: where all begins anew meanwhile, this may be of another store
        self._look_if_stale()  # what is kept from now on is what the next look would find changed
        read = _Read()
        with self._lock:
            self._reads.setdefault(subject, set()).add(read)
        try:
            stood = self.subjects.stands(subject)
        except BaseException:
            with self._lock:
                self._done(subject, read)
            raise
        with self._lock:
            self._done(subject, read)
            preferences = self._all_preferences.setdefault(stood.preferences, stood.preferences)
            if not read.spoiled:
                # In steps, so that what is read within one of them and stands alike is one object.
                step = self._max_age / STEPS
                changing = None if stood.until is stood.since is None else stood._replace(preferences=preferences)
                entry = (preferences, math.floor(time.monotonic() / step) * step + self._max_age, changing)
                cache[subject] = self._entries.setdefault(entry, entry)
        return preferences

    def _done(self, subject: str, read: _Read) -> None:
        others = self._reads.get(subject, set())
        others.discard(read)
        if not others:
            self._reads.pop(subject, None)

    def __len__(self) -> int:
        """Of how many subjects it is kept how things stand."""
        return len(self._cache)

    def __iter__(self) -> Iterator[str]:
        """Whose standing is kept."""
        with self._lock:
            return iter(list(self._cache))

    # ---- changes --------------------------------------------------------------------------------------------------

    def changed(self, subjects: Collection[str], /) -> None:
        """Forgets what is kept of some subjects, and does not keep what is being read of them."""
        with self._lock:
            for subject in subjects:
                self._cache.pop(subject, None)
                for read in self._reads.pop(subject, ()):
                    read.spoiled = True
        self._rolls.changed(subjects)

    def forget(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._cache.clear()
            for reads in self._reads.values():
                for read in reads:
                    read.spoiled = True
            self._reads.clear()
        self._rolls.forget()

    # ---- looks ----------------------------------------------------------------------------------------------------

    def look(self, missed: bool = False) -> None:
        """Looks what has changed, and forgets it; everything where `missed` says that more may have changed.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        with self._looking:
            self._look(missed)

    def _look(self, missed: bool) -> None:
        self._look_began = began = time.monotonic()
        try:
            with self.store.reading(single=True) as connection:
                if self._seen is None:
                    found = changes.Changes(changes.latest(connection), None)
                else:
                    found = changes.since(connection, self._seen)
        except StoreUnavailable as error:
            self._seen = None  # when it is back it may be in an earlier state, or another one in its place
            self._failure = str(error.args[0])
            self._failed_until = time.monotonic() + self._poll
            raise
        interruptions = self.store.interruptions
        if missed or found.subjects is None or interruptions != self._interruptions:
            self.forget()
        else:
            self.changed(found.subjects)
        self._seen = found.seq
        self._interruptions = interruptions
        self._failed_until = -math.inf
        if not self._closed:
            self._fresh_until = began + self._staleness

    def _look_if_stale(self) -> None:
        if time.monotonic() < self._fresh_until:
            return
        if self._closed:
            raise unavailable(self.store.where, "was closed", "open it again")
        # Whoever comes while another thread looks shares what comes of it, and does not wait long for it.
        if not self._looking.acquire(timeout=max(0.0, self._look_began + PATIENCE - time.monotonic())):
            raise unavailable(self.store.where, "does not answer", "see that the database runs and can be reached")
        try:
            if time.monotonic() >= self._fresh_until:
                if time.monotonic() < self._failed_until:
                    raise StoreUnavailable(self._failure)
                self._look(missed=False)
        finally:
            self._looking.release()
        self._watch()

    def _watch(self) -> None:
        with self._lock:
            if self._closed or (self._watcher is not None and self._watcher.alive):
                return
            # Where no thread can be started, checks go on looking themselves.
            with contextlib.suppress(RuntimeError):
                self._watcher = Watcher(self.store, weakref.WeakMethod(self.look), self._poll)

    def close(self) -> None:
        """Stops looking. What is asked from now on is refused."""
        with self._lock:
            self._closed = True
            watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()
        self._fresh_until = -math.inf
        self.forget()

    def resume(self) -> None:
        """Looks again after it was closed; nothing is known from before."""
        with self._lock:
            self._closed = False
            self._begin_anew()

    def leave_to_the_parent(self) -> None:
        """In a forked child: the thread that looks is the parent's, and nothing is known here."""
        if self._watcher is not None:
            self._watcher.leave_to_the_parent()
        self._begin_anew()


class _Read:
    """A read that is under way; spoiled where what it reads may be what was before a change."""

    __slots__ = ("spoiled",)

    def __init__(self) -> None:
        self.spoiled = False


_STANDINGS: Final[weakref.WeakSet[Standings]] = weakref.WeakSet()
"""For forked children, and for the end of the interpreter."""


def _forked() -> None:
    for all_preferences in list(_STANDINGS):
        all_preferences.leave_to_the_parent()


@atexit.register
def _close_all() -> None:
    for all_preferences in list(_STANDINGS):
        all_preferences.close()


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no forks
    os.register_at_fork(after_in_child=_forked)
