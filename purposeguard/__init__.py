"""purposeguard: an executable privacy notice.

Tags personal-data fields with the clause they were collected under, and checks every use against the purposes that the
notice grants. Start with `Notice.bundled("trendmicro-jp")` or `Notice.load("notice.toml")`, and a `Guard` over it.
"""

from purposeguard.about import About
from purposeguard.decision import Decision
from purposeguard.encoding import decode_sealed, encode_sealed
from purposeguard.errors import (
    ChannelViolation,
    Fault,
    FlowViolation,
    LedgerBroken,
    NoticeError,
    PurposeGuardError,
    PurposeMissing,
    PurposeViolation,
    RecipientViolation,
    RequestError,
    RetentionViolation,
    RevisionViolation,
    SealedAttribute,
    SealedValue,
    StoreUnavailable,
    SubjectViolation,
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
from purposeguard.fields import sources_of, untagged
from purposeguard.foreign import tag
from purposeguard.guard import Guard
from purposeguard.history import History
from purposeguard.inventory import Access, Activity, Entrustment, Reclassification, Transform
from purposeguard.label import Label
from purposeguard.ledger import Ledger
from purposeguard.linking import derive
from purposeguard.marks import ByRow, Collected, Ended, RowSource, Subject
from purposeguard.notice import Notice
from purposeguard.oversight import Oversight
from purposeguard.personal import Personal
from purposeguard.personal_model import PersonalModel
from purposeguard.recipients import Provision, Recipient, Safeguard
from purposeguard.reclassification import Reclassifier
from purposeguard.terms import Family, NotPersonal, Purpose, Source
from purposeguard.use import Use

__all__ = [
    "About",
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
