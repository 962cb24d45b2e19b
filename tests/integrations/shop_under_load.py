"""The example shop under load with marked people, and with a colleague's mistakes: what telemetry gets of them.

Run as a process of its own, since what is installed here holds for the whole process. Prints `none` if no marked value
came out; else where.
"""

from __future__ import annotations

import base64
import functools
import io
import json
import logging
import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any, NamedTuple

import sentry_sdk
import sqlalchemy as sa
import structlog
from httpx2 import Client, Limits
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport
from structlog.tracebacks import ExceptionDictTransformer

import purposeguard as pg
from purposeguard.integrations.logging import Masking
from purposeguard.integrations.opentelemetry import Telemetry
from purposeguard.integrations.opentelemetry_spans import MaskedExporter, PurposeSpans
from purposeguard.integrations.sentry import options
from purposeguard.integrations.structlog import Masking as MaskingEvents
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing import canaries
from purposeguard.testing.traces import Haystack
from purposeguard.testing.values import CanaryMark

CUSTOMERS, REQUESTS = 8, 200
PATIENCE = 600
"""Seconds for which one of them waits for the others; on a busy machine the shop's own five are not enough."""

reader = InMemoryMetricReader()
telemetry = Telemetry(MeterProvider([reader], shutdown_on_exit=False).get_meter("shop"))
pg.Guard = functools.partial(pg.Guard, observers=[telemetry])  # type: ignore[misc,assignment]  # the shop makes its own

from examples.shop import repository  # noqa: E402
from examples.shop.app import create_app  # noqa: E402
from examples.shop.database import CustomerRow, Session  # noqa: E402
from examples.shop.models import NewCustomer, NewEvent  # noqa: E402
from examples.shop.privacy import governance, guard  # noqa: E402
from examples.shop.server import serving  # noqa: E402
from examples.shop.settings import Settings  # noqa: E402

spans = InMemorySpanExporter()
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(PurposeSpans(guard))
provider.add_span_processor(SimpleSpanProcessor(MaskedExporter(spans)))
tracer = provider.get_tracer("shop")
log = logging.getLogger("shop.slips")
records, events = io.StringIO(), io.StringIO()
structured = structlog.wrap_logger(
    structlog.PrintLogger(events),
    processors=[MaskingEvents(exceptions=ExceptionDictTransformer()), structlog.processors.JSONRenderer()],
)


class Kept(Transport):
    """Keeps what would be sent."""

    sent: list[str] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.sent.append(envelope.serialize().decode())


def texts_in(envelope: str) -> Iterator[str]:
    """The keys and values in an envelope, which come many times over: so each is searched once."""
    for line in envelope.splitlines():
        pending = [json.loads(line)] if line.startswith(("{", "[")) else [line]
        while pending:
            part = pending.pop()
            if isinstance(part, dict):
                pending += [*part, *part.values()]
            elif isinstance(part, list):
                pending += part
            else:
                yield str(part)


# --- a colleague's mistakes ----------------------------------------------------------------------------------------


def slip_of_rows(key: int) -> None:
    with Session() as session:
        row = session.get_one(CustomerRow, key)
        log.info("%s of %s", row, vars(row), extra={"row": row, "columns": dict(vars(row))})
        structured.info("row", row=row, rows=[row], columns=dict(vars(row)))
        sentry_sdk.add_breadcrumb(message="row", data={"row": row, "columns": dict(vars(row))})
        sentry_sdk.set_extra("row", dict(vars(row)))
        with tracer.start_as_current_span("row") as span:
            span.set_attribute("columns", str({"name": row.name, "email": row.email}))
        name, email = row.name, row.email
        raise LookupError(f"nothing for {name} at {email}", row)


@guard.purpose(tm.ProductProvision)
def slip_of_opened(key: int) -> None:
    customer = repository.customer(key)
    use = guard.current
    opened = use.open(customer.name, subject=customer)
    letter = f"Dear {opened}, at {use.open(customer.email, subject=customer)}: {customer.devices}"
    log.warning("%s", customer, extra={"dump": customer.model_dump()})
    structured.warning("opened", customer=customer)
    with tracer.start_as_current_span("letter"):
        deliver(letter, opened)


def deliver(letter: str, to: str) -> None:
    try:
        raise OSError(f"mailbox of {to} is full")
    except OSError as error:
        raise RuntimeError(letter) from error


def slip_of_new(new: NewCustomer) -> None:
    log.info(f"got {new} and {new.model_dump()}")  # noqa: G004
    log.info("got %s", new.model_dump_json(), extra=new.model_dump(exclude={"name"}))
    structured.info("got", **new.model_dump())
    sentry_sdk.capture_message(f"got {new!r}")
    sentry_sdk.logger.info("got {new}", new=new)
    try:
        NewCustomer.model_validate({**new.model_dump(), "email": new.name})
    except ValueError:
        log.exception("not valid: %s", new)
        structured.exception("not valid", new=new)
    people = [new]
    raise KeyError(people[0].email)


SLIPS = (slip_of_rows, slip_of_opened)


def install(app: Any) -> None:
    """Adds the mistakes to the application, and a span around each request."""

    @app.get("/slips/{number}/{key}")
    def slip(number: int, key: int) -> None:
        try:
            SLIPS[number](key)
        except Exception:
            log.exception("slipped")
            structured.exception("slipped")
            raise

    @app.post("/slips")
    def slip_of_body(new: NewCustomer) -> None:
        slip_of_new(new)

    @app.middleware("http")
    async def traced(request: Any, call_next: Any) -> Any:
        with tracer.start_as_current_span(f"{request.method} {request.url.path}"):
            return await call_next(request)


