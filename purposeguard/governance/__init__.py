"""The records about people and recipients that clauses 4 to 11 of a notice require, in one store that guards ask."""

from purposeguard.extras import Needs

with Needs(__name__, "governance"):
    from purposeguard.governance.store import Store  # first, so that a missing library is reported

from purposeguard.governance.disclosure_page import Disclosure
from purposeguard.governance.erasers import Eraser
from purposeguard.governance.governance import Governance, StoreFigures
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.loops import BlockingStoreCall
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
