"""The entry points that web frameworks set: the same one wherever code runs for a request, and templates only."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from fastapi.testclient import TestClient
from flask import Blueprint, Flask, Response, stream_with_context
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

import purposeguard as pg
from purposeguard.integrations.asgi import PurposeRoutes
from purposeguard.integrations.fastapi import PurposeRouter, install
from purposeguard.integrations.flask import Purposes
from purposeguard.integrations.passport import Passports
from purposeguard.integrations.passport_http import PassportMiddleware
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.entry_point import EntryPoint, current_entry_point
from purposeguard.runtime.observer import Observer

ADDRESS = "aiko@example.jp"
"""Part of paths. No entry point may contain it."""


class Looks(Observer):
    """The entry point at each place where it was looked at, and where an observer was told of a denial."""

    def __init__(self) -> None:
        self.seen: dict[str, str | None] = {}

    def look(self, place: str) -> None:
        self.seen[place] = current_entry_point()

    def denied(self, error: Exception, *, observed: bool) -> None:
        self.look("observer")
        self.seen["error"] = getattr(error, "entry_point", None)


@pytest.fixture
def looks() -> Iterator[Looks]:
    yield Looks()
    assert current_entry_point() is None


def in_thread(look: Callable[[], None]) -> None:
    """Run a function as `asyncio.to_thread` does, from code that is not asynchronous."""
    asyncio.run(asyncio.to_thread(look))


def make_fastapi(looks: Looks) -> FastAPI:
    guard = pg.Guard(tm.NOTICE, observers=[looks])
    app = FastAPI()
    look = looks.look

    @app.middleware("http")
    async def around(request: Request, answer: Any) -> Any:
        look("before")
        response = await answer(request)
        look("after")
        return response

    install(app, guard)
    add_routes(app, guard, looks)
    add_failures(app, guard, looks)
    add_applications(app, guard, looks)

    @app.middleware("http")
    async def outermost(request: Request, answer: Any) -> Any:
        look("outermost, before")
        response = await answer(request)
        look("outermost, after")
        return response

    return app


def add_routes(app: FastAPI, guard: pg.Guard, looks: Looks) -> None:
    look = looks.look

    def need() -> Iterator[None]:
        look("dependency")
        yield
        look("end of dependency")

    async def need_async() -> None:
        look("async dependency")

    needs = [Depends(need), Depends(need_async)]

    @app.get("/users/{key}", dependencies=needs)
    def show(key: str, tasks: BackgroundTasks) -> str:
        look("endpoint")
        in_thread(lambda: look("thread"))
        tasks.add_task(look, "background")
        return "x"

    @app.get("/stream/{key}", dependencies=needs)
    async def stream(key: str) -> StreamingResponse:
        look("endpoint")

        async def parts() -> AsyncIterator[str]:
            look("part")
            yield "x"

        return StreamingResponse(parts())

    @app.get("/parts/{key}")
    def stream_in_thread(key: str) -> StreamingResponse:
        def parts() -> Iterator[str]:
            look("part")
            yield "x"

        return StreamingResponse(parts())

    @app.websocket("/ws/{key}")
    async def talk(socket: WebSocket, key: str) -> None:
        await socket.accept()
        look("endpoint")
        await socket.close()


def add_failures(app: FastAPI, guard: pg.Guard, looks: Looks) -> None:
    look = looks.look

    @guard.access(tm.ProductData)
    def read() -> str:
        return "x"

    @app.get("/denied/{key}")
    def denied(key: str) -> str:
        return read()

    @app.get("/missing/{key}")
    def missing(key: str) -> None:
        raise HTTPException(404)

    @app.get("/failing/{key}")
    def fail(key: str) -> None:
        raise ValueError

    @app.get("/broken/{key}")
    def break_down(key: str) -> None:
        raise ZeroDivisionError

    @app.exception_handler(HTTPException)
    @app.exception_handler(ValueError)
    async def handle(*_: object) -> JSONResponse:
        look("handler")
        return JSONResponse({}, 400)

    @app.exception_handler(Exception)
    async def handle_any(*_: object) -> JSONResponse:
        look("handler of unexpected errors")
        return JSONResponse({}, 500)


def add_applications(app: FastAPI, guard: pg.Guard, looks: Looks) -> None:
    def touch(key: str = "") -> None:
        looks.look("endpoint")

    inner, outer = APIRouter(prefix="/inner"), PurposeRouter(guard, purpose=tm.RenewalGuidance, prefix="/outer/{area}")
    inner.api_route("/{key}", methods=["GET", "PURGE"])(touch)
    outer.get("/{key}")(touch)
    outer.get("/none/{key}", purpose=None)(touch)
    app.include_router(inner, prefix="/again")
    app.include_router(outer)

    for path, installed in (("/sub/{tenant}", False), ("/own/{tenant}", True)):
        sub = FastAPI()
        sub.get("/users/{key}")(touch)
        if installed:
            install(sub, guard)
        app.mount(path, sub)
    own = FastAPI()
    own.get("/users/{key}")(touch)
    install(own, guard)
    app.mount("/behind", GZipMiddleware(own))
    app.mount("/static", StaticFiles(directory="tests"))


NEEDS = {"dependency", "end of dependency", "async dependency"}
FASTAPI = {
    f"GET /users/{ADDRESS}": ("GET /users/{key}", NEEDS | {"endpoint", "thread", "background"}),
    f"HEAD /denied/{ADDRESS}": ("GET /denied/{key}", set[str]()),
    f"GET /stream/{ADDRESS}": ("GET /stream/{key}", NEEDS | {"endpoint", "part"}),
    f"GET /parts/{ADDRESS}": ("GET /parts/{key}", {"part"}),
    f"GET /denied/{ADDRESS}": ("GET /denied/{key}", {"observer", "error"}),
    f"GET /missing/{ADDRESS}": ("GET /missing/{key}", {"handler"}),
    f"GET /failing/{ADDRESS}": ("GET /failing/{key}", {"handler"}),
    f"GET /broken/{ADDRESS}": ("GET /broken/{key}", {"handler of unexpected errors"}),
    f"GET /again/inner/{ADDRESS}": ("GET /again/inner/{key}", {"endpoint"}),
    f"PURGE /again/inner/{ADDRESS}": ("PURGE /again/inner/{key}", {"endpoint"}),
    f"GET /outer/eu/{ADDRESS}": ("GET /outer/{area}/{key}", {"endpoint"}),
    f"GET /outer/eu/none/{ADDRESS}": ("GET /outer/{area}/none/{key}", {"endpoint"}),
    f"GET /sub/{ADDRESS}/users/{ADDRESS}": ("GET /sub/{tenant}/users/{key}", {"endpoint"}),
    f"GET /own/{ADDRESS}/users/{ADDRESS}": ("GET /own/{tenant}/users/{key}", {"endpoint"}),
    f"GET /behind/users/{ADDRESS}": ("GET /behind/users/{key}", {"endpoint"}),
    "GET /docs": ("GET /docs", set[str]()),
    f"GET /static/{ADDRESS}": ("GET /static/{path:path}", set[str]()),
    f"GET /{ADDRESS}": ("GET (no route)", set[str]()),
    f"GET /sub/eu/{ADDRESS}": ("GET (no route)", set[str]()),
    f"AIKO /{ADDRESS}": ("OTHER (no route)", set[str]()),
}


@pytest.mark.parametrize("request_line", FASTAPI)
def test_a_request_of_fastapi_has_one_entry_point_everywhere(looks: Looks, request_line: str) -> None:
    method, path = request_line.split()
    name, places = FASTAPI[request_line]
    TestClient(make_fastapi(looks), raise_server_exceptions=False).request(method, path)
    unknown = f"{name.split()[0]} (no route)".replace("PURGE", "OTHER")
    assert [looks.seen.pop(place) for place in ("outermost, before", "before")] == [unknown, unknown]
    if "broken" not in path:
        places = places | {"after", "outermost, after"}
    assert looks.seen == dict.fromkeys(places, name)


def test_a_websocket_has_an_entry_point(looks: Looks) -> None:
    with TestClient(make_fastapi(looks)).websocket_connect(f"/ws/{ADDRESS}"):
        pass
    assert looks.seen == {"endpoint": "WEBSOCKET /ws/{key}"}


def test_a_route_that_is_added_later_has_an_entry_point(looks: Looks) -> None:
    app = make_fastapi(looks)
    client = TestClient(app)
    client.get("/users/1")

    @app.get("/later/{key}")
    def later(key: str) -> None:
        looks.look("later")

    client.get(f"/later/{ADDRESS}")
    assert looks.seen["later"] == "GET /later/{key}"


def test_requests_at_once_have_their_own_entry_points() -> None:
    app = FastAPI()
    install(app, pg.Guard(tm.NOTICE))
    both = threading.Barrier(2)

    def wait() -> str | None:
        both.wait(60)
        return current_entry_point()

    app.get("/first")(wait)
    app.get("/second")(wait)
    answers: dict[str, Any] = {}
    with TestClient(app) as client:
        threads = [
            threading.Thread(target=lambda path=path: answers.update({path: client.get(path).json()}))
            for path in ("/first", "/second")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {"/first": "GET /first", "/second": "GET /second"}


def test_routes_of_starlette_are_entry_points_with_and_without_a_purpose(looks: Looks) -> None:
    guard = pg.Guard(tm.NOTICE)

    async def touch(request: Request) -> PlainTextResponse:
        looks.look(request.url.path)
        return PlainTextResponse("x")

    app = Starlette(routes=[Route("/a/{key}", touch), Mount("/m/{area}", routes=[Route("/b/{key:int}", touch)])])
    client = TestClient(PurposeRoutes(app, {"GET /a/{key}": guard.purpose(tm.RenewalGuidance)}))
    client.get("/a/1")
    client.head("/a/2")
    client.get("/m/eu/b/3")
    assert looks.seen == {"/a/1": "GET /a/{key}", "/a/2": "GET /a/{key}", "/m/eu/b/3": "GET /m/{area}/b/{key:int}"}


def test_an_application_without_known_routes_has_an_entry_point(looks: Looks) -> None:
    guard = pg.Guard(tm.NOTICE)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        looks.look("application")
        await PlainTextResponse("x")(scope, receive, send)

    passports = Passports(guard, keys={"k": bytes(32)})
    TestClient(PassportMiddleware(app, passports, permits=[tm.RenewalGuidance], required=False)).post(f"/{ADDRESS}")
    assert looks.seen == {"application": "POST (no route)"}


def make_flask(looks: Looks) -> Flask:
    guard = pg.Guard(tm.NOTICE, observers=[looks])
    look = looks.look
    app = Flask(__name__)
    shop = Blueprint("shop", __name__, url_prefix="/shop/<area>")

    @guard.access(tm.ProductData)
    def read() -> str:
        return "x"

    app.before_request(lambda: look("before"))
    app.after_request(lambda response: (look("after"), response)[1])
    app.teardown_request(lambda _: look("teardown"))

    @app.route("/users/<int:key>", methods=["GET", "POST", "PURGE"])
    def show(key: int) -> str:
        look("view")
        in_thread(lambda: look("thread"))
        return "x"

    @app.get("/async/<key>")
    async def show_async(key: str) -> str:
        look("view")
        return "x"

    @app.get("/stream/<key>")
    def stream(key: str) -> Response:
        def parts() -> Iterator[str]:
            look("part")
            yield "x"

        response = Response(stream_with_context(parts()))
        response.call_on_close(lambda: look("close"))
        return response

    @app.get("/denied/<key>")
    def denied(key: str) -> str:
        return read()

    @app.get("/failing/<key>")
    def fail(key: str) -> str:
        raise ValueError

    @app.errorhandler(ValueError)
    @app.errorhandler(404)
    def handle(_: object) -> tuple[str, int]:
        look("handler")
        return "x", 400

    @shop.get("/<key>")
    def item(area: str, key: str) -> str:
        look("view")
        return "x"

    app.register_blueprint(shop)
    Purposes(app, guard, {"GET /async/<key>": guard.purpose(tm.RenewalGuidance)})
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {})  # type: ignore[method-assign]  # Flask documents it so.
    return app


WITHIN = {"before", "after", "teardown"}
FLASK = {
    "GET /users/7": ("GET /users/<int:key>", {"view", "thread"}),
    "HEAD /users/7": ("GET /users/<int:key>", {"view", "thread"}),
    "POST /users/7": ("POST /users/<int:key>", {"view", "thread"}),
    "PURGE /users/7": ("PURGE /users/<int:key>", {"view", "thread"}),
    "OPTIONS /users/7": ("OPTIONS /users/<int:key>", set[str]()),
    f"GET /async/{ADDRESS}": ("GET /async/<key>", {"view"}),
    f"GET /stream/{ADDRESS}": ("GET /stream/<key>", {"part", "close"}),
    f"GET /denied/{ADDRESS}": ("GET /denied/<key>", {"observer", "error"}),
    f"GET /failing/{ADDRESS}": ("GET /failing/<key>", {"handler"}),
    f"GET /shop/eu/{ADDRESS}": ("GET /shop/<area>/<key>", {"view"}),
    f"GET /{ADDRESS}": ("GET (no route)", {"handler"}),
    f"AIKO /{ADDRESS}": ("OTHER (no route)", {"handler"}),
}


@pytest.mark.parametrize("request_line", FLASK)
def test_a_request_of_flask_has_one_entry_point_everywhere(looks: Looks, request_line: str) -> None:
    method, path = request_line.split()
    name, places = FLASK[request_line]
    with EntryPoint.test("test"):
        answer = Client(make_flask(looks)).open(path, method=method, buffered=True)
        assert current_entry_point() == "test test"
    answer.close()
    assert looks.seen == dict.fromkeys(WITHIN | places, name)
