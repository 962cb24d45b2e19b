"""The reporting of changes to a ledger, in the same transaction if the ledger is in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from purposeguard.governance.store import Store


def add_ledger_entry(ledger: Any, store: Store, connection: sa.Connection, kind: str, body: Mapping[str, Any]) -> None:
    """Add an entry to a ledger, as the last step of a transaction; its error undoes the transaction.

    A ledger in this store has `append_in`, another ledger `append`. A ledger without both records only uses and
    denials.
    """
    if _records_in(ledger, store):
        ledger.append_in(connection, kind, body)
    elif hasattr(ledger, "append"):
        ledger.append(kind, body)


def add_ledger_entries(
    ledger: Any, store: Store, connection: sa.Connection, kind: str, bodies: Sequence[Mapping[str, Any]]
) -> None:
    """Add several entries of one kind as `add_ledger_entry` adds one: at once, if the ledger has `append_all_in`."""
    if _records_in(ledger, store) and hasattr(ledger, "append_all_in"):
        ledger.append_all_in(connection, kind, bodies)
        return
    for body in bodies:
        add_ledger_entry(ledger, store, connection, kind, body)


def records_elsewhere(ledger: Any, store: Store) -> bool:
    """Return True if entries of this ledger are outside the store, where no transaction of the store undoes them."""
    return hasattr(ledger, "append") and not _records_in(ledger, store)


def _records_in(ledger: Any, store: Store) -> bool:
    return hasattr(ledger, "append_in") and ledger.store is store
