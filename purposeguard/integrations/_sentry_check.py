"""Checks that the installed Sentry SDK calls each hook that masks: a probe is sent through all of them, to nowhere."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Annotated, Any, Final, NoReturn

from typing_extensions import override

from purposeguard.extras import Needs
from purposeguard.values.markers import Subject

with Needs(__name__, "sentry"):
    import sentry_sdk
    from sentry_sdk import logger, metrics
    from sentry_sdk.envelope import Envelope
    from sentry_sdk.integrations.logging import LoggingIntegration
    from sentry_sdk.traces import start_span as start_streamed_span
    from sentry_sdk.transport import Transport

_NAME: Final = "purposeguard-probe-7f3a"
"""The personal value of the probe, which must not be found in the data sent."""

_SIGNS: Final = ("ProbeError", "probe-breadcrumb", "probe-record", "probe-log", "probe-metric", "probe-transaction")
"""Texts that must be found in the data sent: one for each kind of data."""

_STREAM_SIGNS: Final = ("probe-span",)
"""Texts that must be found in the data sent by a client that streams spans."""


MakeOptions = Callable[[dict[str, Any]], dict[str, Any]]
"""A function that returns the options of `sentry_sdk.init` that it gets, with the hooks that mask."""


@dataclasses.dataclass
class _Person:
    probe_name: Annotated[str, Subject]  # No dict of an application has these names.
    probe_kind: str

    @override
    def __str__(self) -> str:
        return self.probe_name  # A plain text does not show that a tagged class wrote it.

    __repr__ = __str__


class _RecordingTransport(Transport):
    """A transport that records what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    @override
    def capture_envelope(self, envelope: Envelope) -> None:
        self.sent.append(envelope.serialize().decode("utf-8", "replace"))


class ProbeError(Exception):
    """The error that the probe reports."""


def verify_masking(make_options: MakeOptions, *, streaming: bool) -> None:
    """Send a probe through the SDK with the hooks that mask, and check what would leave the process.

    The probe takes each way into the SDK. Each value in it is masked by one hook alone, so each hook is checked by
    itself.

    Args:
        make_options: Adds the hooks to the options of a client.
        streaming: True if spans are streamed. A client that streams has one hook more, and makes no transactions. So a
            second probe checks this hook.

    Raises:
        RuntimeError: A value was not masked, or a part of the probe was not sent.
    """
    _verify_client(make_options, {}, _send, _SIGNS)
    if streaming:
        _verify_client(make_options, {"trace_lifecycle": "stream"}, _stream_span, _STREAM_SIGNS)


def _verify_client(
    make_options: MakeOptions,
    tracing: dict[str, Any],
    send: Callable[[sentry_sdk.Scope, _Person], None],
    signs: tuple[str, ...],
) -> None:
    """Send a probe through a client with these options for tracing, and check what would leave the process.

    Args:
        make_options: As in `verify_masking`.
        tracing: Further options of the client.
        send: The function that sends the probe.
        signs: The texts that must be found in the data sent.

    Raises:
        RuntimeError: As in `verify_masking`.
    """
    # Each new LoggingIntegration changes this attribute of the class, so it is restored below.
    captures_logs = vars(LoggingIntegration).get("capture_sentry_logs")
    transport = _RecordingTransport()
    options = make_options(
        {
            "dsn": "https://probe@127.0.0.1/1",
            "transport": transport,
            "default_integrations": False,
            "auto_enabling_integrations": False,
            "enable_backpressure_handling": False,
            "enable_logs": True,
            "integrations": [LoggingIntegration(logging.WARNING, logging.ERROR, logging.INFO)],
            "spotlight": False,
            "traces_sample_rate": 1.0,
            **tracing,
        }
    )
    client = sentry_sdk.Client(**options)
    try:
        with sentry_sdk.isolation_scope() as isolation, sentry_sdk.new_scope() as scope:
            isolation.clear()
            scope.clear()
            scope.set_client(client)
            send(scope, _Person(_NAME, "probe"))
            client.close(0)
    finally:
        if captures_logs is not None:
            LoggingIntegration.capture_sentry_logs = captures_logs
    text = "\n".join(transport.sent)
    if _NAME not in text and all(sign in text for sign in signs):
        return
    fault = "sends values past the hooks that mask" if _NAME in text else "drops some of what the hooks masked"
    raise RuntimeError(
        f"sentry-sdk {sentry_sdk.VERSION} {fault}: use a version that this release of purposeguard was tested with"
    )


def _send(scope: sentry_sdk.Scope, person: _Person) -> None:
    """Send data of each kind about a person: breadcrumb, log records, event, log, metric, transaction and span."""
    text = f"probe_name={person.probe_name} probe_kind={person.probe_kind}"
    log = logging.Logger("purposeguard-probe")  # noqa: LOG001  # No handler of the application must get its records.
    log.addHandler(logging.NullHandler())
    scope.add_breadcrumb(category="probe-breadcrumb", message=text, data={"person": person})
    scope.set_extra("person", person)
    scope.set_context("people", {"person": person})
    for level in (logging.INFO, logging.WARNING, logging.ERROR):  # One level for each handler of the integration.
        log.log(level, "probe-record %s", person)
    try:
        _fail(person)
    except ProbeError as error:
        sentry_sdk.capture_exception(error)
    logger.info("probe-log {text}", text=text)
    metrics.count("probe-metric", 1, attributes=vars(person))
    with sentry_sdk.start_transaction(name=f"probe-transaction {text}") as transaction:
        transaction.set_data("person", person)
        with sentry_sdk.start_span(op="probe", name=text) as span:
            span.set_data("person", person)


def _stream_span(_scope: sentry_sdk.Scope, person: _Person) -> None:
    text = f"probe-span probe_name={person.probe_name} probe_kind={person.probe_kind}"
    with start_streamed_span(text, attributes=vars(person), parent_span=None):
        pass


def _fail(person: _Person) -> NoReturn:
    raise ProbeError(person)
