"""Flask: each request runs for the purpose of its route, until its answer is written.

::

    Purposes(app, guard, {
        "GET /customers/<int:key>": guard.purpose(my.Support),
        "letters.send": guard.purpose(my.Letters, channel="post"),  # an endpoint
        "newsletter.*": guard.purpose(my.Newsletter),  # a blueprint, and those inside it
        "health": None,
    })

Or beside the view: `@app.get("/customers/<int:key>")` above `@purpose(guard.purpose(my.Support))`.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from purposeguard.containers import intersect
from purposeguard.errors import PurposeGuardError, PurposeMissing
from purposeguard.extras import Needs, must_be_tested
from purposeguard.guard import Guard
from purposeguard.integrations.problems import MEDIA_TYPE, problem_of
from purposeguard.integrations.stated_purposes import find_activity, find_block, get_site
from purposeguard.runtime.activity import ActivityWrapper, Block
from purposeguard.runtime.entry_point import EntryPoint, name_method
from purposeguard.runtime.registry import Activity
from purposeguard.runtime.site import Site
from purposeguard.runtime.use import Use, is_owner_running
from purposeguard.runtime.wrapping import wrap_body

with Needs(__name__, "flask"):
    from flask import Flask, current_app, has_request_context, request, request_started
    from werkzeug.wsgi import ClosingIterator

    must_be_tested("flask", "3.1", "3.1")

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from werkzeug.routing import Rule
    from werkzeug.sansio.response import Response


V = TypeVar("V", bound=Callable[..., Any])

Routes = Mapping[str, Block[Any] | None]

_EXTENSION: Final = "purposeguard"
_ENVIRON: Final = "purposeguard.flask"
_MARK: Final = "__purposeguard_block__"


def purpose(block: Block[Any], /) -> Callable[[V], V]:
    """Return a decorator that marks a view, a class of views or one of its methods to run for `block`.

    Put it below `@app.route(…)`. It takes effect in applications that have `Purposes`, and covers the whole request,
    while `@guard.purpose(…)` on the view covers only the view.

    Raises:
        TypeError: `block` is no block.
    """
    _require_block("`@purpose`", block)

    def mark(view: V) -> V:
        setattr(view, _MARK, block)
        return view

    return mark


class Purposes:
    """The purposes of a Flask application: each request runs for that of its route, and errors are answered.

    `routes` maps a route to a block, `guard.purpose(…)`, or to None if it uses nothing personal. A route is one of:
    `METHOD /rule`, exactly as the application writes it (HEAD counts as GET); an endpoint; or `blueprint.*`, for all
    routes of a blueprint that nothing else names. Each is an activity, called after the route unless its block has a
    name. Every route that is named here must exist, so call this after the routes are registered. All other routes run
    for the purposes that the guard's file `purposes.toml` states for their entry points.

    The purpose begins before the first `before_request`. It holds in the view, in error handlers, in `after_request`
    and `teardown_request`, and in each step of a streamed answer. It also holds in asynchronous views and hooks, which
    Flask runs elsewhere. Between these steps, and in a route that is not named, there is no purpose. The entry point of
    a request is its rule, such as `GET /customers/<int:key>`, in all of these places and in each route. If the
    application has no handler of its own, an error of this library is answered with its problem details; without
    `details`, with status and title alone.

    Raises:
        TypeError: A route is given something that is no block, or there is no guard.
        ValueError: The application has no such route, a route is named twice, a block is of another guard, or
            `purposes.toml` states another purpose for a route.
        RuntimeError: The application has purposes already.
    """

    def __init__(
        self,
        app: Flask | None = None,
        guard: Guard | None = None,
        routes: Routes | None = None,
        *,
        details: bool = True,
    ) -> None:
        if not isinstance(guard, Guard):
            raise TypeError("name the guard: `Purposes(app, guard, routes)`, or `Purposes(guard=guard)` and `init_app`")
        self._guard = guard
        self._details = details
        if app is not None:
            self.init_app(app, routes)
        elif routes is not None:
            raise TypeError("routes are an application's: give them to `init_app(app, routes)`")

    def init_app(self, app: Flask, routes: Routes | None = None) -> None:
        """Set up `app`, whose routes must be registered already. Raises as the class does."""
        if _EXTENSION in app.extensions:
            raise RuntimeError(f"the application {app.name} has purposes already: name all routes in one place")
        requests = _RequestPurposes(app, self._guard, dict(routes or {}))
        app.register_error_handler(PurposeGuardError, self._answer)
        request_started.connect(requests.begin, app)  # The application keeps `requests` alive.
        hooked: Any = app  # Flask documents both attributes as replaceable.
        hooked.wsgi_app = functools.partial(requests.answer, app.wsgi_app)
        hooked.async_to_sync = functools.partial(requests.carry_view, app.async_to_sync)
        app.extensions[_EXTENSION] = self

    def _answer(self, error: PurposeGuardError) -> Response:
        problem = problem_of(error, details=self._details)
        if problem is None:
            raise error
        response = current_app.json.response(problem.body)
        response.status_code = problem.status
        response.mimetype = MEDIA_TYPE
        response.headers.update(problem.headers)
        if problem.status >= 500:
            text = str(error) if isinstance(error, PurposeMissing) else type(error).__name__
            current_app.logger.error("%s: %s", request.endpoint, text)
        return response


def is_installed(app: Flask) -> bool:
    """Return True if an application has purposes."""
    return _EXTENSION in app.extensions


class _RequestState:
    """The state of one request, kept in its environment. `route` enters a use for each step of the answer."""

    __slots__ = ("entry_point", "requests", "route", "use")

    def __init__(self, requests: _RequestPurposes, method: str) -> None:
        self.requests = requests
        self.entry_point = EntryPoint.request(method)
        self.route: ActivityWrapper | None = None
        self.use: Use[Any] | None = None

    def wrap_step(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a function that belongs to the answer so that it runs at the entry point and for the purpose."""
        return self.entry_point.wrap(fn if self.route is None else wrap_body(fn, self.route))


