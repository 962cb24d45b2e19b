"""Which route the framework dispatches to, and whose purpose is set: they never differ, whatever a client sends."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, ClassVar
from urllib.parse import unquote

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.convertors import CONVERTOR_TYPES, StringConvertor
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.testclient import TestClient

import purposeguard as pg
from purposeguard.errors import PurposeMissing
from purposeguard.integrations.asgi import PurposeRoutes
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)
ran: list[tuple[str, str | None]] = []
"""Each endpoint that ran: its name, and the activity under way."""


def under_way() -> str | None:
    try:
        return guard.use(tm.RenewalGuidance).activity.name
    except PurposeMissing:
        return None


def endpoint(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def respond(_: Request) -> Response:
        ran.append((name, under_way()))
        return PlainTextResponse("")

    return respond


def socket(name: str) -> Callable[[WebSocket], Awaitable[None]]:
    async def respond(_: WebSocket) -> None:
        ran.append((name, under_way()))

    return respond


def purposes(*names: str) -> dict[str, Any]:
    return {name: guard.purpose(tm.RenewalGuidance, activity=name) for name in names}


def send(app: Any, path: str, method: str = "GET", **scope: Any) -> list[tuple[str, str | None]]:
    """What ran for one request, whose path is as a server gives it: percent-decoded, and nothing else."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def answer(_: Any) -> None:
        """Nobody reads it."""

    ran.clear()
    prefixes_reached.clear()
    kind = {"type": "http", "method": method} if method != "WEBSOCKET" else {"type": "websocket", "subprotocols": []}
    common = {"path": path, "query_string": b"", "root_path": "", "headers": [(b"host", b"x.test")]}
    asyncio.run(app({**kind, **common, **scope}, receive, answer))
    return list(ran)


class EvenConvertor(StringConvertor):
    """A convertor that an application registers by itself: another pattern than those of Starlette."""

    regex: ClassVar[str] = "[02468\n]+"


@pytest.fixture(autouse=True, scope="module")
def own_convertor() -> Iterator[None]:
    CONVERTOR_TYPES["even"] = EvenConvertor()
    yield
    del CONVERTOR_TYPES["even"]


METHODS = ("GET", "POST", "HEAD", "OPTIONS")
PARAMETERS = ("{p}", "{p:int}", "{p:float}", "{p:uuid}", "{p:path}", "{p:even}", "x{p}", "{p}.csv")
SEGMENTS = ("a", "b", "a.b", "\u3042", *PARAMETERS)
UUID = "d9ea1281-0f52-4ae0-a968-74135a91e8f4"
VALUES = ("7", "8", "1.5", UUID, "a", "me", "", "a/b", "\u0667", "\u3042", "..", ".", "7\n", "A", "a%2Fb")


def numbered(path: str) -> str:
    """The path with a name of its own for each parameter."""
    numbers = itertools.count()
    return re.sub(r"\{p", lambda _: f"{{p{next(numbers)}", path)


paths = (
    st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts)).map(numbered)
)
methods = st.lists(st.sampled_from(METHODS), min_size=1, max_size=2, unique=True)
leaves: st.SearchStrategy[tuple[str, str, Any]] = st.one_of(
    st.tuples(st.just("route"), paths, methods),
    st.tuples(st.just("slash"), paths, methods),
    st.tuples(st.just("socket"), paths, st.just([])),
)
tables = st.lists(
    st.one_of(
        leaves,
        st.tuples(st.just("mount"), st.sampled_from(("", "/a", "/b", "/{m}")), st.lists(leaves, max_size=3)),
        st.tuples(st.just("host"), st.sampled_from(("x.test", "{h}.test", "y.test")), st.lists(leaves, max_size=3)),
    ),
    min_size=1,
    max_size=5,
)
requests = st.tuples(
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=4).map("/".join),
    st.sampled_from(("", "/", "\n", "//", "/..", "%0A", "\r", "\u2028", " ")),
    st.sampled_from((*METHODS, "WEBSOCKET", "get", "PUT")),
)


