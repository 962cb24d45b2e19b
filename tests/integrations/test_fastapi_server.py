"""The same on a real server: 200 requests at a time, of which none sees the purpose of another."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx2
import pytest
import wsproto
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

from tests.integrations.fastapi_matrix import ANSWERS, FAILING, PURPOSES, SOCKETS, STREAMS, told

CLAUSES = {name: purpose.clause for name, purpose in PURPOSES.items()} | {"none": "none"}
AT_A_TIME = 200
PATIENCE = 120.0


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a server that has started: it listens on a socket that it is given, so requests wait until it does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(AT_A_TIME)
        descriptor = listener.fileno()
        command = [sys.executable, "-m", "uvicorn", "tests.integrations.fastapi_matrix:app"]
        command += ["--fd", str(descriptor), "--ws", "wsproto", "--log-level", "critical", "--no-access-log"]
        # By default it closes connections that rest for five seconds, longer than which a busy machine may take.
        command += ["--timeout-keep-alive", str(int(PATIENCE))]
        server = subprocess.Popen(command, pass_fds=[descriptor], env={**os.environ, "PYTHONPATH": "."})
        try:
            yield listener.getsockname()[1]
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE) in (0, -signal.SIGTERM)


async def of_answer(client: httpx2.AsyncClient, path: str) -> set[str]:
    answer = await client.get(path)
    assert answer.status_code == 200
    return set(answer.json())


async def of_stream(client: httpx2.AsyncClient, path: str) -> set[str]:
    return told((await client.get(path)).text)


async def of_socket(client: httpx2.AsyncClient, path: str) -> set[str]:
    """What a websocket sends before it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    connection = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    writer.write(connection.send(Request(host="127.0.0.1", target=path)))
    texts: list[str] = []
    try:
        while True:
            connection.receive_data(await reader.read(65536) or None)
            for event in connection.events():
                if isinstance(event, TextMessage):
                    texts.append(event.data)
                elif isinstance(event, CloseConnection):
                    return set(json.loads("".join(texts)))
                else:
                    assert isinstance(event, AcceptConnection)
    finally:
        writer.close()


async def of_failure(client: httpx2.AsyncClient, path: str) -> set[str]:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    said = answer.json()["detail"]
    return {clause for clause in CLAUSES.values() if f"({clause})" in said} or {"none"}


async def all_at_once(port: int) -> None:
    asked = [
        *((of_answer, path) for path in ANSWERS),
        *((of_stream, path) for path in STREAMS),
        *((of_socket, path) for path in SOCKETS),
        *((of_failure, path) for path in FAILING),
    ]
    every = [(ask, name, path) for name in CLAUSES for ask, path in asked]
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE, limits=limits
    ) as client:
        for begun in range(0, 3 * AT_A_TIME, AT_A_TIME):
            turn = [every[number % len(every)] for number in range(begun, begun + AT_A_TIME)]
            found = await asyncio.gather(*(ask(client, f"/{name}/{path}") for ask, name, path in turn))
            for (_, name, path), purposes in zip(turn, found, strict=True):
                assert purposes == {CLAUSES[name]}, path
        counted = (await client.get("/counted")).json()
    assert {(name, seen) for name, seen, _ in counted["background"]} == set(CLAUSES.items())
    assert {(before, after) for before, after, _ in counted["ended"]} == {(one, one) for one in CLAUSES.values()}


def test_nothing_crosses_among_concurrent_requests(port: int):
    asyncio.run(all_at_once(port))


def test_a_client_that_leaves_takes_no_purpose_along(port: int):
    """Half of the connections are cut while their streams are sent; the others are as if nothing had happened."""

    async def cut(path: str) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def among_others() -> None:
        base = f"http://127.0.0.1:{port}"
        async with httpx2.AsyncClient(base_url=base, trust_env=False, timeout=PATIENCE) as client:
            cuts = [cut(f"/renewal/{STREAMS[number % len(STREAMS)]}") for number in range(100)]
            asked = [of_answer(client, f"/none/{ANSWERS[number % len(ANSWERS)]}") for number in range(100)]
            found = await asyncio.gather(*cuts, *asked)
            assert {one for purposes in found if purposes for one in purposes} == {"none"}

    asyncio.run(among_others())
