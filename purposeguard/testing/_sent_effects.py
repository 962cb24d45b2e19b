"""Effects on other systems: HTTP requests, responses of an application in this process, mails, sockets, SQL."""

from __future__ import annotations

import contextlib
import functools
import gc
import http.client
import inspect
import smtplib
import socket
import sqlite3
import ssl
import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from purposeguard.testing._local_effects import Parts, Patches, Tell, is_quiet, listen, quiet
from purposeguard.testing._queries import find_access_function, working_for
from purposeguard.testing._shown import text_of


def watch(patches: Patches, tell: Tell, connections: list[sqlite3.Connection] | None) -> None:
    """Watch the clients and drivers that are loaded, and those of the standard library.

    `connections` of sqlite3 that are open; None: they are looked for. Those made meanwhile are added.
    """
    for module, names in _CLIENTS.items():
        for name in names if module in sys.modules else ():
            patches.wrap(getattr(sys.modules[module], name), "send", functools.partial(_sent, tell))
    patches.wrap(http.client.HTTPConnection, "endheaders", functools.partial(_record_end, tell))
    patches.wrap(http.client.HTTPConnection, "send", _sent_on)
    patches.wrap(smtplib.SMTP, "sendmail", functools.partial(_record_mail, tell))
    _Sockets(tell).watch(patches)
    if "sqlalchemy" in sys.modules:
        _watch_sqlalchemy(patches, tell)
    if "psycopg" in sys.modules:
        _watch_psycopg(patches, tell, sys.modules["psycopg"])
    if "duckdb" in sys.modules:
        _watch_duckdb(patches, tell, sys.modules["duckdb"])
    if "aiosqlite" in sys.modules:
        patches.wrap(sys.modules["aiosqlite"].Connection, "_execute", _queue_for_caller)
    _watch_sqlite(patches, tell, open_connections() if connections is None else connections)


# ---- HTTP ---------------------------------------------------------------------------------------------------------

_CLIENTS: Final = {
    "httpx": ("Client", "AsyncClient"),
    "httpx2": ("Client", "AsyncClient"),
    "requests": ("Session",),
}
_DULL: Final = frozenset({"date", "content-length", "connection", "accept-encoding"})
"""Request headers without information of their own."""

_begun: Final[weakref.WeakKeyDictionary[Any, list[Any]]] = weakref.WeakKeyDictionary()
"""http.client connection → the effects of the request whose body is being sent."""


def _sent(tell: Tell, send: Any) -> Any:
    @functools.wraps(send)
    def wrapper(client: Any, request: Any, **options: Any) -> Any:
        if not _is_inside(client, request):
            body = request.read() if hasattr(request, "read") else request.body
            with _record_request(tell, request, body):
                return send(client, request, **options)
        response = send(client, request, **options)
        _record_answer(tell, response, options)
        return response

    @functools.wraps(send)
    async def async_wrapper(client: Any, request: Any, **options: Any) -> Any:
        if not _is_inside(client, request):
            with _record_request(tell, request, await request.aread()):
                return await send(client, request, **options)
        response = await send(client, request, **options)
        _record_answer(tell, response, options)
        return response

    return async_wrapper if inspect.iscoroutinefunction(send) else wrapper


def _record_request(tell: Tell, request: Any, body: Any) -> contextlib.AbstractContextManager[None]:
    """Record a request; return the block in which to send it."""
    parts = {"address": str(request.url), **_headers(request.headers.items()), "body": _body(body)}
    tell("http", str(request.method), lambda: parts)
    # A streamed body is recorded below.
    return quiet("http", "socket") if body is None or _is_whole(body) else quiet()


def _is_inside(client: Any, request: Any) -> bool:
    """Return True if a client calls an application in this process.

    Then the response is the effect, not the request.
    """
    find = getattr(client, "_transport_for_url", None)
    transport = find(request.url) if find is not None else None
    return getattr(transport, "app", None) is not None


def _record_answer(tell: Tell, response: Any, options: Mapping[str, Any]) -> None:
    body = b"" if options.get("stream") else response.content
    headers = _headers(response.headers.items(), {"content-length"} if body else set())
    tell("response", "", lambda: {"status": str(response.status_code), **headers, "body": body})


def _headers(headers: Iterable[tuple[Any, Any]], dull: Iterable[str] = _DULL) -> dict[str, str]:
    parts: dict[str, str] = {}
    for header, value in headers:
        name = text_of(header).lower()
        if name not in dull:  # a name may occur several times
            before = parts.get(f"header {name}")
            parts[f"header {name}"] = text_of(value) if before is None else f"{before}, {text_of(value)}"
    return parts


