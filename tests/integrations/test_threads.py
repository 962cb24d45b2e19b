"""The purpose of a request in threads that its framework hops to."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading

import pytest

import purposeguard as pg
from purposeguard.integrations.threads import hopping, hops
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


def plain() -> str:
    return guard.use("1.2(2)①").activity.purpose_id


purpose = hops(plain)


def test_a_thread_that_copies_the_context_has_the_purpose():
    async def request() -> str:
        with guard.purpose("1.2(2)①"), hopping(guard):
            assert purpose() == "1.2(2)①"
            return await asyncio.to_thread(purpose)

    assert asyncio.run(request()) == "1.2(2)①"


@pytest.mark.parametrize(
    ("wrapped", "request_hops"), [(True, False), (False, True)], ids=["without hopping", "not wrapped"]
)
def test_otherwise_nothing_crosses(wrapped, request_hops):
    async def request() -> str:
        with guard.purpose("1.2(2)①"), hopping(guard) if request_hops else contextlib.nullcontext():
            return await asyncio.to_thread(purpose if wrapped else plain)

    with pytest.raises(pg.PurposeMissing):
        asyncio.run(request())


def test_the_purpose_ends_with_its_request():
    with guard.purpose("1.2(2)①"), hopping(guard):
        context = contextvars.copy_context()
    errors: list[BaseException] = []

    def later() -> None:
        try:
            context.run(purpose)
        except pg.PurposeMissing as error:
            errors.append(error)

    thread = threading.Thread(target=later)
    thread.start()
    thread.join()
    assert len(errors) == 1


def test_hopping_needs_a_purpose():
    with pytest.raises(pg.PurposeMissing), hopping(guard):
        pass
