"""HTTP answers for the shop's own errors. `purposeguard.integrations.fastapi` answers errors of the guard."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

import purposeguard as pg
from examples.shop.repository import NotFound
from purposeguard.integrations.problems import MEDIA_TYPE, Problem


def add_to(app: FastAPI) -> None:
    app.add_exception_handler(NotFound, _not_found)
    app.add_exception_handler(pg.UnknownTerm, _not_in_the_notice)


async def _not_found(_request: Request, error: Exception) -> JSONResponse:
    return _answer(Problem(404, "urn:shop:problem:not-found", "not found", str(error)))


async def _not_in_the_notice(_request: Request, error: Exception) -> JSONResponse:
    """Answer 422: a request names a purpose or recipient that neither the notice nor the register has."""
    return _answer(Problem(422, "urn:shop:problem:unknown", "unknown", str(error)))


def _answer(problem: Problem) -> JSONResponse:
    return JSONResponse(problem.body, problem.status, media_type=MEDIA_TYPE)
