"""Evidence of adoption in the store of governance, to which the processes of many machines may write."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from purposeguard.adoption.evidence_store import EvidenceKey, EvidenceRow
from purposeguard.errors import EvidenceError, StoreUnavailable
from purposeguard.governance.schema import metadata
from purposeguard.governance.store import Store

evidence_table: Final = sa.Table(
    "purposeguard_evidence",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in EvidenceKey._fields),
    sa.Column("count", sa.BigInteger, nullable=False),
)
"""The counters of each day, in UTC. `digest` is the SHA-256 of the key, which may be too long for an index."""

_BATCH: Final = 500
"""The number of rows of a statement."""

_KEY: Final = tuple(evidence_table.c[name] for name in EvidenceKey._fields)


class StoredEvidence:
    """Evidence in the store of governance: pass it to `Evidence`, and close that before the store."""

    def __init__(self, store: Store) -> None:
        """Keep evidence in a store, which need not be open yet."""
        self._store = store

    def add(self, counts: Mapping[EvidenceKey, int]) -> None:
        """Add counts of today.

        Raises:
            EvidenceError: They cannot be written now. Nothing was added.
        """
        today = datetime.datetime.now(datetime.UTC).date()
        rows = [_make_row(key, today, count) for key, count in counts.items()]
        rows.sort(key=lambda row: row["digest"])  # Processes that lock rows in one order never wait for each other.
        try:
            with self._store.writing() as connection:
                insert = postgresql.insert if self._store.dialect == "postgresql" else sqlite.insert
                statement = insert(evidence_table)
                total = evidence_table.c.count + statement.excluded.count
                statement = statement.on_conflict_do_update(index_elements=["digest", "day"], set_={"count": total})
                for start in range(0, len(rows), _BATCH):
                    connection.execute(statement, rows[start : start + _BATCH])
        except StoreUnavailable as error:
            raise EvidenceError(str(error)) from error

    def load(self) -> list[EvidenceRow]:
        """Return all counters.

        Raises:
            EvidenceError: They cannot be read.
        """
        day = evidence_table.c.day
        times = sa.cast(sa.func.sum(evidence_table.c.count), sa.BigInteger)
        query = sa.select(*_KEY, times, sa.func.min(day), sa.func.max(day)).group_by(*_KEY)
        try:
            with self._store.reading(single=True) as connection:
                rows = connection.execute(query).all()
        except StoreUnavailable as error:
            raise EvidenceError(str(error)) from error
        return [EvidenceRow(EvidenceKey(*row[:-3]), *row[-3:]) for row in map(tuple, rows)]


def _make_row(key: EvidenceKey, day: datetime.date, count: int) -> dict[str, Any]:
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return {"digest": digest, "day": day, **key._asdict(), "count": count}
