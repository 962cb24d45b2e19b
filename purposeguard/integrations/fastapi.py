"""FastAPI: a purpose for each route, and refusals as problem details.

::

    app = FastAPI()
    install(app, guard)

    router = PurposeRouter(guard, purpose=my.Support)

    @router.get("/users/{id}", subject=SubjectFrom.path("id"))
    def show(id: int) -> User: ...

    app.include_router(router)

The purpose of a route holds from when the route is chosen until its answer is written and its tasks in the background
have run. FastAPI runs much of that in other threads and tasks: `install` carries the purpose there.

The values that a route returns check themselves while FastAPI writes them: withheld objects and seals in
`purposeguard.values.pydantic`, objects of SQLAlchemy in `purposeguard.adapters.sqlalchemy.object_dicts`. A refused dump
becomes a refusal in `_fastapi_threads`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar, cast

from purposeguard.errors import PurposeGuardError, StoreUnavailable, UnknownTerm
from purposeguard.extras import Needs, must_be_tested
from purposeguard.guard import Guard
from purposeguard.integrations.asgi import (
    App,
    PurposeRoutes,
    Receive,
    Run,
    Scope,
    Send,
    answer_after_recording,
    enter_entry_point,
    get_declared_route,
    get_mount,
    iter_layers,
    iter_routes,
    make_purpose_run,
)
from purposeguard.integrations.threads import ask_ahead, hopping, kind_behind, nothing_hops, settled
from purposeguard.notice.vocabulary import Family, Purpose, Source, list_term_ids
from purposeguard.policy.violations import ChannelViolation
from purposeguard.runtime.activity import Block
from purposeguard.runtime.activity_handle import ActivityHandle
from purposeguard.runtime.site import Site
from purposeguard.runtime.use import Use, end_use

with Needs(__name__, "fastapi"):
    from fastapi import APIRouter, Depends, FastAPI
    from fastapi.routing import APIRoute
    from starlette.requests import HTTPConnection
    from starlette.responses import JSONResponse

    from purposeguard.integrations._fastapi_problems import add_handlers, answer_error
    from purposeguard.integrations._fastapi_subjects import (
        MisdeclaredRoute,
        SubjectFrom,
        decide_about_subject,
        format_route_place,
        refuse_if_stopped,
    )
    from purposeguard.integrations._fastapi_threads import HooksMissing, hop_route, is_probe, verify_hooks

    must_be_tested("fastapi", "0.150", "0.165")

__all__ = ["HooksMissing", "MisdeclaredRoute", "PurposeRoute", "PurposeRouter", "SubjectFrom", "entering", "install"]


P = TypeVar("P", bound=Source | Purpose)
F = TypeVar("F", bound=Callable[..., Any])

_INSTALLED: Final = "purposeguard.installed"
"""The key of a scope under which routes see that `install` has prepared their application."""

_OF_THE_ROUTER: Final[Any] = object()


def install(
    app: FastAPI, guard: Guard, *, details: bool = True, routes: Mapping[str, Block[Any] | None] | None = None
) -> None:
    """Make a FastAPI application answer refusals as problem details, and run each route for its purpose.

    The purpose holds in the code of the route, its dependencies, the writing of its answer and its background tasks.
    Applications that are mounted in it are included.

    Errors of this library and of validation become problem details (RFC 9457) that hold no value of a request or an
    answer. A websocket is closed, with 1008 if it was refused. Handlers of the application's own stay. A guard that
    only observes leaves the answers to errors of validation as they are.

    The entry point of a request is its route, such as `GET /users/{id}`, from the time that the route is chosen until
    everything that belongs to the request has run. Before that, and without a route, it is `GET (no route)`.

    A route for which the code states no purpose runs for the one that the guard's file `purposes.toml` states for its
    entry point. Call this function once, before the application starts. The routes are inspected when it starts.

    Args:
        app: The application.
        guard: The guard.
        details: False if a refusal is not to name the clauses that forbid the use.
        routes: The purposes of routes in one place, as `PurposeRoutes` takes them.

    Raises:
        TypeError: `guard` is no guard.

    Raises, when the application starts, or at its first request where its lifespan is not run:
        MisdeclaredRoute: a route states two purposes, one of another guard, or a subject that it does not take.
        HooksMissing: FastAPI does not call what is put in its routes.
        TypeError, ValueError: `routes` is not as `PurposeRoutes` wants it.
        ValueError: The code and `purposes.toml` state different purposes for a route.
    """
    if not isinstance(guard, Guard):
        raise TypeError(f"`install` is given a guard, not {type(guard).__name__}")
    add_handlers(app, details=details, observing=guard.engine.observing)
    untyped_app: Any = app  # Methods may not be replaced, says mypy. What this one builds runs all of a request.
    untyped_app.build_middleware_stack = functools.partial(_build_stack, app.build_middleware_stack)
    app.add_middleware(_InstalledMiddleware, installed=app, guard=guard, details=details, routes=routes or {})


def _build_stack(build: Callable[[], App]) -> App:
    return _EntryPointMiddleware(build())


class _EntryPointMiddleware:
    """Middleware around all others, and around the handler of unexpected errors, that enters the entry point."""

    def __init__(self, app: App) -> None:
        self.app = app  # FastAPI looks for its own middlewares behind this name.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with enter_entry_point(scope):
            await self.app(scope, receive, send)


def is_installed(app: FastAPI) -> bool:
    """Return True if `install` was called with an application, or with one that mounts it."""
    handler = app.exception_handlers.get(PurposeGuardError)
    return is_probe(app) or getattr(handler, "func", None) is answer_error


class _InstalledMiddleware:
    """Middleware that inspects and wraps the routes at the first event, and records denials before each answer."""

    def __init__(
        self, app: App, *, installed: FastAPI, guard: Guard, details: bool, routes: Mapping[str, Block[Any] | None]
    ) -> None:
        self._app = app
        self._purposes: PurposeRoutes | None = None
        self._installed = installed
        self._guard = guard
        self._details = details
        self._routes = routes
        self._inspected_routes = -1
        """The number of routes when they were last inspected; below zero before that."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._inspected_routes != len(self._installed.routes):
            try:
                await self._prepare(get_mount(scope))
            except Exception as error:
                # Without this message, servers assume that the application has no lifespan, and go on.
                if scope["type"] == "lifespan":
                    await receive()
                    await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
                raise
        scope[_INSTALLED] = self

        async def refuse(error: StoreUnavailable) -> None:
            response = await answer_error(self._details, HTTPConnection(scope), error)
            await cast("JSONResponse", response)(scope, receive, send)

        if self._purposes is not None:
            self._purposes.note_place(scope)
        with nothing_hops():  # The context may be a copy of that of another request.
            await answer_after_recording(self._guard.engine, self._app, scope, receive, send, refuse=refuse)

    async def _prepare(self, mount: str) -> None:
        if self._inspected_routes < 0:
            await verify_hooks(PurposeRoute)
        # Later calls replace the first PurposeRoutes, and do not wrap it.
        purposes = PurposeRoutes(
            self._app,
            self._routes,
            of=self._installed,
            guard=self._guard,
            mount=mount,
            list_stated=list_declared_blocks,
        )
        self.prepare_routes()
        self._purposes = purposes

    def prepare_routes(self) -> None:
        """Check the declarations of all routes, and wrap the code that they run so that it has the purpose.

        Runs again after routes were added: FastAPI then rebuilds the routes of included routers.
        """
        for route, path in iter_routes(self._installed):
            _check_declaration(route, path, self._routes)
            hop_route(route)
            original = get_declared_route(route)
            if isinstance(original, PurposeRoute):
                original.made_anew = False
            mounted = _find_mounted_application(route)
            if mounted is not None:
                add_handlers(mounted, details=self._details, observing=self._guard.engine.observing)
        for route, path in iter_routes(self._installed, below_mounts=False):
            _require_same_guard(self._guard, route, path)
        self._inspected_routes = len(self._installed.routes)


