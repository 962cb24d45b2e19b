"""The ledger: what was used for what, by whom and how often, and what was refused. Append-only, a chain of hashes."""

from purposeguard.governance.ledger.archiving import ArchivedRange, archive
from purposeguard.governance.ledger.chain import Entry, Head, Hour
from purposeguard.governance.ledger.checkpoints import Checkpoint, Checkpoints
from purposeguard.governance.ledger.entries import KINDS
from purposeguard.governance.ledger.reading import Reading, Verification
from purposeguard.governance.ledger.sql import SqlLedger

__all__ = [
    "KINDS",
    "ArchivedRange",
    "Checkpoint",
    "Checkpoints",
    "Entry",
    "Head",
    "Hour",
    "Reading",
    "SqlLedger",
    "Verification",
    "archive",
]
