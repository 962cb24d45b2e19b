"""Async views of Django beside a server of the store that falls silent: the loop answers everybody else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, override_settings
from django.urls import path

import purposeguard as pg
from purposeguard.governance import Governance
from purposeguard.integrations.django import purpose
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.conftest import Databases
from tests.governance.support import count_denials, hold_ledger
from tests.governance.test_waits import impatient, must_not_stall, stalls

CRASHES: Any = pg.Personal(3, tm.ProductData)  # not for guidance about renewals


@pytest.fixture
def governance(postgresql: Databases) -> Iterator[Governance]:
    name = postgresql.create(postgresql.template)
    with ExitStack() as stack:
        stack.callback(postgresql.drop, name)
        store = stack.enter_context(impatient(postgresql.url(name)))
        yield stack.enter_context(Governance(store, notice=tm.NOTICE))


@pytest.fixture
def client(governance: Governance) -> Iterator[AsyncClient]:
    """A client of an application with three views."""
    guard = pg.Guard(tm.NOTICE, governance=governance)
    with override_settings(PURPOSEGUARD_GUARD=guard):

        @purpose(tm.RenewalGuidance)
        async def denied(_: HttpRequest) -> HttpResponse:
            return HttpResponse(guard.use(tm.RenewalGuidance).open(CRASHES))

        @purpose(tm.RenewalGuidance)
        async def caught(_: HttpRequest) -> HttpResponse:
            with contextlib.suppress(pg.PurposeViolation):
                guard.use(tm.RenewalGuidance).open(CRASHES)
            return HttpResponse("nothing")

        @purpose(tm.RenewalGuidance)
        async def streamed(_: HttpRequest) -> StreamingHttpResponse:
            async def parts() -> AsyncIterator[str]:
                yield "one"
                with contextlib.suppress(pg.PurposeViolation):
                    guard.use(tm.RenewalGuidance).open(CRASHES)
                yield "two"

            return StreamingHttpResponse(parts())

    urls = ModuleType("urls")
    vars(urls)["urlpatterns"] = [path("denied", denied), path("caught", caught), path("streamed", streamed)]
    middleware = ["purposeguard.integrations.django.PurposeMiddleware"]
    with override_settings(PURPOSEGUARD_GUARD=guard, ROOT_URLCONF=urls, MIDDLEWARE=middleware):
        yield AsyncClient()


def test_no_view_holds_up_the_others_while_the_server_is_silent(
    client: AsyncClient, governance: Governance, postgresql: Databases
) -> None:
    async def story(most: list[float]) -> None:
        assert {(await client.get(f"/{path}")).status_code for path in ("denied", "caught")} == {200, 403}
        with postgresql.frozen():
            async with stalls(most):
                answers: Any = await asyncio.gather(client.get("/denied"), client.get("/caught"))
            assert [answer.status_code for answer in answers] == [503, 503]

    must_not_stall(governance, story)


def test_no_answer_is_given_before_the_denial_is_on_record(client: AsyncClient, governance: Governance) -> None:
    async def story() -> None:
        with hold_ledger(governance):
            asked = asyncio.create_task(client.get("/caught"))
            await asyncio.sleep(0.3)
            assert not asked.done()
            assert count_denials(governance) == 0
        assert (await asked).status_code == 200
        assert count_denials(governance) == 1

    asyncio.run(story())


def test_a_part_of_a_stream_is_sent_when_the_denial_before_it_is_on_record(
    client: AsyncClient, governance: Governance
) -> None:
    async def story() -> None:
        answer: Any = await client.get("/streamed")
        parts = aiter(answer.streaming_content)
        assert await anext(parts) == b"one"
        with hold_ledger(governance):
            asked = asyncio.ensure_future(anext(parts))
            await asyncio.sleep(0.3)
            assert not asked.done()
            assert count_denials(governance) == 0
        assert await asked == b"two"
        assert count_denials(governance) == 1

    asyncio.run(story())
