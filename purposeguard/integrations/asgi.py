"""Purposes for routes that somebody else wrote: a wrapper around an application of Starlette or FastAPI.

::

    app = PurposeRoutes(app, {
        "POST /login": guard.purpose(my.SignIn),
        "GET /users/{id}": guard.purpose(my.Support),
        "GET /health": None,
    })

If the routes are your own, decorate the functions below them instead, so that each states its purpose where it is read.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from purposeguard.errors import StoreUnavailable
from purposeguard.guard import Guard
from purposeguard.integrations.stated_purposes import find_activity, find_block
from purposeguard.integrations.threads import hopping, off_loop, settled
from purposeguard.runtime.activity import Block
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.entry_point import METHODS, EntryPoint, name_method
from purposeguard.runtime.site import Site
from purposeguard.runtime.use import Use, end_use

__all__ = ["WEBSOCKET", "PurposeRoutes"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Run = Callable[[App, Scope, Receive, Send], Awaitable[None]]
ListStated = Callable[[Any, str], Iterable[Block[Any]]]

_NAME: Final = re.compile(r"[A-Z]+ [^\s/]*/\S*")
_PLACE: Final = "purposeguard.place"
"""The key of a scope that tells the next route whose purposes hold."""
_ENTRY_POINT: Final = "purposeguard.entry_point"
"""The key of a scope that holds the entry point of its request."""
_MOUNT: Final = "purposeguard.mount"
"""The key of a scope that holds the template of the path at which the present application is mounted."""

WEBSOCKET: Final = "WEBSOCKET"
"""Takes the place of the method in the name of a websocket route."""
_KNOWN_METHODS: Final = METHODS | {"HEAD", WEBSOCKET}
_ANY: Final = "any method of"
_ANYTHING: Final = "/{path:path}"
"""The end of the path of a mount without routes of its own."""


class PurposeRoutes:
    """An application of Starlette or FastAPI that runs each request for the purpose of its route.

    `routes` maps `METHOD /path/{parameter}`, exactly as the application writes its routes, to a block,
    `guard.purpose(…)`, or to None if a route uses nothing personal. HEAD counts as GET; a websocket is
    `WEBSOCKET /path`. Routes under a mount or an included router begin with its path, those of a host with the host. A
    mount that has no routes is `/mount/{path:path}`. Each name is an activity, declared at once and called after
    the route unless its block has a name. It is also the name of the entry point of a request, whether or not its route
    has a purpose.

    The path of a request is not read here: the router of the application chooses a route, and the purpose begins where
    the router hands the request over. Each route of the application therefore gets another `handle`, which does nothing
    unless the request came through a PurposeRoutes. A route that is not named, or is added later, has no purpose, and
    what it reads is refused. The same holds for the middlewares of the application.

    The purpose holds in what runs in the task of the route: its coroutine, its dependencies, and the background tasks
    that it runs after its answer. Functions that a framework runs in threads, and tasks that are created beside it,
    have none. In a FastAPI application, `install` of `integrations.fastapi` carries the purpose there.

    If `guard` has a file `purposes.toml`, each route that is not in `routes` runs for the purpose that the file states.

    Raises:
        TypeError: A route is given something that is no block, or the application has no routes that can be asked.
        ValueError: A route is not written as above, or the application has none of this name. Or the file states
            another purpose for a route.
    """

    def __init__(
        self,
        app: App,
        routes: Mapping[str, Block[Any] | None] = MappingProxyType({}),
        *,
        of: App | None = None,
        guard: Guard | None = None,
        mount: str = "",
        list_stated: ListStated = lambda _route, _path: (),
    ) -> None:
        """Wrap the routes of the application.

        Args:
            app: The application.
            routes: The table.
            of: The application that has the routes, if `app` hides them.
            guard: The guard with the file.
            mount: The template of a path at which the application is mounted. What the file states there is found now,
                and at any other path when the first request comes by it.
            list_stated: Lists what the code states for a route with this path elsewhere than in the table.
        """
        self._app = app
        self._of = of or app
        self._routes = routes
        self._guard = guard
        self._list_stated = list_stated
        self._runs = {name: _make_run(name, block) for name, block in routes.items()}
        self._places: dict[tuple[str, str], _RoutePlace] = {}
        """The places of requests, by the mount of the application and the path below it."""
        self._hooked: dict[tuple[int, str], _HookedRoute] = {}
        route_names = set(self._hook_all(_list_routes(self._of), ""))
        for name in routes:
            _require_known_route(name, route_names)
        self._find_place(mount)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or the lifespan of the application."""
        with enter_entry_point(scope):
            self.note_place(scope)
            await self._app(scope, receive, send)

    def note_place(self, scope: Scope) -> None:
        """Note in the scope of a request whose purposes hold in the application."""
        place = self._find_place(get_mount(scope))
        if place.runs or scope.get(_PLACE) is None:
            scope[_PLACE] = place
        # Otherwise the purposes of the application around it hold.

    def _find_place(self, mount: str, prefix: str = "") -> _RoutePlace:
        """Return the place of a request below a path of the application.

        Raises:
            ValueError: Code and file state different purposes for a route.
        """
        place = self._places.get((mount, prefix))
        if place is None:
            runs = self._find_place(mount).runs if prefix else self._find_runs(mount)
            place = _RoutePlace(self, runs, mount, prefix)
            self._places[mount, prefix] = place
        return place

    def _find_runs(self, mount: str) -> Mapping[str, Run | None]:
        """Return the functions that run the routes of the application mounted at this path. Raise as `_find_place`."""
        added = {} if self._guard is None else self._find_stated_routes(self._guard, mount)
        return self._runs | {name: _make_run(name, block) for name, block in added.items()}

    def _find_stated_routes(self, guard: Guard, mount: str) -> dict[str, Block[Any]]:
        """Return a block for each route for which `purposes.toml` alone states a purpose. Raise as `_find_place`."""
        added: dict[str, Block[Any]] = {}
        if guard.purposes is None:
            return added
        for route, path in iter_routes(self._of, behind_middlewares=False):
            if _list_nested_routes(route):
                continue
            stated = [find_activity(getattr(route, "endpoint", None)), *self._list_stated(route, path)]
            for name in _iter_entry_points(route, path):
                of_table = self._routes.get(name)
                if of_table is None and name in self._routes:  # The code says that it uses nothing personal.
                    continue
                method, _, template = name.partition(" ")
                block = find_block(guard, f"{method} {mount}{template}", [*stated, of_table])
                if block is not None:
                    added[name] = block
        return added

    def _hook_all(self, routes: Iterable[Any], prefix: str) -> Iterator[str]:
        """Give each route a `handle` that asks for its purpose, and yield the names by which `routes` may name it."""
        for route in routes:
            contexts = tuple(_effective_routes(route))
            for route_or_context in contexts:
                original = get_declared_route(route_or_context)
                path = prefix + _route_path(route_or_context)
                if original is not route and _is_api_route(original):
                    _hook_handle(original)
                nested = _list_nested_routes(route_or_context)
                yield from self._hook_all(nested, path) if nested else _iter_route_names(route_or_context, path)
            self._hooked[id(route), prefix] = _HookedRoute(route, contexts)
            _hook_handle(route)

    def _find_hooked_route(self, route: Any, prefix: str) -> _HookedRoute | None:
        """Return a route below a path of the application. None if it was added after the routes were inspected."""
        return self._hooked.get((id(route), prefix))


