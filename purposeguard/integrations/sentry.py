"""Masks what Sentry is sent of tagged classes and seals: events, local variables, breadcrumbs, spans and logs.

::

    sentry_sdk.init(**options(dsn="https://…", traces_sample_rate=0.1))
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, Final

from purposeguard.extras import Needs, must_be_tested
from purposeguard.integrations._masking_classes import HIDDEN, SUBJECT
from purposeguard.integrations._masking_errors import MaskedFailure, find_exception
from purposeguard.integrations._masking_urls import hide_places, hide_places_in
from purposeguard.integrations.logging import Masking
from purposeguard.integrations.masking import Masker

with Needs(__name__, "sentry"):
    import sentry_sdk
    from sentry_sdk.integrations import Integration
    from sentry_sdk.integrations.logging import LoggingIntegration
    from sentry_sdk.scope import add_global_event_processor

    from purposeguard.integrations._sentry_check import verify_masking

    must_be_tested("sentry-sdk", "2.70", "2.75")

Hook = Callable[[Any, Any], Any]
"""A hook as Sentry calls it, with an event, breadcrumb or log and a hint. It returns what to send, or None."""

Mask = Callable[[Masker, Any, Any], Any]

_INSTEAD: Final = {"before_send_span": {"name": HIDDEN, "attributes": {}}}
"""Data to send if a hook fails, by hook, where the SDK does not allow the data to be dropped."""

_KEPT: Final = frozenset(
    {
        "_meta",
        "debug_meta",
        "dist",
        "environment",
        "event_id",
        "level",
        "logger",
        "measurements",
        "modules",
        "platform",
        "release",
        "sdk",
        "server_name",
        "start_timestamp",
        "timestamp",
        "transaction_info",
        "type",
    }
)
"""Keys of an event that describe the event itself. They hold no data of the application."""

_OBJECTS: Final = frozenset({"contexts", "extra", "logentry", "spans", "tags"})
"""Keys of an event that may hold objects of the application until the SDK makes texts of them."""


class PurposeGuard(Integration):
    """An integration that masks the objects in an event before the SDK makes texts of them. `options` adds it."""

    identifier = "purposeguard"

    def __init__(self, masker: Masker) -> None:
        self.masker = masker

    @staticmethod
    def setup_once() -> None:
        """Mask each event of a client with this integration while the event still holds objects."""

        def process(event: Any, hint: Any) -> Any:  # The signature is Sentry's.
            integration = sentry_sdk.get_client().get_integration(PurposeGuard)
            # If this raises, the SDK drops the event.
            return event if integration is None else _make_hook(integration.masker, None, _mask_objects)(event, hint)

        add_global_event_processor(process)


def _make_hook(masker: Masker, own: Hook | None, mask: Mask, instead: Any = None) -> Hook:
    """Return a hook that masks what the hook `own` returns, or the value itself if there is none.

    If either fails, the hook returns `instead`; None drops what was to be sent.
    """

    def hook(data: Any, hint: Any) -> Any:
        try:
            chosen = data if own is None else own(data, hint)
            return None if chosen is None else mask(masker, chosen, hint or {})
        except Exception:  # noqa: BLE001  # If a hook raises, the SDK sends some kinds of data unmasked.
            return instead

    return hook


def options(masker: Masker | None = None, /, **own: Any) -> dict[str, Any]:
    """Return the options for `sentry_sdk.init`, with hooks that mask. Hooks among your `own` options run first.

    Raises:
        RuntimeError: The installed SDK no longer calls a hook, or lets a value pass.
    """
    make_options = functools.partial(_make_masking_options, masker or Masker())
    verify_masking(make_options, streaming=_streams_spans(own))
    return make_options(own)


def _make_masking_options(masker: Masker, own: dict[str, Any]) -> dict[str, Any]:
    masks: dict[str, Mask] = {
        "before_send": _mask_event,
        "before_send_transaction": _mask_event,
        "before_breadcrumb": _mask_part,
        "before_send_log": _mask_part,
        "before_send_metric": _mask_part,
    }
    if _streams_spans(own):
        masks["before_send_span"] = _span  # Only then: the SDK warns of this hook if spans are not streamed.
    experiments = own.get("_experiments") or {}
    integrations: list[Any] = list(own.get("integrations") or ())
    stated = (*integrations, *(own.get("disabled_integrations") or ()))
    states_logging = any(item is LoggingIntegration or isinstance(item, LoggingIntegration) for item in stated)
    if own.get("default_integrations", True) and not states_logging:
        integrations.append(LoggingIntegration())
    for integration in integrations:
        if not isinstance(integration, LoggingIntegration):
            continue
        for handler in vars(integration).values():
            if isinstance(handler, logging.Handler):  # These handlers run after all others.
                handler.addFilter(Masking(masker))
    options = {**own, "integrations": [*integrations, PurposeGuard(masker)]}
    for name, mask in masks.items():
        options[name] = _make_hook(masker, own.get(name) or experiments.get(name), mask, _INSTEAD.get(name))
    return options


def _streams_spans(own: dict[str, Any]) -> bool:
    """Return True if options of the SDK say that each span is sent by itself, without a transaction."""
    experiments = own.get("_experiments") or {}
    return "stream" in (own.get("trace_lifecycle"), experiments.get("trace_lifecycle"))


def _mask_part(masker: Masker, part: dict[str, Any], _hint: Any = None) -> dict[str, Any]:
    """Mask a breadcrumb, log, metric or span, or a part of an event.

    Its names are those of the SDK, so they are not compared with the fields of classes.
    """
    return {name: hide_places_in(masker.masked(value), name) for name, value in part.items()}


def _span(masker: Masker, span: dict[str, Any], _hint: Any) -> dict[str, Any]:
    """Mask a span that is sent by itself. If it stands for a request, mask its name like that of the transaction."""
    masked = _mask_part(masker, span)
    source = (span.get("attributes") or {}).get("sentry.span.source")
    source = source.get("value") if isinstance(source, dict) else source
    if source is not None:
        masked["name"] = _name_of(masker, span.get("name"), source)
    return masked


_URL_SOURCES: Final = frozenset({"url", "unknown"})
"""Sources by which the SDK says that a transaction's name is the URL of the request."""


