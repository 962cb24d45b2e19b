"""Log records through the filter: what a handler of the standard library writes holds nothing personal."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import logging.handlers
import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.integrations.logging import Masking
from purposeguard.notices import trendmicro_jp as tm
from tests.integrations.people import (
    EMAIL,
    NAME,
    Broken,
    Envelope,
    contact,
    customer,
    household,
    must_hold_none,
    row,
)


class Json(logging.Formatter):
    """As formatters to JSON are: all attributes of a record, and its exception by itself."""

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        attributes = {name: value for name, value in vars(record).items() if name != "exc_info"}
        return json.dumps(
            {**attributes, "message": record.getMessage(), "error": [str(error), repr(error)]}, default=repr
        )


def make_logger(*handlers: logging.Handler) -> logging.Logger:
    """Make a logger that nobody else has, with these handlers."""
    logger = logging.Logger("shop")  # noqa: LOG001
    logger.handlers.extend(handlers)
    return logger


@pytest.fixture(params=["text", "json"])
def log(request: pytest.FixtureRequest) -> Iterator[tuple[logging.Logger, io.StringIO]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Json() if request.param == "json" else logging.Formatter("%(levelname)s %(message)s"))
    handler.addFilter(Masking())
    yield make_logger(handler), stream
    handler.close()


def failing(logger: logging.Logger) -> None:
    known = customer()
    try:
        raise ValueError("no", known)
    except ValueError:
        logger.exception("failed for %s", known)


def failing_with_text(logger: logging.Logger) -> None:
    known = customer()
    try:
        raise KeyError(known.email)
    except KeyError:
        logger.exception(f"failed for {known.full_name}", extra={"who": known.email})  # noqa: G004


MISTAKES: dict[str, Callable[[logging.Logger], None]] = {
    "an object": lambda logger: logger.info("%s", customer()),
    "an object, its repr": lambda logger: logger.info("%r and %r", customer(), 3),
    "an object alone": lambda logger: logger.info(customer()),
    "an object in an f-string": lambda logger: logger.info(f"for {customer()}"),  # noqa: G004
    "a dump": lambda logger: logger.info("%s", customer().model_dump()),
    "a dump as the arguments": lambda logger: logger.info("%(full_name)s at %(plan)s", customer().model_dump()),
    "a dump as the message": lambda logger: logger.info(customer().model_dump()),
    "a dump in an f-string": lambda logger: logger.info(f"for {customer().model_dump()}"),  # noqa: G004
    "JSON": lambda logger: logger.info(customer().model_dump_json()),
    "extra, an object": lambda logger: logger.info("sent", extra={"customer": customer()}),
    "extra, a dump": lambda logger: logger.info("sent", extra=customer().model_dump()),
    "extra, a dump within": lambda logger: logger.info("sent", extra={"customer": customer().model_dump()}),
    "a row": lambda logger: logger.info("%s %s", row(), vars(row())),
    "models in models": lambda logger: logger.warning("%s", household()),
    "seals": lambda logger: logger.info("%s %s", contact(), pg.Personal(NAME, tm.Registration)),
    "a text beside the object": lambda logger: logger.info("%s, %s", NAME, customer(), extra={"to": f"to {EMAIL}"}),
    "an unknown object": lambda logger: logger.info("%s", Envelope(customer())),
    "an exception as an argument": lambda logger: logger.info("%s", ValueError(customer())),
    "an exception as an argument beside the object": lambda logger: logger.info("%s %s", KeyError(EMAIL), customer()),
    "an exception": failing,
    "an exception with a text": failing_with_text,
    "what fails": lambda logger: logger.info("%s", Broken()),
    "stack": lambda logger: logger.info("%s", customer(), stack_info=True),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_write_nothing_personal(name: str, log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    MISTAKES[name](logger)
    text = stream.getvalue()
    must_hold_none(text)
    assert text.strip()


def test_what_is_harmless_is_written_as_before() -> None:
    plain, masked = io.StringIO(), io.StringIO()
    for stream in (plain, masked):
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s %(plan)s"))
        if stream is masked:
            handler.addFilter(Masking())
        logger = make_logger(handler)
        logger.info("%s took %.2f s, %d of %5s", "GET /customers/{id}", 0.25, 3, "x", extra={"plan": "standard"})
        logger.info("%(a)s=%(b)d", {"a": "status", "b": 200}, extra={"plan": [1, {"x": 2}]})
        try:
            raise ValueError("no such plan")
        except ValueError as error:
            logger.exception("failed: %s", error, extra={"plan": None})
    assert masked.getvalue() == plain.getvalue()


def test_a_traceback_keeps_its_places_and_the_name_of_its_error(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    failing(logger)
    text = stream.getvalue()
    assert "ValueError" in text
    if "Traceback" in text:
        assert "in failing" in text
        assert 'raise ValueError("no", known)' in text


def test_handlers_after_it_get_the_masked_record() -> None:
    first, second = io.StringIO(), io.StringIO()
    one, other = logging.StreamHandler(first), logging.StreamHandler(second)
    one.addFilter(Masking())
    failing(make_logger(one, other))
    must_hold_none(first.getvalue() + second.getvalue())


def test_a_text_that_a_handler_before_it_made_is_not_written_again() -> None:
    first, second = io.StringIO(), io.StringIO()
    one, other = logging.StreamHandler(first), logging.StreamHandler(second)
    other.addFilter(Masking())
    failing(make_logger(one, other))
    assert NAME in first.getvalue()  # nobody asked this one to
    must_hold_none(second.getvalue())


def test_the_text_that_a_queue_made_of_an_exception_is_masked() -> None:
    person = customer()
    record = logging.makeLogRecord({"msg": "failed", "exc_text": f"ValueError: {person!r} {person.model_dump_json()}"})
    assert Masking().filter(record)
    must_hold_none(logging.Formatter().format(record))
    assert "ValueError: Customer(" in logging.Formatter().format(record)


def test_it_stands_before_a_queue() -> None:
    stream = io.StringIO()
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    handler = logging.handlers.QueueHandler(waiting)
    handler.addFilter(Masking())
    listener = logging.handlers.QueueListener(waiting, logging.StreamHandler(stream))
    logger = make_logger(handler)
    listener.start()
    for mistake in MISTAKES.values():
        mistake(logger)
    listener.stop()
    must_hold_none(stream.getvalue())
    assert stream.getvalue().count("\n") >= len(MISTAKES)


def test_it_is_configured_as_any_filter() -> None:
    stream = io.StringIO()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"masking": {"()": "purposeguard.integrations.logging.Masking"}},
            "handlers": {"out": {"class": "logging.StreamHandler", "stream": stream, "filters": ["masking"]}},
            "loggers": {"shop.configured": {"handlers": ["out"], "level": "INFO", "propagate": False}},
        }
    )
    logging.getLogger("shop.configured").info("%s", customer())
    must_hold_none(stream.getvalue())
    assert "Customer(" in stream.getvalue()


def test_a_record_that_cannot_be_masked_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("purposeguard.integrations.masking.Look.entries", Broken().__repr__)
    record = logging.makeLogRecord({"msg": f"for {NAME}", "args": (EMAIL,), "who": EMAIL, "exc_text": EMAIL})
    assert Masking().filter(record)
    must_hold_none(repr(vars(record)))
    assert "could not be masked" in record.getMessage()
