"""Ledgers that can be read back."""

from __future__ import annotations

import abc
import collections
import datetime
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager

from purposeguard.governance.ledger.chain import Entry, Hour
from purposeguard.governance.ledger.reading import Reading, Verdict
from purposeguard.governance.ledger.recorder import Recorder


class Kept(Recorder):
    """A ledger that keeps what it is told."""

    @abc.abstractmethod
    def reading(self) -> AbstractContextManager[Reading]:
        """The ledger as it is now, to be read in a `with` block."""

    def entries(
        self,
        kinds: Collection[str] | None = None,
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
    ) -> Iterator[Entry]:
        """The entries of these kinds made in this time (`until` is not in it), oldest first, as they were written.

        Raises:
            LedgerBroken: one cannot be read. That none is missing, or was changed, is for `verify` to say.
            StoreUnavailable: none can be read.
        """
        with self.reading() as found:
            yield from found.entries(kinds, since, until)

    def uses(
        self, since: datetime.datetime | None = None, until: datetime.datetime | None = None
    ) -> collections.Counter[Hour]:
        """How often what was used in the hours that begin in this time, what this process has counted included.

        Raises:
            LedgerBroken, StoreUnavailable: as `entries`; the counts cannot be written.
        """
        self.flush()
        with self.reading() as found:
            return found.uses(since, until)

    def verify(self, expect: str | None = None) -> Verdict:
        """Reads all entries, from the first on; one of them must have the hash `expect`, which was noted earlier.

        Raises:
            LedgerBroken: an entry, or the head, is not as it was written: where, and what is wrong with it.
            StoreUnavailable: they cannot be read.
        """
        with self.reading() as found:
            return found.verify(expect)
