"""Error answers for FastAPI: problem details, or the close of a websocket. No answer quotes a request or a response."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError

from purposeguard.errors import PurposeGuardError
from purposeguard.extras import Needs
from purposeguard.integrations.problems import MEDIA_TYPE, NOT_WRITTEN, Problem, faults_of, not_valid, problem_of

with Needs(__name__, "fastapi"):
    from fastapi import FastAPI
    from fastapi.exception_handlers import (
        request_validation_exception_handler,
        websocket_request_validation_exception_handler,
    )
    from fastapi.exceptions import (
        RequestValidationError,
        ResponseValidationError,
        ValidationException,
        WebSocketRequestValidationError,
    )
    from fastapi.responses import JSONResponse
    from fastapi.websockets import WebSocket, WebSocketState
    from starlette.requests import HTTPConnection

Handler = Callable[[Any, Any], Awaitable[Any]]

_LOGGER: Final = logging.getLogger("purposeguard.integrations.fastapi")

_PARAMETERS: Final = ("path_params", "query_params", "header_params", "cookie_params", "body_params")

_REPLACED: Final = (None, request_validation_exception_handler, websocket_request_validation_exception_handler)
"""Handlers that may be replaced: FastAPI's own handlers quote the input."""


def add_handlers(app: FastAPI, *, details: bool, observing: bool) -> None:
    """Register handlers for the errors of this library and of validation. Handlers of the application's own stay.

    If the guard only observes, the answers to errors of validation stay, too.
    """
    handlers: dict[type[Exception], Handler] = {PurposeGuardError: functools.partial(answer_error, details)}
    validation_handlers: dict[type[Exception], Handler] = {
        PydanticSerializationError: _answer_serialization_error,
        ResponseValidationError: _answer_response_error,
        RequestValidationError: _answer_validation_error,
        WebSocketRequestValidationError: _answer_validation_error,
    }
    if not observing:
        handlers.update(validation_handlers)
    for error, handler in handlers.items():
        if app.exception_handlers.get(error) in _REPLACED:
            app.add_exception_handler(error, handler)


async def answer_error(details: bool, connection: HTTPConnection, error: PurposeGuardError) -> JSONResponse | None:
    """Answer an error of this library, or raise it again if it has no problem details.

    Returns:
        None if a websocket was closed instead.
    """
    problem = problem_of(error, details=details)
    if problem is None:
        raise error
    return await _answer(connection, problem, f"{type(error).__name__}: {problem.detail}")


async def _answer_serialization_error(
    connection: HTTPConnection, error: PydanticSerializationError
) -> JSONResponse | None:
    return await _answer(connection, NOT_WRITTEN, f"{type(error).__name__}: {NOT_WRITTEN.detail}")


async def _answer_response_error(connection: HTTPConnection, error: ResponseValidationError) -> JSONResponse | None:
    """Answer 500 if a response does not match its `response_model`.

    FastAPI's own error quotes the response and would be logged.
    """
    faults = faults_of(error.errors(), ("response",))
    problem = Problem(
        500, "urn:purposeguard:problem:answer", "not as declared", "the answer is not of the model of its route"
    )
    return await _answer(connection, problem, f"{problem.detail}: {faults}")


async def _answer_validation_error(connection: HTTPConnection, error: ValidationException) -> JSONResponse | None:
    return await _answer(connection, not_valid(faults_of(error.errors(), _route_field_names(connection))), "")


async def _answer(connection: HTTPConnection, problem: Problem, said: str) -> JSONResponse | None:
    """Answer a request, or close a websocket: with 1008 if it was refused, with 1011 if the service is at fault."""
    if problem.status >= 500:
        route = connection.scope.get("route")
        _LOGGER.error("%s: %s", getattr(route, "path", "?"), said)
    if not isinstance(connection, WebSocket):
        return JSONResponse(problem.body, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)
    closed = WebSocketState.DISCONNECTED
    if connection.application_state is not closed and connection.client_state is not closed:
        await connection.close(1011 if problem.status >= 500 else 1008, reason=problem.title)
    return None


def _route_field_names(connection: HTTPConnection) -> frozenset[str]:
    """Return the names of all parameters and fields that the route of a request takes."""
    dependant = getattr(connection.scope.get("route"), "dependant", None)
    names = {"body", "path", "query", "header", "cookie"}
    return frozenset(names.union(_iter_field_names(dependant) if dependant is not None else ()))


def _iter_field_names(dependant: Any) -> Iterator[str]:
    for kind in _PARAMETERS:
        for field in getattr(dependant, kind):
            yield field.alias
            try:
                schema = TypeAdapter(field.field_info.annotation).json_schema()
            except PydanticUserError:  # A type without a JSON schema has no known names.
                continue
            yield from _iter_properties(schema)
    for inner in dependant.dependencies:
        yield from _iter_field_names(inner)


def _iter_properties(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        properties = schema.get("properties")
        yield from properties if isinstance(properties, Mapping) else ()
        schema = schema.values()
    if isinstance(schema, Iterable) and not isinstance(schema, str):
        for inner in schema:
            yield from _iter_properties(inner)