class _RequestPurposes:
    """The purposes of the routes of one application."""

    def __init__(self, app: Flask, guard: Guard, routes: dict[str, Block[Any] | None]) -> None:
        self._app = app
        self._guard = guard
        self._blocks = routes
        self._routes: dict[tuple[str, str, str], ActivityWrapper | None] = {}
        self._made: dict[tuple[int, Site], ActivityWrapper] = {}
        for name, block in routes.items():
            if block is not None:
                self._require_same_guard(name, block)
        route_names: set[str] = set()
        for rule in app.url_map.iter_rules():
            route_names.update(_iter_rule_names(rule))
            for method in rule.methods or ():
                self._get_route(rule, method)
        for name, block in routes.items():
            if name not in route_names:
                near = difflib.get_close_matches(name, route_names, n=3)
                hint = f"; near it are {', '.join(f'`{other}`' for other in near)}" if near else ""
                raise ValueError(
                    f"{_describe_place(block)}the application has no route `{name}`: write it as the application does, "
                    f"`GET /rule`, `endpoint` or `blueprint.*`, and register it before{hint}"
                )

    def begin(self, _app: Flask, **_: Any) -> None:
        """Enter the purpose of the route that was chosen for the current request."""
        proxy: Any = request
        current_request = proxy._get_current_object()  # The proxy itself is slow.
        state: _RequestState | None = current_request.environ.get(_ENVIRON)
        # The state may be that of an application around this one.
        is_own = state is not None and state.requests is self and state.use is None
        if state is not None and is_own and current_request.url_rule is not None:
            rule, method = current_request.url_rule, current_request.method
            state.entry_point.choose_route(name_method(method, rule.methods or ()), rule.rule)
            route = self._get_route(rule, method)
            if route is not None:
                state.use = route.enter()
                state.route = route

    def answer(
        self, inner: Callable[..., Iterable[bytes]], environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Run the WSGI application, and return an answer whose steps run for the purpose of the request."""
        state = environ[_ENVIRON] = _RequestState(self, environ["REQUEST_METHOD"])
        with state.entry_point:
            try:
                body = inner(environ, start_response)
            finally:
                if state.route is not None and state.use is not None:
                    state.route.leave(state.use)
                    state.use = None
        file_wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(file_wrapper, type) and isinstance(body, file_wrapper):
            return body  # The server recognizes such a file by its class, and reads it itself.
        # Each step of the answer runs for the purpose of its request, and so does what closes it.
        close = getattr(body, "close", None)
        return ClosingIterator(state.wrap_step(_iterate)(body), None if close is None else state.wrap_step(close))

    def carry_view(self, plain: Callable[..., Any], fn: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap an asynchronous view or hook so that the loop on which Flask runs it has the purpose of the request."""
        state = request.environ.get(_ENVIRON) if has_request_context() else None
        is_active = state is not None and state.use is not None and is_owner_running(state.use)
        run: Callable[..., Any] = plain(self._guard.carry(fn) if is_active else fn)
        return run

    def _get_route(self, rule: Rule, method: str) -> ActivityWrapper | None:
        key = (rule.endpoint, rule.rule, method)
        try:
            return self._routes[key]
        except KeyError:  # The first time: at start-up, or for a route that was added later.
            route = self._routes[key] = self._find_route(rule, method)
            return route

    def _find_route(self, rule: Rule, method: str) -> ActivityWrapper | None:
        as_get = method == "HEAD" and f"HEAD {rule.rule}" not in self._blocks
        path = f"{'GET' if as_get else method} {rule.rule}"
        names = intersect((path, rule.endpoint), self._blocks)
        view = self._app.view_functions.get(rule.endpoint)
        marked = find_marked_block(view, "GET" if as_get else method)
        if marked is not None:
            names.append("@purpose")
        if len(names) > 1:
            where = _describe_place(self._blocks[names[0]])
            raise ValueError(f"{where}the route `{path}` is named twice, by `{'` and `'.join(names)}`: name it once")
        if marked is not None:
            self._require_same_guard(path, marked[1])
            self._find_stated_block(rule, method, [marked[1]])
            return self._route(marked[1], Site.of(marked[0]))
        if not names:
            names = intersect(_iter_blueprint_patterns(rule.endpoint), self._blocks)[:1]
        if not names:
            stated = self._find_stated_block(rule, method, [find_activity(view)])
            return None if stated is None else self._route(stated, get_site(stated))
        block = self._blocks[names[0]]
        if block is None:
            return None
        self._find_stated_block(rule, method, [block])
        _, line, module = block.stated.where
        return self._route(block, Site(module, names[0], line))

    def _find_stated_block(
        self, rule: Rule, method: str, stated: Iterable[Block[Any] | Activity | None]
    ) -> Block[Any] | None:
        """Return a block if `purposes.toml` alone states a purpose. Raise ValueError if the code states another one."""
        return find_block(self._guard, f"{name_method(method, rule.methods or ())} {rule.rule}", stated)

    def _route(self, block: Block[Any], site: Site) -> ActivityWrapper:
        key = (id(block), site)  # The table or the views keep the blocks alive.
        if key not in self._made:
            self._made[key] = ActivityWrapper(block.stated.get_handle_at(site))
        return self._made[key]

    def _require_same_guard(self, name: str, block: object) -> None:
        _require_block(f"`{name}`", block)
        if isinstance(block, Block) and block.stated.engine is not self._guard.engine:
            raise ValueError(
                f"{_describe_place(block)}`{name}` has a purpose of another guard: make one guard, and import it"
            )


def _iterate(body: Iterable[bytes]) -> Iterator[bytes]:
    for step in body:  # noqa: UP028  # `yield from` would close the body a second time.
        yield step


def find_marked_block(view: Any, method: str) -> tuple[Any, Block[Any]] | None:
    """Return the block of `@purpose` on a view, together with the object that it decorates, or None.

    For a class of views, the method that answers is asked before the class.
    """
    view_class: Any = getattr(view, "view_class", None)
    for candidate in (getattr(view_class, method.lower(), None), view_class, view):
        block = getattr(candidate, _MARK, None)
        if block is not None:
            return candidate, block
    return None


def _iter_rule_names(rule: Rule) -> Iterator[str]:
    """Yield the names that `routes` may give to a rule."""
    yield rule.endpoint
    yield from _iter_blueprint_patterns(rule.endpoint)
    for method in rule.methods or ():
        yield f"{method} {rule.rule}"


def _iter_blueprint_patterns(endpoint: str) -> Iterator[str]:
    """Yield the patterns of the blueprints that contain an endpoint, the innermost first."""
    blueprint = endpoint.rpartition(".")[0]
    while blueprint:
        yield f"{blueprint}.*"
        blueprint = blueprint.rpartition(".")[0]


def _require_block(name: str, block: object) -> None:
    if not isinstance(block, Block):
        raise TypeError(f"{name} is given {type(block).__name__}: say what it is for, `guard.purpose(…)`")


def _describe_place(block: Block[Any] | None) -> str:
    if block is None:
        return ""
    code, line, _ = block.stated.where
    return f"{code.co_filename}:{line}: "
