"""Servers on loopback that remember what reached them, and a forward proxy."""

from __future__ import annotations

import http.client
import http.server
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Seen(NamedTuple):
    """A request that reached a server."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Server:
    """`seen` has what reached it. `/to?url=…` redirects there, by the status `code`; anything else is answered."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.on_request: Callable[[], None] = lambda: None
        self.answer: Callable[[Seen], bytes] = lambda _: b"done"
        self.url = ""

    @property
    def bytes(self) -> bytes:
        """All that reached it."""
        return b"\n".join(repr(each).encode() + each.body for each in self.seen)

    def handle(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.on_request()
        self.seen.append(seen := Seen(handler.command, handler.path, dict(handler.headers), _body(handler)))
        asked = parse_qs(urlsplit(handler.path).query)
        if handler.path.startswith("/to?"):
            handler.send_response(int(asked.get("code", ["307"])[0]))
            handler.send_header("Location", asked["url"][0])
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        answer = self.answer(seen)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)


class Proxy(Server):
    """A forward proxy: fetches what it is asked for; what is to be a tunnel it refuses."""

    def handle(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.on_request()
        self.seen.append(Seen(handler.command, handler.path, dict(handler.headers), body := _body(handler)))
        if handler.command == "CONNECT":
            handler.send_error(403)
            return
        url = urlsplit(handler.path)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
        try:
            connection.request(handler.command, f"{url.path}?{url.query}", body)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        handler.send_response(answer.status)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)


def _body(handler: http.server.BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding") != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    body = b""
    while size := int(handler.rfile.readline() or b"0", 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    return body


class _Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away half-way is part of some tests."""


class _Handler(http.server.BaseHTTPRequestHandler):
    serves: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as the base class has it
        """Nothing is printed."""

    def do_GET(self) -> None:
        self.serves.handle(self)

    do_POST = do_PUT = do_HEAD = do_CONNECT = do_GET


@contextmanager
def serving(server: Server, host: str = "127.0.0.1") -> Iterator[Server]:
    """The server, reachable at its `url`."""

    class Handler(_Handler):
        protocol_version = "HTTP/1.1"
        timeout = 60
        serves = server

    with _Quiet((host, 0), Handler) as listening:
        server.url = f"http://{host}:{listening.server_port}"
        with _running(listening):
            yield server


@contextmanager
def serving_socket(server: Server, path: str) -> Iterator[Server]:
    """The same on a Unix domain socket."""

    class Handler(_Handler):
        serves = server

        def address_string(self) -> str:
            return path

    with socketserver.ThreadingUnixStreamServer(path, Handler) as listening, _running(listening):
        yield server


@contextmanager
def _running(listening: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        listening.shutdown()
        thread.join()