class Built:
    """An application of a table, and the names by which each of its routes can be called."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        """By endpoint."""
        self._numbers = itertools.count()

    def routes(self, table: Sequence[tuple[str, str, Any]], prefix: str = "") -> list[BaseRoute]:
        return [self._route(*row, prefix) for row in table]

    def _route(self, kind: str, path: str, rest: Any, prefix: str) -> BaseRoute:
        if kind == "mount":
            return Mount(path, routes=self.routes(rest, prefix + path))
        if kind == "host":
            return Host(path, Router(routes=self.routes(rest, prefix + path)))
        own = str(next(self._numbers))
        path += "/" if kind == "slash" else ""
        kinds = ["WEBSOCKET"] if kind == "socket" else rest
        self.names[own] = [f"{method} {prefix}{path}" for method in kinds]
        if kind == "socket":
            return WebSocketRoute(path, socket(own))
        return Route(path, endpoint(own), methods=rest)


def named(built: Built, left_out: set[int]) -> dict[str, Any]:
    names = sorted({name for names in built.names.values() for name in names})
    return purposes(*(name for number, name in enumerate(names) if number not in left_out))


def agree(app: Any, built: Built, routes: dict[str, Any], asked: list[tuple[str, str, str]]) -> None:
    outer = PurposeRoutes(app, routes)
    for path, ending, method in asked:
        for path_sent in (f"/{path}{ending}", unquote(f"/{path}{ending}")):
            plain = send(app, path_sent, method)
            ran_for = send(outer, path_sent, method)
            assert [name for name, _ in plain] == [name for name, _ in ran_for]
            assert all(activity is None for _, activity in plain)
            for name, activity in ran_for:
                own = next((one for one in built.names[name] if one.startswith(f"{method} ")), None)
                if own is None and method == "HEAD":
                    own = next((one for one in built.names[name] if one.startswith("GET ")), None)
                assert activity == (own if own in routes else None)


@given(tables, st.sets(st.integers(0, 8), max_size=4), st.lists(requests, min_size=1, max_size=6))
@example([("route", "/a/{p:int}", ["GET"]), ("route", "/a/{p}", ["GET"])], set(), [("a/7", "\n", "GET")])
@example([("route", "/{p:path}", ["GET"]), ("route", "/{p}", ["GET"])], set(), [("a", "\n", "GET")])
@example([("route", "/a", ["HEAD"]), ("route", "/a", ["GET"])], {1}, [("a", "", "HEAD")])
def test_the_purpose_is_that_of_the_route_which_starlette_chooses(
    table: list[tuple[str, str, Any]], left_out: set[int], asked: list[tuple[str, str, str]]
) -> None:
    built = Built()
    agree(Starlette(routes=built.routes(table)), built, named(built, left_out), asked)


inner_prefixes = st.sampled_from(("", "/a", "/b/{q}", "/{q:path}"))
prefixes = st.sampled_from(("", "/a", "/b/{r}", "/{r:path}"))


@given(
    st.lists(st.tuples(inner_prefixes, st.lists(leaves, max_size=3)), min_size=1, max_size=2),
    st.lists(st.tuples(prefixes, st.integers(0, 1)), min_size=1, max_size=3),
    st.sets(st.integers(0, 8), max_size=4),
    st.lists(requests, min_size=1, max_size=6),
)
def test_so_it_is_for_routers_that_fastapi_includes(
    routers: list[tuple[str, list[tuple[str, str, Any]]]],
    included: list[tuple[str, int]],
    left_out: set[int],
    asked: list[tuple[str, str, str]],
) -> None:
    """A router may be included twice: each of its routes is then two; a dependency says which was reached."""
    app, names = FastAPI(openapi_url=None), list[str]()
    outers = []
    for inner_prefix, table in routers:
        inner, outer = APIRouter(), APIRouter()
        for kind, path, kinds in table:
            if kind == "socket":
                inner.add_api_websocket_route(path, including(f"WEBSOCKET {path}"))
            else:
                inner.add_api_route(path, including(f"{kinds[0]} {path}"), methods=kinds[:1])
        outer.include_router(inner, prefix=inner_prefix, dependencies=[Depends(reached(inner_prefix))])
        outers.append(outer)
    for prefix, number in included:
        inner_prefix, table = routers[number % len(routers)]
        app.include_router(outers[number % len(routers)], prefix=prefix, dependencies=[Depends(reached(prefix))])
        whole = prefix + inner_prefix
        names += [f"{kinds[0] if kinds else 'WEBSOCKET'} {whole}{path}" for _, path, kinds in table]
    routes = purposes(*(name for number, name in enumerate(dict.fromkeys(names)) if number not in left_out))
    outer_app = PurposeRoutes(app, routes)
    for path, ending, method in asked:
        for name, activity in send(outer_app, unquote(f"/{path}{ending}"), method):
            assert activity == (name if name in routes else None)


prefixes_reached: list[str] = []


def reached(prefix: str) -> Callable[[], Awaitable[None]]:
    async def depend() -> None:
        prefixes_reached.append(prefix)

    return depend


def including(name: str) -> Any:
    async def respond() -> None:
        method, _, path = name.partition(" ")
        ran.append((f"{method} {''.join(prefixes_reached)}{path}", under_way()))

    return respond


def test_a_line_break_at_the_end_is_the_route_s_own() -> None:
    app = Starlette(routes=[Route("/reminders/{p:int}", endpoint("one")), Route("/reminders/{p}", endpoint("other"))])
    outer = PurposeRoutes(app, purposes("GET /reminders/{p:int}", "GET /reminders/{p}"))
    client = TestClient(outer)
    for path in ("/reminders/7", "/reminders/7%0A"):
        ran.clear()
        client.get(path)
        assert ran == [("one", "GET /reminders/{p:int}")]
    ran.clear()
    client.get("/reminders/7%0A7")
    assert ran == [("other", "GET /reminders/{p}")]


class Overriding:
    """A middleware of the application that lets a client choose another method and another path."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        copied = dict(scope)
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            copied["method"] = headers.get(b"x-method", scope["method"].encode()).decode()
            copied["path"] = headers.get(b"x-path", scope["path"].encode()).decode()
        await self.app(copied, receive, send)


