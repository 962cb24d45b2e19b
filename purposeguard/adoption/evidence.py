"""The collection of evidence: which entry point reads which fields of which sources, for which purpose.

Evidence consists of counters. It contains names of code and clauses of the notice, and no value, no text of a statement
and no id of a person.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Final

from purposeguard.adoption.evidence_store import EvidenceKey, EvidenceStore
from purposeguard.errors import EvidenceError, PurposeGuardError, PurposeMissing
from purposeguard.locks import make_lock
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Family, list_term_ids
from purposeguard.policy.violations import PurposeViolation
from purposeguard.processes import LiveObjects, call_at_exit
from purposeguard.runtime.entry_point import current_entry_point
from purposeguard.runtime.observer import Fields, Observer, Tick
from purposeguard.runtime.registry import Activity

if TYPE_CHECKING:
    from purposeguard.guard import Guard
    from purposeguard.policy.table import PolicyTable

INTERVAL_SECONDS: Final = 1.0
"""The time between two writes. A process that is killed loses what it counted since the last write."""

MAX_WAITING: Final = 50_000
"""The greatest number of different counters that wait for a write."""

_LONGEST_NAME: Final = 300
_log: Final = logging.getLogger("purposeguard")


class Evidence(Observer):
    """An observer that counts reads and denials, and writes the counts to a store.

    The application never waits for the store. If the store cannot be written, the counts are kept and written later; if
    too many wait, counting stops and a warning is logged once.

    Pass it to the guard, `Guard(notice, mode="observe", observers=[Evidence(store)])`.
    """

    def __init__(
        self, store: EvidenceStore, *, interval: float | None = INTERVAL_SECONDS, max_waiting: int = MAX_WAITING
    ) -> None:
        """Start to collect.

        Args:
            store: The store to write to.
            interval: The seconds between two writes. None: only `flush` writes.
            max_waiting: The greatest number of different counters that wait for a write.
        """
        self._store = store
        self._interval = interval
        self._max_waiting = max_waiting
        self._lock = make_lock()  # It guards the counters.
        self._writing = make_lock()  # Held during a write, so that two threads never write the same counts.
        self._reads: dict[tuple[str | None, int, Fields], _CountedRead] = {}
        self._counts: collections.Counter[EvidenceKey] = collections.Counter()
        self._notice = ""
        self._table: PolicyTable | None = None
        self._has_failed = self._has_stopped = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        _COLLECTORS.add(self)

    def attach(self, guard: Guard) -> None:
        """Note the revision of the notice of a guard. Called when the guard is created and when its notice changes."""
        with self._lock:
            self._sum_reads()  # They took place under the revision before.
            self._table = guard.engine.snapshot.matrix
            self._notice = format_revision(guard)

    # ---- events ------------------------------------------------------------------------------------------------------

    def read(self, fields: Fields, activity: Activity | None) -> None:
        """Count a read of fields."""
        key = (current_entry_point(), id(activity), fields)
        with self._lock:
            counted = self._reads.get(key)
            if counted is not None:
                counted.count += 1
            elif self._has_room():
                self._reads[key] = _CountedRead(activity)

    def counter(self, activity: str | None, purpose: str, label: Label, /) -> Tick:
        """Return a function that counts a use of a label whose field is not known, such as a sealed value."""
        sources = _join_ids(label)

        def count_use() -> None:
            self._count(activity=activity, purpose=purpose, sources=sources, outcome="read")

        return count_use

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """Count a denial with its reason."""
        outcome = "observed" if observed else "denied"
        if not isinstance(error, PurposeViolation):
            self._count(outcome=outcome, detail="purpose-missing")
            return
        decision = error.decision
        self._count(
            activity=error.activity,
            purpose=decision.purpose.name if isinstance(decision.purpose, Family) else decision.purpose.clause,
            channel=decision.channel,
            conditions=" ".join(sorted(decision.context.conditions)),
            field=error.field or error.function,
            sources=_join_ids(decision.label),
            outcome=outcome,
            detail="" if decision.reason is None else decision.reason.name.lower(),
        )

    def unresolved(self, fields: Fields, activity: Activity | None, event: str, error: PurposeGuardError) -> None:
        """Count a statement or data flow that could not be analyzed, with each field that it could have read."""
        for name, label in fields or (("", None),):
            self._count_for(
                activity,
                field=name,
                sources="" if label is None else self._join_record_ids(label),
                outcome="unresolved",
                detail=f"{event}: {type(error).__name__}",
            )

    # ---- counting ----------------------------------------------------------------------------------------------------

    @property
    def has_stopped(self) -> bool:
        """True if counting has stopped, because too many counters waited for the store."""
        return self._has_stopped

    def add(self, key: EvidenceKey, times: int = 1) -> None:
        """Count an event whose facts are known."""
        with self._lock:
            if key in self._counts or self._has_room():
                self._counts[key] += times

    def _has_room(self) -> bool:
        """Return True if another counter may wait for a write. Otherwise stop counting."""
        if not self._has_stopped and len(self._reads) + len(self._counts) < self._max_waiting:
            self._start()
            return True
        if not self._has_stopped:
            self._has_stopped = True
            _log.warning("evidence is not collected any more: %d counters wait for their store", self._max_waiting)
        return False

    def _count_for(
        self, activity: Activity | None, *, times: int = 1, entry_point: str | None = None, **facts: str
    ) -> None:
        if activity is not None:
            facts |= {
                "activity": activity.name,
                "purpose": activity.purpose_id,
                "channel": activity.channel or "",
                "conditions": " ".join(sorted(activity.conditions)),
            }
        self._count(times=times, entry_point=entry_point, **facts)

    def _count(self, *, times: int = 1, entry_point: str | None = None, **facts: str | None) -> None:
        entry_point = current_entry_point() if entry_point is None else entry_point
        texts = {name: (value or "")[:_LONGEST_NAME] for name, value in facts.items()}
        self.add(EvidenceKey(notice=self._notice, entry_point=(entry_point or "")[:_LONGEST_NAME], **texts), times)

    def _join_record_ids(self, label: Label) -> str:
        """Return the ids of the sources of a label. Over several notices, they contain those of the notices."""
        return _join_ids(label if self._table is None else self._table.to_record_label(label))

    def _sum_reads(self) -> None:
        """Add the reads to the counts. The caller holds the lock."""
        reads, self._reads = self._reads, {}
        for (entry_point, _, fields), counted in reads.items():
            for name, label in fields:
                self._count_for(
                    counted.activity,
                    times=counted.count,
                    entry_point=entry_point or "",
                    field=name,
                    sources=self._join_record_ids(label),
                    outcome="read",
                )

    def _take_counts(self) -> collections.Counter[EvidenceKey]:
        """Return all counts that are not written, and keep none."""
        with self._lock:
            self._sum_reads()
            counts, self._counts = self._counts, collections.Counter()
        return counts

    # ---- writing -----------------------------------------------------------------------------------------------------

    def flush(self) -> bool:
        """Write all counts. Return False if the store cannot be written; the counts are kept then."""
        with self._writing:
            counts = self._take_counts()
            if not counts:
                return True
            try:
                self._store.add(counts)
            except EvidenceError as error:
                with self._lock:
                    self._counts.update(counts)
                if not self._has_failed:
                    self._has_failed = True
                    _log.warning("evidence cannot be written now, it is kept and written later: %s", error)
                return False
            self._has_failed = False
            return True

    def _start(self) -> None:
        """Start the thread that writes, at the first count of a process."""
        if self._thread is None and self._interval is not None:
            self._thread = threading.Thread(target=self._write_repeatedly, name="purposeguard-evidence", daemon=True)
            call_at_exit(self.close)  # Registered last, so that counts are written before stores are closed.
            with contextlib.suppress(RuntimeError):  # If no more threads can be started, `close` writes the counts.
                self._thread.start()

    def _write_repeatedly(self) -> None:
        while not self._wake.wait(self._interval):
            self.flush()

    def _restart_in_child(self) -> None:
        """Forget the counts of the parent, which writes them itself."""
        self._reads, self._counts = {}, collections.Counter()
        self._wake = threading.Event()
        self._thread = None

    def close(self) -> None:
        """Write the remaining counts and stop the thread. Called at the end of the process."""
        self._wake.set()
        atexit.unregister(self.close)
        if not self.flush():
            _log.warning("evidence of this process is lost: its store could not be written")


class _CountedRead:
    """The number of reads of the same fields by an activity. It holds the activity, so that its id is not reused."""

    __slots__ = ("activity", "count")

    def __init__(self, activity: Activity | None) -> None:
        self.activity = activity
        self.count = 1


_COLLECTORS: Final[LiveObjects[Evidence]] = LiveObjects(in_child=Evidence._restart_in_child)


def format_revision(guard: Guard) -> str:
    """Return the ids and revisions of the notices that a guard enforces."""
    parts = guard.engine.snapshot.matrix.parts
    return " ".join(f"{part.notice.id}@{part.notice.revision}" for part in parts)


def _join_ids(label: Label) -> str:
    return " ".join(list_term_ids(label))
