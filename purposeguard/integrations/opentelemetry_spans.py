"""Spans that state their purpose and hold nothing personal. Needs the SDK of OpenTelemetry.

::

    provider.add_span_processor(PurposeSpans(guard))
    provider.add_span_processor(BatchSpanProcessor(MaskedExporter(OTLPSpanExporter())))
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from typing_extensions import override

from purposeguard.extras import Needs, must_be_tested
from purposeguard.guard import Guard
from purposeguard.integrations._masking_classes import HIDDEN
from purposeguard.integrations.masking import Masker
from purposeguard.policy.violations import REFUSALS
from purposeguard.runtime.current_use import find_current_use
from purposeguard.runtime.entry_point import current_entry_point

with Needs(__name__, "opentelemetry-spans"):
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Link, Status

    from purposeguard.integrations.opentelemetry import ACTIVITY, ENTRY_POINT, PURPOSE

    must_be_tested("opentelemetry-sdk", "1.38", "1.45")

_EXCEPTION: Final = "exception"
_PLACE: Final = re.compile(r'[ |+-]*File "[^"]*", line \d+(, in [^ ]+)?')
"""A line of a traceback that names a file and a line."""
_REFUSALS: Final = frozenset(f"{cls.__module__}.{cls.__qualname__}" for cls in REFUSALS)


class PurposeSpans(SpanProcessor):
    """A span processor that adds the entry point, and the purpose and activity of the guard, to spans that begin."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    @override
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Add the entry point if it is known, and both other attributes if a purpose is under way."""
        entry_point = current_entry_point()
        if entry_point is not None:
            span.set_attribute(ENTRY_POINT, entry_point)
        use = find_current_use(self._guard.engine)
        if use is not None:
            span.set_attribute(PURPOSE, use.activity.purpose_id)
            span.set_attribute(ACTIVITY, use.activity.name)


class MaskedExporter(SpanExporter):
    """An exporter that masks spans and passes them on to another exporter.

    Attributes and names are already texts here, so texts that look like a tagged class are masked. Of an exception only
    its type and the places of its traceback remain, since its message may hold anything. Refusals of this library stay.
    """

    def __init__(self, exporter: SpanExporter, masker: Masker | None = None) -> None:
        self._exporter = exporter
        self._masker = masker or Masker()

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Mask the spans and export them."""
        return self._exporter.export(list(map(self._mask_span, spans)))

    @override
    def shutdown(self) -> None:
        """Shut the other exporter down."""
        self._exporter.shutdown()

    @override
    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Make the other exporter export what it has buffered."""
        return self._exporter.force_flush(timeout_millis)

    def _mask_span(self, span: ReadableSpan) -> ReadableSpan:
        masker = self._masker
        types = [str((event.attributes or {}).get("exception.type")) for event in span.events if _is_error(event)]
        text = span.status.description
        if text is not None:
            text = masker.text(text) if not types or set(types) <= _REFUSALS else ", ".join(types)
        return ReadableSpan(
            name=masker.text(span.name),
            context=span.get_span_context(),
            parent=span.parent,
            resource=span.resource,
            attributes=masker.entries(span.attributes or {}),
            events=list(map(self._mask_event, span.events)),
            links=[Link(link.context, masker.entries(link.attributes or {})) for link in span.links],
            kind=span.kind,
            status=Status(span.status.status_code, text),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def _mask_event(self, event: Event) -> Event:
        attributes = self._masker.entries(event.attributes or {})
        if _is_error(event) and attributes.get("exception.type") not in _REFUSALS:
            attributes |= _drop_messages(attributes)
        return Event(self._masker.text(event.name), attributes, event.timestamp)


def _is_error(event: Event) -> bool:
    return event.name == _EXCEPTION or "exception.type" in (event.attributes or {})


def _drop_messages(attributes: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if "exception.message" in attributes:
        shown["exception.message"] = HIDDEN
    if "exception.stacktrace" in attributes:
        lines = str(attributes["exception.stacktrace"]).splitlines()
        shown["exception.stacktrace"] = "\n".join(line for line in lines if _PLACE.fullmatch(line))
    return shown
