"""Masks what log records hold of tagged classes and seals: a filter of handlers or loggers.

::

    handler = logging.StreamHandler()
    handler.addFilter(Masking())
"""

from __future__ import annotations

import logging
from typing import Any, Final

from typing_extensions import override

from purposeguard.integrations._masking_classes import HIDDEN
from purposeguard.integrations._masking_errors import Failure
from purposeguard.integrations._masking_texts import Texts
from purposeguard.integrations.masking import Look, Masker

_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""What each record has; the others come from `extra=`."""


class Masking(logging.Filter):
    """Masks the message, its arguments, `extra=` and the exception of each record, in place; it drops none.

    On a handler it masks what that handler and those after it write; on a logger what all handlers do, of the records
    of that very logger. Before a `QueueHandler` it belongs on that, which makes texts of records.
    """

    def __init__(self, masker: Masker | None = None) -> None:
        super().__init__()
        self._masker = masker or Masker()

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Masks a record."""
        try:
            self._mask(record)
        except Exception as error:  # noqa: BLE001  # of whatever the record holds: nothing of it is shown then
            _clear(record, error)
        return True

    def _mask(self, record: logging.LogRecord) -> None:
        failure = self._failure(record)
        texts = Texts() if failure is None else failure.texts
        look = Look(self._masker, texts)
        args: Any = record.args
        masked: dict[str, Any] = {"msg": look.masked(record.msg)}
        if args:
            masked["args"] = look.entries(args) if isinstance(args, dict) else look.masked(args)
        extra = vars(record).keys() - _OWN
        if extra:
            masked |= look.entries({name: vars(record)[name] for name in extra})
        if failure is None and record.exc_text:  # a `QueueHandler` before this one has made a text of the exception
            masked["exc_text"] = look.masked(record.exc_text)
        vars(record).update(texts.replaced_in(masked))
        if "message" in vars(record):  # a handler before this one has made it
            record.message = record.getMessage()

    def _failure(self, record: logging.LogRecord) -> Failure | None:
        """What may be shown of the exception that a record holds; puts it in its place."""
        exc_info: Any = record.exc_info
        if isinstance(exc_info, BaseException):  # which loggers make a tuple of, and makers of records may not
            exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
        if not isinstance(exc_info, tuple) or not isinstance(exc_info[1], BaseException):
            return None
        failure = Failure(self._masker, exc_info[1])
        shown = failure.shown()
        if shown is not exc_info[1]:
            record.exc_info = (type(shown), shown, exc_info[2])
            record.exc_text = None  # a handler before this one may have kept it
        return failure


def _clear(record: logging.LogRecord, error: Exception) -> None:
    record.msg, record.args = f"{HIDDEN}: this record could not be masked ({type(error).__name__})", None
    record.exc_info = record.exc_text = None
    for name in vars(record).keys() - _OWN:
        setattr(record, name, HIDDEN)
    record.message = record.msg
