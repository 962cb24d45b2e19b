"""Errors as HTTP answers (RFC 9457, `application/problem+json`). None holds a personal value."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic_core import PydanticSerializationError

import purposeguard as pg
from examples.shop.privacy import clauses, guard
from examples.shop.repository import NotFound
from purposeguard.errors import RequestError, StoreUnavailable, TooFewSubjects
from purposeguard.policy.violations import FlowViolation


def install(app: FastAPI) -> None:
    app.add_exception_handler(pg.PurposeViolation, _refused)
    app.add_exception_handler(FlowViolation, _not_there)
    app.add_exception_handler(pg.PurposeMissing, _purpose_missing)
    app.add_exception_handler(pg.SealedValue, _sealed)
    app.add_exception_handler(PydanticSerializationError, _not_written)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(NotFound, _not_found)
    app.add_exception_handler(TooFewSubjects, _too_few)
    app.add_exception_handler(RequestError, _not_now)
    app.add_exception_handler(pg.UnknownTerm, _not_in_the_notice)
    app.add_exception_handler(StoreUnavailable, _not_known)


def _problem(status: int, title: str, detail: object, **more: Any) -> JSONResponse:
    content = {"type": "about:blank", "title": title, "status": status, "detail": str(detail), **more}
    return JSONResponse(content, status, media_type="application/problem+json")


def _refused(_request: Request, error: Exception) -> JSONResponse:
    """403: the privacy notice does not grant it, or the person stopped it. Says why, and what may be done instead."""
    if not isinstance(error, pg.PurposeViolation):
        raise error
    decision = error.decision
    purpose = decision.purpose
    return _problem(
        403,
        TITLES.get(type(error), "not for this purpose"),
        error,
        decision=decision.headline,
        purpose=purpose.name if isinstance(purpose, pg.Family) else purpose.clause,
        clause=[one.clause for one in (purpose.members if isinstance(purpose, pg.Family) else (purpose,))],
        against=_against(error),
        sources=clauses(decision.denied).split(),
        reasons=decision.reasons,
        alternatives=[{"clause": one.clause, "slug": one.slug} for one in decision.alternatives],
        activity=error.activity,
        field=error.field,
    )


TITLES: dict[type[Exception], str] = {
    pg.SubjectViolation: "the person asked for it to stop",
    pg.RecipientViolation: "not to this recipient",
}


def _against(error: pg.PurposeViolation) -> str | None:
    """The clause by which somebody may ask for it to stop, where somebody did."""
    rights = guard.notice.document.rights
    return rights.clause if rights is not None and isinstance(error, pg.SubjectViolation) else None


def _not_there(_request: Request, error: Exception) -> JSONResponse:
    """403: it may be read, and not be written where others would take it for something else."""
    if not isinstance(error, FlowViolation):
        raise error
    return _problem(
        403,
        "not into this column",
        error,
        field=f"{error.target}.{error.column}",
        sources=clauses(error.missing).split(),
    )


def _purpose_missing(_request: Request, error: Exception) -> JSONResponse:
    """500: our own code asked for data without saying what for. Nothing the caller could do about it."""
    return _problem(500, "no purpose", error)


def _sealed(_request: Request, error: Exception) -> JSONResponse:
    """500: our own code took a sealed value for a plain one."""
    return _problem(500, "sealed", error)


def _not_written(_request: Request, _error: Exception) -> JSONResponse:
    """500: a sealed value was handed to FastAPI, which writes answers when the activity has ended."""
    return _problem(500, "sealed", "the answer holds what may only be written inside a purpose: open or dump it there")


def _not_valid(_request: Request, error: Exception) -> JSONResponse:
    """422: says which field and which rule, and nothing of what was given: answers are logged on their way."""
    if not isinstance(error, RequestValidationError):
        raise error
    faults = [{"where": ".".join(map(str, one["loc"])), "fault": one["type"]} for one in error.errors()]
    return _problem(422, "not valid", "the request is not as the API has it", faults=faults)


def _not_found(_request: Request, error: Exception) -> JSONResponse:
    return _problem(404, "not found", error)


def _too_few(_request: Request, error: Exception) -> JSONResponse:
    """409: a figure would tell of single people; ask again when there are more. How many there are is not said."""
    if not isinstance(error, TooFewSubjects):
        raise error
    return _problem(409, "too few", f"fewer than {error.at_least} customers are behind this, so there is no figure")


def _not_now(_request: Request, error: Exception) -> JSONResponse:
    """409: a request of a person that is unknown, or that this cannot be done with now."""
    return _problem(409, "not now", error)


def _not_in_the_notice(_request: Request, error: Exception) -> JSONResponse:
    """422: the notice has no such purpose, nor the register such a recipient."""
    return _problem(422, "unknown", error)


def _not_known(_request: Request, error: Exception) -> JSONResponse:
    """503: it cannot be known now what people asked for, so nothing is done that they may have stopped."""
    return _problem(503, "not known now", error)
