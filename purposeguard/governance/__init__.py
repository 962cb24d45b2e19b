"""People, parties and time: what clauses 4 to 11 of a notice ask for, kept in one store and asked by guards."""

try:
    from purposeguard.governance.store import Store  # first, so that what is missing is said
except ModuleNotFoundError as _error:
    _name = (_error.name or "").partition(".")[0]
    if _name not in ("sqlalchemy", "alembic"):
        raise
    _message = f"purposeguard.governance needs {_name}, which is not installed: pip install 'purposeguard[governance]'"
    raise ModuleNotFoundError(_message, name=_name) from _error

from purposeguard.governance.declarations import Consent, Restriction, SubjectRecord
from purposeguard.governance.desk import Answer, Desk
from purposeguard.governance.erasers import Eraser
from purposeguard.governance.governance import Governance
from purposeguard.governance.ledger import JsonLinesLedger, Ledgers, LoggingLedger, SqlLedger
from purposeguard.governance.report import Disclosure
from purposeguard.governance.requests import Overview, Request, Step
from purposeguard.governance.subjects import Subjects
from purposeguard.governance.sweep import Sweep

__all__ = [
    "Answer",
    "Consent",
    "Desk",
    "Disclosure",
    "Eraser",
    "Governance",
    "JsonLinesLedger",
    "Ledgers",
    "LoggingLedger",
    "Overview",
    "Request",
    "Restriction",
    "SqlLedger",
    "Step",
    "Store",
    "SubjectRecord",
    "Subjects",
    "Sweep",
]