def _is_whole(body: Any) -> bool:
    return isinstance(body, (str, bytes, bytearray, memoryview))


def _body(body: Any) -> str | bytes:
    if body is None or isinstance(body, str):
        return body or ""
    return bytes(body) if _is_whole(body) else f"<{type(body).__name__}>"


def _record_end(tell: Tell, endheaders: Any) -> Any:
    @functools.wraps(endheaders)
    def wrapper(connection: Any, message_body: Any = None, **options: Any) -> Any:
        if not connection._buffer:  # no request has begun: the call raises
            return endheaders(connection, message_body, **options)
        # The standard library has no public name for the lines of a request that was not sent yet.
        line, *headers = map(text_of, connection._buffer)
        method, url, *_ = line.split(" ")
        if "://" not in url:
            scheme = "https" if isinstance(connection, http.client.HTTPSConnection) else "http"
            url = f"{scheme}://{connection.host}:{connection.port}{url}"
        named: list[tuple[str, str]] = []
        for header in headers:
            name, _, content = header.partition(": ")
            named.append((name, content))
        # A complete body is recorded before it is sent: the connection may fail.
        body = _body(message_body) if _is_whole(message_body) else b""
        parts: Parts = {"address": url, **_headers(named), "body": body}
        _begun[connection] = tell("http", method, lambda: parts)
        # Request line and headers are not part of the body, and the socket must not record them again.
        with quiet("socket", *(["http"] if message_body is None or _is_whole(message_body) else [])):
            return endheaders(connection, message_body, **options)

    return wrapper


def _sent_on(send: Any) -> Any:
    @functools.wraps(send)
    def wrapper(connection: Any, data: Any) -> Any:
        if not is_quiet("http") and _is_whole(data):
            for effect in _begun.get(connection, ()):
                effect.grow("body", _body(data))
        with quiet("socket"):
            return send(connection, data)

    return wrapper


# ---- Mails and sockets --------------------------------------------------------------------------------------------


def _record_mail(tell: Tell, sendmail: Any) -> Any:
    @functools.wraps(sendmail)
    def wrapper(server: Any, from_addr: Any, to_addrs: Any, msg: Any, *more: Any, **options: Any) -> Any:
        to = [to_addrs] if isinstance(to_addrs, str) else list(to_addrs)
        parts: Parts = {"from": text_of(from_addr), "to": ", ".join(map(text_of, to)), "message": _body(msg)}
        tell("mail", "", lambda: parts)
        with quiet("socket"):
            return sendmail(server, from_addr, to, msg, *more, **options)

    return wrapper


_TLS_RECORDS: Final = (b"\x14\x03", b"\x15\x03", b"\x16\x03", b"\x17\x03")
"""The first bytes of TLS records, which are recorded before encryption."""

_LOCAL: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_EPHEMERAL: Final = 32768
"""Ports from this one on are ephemeral."""