class _HookedRoute(NamedTuple):
    """A route whose requests are run for a purpose."""

    route: Any
    """The route. It is kept alive, so that no other object gets its id."""
    contexts: tuple[Any, ...]
    """The routes of the router that FastAPI included here. Otherwise the route itself."""

    @property
    def is_included_router(self) -> bool:
        """True if FastAPI included a router here."""
        return len(self.contexts) != 1 or get_declared_route(self.contexts[0]) is not self.route

    @property
    def hands_over_to_api_routes(self) -> bool:
        """True if FastAPI hands each request of HTTP to a route itself. It rebuilds included routes of other kinds."""
        for context in self.contexts:
            original = get_declared_route(context)
            if not _is_api_route(original) and (hasattr(original, "methods") or hasattr(original, "routes")):
                return False
        return True


class _Choice(NamedTuple):
    """The purpose of the requests that a router hands to a route, or the place where another router goes on."""

    run: Run | None = None
    name: str | None = None
    """The name of the entry point."""
    mount: str | None = None
    """The template of the path at which applications below the route are mounted."""
    below: _RoutePlace | None = None
    matches: Callable[[Scope], Any] | None = None
    """A function that checks that FastAPI has chosen the route at the path that is known here."""


class _RoutePlace:
    """The position of a request: whose purposes hold, below which mounts it is, and in which included router."""

    __slots__ = ("_choices", "_included", "_mount", "_prefix", "_purposes", "runs")

    def __init__(
        self,
        purposes: PurposeRoutes,
        runs: Mapping[str, Run | None],
        mount: str,
        prefix: str,
        included: tuple[Any, ...] | None = None,
    ) -> None:
        """Note a position.

        Args:
            purposes: The wrapper whose purposes hold.
            runs: The functions that run the routes.
            mount: The template of the path at which the application of `purposes` is mounted itself.
            prefix: The template of the path below it.
            included: The routes of the router that FastAPI included and that has the request now.
        """
        self.runs = runs
        self._purposes = purposes
        self._mount = mount
        self._prefix = prefix
        self._included = included
        self._choices: dict[tuple[int, str], _Choice] = {}

    def enter(self, route: Any, scope: Scope) -> Run | None:
        """Return the function that runs a route for its purpose.

        If other routes come below this one, note in the scope where the request is now.

        Returns:
            None if the route has no purpose, or if a route below it is to be asked.
        """
        method = WEBSOCKET if scope["type"] == "websocket" else scope["method"]
        choice = self._choices.get((id(route), method)) or self._choose(route, method, scope)
        if choice is None or (choice.matches is not None and not _is_full(choice.matches(scope))):
            return None
        if choice.mount is not None:
            scope[_MOUNT] = choice.mount
        if choice.below is not None:
            scope[_PLACE] = choice.below
        if choice.name is not None:
            entry_point: EntryPoint = scope[_ENTRY_POINT]
            entry_point.name = choice.name
        return choice.run

    def _choose(self, route: Any, method: str, scope: Scope) -> _Choice | None:
        """Return the choice for a route, and remember it if all requests with this method get the same."""
        if self._included is None:
            hooked = self._purposes._find_hooked_route(route, self._prefix)
            if hooked is None:
                return None
            if not hooked.is_included_router:
                choice = self._make_choice(hooked.contexts[0], method)
            elif method != WEBSOCKET and hooked.hands_over_to_api_routes:
                choice = _Choice(below=self._make_included_place(hooked.contexts))
            else:
                context = _find_match(_effective_routes(route), scope)
                if context is not None and _is_api_route(get_declared_route(context)):
                    return _Choice(below=self._make_included_place((context,)))
                return None if context is None else self._make_choice(context, method)
        else:
            contexts = [context for context in self._included if get_declared_route(context) is route]
            if len(contexts) != 1:  # The router includes another one several times.
                context = _find_match(contexts, scope)
                return None if context is None else self._make_choice(context, method)
            choice = self._make_choice(contexts[0], method)._replace(matches=contexts[0].matches)
        if method in _KNOWN_METHODS and getattr(get_declared_route(route), "routes", None) is None:
            self._choices[id(route), method] = choice
        return choice

    def _make_choice(self, chosen: Any, method: str) -> _Choice:
        """Return the choice for a route, which is given as FastAPI describes it."""
        path = self._prefix + _route_path(chosen)
        mount = self._mount + path.removesuffix(_ANYTHING)
        if _list_nested_routes(chosen):
            return _Choice(mount=mount, below=self._purposes._find_place(self._mount, path))
        name = name_method(method, getattr(chosen, "methods", None) or ())
        stated = f"{method} {path}"
        run = self.runs[stated] if stated in self.runs else self.runs.get(f"{name} {path}")
        return _Choice(run, EntryPoint.route(name, self._mount + path).name, mount)

    def _make_included_place(self, contexts: tuple[Any, ...]) -> _RoutePlace:
        return _RoutePlace(self._purposes, self.runs, self._mount, self._prefix, contexts)


