"""An application of FastAPI of which each route tells for which purpose it runs, wherever FastAPI runs it.

For each of the purposes: {async, def} × {endpoint, dependency, background, stream, websocket, exception}.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel
from starlette.background import BackgroundTask

import purposeguard as pg
from purposeguard.integrations.fastapi import PurposeRouter, install
from purposeguard.notices import trendmicro_jp as tm
from tests.integrations.models import get_purpose

guard = pg.Guard(tm.NOTICE)

PURPOSES: Final = {
    "renewal": tm.RenewalGuidance,
    "provision": tm.ProductProvision,
    "improvement": tm.ProductImprovement,
    "research": tm.ResearchNotice,
}
STEPS: Final = 3
"""Items of each stream."""

background: Counter[tuple[str, str]] = Counter()
"""What ran after an answer: the purpose of the route, and what was under way."""

ended: Counter[tuple[str, str]] = Counter()
"""What was under way when a dependency began, and when it was left."""

_counting = threading.Lock()


def seen() -> str:
    """The purpose under way here, by its clause; or that there is none."""
    return get_purpose(guard) or "none"


async def noted(purpose: str) -> None:
    await asyncio.sleep(0)
    with _counting:
        background[purpose, seen()] += 1


def noted_in_a_thread(purpose: str) -> None:
    with _counting:
        background[purpose, seen()] += 1


async def of_dependency() -> str:
    await asyncio.sleep(0)
    return seen()


def of_dependency_in_a_thread() -> str:
    return seen()


async def of_generator() -> AsyncIterator[str]:
    before = seen()
    yield before
    ended[before, seen()] += 1


def of_generator_in_a_thread() -> Iterator[str]:
    before = seen()
    yield before
    with _counting:
        ended[before, seen()] += 1


class InAClass:
    def __init__(self) -> None:
        self.seen = seen()


async def steps() -> AsyncIterator[str]:
    for _ in range(STEPS):
        await asyncio.sleep(0)
        yield seen() + "\n"


def steps_in_threads() -> Iterator[str]:
    for _ in range(STEPS):
        yield seen() + "\n"


class Item(BaseModel):
    seen: str


class Halfway(Exception):
    """An exception that nobody handles."""


def add_routes(router: Any, name: str) -> None:  # noqa: C901  # one function for each place of the matrix
    """The matrix, on a router or application."""

    @router.get("/endpoint/async")
    async def endpoint() -> list[str]:
        await asyncio.sleep(0)
        return [seen()]

    @router.get("/endpoint/def")
    def endpoint_in_a_thread() -> list[str]:
        return [seen()]

    @router.get("/dependency/async")
    async def dependency(
        one: Annotated[str, Depends(of_dependency)], other: Annotated[str, Depends(of_generator)]
    ) -> list[str]:
        return [one, other]

    @router.get("/dependency/def")
    def dependency_in_a_thread(
        one: Annotated[str, Depends(of_dependency_in_a_thread)],
        other: Annotated[str, Depends(of_generator_in_a_thread)],
        third: Annotated[InAClass, Depends()],
    ) -> list[str]:
        return [one, other, third.seen]

    @router.get("/background/async")
    async def later(tasks: BackgroundTasks) -> list[str]:
        tasks.add_task(noted, name)
        return [seen()]

    @router.get("/background/def")
    def later_in_a_thread(tasks: BackgroundTasks) -> list[str]:
        tasks.add_task(noted_in_a_thread, name)
        return [seen()]

    @router.get("/background-of-response/def")
    async def with_response() -> JSONResponse:
        return JSONResponse([seen()], background=BackgroundTask(noted_in_a_thread, name))

    @router.get("/stream/async")
    async def stream() -> StreamingResponse:
        return StreamingResponse(steps(), media_type="text/plain")

    @router.get("/stream/def")
    def stream_in_threads() -> StreamingResponse:
        return StreamingResponse(steps_in_threads(), media_type="text/plain")

    @router.get("/yielding/async", response_class=StreamingResponse)
    async def yielding() -> AsyncIterator[str]:
        async for step in steps():
            yield step

    @router.get("/yielding/def", response_class=StreamingResponse)
    def yielding_in_threads() -> Iterator[str]:
        yield from steps_in_threads()

    @router.get("/items/async")
    async def items() -> AsyncIterator[Item]:
        for _ in range(STEPS):
            yield Item(seen=seen())

    @router.get("/items/def")
    def items_in_threads() -> Iterator[Item]:
        for _ in range(STEPS):
            yield Item(seen=seen())

    @router.get("/exception/async")
    async def failing() -> None:
        await asyncio.sleep(0)
        guard.use(tm.AnySecurityInformation)  # not under way

    @router.get("/exception/def")
    def failing_in_a_thread() -> None:
        guard.use(tm.AnySecurityInformation)

    @router.get("/halfway/async")
    async def failing_halfway() -> StreamingResponse:
        async def some() -> AsyncIterator[str]:
            yield seen() + "\n"
            raise Halfway

        return StreamingResponse(some(), media_type="text/plain")

    @router.get("/halfway/def")
    def failing_halfway_in_threads() -> StreamingResponse:
        def some() -> Iterator[str]:
            yield seen() + "\n"
            raise Halfway

        return StreamingResponse(some(), media_type="text/plain")

    @router.websocket("/socket/async")
    async def socket(socket: WebSocket, one: Annotated[str, Depends(of_dependency)]) -> None:
        await socket.accept()
        await socket.send_json([one, seen()])
        await socket.close()

    @router.websocket("/socket/def")
    async def socket_of_threads(
        socket: WebSocket,
        one: Annotated[str, Depends(of_dependency_in_a_thread)],
        other: Annotated[str, Depends(of_generator_in_a_thread)],
    ) -> None:
        await socket.accept()
        await socket.send_json([one, other, seen()])
        await socket.close()


ANSWERS: Final = (
    *("endpoint/async", "endpoint/def", "dependency/async", "dependency/def", "background/async", "background/def"),
    "background-of-response/def",
)
STREAMS: Final = ("stream/async", "stream/def", "yielding/async", "yielding/def", "items/async", "items/def")
SOCKETS: Final = ("socket/async", "socket/def")
FAILING: Final = ("exception/async", "exception/def")


def make_app() -> FastAPI:
    """Each purpose by a router of its own, and one without any."""
    app = FastAPI()
    install(app, guard)
    for name, purpose in PURPOSES.items():
        router = PurposeRouter(guard, purpose=purpose)
        add_routes(router, name)
        app.include_router(router, prefix=f"/{name}")
    without = APIRouter(prefix="/none")
    add_routes(without, "none")
    app.include_router(without)

    @app.get("/counted")
    def counted() -> dict[str, list[tuple[str, str, int]]]:
        with _counting:
            return {
                "background": [(*key, count) for key, count in sorted(background.items())],
                "ended": [(*key, count) for key, count in sorted(ended.items())],
            }

    return app


app = make_app()


def told(text: str) -> set[str]:
    """What a stream told, of lines or of items."""
    return {line.removeprefix('{"seen":"').removesuffix('"}') for line in text.split()}
