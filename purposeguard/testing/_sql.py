"""SQL that is sent to a database: texts, and parameters."""

from __future__ import annotations

import functools
import gc
import sqlite3
import sys
from collections.abc import Mapping
from typing import Any, Final

from purposeguard.testing._patching import Patches, Tell, is_told_above, text_of

OWN: Final = "purposeguard"
"""By which name the engines of governance go: what is written there of uses, and whose they are, is no effect."""


def watch(patches: Patches, tell: Tell, connections: list[Any] | None) -> None:
    """Watches SQLAlchemy and psycopg where they are loaded, and sqlite3.

    `connections` of sqlite3 that are open: those that are made meanwhile are added to them.
    """
    if "sqlalchemy" in sys.modules:
        _watch_sqlalchemy(patches, tell)
    psycopg = sys.modules.get("psycopg")
    if psycopg is not None:
        for name in ("Cursor", "ServerCursor"):
            for method in ("execute", "executemany"):
                patches.put(getattr(psycopg, name), method, lambda fn: _executed(fn, tell))
                patches.put(getattr(psycopg, f"Async{name}"), method, lambda fn: _executed(fn, tell))
    _watch_sqlite(patches, tell, open_connections() if connections is None else connections)


def _parameters(given: Any, prefix: str = "parameter") -> dict[str, str]:
    if isinstance(given, Mapping):
        return {f"{prefix} {name}": text_of(value) for name, value in given.items()}
    if isinstance(given, (list, tuple)):
        if given and all(isinstance(row, (Mapping, list, tuple)) for row in given):
            return {
                name: text
                for number, row in enumerate(given, 1)
                for name, text in _parameters(row, f"row {number}, parameter").items()
            }
        return {f"{prefix} {number}": text_of(value) for number, value in enumerate(given, 1)}
    return {} if given is None else {prefix: text_of(given)}


def _watch_sqlalchemy(patches: Patches, tell: Tell) -> None:
    from sqlalchemy import event  # noqa: PLC0415  # it is loaded already
    from sqlalchemy.engine import Engine  # noqa: PLC0415

    def executed(
        connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _executemany: bool
    ) -> None:
        if getattr(connection.engine, "logging_name", None) != OWN:
            tell("sql", "", lambda: {"statement": statement, **_parameters(parameters)})

    event.listen(Engine, "before_cursor_execute", executed)
    patches.later(lambda: event.remove(Engine, "before_cursor_execute", executed))


def _executed(execute: Any, tell: Tell) -> Any:
    @functools.wraps(execute)
    def wrapper(self: Any, query: Any, params: Any = None, *more: Any, **options: Any) -> Any:
        if not _from_sqlalchemy():
            tell("sql", "", lambda: {"statement": _statement(query, self), **_parameters(params)})
        return execute(self, query, params, *more, **options)

    return wrapper


def _statement(query: Any, cursor: Any) -> str:
    as_string = getattr(query, "as_string", None)
    return as_string(cursor.connection) if as_string is not None else text_of(query)


def _from_sqlalchemy() -> bool:
    """Whether SQLAlchemy, which has told of it, is among the next few callers."""
    frame = sys._getframe(2)
    for _ in range(12):
        if frame.f_globals.get("__name__", "").startswith("sqlalchemy."):
            return True
        if frame.f_back is None:
            break
        frame = frame.f_back
    return False


# ---- sqlite3 ------------------------------------------------------------------------------------------------------


def open_connections() -> list[sqlite3.Connection]:
    """The connections of sqlite3 that are open in this process; to look for them takes a moment."""
    return [one for one in gc.get_objects() if isinstance(one, sqlite3.Connection)]


def _watch_sqlite(patches: Patches, tell: Tell, connections: list[Any]) -> None:
    tracing = _Tracing(tell, connections)
    patches.later(tracing.end)
    for one in tuple(connections):
        tracing.trace(one)
    replaced = tracing.connected(sqlite3.connect)
    for module in (sqlite3, sys.modules["sqlite3.dbapi2"]):
        patches.put(module, "connect", lambda _: replaced)


class _Tracing:
    """Connections tell each statement with its parameters in it: their classes cannot be changed."""

    def __init__(self, tell: Tell, known: list[Any]) -> None:
        self._tell = tell
        self._known = known
        self._traced: list[sqlite3.Connection] = []

    def trace(self, connection: sqlite3.Connection) -> None:
        """Has a connection tell, where it may be touched here."""
        if type(connection).__module__.startswith("purposeguard."):
            return  # the store of governance
        try:
            connection.set_trace_callback(self._told)
        except sqlite3.ProgrammingError:
            return  # closed, or of another thread, which alone may touch it
        self._traced.append(connection)

    def _told(self, statement: str) -> None:
        if not (is_told_above() or _from_sqlalchemy()):
            self._tell("sql", "", lambda: {"statement": statement})

    def connected(self, connect: Any) -> Any:
        """`connect`, whose connections tell."""

        @functools.wraps(connect)
        def wrapper(*args: Any, **options: Any) -> Any:
            connection = connect(*args, **options)
            self._known.append(connection)
            self.trace(connection)
            return connection

        return wrapper

    def end(self) -> None:
        """Has none tell any more."""
        for one in self._traced:
            try:
                one.set_trace_callback(None)
            except sqlite3.ProgrammingError:
                continue  # closed meanwhile, or made in another thread: it tells, and nobody listens
        self._traced.clear()
