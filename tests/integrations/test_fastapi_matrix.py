"""Wherever FastAPI runs code for a request, it runs for the purpose of the route, and no other: in the test client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.integrations import fastapi_matrix as matrix

CLAUSES = {name: purpose.clause for name, purpose in matrix.PURPOSES.items()} | {"none": "none"}

each_router = pytest.mark.parametrize("name", CLAUSES)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(matrix.app, raise_server_exceptions=False) as made:
        yield made


@each_router
@pytest.mark.parametrize("path", matrix.ANSWERS)
def test_endpoints_dependencies_and_tasks_have_the_purpose_of_their_route(client: TestClient, name: str, path: str):
    matrix.background.clear()
    matrix.ended.clear()
    answer = client.get(f"/{name}/{path}")
    assert answer.status_code == 200
    assert set(answer.json()) == {CLAUSES[name]}
    assert set(matrix.background) <= {(name, CLAUSES[name])}
    assert bool(matrix.background) == path.startswith("background")
    assert set(matrix.ended) <= {(CLAUSES[name], CLAUSES[name])}
    assert bool(matrix.ended) == path.startswith("dependency")


@each_router
@pytest.mark.parametrize("path", matrix.STREAMS)
def test_each_step_of_a_stream_has_it(client: TestClient, name: str, path: str):
    assert matrix.told(client.get(f"/{name}/{path}").text) == {CLAUSES[name]}


@each_router
@pytest.mark.parametrize("path", matrix.SOCKETS)
def test_websockets_have_it(client: TestClient, name: str, path: str):
    with client.websocket_connect(f"/{name}/{path}") as socket:
        assert set(socket.receive_json()) == {CLAUSES[name]}


@each_router
@pytest.mark.parametrize("path", matrix.FAILING)
def test_an_exception_leaves_it(client: TestClient, name: str, path: str):
    answer = client.get(f"/{name}/{path}")
    assert (answer.status_code, answer.json()["title"]) == (500, "no purpose")
    assert client.get("/none/endpoint/async").json() == ["none"]
    assert matrix.seen() == "none"


@pytest.mark.parametrize("kind", ["async", "def"])
def test_an_exception_half_way_through_a_stream_leaves_it(kind: str):
    with TestClient(matrix.app) as client:
        with pytest.raises(matrix.Halfway):
            client.get(f"/renewal/halfway/{kind}")
        assert client.get("/none/endpoint/async").json() == ["none"]


def test_a_cancelled_request_leaves_it():
    """The client goes away while a stream waits."""

    async def leave(path: str) -> list[str]:
        gone = asyncio.Event()
        uses: list[str] = []

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                uses.append(message["body"].decode())
                gone.set()
                await asyncio.sleep(0)

        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "root_path": ""}
        await matrix.app(scope, receive, send)
        return [*uses, matrix.seen()]

    async def cancel() -> str:
        task = asyncio.create_task(leave("/renewal/stream/async"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return matrix.seen()

    steps = asyncio.run(leave("/renewal/stream/async"))
    assert steps[0] == f"{CLAUSES['renewal']}\n"
    assert steps[-1] == "none"
    assert asyncio.run(cancel()) == "none"
