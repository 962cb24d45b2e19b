"""The ledger as records of `logging`: for whoever keeps logs well already."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, Final

from purposeguard.governance.ledger.chain import ENTRY_KEYS, USE, Counts, Head, advanced
from purposeguard.governance.ledger.counting import INTERVAL
from purposeguard.governance.ledger.recorder import Recorder, entry_made
from purposeguard.governance.ledger.turns import Turn
from purposeguard.runtime.clock import Clock, Now

NAME: Final = "purposeguard.ledger"


class LoggingLedger(Recorder):
    """Hands each entry to a logger: denials as warnings, the rest as information, with the entry as `record.entry`.

    Entries are chained from the first one of this process on; whether they are kept, and where, is up to the handlers.
    Counts are logged every `interval` seconds, each as what was added since the last time: with a longer one there are
    fewer records, and a process that is killed loses more.
    """

    def __init__(
        self, logger: logging.Logger | str = NAME, *, interval: float = INTERVAL, clock: Now | Clock | None = None
    ) -> None:
        super().__init__(interval=interval, clock=clock, digest=None)
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._head = Head()
        self._pid = os.getpid()
        self._turn = Turn()

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        """Logs one entry; raises what a handler raises, or TypeError or ValueError as `Recorder.append`."""
        self._log([entry_made(kind, body)])

    def add(self, counts: Counts, last: bool = False) -> None:  # noqa: ARG002  # nothing stays open in a log
        """Logs counts."""
        self._log([(USE, key.body(counts[key])) for key in sorted(counts, key=lambda one: one.order)])

    def _log(self, additions: list[tuple[str, dict[str, Any]]]) -> None:
        with self._turn:
            if self._pid != os.getpid():  # forked: the chain so far is the parent's
                self._head, self._pid = Head(), os.getpid()
            entries, self._head = advanced(self._head, self._now(), additions)
            for entry in entries:
                level = logging.WARNING if entry.kind == "denial" else logging.INFO
                extra = {"entry": {name: getattr(entry, name) for name in ENTRY_KEYS}}
                self._logger.log(level, "%d %s %s", entry.seq, entry.kind, entry.body_text, extra=extra)