def _require_same_guard(guard: Guard, route: Any, path: str) -> None:
    """Raise MisdeclaredRoute if the purpose of a route belongs to another guard than the application's."""
    declared: _RouteDeclaration | None = getattr(get_declared_route(route), "declared", None)
    if declared is not None and declared.block.stated.engine is not guard.engine:
        raise MisdeclaredRoute(
            f"{format_route_place(route.endpoint, path)} has a purpose of another guard than the application"
        )


def _find_mounted_application(route: Any) -> FastAPI | None:
    """Return the FastAPI application that a route mounts, also behind middlewares. Return None if there is none."""
    for layer in iter_layers(get_declared_route(route)):
        if isinstance(layer, FastAPI):
            return layer
    return None


def list_declared_blocks(route: Any, _path: str = "") -> list[Block[Any]]:
    """List the blocks that a route and its dependencies declare."""
    declared: _RouteDeclaration | None = getattr(get_declared_route(route), "declared", None)
    dependant = getattr(route, "dependant", None)
    blocks: list[Block[Any]] = [] if declared is None else [declared.block]
    return blocks if dependant is None else blocks + _find_entered_blocks(dependant)


def _check_declaration(route: Any, path: str, table: Mapping[str, Block[Any] | None]) -> None:
    declared: _RouteDeclaration | None = getattr(get_declared_route(route), "declared", None)
    endpoint = getattr(route, "endpoint", None)
    blocks = list_declared_blocks(route)
    for name, block in table.items():
        is_named = name.partition(" ")[2] == path and _is_name_of(name, route)
        if is_named and block is not None:
            blocks.append(block)
    dependant = getattr(route, "dependant", None)
    if len(blocks) > 1:
        stated = ", ".join(f"{_describe_block(block)[0]}" for block in blocks)
        raise MisdeclaredRoute(f"{format_route_place(endpoint, path)} states several purposes ({stated}): leave one")
    if declared and declared.subject and dependant is not None:
        declared.subject.find_parameter_name(dependant, format_route_place(endpoint, path))


