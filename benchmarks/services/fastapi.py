"""A request to FastAPI in this process: what a purpose costs, by itself, of a list of 1,000 customers and of a shop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI

from benchmarks.data.measured import TimedRow, time_pairs
from benchmarks.services import shop
from purposeguard import Guard
from purposeguard.governance import Governance
from purposeguard.integrations.fastapi import PurposeRouter, install
from purposeguard.notices import trendmicro_jp as tm

PACKAGES = ("fastapi", "starlette", "pydantic", "sqlalchemy")

SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "query_string": b"",
    "root_path": "",
    "headers": [],
}


async def bare_coroutine() -> dict[str, int]:
    return {"number": 7}


def bare_function() -> dict[str, int]:
    return {"number": 7}


def small(router: APIRouter) -> FastAPI:
    router.get("/coroutine")(bare_coroutine)
    router.get("/function")(bare_function)
    app = FastAPI(openapi_url=None)
    app.include_router(router)
    return app


async def request(app: Any, path: str) -> bytes:
    """Return the body of an answer, which has to be 200."""
    body: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status", 200) == 200, path
        body.append(message.get("body", b""))

    await app({**SCOPE, "path": path, "raw_path": path.encode()}, receive, send)
    return b"".join(body)


def rows(quick: bool = False) -> list[TimedRow]:
    """Return the rows of the table."""
    rounds = 200 if quick else 2000
    guard = Guard(tm.NOTICE)
    bare, guarded = small(APIRouter()), small(PurposeRouter(guard, purpose=tm.RenewalGuidance))
    install(guarded, guard)
    found = []
    loop = asyncio.new_event_loop()  # no Runner, which takes signals anew at each run
    with contextlib.closing(loop):

        def ask(app: Any, path: str) -> Callable[[], bytes]:
            return lambda: loop.run_until_complete(request(app, path))

        for name in ("coroutine", "function"):
            path = f"/{name}"
            assert ask(bare, path)() == ask(guarded, path)()
            floor, ours, ratio = time_pairs(ask(bare, path), ask(guarded, path), rounds)
            found.append(TimedRow(f"a small answer of a {name}", ours, "the same route bare", floor, middle=ratio))
        with tempfile.TemporaryDirectory(prefix="purposeguard-services-") as folder:
            url = f"sqlite:///{Path(folder)}/store.db"
            Governance(url, notice=tm.NOTICE).close()
            os.environ["LOAD_STORE"] = url
            found += list_of_customers(loop.run_until_complete, 30 if quick else 300)
            found += routes_of_a_shop(loop.run_until_complete, Path(folder), 50 if quick else 500)
    return found


def routes_of_a_shop(run: Callable[[Any], Any], folder: Path, rounds: int) -> list[TimedRow]:
    """Return the processor time of the routes of `benchmarks.services.shop`."""
    bare, guarded, governance = shop.make_shops(folder)
    rows = []
    with governance:
        for name, path in shop.ROUTES.items():

            def ask_bare(path: str = path) -> bytes:
                body: bytes = run(request(bare, path))
                return body

            def ask_guarded(path: str = path) -> bytes:
                body: bytes = run(request(guarded, path))
                return body

            assert ask_bare() == ask_guarded()
            floor, ours, ratio = time_pairs(ask_bare, ask_guarded, rounds, time.process_time_ns)
            rows.append(
                TimedRow(
                    f"a shop on SQLAlchemy, {name}, processor", ours, "the same shop bare", floor, 1.1, middle=ratio
                )
            )
    return rows


def list_of_customers(run: Callable[[Any], Any], rounds: int) -> list[TimedRow]:
    """Return the service of `benchmarks.load`, without a server."""
    from benchmarks import load_app

    context = load_app.lifespan(load_app.app)
    run(context.__aenter__())
    try:

        def ask(path: str) -> Callable[[], bytes]:
            return lambda: run(request(load_app.app, path))

        rows = []
        for kind, path, against in (
            ("narrowed, a function", "/guarded", "/bare"),
            ("narrowed, a coroutine", "/guarded/coroutine", "/bare/coroutine"),
            ("without marks, a coroutine", "/guarded/nobody", "/bare/coroutine"),
        ):
            assert json.loads(ask(path)()) == json.loads(ask(against)())
            floor, ours, ratio = time_pairs(ask(against), ask(path), rounds)
            rows.append(
                TimedRow(
                    f"a list of {load_app.COUNT:,} customers, {kind}",
                    ours,
                    "the same list bare",
                    floor,
                    1.1,
                    middle=ratio,
                )
            )
        return rows
    finally:
        run(context.__aexit__(None, None, None))
