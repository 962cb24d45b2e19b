"""Routes of an event loop beside a server of the store that falls silent: the loop answers everybody else."""

from __future__ import annotations

import asyncio
import datetime
import time as real
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.governance import BlockingStoreCall, Governance
from purposeguard.governance.store import Store
from purposeguard.integrations.asgi import PurposeRoutes
from purposeguard.integrations.fastapi import PurposeRouter, SubjectFrom, install
from purposeguard.integrations.httpx2 import AsyncGuardedTransport
from purposeguard.integrations.outgoing import Outgoing
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient, Safeguard
from tests.governance.conftest import Databases
from tests.governance.test_preferences import until
from tests.governance.test_waits import HUNG, ROUNDS, TIMEOUT, stalls

NAME = pg.Personal("Aiko", tm.Registration)
SINCE = datetime.date(2024, 4, 1)


@pytest.fixture
def governance(postgresql: Databases) -> Iterator[Governance]:
    name = postgresql.create(postgresql.template)
    with ExitStack() as stack:
        stack.callback(postgresql.drop, name)
        store = stack.enter_context(Store.open(postgresql.url(name), timeout=TIMEOUT))
        yield stack.enter_context(Governance(store, notice=tm.NOTICE))


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

    app.include_router(router)
    return app


def starlette_app(guard: pg.Guard) -> Any:
    async def known(request: Request) -> JSONResponse:
        try:
            name = guard.use(tm.RenewalGuidance).open(NAME, subject=int(request.path_params["id"]))
        except StoreUnavailable:
            return JSONResponse({}, 503)
        return JSONResponse({"name": name})

    app = Starlette(routes=[Route("/known/{id}", known)])
    return PurposeRoutes(app, {"GET /known/{id}": guard.purpose(tm.RenewalGuidance)})


@pytest.mark.parametrize(
    ("made", "paths"),
    [(fastapi_app, ["/named/7", "/known/7", "/named/8"]), (starlette_app, ["/known/7"])],
    ids=["fastapi", "starlette"],
)
def test_no_route_holds_up_the_others_while_the_server_is_silent(
    guard: pg.Guard, governance: Governance, postgresql: Databases, made: Callable[[pg.Guard], Any], paths: list[str]
) -> None:
    app = made(guard)
    longest: list[float] = []

    async def story() -> None:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://shop") as client:
            await governance.ready([7])
            for path in paths:
                assert (await client.get(path)).json() == {"name": "Aiko"}
            with postgresql.frozen():
                await asyncio.sleep(1.1)
                most: list[float] = []
                async with stalls(most):
                    answers = await asyncio.gather(*(client.get(path) for path in paths * 4))
                    began = real.monotonic()
                    answers += [await client.get(path) for path in paths]
                    assert real.monotonic() - began < HUNG  # what is known to be silent is refused at once
                assert {answer.status_code for answer in answers} == {503}
                longest.append(max(most))

    for _ in range(ROUNDS):
        asyncio.run(story())
        until(lambda: knows(governance))
        if longest[-1] < HUNG:
            break
    assert min(longest) < HUNG


def knows(governance: Governance) -> bool:
    try:
        governance.preferences("7")
    except StoreUnavailable:
        return False
    return True


def test_a_restriction_stops_a_named_route(guard: pg.Guard, governance: Governance) -> None:
    app = fastapi_app(guard)

    async def story() -> None:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://shop") as client:
            assert (await client.get("/named/7")).status_code == 200
            await asyncio.to_thread(governance.restrict, 7, tm.RenewalGuidance)
            assert (await client.get("/named/7")).status_code == 403
            with pytest.warns(BlockingStoreCall):  # nobody was told of whom it would ask
                assert (await client.get("/known/9")).status_code == 200

    asyncio.run(story())


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

    async def story() -> float:
        most: list[float] = []
        async with httpx2.AsyncClient(transport=transport) as client:
            await governance.ready([7])
            with guard.purpose(tm.RenewalGuidance), outgoing.handover(NAME, subject=7):
                assert (await client.post("http://mail.example", json={"to": "Aiko"})).status_code == 204
                assert len(governance.provisions.of(7)) == len(sent)
                with postgresql.frozen():
                    async with stalls(most):
                        with pytest.raises(StoreUnavailable):
                            await client.post("http://mail.example", json={"to": "Aiko"})
        return max(most)

    longest = []
    for _ in range(ROUNDS):
        longest.append(asyncio.run(story()))
        until(lambda: knows(governance))
        if longest[-1] < HUNG:
            break
    assert len(sent) == len(longest)
    assert min(longest) < HUNG
