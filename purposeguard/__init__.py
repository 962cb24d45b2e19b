"""purposeguard: an executable privacy notice.

Tags personal-data fields with the clause they were collected under, and checks every use against the purposes that the
notice grants. Start with `Notice.bundled("trendmicro-jp")` or `Notice.load("notice.toml")`, and a `Guard` over it.
"""

from purposeguard.errors import (
    Fault,
    LedgerBroken,
    NoticeError,
    PurposeGuardError,
    PurposeMissing,
    RequestError,
    SealedAttribute,
    SealedValue,
    StoreUnavailable,
    SweepRefused,
    TooFewSubjects,
    UnknownChannel,
    UnknownOperation,
    UnknownPurpose,
    UnknownRecipient,
    UnknownSource,
    UnknownTerm,
    UnlabelledData,
    UnresolvedStatement,
)
from purposeguard.guard import Guard
from purposeguard.notice.history import History
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose, Source
from purposeguard.policy.explanation import Decision
from purposeguard.policy.row_context import RowContext
from purposeguard.policy.transfers import Provision, Recipient, Safeguard
from purposeguard.policy.violations import (
    ChannelViolation,
    FlowViolation,
    PurposeViolation,
    RecipientViolation,
    RetentionViolation,
    RevisionViolation,
    SubjectViolation,
)
from purposeguard.runtime.declassification import Reclassifier
from purposeguard.runtime.observer import Ledger
from purposeguard.runtime.protocols import Oversight
from purposeguard.runtime.registry import Access, Activity, Entrustment, Reclassification, Transform
from purposeguard.runtime.use import Use
from purposeguard.values.json import decode_sealed, encode_sealed
from purposeguard.values.markers import ByRow, Collected, Ended, RowSource, Subject
from purposeguard.values.personal import Personal, derive
from purposeguard.values.personal_model import PersonalModel
from purposeguard.values.tagging import sources_of, tag, untagged

__all__ = [
    "Access",
    "Activity",
    "ByRow",
    "ChannelViolation",
    "Collected",
    "Decision",
    "Ended",
    "Entrustment",
    "Family",
    "Fault",
    "FlowViolation",
    "Guard",
    "History",
    "Label",
    "Ledger",
    "LedgerBroken",
    "NotPersonal",
    "Notice",
    "NoticeError",
    "Oversight",
    "Personal",
    "PersonalModel",
    "Provision",
    "Purpose",
    "PurposeGuardError",
    "PurposeMissing",
    "PurposeViolation",
    "Recipient",
    "RecipientViolation",
    "Reclassification",
    "Reclassifier",
    "RequestError",
    "RetentionViolation",
    "RevisionViolation",
    "RowContext",
    "RowSource",
    "Safeguard",
    "SealedAttribute",
    "SealedValue",
    "Source",
    "StoreUnavailable",
    "Subject",
    "SubjectViolation",
    "SweepRefused",
    "TooFewSubjects",
    "Transform",
    "UnknownChannel",
    "UnknownOperation",
    "UnknownPurpose",
    "UnknownRecipient",
    "UnknownSource",
    "UnknownTerm",
    "UnlabelledData",
    "UnresolvedStatement",
    "Use",
    "decode_sealed",
    "derive",
    "encode_sealed",
    "sources_of",
    "tag",
    "untagged",
]
