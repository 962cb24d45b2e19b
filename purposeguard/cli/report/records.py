"""Figures from a store: the ledger added up, requests, restrictions, what is due. No subject is named."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from purposeguard.cli.options import needing, store_of
from purposeguard.guard import Guard
from purposeguard.notice.notice import Notice
from purposeguard.notice.schema import LegalPeriod, Period, list_ids

if TYPE_CHECKING:
    from purposeguard.governance import Governance
    from purposeguard.governance.ledger.reading import Total
    from purposeguard.governance.request_records import Overview
    from purposeguard.governance.restrictions import Figure
    from purposeguard.governance.retention import Due
    from purposeguard.governance.store import Store

KEYS: Final[Mapping[str, Sequence[str]]] = {
    "use": ("activity", "purpose", "sources"),
    "denial": ("activity", "function", "purpose", "sources", "denied", "observed"),
    "provision": ("recipient", "kind", "country"),
    "exception": ("name", "basis"),
    "reclassification": ("name",),
}
"""What entries of the ledger are added up by. None of these names a subject."""

SOON: Final = 7
"""Days within which a request is soon due."""

Progress = Callable[[int, int], object]
"""Called with the number of ledger entries read since the last call, and with their total."""


@dataclasses.dataclass(frozen=True, slots=True)
class LedgerEvidence:
    """What is in the ledger of one thing: how often it was used, refused, or would have been (`observed`), and when."""

    uses: int = 0
    last_use: str | None = None
    refused: int = 0
    observed: int = 0
    last_denial: str | None = None

    @property
    def denials(self) -> int:
        """Refused and observed together."""
        return self.refused + self.observed

    def __bool__(self) -> bool:
        return bool(self.uses or self.denials)

    def __add__(self, other: LedgerEvidence) -> LedgerEvidence:
        return LedgerEvidence(
            self.uses + other.uses,
            _later(self.last_use, other.last_use),
            self.refused + other.refused,
            self.observed + other.observed,
            _later(self.last_denial, other.last_denial),
        )


def _later(time: str | None, other: str | None) -> str | None:
    return max(filter(None, (time, other)), default=None)


NONE: Final = LedgerEvidence()


class Counted(NamedTuple):
    """Entries of the ledger that have the same values."""

    values: tuple[Any, ...]
    """The values of the keys in `KEYS`."""
    times: int
    """The number of entries, or of uses by a legal override."""
    last: str
    """The time of the last one."""


class RequestFigures(NamedTuple):
    """The number of requests of one kind."""

    kind: str
    states: Mapping[str, int]
    """The number of requests by state."""
    overdue: int
    """The number of overdue ones."""
    soon: int
    """The number of those that are due within a week."""
    next_due: datetime.date | None
    """The next day on which one is due."""


@dataclasses.dataclass(frozen=True, slots=True)
class LedgerRecords:
    """The figures of a store. `entries`: how many the ledger has; `since` and `until`: when it was written."""

    where: str
    entries: int
    since: str | None
    until: str | None
    totals: tuple[Total, ...]
    today: datetime.date
    requests: tuple[RequestFigures, ...]
    restrictions: tuple[Figure, ...]
    erasable: tuple[Due, ...]
    unserved: tuple[Period | LegalPeriod, ...]

    @property
    def problems(self) -> list[str]:
        """What erasers failed with when they were asked what is due."""
        return list(_iter_problems(self.erasable))

    def uses(self) -> Iterable[tuple[str | None, str, tuple[str, ...], LedgerEvidence]]:
        """Yield the activity, purpose, sources and evidence of each use and denial.

        The sources of a denial are those that were denied.

        The purpose of what was done outside any is empty.
        """
        for total in self.totals:
            if total.kind == "use":
                activity, purpose, sources = total.values
                yield activity, purpose, sources or (), LedgerEvidence(uses=total.counted, last_use=total.last)
            elif total.kind == "denial":
                activity, _, purpose, sources, denied, observed = total.values
                yield activity, purpose or "", denied or sources or (), _parse_denial(total, observed)

    def denials_in(self) -> dict[str, LedgerEvidence]:
        """Return the evidence of the denials of each access function."""
        denials: dict[str, LedgerEvidence] = {}
        for total in self.totals:
            if total.kind == "denial" and total.values[1] is not None:
                denials[total.values[1]] = denials.get(total.values[1], NONE) + _parse_denial(total, total.values[5])
        return denials

    def count_kind(self, kind: str) -> tuple[Counted, ...]:
        """Count the entries of a kind."""
        return tuple(self._iter_counted(kind))

    def _iter_counted(self, kind: str) -> Iterator[Counted]:
        for total in self.totals:
            if total.kind == kind:
                yield Counted(total.values, total.counted if kind == "exception" else total.entries, total.last)


def _iter_problems(parts: Iterable[Due]) -> Iterator[str]:
    for part in parts:
        if part.problem:
            yield f"eraser {part.eraser}: {part.problem}"


def _parse_denial(total: Total, observed: object) -> LedgerEvidence:
    if observed:
        return LedgerEvidence(observed=total.entries, last_denial=total.last)
    return LedgerEvidence(refused=total.entries, last_denial=total.last)


def records_of(guard: Guard, target: str | None, progress: Progress) -> LedgerRecords | None:
    """Return the figures of the store `target`, or of the guard's governance or ledger; None if there is no store.

    The erasers of the guard's governance say what is due.

    Raises:
        CommandProblem: there is no such store, or its libraries are not installed.
        StoreUnavailable: it cannot be read.
        LedgerBroken: an entry of its ledger cannot be read.
    """
    if target is None and guard.governance is None and guard.ledger is None:
        return None
    with needing("governance", "a store needs"):
        from purposeguard.governance import Governance  # noqa: PLC0415  # needs the extra `governance`
    governance = guard.governance if isinstance(guard.governance, Governance) else None
    with contextlib.ExitStack() as stack:
        stores = _own(guard, governance) if target is None else (store := stack.enter_context(store_of(target)), store)
        if stores is None:
            return None
        return _read(guard, governance, stores, progress)


def _own(guard: Guard, governance: Governance | None) -> tuple[Store, Store] | None:
    """Return the store of the guard's governance, and that of its ledger; None if neither is open."""
    from purposeguard.governance.ledger import SqlLedger  # noqa: PLC0415  # as above

    ledger_store = guard.ledger.store if isinstance(guard.ledger, SqlLedger) else None
    store = governance.store if governance is not None else ledger_store
    if store is None or not store.is_open:
        return None
    return store, ledger_store if ledger_store is not None and ledger_store.is_open else store


