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
from purposeguard.integrations._masking_errors import MaskedFailure, find_exception
from purposeguard.integrations.masking import Masker

_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""Attributes that each record has. The others come from `extra=`."""


class Masking(logging.Filter):
    """A filter that masks the message, arguments, `extra=` and exception of each record, in place. It drops none.

    On a handler it masks what that handler and later ones write. On a logger it masks what all handlers write, but only
    for records of that very logger. A `QueueHandler` makes texts of records, so put the filter on it.
    """

    def __init__(self, masker: Masker | None = None) -> None:
        super().__init__()
        self._masker = masker or Masker()

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Mask a record, and return True. If it cannot be masked, nothing of it is shown."""
        try:
            self._mask(record)
        except Exception as error:  # noqa: BLE001  # An object in the record failed, so nothing of it is shown.
            _clear_record(record, error)
        return True

    def _mask(self, record: logging.LogRecord) -> None:
        error = find_exception(record.exc_info)
        failure = MaskedFailure(self._masker, error)
        look, args = failure.look, record.args
        masked: dict[str, Any] = {"msg": look.mask(record.msg)}
        if args:
            masked["args"] = look.entries(args) if isinstance(args, dict) else look.mask(args)
        masked |= look.entries({name: vars(record)[name] for name in vars(record).keys() - _OWN})
        if error is None:  # A `QueueHandler` before this one may have made a text of the exception.
            masked["exc_text"] = look.mask(record.exc_text)
        elif (shown := failure.to_masked_exception()) is not error:
            record.exc_info = (type(shown), shown, error.__traceback__)
            record.exc_text = None  # A handler before this one may have cached the text.
        vars(record).update(failure.texts.replace_in_value(masked))
        if "message" in vars(record):  # A handler before this one has formatted the message.
            record.message = record.getMessage()


def _clear_record(record: logging.LogRecord, error: Exception) -> None:
    record.msg, record.args = f"{HIDDEN}: this record could not be masked ({type(error).__name__})", None
    record.exc_info = record.exc_text = None
    for name in vars(record).keys() - _OWN:
        setattr(record, name, HIDDEN)
    record.message = record.msg
