"""purposeguard: an executable privacy notice.

Tags personal-data fields with the clause they were collected under, and checks every use against the purposes that the
notice grants. Start with `Notice.bundled("trendmicro-jp")` or `Notice.load("notice.toml")`, and a `Guard` over it.
"""

from purposeguard.decision import Decision
from purposeguard.encoding import decode_sealed, encode_sealed
from purposeguard.errors import (
    ChannelViolation,
    Fault,
    NoticeError,
    PurposeGuardError,
    PurposeMissing,
    PurposeViolation,
    RecipientViolation,
    RetentionViolation,
    RevisionViolation,
    SealedAttribute,
    SealedValue,
    SubjectViolation,
    TooFewSubjects,
    UnknownChannel,
    UnknownOperation,
    UnknownPurpose,
    UnknownSource,
    UnknownTerm,
    UnlabelledData,
)
from purposeguard.fields import sources_of, untagged
from purposeguard.guard import Guard
from purposeguard.inventory import Access, Activity, Reclassification, Transform
from purposeguard.label import Label
from purposeguard.ledger import Ledger
from purposeguard.linking import derive
from purposeguard.notice import Notice
from purposeguard.personal import Personal
from purposeguard.personal_model import PersonalModel
from purposeguard.reclassification import Reclassifier
from purposeguard.terms import Family, NotPersonal, Purpose, Source
from purposeguard.use import Use

__all__ = [
    "Access",
    "Activity",
    "ChannelViolation",
    "Decision",
    "Family",
    "Fault",
    "Guard",
    "Label",
    "Ledger",
    "NotPersonal",
    "Notice",
    "NoticeError",
    "Personal",
    "PersonalModel",
    "Purpose",
    "PurposeGuardError",
    "PurposeMissing",
    "PurposeViolation",
    "RecipientViolation",
    "Reclassification",
    "Reclassifier",
    "RetentionViolation",
    "RevisionViolation",
    "SealedAttribute",
    "SealedValue",
    "Source",
    "SubjectViolation",
    "TooFewSubjects",
    "Transform",
    "UnknownChannel",
    "UnknownOperation",
    "UnknownPurpose",
    "UnknownSource",
    "UnknownTerm",
    "UnlabelledData",
    "Use",
    "decode_sealed",
    "derive",
    "encode_sealed",
    "sources_of",
    "untagged",
]
