"""What is said when the store cannot be used: what, where, and what to do. Never a password, never a value."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy import exc

from purposeguard.errors import StoreUnavailable

ADVICE: Final = {
    "SQLITE_FULL": "free some space; nothing of this change was kept, what was there before is whole",
    "SQLITE_READONLY": "make the file and its folder writable to this process, or name another file",
    "SQLITE_NOTADB": "name the file of a store, or one that does not exist yet",
    "SQLITE_CORRUPT": "put back a copy of the file",
    "SQLITE_CANTOPEN": "see that the file exists and that this process may read and write it and its folder",
    "SQLITE_BUSY": "another process holds it: try again, or open the store with a longer `timeout`",
    "SQLITE_LOCKED": "another process holds it: try again, or open the store with a longer `timeout`",
    "SQLITE_ERROR": "see that this is the file of a store, together with those of the same name and `-wal` and `-shm`",
}
"""By the first two words of SQLite's name for the error."""

CONTRADICTION: Final = "nothing was changed: what was to be written contradicts what is there"
UNREACHED: Final = "see that the database runs and can be reached, then try again"


def unavailable(where: str, what: str, advice: str) -> StoreUnavailable:
    """The error, in one form wherever it comes from."""
    return StoreUnavailable(f"the store {where} {what} (help: {advice})")


def told(where: str, error: exc.SQLAlchemyError) -> StoreUnavailable:
    """What to raise in place of an error of the database."""
    if isinstance(error, exc.TimeoutError):
        return unavailable(where, "has no connection left", "close what is no longer read, or use fewer threads")
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    name = "_".join(getattr(original, "sqlite_errorname", "").split("_")[:2])
    advice = CONTRADICTION if isinstance(error, exc.IntegrityError) else ADVICE.get(name, UNREACHED)
    return unavailable(where, f"cannot be used: {reason(original)}", advice)


def reason(error: BaseException | None) -> str:
    """The first line of what the driver says; its details may quote a row."""
    diagnosis = getattr(error, "diag", None)
    text = getattr(diagnosis, "message_primary", None) or str(error)
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    return f"{text.strip().splitlines()[0] if text.strip() else 'no reason given'} ({name})"


def hush(context: sa.ExceptionContext) -> None:
    """Takes the details, which may quote a row, from an error of the database before anybody sees it."""
    original = context.original_exception
    if getattr(getattr(original, "diag", None), "message_detail", None):
        original.args = (reason(original),)
        if context.sqlalchemy_exception is not None:
            context.sqlalchemy_exception.args = (f"({type(original).__name__}) {reason(original)}",)