@pytest.mark.parametrize("as_middleware", [False, True])
def test_what_a_middleware_of_the_application_rewrites_changes_the_purpose_with_it(as_middleware: bool) -> None:
    routes = [
        Route("/a", endpoint("read")),
        Route("/a", endpoint("write"), methods=["POST"]),
        Route("/b", endpoint("b")),
    ]
    names = purposes("GET /a", "POST /a", "GET /b")
    if as_middleware:
        outermost = [Middleware(PurposeRoutes, routes=names), Middleware(Overriding)]
        client = TestClient(Starlette(routes=routes, middleware=outermost))
    else:
        client = TestClient(PurposeRoutes(Starlette(routes=routes, middleware=[Middleware(Overriding)]), names))
    ran.clear()
    client.get("/a", headers={"x-method": "POST"})
    client.get("/a", headers={"x-path": "/b"})
    assert ran == [("write", "POST /a"), ("b", "GET /b")]


def test_under_a_root_path_and_behind_a_redirect() -> None:
    app = Starlette(routes=[Mount("/v1", routes=[Route("/a/", endpoint("a"))]), Route("/a", endpoint("root"))])
    outer = PurposeRoutes(app, purposes("GET /v1/a/", "GET /a"))
    assert send(outer, "/api/v1/a/", root_path="/api") == [("a", "GET /v1/a/")]
    assert send(outer, "/v1/a/", root_path="/v1") == [("a", "GET /v1/a/")] or not ran
    assert send(outer, "/v1/a", root_path="/v1") == [("root", "GET /a")]
    ran.clear()
    assert TestClient(outer).get("/v1/a").url.path == "/v1/a/"
    assert ran == [("a", "GET /v1/a/")]


def test_one_application_under_two_mounts_is_named_by_each() -> None:
    inner = Starlette(routes=[Route("/x", endpoint("x"))])
    app = Starlette(routes=[Mount("/a", inner), Mount("/b", inner), Mount("/c", inner)])
    outer = PurposeRoutes(app, purposes("GET /a/x", "GET /b/x"))
    assert [send(outer, f"/{mount}/x") for mount in "abc"] == [[("x", "GET /a/x")], [("x", "GET /b/x")], [("x", None)]]


def test_what_is_mounted_or_added_later_has_no_purpose() -> None:
    inner = Starlette(routes=[Route("/x", endpoint("inner"))])
    app = Starlette(routes=[Route("/x", endpoint("root")), Mount("/a", inner)])
    outer = PurposeRoutes(app, purposes("GET /x", "GET /a/x"))
    app.router.routes += [Mount("/b", inner), Route("/y", endpoint("y"))]
    assert [send(outer, path) for path in ("/b/x", "/y", "/x")] == [
        [("inner", None)],
        [("y", None)],
        [("root", "GET /x")],
    ]
    router = APIRouter()
    router.add_api_route("/x", endpoint_of_fastapi("router"))
    fastapi = FastAPI(openapi_url=None)
    fastapi.add_api_route("/x", endpoint_of_fastapi("root"))
    fastapi.include_router(router, prefix="/a")
    outer = PurposeRoutes(fastapi, purposes("GET /x", "GET /a/x"))
    fastapi.mount("/late", router)
    assert [send(outer, path) for path in ("/late/x", "/a/x", "/x")] == [
        [("router", None)],
        [("router", "GET /a/x")],
        [("root", "GET /x")],
    ]


