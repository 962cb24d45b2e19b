"""Routes of an application that is not changed, each under its purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, WebSocket
from fastapi.testclient import TestClient

import purposeguard as pg
from purposeguard.errors import PurposeMissing
from purposeguard.integrations.asgi import PurposeRoutes
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import PurposeViolation
from tests.integrations.models import make_loader

guard = pg.Guard(tm.NOTICE)
load = make_loader(guard)


def names() -> list[str]:
    return sorted(load(1).model_dump())


app = FastAPI()
seen: list[list[str]] = []


@app.get("/customers/export")
async def export() -> list[str]:
    return names()


async def who() -> str:
    return load(1).name


@app.get("/customers/{key}")
async def one(key: int, caller: Annotated[str, Depends(who)]) -> list[str]:
    return [caller, *names()]


@app.post("/letters")
async def letters(background: BackgroundTasks) -> None:
    async def later() -> None:
        await asyncio.sleep(0)
        seen.append(names())

    background.add_task(later)


@app.get("/files/{path:path}")
async def file(path: str) -> list[str]:
    return names()


@app.get("/thread")
def thread() -> list[str]:
    return names()


@app.websocket("/live")
async def live(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_json(names())
    await socket.close()


ROUTES = {
    "GET /customers/export": None,
    "GET /customers/{key}": guard.purpose(tm.RenewalGuidance),
    "POST /letters": guard.purpose(tm.RenewalGuidance, activity="letters"),
    "GET /files/{path:path}": guard.purpose(tm.ProductProvision),
    "GET /thread": guard.purpose(tm.ProductProvision),
    "WEBSOCKET /live": guard.purpose(tm.ProductProvision),
}
guarded = PurposeRoutes(app, ROUTES)


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(guarded) as found:
        yield found


def test_a_request_runs_for_the_purpose_of_its_route(client: TestClient) -> None:
    assert client.get("/customers/7").json() == ["Aiko", "name"]
    assert client.get("/files/a/b").json() == ["device", "name"]
    with pytest.raises(PurposeMissing):
        guard.check(tm.Registration, guard.use(tm.AnyProductGuidance).purpose)


def test_a_route_without_a_purpose_reads_nothing(client: TestClient) -> None:
    with pytest.raises(PurposeMissing):
        client.get("/customers/export")


def test_background_tasks_and_websockets_have_it(client: TestClient) -> None:
    seen.clear()
    client.post("/letters")
    assert seen == [["name"]]
    with client.websocket_connect("/live") as socket:
        assert socket.receive_json() == ["device", "name"]


def test_threads_of_the_framework_have_none(client: TestClient) -> None:
    with pytest.raises(PurposeMissing):
        client.get("/thread")


def test_what_fits_no_route_has_none(client: TestClient) -> None:
    assert client.get("/nowhere").status_code == 404
    with pytest.raises(PurposeMissing):
        TestClient(PurposeRoutes(app, {"POST /letters": ROUTES["POST /letters"]})).get("/customers/7")


def test_each_route_is_an_activity_where_it_is_given_its_purpose() -> None:
    found = {one.qualname: one for one in guard.activities if one.module == __name__}
    assert set(found) == {route for route, block in ROUTES.items() if block is not None}
    assert found["GET /customers/{key}"].name == f"{__name__}.GET /customers/{{key}}"
    assert found["POST /letters"].name == "letters"
    assert found["GET /customers/{key}"].line > 0


def test_a_violation_is_the_application_s_to_answer() -> None:
    inner = FastAPI()

    @inner.get("/")
    async def device() -> str:
        return load(1).device

    @inner.exception_handler(PurposeViolation)
    async def refused(_request: Any, _error: Any) -> Any:
        from fastapi.responses import PlainTextResponse

        return PlainTextResponse("no", 403)

    assert TestClient(PurposeRoutes(inner, {"GET /": guard.purpose(tm.RenewalGuidance)})).get("/").status_code == 403


@pytest.mark.parametrize("route", ["/a", "get /a", "GET a", "GET /a b", "GET /{x", "GET /{x:word}", "GET"])
def test_what_is_no_route_is_refused(route: str) -> None:
    with pytest.raises(ValueError, match="`"):
        PurposeRoutes(app, {route: guard.purpose(tm.RenewalGuidance)})


def test_what_is_no_block_is_refused() -> None:
    wrong: Any = {"GET /a": tm.RenewalGuidance}
    with pytest.raises(TypeError, match="say what it is for"):
        PurposeRoutes(app, wrong)