class _RouteHandle:
    """A replacement for the `handle` of a route. The router calls it once it has chosen the route."""

    def __init__(self, route: Any) -> None:
        self.route = route
        self.inner: App = route.handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        place: _RoutePlace | None = scope.get(_PLACE)
        if place is None:
            return await self.inner(scope, receive, send)
        scope[_PLACE] = None  # Nothing that the route itself calls is a route of the application.
        try:
            run = place.enter(self.route, scope)
            await (self.inner(scope, receive, send) if run is None else run(self.inner, scope, receive, send))
        finally:
            scope[_PLACE] = place


def _hook_handle(route: Any) -> None:
    if not isinstance(vars(route).get("handle"), _RouteHandle):
        route.handle = _RouteHandle(route)


def _make_run(name: str, block: Block[Any] | None) -> Run | None:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"`{name}` is no route: write it `GET /users/{{id}}`")
    if block is None:
        return None
    if not isinstance(block, Block):
        raise TypeError(f"`{name}` is given {type(block).__name__}: say what it is for, `guard.purpose(…)`")
    _, line, module = block.stated.where
    return make_purpose_run(block, Site(module, name, line))


def make_purpose_run(block: Block[Any], site: Site) -> Run:
    """Return a function that runs an ASGI application for the purpose of a block: an activity, declared at once.

    `hops` carries the purpose into threads and tasks of the request. If the store of governance does not answer, the
    event loop does not wait for it.
    """
    handle = block.stated.get_handle_at(site)
    engine = handle.engine

    async def run_for_purpose(app: App, scope: Scope, receive: Receive, send: Send) -> None:
        use: Use[Any] = Use(handle, sys._getframe())
        try:
            if _has_store(engine):
                await settled(engine)
                app = functools.partial(answer_after_recording, engine, app)
            with hopping(use):
                await app(scope, receive, send)
        finally:
            end_use(use)

    return run_for_purpose


