"""The ledger as an auditor reads it. It names clauses and code, but identifies people only by a digest."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from examples.shop.models import Denial, LedgerPage, Noted, Reclassified, UseCount, Verdict
from examples.shop.privacy import governance
from purposeguard.governance import SqlLedger
from purposeguard.governance.ledger.chain import Entry

OTHERS = ("request", "restriction", "consent", "provision", "exception")


def page(most: int) -> LedgerPage:
    """Return the newest entries of each kind, oldest first, and the total counts of uses."""
    ledger = _ledger()
    totals: Counter[tuple[str, str, str]] = Counter()
    for used, count in ledger.uses().items():  # The ledger counts uses by the hour.
        totals[used.activity or "(check)", used.purpose, _join_ids(used.sources)] += count
    return LedgerPage(
        denials=[
            Denial.model_validate(_facts(one, Denial) | {"sources": _format_denied(one)})
            for one in deque(ledger.entries(["denial"]), most)
        ],
        reclassified=[
            Reclassified.model_validate(
                _facts(one, Reclassified) | {"sources": _join_ids(one.body["sources"]), "to": _join_ids(one.body["to"])}
            )
            for one in deque(ledger.entries(["reclassification"]), most)
        ],
        noted=[Noted(at=one.moment, kind=one.kind, says=dict(one.body)) for one in deque(ledger.entries(OTHERS), most)],
        uses=[
            UseCount(activity=activity, purpose=purpose, sources=sources, count=count)
            for (activity, purpose, sources), count in sorted(totals.items())
        ],
    )


def verify_ledger() -> Verdict:
    """Check the chain of entries from the first to the last.

    Raises:
        LedgerBroken: an entry is not as it was written.
    """
    found = _ledger().verify()
    return Verdict(entries=found.entries, hash=found.head.hash)


def _ledger() -> SqlLedger:
    ledger = governance.ledger
    if not isinstance(ledger, SqlLedger):
        raise TypeError("the ledger is kept elsewhere, and cannot be read back here")
    return ledger


def _facts(entry: Entry, model: type[BaseModel]) -> dict[str, Any]:
    """Return the facts of an entry that a page shows."""
    return {name: entry.body.get(name) for name in model.model_fields} | {"at": entry.moment}


def _format_denied(entry: Entry) -> str | None:
    """Return the clauses of the refused data, or None if they are unknown: data were read outside any purpose."""
    return _join_ids(entry.body["denied"] or entry.body["sources"]) if "sources" in entry.body else None


def _join_ids(clauses: Iterable[str]) -> str:
    return " ".join(clauses)
