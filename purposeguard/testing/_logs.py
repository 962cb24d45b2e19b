"""Log records, as they reach their logger."""

from __future__ import annotations

import logging
import sysconfig
import traceback
from typing import Any, Final

from purposeguard.testing._patching import Patches, Tell, is_asking, text_of

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
            told = enabled(self, record.levelno) or counts(self, record.levelno)
            if record.levelno >= level and told and not _is_chatter(record):
                tell("log", f"{record.name} {record.levelname}", lambda: _parts(record))
            if enabled(self, record.levelno):
                handle(self, record)

        return wrapper

    patches.put(logging.Logger, "isEnabledFor", lambda _: is_enabled_for)
    patches.put(logging.Logger, "handle", handled)


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


def _parts(record: logging.LogRecord) -> dict[str, str]:
    try:
        parts = {"message": record.getMessage()}
    except Exception:  # noqa: BLE001  # logging itself tells of it and goes on; what was given is there all the same
        parts = {"message": f"{record.msg} {text_of(record.args)}"}
    if record.exc_info and record.exc_info[1] is not None:
        parts["exception"] = _told(record.exc_info[1])
    parts |= {f"extra {name}": text_of(value) for name, value in vars(record).items() if name not in _USUAL}
    return parts


def _told(error: BaseException) -> str:
    """An error with those behind it, without frames."""
    told: Any = traceback.TracebackException.from_exception(error, lookup_lines=False)
    lines: list[str] = []
    while told is not None:
        lines += told.format_exception_only()
        told = told.__cause__ or (None if told.__suppress_context__ else told.__context__)
    return "".join(lines).rstrip("\n")
