"""Routes of an event loop beside a server of the store that falls silent: the loop answers everybody else."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import time as real
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.governance import BlockingStoreCall, Governance
from purposeguard.governance.deadlines import limit_waiting
from purposeguard.integrations.asgi import PurposeRoutes
from purposeguard.integrations.fastapi import PurposeRouter, SubjectFrom, install
from purposeguard.integrations.httpx2 import AsyncGuardedTransport
from purposeguard.integrations.outgoing import Outgoing
from purposeguard.integrations.passport import Passports
from purposeguard.integrations.passport_http import PassportMiddleware
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient, Safeguard
from tests.governance.conftest import Databases
from tests.governance.support import PATIENCE, count_denials, hold_ledger, in_event_loop
from tests.governance.test_waits import HUNG, TIMEOUT, governance, must_not_stall, stalls

__all__ = ["governance"]

NAME = pg.Personal("Aiko", tm.Registration)
CRASHES: Any = pg.Personal(3, tm.ProductData)  # not for guidance about renewals
DENIED = ("/denied", "/caught", "/purposeless")
SINCE = datetime.date(2024, 4, 1)


@pytest.fixture
def guard(governance: Governance) -> pg.Guard:
    return pg.Guard(tm.NOTICE, governance=governance)


def fastapi_app(guard: pg.Guard) -> Any:
    app = FastAPI()
    install(app, guard)
    router = PurposeRouter(guard, purpose=tm.RenewalGuidance)

    @router.get("/named/{key}", subject=SubjectFrom.path("key"))
    async def named(key: int) -> dict[str, str]:
        return {"name": guard.use(tm.RenewalGuidance).open(NAME, subject=key)}

    @router.get("/known/{key}")
    async def known(key: int) -> dict[str, str]:
        return {"name": guard.use(tm.RenewalGuidance).open(NAME, subject=key)}

    @router.get("/denied")
    async def denied() -> Any:
        return guard.use(tm.RenewalGuidance).open(CRASHES)

    @router.get("/caught")
    async def caught() -> str:
        with contextlib.suppress(pg.PurposeViolation):
            guard.use(tm.RenewalGuidance).open(CRASHES)
        return "nothing"

    @router.get("/streamed")
    async def streamed() -> StreamingResponse:
        return StreamingResponse(parts())

    async def parts() -> AsyncIterator[str]:
        yield "one"
        with contextlib.suppress(pg.PurposeViolation):
            guard.use(tm.RenewalGuidance).open(CRASHES)
        yield "two"

    app.include_router(router)

    @app.get("/purposeless")
    async def purposeless() -> int:
        with contextlib.suppress(pg.PurposeMissing):
            guard.use(tm.RenewalGuidance).open(CRASHES)
        return 0

    return app


def starlette_app(guard: pg.Guard) -> Any:
    async def known(request: Request) -> JSONResponse:
        try:
            name = guard.use(tm.RenewalGuidance).open(NAME, subject=int(request.path_params["id"]))
        except StoreUnavailable:
            return JSONResponse({}, 503)
        return JSONResponse({"name": name})

    async def denied(_: Request) -> JSONResponse:
        with contextlib.suppress(pg.PurposeViolation):
            guard.use(tm.RenewalGuidance).open(CRASHES)
        return JSONResponse({"crashes": None})

    async def unavailable(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({}, 503)

    app = Starlette(
        routes=[Route("/known/{id}", known), Route("/denied", denied)],
        exception_handlers={StoreUnavailable: unavailable},
    )
    purpose = guard.purpose(tm.RenewalGuidance)
    return PurposeRoutes(app, {"GET /known/{id}": purpose, "GET /denied": purpose})


@pytest.mark.parametrize(
    ("made", "paths"),
    [
        (fastapi_app, ["/named/7", "/known/7", "/named/8", "/denied", "/caught", "/purposeless"]),
        (starlette_app, ["/known/7", "/denied"]),
    ],
    ids=["fastapi", "starlette"],
)
def test_no_route_holds_up_the_others_while_the_server_is_silent(
    guard: pg.Guard, governance: Governance, postgresql: Databases, made: Callable[[pg.Guard], Any], paths: list[str]
) -> None:
    app = made(guard)

    async def story(most: list[float]) -> None:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://shop") as client:
            await governance.ready([7])
            for path in paths:
                answer = await client.get(path)
                assert path in DENIED or answer.json() == {"name": "Aiko"}
            with postgresql.frozen():
                await asyncio.sleep(1.1)
                async with stalls(most):
                    answers = await asyncio.gather(*(client.get(path) for path in paths * 2))
                    began = real.monotonic()
                    answers += [await client.get(path) for path in paths if path not in DENIED]
                    assert real.monotonic() - began < HUNG  # what is known to be silent is refused at once
                assert {answer.status_code for answer in answers} == {503}

    must_not_stall(governance, story)


@pytest.mark.parametrize("path", ["/denied", "/caught", "/purposeless"])
@in_event_loop
async def test_no_answer_is_given_before_the_denial_is_on_record(
    guard: pg.Guard, governance: Governance, path: str
) -> None:
    app = fastapi_app(guard)
    governance.store.timeout = PATIENCE
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://shop") as client:
        with hold_ledger(governance):
            asked = asyncio.create_task(client.get(path))
            await asyncio.sleep(0.3)
            assert not asked.done()
            assert count_denials(governance) == 0
        assert (await asked).status_code == (403 if path == "/denied" else 200)
        assert count_denials(governance) == 1
        answers = await asyncio.gather(*(client.get(path) for _ in range(20)))
        assert len({answer.text for answer in answers}) == 1
        assert count_denials(governance) >= 2  # the same within a minute is counted
        governance.store.timeout = 0.5
        with hold_ledger(governance):
            assert (await client.get(path)).status_code == 503


@in_event_loop
async def test_no_answer_of_a_service_behind_passports_either(guard: pg.Guard, governance: Governance) -> None:
    async def caught(_scope: Any, _receive: Any, send: Any) -> None:
        with contextlib.suppress(pg.PurposeMissing):
            guard.use(tm.RenewalGuidance).open(CRASHES)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"nothing"})

    passports = Passports(guard, keys={"a": b"k" * 32})
    app: Any = PassportMiddleware(caught, passports, permits=[tm.RenewalGuidance], required=False)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://shop") as client:
        assert (await client.get("/")).status_code == 200
        assert count_denials(governance) == 1
        with hold_ledger(governance):
            assert (await client.get("/")).status_code == 503


@in_event_loop
async def test_what_an_application_begins_when_it_starts_records_at_once(
    guard: pg.Guard, governance: Governance
) -> None:
    refused = asyncio.Event()

    async def beside() -> None:
        with pytest.warns(BlockingStoreCall), contextlib.suppress(pg.PurposeMissing):
            guard.use(tm.RenewalGuidance).open(CRASHES)
        assert count_denials(governance) == 1
        refused.set()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        task = asyncio.create_task(beside())
        yield
        await task

    app = FastAPI(lifespan=lifespan)
    install(app, guard)
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(0.1)
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert refused.is_set()


@in_event_loop
async def test_a_part_of_a_stream_is_sent_once_the_denial_before_is_on_record(
    guard: pg.Guard, governance: Governance
) -> None:
    app = fastapi_app(guard)
    sent: list[bytes] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])

    common = {"http_version": "1.1", "scheme": "http", "root_path": "", "query_string": b"", "headers": []}
    scope = {"type": "http", "method": "GET", "path": "/streamed", "raw_path": b"/streamed", **common}
    await governance.ready()
    governance.store.timeout = 0.5
    with hold_ledger(governance):
        with pytest.raises(Exception, match=r"ledger|response already started"):
            await app(scope, receive, send)
        assert sent == [b"one"]
        assert count_denials(governance) == 0
    governance.store.timeout = PATIENCE
    sent.clear()
    await app(scope, receive, send)
    assert sent == [b"one", b"two", b""]
    assert count_denials(governance) >= 1


@in_event_loop
async def test_a_restriction_stops_a_named_route(guard: pg.Guard, governance: Governance) -> None:
    app = fastapi_app(guard)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://shop") as client:
        assert (await client.get("/named/7")).status_code == 200
        await asyncio.to_thread(governance.restrict, 7, tm.RenewalGuidance)
        assert (await client.get("/named/7")).status_code == 403
        with pytest.warns(BlockingStoreCall):  # nobody was told of whom it would ask
            assert (await client.get("/known/9")).status_code == 200


def test_a_request_is_recorded_off_the_loop(guard: pg.Guard, governance: Governance, postgresql: Databases) -> None:
    contract = Safeguard("contract", "2026-117", since=SINCE)
    governance.provisions.recipients.register(
        Recipient("mail-house", "domestic-contractor", "JP", safeguards=[contract], supervised_on=SINCE)
    )
    outgoing = Outgoing(guard, {"http://mail.example": "mail-house"}, means="other")
    sent: list[Any] = []

    async def answer(request: Any) -> Any:
        sent.append(request)
        return httpx2.Response(204)

    transport = AsyncGuardedTransport(outgoing, httpx2.MockTransport(answer))

    async def story(most: list[float]) -> None:
        async with httpx2.AsyncClient(transport=transport) as client:
            await governance.ready([7])
            with guard.purpose(tm.RenewalGuidance), outgoing.handover(NAME, subject=7):
                assert (await client.post("http://mail.example", json={"to": "Aiko"})).status_code == 204
                assert len(governance.provisions.of(7)) == len(sent)
                with postgresql.frozen():
                    async with stalls(most):
                        with limit_waiting(TIMEOUT), pytest.raises(StoreUnavailable):
                            await client.post("http://mail.example", json={"to": "Aiko"})

    rounds = must_not_stall(governance, story)
    assert len(sent) == rounds


@in_event_loop
async def test_a_request_that_may_not_leave_is_refused_off_the_loop(guard: pg.Guard, governance: Governance) -> None:
    outgoing = Outgoing(guard, {"http://mail.example": "mail-house"}, means="other")
    transport = AsyncGuardedTransport(outgoing, httpx2.MockTransport(lambda _: httpx2.Response(204)))
    async with httpx2.AsyncClient(transport=transport) as client:
        with hold_ledger(governance):
            asked = asyncio.create_task(client.post("http://mail.example", json={}))
            await asyncio.sleep(0.3)
            assert not asked.done()
        with pytest.raises(pg.PurposeMissing):
            await asked
        assert count_denials(governance) == 1
        with hold_ledger(governance), pytest.raises(StoreUnavailable):
            await client.post("http://mail.example", json={})
