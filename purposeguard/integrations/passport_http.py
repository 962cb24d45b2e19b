"""A purpose that crosses HTTP between two services, as a passport in a header or in the baggage of OpenTelemetry.

The service that calls::

    crossing = Crossing(passports, inside={"billing.internal": "billing"})
    client = httpx.Client(event_hooks={"request": [crossing.on_request]})

The service that is called::

    app = PassportMiddleware(app, passports, permits=[tm.ContractPerformance], audience="billing")

This module needs no client, framework or OpenTelemetry: headers are mappings, and an application is ASGI.
"""

from __future__ import annotations

import contextlib
import datetime
import fnmatch
import json
import sys
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Final, cast

from purposeguard.errors import PurposeGuardError, StoreUnavailable
from purposeguard.integrations.asgi import App, Receive, Scope, Send, answer_after_recording, enter_entry_point
from purposeguard.integrations.passport import HEADER, Passports, Permits, make_header, site_of, under_way
from purposeguard.integrations.problems import MEDIA_TYPE, Problem, problem_of
from purposeguard.integrations.threads import hopping, settled
from purposeguard.runtime.site import Site
from purposeguard.runtime.use import Use

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
"""Headers by their names, or in pairs, of which several may have one name."""

BAGGAGE: Final = "purpose-passport"
"""The key of a passport in the baggage of OpenTelemetry, which goes on from service to service (W3C Baggage)."""

MAX_AGE: Final = datetime.timedelta(minutes=1)
"""How long the passport of a request is valid by default."""


def headers(
    passports: Passports,
    *,
    audience: str | None = None,
    subject: object = None,
    max_age: datetime.timedelta = MAX_AGE,
) -> dict[str, str]:
    """Return the header that takes the purpose under way to another service. Make a new one for each request.

    There is none if a missing purpose is only observed.

    Raises:
        PurposeMissing: No purpose is under way.
    """
    return make_header(passports, audience=audience, subject=subject, max_age=max_age)


def passport_in(given: Headers) -> str | None:
    """Return the passport in the headers of a request: in its own header, or else in the baggage.

    Several passports are joined with commas, which makes them invalid.

    Returns:
        None if there is no passport.
    """
    items = cast("Mapping[str, str]", given).items() if isinstance(given, Mapping) else given
    pairs = [(name.lower(), value) for name, value in items]
    passports = [value for name, value in pairs if name == HEADER.lower()]
    if not passports:
        baggage = [value for name, value in pairs if name == "baggage"]
        passports = [value for key, value in _iter_entries(",".join(baggage)) if key == BAGGAGE]
    return ", ".join(passports) if passports else None


def accepted(
    passports: Passports,
    given: Headers,
    *,
    permits: Permits,
    audience: str | None = None,
    subject: object = None,
    activity: str | None = None,
    site: Site | None = None,
) -> contextlib.AbstractContextManager[Use[Any]]:
    """Return a block for the purpose of the passport in the headers. Behaves and raises like `Passports.accept`."""
    return passports.accept(
        passport_in(given),
        permits=permits,
        audience=audience,
        subject=subject,
        activity=activity,
        site=site or site_of(sys._getframe(1)),
    )


def with_baggage(baggage: str | None, passport: str) -> str:
    """Return the `baggage` header with a passport in it, in place of any other. Issue it without an audience."""
    others = _drop_entry(baggage or "")
    return ",".join([*([others] if others else []), f"{BAGGAGE}={passport}"])