def _is_name_of(name: str, route: Any) -> bool:
    methods = getattr(route, "methods", None)
    return methods is None or name.partition(" ")[0] in methods


def _find_entered_blocks(dependant: Any) -> list[Block[Any]]:
    """Return the blocks that a dependency of a route and its own dependencies enter."""
    fn = inspect.unwrap(dependant.call) if dependant.call is not None else None
    blocks: list[Block[Any]] = []
    if fn is not None and isinstance(getattr(fn, "block", None), Block):
        blocks.append(fn.block)
    for inner in dependant.dependencies:
        blocks += _find_entered_blocks(inner)
    return blocks


def _describe_block(block: Block[Any]) -> tuple[str, list[str]]:
    """Return the name and the clauses of a block's purpose."""
    purpose = block.stated.purpose
    if isinstance(purpose, Family):
        return purpose.name, list_term_ids(purpose.members)
    return purpose.slug, [purpose.clause]


class _RouteDeclaration(NamedTuple):
    """The purpose and the subject that a route declares."""

    block: Block[Any]
    subject: SubjectFrom | None = None
    by_router: bool = False
    """True if the purpose is that of the router or of a class of routes."""


class PurposeRoute(APIRoute):
    """A route that runs for a purpose: of a `PurposeRouter`, or `route_class=PurposeRoute.under(guard.purpose(…))`.

    It is an activity, named after its endpoint unless the block has a name.
    """

    declared: _RouteDeclaration | None = None

    made_anew = False
    """True if FastAPI has made routes from this one that were not inspected yet."""

    @classmethod
    def under(cls, block: Block[Any]) -> type[PurposeRoute]:
        """Return a class of routes that all run for the purpose of a block."""
        return type(cls.__name__, (cls,), {"declared": _RouteDeclaration(block, by_router=True)})

    def __init__(
        self, path: str, endpoint: Callable[..., Any], *, declared: _RouteDeclaration | None = None, **options: Any
    ) -> None:
        self.declared = declared = declared or type(self).declared
        self._run: Run | None = None
        checked_endpoint = endpoint
        if declared is not None:
            self._run = make_purpose_run(declared.block, Site.of(inspect.unwrap(endpoint)))
            name, clauses = _describe_block(declared.block)
            stated = {"x-purpose": name, "x-purpose-clauses": clauses}
            options["openapi_extra"] = stated | (options.get("openapi_extra") or {})
            if declared.subject is not None:
                if "generator" in kind_behind(endpoint):
                    raise MisdeclaredRoute(
                        f"{format_route_place(endpoint, path)} names its subject, and yields: its answer would have "
                        "begun before it is asked what the subject stopped. Return a `StreamingResponse` of a "
                        "generator within it"
                    )
                checked_endpoint = self._wrap_with_subject_check(endpoint, declared.block, declared.subject)
        super().__init__(path, checked_endpoint, **options)
        if declared is not None and declared.subject is not None:
            self._parameter = declared.subject.find_parameter_name(
                self.dependant, format_route_place(endpoint, path), whatever_kind=True
            )

    def _wrap_with_subject_check(
        self, endpoint: Callable[..., Any], block: Block[Any], subject: SubjectFrom
    ) -> Callable[..., Any]:
        """Wrap an endpoint so that it is refused if the subject of the request stopped the purpose."""
        engine = block.stated.engine

        @functools.wraps(endpoint)
        def check_and_call(**values: Any) -> Any:
            with decide_about_subject(engine):
                refuse_if_stopped(block, subject.of(values[self._parameter]))
            return endpoint(**values)

        @functools.wraps(endpoint)
        async def prefetch_and_call(**values: Any) -> Any:
            with decide_about_subject(engine):
                row_context = subject.of(values[self._parameter])
                await ask_ahead(engine, [cast("str", row_context.subject)])
                refuse_if_stopped(block, row_context)
            return await endpoint(**values)

        return prefetch_and_call if kind_behind(endpoint) == "coroutine" else check_and_call

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for the purpose of this route."""
        if self.made_anew and (self._run is not None or _INSTALLED in scope):
            _find_installed(scope).prepare_routes()
        if self._run is None:
            await super().handle(scope, receive, send)
        else:
            _find_installed(scope)
            await self._run(super().handle, scope, receive, send)

    def get_route_handler(self) -> Callable[[Any], Any]:
        """Return the handler of an `APIRoute`, and note that the route is to be inspected again.

        FastAPI calls this once for each router that includes the route.
        """
        self.made_anew = True
        return super().get_route_handler()


def _find_installed(scope: Scope) -> _InstalledMiddleware:
    installed: _InstalledMiddleware | None = scope.get(_INSTALLED)
    if installed is None:
        raise PurposeGuardError("a route has a purpose, and its application was not prepared: `install(app, guard)`")
    return installed


def entering(block: Block[P]) -> Callable[[HTTPConnection], AsyncGenerator[Use[P]]]:
    """Return a dependency that enters the purpose of a block and yields its use, for routes that are no `PurposeRoute`.

    Write `dependencies=[Depends(entering(guard.purpose(my.Support)))]` for a route, a router or an application. The
    purpose holds from then on until the answer is written and its background tasks have run. So put dependencies that
    read personal data after it.
    """
    return _make_dependency(block, block.stated.get_handle())


def _make_dependency(block: Block[P], handle: ActivityHandle) -> Callable[[HTTPConnection], AsyncGenerator[Use[P]]]:
    async def enter_purpose(connection: HTTPConnection) -> AsyncGenerator[Use[P]]:
        _find_installed(connection.scope)
        await settled(handle.engine)
        use: Use[P] = Use(handle)
        try:
            with hopping(use):
                yield use
        finally:
            end_use(use)

    vars(enter_purpose)["block"] = block
    return enter_purpose


class PurposeRouter(APIRouter):
    """A router whose routes each run for a purpose: `purpose=` of the route, or else that of the router.

    A purpose is a class, an id, the name of a family, or a block if more is to be said, such as
    `guard.purpose(my.Letters, channel="post")`. `purpose=None` says that a route uses nothing personal. `subject=`
    names whose data the requests of a route are about. Everything else is as in `APIRouter`.

    Raises:
        MisdeclaredRoute: A purpose is unknown, or it is closed and no channel is stated. Or `subject` is no parameter
            of the endpoint, or the guard has no governance to ask. Or an included router has routes that would seem to
            have the purpose of this one.
    """

    def __init__(self, guard: Guard, *, purpose: object = None, **options: Any) -> None:
        options.setdefault("route_class", PurposeRoute)
        super().__init__(**options)
        self._guard = guard
        self._declared = (
            None if purpose is None else _RouteDeclaration(self._resolve_block(purpose, "a router"), by_router=True)
        )

    def _resolve_block(self, purpose: Any, place: str) -> Block[Any]:
        if isinstance(purpose, Block):
            return purpose
        try:
            return self._guard.purpose(purpose)
        except (UnknownTerm, ChannelViolation) as error:
            raise MisdeclaredRoute(f"{place} cannot be for this purpose: {error}") from error

    def _make_declaration(
        self, endpoint: Callable[..., Any], path: str, purpose: object, subject: SubjectFrom | None
    ) -> _RouteDeclaration | None:
        place = format_route_place(endpoint, self.prefix + path)
        declared = self._declared
        if purpose is not _OF_THE_ROUTER:
            declared = None if purpose is None else _RouteDeclaration(self._resolve_block(purpose, place))
        if subject is None:
            return declared
        if declared is None:
            raise MisdeclaredRoute(f"{place} names a subject and no purpose: state `purpose=`")
        if self._guard.governance is None:
            raise MisdeclaredRoute(
                f"{place} names a subject, and the guard cannot know what was asked for: give it `governance=`"
            )
        return declared._replace(subject=subject)

    def add_api_route(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        purpose: object = _OF_THE_ROUTER,
        subject: SubjectFrom | None = None,
        route_class_override: type[APIRoute] | None = None,
        **options: Any,
    ) -> None:
        """Add a route for a purpose, as `APIRouter` does."""
        declared = self._make_declaration(endpoint, path, purpose, subject)
        route_class: Any = route_class_override or self.route_class
        if not issubclass(route_class, PurposeRoute):
            raise MisdeclaredRoute(
                f"{format_route_place(endpoint, path)} is of a class that is no PurposeRoute: derive it from that"
            )
        make_route: Any = functools.partial(route_class, declared=declared)
        super().add_api_route(path, endpoint, route_class_override=make_route, **options)

    def api_route(
        self, path: str, *, purpose: object = _OF_THE_ROUTER, subject: SubjectFrom | None = None, **options: Any
    ) -> Callable[[F], F]:
        """Return a decorator that adds a route for a purpose, as `APIRouter` does."""

        def decorate(endpoint: F) -> F:
            self.add_api_route(path, endpoint, purpose=purpose, subject=subject, **options)
            return endpoint

        return decorate

    def get(self, path: str, **options: Any) -> Callable[[F], F]:
        """Return a decorator that adds a GET route, as `APIRouter` does, with `purpose=` and `subject=`."""
        return self.api_route(path, methods=["GET"], **options)

    def put(self, path: str, **options: Any) -> Callable[[F], F]:
        """Return a decorator that adds a PUT route; see `get`."""
        return self.api_route(path, methods=["PUT"], **options)

    def post(self, path: str, **options: Any) -> Callable[[F], F]:
        """Return a decorator that adds a POST route; see `get`."""
        return self.api_route(path, methods=["POST"], **options)

    def delete(self, path: str, **options: Any) -> Callable[[F], F]:
        """Return a decorator that adds a DELETE route; see `get`."""
        return self.api_route(path, methods=["DELETE"], **options)

    def options(self, path: str, **options: Any) -> Callable[[F], F]:
        """Return a decorator that adds an OPTIONS route; see `get`."""
        return self.api_route(path, methods=["OPTIONS"], **options)

    def head(self, path: str, **options: Any) -> Callable[[F], F]:
        """Return a decorator that adds a HEAD route; see `get`."""
        return self.api_route(path, methods=["HEAD"], **options)

    def patch(self, path: str, **options: Any) -> Callable[[F], F]:
        """Return a decorator that adds a PATCH route; see `get`."""
        return self.api_route(path, methods=["PATCH"], **options)

    def trace(self, path: str, **options: Any) -> Callable[[F], F]:
        """Return a decorator that adds a TRACE route; see `get`."""
        return self.api_route(path, methods=["TRACE"], **options)

    def add_api_websocket_route(
        self,
        path: str,
        endpoint: Callable[..., Any],
        name: str | None = None,
        *,
        purpose: object = _OF_THE_ROUTER,
        dependencies: Sequence[Any] | None = None,
    ) -> None:
        """Add a websocket route, as `APIRouter` does, for a purpose that holds from the route's dependencies on."""
        declared = self._make_declaration(endpoint, path, purpose, None)
        all_dependencies = list(dependencies or ())
        if declared is not None:
            handle = declared.block.stated.get_handle_at(Site.of(inspect.unwrap(endpoint)))
            all_dependencies.insert(0, Depends(_make_dependency(declared.block, handle)))
        super().add_api_websocket_route(path, endpoint, name, dependencies=all_dependencies)

    def websocket(
        self,
        path: str,
        name: str | None = None,
        *,
        purpose: object = _OF_THE_ROUTER,
        dependencies: Sequence[Any] | None = None,
    ) -> Callable[[F], F]:
        """Return a decorator that adds a websocket route for a purpose, as `APIRouter` does."""

        def decorate(endpoint: F) -> F:
            self.add_api_websocket_route(path, endpoint, name, purpose=purpose, dependencies=dependencies)
            return endpoint

        return decorate

    def include_router(self, router: APIRouter, **options: Any) -> None:
        """Include another router as `APIRouter` does. The purpose of this router does not reach its routes.

        Raises:
            MisdeclaredRoute: A route would seem to have the purpose of this router, and has none or another one.
        """
        if self._declared is not None:
            for route, path in iter_routes(list(router.routes)):
                own = getattr(get_declared_route(route), "declared", None)
                if own is None or (
                    own.by_router and _describe_block(own.block) != _describe_block(self._declared.block)
                ):
                    place = format_route_place(getattr(route, "endpoint", None), path)
                    raise MisdeclaredRoute(
                        f"{place} would seem to have the purpose of the router that includes it: state its own, or "
                        "state none of that router"
                    )
        super().include_router(router, **options)
