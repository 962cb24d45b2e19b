"""Several ledgers at once: in the store, say, and in a log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from purposeguard.governance.ledger.chain import Counts
from purposeguard.governance.ledger.counting import INTERVAL
from purposeguard.governance.ledger.recorder import Recorder, entry_made
from purposeguard.governance.ledger.sql import SqlLedger
from purposeguard.governance.store import Store
from purposeguard.runtime.clock import Clock, Now


class Ledgers(Recorder):
    """`Ledgers(SqlLedger(store), LoggingLedger())`: what it is told, each of them is told.

    Where one of them cannot record what must be on record, the others do, and the error is raised: such a use does not
    happen. Counts each of them keeps until it can write them.
    """

    def __init__(self, *ledgers: Recorder, interval: float = INTERVAL, clock: Now | Clock | None = None) -> None:
        """`interval`: within which counts are on record in all of them, where each has the same or a shorter one.

        Raises:
            TypeError: one is no ledger of this package, or there is none.
        """
        if not ledgers or not all(isinstance(one, Recorder) for one in ledgers):
            raise TypeError("`Ledgers` are made of an SqlLedger, a JsonLinesLedger, a LoggingLedger: of one at least")
        digests = (one._digest for one in ledgers if one._digest is not None)
        super().__init__(interval=interval / 2, clock=clock, digest=next(digests, None))
        self._ledgers = ledgers

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        """Records one entry in each; raises the first error, once all have been told."""
        made = entry_made(kind, body)
        self._each(lambda one: one.append(*made))

    @property
    def store(self) -> Store | None:
        """The store in which one of them is, where one is."""
        return next((one.store for one in self._ledgers if isinstance(one, SqlLedger)), None)

    def append_in(self, connection: sa.Connection, kind: str, body: Mapping[str, Any]) -> None:
        """Records one entry in each, in the store together with what else a transaction of it changes.

        The others are told before it ends; raises as `append` does.
        """
        made = entry_made(kind, body)
        for one in self._ledgers:
            if isinstance(one, SqlLedger) and one.store is self.store:
                one.append_in(connection, *made)
            else:
                one.append(*made)

    def add(self, counts: Counts, last: bool = False) -> None:  # noqa: ARG002  # each of them closes its own
        """Hands counts to each, which writes them, and keeps what it cannot write."""
        for one in self._ledgers:
            one._counters.take(counts)

    def flush(self) -> None:
        """Writes what was counted to each; raises the first error, once all have been asked."""
        super().flush()
        self._each(Recorder.flush)

    def close(self) -> None:
        """Closes each."""
        super().close()
        self._each(Recorder.close)

    def _each(self, act: Callable[[Recorder], None]) -> None:
        failed: Exception | None = None
        for one in self._ledgers:
            try:
                act(one)
            except Exception as error:  # noqa: BLE001  # raised below, once the others have been told
                failed = failed or error
        if failed is not None:
            raise failed