def test_a_router_that_is_included_again_later_has_no_purpose_there() -> None:
    inner, outer = APIRouter(), APIRouter()
    inner.add_api_route("/x", endpoint_of_fastapi("inner"))
    outer.include_router(inner, prefix="/a")
    app = FastAPI(openapi_url=None)
    app.include_router(outer)
    guarded = PurposeRoutes(app, purposes("GET /a/x"))
    outer.include_router(inner, prefix="/b")
    for _ in range(2):  # The second request finds what was noted for the route at the first.
        assert [send(guarded, path) for path in ("/a/x", "/b/x")] == [[("inner", "GET /a/x")], [("inner", None)]]
    assert send(guarded, "/a/x", "POST") == []


def endpoint_of_fastapi(name: str) -> Callable[[], Awaitable[None]]:
    async def respond() -> None:
        ran.append((name, under_way()))

    return respond


def test_what_a_route_calls_by_itself_is_no_route_of_the_application() -> None:
    """An endpoint that hands its request to another route keeps its own purpose."""
    other = Route("/b", endpoint("b"))

    async def forward(scope: Any, receive: Any, send: Any) -> None:
        await other.handle(scope, receive, send)

    app = Starlette(routes=[Mount("/a", forward), other])
    outer = PurposeRoutes(app, purposes("GET /a/{path:path}", "GET /b", "WEBSOCKET /a/{path:path}"))
    assert send(outer, "/a/any") == [("b", "GET /a/{path:path}")]
    assert send(outer, "/b") == [("b", "GET /b")]


def test_two_tables_of_one_application_do_not_meet_and_without_one_nothing_is_changed() -> None:
    app = Starlette(routes=[Route("/a", endpoint("a"))])
    one = PurposeRoutes(app, {"GET /a": guard.purpose(tm.RenewalGuidance, activity="one")})
    other = PurposeRoutes(app, {"GET /a": guard.purpose(tm.RenewalGuidance, activity="other")})
    assert [send(one, "/a"), send(other, "/a"), send(app, "/a")] == [[("a", "one")], [("a", "other")], [("a", None)]]


class Both(HTTPEndpoint):
    async def get(self, _: Request) -> Response:
        ran.append(("get", under_way()))
        return PlainTextResponse("")

    async def post(self, _: Request) -> Response:
        ran.append(("post", under_way()))
        return PlainTextResponse("")


def test_an_endpoint_that_is_a_class_has_a_purpose_for_each_method() -> None:
    outer = PurposeRoutes(Starlette(routes=[Route("/a", Both)]), purposes("GET /a", "POST /a"))
    assert send(outer, "/a") == send(outer, "/a", "HEAD") == [("get", "GET /a")]
    assert send(outer, "/a", "POST") == [("post", "POST /a")]
    assert send(outer, "/a", "post") == send(outer, "/a", "PUT") == []


def test_no_purpose_is_left_behind_by_a_request_that_fails() -> None:
    async def fails(_: Request) -> Response:
        raise ZeroDivisionError

    outer = PurposeRoutes(Starlette(routes=[Route("/a", fails), Route("/b", endpoint("b"))]), purposes("GET /a"))
    with pytest.raises(ZeroDivisionError):
        TestClient(outer).get("/a")
    assert send(outer, "/b") == [("b", None)]


def test_an_application_without_routes_is_refused() -> None:
    async def plain(scope: Any, receive: Any, send: Any) -> None:
        """An application of another framework."""

    with pytest.raises(TypeError, match="no routes that can be asked"):
        PurposeRoutes(plain, purposes("GET /a"))


@pytest.mark.parametrize(
    "name", ["GET /reminder/{p}", "GET /reminders/{other}", "POST /reminders/{p}", "WEBSOCKET /reminders/{p}"]
)
def test_a_name_that_the_application_does_not_have_is_refused(name: str) -> None:
    app = Starlette(routes=[Route("/reminders/{p}", endpoint("a"))])
    with pytest.raises(ValueError, match=r"near it are `(GET|HEAD) /reminders/\{p\}`"):
        PurposeRoutes(app, purposes(name))
