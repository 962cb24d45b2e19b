"""People, parties and time: what clauses 4 to 11 of a notice ask for, kept in one store and asked by guards."""

try:
    from purposeguard.governance.store import Store  # first, so that a missing library is reported
except ModuleNotFoundError as _error:
    _name = (_error.name or "").partition(".")[0]
    if _name not in ("sqlalchemy", "alembic"):
        raise
    _message = f"purposeguard.governance needs {_name}, which is not installed: pip install 'purposeguard[governance]'"
    raise ModuleNotFoundError(_message, name=_name) from _error

from purposeguard.governance.erasers import Eraser
from purposeguard.governance.governance import Governance, StoreFigures
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.loops import BlockingStoreCall
from purposeguard.governance.report import Disclosure
from purposeguard.governance.request_records import Overview, Request, Step
from purposeguard.governance.requests import Answer, Requests
from purposeguard.governance.restrictions import Consent, Restriction, SubjectRecord
from purposeguard.governance.retention import RetentionJob
from purposeguard.governance.subjects import Subjects

__all__ = [
    "Answer",
    "BlockingStoreCall",
    "Consent",
    "Disclosure",
    "Eraser",
    "Governance",
    "Overview",
    "Request",
    "Requests",
    "Restriction",
    "RetentionJob",
    "SqlLedger",
    "Step",
    "Store",
    "StoreFigures",
    "SubjectRecord",
    "Subjects",
]
