"""Telemetry: uses and denials with the observer for OpenTelemetry, and masking of log records and Sentry's events."""

from __future__ import annotations

import contextlib
import functools
import logging
from typing import Annotated, Any

import sentry_sdk
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from pydantic import BaseModel
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from benchmarks.data.measured import TimedRow, time_pairs
from purposeguard import Guard, Label, Personal, PurposeViolation, Use
from purposeguard.integrations.logging import Masking
from purposeguard.integrations.opentelemetry import Telemetry
from purposeguard.integrations.sentry import options
from purposeguard.notices import trendmicro_jp as tm

PACKAGES = ("opentelemetry-sdk", "sentry-sdk")


class TaggedCustomer(BaseModel):
    name: Annotated[str, tm.Registration]
    email: Annotated[str, tm.Registration]
    plan: str


CUSTOMER = TaggedCustomer(name="Aiko Mori", email="aiko@example.org", plan="standard")


class Nowhere(Transport):
    """Drops what would be sent."""

    def capture_envelope(self, envelope: Envelope) -> None: ...


class Written(logging.Handler):
    """Formats records, and writes them nowhere."""

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)


def _uses(times: int) -> list[TimedRow]:
    value = Personal("Aiko", tm.Registration)
    denied, label = Personal("2026-05-02", tm.ProductData), Label(tm.Registration)
    meter = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False).get_meter("benchmark")
    bare, told = Guard(tm.NOTICE), Guard(tm.NOTICE, observers=[Telemetry(meter)])

    def opens(use: Use[Any]) -> None:
        for _ in range(1000):
            use.open(value)

    def allows(use: Use[Any]) -> None:
        for _ in range(1000):
            use.allows(label)

    def refuses(use: Use[Any]) -> None:
        for _ in range(20):
            with contextlib.suppress(PurposeViolation):
                use.open(denied)

    rows = []
    with bare.purpose(tm.RenewalGuidance) as before, told.purpose(tm.RenewalGuidance) as use:
        for what, call, many, limit in (
            ("`use.open`", opens, 1000, 2.5),
            ("`use.allows`", allows, 1000, 1.5),
            ("a denial", refuses, 20, 5.0),
        ):
            floor, ours, ratio = time_pairs(functools.partial(call, before), functools.partial(call, use), times)
            rows.append(TimedRow(f"{what} with `Telemetry`", ours / many, "without", floor / many, limit, middle=ratio))
    return rows


def _records(times: int) -> list[TimedRow]:
    plain, masked = (logging.Logger("benchmark") for _ in range(2))  # noqa: LOG001  # Loggers outside the hierarchy.
    for logger, filters in ((plain, []), (masked, [Masking()])):
        handler = Written()
        for each in filters:
            handler.addFilter(each)
        logger.addHandler(handler)

    def texts(logger: logging.Logger) -> None:
        for _ in range(100):
            logger.info("%s took %.2f s, status=%d", "GET /customers/{id}", 0.25, 200)

    def objects(logger: logging.Logger) -> None:
        for _ in range(100):
            logger.info("reminded %s", CUSTOMER, extra={"dump": CUSTOMER.model_dump()})

    rows = []
    for what, call in (("texts", texts), ("a model and its dump", objects)):
        floor, ours, ratio = time_pairs(functools.partial(call, plain), functools.partial(call, masked), times)
        rows.append(TimedRow(f"a log record of {what}, masked", ours / 100, "as it is", floor / 100, middle=ratio))
    return rows


def _events(times: int) -> list[TimedRow]:
    own: dict[str, Any] = {"dsn": "https://key@127.0.0.1/1", "transport": Nowhere, "auto_enabling_integrations": False}
    plain, masked = sentry_sdk.Client(**own), sentry_sdk.Client(**options(**own))

    def fails(customer: TaggedCustomer, depth: int) -> None:
        if depth:
            fails(customer, depth - 1)
        raise ValueError(f"no mailbox for {customer.name}")

    def capture(client: Any) -> None:
        with sentry_sdk.isolation_scope() as scope:
            scope.set_client(client)
            try:
                fails(CUSTOMER, 10)
            except ValueError as error:
                sentry_sdk.capture_exception(error)

    floor, ours, ratio = time_pairs(lambda: capture(plain), lambda: capture(masked), times)
    return [TimedRow("an exception of 11 frames to Sentry, masked", ours, "as it is", floor, middle=ratio)]


def rows(quick: bool = False) -> list[TimedRow]:
    """Return the rows of the table."""
    times = 20 if quick else 100
    return [*_uses(times), *_records(times), *_events(times)]
