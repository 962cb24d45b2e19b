"""Masks what structlog's events hold of tagged classes and seals: a processor.

::

    structlog.configure(processors=[structlog.processors.add_log_level, Masking(), structlog.processors.JSONRenderer()])

It stands after what adds to events and before what renders them, and renders exceptions itself.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

from purposeguard.extras import Needs, must_be_tested
from purposeguard.integrations._masking_classes import HIDDEN
from purposeguard.integrations._masking_errors import MaskedFailure, find_exception
from purposeguard.integrations.masking import Masker

with Needs(__name__, "structlog"):
    must_be_tested("structlog", "25.5", "26.1")

Transformer = Callable[[Any], list[dict[str, Any]]]
"""As `structlog.tracebacks.ExceptionDictTransformer`: an exception as the stacks of its tracebacks."""

_OWN: Final = frozenset({"event", "level", "log_level", "timestamp", "logger", "logger_name", "stack"})
"""What is no entry of the caller's: never taken for a field of a class."""


class Masking:
    """Masks the message and the entries of each event, and renders its exception; it drops no event.

    An exception becomes a traceback of text under the key `exception`; or, with `exceptions`, what that transformer
    makes of it, with local variables masked. `exc_info` goes: renderers that read it would show locals as they are.
    """

    def __init__(self, masker: Masker | None = None, *, exceptions: Transformer | None = None) -> None:
        self._masker = masker or Masker()
        self._exceptions = exceptions

    def __call__(self, logger: Any, name: str, event_dict: MutableMapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG002  # as structlog calls it
        """Return the event, masked."""
        kept = {key: event_dict[key] for key in event_dict if key.startswith("_")}
        try:
            given = {key: item for key, item in event_dict.items() if key not in kept}
            return {**self._mask(given), **kept}
        except Exception as error:  # noqa: BLE001  # of whatever the event holds: nothing of it is shown then
            return {"event": f"{HIDDEN}: this event could not be masked ({type(error).__name__})", **kept}

    def _mask(self, given: dict[str, Any]) -> dict[str, Any]:
        error = find_exception(given.pop("exc_info", None))
        failure = MaskedFailure(self._masker, error)
        others = failure.look.entries({key: item for key, item in given.items() if key not in _OWN})
        every = {key: others[key] if key in others else failure.look.masked(item) for key, item in given.items()}
        masked: dict[str, Any] = failure.texts.replace_in_value(every)
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
    """Put masked local variables in the place of those of a stack, and of the stacks in it."""
    for frame in stack.get("frames", ()):
        if frame.get("locals"):
            shown = failure.locals_at(frame["filename"], frame["lineno"], frame["name"])
            frame["locals"] = {name: repr(shown[name]) if name in shown else HIDDEN for name in frame["locals"]}
    for inner in stack.get("exceptions", ()):
        for each in inner if isinstance(inner, list) else [inner]:
            _mask_locals(each, failure)
