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
"""The least number of customers that a published figure is made from."""

published = guard.reclassify(
    tm.ProductData,
    to=pg.NotPersonal,
    why="a count or a mean over the runs of many customers tells of none of them",
    approver="data protection officer",
    at_least=FEWEST,
    name="published figures",
)
"""A reclassification, after which a result is no telemetry any more. It is approved, and each run is in the ledger."""


@guard.purpose(tm.ProductImprovement)
def export_slow_events(product: str, at_least: float) -> Iterator[str]:
    """Yield slow events as lines of JSON, with one event in memory at a time.

    The purpose holds while this body runs. It does not hold between two lines, while the caller works.
    """
    for event in repository.events(product):
        use = guard.use(tm.ProductImprovement)  # Each step of the loop needs its own use.
        if use.open(event.seconds, subject=event) >= at_least:
            yield event.model_dump_json() + "\n"


@guard.purpose(tm.ProductImprovement)
def crashes(product: str) -> CrashSummary:
    return summary(product)


@guard.purpose(tm.ProductImprovement)
def compare_products(products: list[str]) -> list[CrashSummary]:
    """Summarize the crashes of several products in a thread pool.

    `guard.carry` carries the purpose to the threads of the pool, which would have none otherwise.
    """
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(guard.carry(summary), products))


def summary(product: str) -> CrashSummary:
    """Summarize the crashes of a product for the current purpose."""
    counts = repository.crash_counts(product)
    return CrashSummary(
        product=product,
        events=sum(customer_counts.events for customer_counts in counts),
        crashes=sum(customer_counts.crashes for customer_counts in counts),
    )


@guard.purpose(tm.ProductImprovement)
def figures(product: str) -> Figures:
    """Return figures that any purpose may open, or raise `TooFewSubjects`."""
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
    """Return the percentage of runs that crashed.

    Callers pass a sealed list; this function gets a plain one.

    `at_least` does not apply to functions, so this one checks the number of customers itself.
    """
    if len({run.customer for run in runs}) < FEWEST:
        raise TooFewSubjects("a percentage of crashes", FEWEST)
    return round(100 * sum(run.kind == "crash" for run in runs) / len(runs))


@guard.purpose(tm.ProductProvision, channel="in_product")
def devices_in_use(customer_id: int) -> list[str]:
    """Return the devices that the product shows to the customer on the page about the licence."""
    return repository.customer(customer_id).devices
