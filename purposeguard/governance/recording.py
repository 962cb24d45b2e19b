"""Reporting what governance does to a ledger, in the same transaction where the ledger is in the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import sqlalchemy as sa

from purposeguard.governance.store import Store


@runtime_checkable
class LedgerInStore(Protocol):
    """A ledger that may be in the same store."""

    store: Store

    def append_in(self, connection: sa.Connection, kind: str, body: Mapping[str, Any], /) -> object:
        """Adds an entry within a transaction."""


@runtime_checkable
class LedgerElsewhere(Protocol):
    """A ledger that records entries outside the store."""

    def append(self, kind: str, body: Mapping[str, Any], /) -> object:
        """Adds an entry, durably, before it returns."""


def report(ledger: object, store: Store, connection: sa.Connection, kind: str, body: Mapping[str, Any]) -> None:
    """Adds an entry to a ledger, as the last step of a transaction; its error undoes the transaction.

    A ledger that records no entries, but only uses and denials, is not told.
    """
    if isinstance(ledger, LedgerInStore) and ledger.store is store:
        ledger.append_in(connection, kind, body)
    elif isinstance(ledger, LedgerElsewhere):
        ledger.append(kind, body)
