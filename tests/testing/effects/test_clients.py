"""What clients of HTTP send is told as a server on this machine gets it: requests and aiohttp, as they are."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import aiohttp
import pytest
import requests

from purposeguard.testing import Effects, captured


class Got(NamedTuple):
    """A request as the server got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


class Server(NamedTuple):
    address: str
    got: list[Got]


@pytest.fixture
def server() -> Iterator[Server]:
    got: list[Got] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            got.append(Got(self.command, self.path, headers, self.body(headers).decode()))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def body(self, headers: dict[str, str]) -> bytes:
            if headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(headers.get("content-length", 0)))
            whole = b""
            while size := int(self.rfile.readline(), 16):
                whole += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return whole

        do_GET = do_POST = do_PUT = answer

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Server(f"http://127.0.0.1:{running.server_address[1]}", got)
        finally:
            running.shutdown()
            thread.join()


def told(effects: Effects, server: Server) -> list[Got]:
    """What is told of requests, with the headers that bear something of the caller's."""
    found = []
    for one in effects.of("http"):
        parts = dict(one.parts)
        headers = {name.removeprefix("header "): text for name, text in parts.items() if name.startswith("header x-")}
        found.append(Got(one.name, parts["address"].removeprefix(server.address), headers, parts["body"]))
    return found


def came(server: Server) -> list[Got]:
    """The same of what the server got."""
    return [
        one._replace(headers={name: text for name, text in one.headers.items() if name.startswith("x-")})
        for one in server.got
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"data": b"device"},
        {"data": {"about": "device"}},
        {"json": {"about": "device"}},
        {"params": {"about": "device"}},
        {"data": "デバイス".encode()},
    ],
    ids=["bytes", "form", "json", "query", "japanese"],
)
def test_requests_tells_what_arrives(server: Server, options: dict[str, Any]) -> None:
    with captured() as effects, requests.Session() as session:
        session.headers["X-Shop"] = "9"
        session.post(f"{server.address}/send", headers={"X-Order": "7"}, timeout=60, **options)
    assert told(effects, server) == came(server)
    assert came(server)[0].headers == {"x-shop": "9", "x-order": "7"}
    assert not effects.of("socket")


def test_a_body_that_is_made_while_requests_sends_it_is_told_as_it_goes(server: Server) -> None:
    with captured() as effects:
        requests.post(f"{server.address}/send", data=iter([b"dev", b"ice"]), timeout=60)
    assert came(server)[0].body == "device"
    assert any("dev" in one.body and "ice" in one.body for one in told(effects, server))


def test_files_that_requests_sends_are_told(server: Server) -> None:
    with captured() as effects:
        requests.post(f"{server.address}/send", files={"report": ("aiko.txt", b"device")}, timeout=60)
    assert told(effects, server) == came(server)
    assert "aiko.txt" in came(server)[0].body


def test_what_nobody_takes_is_told_all_the_same() -> None:
    with captured() as effects, pytest.raises(requests.ConnectionError):
        requests.post("http://127.0.0.1:9/send", data=b"device", timeout=1)
    assert [dict(one.parts)["body"] for one in effects.of("http")] == ["device"]


def post(address: str, **options: Any) -> None:
    async def main() -> None:
        async with (
            aiohttp.ClientSession(headers={"X-Shop": "9"}) as session,
            session.post(f"{address}/send", headers={"X-Order": "7"}, **options) as answer,
        ):
            assert await answer.text() == "ok"

    asyncio.run(main())


@pytest.mark.parametrize(
    "options",
    [{"data": b"device"}, {"json": {"about": "device"}}, {"data": "デバイス"}],
    ids=["bytes", "json", "japanese"],
)
def test_what_aiohttp_sends_is_told_of_its_socket(server: Server, options: dict[str, Any]) -> None:
    with captured() as effects:
        post(server.address, **options)
    (sent,) = effects.of("socket")
    assert "x-shop: 9" in dict(sent.parts)["content"].lower()
    assert dict(sent.parts)["content"].endswith(came(server)[0].body)


def test_forms_queries_and_cookies_of_aiohttp_are_told(server: Server) -> None:
    form = aiohttp.FormData()
    form.add_field("about", "device")
    with captured() as effects:
        post(server.address, data=form, params={"page": "phone"}, cookies={"last": "laptop"})
    (arrived,) = server.got
    assert (arrived.body, arrived.path) == ("about=device", "/send?page=phone")
    assert arrived.headers["cookie"] == "last=laptop"
    whole = json.dumps([dict(one.parts) for one in effects])
    assert all(word in whole for word in ("about", "device", "page", "phone", "last", "laptop"))


def test_a_body_that_is_made_while_aiohttp_sends_it_is_told_as_it_goes(server: Server) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"dev"
        yield b"ice"

    with captured() as effects:
        post(server.address, data=body())
    assert came(server)[0].body == "device"
    whole = json.dumps([dict(one.parts) for one in effects])
    assert "dev" in whole
    assert "ice" in whole
