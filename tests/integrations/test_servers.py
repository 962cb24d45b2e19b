"""Under each usual server a request has its own purpose and nobody else's, in two hundred requests at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.integrations.serving import LOOKS, NONE, PATHS, PURPOSES
from tests.support import free_port

ROOT = Path(__file__).parents[2]
REQUESTS = 200

pytestmark = pytest.mark.processes


class Server(NamedTuple):
    """A command, and how many requests of one process must be seen at once, so that the test shows something."""

    command: str
    at_once: int
    forks: bool = False
    """Whether its workers are forked from a process that has the application loaded, and a purpose under way."""


GUNICORN = "gunicorn tests.integrations.serving:wsgi --preload --no-control-socket --log-level warning -b {address}"
ASGI = "gunicorn tests.integrations.serving:asgi --no-control-socket --log-level warning -b {address} -w 2"
UVICORN = "uvicorn tests.integrations.serving:asgi --log-level warning --host {host} --port {port}"
HYPERCORN = "hypercorn tests.integrations.serving:asgi --log-level warning -b {address}"

SERVERS = {
    "uvicorn": Server(UVICORN, REQUESTS),
    "uvicorn, two workers": Server(f"{UVICORN} --workers 2", 10),
    "gunicorn sync": Server(f"{GUNICORN} -w 3 -k sync", 1, forks=True),
    "gunicorn gthread": Server(f"{GUNICORN} -w 2 -k gthread --threads 20", 10, forks=True),
    "gunicorn gevent": Server(f"{GUNICORN} -w 1 -k gevent", REQUESTS, forks=True),
    "gunicorn gevent, two workers": Server(f"{GUNICORN} -w 2 -k gevent_pywsgi", 10, forks=True),
    "gunicorn with uvicorn's worker": Server(f"{ASGI} -k uvicorn.workers.UvicornWorker", 10),
    "gunicorn asgi": Server(f"{ASGI} -k asgi", 10),
    "flask run": Server("flask --app tests.integrations.serving:wsgi run --host {host} --port {port}", 50),
    "hypercorn, asyncio": Server(f"{HYPERCORN} -k asyncio", REQUESTS),
    "hypercorn, trio": Server(f"{HYPERCORN} -k trio", REQUESTS),
}


@contextlib.contextmanager
def serving(server: Server, folder: Path) -> Iterator[str]:
    """The server, running, at its address; stopped for sure when it is left."""
    host = "127.0.0.1"
    with free_port() as port, (folder / "log").open("wb") as log:
        command = server.command.format(host=host, port=port, address=f"{host}:{port}").split()
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        environ["SERVING_AT_ONCE"] = str(server.at_once)
        if server.forks:
            environ["SERVING_FORKED"] = "1"
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=folder, env=environ, stdout=log, stderr=log, start_new_session=True
        )
        try:
            until = time.monotonic() + 120
            while True:
                assert process.poll() is None, Path(log.name).read_text()
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, port), 60):
                    break
                assert time.monotonic() < until, Path(log.name).read_text()
                time.sleep(0.02)
            yield f"http://{host}:{port}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # it has a session, and so a group, of its own
            process.wait(60)


async def asked(address: str) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=REQUESTS, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=300, trust_env=False) as client:
        return await asyncio.gather(*(client.get(PATHS[number % len(PATHS)]) for number in range(REQUESTS)))


@pytest.mark.parametrize("name", SERVERS)
def test_each_request_has_its_own_purpose(name: str, tmp_path: Path) -> None:
    server = SERVERS[name]
    with serving(server, tmp_path) as address:
        answers = asyncio.run(asked(address))
    expected = {path: PURPOSES[path].clause if path in PURPOSES else NONE for path in PATHS}
    for answer in answers:
        assert answer.status_code == 200
        assert answer.text.splitlines() == [expected[answer.url.path]] * LOOKS
    assert max(int(answer.headers["Peak"]) for answer in answers) >= server.at_once
