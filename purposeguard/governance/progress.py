"""How far a sweep has come, written down so that it is gone on with after it was killed at any moment.

One runs at a time: whoever begins later takes over, and the one before is told so at its next step.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from purposeguard.errors import StoreUnavailable
from purposeguard.governance.changes import counter
from purposeguard.governance.erasers import LONGEST_NAME, Key
from purposeguard.governance.provisions import Appends
from purposeguard.governance.schema import Moment, Serial, metadata
from purposeguard.governance.store import Store
from purposeguard.runtime.clock import Clock

sweep: Final = sa.Table(
    "purposeguard_sweep",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("begun", Moment, nullable=False),
    sa.Column("ended", Moment),
    sa.Column("runner", sa.String(32), nullable=False),
)
"""Sweeps; `runner` is who may go on with it."""

part: Final = sa.Table(
    "purposeguard_sweep_part",
    metadata,
    sa.Column("sweep", sa.ForeignKey(sweep.c.id), primary_key=True),
    sa.Column("eraser", sa.String(LONGEST_NAME), primary_key=True),
    sa.Column("done", sa.BigInteger, nullable=False),
    sa.Column("pending", sa.JSON(none_as_null=True)),
)
"""What each eraser has done in a sweep; `pending` are the keys of the batch under way."""

UNENDED: Final = sa.select(sweep.c.id).where(sweep.c.ended.is_(None)).order_by(sweep.c.id).limit(1)
"""The number of the sweep that has not come to its end."""

Told = Callable[[str, int], None]
"""Told of progress: the eraser, and how much it has erased by this step."""


class Run:
    """What is written down of one run, step by step."""

    def __init__(self, store: Store, clock: Clock, ledger: Appends | None, told: Told | None) -> None:
        self._store = store
        self._clock = clock
        self._ledger = ledger
        self._told = told
        self._runner = secrets.token_hex(16)
        self.number = 0
        self.done: dict[str, int] = {}

    def begin(self, erasers: Sequence[str]) -> dict[str, tuple[Key, ...]]:
        """Takes over the sweep that did not come to its end, or begins one; eraser → keys of a batch under way."""
        with self._store.writing() as connection:
            # Of two that begin at once, one waits for the other, and takes over from it.
            connection.execute(sa.select(counter.c.id).with_for_update())
            taken = connection.execute(
                sa.update(sweep).where(sweep.c.ended.is_(None)).values(runner=self._runner).returning(sweep.c.id)
            ).scalar_one_or_none()
            step = "begun" if taken is None else "gone on with"
            if taken is None:
                new = sa.insert(sweep).values(begun=self._clock.now(), runner=self._runner).returning(sweep.c.id)
                taken = connection.execute(new).scalar_one()
            self.number = taken
            rows = connection.execute(sa.select(part).where(part.c.sweep == taken)).all()
            self._tell(connection, "sweep", {"step": step, "erasers": list(erasers)})
        self.done = {row.eraser: row.done for row in rows}
        return {row.eraser: tuple(map(_read, row.pending or ())) for row in rows}

    def batch_begins(self, eraser: str, keys: Sequence[Key]) -> None:
        """Puts down the keys that are about to be erased."""
        with self._store.writing() as connection:
            self._must_be_mine(connection)
            values = {"pending": list(map(_written, keys))}
            known = connection.execute(self._part(eraser).values(values)).rowcount
            if not known:
                connection.execute(sa.insert(part).values(sweep=self.number, eraser=eraser, done=0, **values))

    def batch_done(self, eraser: str, sources: Sequence[str], count: int) -> None:
        """Tells that they have been erased, once."""
        with self._store.writing() as connection:
            self._must_be_mine(connection)
            connection.execute(self._part(eraser).values(pending=None, done=part.c.done + count))
            self._tell(connection, "erasure", {"eraser": eraser, "sources": list(sources), "count": count})
        self.done[eraser] = self.done.get(eraser, 0) + count
        if self._told is not None:
            self._told(eraser, count)

    def end(self) -> None:
        """Tells that everything was done."""
        with self._store.writing() as connection:
            self._must_be_mine(connection)
            connection.execute(sa.update(sweep).where(sweep.c.id == self.number).values(ended=self._clock.now()))
            self._tell(connection, "sweep", {"step": "ended", "erased": self.done})

    def _tell(self, connection: sa.Connection, kind: str, body: Mapping[str, Any]) -> None:
        """Last in a transaction, as a ledger wants it."""
        if self._ledger is not None:
            self._ledger.append_in(connection, kind, {"sweep": self.number, **body})

    def _part(self, eraser: str) -> sa.Update:
        return sa.update(part).where((part.c.sweep == self.number) & (part.c.eraser == eraser))

    def _must_be_mine(self, connection: sa.Connection) -> None:
        """Holds the sweep's row until the end of the transaction, where nobody has taken it over."""
        mine = (sweep.c.id == self.number) & (sweep.c.runner == self._runner)
        if not connection.execute(sa.update(sweep).where(mine).values(runner=self._runner)).rowcount:
            raise StoreUnavailable("another process has taken this sweep over, and goes on with it")


def _written(key: Key) -> tuple[str, str]:
    """A key as JSON can keep it."""
    if isinstance(key, uuid.UUID):
        return "uuid", str(key)
    return ("int", str(int(key))) if isinstance(key, int) else ("str", str(key))


def _read(written: Sequence[str]) -> Key:
    kind, text = written
    return uuid.UUID(text) if kind == "uuid" else int(text) if kind == "int" else text