class _Sockets:
    """Records each connection as one effect, to which sent data is added."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._begun: weakref.WeakKeyDictionary[Any, list[Any]] = weakref.WeakKeyDictionary()
        self._answering: weakref.WeakSet[Any] = weakref.WeakSet()

    def watch(self, patches: Patches) -> None:
        """Watch outgoing connections, datagrams, and TLS."""
        listen(patches, self._hear)
        for cls, name, make in (
            (socket.socket, "send", self._sent),
            (socket.socket, "sendall", self._sent_all),
            (socket.socket, "sendmsg", self._sent_message),
            (socket.socket, "sendto", self._sent_to),
            (ssl.SSLSocket, "send", self._sent),
            (ssl.SSLSocket, "write", self._sent),
            (ssl.SSLObject, "write", self._sent),
        ):
            if hasattr(cls, name):
                patches.wrap(cls, name, make)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            self._begin(*args)

    def _begin(self, connection: Any, address: Any) -> list[Any]:
        effects = self._tell("socket", _means(connection), lambda: {"address": _address(address)})
        self._begun[connection] = effects
        return effects

    def _note(self, connection: Any, data: Any, count: int | None = None) -> None:
        peer = _peer(connection)
        content = bytes(memoryview(data).cast("B")[:count])
        if is_quiet("socket") or peer is None or connection in self._answering or content.startswith(_TLS_RECORDS):
            return
        if connection not in self._begun and isinstance(connection, socket.socket) and _is_answering(connection):
            self._answering.add(connection)
            return
        effects = [effect for effect in self._begun.get(connection, ()) if not effect.ended]
        for effect in effects or self._begin(connection, peer):
            effect.grow("content", content)

    def _sent(self, send: Any) -> Any:
        @functools.wraps(send)
        def wrapper(connection: Any, data: Any, /, *flags: Any) -> Any:
            with quiet("socket") if isinstance(connection, (ssl.SSLSocket, ssl.SSLObject)) else quiet():
                count = send(connection, data, *flags)
            if not getattr(connection, "server_side", False):
                self._note(connection, data, count)
            return count

        return wrapper

    def _sent_all(self, sendall: Any) -> Any:
        def wrapper(connection: Any, data: Any, /, *flags: Any) -> None:
            self._note(connection, data)
            sendall(connection, data, *flags)

        return wrapper

    def _sent_message(self, sendmsg: Any) -> Any:
        def wrapper(connection: Any, buffers: Any, /, *more: Any) -> Any:
            buffers = list(map(bytes, buffers))
            count = sendmsg(connection, buffers, *more)
            self._note(connection, b"".join(buffers), count)
            return count

        return wrapper

    def _sent_to(self, sendto: Any) -> Any:
        def wrapper(connection: Any, data: Any, /, *more: Any) -> Any:
            parts: Parts = {"address": _address(more[-1]), "content": bytes(data)}
            self._tell("socket", _means(connection), lambda: parts)
            return sendto(connection, data, *more)

        return wrapper


def _is_answering(connection: socket.socket) -> bool:
    """Return True for a connection that a server in this process accepted: its port is a listening one."""
    port = connection.getsockname()[1:2]
    if not port:
        return False
    for item in gc.get_objects():
        is_open_socket = issubclass(type(item), socket.socket) and item.fileno() >= 0
        if is_open_socket and _listens(item) and item.getsockname()[1:2] == port:
            return True
    return False


def _listens(connection: socket.socket) -> bool:
    return connection.type == socket.SOCK_STREAM and bool(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    )


def _peer(connection: Any) -> Any:
    """Return the peer of a connection; None for this process itself, whose event loops wake themselves by sockets."""
    try:
        return getattr(connection, "server_hostname", None) or connection.getpeername() or None
    except OSError:
        return None


def _means(connection: Any) -> str:
    if isinstance(connection, (ssl.SSLObject, ssl.SSLSocket)):
        return "TLS"
    if connection.family in {socket.AF_INET, socket.AF_INET6}:
        return "UDP" if connection.type == socket.SOCK_DGRAM else "TCP"
    return "a socket of this machine"


def _address(address: Any) -> str:
    if not isinstance(address, tuple):
        return text_of(address)
    host, port = address[:2]
    return f"{text_of(host)}:{'…' if host in _LOCAL and isinstance(port, int) and port >= _EPHEMERAL else port}"


# ---- SQL ----------------------------------------------------------------------------------------------------------

OWN: Final = "purposeguard"
"""The name of governance's engines: what they write is no effect of the code under test."""


def _parameters(parameters: Any, prefix: str = "parameter") -> dict[str, str]:
    if isinstance(parameters, Mapping):
        return {f"{prefix} {name}": text_of(value) for name, value in parameters.items()}
    if not isinstance(parameters, (list, tuple)):
        return {} if parameters is None else {prefix: text_of(parameters)}
    is_many = bool(parameters) and all(isinstance(row, (Mapping, list, tuple)) for row in parameters)
    texts: dict[str, str] = {}
    for number, value in enumerate(parameters, 1):
        if is_many:
            texts |= _parameters(value, f"row {number}, parameter")
        else:
            texts[f"{prefix} {number}"] = text_of(value)
    return texts


def _watch_sqlalchemy(patches: Patches, tell: Tell) -> None:
    from sqlalchemy import event  # noqa: PLC0415  # loaded already
    from sqlalchemy.engine import Engine  # noqa: PLC0415  # likewise

    def record_statement(connection: Any, _: Any, statement: str, parameters: Any, *__: Any) -> None:
        if getattr(connection.engine, "logging_name", None) != OWN:
            tell("sql", "", lambda: {"statement": statement, **_parameters(parameters)})

    event.listen(Engine, "before_cursor_execute", record_statement)
    patches.callback(event.remove, Engine, "before_cursor_execute", record_statement)


def _from_sqlalchemy() -> bool:
    """Return True if SQLAlchemy, which reports the statement itself, is among the nearest callers."""
    frame = sys._getframe(2)
    for _ in range(12):
        if frame.f_globals.get("__name__", "").startswith("sqlalchemy."):
            return True
        if frame.f_back is None:
            break
        frame = frame.f_back
    return False


