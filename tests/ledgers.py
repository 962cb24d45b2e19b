"""Ledgers of many entries: each entry as the library writes it, in few transactions."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from purposeguard.governance.ledger.chain import Head, Hour, advanced, written
from purposeguard.governance.ledger.sql import head, ledger
from purposeguard.governance.store import Store
from purposeguard.notices import trendmicro_jp as tm

BEGINNING: Final = datetime.datetime(2023, 5, 1, tzinfo=datetime.UTC)
AN_HOUR: Final = 40
"""Entries of one hour."""


def filled(url: str, entries: int, activities: Sequence[str]) -> int:
    """Makes a store whose ledger has so many entries, of uses and some denials; gives the number of uses."""
    uses = 0
    state = Head()
    turns = itertools.cycle(enumerate(activities))
    with Store.open(url) as store, store.writing() as connection:
        rows: list[dict[str, Any]] = []
        while state.seq < entries:
            at = written(BEGINNING + datetime.timedelta(hours=state.seq // AN_HOUR))
            counts: dict[Hour, int] = {}
            for number, activity in itertools.islice(turns, min(AN_HOUR, entries - state.seq) - 1):
                purpose = tm.NOTICE.purposes[number % len(tm.NOTICE.purposes)]
                counts[Hour(f"{at[:13]}:00Z", activity, purpose.clause, ("1.1(a)",))] = number % 9 + 1
            made, state = advanced(state, at, [("denial", denied(activities[0]))], counts, close=True)
            uses += sum(counts.values())
            rows += [
                {name: getattr(entry, name) for name in ("seq", "at", "kind", "prev", "hash")}
                | {"body": entry.body_text}
                for entry in made
            ]
            if len(rows) > 20_000 or state.seq >= entries:
                connection.execute(sa.insert(ledger), rows)
                rows.clear()
        values = {name: getattr(state, name) for name in ("seq", "at", "hash", "digest")}
        connection.execute(sa.update(head).where(head.c.id == 1).values(**values, open=state.open_text))
    return uses


def denied(activity: str) -> dict[str, Any]:
    """The body of a denial."""
    reason = "renewal-guidance (1.2(1)①) may not use product-data (1.1(b))"
    facts = {"error": "PurposeViolation", "observed": False, "reason": reason, "activity": activity, "channel": None}
    return {**facts, "function": None, "field": None, "purpose": "1.2(1)①", "sources": ["1.1(b)"], "denied": ["1.1(b)"]}
