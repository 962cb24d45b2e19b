"""purposeguard: an executable privacy notice.

Tags personal-data fields with the clause they were collected under, and checks every use against the purposes that the
notice grants. Start with `Notice.bundled("trendmicro-jp")` or `Notice.load("notice.toml")`, and a `Guard` over it.
"""

import typing

from purposeguard.errors import (
    NoticeError,
    PurposeGuardError,
    PurposeMissing,
    SealedValue,
    UnknownChannel,
    UnknownCondition,
    UnknownPurpose,
    UnknownSource,
    UnknownTerm,
    UnlabelledData,
)
from purposeguard.guard import Guard
from purposeguard.notice.history import History
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.several import Notices
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose, Source
from purposeguard.policy.explanation import Decision
from purposeguard.policy.row_context import RowContext
from purposeguard.policy.violations import (
    ChannelViolation,
    ConditionViolation,
    PurposeViolation,
    RecipientViolation,
    RetentionViolation,
    RevisionViolation,
    SubjectViolation,
)
from purposeguard.runtime.use import Use
from purposeguard.values.markers import ByRow, Collected, Ended, RowSource, Subject
from purposeguard.values.personal import Personal, derive
from purposeguard.values.tagging import sources_of, tag, untagged

if typing.TYPE_CHECKING:
    from purposeguard.values.personal_model import PersonalModel

__all__ = [
    "ByRow",
    "ChannelViolation",
    "Collected",
    "ConditionViolation",
    "Decision",
    "Ended",
    "Family",
    "Guard",
    "History",
    "Label",
    "NotPersonal",
    "Notice",
    "NoticeError",
    "Notices",
    "Personal",
    "PersonalModel",
    "Purpose",
    "PurposeGuardError",
    "PurposeMissing",
    "PurposeViolation",
    "RecipientViolation",
    "RetentionViolation",
    "RevisionViolation",
    "RowContext",
    "RowSource",
    "SealedValue",
    "Source",
    "Subject",
    "SubjectViolation",
    "UnknownChannel",
    "UnknownCondition",
    "UnknownPurpose",
    "UnknownSource",
    "UnknownTerm",
    "UnlabelledData",
    "Use",
    "derive",
    "sources_of",
    "tag",
    "untagged",
]


def __getattr__(name: str) -> typing.Any:
    """`PersonalModel`, loaded when it is first asked for: not every application has one."""
    if name != "PersonalModel":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from purposeguard.values import personal_model  # noqa: PLC0415  # see above

    globals()[name] = personal_model.PersonalModel
    return personal_model.PersonalModel
