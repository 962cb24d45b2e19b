"""Log records, as they reach their logger."""

from __future__ import annotations

import logging
import sys
import sysconfig
import threading
import warnings
from collections.abc import Mapping
from typing import Any, Final

from purposeguard.testing._patching import Parts, Patches, Tell, handling, is_asking, showing, text_of
from purposeguard.testing._raising import told

_USUAL: Final = frozenset({*vars(logging.LogRecord("", 0, "", 0, "", None, None)), "message", "asctime"})
"""What every record has; the rest came by `extra`."""


def watch(patches: Patches, tell: Tell, level: int) -> None:
    """Watches all loggers. What reaches their handlers, and what pytest shows, stays as it is."""
    enabled = logging.Logger.isEnabledFor

    def counts(logger: logging.Logger, at: int) -> bool:
        return at >= level and _own_level(logger) <= at

    def is_enabled_for(self: logging.Logger, level: int) -> bool:
        return enabled(self, level) or counts(self, level)

    def handled(handle: Any) -> Any:
        def wrapper(self: logging.Logger, record: logging.LogRecord) -> None:
            counted = enabled(self, record.levelno) or counts(self, record.levelno)
            found: list[Any] = []
            if record.levelno >= level and counted and not _is_chatter(record):
                found = tell("log", f"{record.name} {record.levelname}", lambda: _parts(record))
            if enabled(self, record.levelno):
                before = set(vars(record))
                with handling():
                    handle(self, record)
                for name in vars(record).keys() - before - _USUAL:  # what filters have added
                    for one in found:
                        one.grow(f"extra {name}", text_of(vars(record)[name]))

        return wrapper

    patches.put(logging.Logger, "isEnabledFor", lambda _: is_enabled_for)
    patches.put(logging.Logger, "handle", handled)
    _watch_warnings(patches, tell)
    syslog = sys.modules.get("syslog")
    if syslog is not None:
        patches.put(syslog, "syslog", lambda log: _logged(log, tell))


def _is_chatter(record: logging.LogRecord) -> bool:
    """Whether it is what a library says of itself to who looks for a fault in it: numbers of connections, times."""
    if is_asking() and record.name.partition(".")[0] in {"httpx", "httpx2"}:
        return True  # it tells what a test asked
    return record.levelno < logging.INFO and record.pathname.startswith(_LIBRARIES)


_LIBRARIES: Final = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def _own_level(logger: logging.Logger) -> int:
    """The level that somebody gave to a logger or one above it, other than the root: libraries do to be quiet."""
    one = logger
    while one.parent is not None:
        if one.level:
            return one.level
        one = one.parent
    return logging.NOTSET


def _parts(record: logging.LogRecord) -> Parts:
    try:
        parts: dict[str, str | bytes] = {"message": record.getMessage()}
    except Exception:  # noqa: BLE001  # logging itself tells of it and goes on; what was given is there all the same
        parts = {"message": f"{record.msg} {text_of(record.args)}"}
    if isinstance(record.args, Mapping):  # the message need not use all of them; handlers may
        parts |= {f"argument {name}": text_of(value) for name, value in record.args.items()}
    if record.exc_info and record.exc_info[1] is not None:
        parts["exception"] = told(record.exc_info[1], suppressed=False)
    parts |= {f"extra {name}": text_of(value) for name, value in vars(record).items() if name not in _USUAL}
    return parts


def _logged(log: Any, tell: Tell) -> Any:
    def wrapper(*args: Any) -> None:
        tell("log", "syslog", lambda: {"message": text_of(args[-1])})
        log(*args)

    return wrapper


# ---- Warnings -----------------------------------------------------------------------------------------------------


def _watch_warnings(patches: Patches, tell: Tell) -> None:
    """Those that are given, whether filters let them through or not."""
    mine = threading.local()

    def note(message: Any, category: Any) -> None:
        kind = type(message) if isinstance(message, Warning) else category or UserWarning
        tell("warning", getattr(kind, "__name__", "Warning"), lambda: {"message": str(message)})

    def warned(warn: Any) -> Any:
        def wrapper(message: Any, category: Any = None, stacklevel: int = 1, *more: Any, **options: Any) -> None:
            note(message, category)
            mine.told = True
            try:
                warn(message, category, stacklevel + 1, *more, **options)
            finally:
                mine.told = False

        return wrapper

    def warned_explicitly(warn_explicit: Any) -> Any:
        def wrapper(message: Any, category: Any, *more: Any, **options: Any) -> None:
            note(message, category)
            mine.told = True
            try:
                warn_explicit(message, category, *more, **options)
            finally:
                mine.told = False

        return wrapper

    def shown(show: Any) -> Any:
        def wrapper(message: Any) -> None:
            if not getattr(mine, "told", False):  # by a name of `warn` that somebody has imported
                note(message.message, message.category)
            with showing():
                show(message)

        return wrapper

    patches.put(warnings, "warn", warned)
    patches.put(warnings, "warn_explicit", warned_explicitly)
    if hasattr(warnings, "_showwarnmsg"):
        patches.put(warnings, "_showwarnmsg", shown)