# --- the load ------------------------------------------------------------------------------------------------------


class Person(NamedTuple):
    """A customer whose fields are all marked, and what the customer's product reports."""

    key: int
    new: NewCustomer
    event: NewEvent


Asked = tuple[int, Callable[[Client, Person], Any]]

USUAL: tuple[Asked, ...] = (
    (202, lambda client, who: client.post("/telemetry", json=[who.event.model_dump(mode="json")])),
    (200, lambda client, who: client.get(f"/renewals/customers/{who.key}")),
    (403, lambda client, who: client.get("/mistakes/promote-from-summary", params={"product": "Shield"})),
    (
        422,
        lambda client, who: client.post("/customers", json={**who.new.model_dump(mode="json"), "email": who.new.name}),
    ),
    (201, lambda client, who: client.post("/customers", json=who.new.model_dump(mode="json"))),
)
ASKED = (
    *(USUAL * 3),
    (500, lambda client, who: client.get(f"/slips/0/{who.key}")),
    (500, lambda client, who: client.get(f"/slips/1/{who.key}")),
    (500, lambda client, who: client.post("/slips", json=who.new.model_dump(mode="json"))),
)
"""What is asked for, with the status of its answer."""


def answers(client: Client, people: Sequence[Person]) -> list[tuple[int, int]]:
    """Sends all requests at the same moment; gives the status of each answer, and the one that it should have."""
    start = Barrier(REQUESTS)

    def ask(number: int) -> tuple[int, int]:
        wanted, request = ASKED[number % len(ASKED)]
        start.wait()
        return request(client, people[number // len(ASKED) % len(people)]).status_code, wanted

    with ThreadPoolExecutor(REQUESTS) as pool:
        return list(pool.map(ask, range(REQUESTS)))


def found_in(output: str, marks: Collection[CanaryMark]) -> list[str]:
    """Where a value stands in an output: plain in any form, or encoded in a word, each of which is decoded once."""
    texts = {text for mark in marks for text in mark.texts}
    plain = [output[max(0, output.index(text) - 200) :][:400] for text in texts if text in output]
    values = {str(mark.value) for mark in marks}
    words = sorted(set(_WORD.findall(output)))
    encoded: list[str] = []
    for number in range(0, len(words), 50):
        text = "\n".join(words[number : number + 50])
        trace = Haystack(text).trace(values)
        encoded += [] if trace is None else [f"{trace.description}: {text[trace.start : trace.end]}"]
    return plain + encoded


_WORD = re.compile(r"[\w+/=%\\.~@-]{8,}")


def main(folder: Path) -> int:
    """Drives the shop, and searches what came out."""
    sent: dict[str, Any] = {"dsn": "https://key@127.0.0.1/1", "transport": Kept, "traces_sample_rate": 1.0}
    sent |= {"enable_logs": True, "data_collection": {}, "max_request_body_size": "always"}
    sentry_sdk.init(**options(**sent))
    handler = logging.StreamHandler(records)
    handler.addFilter(Masking())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    settings = Settings(
        database_url=f"sqlite:///{folder / 'shop.db'}",
        governance_url=f"sqlite:///{folder / 'privacy.db'}",
        reports_folder=folder / "reports",
        mistakes=True,
    )
    patience = f"PRAGMA busy_timeout={1000 * PATIENCE}"
    sa.event.listen(sa.Pool, "checkout", lambda database, *_: database.execute(patience))
    governance.open = functools.partial(governance.open, timeout=PATIENCE)  # type: ignore[method-assign]  # the shop's
    made = create_app

    def instrumented(settings: Settings) -> Any:
        app = made(settings)
        install(app)
        return app

    sys.modules["examples.shop.server"].create_app = instrumented  # type: ignore[attr-defined]
    # This purpose may use nothing of customers and their devices.
    with canaries(guard, tm.UsageAnalysis, effects=()) as marked:
        news = [marked.instance(NewCustomer) for _ in range(CUSTOMERS)]
        reports = [marked.instance(NewEvent, customer_id=1) for _ in range(CUSTOMERS)]
    with (
        serving(settings) as address,
        Client(base_url=address, trust_env=False, timeout=880, limits=Limits(max_connections=None)) as client,
    ):
        people: list[Person] = []
        for new, event in zip(news, reports, strict=True):
            key = client.post("/customers", json=new.model_dump(mode="json")).json()["id"]
            people.append(Person(key, new, event.model_copy(update={"customer_id": key})))
        statuses = answers(client, people)
    sentry_sdk.flush()
    outputs = {
        "sentry": "\n".join(dict.fromkeys(text for line in Kept.sent for text in texts_in(line))),
        "records": records.getvalue(),
        "events": events.getvalue(),
        "spans": "\n".join(span.to_json() for span in spans.get_finished_spans()),
        "metrics": str(reader.get_metrics_data()),
    }
    for expected in ("slipped", "got", "not valid", "mailbox of", "LookupError"):
        assert any(expected in text for text in outputs.values()), expected
    assert all(outputs.values())
    # On a busy machine a store may not answer in time, which is a 503.
    assert all(status in (wanted, 503) for status, wanted in statuses), statuses
    assert {wanted for status, wanted in statuses if status == wanted} == {wanted for wanted, _ in ASKED}
    sought = [mark for mark in marked.forbidden if mark.recognisable]
    assert len(sought) > 3 * CUSTOMERS
    for encoded in (news[0].name.encode().hex(), base64.b64encode(f"to {news[0].email}".encode()).decode()):
        assert found_in(f"so that what is sought is found: {encoded}", sought)
    found = {name: places for name, output in outputs.items() if (places := found_in(output, sought))}
    assert not found, found
    sys.stdout.write("none")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
