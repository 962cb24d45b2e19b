"""Reports of the products: used to improve them (1.2(2)②), to run them (1.2(1)①), and to make figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import purposeguard as pg
from examples.shop import repository
from examples.shop.models import CrashSummary, Figures, Run
from examples.shop.privacy import guard
from purposeguard.errors import TooFewSubjects
from purposeguard.notices import trendmicro_jp as tm

FEWEST = 5
"""So many customers at least are behind a figure that leaves."""

published = guard.reclassify(
    tm.ProductData,
    to=pg.NotPersonal,
    why="a count or a mean over the runs of many customers tells of none of them",
    approver="data protection officer",
    at_least=FEWEST,
    name="published figures",
)
"""A way by which something made of telemetry stops being telemetry: listed, told to the ledger, approved."""


@guard.purpose(tm.ProductImprovement)
def export_slow_events(product: str, at_least: float) -> Iterator[str]:
    """Yield each slow event as a line of JSON, with one event in memory at a time.

    The purpose holds while this body runs. Between two lines, while the consumer runs, it does not.
    """
    for event in repository.events(product):
        use = guard.use(tm.ProductImprovement)  # in the loop: each step has a use of its own
        if use.open(event.seconds, subject=event) >= at_least:
            yield event.model_dump_json() + "\n"


@guard.purpose(tm.ProductImprovement)
def crashes(product: str) -> CrashSummary:
    return summary(product)


@guard.purpose(tm.ProductImprovement)
def compare_products(products: list[str]) -> list[CrashSummary]:
    """Summarize products in parallel. The threads of the pool have the purpose only because it is carried to them."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(guard.carry(summary), products))


def summary(product: str) -> CrashSummary:
    """Summarize the crashes of a product, for the current purpose."""
    events = crashes = 0
    for count in repository.crash_counts(product):
        events += count.events
        crashes += count.crashes
    return CrashSummary(product=product, events=events, crashes=crashes)


@guard.purpose(tm.ProductImprovement)
def figures(product: str) -> Figures:
    """Figures that any purpose may open, or `TooFewSubjects`."""
    runs = repository.runs(product)
    mean = published.mean(runs, of=_seconds, subject=_customer)
    return Figures(
        product=product,
        runs=published.count(runs, subject=_customer),
        mean_seconds=mean.map(lambda seconds: round(seconds, 1)),
        crash_percent=crash_percent(runs),
    )


def _seconds(run: Run) -> float:
    return run.seconds


def _customer(run: Run) -> int:
    return run.customer


@guard.reclassify(
    tm.ProductData,
    to=pg.NotPersonal,
    why="a whole percentage of the runs of many customers tells of none of them; of few there is none",
    approver="data protection officer",
)
def crash_percent(runs: Sequence[Run]) -> int:
    """Return the percentage of runs that crashed. Callers pass a sealed list, and this function gets a plain one.

    `at_least` does not apply to functions, so this function checks the number of customers itself.
    """
    if len({run.customer for run in runs}) < FEWEST:
        raise TooFewSubjects("a percentage of crashes", FEWEST)
    return round(100 * sum(run.kind == "crash" for run in runs) / len(runs))


@guard.purpose(tm.ProductProvision, channel="in_product")
def devices_in_use(customer_id: int) -> list[str]:
    """Return the devices that the product shows to the customer on the page about the license."""
    return repository.customer(customer_id).devices
