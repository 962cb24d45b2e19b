"""Masks what the events of structlog hold of tagged classes and seals: a processor.

::

    structlog.configure(processors=[structlog.processors.add_log_level, Masking(), structlog.processors.JSONRenderer()])

Put it after the processors that add to events and before those that render them. It renders exceptions itself.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

from purposeguard.containers import omit_keys
from purposeguard.extras import Needs, must_be_tested
from purposeguard.integrations._masking_classes import HIDDEN
from purposeguard.integrations._masking_errors import MaskedFailure, find_exception
from purposeguard.integrations.masking import Masker

with Needs(__name__, "structlog"):
    must_be_tested("structlog", "25.5", "26.1")

Transformer = Callable[[Any], list[dict[str, Any]]]
"""A function that returns the stacks of an exception, like `structlog.tracebacks.ExceptionDictTransformer`."""

_OWN: Final = frozenset({"event", "level", "log_level", "timestamp", "logger", "logger_name", "stack"})
"""Keys that do not come from the caller. They never count as fields of a class."""


class Masking:
    """A processor that masks the message and the entries of each event, and renders its exception. It drops no event.

    An exception becomes a traceback as text under the key `exception`. With `exceptions`, it becomes what that
    transformer makes of it, with masked local variables. `exc_info` is removed, since renderers that read it would show
    the local variables unmasked.
    """

    def __init__(self, masker: Masker | None = None, *, exceptions: Transformer | None = None) -> None:
        self._masker = masker or Masker()
        self._exceptions = exceptions

    def __call__(self, logger: Any, name: str, event_dict: MutableMapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG002  # The signature is structlog's.
        """Return the masked event. If it cannot be masked, nothing of it is shown."""
        private_entries = {key: event_dict[key] for key in event_dict if key.startswith("_")}
        try:
            entries = omit_keys(event_dict, private_entries)
            return {**self._mask(entries), **private_entries}
        except Exception as error:  # noqa: BLE001  # An object in the event failed, so nothing of it is shown.
            return {"event": f"{HIDDEN}: this event could not be masked ({type(error).__name__})", **private_entries}

    def _mask(self, entries: dict[str, Any]) -> dict[str, Any]:
        error = find_exception(entries.pop("exc_info", None))
        failure = MaskedFailure(self._masker, error)
        masked_entries = failure.look.entries(omit_keys(entries, _OWN))
        all_entries: dict[str, Any] = {}  # In the order of the event.
        for key, item in entries.items():
            all_entries[key] = masked_entries[key] if key in masked_entries else failure.look.mask(item)
        masked: dict[str, Any] = failure.texts.replace_in_value(all_entries)
        if error is not None:
            masked["exception"] = self._render(failure)
        return masked

    def _render(self, failure: MaskedFailure) -> Any:
        error = failure.to_masked_exception()
        if self._exceptions is None:
            return "".join(traceback.format_exception(error)).rstrip("\n")
        stacks = self._exceptions((type(error), error, error.__traceback__))
        for stack in stacks:
            _mask_locals(stack, failure)
        return stacks


def _mask_locals(stack: dict[str, Any], failure: MaskedFailure) -> None:
    """Mask the local variables of a stack and of the stacks inside it, in place."""
    for frame in stack.get("frames", ()):
        if frame.get("locals"):
            masked_locals = failure.locals_at(frame["filename"], frame["lineno"], frame["name"])
            shown: dict[str, str] = {}
            for name in frame["locals"]:
                shown[name] = repr(masked_locals[name]) if name in masked_locals else HIDDEN
            frame["locals"] = shown
    for inner in stack.get("exceptions", ()):
        inner_stacks = inner if isinstance(inner, list) else [inner]
        for inner_stack in inner_stacks:
            _mask_locals(inner_stack, failure)