class Crossing:
    """A rule for the headers of requests to other services: hosts inside get a passport, all others get none.

    `inside` maps a host, or a pattern such as `*.internal`, to the audience that it accepts passports as. The first
    match counts. A request to any other host carries no passport, neither in a header nor in the baggage, even if a
    redirect led there.

    Raises:
        ValueError: A host is written with a scheme, a port or a path.
    """

    def __init__(
        self, passports: Passports, inside: Mapping[str, str | None], *, max_age: datetime.timedelta = MAX_AGE
    ) -> None:
        for host in inside:
            if not host or host.count(":") == 1 or any(char in host for char in "/@ "):
                raise ValueError("`inside` names hosts alone, as `billing.internal` or `*.internal`")
        self._passports = passports
        self._inside = {_normalize_host(pattern): audience for pattern, audience in inside.items()}
        self._max_age = max_age

    def apply(self, host: str, given: MutableMapping[str, Any], *, subject: object = None) -> None:
        """Add a passport to the headers of a request if `host` is inside, or else remove any passport from them.

        Outside any purpose no passport is added, and the other service refuses.
        """
        for name in [name for name in given if name.lower() == HEADER.lower()]:
            del given[name]
        inside = next(
            (pattern for pattern in self._inside if fnmatch.fnmatchcase(_normalize_host(host), pattern)), None
        )
        if inside is None:
            _strip_baggage(given)
        elif under_way(self._passports.guard) is not None:
            audience = self._inside[inside]
            given.update(headers(self._passports, audience=audience, subject=subject, max_age=self._max_age))

    def on_request(self, request: Any) -> None:
        """Apply to a request of httpx: `event_hooks={"request": […]}`. httpx calls this at each redirect, too."""
        self.apply(request.url.host, request.headers)

    async def on_request_async(self, request: Any) -> None:
        """Apply to a request of an `AsyncClient`; see `on_request`."""
        self.on_request(request)


class PassportMiddleware:
    """An ASGI application that runs another one for the purpose of the passport in each request, or refuses it.

    A refused HTTP request is answered with the problem of the refusal (`problem_of`): 403 for a passport or purpose
    that is not accepted, 503 if the store cannot be asked or cannot record a denial. A refused WebSocket is closed with
    code 1008.

    `permits` are the purposes that it may run for, and `audience` is the name that passports are issued to. With
    `required=False` a request without a passport goes on without a purpose. Code that reads personal data in it is then
    refused, unless it states a purpose.

    The purpose holds in the task of the request. Middlewares that run the application in another task must stand
    outside of this one.

    Raises:
        UnknownPurpose, TypeError: `permits` is no list of purposes of the notice.
    """

    def __init__(
        self,
        app: App,
        passports: Passports,
        *,
        permits: Permits,
        audience: str | None = None,
        activity: str | None = None,
        required: bool = True,
    ) -> None:
        self._app = app
        self._passports = passports
        self._audience = audience
        self._activity = activity or audience or "http"
        self._permits = passports.declare(permits, self._activity, _MIDDLEWARE)
        self._required = required

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or the lifespan of the application."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def refuse(error: StoreUnavailable) -> None:
            await _answer(cast("Problem", problem_of(error)), scope, send)

        with contextlib.ExitStack() as stack:
            stack.enter_context(enter_entry_point(scope))
            try:
                self._enter(stack, scope)
            except PurposeGuardError as error:
                problem = problem_of(error)
                if problem is None:
                    raise
                await _answer(problem, scope, send)
                return
            engine = self._passports.guard.engine
            await settled(engine)
            await answer_after_recording(engine, self._app, scope, receive, send, refuse=refuse)

    def _enter(self, stack: contextlib.ExitStack, scope: Scope) -> None:
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        if not self._required and passport_in(fields) is None:
            return
        block = accepted(
            self._passports,
            fields,
            permits=self._permits,
            audience=self._audience,
            activity=self._activity,
            site=_MIDDLEWARE,
        )
        use = stack.enter_context(block)
        if use is self._passports.guard.engine.ambient():  # Otherwise a refusal is only observed.
            stack.enter_context(hopping(use))


_MIDDLEWARE: Final = Site(__name__, PassportMiddleware.__qualname__, 0)


async def _answer(problem: Problem, scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": problem.title})
        return
    body = json.dumps(problem.body, ensure_ascii=False).encode()
    fields = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **problem.headers}
    pairs = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def _normalize_host(host: str) -> str:
    return host.rstrip(".").lower()


def _iter_entries(baggage: str) -> Iterator[tuple[str, str]]:
    """Yield the keys and values of a baggage header as OpenTelemetry reads it: percent-decoded, without properties."""
    for member in baggage.split(","):
        key, _, value = member.partition(";")[0].partition("=")
        yield urllib.parse.unquote_plus(key).strip(), urllib.parse.unquote_plus(value).strip()


def _drop_entry(baggage: str) -> str:
    members = [member for member in baggage.split(",") if member.strip()]
    return ",".join(member for member in members if next(_iter_entries(member))[0] != BAGGAGE)


def _strip_baggage(fields: MutableMapping[str, Any]) -> None:
    for name in [name for name in fields if name.lower() == "baggage"]:
        rest = _drop_entry(fields[name])
        if rest:
            fields[name] = rest
        else:
            del fields[name]