async def answer_after_recording(
    engine: Engine,
    app: App,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    refuse: Callable[[StoreUnavailable], Awaitable[None]] | None = None,
) -> None:
    """Run an application, and send nothing of its answer before its denials are on record.

    `refuse` answers an HTTP request if the denials cannot be recorded and nothing was sent yet.

    Raises:
        StoreUnavailable, LedgerBroken: A denial cannot be recorded.
    """
    # Whatever begins in a lifespan goes on beside all requests.
    if scope["type"] == "lifespan" or not _has_store(engine):
        await app(scope, receive, send)
        return
    has_begun = False
    try:
        async with off_loop(engine) as wait_until_recorded:

            async def send_recorded(message: MutableMapping[str, Any]) -> None:
                nonlocal has_begun
                await wait_until_recorded()
                has_begun = True
                await send(message)

            await app(scope, receive, send_recorded)
    except StoreUnavailable as error:
        if has_begun or refuse is None or scope["type"] != "http":
            raise
        await refuse(error)


def _has_store(engine: Engine) -> bool:
    """Return True if a guard has a ledger or governance, whose store may not answer."""
    return engine.ledger is not None or engine.oversight is not None


def enter_entry_point(scope: Scope) -> contextlib.AbstractContextManager[object]:
    """Return a block that enters the entry point of a request, which is named once its route is chosen.

    All applications and middlewares that handle the same request share it.
    """
    if scope["type"] not in {"http", "websocket"}:
        return contextlib.nullcontext()
    entry_point: EntryPoint | None = scope.get(_ENTRY_POINT)
    if entry_point is None:
        entry_point = EntryPoint.request(WEBSOCKET if scope["type"] == "websocket" else scope["method"])
        scope[_ENTRY_POINT] = entry_point
    return entry_point


def _iter_entry_points(route: Any, path: str) -> Iterator[str]:
    """Yield the names of a route as entry points, relative to the application."""
    names = set(_iter_route_names(route, path))
    if f"{_ANY} {path}" in names:
        names.remove(f"{_ANY} {path}")
        names.update(f"{method} {path}" for method in METHODS)
    if f"GET {path}" in names:
        names.discard(f"HEAD {path}")
    yield from names


def get_mount(scope: Scope) -> str:
    """Return the template of the path at which the present application is mounted."""
    return str(scope.get(_MOUNT, ""))


