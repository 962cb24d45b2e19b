"""Events of structlog through the processor: what renderers write holds nothing personal."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from structlog.tracebacks import ExceptionDictTransformer

import purposeguard as pg
from purposeguard.integrations.logging import Masking as MaskingRecords
from purposeguard.integrations.structlog import Masking
from purposeguard.notices import trendmicro_jp as tm
from tests.integrations.people import EMAIL, NAME, Broken, Envelope, contact, customer, household, must_hold_none, row

LOCALS = {
    "text": None,
    "dicts": ExceptionDictTransformer(),
    "dicts without rich": ExceptionDictTransformer(use_rich=False, locals_max_string=20),
}
RENDERERS: dict[str, Callable[[], Any]] = {
    "json": structlog.processors.JSONRenderer,
    "console": lambda: structlog.dev.ConsoleRenderer(colors=False),
    "logfmt": structlog.processors.LogfmtRenderer,
}


def failing(log: Any) -> None:
    known, copied = customer(), NAME
    dump = known.model_dump()
    try:
        raise ValueError("no", known)
    except ValueError:
        log.exception("failed", who=known, count=len((copied, dump)))


def failing_deeper(log: Any) -> None:
    def send(address: str, person: Any) -> None:
        raise KeyError(address)

    try:
        try:
            send(EMAIL, customer())
        except KeyError as error:
            raise ExceptionGroup("many", [error, ValueError(row())]) from error
    except ExceptionGroup as error:
        log.error("failed", exc_info=error)


MISTAKES: dict[str, Callable[[Any], None]] = {
    "an object": lambda log: log.info("sent", customer=customer()),
    "an object as the event": lambda log: log.info(customer()),
    "positional": lambda log: log.info("sent to %s", customer()),
    "a dump": lambda log: log.info("sent", customer=customer().model_dump()),
    "a dump as the entries": lambda log: log.info("sent", **customer().model_dump()),
    "bound": lambda log: log.bind(customer=customer(), rows=[row()]).info("sent"),
    "a text": lambda log: log.info(f"for {customer()}"),  # noqa: G004
    "nested": lambda log: log.info("sent", people={"all": [household()]}, seal=pg.Personal(NAME, tm.Registration)),
    "seals": lambda log: log.info("sent", contact=contact()),
    "a text beside the object": lambda log: log.info(f"to {NAME}", customer=customer(), to=EMAIL),  # noqa: G004
    "an unknown object": lambda log: log.info("sent", inside=Envelope(customer()), broken=Broken()),
    "an exception": failing,
    "a group": failing_deeper,
    "no exception": lambda log: log.info("sent", exc_info=True),  # noqa: LOG014
}


@pytest.mark.filterwarnings("ignore:Remove `format_exc_info`:UserWarning")  # structlog before 26 says it of both
@pytest.mark.parametrize(
    ("exceptions", "renderer"),
    # The others render exceptions that are texts alone.
    [("text", "json"), ("text", "console"), ("text", "logfmt"), ("dicts", "json"), ("dicts without rich", "json")],
)
@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_write_nothing_personal(name: str, exceptions: str, renderer: str) -> None:
    stream = io.StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            Masking(exceptions=LOCALS[exceptions]),
            structlog.stdlib.PositionalArgumentsFormatter(),
            *([structlog.processors.EventRenamer("msg")] if renderer == "json" else []),
            RENDERERS[renderer](),
        ],
        wrapper_class=structlog.stdlib.BoundLogger if name == "positional" else None,
    )
    MISTAKES[name](log)
    must_hold_none(stream.getvalue())
    assert stream.getvalue().strip()


def test_locals_of_tracebacks_are_shown_masked() -> None:
    event = captured(failing, exceptions=ExceptionDictTransformer())
    (stack,) = event["exception"]
    assert stack["exc_type"] == "ValueError"
    (frame,) = stack["frames"]
    assert frame["name"] == "failing"
    assert frame["locals"]["known"].startswith("Customer(customer_id=<subject>, full_name=<1.1(a)>")
    assert frame["locals"]["copied"] == "<1.1(a)>"
    assert "plan" in frame["locals"]["dump"]
    must_hold_none(repr(event))


def test_without_a_transformer_an_exception_is_a_text_and_no_locals_are_left_to_be_read() -> None:
    event = captured(failing)
    assert "exc_info" not in event
    assert "in failing" in event["exception"]
    assert event["exception"].endswith("ValueError: ('no', " + repr(event["who"]) + ")")


def test_what_is_harmless_stays() -> None:
    given = {"event": "sent", "level": "info", "plan": "standard", "took": 0.25, "ids": [1, 2]}
    assert Masking()(None, "info", dict(given)) == given
    assert list(Masking()(None, "info", dict(given))) == list(given)


def test_an_event_that_cannot_be_masked_shows_nothing() -> None:
    masking = Masking(exceptions=lambda _error: [{"frames": [{"locals": {"a": NAME}}]}])  # no place to look it up by
    try:
        raise ValueError(NAME)
    except ValueError as error:
        event = masking(None, "error", {"event": f"for {NAME}", "exc_info": error, "who": EMAIL})
    must_hold_none(repr(event))
    assert "could not be masked" in event["event"]


def test_records_of_the_standard_library_go_through_the_filter_first() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(MaskingRecords())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()],
            processors=[
                Masking(exceptions=ExceptionDictTransformer()),
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logger = logging.Logger("shop")  # noqa: LOG001
    logger.addHandler(handler)
    known = customer()
    try:
        raise ValueError(known)
    except ValueError:
        logger.exception("for %s", known, extra={"known": known, "dump": known.model_dump()})
    must_hold_none(stream.getvalue())
    assert '"locals"' in stream.getvalue()


def captured(mistake: Callable[[Any], None], **kwargs: Any) -> dict[str, Any]:
    kept = structlog.testing.LogCapture()
    mistake(structlog.wrap_logger(structlog.PrintLogger(io.StringIO()), processors=[Masking(**kwargs), kept]))
    (event,) = kept.entries
    return dict(event)
