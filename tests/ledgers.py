"""Ledgers of many entries: each entry as the library writes it, in few transactions."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from purposeguard.governance.ledger.chain import GENESIS, Hour, format_moment, to_canonical_json
from purposeguard.governance.ledger.tables import head, ledger
from purposeguard.governance.ledger.writing import chain_entries
from purposeguard.governance.store import Store
from purposeguard.notices import trendmicro_jp as tm

BEGINNING: Final = datetime.datetime(2023, 5, 1, tzinfo=datetime.UTC)
AN_HOUR: Final = 40
"""Entries of one hour."""


def filled(url: str, entries: int, activities: Sequence[str]) -> int:
    """Makes a store whose ledger has so many entries, of uses and some denials; gives the number of uses."""
    uses, seq, last = 0, 0, GENESIS
    turns = itertools.cycle(enumerate(activities))
    with Store.open(url) as store, store.writing() as connection:
        rows: list[dict[str, Any]] = []
        while seq < entries:
            at = format_moment(BEGINNING + datetime.timedelta(hours=seq // AN_HOUR))
            additions = [("denial", to_canonical_json(denied(activities[0])))]
            for number, activity in itertools.islice(turns, min(AN_HOUR, entries - seq) - 1):
                purpose = tm.NOTICE.purposes[number % len(tm.NOTICE.purposes)]
                count = number % 9 + 1
                hour = Hour(f"{at[:13]}:00Z", activity, purpose.clause, ("1.1(a)",))
                additions.append(("use", to_canonical_json(hour.body(count))))
                uses += count
            made = chain_entries(seq, last, at, additions)
            seq, last = made[-1].seq, made[-1].hash
            rows += [
                {name: getattr(entry, name) for name in ("seq", "at", "kind", "prev", "hash")}
                | {"body": entry.body_text}
                for entry in made
            ]
            if len(rows) > 20_000 or seq >= entries:
                connection.execute(sa.insert(ledger), rows)
                rows.clear()
        connection.execute(sa.update(head).where(head.c.id == 1).values(seq=seq, hash=last))
    return uses


def denied(activity: str) -> dict[str, Any]:
    """The body of a denial."""
    reason = "renewal-guidance (1.2(1)①) may not use product-data (1.1(b))"
    facts = {"error": "PurposeViolation", "observed": False, "reason": reason, "activity": activity, "channel": None}
    return {**facts, "function": None, "field": None, "purpose": "1.2(1)①", "sources": ["1.1(b)"], "denied": ["1.1(b)"]}
