"""What is sent by sockets, whatever library does it, where nothing above has told of it; and mails of smtplib."""

from __future__ import annotations

import gc
import smtplib
import socket
import ssl
import weakref
from typing import Any, Final

from purposeguard.testing._patching import Parts, Patches, Tell, is_told_above, text_of, told_above

_RECORDS: Final = frozenset({b"\x14", b"\x15", b"\x16", b"\x17"})
"""By what the records of TLS begin: what is in them is told before it is enciphered."""

_HERE: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_GIVEN: Final = 32768

_PASSED_OVER: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
"""Connections that somebody else has begun, so that answers are sent by them; and those on which TLS is spoken."""


def watch(patches: Patches, tell: Tell) -> None:
    """Watches connections that this process begins, datagrams, TLS, and smtplib."""
    sending = _Sending(tell)
    for name in ("connect", "connect_ex"):
        patches.put(socket.socket, name, sending.connect)
    patches.put(socket.socket, "accept", _accepted)
    patches.put(socket.socket, "send", sending.send)
    patches.put(socket.socket, "sendall", sending.sendall)
    patches.put(socket.socket, "sendto", sending.sendto)
    if hasattr(socket.socket, "sendmsg"):
        patches.put(socket.socket, "sendmsg", sending.sendmsg)
    for name in ("send", "write"):
        patches.put(ssl.SSLSocket, name, sending.write)
    patches.put(ssl.SSLObject, "write", sending.write)
    patches.put(smtplib.SMTP, "sendmail", lambda sendmail: _mailed(sendmail, tell))


class _Sending:
    """Tells of each connection once; what is sent by it grows."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told: weakref.WeakKeyDictionary[Any, list[Any]] = weakref.WeakKeyDictionary()

    def connect(self, connect: Any) -> Any:
        def wrapper(connection: Any, address: Any, /) -> Any:
            if not is_told_above():
                self._begin(connection, address)
            return connect(connection, address)

        return wrapper

    def send(self, send: Any) -> Any:
        def wrapper(connection: Any, data: Any, /, *flags: Any) -> Any:
            sent = send(connection, data, *flags)
            self._note(connection, data, sent)
            return sent

        return wrapper

    def sendall(self, sendall: Any) -> Any:
        def wrapper(connection: Any, data: Any, /, *flags: Any) -> None:
            self._note(connection, data, None)
            sendall(connection, data, *flags)

        return wrapper

    def sendmsg(self, sendmsg: Any) -> Any:
        def wrapper(connection: Any, buffers: Any, /, *more: Any) -> Any:
            buffers = [bytes(one) for one in buffers]
            sent = sendmsg(connection, buffers, *more)
            self._note(connection, b"".join(buffers), sent)
            return sent

        return wrapper

    def sendto(self, sendto: Any) -> Any:
        def wrapper(connection: Any, data: Any, /, *more: Any) -> Any:
            if not is_told_above():
                parts: Parts = {"address": _address(more[-1]), "content": bytes(data)}
                self._tell("socket", _means(connection), lambda: parts)
            return sendto(connection, data, *more)

        return wrapper

    def write(self, write: Any) -> Any:
        """By TLS."""

        def wrapper(connection: Any, data: Any, /, *flags: Any) -> Any:
            with told_above():
                sent = write(connection, data, *flags)
            if not connection.server_side:
                self._note(connection, data, sent)
            return sent

        return wrapper

    def _begin(self, connection: Any, address: Any) -> list[Any]:
        told = self._tell("socket", _means(connection), lambda: {"address": _address(address)})
        self._told[connection] = told
        return told

    def _note(self, connection: Any, data: Any, count: int | None) -> None:
        if is_told_above() or connection in _PASSED_OVER:
            return
        sent = bytes(memoryview(data).cast("B")[:count])
        is_plain = isinstance(connection, socket.socket) and not isinstance(connection, ssl.SSLSocket)
        if is_plain and (not _peer(connection) or (sent[:1] in _RECORDS and sent[1:2] == b"\x03")):
            _PASSED_OVER.add(connection)
            return
        if connection not in self._told and is_plain and _is_answering(connection):
            _PASSED_OVER.add(connection)  # it was accepted by somebody who has waited since before
            return
        told = [one for one in self._told.get(connection, ()) if not one.ended]
        for one in told or self._begin(connection, _peer(connection)):
            one.grow("content", sent)


def _accepted(accept: Any) -> Any:
    def wrapper(listening: Any) -> Any:
        connection, address = accept(listening)
        _PASSED_OVER.add(connection)
        return connection, address

    return wrapper


def _is_answering(connection: socket.socket) -> bool:
    """Whether a connection is with a server of this process: its port is one on which somebody listens here."""
    if connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return False
    port = connection.getsockname()[1]
    sockets = [one for one in gc.get_objects() if isinstance(one, socket.socket) and one.fileno() >= 0]
    return any(_listens(one) and one.getsockname()[1] == port for one in sockets)


def _listens(one: socket.socket) -> bool:
    return (
        one.family in {socket.AF_INET, socket.AF_INET6}
        and one.type == socket.SOCK_STREAM
        and bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    )


def _peer(connection: Any) -> Any:
    """Whom a connection is with; nothing where that is this process itself, which wakes its own loops so."""
    try:
        return getattr(connection, "server_hostname", None) or connection.getpeername()
    except OSError:
        return None


def _means(connection: Any) -> str:
    if isinstance(connection, (ssl.SSLObject, ssl.SSLSocket)):
        return "TLS"
    if connection.family in {socket.AF_INET, socket.AF_INET6}:
        return "UDP" if connection.type == socket.SOCK_DGRAM else "TCP"
    return "a socket of this machine"


def _address(address: Any) -> str:
    if isinstance(address, tuple):
        host, port = address[:2]
        given = host in _HERE and isinstance(port, int) and port >= _GIVEN  # by the system, another one each time
        return f"{text_of(host)}:{'…' if given else port}"
    return text_of(address)


# ---- Mails --------------------------------------------------------------------------------------------------------


def _mailed(sendmail: Any, tell: Tell) -> Any:
    def wrapper(self: Any, from_addr: Any, to_addrs: Any, msg: Any, *more: Any, **options: Any) -> Any:
        to = [to_addrs] if isinstance(to_addrs, str) else list(to_addrs)
        text = msg if isinstance(msg, str) else bytes(msg)
        tell("mail", "", lambda: {"from": text_of(from_addr), "to": ", ".join(map(text_of, to)), "message": text})
        with told_above():
            return sendmail(self, from_addr, to, msg, *more, **options)

    return wrapper
