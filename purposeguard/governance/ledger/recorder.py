"""What both ledgers share: events that a guard and governance report become entries; uses are counted."""

from __future__ import annotations

import abc
import collections
import datetime
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from purposeguard.errors import PurposeMissing, StoreUnavailable
from purposeguard.governance.ledger import entries
from purposeguard.governance.ledger.chain import Body, Counts, Entry, Hour, written
from purposeguard.governance.ledger.counting import Counters
from purposeguard.governance.ledger.reading import Reading, Verdict
from purposeguard.notice.label import Label
from purposeguard.policy.transfers import Provision
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.clock import Clock, Now, system_time
from purposeguard.runtime.declarations import LegalException, Reclassification
from purposeguard.runtime.observer import Tick


class ChainedLedger(abc.ABC):
    """A ledger with a chain of hashes. An event is on record when the method that reports it returns.

    Uses are counted; counts are written every `interval` seconds, when the process ends, and by `flush` and `close`.
    Methods that report an event raise StoreUnavailable if it cannot be recorded, and LedgerBroken if the ledger was
    changed, so that nothing is written behind it.
    """

    def __init__(self, *, interval: float, clock: Now | Clock | None, digest: Callable[[str], str] | None) -> None:
        self._clock = Clock.of(clock or system_time)
        self._digest = digest
        self._counters = Counters(lambda counts, last: self._write([], counts, last), self._clock, interval)

    # ---- where the lines are: what a backend adds ------------------------------------------------------------------

    @abc.abstractmethod
    def _write(self, additions: Sequence[tuple[str, Body]], counts: Counts, last: bool = False) -> object:
        """Writes entries and counts, durably, before it returns; one call at a time.

        Counts stay open until their hour is over; with `last`, all become entries.
        """

    @abc.abstractmethod
    def reading(self) -> AbstractContextManager[Reading]:
        """A snapshot of the ledger, to be read in a `with` block."""

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        """Records one entry of one of the `KINDS`, and the counts so far.

        Raises:
            TypeError, ValueError: as `entry_made`.
        """
        addition = entries.entry_made(kind, body)
        with self._counters.taking() as counts:
            self._write([addition], counts)

    def _now(self) -> str:
        return written(self._clock.read())

    # ---- reported by a guard ---------------------------------------------------------------------------------------

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """A use was refused, or would have been (`observed`)."""
        body = entries.denial(error, observed=observed)
        try:
            self.append("denial", body)
        except StoreUnavailable as failure:
            failure.add_note(f"not recorded: {body['reason']}")
            raise

    def counter(self, activity: str | None, purpose: str, label: Label) -> Tick:
        """A function to be called at each use of data of this label."""
        return self._counters.counter(activity, purpose, label)

    def reclassified(self, declared: Reclassification, label: Label, activity: str | None) -> None:
        """A declared function is about to see a value of this label."""
        self.append("reclassification", entries.reclassification(declared, label, activity))

    def excepted(self, exception: LegalException, label: Label, subject: str | None, count: int) -> None:
        """Data is about to be used under an exception; `subject` is a `subject_key`, if known."""
        digest = None if subject is None or self._digest is None else self._digest(subject)
        self.append("exception", entries.exception(exception, label, digest, count))

    def provided(self, provision: Provision) -> None:
        """A hand-over is about to take place. Subjects are named by digest; without a secret they are only counted."""
        digests = None if self._digest is None else [self._digest(subject) for subject in provision.subjects]
        self.append("provision", entries.provision(provision, digests))

    # ---- reading ---------------------------------------------------------------------------------------------------

    def entries(
        self,
        kinds: Collection[str] | None = None,
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
    ) -> Iterator[Entry]:
        """The entries of these kinds and this period (`until` excluded), oldest first, not verified.

        Raises:
            LedgerBroken: an entry, or the head, is malformed.
            StoreUnavailable: the ledger is unreadable.
        """
        with self.reading() as reading:
            yield from reading.entries(kinds, since, until)

    def uses(
        self, since: datetime.datetime | None = None, until: datetime.datetime | None = None
    ) -> collections.Counter[Hour]:
        """The counts of the hours that begin in this period; flushes first. Raises as `entries`."""
        self.flush()
        with self.reading() as reading:
            return reading.uses(since, until)

    def verify(self, expect: str | None = None) -> Verdict:
        """Verifies every entry and the head; one entry must have the hash `expect`, noted earlier.

        Raises:
            LedgerBroken: the ledger was changed: the place, and the fault.
            StoreUnavailable: the ledger is unreadable.
        """
        with self.reading() as reading:
            return reading.verify(expect)

    # ---- the end ---------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Writes the counts; where that fails they are kept, and the error is raised."""
        self._counters.flush()

    def close(self) -> None:
        """Writes the counts, those of the present hour included, and ends counting."""
        self._counters.close()

    def resume(self) -> None:
        """Counts again after `close`."""
        self._counters.resume()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
