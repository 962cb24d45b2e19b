"""What entries say: a body for each kind. Clauses, names of code and digests of subjects; never a personal value."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from purposeguard.errors import PurposeMissing
from purposeguard.governance.ledger.chain import written
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Family, Purpose, Source
from purposeguard.policy.transfers import Provision
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.registry import LegalException, Reclassification

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
    "recovery": "a write that was cut short, found and set aside",
}
"""The kinds of entries."""

OF_CONSENT: Final = frozenset({"consent", "withdrawn"})
"""What a subject does about a consent; the rest is about restrictions."""

DIGEST: Final = re.compile(r"[0-9a-f]{32}")
"""How subjects are named."""


def clauses(sources: Iterable[type[Source]]) -> tuple[str, ...]:
    """`("1.1(a)", "1.1(c)")`, in the order of the clauses."""
    return tuple(source.clause for source in sources)


def purpose_id(purpose: type[Purpose] | Family) -> str:
    """The canonical id of a purpose, or the name of a family."""
    return purpose.name if isinstance(purpose, Family) else purpose.clause


def denial(error: PurposeViolation | PurposeMissing, *, observed: bool) -> dict[str, Any]:
    """A refusal. Of data read outside any purpose the reason is all that is known."""
    told: dict[str, Any] = {"error": type(error).__name__, "observed": observed}
    if not isinstance(error, PurposeViolation):
        return {**told, "reason": str(error)}
    decision = error.decision
    return {
        **told,
        "reason": decision.headline,
        "activity": error.activity,
        "function": error.function,
        "field": error.field,
        "purpose": purpose_id(decision.purpose),
        "sources": clauses(decision.label),
        "denied": clauses(decision.denied),
        "channel": decision.channel,
    }


def exception(granted: LegalException, label: Label, subject: str | None, count: int) -> dict[str, Any]:
    """Uses under an exception; `subject` is the digest of whom they are about."""
    return {
        "name": granted.name,
        "sources": clauses(label),
        "basis": granted.basis,
        "reason": granted.reason,
        "approver": granted.approver,
        "until": granted.until,
        "subject": digest(subject),
        "count": count,
    }


def reclassification(declared: Reclassification, label: Label, activity: str | None) -> dict[str, Any]:
    """A run of a declared reclassification."""
    return {
        "name": declared.name,
        "activity": activity,
        "sources": clauses(label),
        "to": clauses(declared.to),
        "why": declared.why,
        "approver": declared.approver,
    }


def provision(given: Provision, subjects: Iterable[str] | None) -> dict[str, Any]:
    """A hand-over; `subjects` are digests, None where there is no secret to make them with."""
    told: dict[str, Any] = {
        "recipient": given.recipient,
        "kind": given.kind,
        "country": given.country,
        "clauses": list(given.clauses),
        "sources": list(given.sources),
        "purpose": given.purpose,
        "revision": given.revision,
        "activity": given.activity,
        "means": given.means,
        "product": given.product,
        "task": given.task,
        "handed_over": given.at,
        "count": len(given.subjects),
    }
    return told if subjects is None else {**told, "subjects": [digest(one) for one in subjects]}


def declaration(what: str, subject: str, details: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The kind and body for what a subject, named by its digest, stopped, agreed to, or took back.

    `what` says which, `details` whatever else there is to say, by clause; nothing in it is personal.
    """
    kind = "consent" if what in OF_CONSENT else "restriction"
    return kind, {"what": what, "subject": digest(subject), **details}


def request(subject: str | None, details: Mapping[str, Any]) -> dict[str, Any]:
    """A step of a request; `details` as above."""
    return {"subject": digest(subject), **details}


def digest(subject: str | None) -> str | None:
    """How a subject is named, which must be a digest.

    Raises:
        ValueError: it is none, so it may be an id. It is not told.
    """
    if subject is not None and not DIGEST.fullmatch(subject):
        raise ValueError(
            "a ledger names subjects by `store.digest(subject)`, 32 hexadecimal digits, and not by their ids"
        )
    return subject


def sound(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body as JSON has it: dates as texts, tuples as lists, and nothing that JSON could tell in several ways.

    Raises:
        TypeError: there is something in it that is none of these, such as a fraction.
    """
    return {_key(key): _sound(value) for key, value in body.items()}


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"the keys of an entry are texts, not {type(key).__name__}")
    return _text(key)


def _sound(value: object) -> object:
    if value is None or type(value) in (bool, int):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, datetime.datetime):
        if value.utcoffset() is None:
            raise TypeError("a moment without its time zone could be any of many")
        return written(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return sound(value)
    if isinstance(value, (list, tuple)):
        return [_sound(one) for one in value]
    # Not the value itself: what lands here by mistake may be personal.
    raise TypeError(
        f"an entry of a ledger holds no {type(value).__name__}: give texts, whole numbers, dates, lists of these"
    )


def _text(value: str) -> str:
    """A text that UTF-8 can tell: halves of surrogate pairs, which it cannot, are written out."""
    return str(value).encode("utf-8", "backslashreplace").decode()
