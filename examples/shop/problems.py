"""Errors as HTTP answers (RFC 9457, `application/problem+json`). None holds a personal value."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

import purposeguard as pg
from examples.shop.ledger import purpose_id
from examples.shop.repository import NotFound


def install(app: FastAPI) -> None:
    app.add_exception_handler(pg.PurposeViolation, _refused)
    app.add_exception_handler(pg.PurposeMissing, _purpose_missing)
    app.add_exception_handler(NotFound, _not_found)


def _problem(status: int, title: str, error: Exception, **more: Any) -> JSONResponse:
    content = {"type": "about:blank", "title": title, "status": status, "detail": str(error), **more}
    return JSONResponse(content, status, media_type="application/problem+json")


def _refused(_request: Request, error: Exception) -> JSONResponse:
    """403: the privacy notice does not grant it. Says why, and what it does grant for the same data."""
    if not isinstance(error, pg.PurposeViolation):
        raise error
    decision = error.decision
    purpose = decision.purpose
    return _problem(
        403,
        "not for this purpose",
        error,
        decision=decision.headline,
        purpose=purpose_id(purpose),
        clause=[one.clause for one in (purpose.members if isinstance(purpose, pg.Family) else (purpose,))],
        sources=[source.clause for source in decision.denied],
        reasons=decision.reasons,
        alternatives=[{"clause": one.clause, "slug": one.slug} for one in decision.alternatives],
        activity=error.activity,
        field=error.field,
    )


def _purpose_missing(_request: Request, error: Exception) -> JSONResponse:
    """500: our own code asked for data without saying what for. Nothing the caller could do about it."""
    return _problem(500, "no purpose", error)


def _not_found(_request: Request, error: Exception) -> JSONResponse:
    return _problem(404, "not found", error)
