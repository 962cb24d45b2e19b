"""What the products report, used to improve them (1.2(2)②) and to run them (1.2(2)①)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from examples.shop import repository
from examples.shop.models import CrashSummary, Event
from examples.shop.privacy import guard
from purposeguard.notices import trendmicro_jp as tm


@guard.purpose(tm.ProductImprovement)
def export_slow_events(product: str, at_least: float) -> Iterator[str]:
    """A pipeline of generators: one event in memory at a time, each a line of JSON.

    The purpose holds while this body runs. Between two lines, while whoever consumes them works, it does not.
    """
    for event in _slow(repository.events(product), at_least):
        yield event.model_dump_json() + "\n"


def _slow(events: Iterable[Event], at_least: float) -> Iterator[Event]:
    return (event for event in events if event.seconds >= at_least)


@guard.purpose(tm.ProductImprovement)
def crashes(product: str) -> CrashSummary:
    return repository.crash_summary(product)


@guard.purpose(tm.ProductImprovement)
def compare_products(products: list[str]) -> list[CrashSummary]:
    """The threads of the pool are not this function: the purpose is carried to them."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(guard.carry(repository.crash_summary), products))


@guard.purpose(tm.ProductProvision, channel="in_product")
def devices_in_use(customer_id: int) -> list[str]:
    """What the product shows to the customer on the page about the licence."""
    return repository.customer(customer_id).devices
