"""The kinds of entries, the bodies of entries that a guard causes, and the form that every body must have.

A body holds clauses, names of code and pseudonyms, and never a personal value. The functions here make the bodies of
denials, exceptions, reclassifications and provisions. The modules that count uses, record declarations, requests,
sweeps and erasures, or archive entries make the other bodies themselves.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from purposeguard.errors import PurposeMissing
from purposeguard.governance.ledger.chain import ARCHIVE, USE, format_moment, to_canonical_json
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Family, Purpose, Source, list_term_ids
from purposeguard.policy.transfers import Provision
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.declarations import LegalException, Reclassification

KINDS: Final = {
    "use": "how often an activity used what, in an hour",
    "denial": "a use that was refused, or only observed",
    "exception": "a use that law permits outside the notice",
    "reclassification": "a run of a declared way out of a label",
    "provision": "a hand-over to a recipient",
    "restriction": "a subject stopped uses or provision, asked for erasure, or took that back",
    "consent": "a subject agreed to a purpose, or took that back",
    "request": "a step of a subject's request",
    "sweep": "a run that looked for data past its period",
    "erasure": "data that was erased",
    "archive": "older entries were moved to an archive",
}
"""The kinds of entries, with the event that each reports."""

PSEUDONYM: Final = re.compile(r"[0-9a-f]{32}")
"""The form of a subject in an entry: `store.pseudonym(subject)`."""

LONGEST_BODY: Final = 1_000_000
"""The length limit of a body, in characters."""


def list_clauses(sources: Iterable[type[Source]]) -> tuple[str, ...]:
    """Return the clauses of a label, `("1.1(a)", "1.1(c)")`, in their order."""
    return tuple(list_term_ids(sources))


def get_purpose_id(purpose: type[Purpose] | Family) -> str:
    """Return the canonical id of a purpose, or the name of a family."""
    return purpose.name if isinstance(purpose, Family) else purpose.clause


def make_denial_body(error: PurposeViolation | PurposeMissing, *, observed: bool) -> dict[str, Any]:
    """Return the body for a refusal. For a read outside any purpose, only the reason is known."""
    body: dict[str, Any] = {"error": type(error).__name__, "observed": observed}
    if error.entry_point is not None:
        body["entry_point"] = error.entry_point
    if not isinstance(error, PurposeViolation):
        return {**body, "reason": str(error)}
    decision = error.decision
    conditions = decision.context.conditions
    return {
        **body,
        "reason": decision.headline,
        "activity": error.activity,
        "function": error.function,
        "field": error.field,
        "purpose": get_purpose_id(decision.purpose),
        "sources": list_clauses(decision.label),
        "denied": list_clauses(decision.denied),
        "channel": decision.channel,
        **({"conditions": sorted(conditions)} if conditions else {}),
    }


def make_exception_body(granted: LegalException, label: Label, subject: str | None, count: int) -> dict[str, Any]:
    """Return the body for a use under an exception; `subject` is a pseudonym."""
    return {
        "name": granted.name,
        "sources": list_clauses(label),
        "basis": granted.basis,
        "reason": granted.reason,
        "approver": granted.approver,
        "until": granted.until,
        "subject": subject,
        "count": count,
    }


def make_reclassification_body(declared: Reclassification, label: Label, activity: str | None) -> dict[str, Any]:
    """Return the body for a run of a declared reclassification."""
    return {
        "name": declared.name,
        "activity": activity,
        "sources": list_clauses(label),
        "to": list_clauses(declared.to),
        "why": declared.why,
        "approver": declared.approver,
    }


def make_provision_body(handed: Provision, subjects: Sequence[str] | None) -> dict[str, Any]:
    """Return the body for a hand-over; `subjects` are pseudonyms, or None if they are only counted."""
    names = ("recipient", "kind", "country", "clauses", "sources", "purpose", "revision", "activity", "means")
    body = {name: getattr(handed, name) for name in (*names, "product", "task")}
    body |= {"handed_over": handed.at, "count": len(handed.subjects)}
    return body if subjects is None else {**body, "subjects": list(subjects)}


def normalize_entry(kind: str, body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a kind and a body in JSON types: dates as texts, tuples as lists.

    Raises:
        TypeError, ValueError: there is no such kind; the body has more than one spelling in JSON, or is too long; a
            subject is no pseudonym.
    """
    normalized = _normalize_mapping(body)
    for name in (normalized.get("subject"), *(normalized.get("subjects") or ())):
        if name is not None and not (isinstance(name, str) and PSEUDONYM.fullmatch(name)):
            raise ValueError(
                "a ledger names subjects by `store.pseudonym(subject)`, 32 hexadecimal digits, not by their ids"
            )
    if len(to_canonical_json(normalized)) > LONGEST_BODY:
        raise ValueError(f"an entry of a ledger says at most {LONGEST_BODY:,} characters")
    if kind == USE:
        raise ValueError("uses are counted, by `counter` or `allowed`, and become entries when their hour is over")
    if kind == ARCHIVE:
        raise ValueError("entries are archived by `purposeguard ledger archive`, which says so itself")
    if kind not in KINDS:
        raise ValueError(f"there are no entries of kind `{kind}`: {', '.join(KINDS)}")
    return kind, normalized


def _normalize_mapping(body: Mapping[Any, Any]) -> dict[str, Any]:
    for key in body:
        if not isinstance(key, str):
            raise TypeError(f"the keys of an entry are texts, not {type(key).__name__}")
    return {_normalize_text(key): _normalize_value(value) for key, value in body.items()}


def _normalize_value(value: object) -> object:
    if value is None or type(value) in (bool, int):
        return value
    if isinstance(value, str):
        return _normalize_text(value)
    if isinstance(value, datetime.datetime):
        if value.utcoffset() is None:
            raise TypeError("a moment without its time zone could be any of many")
        return format_moment(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return _normalize_mapping(value)
    if isinstance(value, (list, tuple)):
        return list(map(_normalize_value, value))
    # The message does not quote the value, which may be personal.
    raise TypeError(
        f"an entry of a ledger holds no {type(value).__name__}: give texts, whole numbers, dates, lists of these"
    )


def _normalize_text(value: str) -> str:
    """Return a text that UTF-8 can encode: lone surrogates are escaped."""
    return str(value).encode("utf-8", "backslashreplace").decode()