def _name_of(masker: Masker, name: Any, source: Any) -> Any:
    """Mask the name of a transaction: the template of a route stays, a URL is hidden."""
    if source in _URL_SOURCES:
        return HIDDEN
    shown = masker.masked(name)
    return shown if source == "route" else hide_places_in(shown)


def _mask_objects(masker: Masker, event: dict[str, Any], _hint: Any) -> dict[str, Any]:
    """Mask the parts of an event that may still hold objects."""
    masked = dict(event)
    for name, value in event.items():
        if name in _OBJECTS:
            masked[name] = _mask_event_part(masker, name, value)
    return masked


def _mask_event(masker: Masker, event: dict[str, Any], hint: Any) -> dict[str, Any]:
    """Mask an event that is about to be sent. It consists of texts and numbers alone."""
    failure = MaskedFailure(masker, find_exception(hint.get("exc_info")))
    texts = failure.texts
    masked: dict[str, Any] = {}
    source = (event.get("transaction_info") or {}).get("source")
    for name, value in event.items():
        if name in _KEPT:
            masked[name] = value
        elif name == "transaction":
            masked[name] = texts.replace_in_value(_name_of(masker, value, source))
        elif name in ("exception", "threads", "stacktrace"):
            masked[name] = texts.replace_in_value(_mask_locals(value, failure))
        else:
            masked[name] = texts.replace_in_value(hide_places_in(_mask_event_part(masker, name, value)))
    if isinstance(event.get("exception"), dict):
        values = hide_places_in(_mask_messages(masked["exception"], failure))
        masked["exception"] = {**masked["exception"], "values": values}
    return masked


def _mask_event_part(masker: Masker, name: str, value: Any) -> Any:
    if name == "user" and isinstance(value, dict):
        return {key: SUBJECT for key, item in value.items() if item is not None}
    if name == "breadcrumbs" and isinstance(value, dict):
        return {**value, "values": [_mask_part(masker, crumb) for crumb in value.get("values") or ()]}
    if name == "spans" and isinstance(value, list):
        return [_mask_part(masker, span) for span in value]
    if isinstance(value, dict) and name not in ("extra", "tags"):
        return _mask_part(masker, value)
    return masker.masked(value)


def _mask_locals(part: Any, failure: MaskedFailure) -> Any:
    """Mask the local variables in the stack traces of a part of an event.

    A variable whose frame is unknown is hidden.
    """
    if isinstance(part, list):
        return [_mask_locals(item, failure) for item in part]
    if not isinstance(part, dict):
        return part
    if "vars" in part:
        masked_locals = failure.locals_at(*_frame_place(part))
        shown: dict[str, str] = {}
        for name in part["vars"]:
            if name in masked_locals:
                shown[name] = hide_places(_to_text(hide_places_in(masked_locals[name], name)))
            else:
                shown[name] = HIDDEN
        return {**part, "vars": shown}
    return {name: _mask_locals(value, failure) for name, value in part.items()}


def _frame_place(frame: dict[str, Any]) -> tuple[str, int, str]:
    return str(frame.get("abs_path")), int(frame.get("lineno") or 0), str(frame.get("function"))


def _to_text(value: Any) -> str:
    try:
        return repr(value)[:1024]
    except Exception:  # noqa: BLE001  # The value's own code failed.
        return HIDDEN


def _mask_messages(exception: dict[str, Any], failure: MaskedFailure) -> list[dict[str, Any]]:
    """Return the exceptions of an event with masked messages."""
    masked: list[dict[str, Any]] = []
    for value in exception.get("values") or ():
        message = failure.message_like(str(value.get("type")), str(value.get("value") or ""))
        masked.append({**value, "value": message})
    return masked
