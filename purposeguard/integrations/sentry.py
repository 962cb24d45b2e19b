"""Masks what Sentry is sent of tagged classes and seals: events, locals of tracebacks, breadcrumbs, spans and logs.

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
"""As Sentry calls it: with an event, breadcrumb or log and a hint; gives it, another, or None to drop it."""

Mask = Callable[[Masker, Any, Any], Any]

_INSTEAD: Final = {"before_send_span": {"name": HIDDEN, "attributes": {}}}
"""What is sent where a hook fails, of what the SDK does not let it drop."""

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
"""What an event holds of itself: none of it is the application's data."""

_OBJECTS: Final = frozenset({"contexts", "extra", "logentry", "spans", "tags"})
"""What may hold objects of the application until the SDK makes texts of them."""


class PurposeGuard(Integration):
    """Masks objects in an event before the SDK makes texts of them. `options` adds it."""

    identifier = "purposeguard"

    def __init__(self, masker: Masker) -> None:
        self.masker = masker

    @staticmethod
    def setup_once() -> None:
        """Have each event of a client with this integration masked while it holds objects."""

        def process(event: Any, hint: Any) -> Any:  # as Sentry calls it
            integration = sentry_sdk.get_client().get_integration(PurposeGuard)
            # What it raises drops the event.
            return event if integration is None else _make_hook(integration.masker, None, _mask_objects)(event, hint)

        add_global_event_processor(process)


def _make_hook(masker: Masker, own: Hook | None, mask: Mask, instead: Any = None) -> Hook:
    """A hook that masks what another gives; where either fails, it drops what was to be sent, or sends `instead`."""

    def hook(given: Any, hint: Any) -> Any:
        try:
            chosen = given if own is None else own(given, hint)
            return None if chosen is None else mask(masker, chosen, hint or {})
        except Exception:  # noqa: BLE001  # what is raised here lets some kinds pass as they are
            return instead

    return hook


def options(masker: Masker | None = None, /, **own: Any) -> dict[str, Any]:
    """Return the options of `sentry_sdk.init`, with hooks that mask; hooks of your `own` come first.

    Raises:
        RuntimeError: the installed SDK does not call a hook any more, or lets a value pass.
    """
    masking = functools.partial(_make_masking_options, masker or Masker())
    verify_masking(masking)
    return masking(own)


def _make_masking_options(masker: Masker, own: dict[str, Any]) -> dict[str, Any]:
    masks: dict[str, Mask] = {
        "before_send": _mask_event,
        "before_send_transaction": _mask_event,
        "before_breadcrumb": _mask_part,
        "before_send_log": _mask_part,
        "before_send_metric": _mask_part,
    }
    experiments = own.get("_experiments") or {}
    if "stream" in (own.get("trace_lifecycle"), experiments.get("trace_lifecycle")):
        masks["before_send_span"] = _span  # which the SDK warns of where spans are not streamed
    integrations: list[Any] = list(own.get("integrations") or ())
    wants_logging = own.get("default_integrations", True) and not any(
        each is LoggingIntegration or isinstance(each, LoggingIntegration)
        for each in (*integrations, *(own.get("disabled_integrations") or ()))
    )
    if wants_logging:
        integrations.append(LoggingIntegration())
    for integration in integrations:
        for handler in vars(integration).values() if isinstance(integration, LoggingIntegration) else ():
            if isinstance(handler, logging.Handler):  # they come after all others
                handler.addFilter(Masking(masker))
    return {
        **own,
        "integrations": [*integrations, PurposeGuard(masker)],
        **{
            name: _make_hook(masker, own.get(name) or experiments.get(name), mask, _INSTEAD.get(name))
            for name, mask in masks.items()
        },
    }


def _mask_part(masker: Masker, part: dict[str, Any], _hint: Any = None) -> dict[str, Any]:
    """A breadcrumb, log, metric or span, or a part of an event: its names are the SDK's, and tell of no class."""
    return {name: hide_places_in(masker.masked(value), name) for name, value in part.items()}


def _span(masker: Masker, span: dict[str, Any], _hint: Any) -> dict[str, Any]:
    """Mask a span that is sent by itself. One that stands for a request has its name as the transaction would."""
    masked = _mask_part(masker, span)
    source = (span.get("attributes") or {}).get("sentry.span.source")
    source = source.get("value") if isinstance(source, dict) else source
    if source is not None:
        masked["name"] = _name_of(masker, span.get("name"), source)
    return masked


_URL_SOURCES: Final = frozenset({"url", "unknown"})
"""What the SDK calls the source of a transaction's name that is the URL of the request."""


def _name_of(masker: Masker, name: Any, source: Any) -> Any:
    """Return the name of a transaction: the template of a route stays, a URL does not."""
    if source in _URL_SOURCES:
        return HIDDEN
    shown = masker.masked(name)
    return shown if source == "route" else hide_places_in(shown)


def _mask_objects(masker: Masker, event: dict[str, Any], _hint: Any) -> dict[str, Any]:
    """Return an event of which the SDK has not made texts yet."""
    return {name: _mask_event_part(masker, name, value) if name in _OBJECTS else value for name, value in event.items()}


def _mask_event(masker: Masker, event: dict[str, Any], hint: Any) -> dict[str, Any]:
    """Return an event as it is about to be sent, of texts and numbers alone."""
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
    """Return a part of an event with stack traces, whose frames have masked local variables, or none."""
    if isinstance(part, list):
        return [_mask_locals(each, failure) for each in part]
    if not isinstance(part, dict):
        return part
    if "vars" in part:
        shown = failure.locals_at(*_frame_place(part))
        return {
            **part,
            "vars": {
                name: hide_places(_to_text(hide_places_in(shown[name], name))) if name in shown else HIDDEN
                for name in part["vars"]
            },
        }
    return {name: _mask_locals(value, failure) for name, value in part.items()}


def _frame_place(frame: dict[str, Any]) -> tuple[str, int, str]:
    return str(frame.get("abs_path")), int(frame.get("lineno") or 0), str(frame.get("function"))


def _to_text(value: Any) -> str:
    try:
        return repr(value)[:1024]
    except Exception:  # noqa: BLE001  # of the value's own code
        return HIDDEN


def _mask_messages(exception: dict[str, Any], failure: MaskedFailure) -> list[dict[str, Any]]:
    """Return the exceptions of an event, with masked messages."""
    return [
        {**value, "value": failure.message_like(str(value.get("type")), str(value.get("value") or ""))}
        for value in exception.get("values") or ()
    ]