def iter_routes(
    app: Any, prefix: str = "", *, below_mounts: bool = True, behind_middlewares: bool = True
) -> Iterator[tuple[Any, str]]:
    """Yield each route of an application, or of a list of routes, with its whole path.

    Routes of included routers and below mounts are included, also those of applications that are mounted with
    middlewares around them.

    Raises:
        TypeError: The application has no routes that can be asked.
    """
    routes = app if isinstance(app, list) else _list_routes(app)
    for route in routes:
        for route_or_context in _effective_routes(route):
            path = prefix + _route_path(route_or_context)
            yield route_or_context, path
            if below_mounts:
                below = _list_nested_routes(route_or_context)
                if not below and behind_middlewares:
                    below = _routes_behind_middlewares(route_or_context)
                yield from iter_routes(below, path.removesuffix(_ANYTHING), behind_middlewares=behind_middlewares)


def _require_known_route(name: str, route_names: set[str]) -> None:
    method, _, path = name.partition(" ")
    if name in route_names or (method != WEBSOCKET and f"{_ANY} {path}" in route_names):
        return
    near = difflib.get_close_matches(name, route_names, n=3)
    hint = f"; near it are {', '.join(f'`{other}`' for other in near)}" if near else ""
    raise ValueError(f"the application has no route `{name}`: write it as the application does{hint}")


def _list_routes(app: Any) -> Iterable[Any]:
    """Return the routes of an application, also if middlewares wrap it."""
    for layer in iter_layers(app):
        if getattr(layer, "routes", None) is not None:
            return list(layer.routes)
    raise TypeError(
        f"{type(app).__name__} has no routes that can be asked which of them a request is for: put PurposeRoutes "
        "around an application of Starlette or FastAPI; elsewhere decorate what its routes call"
    )


def iter_layers(app: Any) -> Iterator[Any]:
    """Yield an application, or a route that mounts one, and each application that its middlewares wrap."""
    while app is not None:
        yield app
        app = getattr(app, "app", None)


def _effective_routes(route: Any) -> Iterable[Any]:
    """Return the route itself; for a router that FastAPI included, return its routes with their whole paths."""
    fastapi: Any = sys.modules.get("fastapi.routing")
    flat = getattr(fastapi, "iter_route_contexts", None)
    return (route,) if flat is None else tuple(flat([route]))


def _find_match(contexts: Iterable[Any], scope: Scope) -> Any:
    """Return the first of the routes that FastAPI included that matches the request, or None."""
    for context in contexts:
        if _is_full(context.matches(scope)):
            return context
    return None


def _is_full(match: tuple[Any, Any]) -> bool:
    """Return True if a route matches the path and the method of a request."""
    return bool(match[0]._name_ == "FULL")  # `name` takes two calls.


def get_declared_route(context: Any) -> Any:
    """Return the route as it was declared, if FastAPI made this one from it; otherwise the route itself."""
    return getattr(context, "original_route", context)


def _is_api_route(route: Any) -> bool:
    """Return True if FastAPI hands the request to this very object. It rebuilds included routes of other kinds."""
    fastapi: Any = sys.modules.get("fastapi.routing")
    return fastapi is not None and isinstance(route, fastapi.APIRoute)


def _list_nested_routes(route: Any) -> list[Any]:
    return list(getattr(route, "routes", None) or ())


def _routes_behind_middlewares(route: Any) -> list[Any]:
    """Return the routes of an application that is mounted with middlewares around it."""
    if getattr(get_declared_route(route), "routes", None) is None:
        return []
    for layer in iter_layers(get_declared_route(route)):
        if getattr(layer, "routes", None):
            return list(layer.routes)
    return []


def _route_path(route: Any) -> str:
    """Return the path of a route as it is written. A mount without routes stands for every path below it."""
    own_path = getattr(route, "path", None)
    path = str(getattr(route, "host", "") if own_path is None else own_path)
    opaque = getattr(get_declared_route(route), "routes", None) is not None and not _list_nested_routes(route)
    return path + _ANYTHING if opaque else path


def _iter_route_names(route: Any, path: str) -> Iterator[str]:
    methods = getattr(route, "methods", None)
    of_any_kind = getattr(get_declared_route(route), "routes", None) is not None
    if of_any_kind or not hasattr(get_declared_route(route), "methods"):
        yield f"{WEBSOCKET} {path}"
    if of_any_kind or hasattr(get_declared_route(route), "methods"):
        for method in methods or (_ANY,):
            yield f"{method} {path}"
