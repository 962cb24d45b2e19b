"""The record of the notices that a store is opened with, so that it can be read without their files.

Rows are added, never changed. If the text of a revision changes, its last row counts, as `Guard.replace` takes a
revision of the same date for a correction. Families that code declares over several notices are not recorded.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Collection, Sequence
from typing import Any, Final

import sqlalchemy as sa

from purposeguard.errors import Fault, NoticeError
from purposeguard.governance.ledger.chain import to_canonical_json
from purposeguard.governance.schema import Moment, metadata
from purposeguard.governance.store import Store
from purposeguard.notice.history import History
from purposeguard.notice.notice import Notice
from purposeguard.runtime.clock import Clock

notice_table: Final = sa.Table(
    "purposeguard_notice",
    metadata,
    sa.Column("combination", sa.Text, primary_key=True),
    sa.Column("notice", sa.Text, primary_key=True),
    sa.Column("revision", sa.Date, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("recorded", Moment, nullable=False),
)
"""The texts of notices.

`combination` names all notices that were in use at once, and `number` counts the texts of a revision. `body` is the
canonical JSON of the tables of the notice file, and `digest` its SHA-256.
"""

RECORD_LOCK: Final = 0x7075_7270_6F73_6532
"""The advisory lock on PostgreSQL under which texts are numbered."""

MAY_RECORD: Final = sa.text(
    "SELECT has_table_privilege('purposeguard_notice', 'SELECT')"
    " AND has_table_privilege('purposeguard_notice', 'INSERT')"
    " AND NOT current_setting('transaction_read_only')::boolean"
)
"""The query whether the role may add to the table."""


class NoticeRecorder:
    """Records the notices in use in a store, whenever they change or another store is opened in its place."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._histories: tuple[History, ...] = ()
        self._recorded: tuple[History, ...] = ()
        store.listeners.add(self)

    def record(self, histories: Sequence[History]) -> None:
        """Record the revisions of the notices in use. A store that is not open gets them when it is opened.

        A role of PostgreSQL that may not add to the table, such as one that only reads, records nothing.

        Raises:
            StoreUnavailable: the store cannot be used.
        """
        self._histories = tuple(histories)
        if self._histories != self._recorded:
            self._write()

    def invalidate(self, subjects: Collection[str], /) -> None:
        """Do nothing: the notices do not depend on subjects."""

    def forget(self) -> None:
        """Record the notices in the store that was just opened."""
        self._write()

    def _write(self) -> None:
        if not self._store.is_open or not self._histories:
            return
        with self._store.reading() as connection:
            if self._store.dialect == "postgresql" and not connection.scalar(MAY_RECORD):
                return
            is_recorded = not self._list_new_rows(connection)
        if not is_recorded:
            self._add_rows()
        self._recorded = self._histories

    def _add_rows(self) -> None:
        with self._store.writing() as connection:
            if self._store.dialect == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(RECORD_LOCK)))
            rows = self._list_new_rows(connection)
            if rows:
                connection.execute(sa.insert(notice_table), rows)

    def _list_new_rows(self, connection: sa.Connection) -> list[dict[str, Any]]:
        combination = " + ".join(sorted(history.latest.id for history in self._histories))
        recorded = connection.execute(
            sa.select(notice_table.c.notice, notice_table.c.revision, notice_table.c.number, notice_table.c.digest)
            .where(notice_table.c.combination == combination)
            .order_by(notice_table.c.number)
        )
        newest = {(row.notice, row.revision): row for row in recorded}
        rows: list[dict[str, Any]] = []
        for notice in itertools.chain.from_iterable(self._histories):
            body = to_canonical_json(notice.dump())
            digest = hashlib.sha256(body.encode()).hexdigest()
            known = newest.get((notice.id, notice.revision))
            if known is None or known.digest != digest:
                rows.append(
                    {
                        "combination": combination,
                        "notice": notice.id,
                        "revision": notice.revision,
                        "number": 1 if known is None else known.number + 1,
                        "digest": digest,
                        "body": body,
                        "recorded": self._clock.now(),
                    }
                )
        return rows


def read_recorded_notices(store: Store) -> tuple[tuple[History, ...], ...]:
    """Return the notices that applications opened a store with: for each combination, the history of each notice.

    More than one item means that applications with different notices share the store.

    Raises:
        StoreUnavailable: the store cannot be read.
        NoticeError: a recorded notice is of a newer format, was changed in the store, or its revisions do not form a
            history.
    """
    columns = notice_table.c
    with store.reading(single=True) as connection:
        rows = connection.execute(
            sa.select(columns.combination, columns.notice, columns.revision, columns.body, columns.digest).order_by(
                columns.combination, columns.notice, columns.revision, columns.number
            )
        ).all()
    bodies: dict[str, dict[str, dict[object, str]]] = {}
    for row in rows:
        if hashlib.sha256(row.body.encode()).hexdigest() != row.digest:
            fault = Fault(f"revision {row.revision}", "was changed in the store", "name the notice with `--notice`")
            raise NoticeError([fault], f"notice {row.notice} as recorded in the store")
        # The last text of a revision replaces those before.
        bodies.setdefault(row.combination, {}).setdefault(row.notice, {})[row.revision] = row.body
    return tuple(tuple(_parse_history(id_, texts) for id_, texts in members.items()) for members in bodies.values())


def _parse_history(notice_id: str, texts: dict[object, str]) -> History:
    origin = f"notice {notice_id} as recorded in the store"
    return History(*(Notice.parse(json.loads(text), origin) for text in texts.values()))
