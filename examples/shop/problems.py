"""Errors of the shop's own as HTTP answers; those of the guard are answered by `purposeguard.integrations.fastapi`."""

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
    """422: people name purposes and recipients, and the notice has no such purpose, the register no such recipient."""
    return _answer(Problem(422, "urn:shop:problem:unknown", "unknown", str(error)))


def _answer(problem: Problem) -> JSONResponse:
    return JSONResponse(problem.body, problem.status, media_type=MEDIA_TYPE)
