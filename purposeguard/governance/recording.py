"""The reporting of changes to a ledger, in the same transaction if the ledger is in the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from purposeguard.governance.store import Store


def add_ledger_entry(ledger: Any, store: Store, connection: sa.Connection, kind: str, body: Mapping[str, Any]) -> None:
    """Add an entry to a ledger, as the last step of a transaction; its error undoes the transaction.

    A ledger in this store has `append_in`, another ledger `append`. A ledger without both records only uses and
    denials.
    """
    if hasattr(ledger, "append_in") and ledger.store is store:
        ledger.append_in(connection, kind, body)
    elif hasattr(ledger, "append"):
        ledger.append(kind, body)
