"""The ledger, an append-only chain of hashes that records every use of data, its purpose, and every refusal."""

from purposeguard.governance.ledger.archiving import ArchivedRange, archive
from purposeguard.governance.ledger.chain import Entry, Head, Hour
from purposeguard.governance.ledger.checkpoints import Checkpoint, Checkpoints
from purposeguard.governance.ledger.entries import KINDS
from purposeguard.governance.ledger.reading import LedgerSnapshot, Verification
from purposeguard.governance.ledger.sql import SqlLedger

__all__ = [
    "KINDS",
    "ArchivedRange",
    "Checkpoint",
    "Checkpoints",
    "Entry",
    "Head",
    "Hour",
    "LedgerSnapshot",
    "SqlLedger",
    "Verification",
    "archive",
]
