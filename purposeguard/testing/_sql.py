"""SQL that is sent to a database: texts, and parameters."""

from __future__ import annotations

import functools
import gc
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from purposeguard.testing._patching import Patches, Tell, is_told_above, text_of

OWN: Final = "purposeguard"
"""By which name the engines of governance go: what is written there of uses, and whose they are, is no effect."""


def watch(patches: Patches, tell: Tell, connections: list[Any] | None) -> None:
    """Watches SQLAlchemy, psycopg and duckdb where they are loaded, and sqlite3.

    `connections` of sqlite3 that are open: those that are made meanwhile are added to them.
    """
    if "sqlalchemy" in sys.modules:
        _watch_sqlalchemy(patches, tell)
    if "psycopg" in sys.modules:
        _watch_psycopg(patches, tell, sys.modules["psycopg"])
    if "duckdb" in sys.modules:
        _watch_duckdb(patches, tell, sys.modules["duckdb"])
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
    from sqlalchemy.engine import Engine  # noqa: PLC0415  # likewise

    def executed(
        connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _executemany: bool
    ) -> None:
        if getattr(connection.engine, "logging_name", None) != OWN:
            tell("sql", "", lambda: {"statement": statement, **_parameters(parameters)})

    event.listen(Engine, "before_cursor_execute", executed)
    patches.later(lambda: event.remove(Engine, "before_cursor_execute", executed))


# ---- psycopg ------------------------------------------------------------------------------------------------------


def _watch_psycopg(patches: Patches, tell: Tell, psycopg: Any) -> None:
    for name in ("Cursor", "ServerCursor"):
        for cls in (getattr(psycopg, name), getattr(psycopg, f"Async{name}")):
            for method in ("execute", "executemany", "stream", "copy"):
                if method in vars(cls):
                    patches.put(cls, method, lambda fn: _executed(fn, tell))
    for cls in (psycopg.Copy, psycopg.AsyncCopy):
        patches.put(cls, "write", lambda write: _copied(write, tell))
        patches.put(cls, "write_row", lambda write: _copied(write, tell))


def _executed(execute: Any, tell: Tell) -> Any:
    @functools.wraps(execute)
    def wrapper(self: Any, query: Any, *given: Any, **options: Any) -> Any:
        named = next((name for name in ("params", "params_seq") if name in options), None)
        params = given[0] if given else options.get(named or "")
        if isinstance(params, Iterator):  # rows that are made one by one
            params = list(params)
            if named is None:
                given = (params, *given[1:])
            else:
                options[named] = params
        if not _from_sqlalchemy():
            tell("sql", "", lambda: {"statement": _statement(query, self), **_parameters(params)})
        return execute(self, query, *given, **options)

    return wrapper


def _statement(query: Any, cursor: Any) -> str:
    as_string = getattr(query, "as_string", None)
    return as_string(cursor.connection) if as_string is not None else text_of(query)


def _copied(write: Any, tell: Tell) -> Any:
    @functools.wraps(write)
    def wrapper(self: Any, data: Any) -> Any:
        parts = _parameters(list(data)) if write.__name__ == "write_row" else {"content": text_of(data)}
        tell("sql", "rows copied", lambda: parts)
        return write(self, data)

    return wrapper


# ---- duckdb -------------------------------------------------------------------------------------------------------

_STATEMENTS: Final = ("execute", "executemany", "sql", "query", "from_query", "append", "register")


def _watch_duckdb(patches: Patches, tell: Tell, duckdb: Any) -> None:
    for name in _STATEMENTS:
        if hasattr(duckdb.DuckDBPyConnection, name):
            patches.put(duckdb.DuckDBPyConnection, name, lambda fn: _asked(fn, tell, own=1))
        if hasattr(duckdb, name):  # of the connection that the module keeps
            patches.put(duckdb, name, lambda fn: _asked(fn, tell, own=0))


def _asked(fn: Any, tell: Tell, *, own: int) -> Any:
    @functools.wraps(fn)
    def wrapper(*args: Any, **options: Any) -> Any:
        query, *given = (*args[own:], *(value for name, value in options.items() if name != "connection"))
        if not _from_sqlalchemy():
            parts = {name: text for one in given for name, text in _parameters(one).items()}
            tell("sql", "", lambda: {"statement": text_of(query), **parts})
        return fn(*args, **options)

    return wrapper


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
    original = sqlite3.connect
    replaced = tracing.connected(original)
    for module in tuple(sys.modules.values()):
        if _names_in(module).get("connect") is original:  # also where it was imported by its name
            patches.put(module, "connect", lambda _: replaced)


def _names_in(module: Any) -> Mapping[str, Any]:
    """What a module holds; one that is not loaded before it is used is left so."""
    try:
        found: Mapping[str, Any] = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return {}
    return found


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
