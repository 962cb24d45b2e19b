"""Routes that somebody else wrote, each under its purpose: around any ASGI application, and without a change to it.

::

    app = PurposeRoutes(app, {
        "POST /login": guard.purpose(my.SignIn),
        "GET /users/{id}": guard.purpose(my.Support),
        "GET /health": None,
    })

Where the routes are your own, decorate the functions below them instead: those say what they are for where it is read.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from purposeguard.activity import Block
from purposeguard.inventory import Site

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_ROUTE: Final = re.compile(r"(?P<method>[A-Z]+) (?P<path>/\S*)")
_PARAMETER: Final = re.compile(r"\{[A-Za-z_]\w*(?::(?P<kind>\w+))?\}")
_KINDS: Final[Mapping[str | None, str]] = {
    None: "[^/]+",
    "str": "[^/]+",
    "path": ".*",
    "int": "[0-9]+",
    "float": r"[0-9]+(?:\.[0-9]+)?",
    "uuid": "[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}",
}
"""What a parameter of a path stands for, as Starlette has it."""

WEBSOCKET: Final = "WEBSOCKET"
"""What stands for a method where the route is of a websocket."""


class PurposeRoutes:
    """An ASGI application of which each request runs for the purpose of its route.

    `routes` maps `METHOD /path/{parameter}`, as the application writes its routes, to a block, `guard.purpose(…)`, or
    to None where a route uses nothing personal. The first that fits counts, so their order is that of the application,
    and a route that is left out may be taken for one that is not: name them all. A request that fits none has no
    purpose, and what it reads is refused. HEAD is as GET; a websocket is `WEBSOCKET /path`. Each route is an activity,
    named after it unless its block has a name, and declared at once.

    The purpose holds in what runs in the task of the request: coroutines of the application, and tasks in the
    background that it runs after its answer. Functions that a framework runs in threads, and tasks that are made
    beside, have none.

    Raises:
        TypeError: a route is given something that is no block.
        ValueError: a route is not written as above.
    """

    def __init__(self, app: App, routes: Mapping[str, Block[Any] | None]) -> None:
        self._app = app
        self._routes = tuple((*_read(route), self._run(route, block)) for route, block in routes.items())

    def _run(self, route: str, block: Block[Any] | None) -> App:
        if block is None:
            return self._app
        if not isinstance(block, Block):
            raise TypeError(f"`{route}` is given {type(block).__name__}: say what it is for, `guard.purpose(…)`")

        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            await self._app(scope, receive, send)

        _, line, module = block._where
        run: App = block._around(handle, Site(module, route, line))
        return run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or tells the application that it begins and ends."""
        await self._found(scope)(scope, receive, send)

    def _found(self, scope: Scope) -> App:
        method = {"http": scope.get("method"), "websocket": WEBSOCKET}.get(scope["type"])
        if method is None:
            return self._app
        path = _path(scope)
        for own, pattern, run in self._routes:
            if (own == method or (own == "GET" and method == "HEAD")) and pattern.fullmatch(path):
                return run
        return self._app


def _path(scope: Scope) -> str:
    """The path as the application sees it: without what it is mounted under."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] or "/" if root and (path == root or path.startswith(f"{root}/")) else path


def _read(route: str) -> tuple[str, re.Pattern[str]]:
    found = _ROUTE.fullmatch(route)
    if found is None:
        raise ValueError(f"`{route}` is no route: write it `GET /users/{{id}}`")
    pattern, end = "", 0
    for parameter in _PARAMETER.finditer(found["path"]):
        pattern += _literal(route, found["path"][end : parameter.start()])
        if parameter["kind"] not in _KINDS:
            known = ", ".join(kind for kind in _KINDS if kind)
            raise ValueError(f"`{route}` has a parameter of a kind that is not known, only {known}")
        pattern += _KINDS[parameter["kind"]]
        end = parameter.end()
    pattern += _literal(route, found["path"][end:])
    return found["method"], re.compile(pattern, re.DOTALL)


def _literal(route: str, text: str) -> str:
    if "{" in text or "}" in text:
        raise ValueError(f"`{route}` has a parameter that cannot be read: write it `{{id}}`, or `{{id:int}}`")
    return re.escape(text)
