"""A purpose that travels: what a passport costs, and what it adds to a task of Celery and to a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
from celery import Celery
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import purposeguard as pg
from benchmarks.data.measured import TimedRow, time_calls, time_pairs
from purposeguard.integrations.celery import purpose_task
from purposeguard.integrations.passport import Passports
from purposeguard.integrations.passport_http import PassportMiddleware, headers
from purposeguard.notices import trendmicro_jp as tm

PACKAGES = ("celery", "itsdangerous", "httpx", "starlette")

guard = pg.Guard(tm.NOTICE)
passports = Passports(guard, keys={"bench": b"k" * 32})
PERMITS = [tm.ProductGuidance]


def rows(quick: bool) -> list[TimedRow]:
    """Return each of them alone, and beside the same without a passport."""
    return [*alone(quick), task(quick), request(quick)]


def alone(quick: bool) -> list[TimedRow]:
    blocks = 20 if quick else 400
    with guard.purpose(tm.ProductGuidance):
        text = passports.issue(audience="bench")
        issue = time_calls(lambda: passports.issue(audience="bench"), blocks)

    def accept() -> None:
        with passports.accept(text, permits=PERMITS, audience="bench"):
            pass

    accept()
    return [
        TimedRow("a passport issued", issue),
        TimedRow("a passport accepted, and its purpose entered", time_calls(accept, blocks)),
    ]


def task(quick: bool) -> TimedRow:
    """Return a task that runs at once, which is Celery's own work without a broker."""
    bare = Celery("bare", set_as_current=False)
    held = Celery("held", task_cls=purpose_task(passports), set_as_current=False)

    def make_task(app: Any, **options: Any) -> Callable[[], object]:
        app.conf.task_always_eager = True
        noted = app.task(name="noted", shared=False, **options)(_return_one)
        return lambda: noted.delay().get()

    with guard.purpose(tm.ProductGuidance):
        floor, ours, ratio = time_pairs(make_task(bare), make_task(held, permits=PERMITS), 20 if quick else 400)
    return TimedRow("a task of Celery, run at once", ours, "without a passport", floor, middle=ratio)


def _return_one() -> int:
    return 1


def request(quick: bool) -> TimedRow:
    """Return a request through httpx to an application of Starlette in the same process, without a network."""

    async def answer(_: Request) -> Response:
        return PlainTextResponse("1")

    app = Starlette(routes=[Route("/", answer)])
    held = PassportMiddleware(app, passports, permits=PERMITS)

    with asyncio.Runner() as runner:
        plain = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bench")
        guarded = httpx.AsyncClient(transport=httpx.ASGITransport(held), base_url="http://bench")

        async def bare() -> None:
            await plain.get("/")

        async def ours() -> None:
            with guard.purpose(tm.ProductGuidance):
                given = headers(passports)
            await guarded.get("/", headers=given)

        floor, took, ratio = time_pairs(lambda: runner.run(bare()), lambda: runner.run(ours()), 20 if quick else 400)
    return TimedRow(
        "a request between two services, without a network", took, "without a passport", floor, middle=ratio
    )
