"""The desk as an ASGI application: its routes, the identification of clerks, and the headers of responses."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final, cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from purposeguard.errors import StoreUnavailable
from purposeguard.governance.governance import Governance
from purposeguard.governance.web import pages
from purposeguard.governance.web.clerks import Clerk, ClerkOf, Right
from purposeguard.governance.web.forms import FormFields, FormTokens
from purposeguard.governance.web.visits import SESSION, TurnedAway, Visit

_log: Final = logging.getLogger("purposeguard.desk")

Message = MutableMapping[str, Any]

HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""The headers of each response. Pages also allow their own style sheet and forms."""


def desk(governance: Governance, *, clerk: ClerkOf, secret: str | bytes | Sequence[str | bytes]) -> Starlette:
    """Make the request desk, an ASGI application that is mounted into another one.

    Args:
        governance: The governance whose requests are handled.
        clerk: Returns who sent an HTTP request and what they may do. None is answered by a page of status 403. To send
            people to a log-in, raise Starlette's `HTTPException(303, headers={"location": "/log-in"})`. A plain
            function may block: it is run in a thread.
        secret: The secret that signs the forms, so that no other site can send them; the same in each process. Of
            several, the last one signs, and the others are still accepted.

    Raises:
        TypeError: `governance` is no Governance, `clerk` cannot be called, or a secret is no text and no bytes.
        ValueError: there is no secret, or one is shorter than 32 bytes.
    """
    if not isinstance(governance, Governance):
        raise TypeError(f"the desk is given a Governance, not {type(governance).__name__}")
    if not callable(clerk):
        raise TypeError("`clerk` is a function that says who sent a request, and what they may do")
    door = _DeskRoutes(governance, clerk, FormTokens(secret))
    action_routes: list[Route] = []
    for action in pages.ACTIONS.values():
        path = f"/requests/{{number}}/{action.name}"
        action_routes.append(door.make_form_route(path, action.take_step, "see", action.name))
    return Starlette(
        routes=[
            door.make_page_route("/", pages.show_requests, "see"),
            door.make_page_route("/new", pages.show_new_request_form, "see", "receive"),
            door.make_form_route("/new", pages.handle_new_request, "see", "receive"),
            door.make_page_route("/requests/{number}", pages.show_request, "see"),
            door.make_form_route("/requests/{number}/report", pages.handle_report, "see", "disclose"),
            *action_routes,
        ],
        middleware=[Middleware(_HeadersMiddleware)],
        exception_handlers=cast(
            "Any",
            {
                TurnedAway: door.answer_turned_away,
                HTTPException: door.answer_http_error,
                StoreUnavailable: door.answer_unavailable,
            },
        ),
    )


class _DeskRoutes:
    """The routes of the desk: they identify clerks, refuse forged forms, and run blocking code in threads."""

    def __init__(self, governance: Governance, clerk: ClerkOf, tokens: FormTokens) -> None:
        self._governance = governance
        self._clerk = clerk
        self._tokens = tokens

    def make_page_route(self, path: str, view: Callable[[Visit], Response], *rights: Right) -> Route:
        """Return a route for a page that changes nothing."""

        async def endpoint(request: HttpRequest) -> Response:
            visit = await self._visit(request)
            visit.require_rights(*rights)
            return await run_in_threadpool(view, visit)

        return Route(path, endpoint, methods=["GET"])

    def make_form_route(self, path: str, view: Callable[[Visit, FormFields], Response], *rights: Right) -> Route:
        """Return a route for a form that was sent with a valid token."""

        async def endpoint(request: HttpRequest) -> Response:
            visit = await self._visit(request)
            visit.require_rights(*rights)
            async with request.form(max_files=0) as form:
                fields = FormFields(form)
                session = request.cookies.get(SESSION)
                if not self._tokens.is_genuine(fields.raw("token"), session, visit.name):
                    raise TurnedAway(403, "forged")
                return await run_in_threadpool(view, visit, fields)

        return Route(path, endpoint, methods=["POST"])

    async def _visit(self, request: HttpRequest) -> Visit:
        answer = await run_in_threadpool(self._clerk, request)
        clerk = await answer if inspect.isawaitable(answer) else answer
        if clerk is not None and not isinstance(clerk, Clerk):
            raise TypeError(f"`clerk` gives a Clerk or None, not {type(clerk).__name__}")
        visit = Visit.of(request, self._governance, self._tokens, clerk)
        request.state.purposeguard_visit = visit
        return visit

    def _identify_visit(self, request: HttpRequest) -> Visit:
        """Return the visit of a request, without a clerk if its sender was not identified."""
        visit: Visit | None = getattr(request.state, "purposeguard_visit", None)
        return visit or Visit.of(request, self._governance, self._tokens, None)

    # ---- What is answered where nothing could be done -------------------------------------------------------------

    async def answer_turned_away(self, request: HttpRequest, error: TurnedAway) -> Response:
        """Answer with the page that explains why the visit was turned away."""
        return self._identify_visit(request).show_turned_away(error.status, error.why)

    async def answer_http_error(self, request: HttpRequest, error: HTTPException) -> Response:
        """Answer an HTTP error: a missing page, an unreadable form, or an error raised by the application's `clerk`."""
        if 300 <= error.status_code < 400:
            return Response(status_code=error.status_code, headers=error.headers)
        why = {401: "nobody", 403: "nobody", 404: "no_page"}.get(error.status_code, "unreadable")
        response = self._identify_visit(request).show_turned_away(error.status_code, why)
        response.headers.update(error.headers or {})
        return response

    async def answer_unavailable(self, request: HttpRequest, error: StoreUnavailable) -> Response:
        """Answer with a page that says that the store cannot be used and that nothing has changed."""
        _log.error("%s", error)
        return self._identify_visit(request).show_turned_away(503, "closed")


class _HeadersMiddleware:
    """A middleware that adds the headers that a response lacks."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Message], Awaitable[None]]) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers["content-security-policy"] += "; frame-ancestors 'none'"
            await send(message)

        await self._app(scope, receive, sending)
