"""Problem details (RFC 9457) of the library's errors, for whichever framework answers. None holds a personal value.

A framework's own integration turns each error that reaches it into `problem_of(error)`, and answers with its status,
its body and `MEDIA_TYPE`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from purposeguard.errors import (
    PassportRefused,
    PurposeGuardError,
    PurposeMissing,
    RequestError,
    RowRefused,
    SealedValue,
    StoreUnavailable,
    TooFewSubjects,
)
from purposeguard.notice.vocabulary import Family, list_members, list_term_ids
from purposeguard.policy.violations import (
    REFUSALS,
    ChannelViolation,
    FlowViolation,
    PurposeViolation,
    RecipientViolation,
    RetentionViolation,
    RevisionViolation,
    SubjectViolation,
)

MEDIA_TYPE: Final = "application/problem+json"
"""The media type of a problem's body."""

RETRY_AFTER: Final = 1
"""Seconds after which a client may ask again if the store of governance could not be reached."""


class Problem(NamedTuple):
    """An error as an HTTP answer."""

    status: int
    type: str
    title: str
    detail: str
    members: Mapping[str, Any] = MappingProxyType({})
    """Members of the body beside the four that each problem has."""

    @property
    def body(self) -> dict[str, Any]:
        """The body of the answer, as JSON types."""
        standard = {"type": self.type, "title": self.title, "status": self.status, "detail": self.detail}
        return standard | dict(self.members)

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the answer, beside its media type."""
        return {"Retry-After": str(RETRY_AFTER)} if self.status == 503 else {}


class _Kind(NamedTuple):
    status: int
    title: str
    slug: str


_KINDS: Final[Mapping[type[Exception], _Kind]] = MappingProxyType(
    {
        # 403: the notice, or the person, says no; the caller cannot do anything about it.
        SubjectViolation: _Kind(403, "the person asked for it to stop, or never agreed", "subject"),
        RecipientViolation: _Kind(403, "not to this recipient", "recipient"),
        ChannelViolation: _Kind(403, "not by this channel", "channel"),
        RetentionViolation: _Kind(403, "kept for too long", "retention"),
        RevisionViolation: _Kind(403, "not granted when it was collected", "revision"),
        PurposeViolation: _Kind(403, "not for this purpose", "purpose"),
        RowRefused: _Kind(403, "not this row for this purpose", "row"),
        FlowViolation: _Kind(403, "not into this column", "flow"),
        PassportRefused: _Kind(403, "no passport that is accepted here", "passport"),
        # 409: it may be asked again when there are more of them, or when the request is another one.
        TooFewSubjects: _Kind(409, "too few persons", "too-few"),
        RequestError: _Kind(409, "not with this request now", "request"),
        # 503: it cannot be known now what people asked for, so nothing is done that they may have stopped.
        StoreUnavailable: _Kind(503, "not known now", "unavailable"),
        # 500: the service's own code is at fault.
        PurposeMissing: _Kind(500, "no purpose", "no-purpose"),
        SealedValue: _Kind(500, "sealed", "sealed"),
        PurposeGuardError: _Kind(500, "the service is at fault", "fault"),
    }
)


NOT_WRITTEN: Final = Problem(
    500,
    "urn:purposeguard:problem:sealed",
    "sealed",
    "the answer cannot be written: what is sealed is written inside a purpose that may use it",
)
"""The problem if a framework could not write an answer as JSON. Its own error may quote the answer."""

SHOWN_BELOW: Final = 1_000
"""Numbers below this are shown in the place of a fault, as indices of lists. Larger ones may be ids."""


def faults_of(errors: Iterable[Mapping[str, Any]], names: Collection[str]) -> list[dict[str, str]]:
    """Return which field breaks which rule in pydantic's errors about an input, without anything of the input.

    A place may contain keys from the input. So only those parts of a place are shown that are among `names`, the names
    that code gives to fields and parameters. Other parts are `*`.
    """
    faults: list[dict[str, str]] = []
    for error in errors:
        place = ".".join(_format_part(part, names) for part in error["loc"])
        faults.append({"where": place, "fault": str(error["type"])})
    return faults


def not_valid(faults: Sequence[Mapping[str, str]]) -> Problem:
    """Return the problem of a request that breaks the rules of the API. `faults` come from `faults_of`."""
    title, detail = "not valid", "the request is not as the API has it"
    return Problem(422, "urn:purposeguard:problem:input", title, detail, {"faults": faults})


def _format_part(part: object, names: Collection[str]) -> str:
    shown = 0 <= part < SHOWN_BELOW if isinstance(part, int) else part in names
    return str(part) if shown else "*"


def problem_of(error: BaseException, *, details: bool = True) -> Problem | None:
    """Return the problem details of an error, or None if the error is not one of this library.

    A refusal names the purpose, the sources and the clauses, and what would be allowed instead. With `details=False` a
    problem holds only status and title, for callers who need not know why. An error whose message may hold more than
    clauses and names of code is never quoted.
    """
    kind = next((_KINDS[base] for base in type(error).__mro__ if base in _KINDS), None)
    if kind is None:
        return None
    is_quoted = details and (type(error) in REFUSALS or isinstance(error, PassportRefused))
    return Problem(
        kind.status,
        f"urn:purposeguard:problem:{kind.slug}",
        kind.title,
        str(error) if is_quoted else f"{kind.title} ({type(error).__name__})",
        _problem_members(error) if is_quoted else MappingProxyType({}),
    )


def _problem_members(error: BaseException) -> Mapping[str, Any]:
    if isinstance(error, PassportRefused):
        return {"reason": error.reason}
    if isinstance(error, FlowViolation):
        sources = list_term_ids(error.missing)
        return {"field": f"{error.target}.{error.column}", "sources": sources}
    decision = getattr(error, "decision", None)
    if not isinstance(error, PurposeViolation) or decision is None:  # Errors rebuilt from a message have none.
        return {}
    purpose = decision.purpose
    purposes = list_members(purpose)
    return {
        "decision": decision.headline,
        "purpose": purpose.name if isinstance(purpose, Family) else purpose.clause,
        "clauses": list_term_ids(purposes),
        "sources": list_term_ids(decision.denied),
        "reasons": list(decision.reasons),
        "alternatives": [{"clause": other.clause, "slug": other.slug} for other in decision.alternatives],
        "activity": error.activity,
        "field": error.field,
    }