def _read(
    guard: Guard, governance: Governance | None, stores: tuple[Store, Store], progress: Progress
) -> LedgerRecords:
    from purposeguard.governance import request_records, restrictions  # noqa: PLC0415  # as above
    from purposeguard.governance.ledger.sql import SqlLedgerSnapshot  # noqa: PLC0415  # likewise
    from purposeguard.governance.retention import RetentionJob  # noqa: PLC0415  # likewise

    store, ledger_store = stores
    notice, clock = guard.notice, guard.engine.clock
    now = clock.now()
    with ledger_store.reading() as connection:
        ledger = SqlLedgerSnapshot(connection)
        entries = ledger.head.seq - ledger.start.seq
        totals = ledger.totals(KEYS, lambda count: progress(count, entries))
        until = ledger.head.at or None
    with store.reading() as connection:
        overview = request_records.build_overview(connection, now, notice.document.timezone)
        figures = restrictions.count_declarations(connection, now)
    plan = None
    if governance is not None:
        plan = RetentionJob(store, notice, governance.erasers, clock=clock).plan()
    return LedgerRecords(
        where=_address(store),
        entries=entries,
        since=min(map(attrgetter("first"), totals), default=None),
        until=until,
        totals=totals,
        today=overview.today,
        requests=_requests(overview, notice),
        restrictions=tuple(figures),
        erasable=() if plan is None else plan.parts,
        unserved=_periods(notice) if plan is None else plan.unserved,
    )


def _address(store: Store) -> str:
    """Return the address of a store, without user and password."""
    url = store.engine.url
    return f"{url.host or 'localhost'}/{url.database}" if store.dialect == "postgresql" else str(url.database)


def _requests(overview: Overview, notice: Notice) -> tuple[RequestFigures, ...]:
    rights = notice.document.rights
    kinds = dict.fromkeys(() if rights is None else list_ids(rights.request))
    kinds |= dict.fromkeys(kind for kind, _ in overview.counts)
    return tuple(_count_requests(kind, overview) for kind in kinds)


def _count_requests(kind: str, overview: Overview) -> RequestFigures:
    states: dict[str, int] = {state: count for (other, state), count in overview.counts.items() if other == kind}
    soon = overview.today + datetime.timedelta(days=SOON)
    overdue = nearing = 0
    days: list[datetime.date] = []
    for request in overview.pending:
        if request.kind == kind:
            overdue += request.overdue(overview.today)
            if request.due_on is not None:
                nearing += overview.today <= request.due_on <= soon
                days.append(request.due_on)
    return RequestFigures(kind, states, overdue, nearing, min(days, default=None))


def _periods(notice: Notice) -> tuple[Period, ...]:
    retention = notice.document.retention
    return () if retention is None else retention.period
