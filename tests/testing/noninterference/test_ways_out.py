"""Ways by which a value gets out that are easily overlooked: each is found; and what only looks like one is not."""

from __future__ import annotations

import asyncio
import io
import logging
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import Response
from hypothesis import settings
from pydantic import BaseModel, PrivateAttr

from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing.interference import noninterference
from tests.testing.noninterference.proving import Code, Customer, at_once, guard, leak_of, returning

logger = logging.getLogger("shop.out")
pool = ThreadPoolExecutor(1)
client = httpx2.Client(transport=httpx2.MockTransport(lambda request: httpx2.Response(204)))
shortly = settings(at_once, max_examples=8)


class Bearing(LookupError):
    def __init__(self, device: str) -> None:
        super().__init__("no")
        self.device = device


class Kept(BaseModel):
    _device: str = PrivateAttr("")


class Word(str):
    __slots__ = ("__dict__",)


def an_attribute_of_an_error(customer: Customer) -> None:
    raise Bearing(customer.device)


def a_note(customer: Customer) -> None:
    error = LookupError("no")
    error.add_note(customer.device)
    raise error


def an_error_that_was_left_out(customer: Customer) -> None:
    try:
        raise LookupError(customer.device)
    except LookupError:
        raise LookupError("no") from None


def what_a_generator_returns(customer: Customer) -> Generator[int, None, str]:
    yield 1
    return customer.device


def a_stream_that_has_not_begun(customer: Customer) -> AsyncIterator[str]:
    async def stream() -> AsyncIterator[str]:
        yield customer.device

    return stream()


def a_closure(customer: Customer) -> Any:
    device = customer.device
    return lambda: device


def what_a_text_bears(customer: Customer) -> Any:
    word = Word("same")
    word.device = customer.device  # type: ignore[attr-defined]
    return word


def what_is_private_to_a_model(customer: Customer) -> Any:
    kept = Kept()
    kept._device = customer.device
    return kept


def an_order_of_headers(customer: Customer) -> None:
    headers = [("x-a", "1"), ("x-b", "2")]
    client.get("https://example.com/", headers=headers if customer.device == "" else headers[::-1])


def one_cookie_of_two(customer: Customer) -> Any:
    response = Response("same")
    response.set_cookie("seen", customer.device.encode().hex())
    response.set_cookie("last", "same")
    return response


def an_argument(customer: Customer) -> None:
    customer.name += customer.device


def a_thread_that_goes_on(customer: Customer) -> None:
    threading.Timer(0.01, logger.info, (customer.device,)).start()


def a_pool_that_goes_on(customer: Customer) -> None:
    def later() -> None:
        time.sleep(0.01)
        logger.info(customer.device)

    pool.submit(later)


async def a_task_that_goes_on(customer: Customer) -> None:
    async def later() -> None:
        await asyncio.sleep(0.01)
        logger.info(customer.device)

    asyncio.current_task().later = asyncio.create_task(later())  # type: ignore[union-attr]


WAYS = [
    *(an_attribute_of_an_error, a_note, an_error_that_was_left_out, what_a_generator_returns),
    *(a_stream_that_has_not_begun, a_closure, what_a_text_bears, what_is_private_to_a_model, an_order_of_headers),
    *(one_cookie_of_two, an_argument, a_thread_that_goes_on, a_pool_that_goes_on, a_task_that_goes_on),
]
RESULTS: dict[str, Code] = {
    "an iterator": lambda one: [map(str, [one.device])],
    "a bound method": lambda one: one.device.upper,
    "a file in memory": lambda one: (io.BytesIO(one.device.encode()), io.StringIO("same")),
    "a view of memory": lambda one: memoryview(one.device.encode()),
    "an order of keys": lambda one: {"a": 1, "b": 2} if one.device == "" else {"b": 2, "a": 1},
    "the end of a long list": lambda one: ["same"] * 6000 + [one.device],
}


@pytest.mark.parametrize(
    "way", [*WAYS, *map(returning, RESULTS.values())], ids=[*(way.__name__ for way in WAYS), *RESULTS]
)
def test_each_way_is_found(way):
    error = leak_of(noninterference(guard, tm.RenewalGuidance, raises=LookupError)(way), "customer.device", by=shortly)
    assert str(error).startswith("renewal-guidance")


class Thing:
    pass


def names_of_threads(customer: Customer) -> None:
    thread = threading.Thread(target=lambda: logger.info("in %s", threading.current_thread().name))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(1) as mine:
        mine.submit(lambda: logger.info("in %s", threading.current_thread().name)).result()


async def names_of_tasks(customer: Customer) -> None:
    logger.info("%r", asyncio.current_task())


def temporary_names_with_a_beginning(customer: Customer) -> None:
    with tempfile.NamedTemporaryFile("w", prefix="report_") as file:
        logger.info("writing %s", Path(file.name).name)


def what_may_not_be_used_is_changed(customer: Customer) -> None:
    customer.device = customer.device.strip()
    customer.age += 1


def threads_that_never_end(customer: Customer) -> None:
    threading.Thread(target=threading.Event().wait, args=(3,), daemon=True).start()


CLEAN = [
    *(names_of_threads, names_of_tasks, temporary_names_with_a_beginning, what_may_not_be_used_is_changed),
    *(threads_that_never_end, returning(lambda _: {Thing(): 1, object(): 2})),
    returning(lambda _: f"report_{time.strftime('%Y%m%d-%H%M%S')}.csv and {time.time_ns() // 10_000_000}"),
]
IDS = [*(code.__name__ for code in CLEAN[:5]), "keys that are objects", "names by the time"]


@pytest.mark.parametrize("code", CLEAN, ids=IDS)
def test_what_differs_by_itself_is_no_way_out(code):
    shortly(noninterference(guard, tm.RenewalGuidance)(code))()
