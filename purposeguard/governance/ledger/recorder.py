"""What all ledgers of governance have in common: what they are told becomes entries, and uses are counted."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from purposeguard.errors import PurposeMissing, StoreUnavailable
from purposeguard.governance.ledger import entries
from purposeguard.governance.ledger.chain import USE, Counts, canonical, written
from purposeguard.governance.ledger.counting import Counters
from purposeguard.notice.label import Label
from purposeguard.policy.transfers import Provision
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.clock import Clock, Now, system_time
from purposeguard.runtime.observer import Tick
from purposeguard.runtime.registry import LegalException, Reclassification

LONGEST_BODY: Final = 1_000_000
"""Characters of an entry's body at most."""


class Recorder(abc.ABC):
    """Fills the seat of a guard's ledger: what it is told is on record when its methods return, save counts.

    Counts are written every `interval` seconds, when the process ends, and by `flush` and `close`.
    """

    def __init__(self, *, interval: float, clock: Now | Clock | None, digest: Callable[[str], str] | None) -> None:
        self._clock = Clock.of(clock or system_time)
        self._digest = digest
        self._counters = Counters(self.add, self._clock, interval)

    @abc.abstractmethod
    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        """Records one entry, durably, before it returns: one of the `KINDS`, and what it says.

        Raises:
            StoreUnavailable: it cannot be recorded.
            LedgerBroken: the ledger is not as it was written, so nothing is put behind it.
            TypeError, ValueError: the body has no one spelling in JSON, or there is no such kind.
        """

    @abc.abstractmethod
    def add(self, counts: Counts, last: bool = False) -> None:
        """Puts counts on record, durably, before it returns; raises as `append` does.

        They stay open until their hour is over; with `last`, all become entries at once.
        """

    def _now(self) -> str:
        return written(self._clock.read())

    # ---- told by a guard --------------------------------------------------------------------------------------------

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """A use was refused, or would have been; raises as `append` does, and then says of what."""
        body = entries.denial(error, observed=observed)
        try:
            self.append("denial", body)
        except StoreUnavailable as failure:
            failure.add_note(f"not recorded: {body['reason']}")
            raise

    def counter(self, activity: str | None, purpose: str, label: Label) -> Tick:
        """What is to be called at each use of data of this label."""
        return self._counters.counter(activity, purpose, label)

    def allowed(self, activity: str | None, purpose: str, label: Label, count: int) -> None:
        """Data of this label was used so often; counted as by `counter`."""
        self._counters.add(activity, purpose, label, count)

    def reclassified(self, declared: Reclassification, label: Label, activity: str | None) -> None:
        """A declared function is about to see a value of this label."""
        self.append("reclassification", entries.reclassification(declared, label, activity))

    def excepted(self, exception: LegalException, label: Label, subject: str | None, count: int) -> None:
        """Data is about to be used under an exception. `subject` is whom it is about, where known, by `subject_key`."""
        named = None if subject is None or self._digest is None else self._digest(subject)
        self.append("exception", entries.exception(exception, label, named, count))

    # ---- told by governance -----------------------------------------------------------------------------------------

    def provided(self, provision: Provision) -> None:
        """A hand-over is about to take place. Its subjects are named by their digests, or only counted without any."""
        self.append("provision", entries.provision(provision, self._digests(provision)))

    def restricted(self, kind: str, subject: str, details: Mapping[str, Any]) -> None:
        """A subject, named by its digest, stopped something, agreed to something, or took that back.

        `kind` says which, `erasure` or `withdrawn`, and the `details` the rest, by clause; nothing in it is personal.
        """
        self.append(*entries.declaration(kind, subject, details))

    def requested(self, subject: str | None, details: Mapping[str, Any]) -> None:
        """A step of a request was taken; `subject` is the digest of whom it is about, where known."""
        self.append("request", entries.request(subject, details))

    def _digests(self, provision: Provision) -> list[str] | None:
        return None if self._digest is None else [self._digest(one) for one in provision.subjects]

    # ---- the end ----------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Writes what was counted, now; raises as `append` does, and keeps then what was counted."""
        self._counters.flush()

    def close(self) -> None:
        """Writes what was counted, also of the hour that is not over, and ends counting. Not before its guards rest."""
        self._counters.close()

    def resume(self) -> None:
        """Counts again after it was closed."""
        self._counters.resume()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()


def known(kind: str) -> str:
    """A kind of entry, if it is one that can be told of.

    Raises:
        ValueError: it is none.
    """
    if kind == USE:
        raise ValueError("uses are counted, by `counter` or `allowed`, and become entries when their hour is over")
    if kind not in entries.KINDS:
        raise ValueError(f"there are no entries of kind `{kind}`: {', '.join(entries.KINDS)}")
    return kind


def entry_made(kind: str, body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A kind and a body as entries have them.

    Raises:
        TypeError, ValueError: there is no such kind, or the body is no JSON, or too long.
    """
    made = entries.sound(body)
    if len(canonical(made)) > LONGEST_BODY:
        raise ValueError(f"an entry of a ledger says at most {LONGEST_BODY:,} characters")
    return known(kind), made
