"""A ledger in the database: every denial and every reclassification as it happens, and who used what how often."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

from sqlalchemy import func, select

import purposeguard as pg
from examples.shop.database import DenialRow, ReclassifiedRow, Session, UseRow
from examples.shop.models import Denial, LedgerPage, Reclassified, UseCount

BATCH = 500
"""Counts kept in memory at most before they are written."""


class DatabaseLedger:
    """Fills the seat `purposeguard.Ledger`.

    A denial is written in a transaction of its own before the caller sees the error, so a rollback of the caller's work
    does not take it along; a reclassification likewise, before the function sees the value. Counts come far more often
    (an export is counted row by row), so they are added up in memory and written in batches: after `BATCH` of them,
    when the ledger is read, and at shutdown.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: Counter[tuple[str, str, str]] = Counter()
        self._told = 0

    def denied(self, error: pg.PurposeViolation | pg.PurposeMissing, *, observed: bool) -> None:
        row = DenialRow(error=type(error).__name__, reason=str(error), observed=observed)
        if isinstance(error, pg.PurposeViolation):
            decision = error.decision
            row.activity, row.function, row.field = error.activity, error.function, error.field
            row.purpose = purpose_id(decision.purpose)
            row.sources = clauses(decision.denied or decision.label)
            row.reason = decision.headline
        with Session.begin() as session:
            session.add(row)

    def allowed(self, activity: str | None, purpose: str, label: pg.Label, count: int) -> None:
        with self._lock:
            self._pending[activity or "(check)", purpose, clauses(label)] += count
            self._told += 1
            due = self._told >= BATCH
        if due:
            self.flush()

    def reclassified(self, declared: pg.Reclassification, label: pg.Label, activity: str | None) -> None:
        row = ReclassifiedRow(
            activity=activity,
            name=declared.name,
            sources=clauses(label),
            to=clauses(declared.to),
            why=declared.why,
            approver=declared.approver,
        )
        with Session.begin() as session:
            session.add(row)

    def flush(self) -> None:
        """Writes what is pending; what cannot be written stays pending."""
        with self._lock:
            pending, self._pending, self._told = self._pending, Counter(), 0
        try:
            with Session.begin() as session:
                session.add_all(
                    UseRow(activity=activity, purpose=purpose, sources=sources, count=count)
                    for (activity, purpose, sources), count in pending.items()
                )
        except BaseException:
            with self._lock:
                self._pending += pending
            raise

    def page(self, most: int = 100) -> LedgerPage:
        """The newest denials and reclassifications, oldest first, and all counts added up."""
        self.flush()
        groups = (UseRow.activity, UseRow.purpose, UseRow.sources)
        totals = select(*groups, func.sum(UseRow.count).label("count")).group_by(*groups).order_by(*groups)
        with Session() as session:
            denials = session.scalars(select(DenialRow).order_by(DenialRow.id.desc()).limit(most)).all()
            left = session.scalars(select(ReclassifiedRow).order_by(ReclassifiedRow.id.desc()).limit(most)).all()
            return LedgerPage(
                denials=[Denial.model_validate(row) for row in reversed(denials)],
                reclassified=[Reclassified.model_validate(row) for row in reversed(left)],
                uses=[UseCount.model_validate(row) for row in session.execute(totals)],
            )


def clauses(sources: Iterable[type[pg.Source]]) -> str:
    """`1.1(a) 1.1(c)`."""
    return " ".join(source.clause for source in sources)


def purpose_id(purpose: type[pg.Purpose] | pg.Family) -> str:
    """The canonical id of a purpose, or the name of a family."""
    return purpose.name if isinstance(purpose, pg.Family) else purpose.clause