def _watch_psycopg(patches: Patches, tell: Tell, psycopg: Any) -> None:
    for cls in (psycopg.Cursor, psycopg.AsyncCursor, psycopg.ServerCursor, psycopg.AsyncServerCursor):
        for method in {"execute", "executemany", "stream", "copy"} & set(vars(cls)):
            patches.wrap(cls, method, functools.partial(_record_execution, tell))
    for cls in (psycopg.Copy, psycopg.AsyncCopy):
        for method in ("write", "write_row"):
            patches.wrap(cls, method, functools.partial(_record_copy, tell))


def _record_execution(tell: Tell, execute: Any) -> Any:
    @functools.wraps(execute)
    def wrapper(cursor: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        name = next((name for name in ("params", "params_seq") if name in options), None)
        parameters = options[name] if name else arguments[0] if arguments else None
        if isinstance(parameters, Iterator):  # a generator of rows
            parameters = list(parameters)
            arguments, options = ((), options | {name: parameters}) if name else ((parameters, *arguments[1:]), options)
        if not _from_sqlalchemy():
            as_string = getattr(query, "as_string", None)
            statement = text_of(query) if as_string is None else as_string(cursor.connection)
            tell("sql", "", lambda: {"statement": statement, **_parameters(parameters)})
        return execute(cursor, query, *arguments, **options)

    return wrapper


def _record_copy(tell: Tell, write: Any) -> Any:
    @functools.wraps(write)
    def wrapper(copy: Any, data: Any) -> Any:
        parts = _parameters(list(data)) if write.__name__ == "write_row" else {"content": text_of(data)}
        tell("sql", "rows copied", lambda: parts)
        return write(copy, data)

    return wrapper


def _watch_duckdb(patches: Patches, tell: Tell, duckdb: Any) -> None:
    def record_query(fn: Any, own: int) -> Any:
        @functools.wraps(fn)
        def wrapper(*args: Any, **options: Any) -> Any:
            query, *arguments = (*args[own:], *(value for name, value in options.items() if name != "connection"))
            if not _from_sqlalchemy():
                parts: dict[str, str] = {}
                for value in arguments:
                    parts |= _parameters(value)
                tell("sql", "", lambda: {"statement": text_of(query), **parts})
            return fn(*args, **options)

        return wrapper

    for owner, own in ((duckdb.DuckDBPyConnection, 1), (duckdb, 0)):  # the module has a default connection
        for name in ("execute", "executemany", "sql", "query", "from_query", "append", "register"):
            if hasattr(owner, name):
                patches.wrap(owner, name, functools.partial(record_query, own=own))


def _queue_for_caller(execute: Any) -> Any:
    """Wrap the method by which aiosqlite queues calls, so that its thread knows who sends a statement."""

    @functools.wraps(execute)
    def wrapper(connection: Any, fn: Any, *args: Any, **kwargs: Any) -> Any:
        reader, reported = find_access_function(), ("sql",) if _from_sqlalchemy() else ()

        def run(*own: Any, **options: Any) -> Any:
            with working_for(reader), quiet(*reported):
                return fn(*own, **options)

        return execute(connection, run, *args, **kwargs)

    return wrapper


def open_connections() -> list[sqlite3.Connection]:
    """Return the open sqlite3 connections of this process; slow, as it searches all objects."""
    classes: list[type] = [sqlite3.Connection]
    for cls in classes:
        classes += type.__subclasses__(cls)
    # An instance refers to its class.
    return [item for item in gc.get_referrers(*classes) if issubclass(type(item), sqlite3.Connection)]


def _watch_sqlite(patches: Patches, tell: Tell, connections: list[sqlite3.Connection]) -> None:
    """Watch connections by their trace callback, since their methods cannot be replaced."""
    connect = sqlite3.connect

    def record_statement(statement: str) -> None:
        if not _from_sqlalchemy():
            tell("sql", "", lambda: {"statement": statement})

    def add(connection: sqlite3.Connection) -> None:
        if not type(connection).__module__.startswith("purposeguard."):  # the store of governance
            _trace(connection, record_statement)
            patches.callback(_trace, connection, None)

    @functools.wraps(connect)
    def record_connection(*args: Any, **options: Any) -> Any:
        connection = connect(*args, **options)
        connections.append(connection)
        add(connection)
        return connection

    for connection in tuple(connections):
        add(connection)
    for module in tuple(sys.modules.values()):
        # Also in modules that imported it by name; lazily loaded modules are left alone.
        if type(module).__name__ != "_LazyModule" and vars(module).get("connect") is connect:
            patches.put(module, "connect", record_connection)


def _trace(connection: sqlite3.Connection, callback: Any) -> None:
    # ProgrammingError means that the connection is closed, or belongs to another thread.
    with contextlib.suppress(sqlite3.ProgrammingError):
        connection.set_trace_callback(callback)
