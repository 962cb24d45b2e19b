"""Clause 7 under faults: no worker allows what was stopped more than a second ago, whatever happens to the store."""

from __future__ import annotations

import contextlib
import functools
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.engine import make_url

from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.conftest import Databases
from tests.governance.prefork import WORKERS, table

if TYPE_CHECKING:
    from tests.governance.prefork import Table

FAULTS_IN_ALL = 20
"""Faults in which so many subjects are restricted that all are; twenty at least."""


class Link:
    """A way to a server, by a socket of its own, that can fall silent: what is sent meanwhile arrives later."""

    def __init__(self, folder: Path, server: str) -> None:
        self._server = server
        self.open = threading.Event()
        self.open.set()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / ".s.PGSQL.5432"))
        self._listening.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(self._server)  # unless it is being started again
            back = threading.Thread(target=self._forward, args=(server, client), daemon=True)
            back.start()
            self._forward(client, server)
            back.join()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.open.wait()
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def silent(self) -> Generator[None]:
        self.open.clear()
        try:
            yield
        finally:
            self.open.set()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@contextlib.contextmanager
def workers(url: str, folder: Path, subjects: int) -> Generator[Table]:
    path = folder / "seen"
    path.write_bytes(bytes(8 * (2 + WORKERS * subjects)))
    seen = table(path)
    seen[1] = 1.0
    command = [sys.executable, "-W", "ignore", "-m", "tests.governance.prefork", url, str(path), str(subjects)]
    with subprocess.Popen(command) as process:
        try:
            yield seen
        finally:
            seen[1] = 0.0
        assert process.wait(120) == 0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it did not become so"
        time.sleep(0.01)


def _all_set(seen: Table, places: list[int]) -> bool:
    return all(seen[place] for place in places)


Fault = Callable[[], contextlib.AbstractContextManager[object]]


def propagated(subjects: Subjects, seen: Table, total: int, fault: Fault, *, reached: bool = True) -> float:
    """The most seconds for which a worker allowed somebody after their restriction was on record.

    Half of the subjects are restricted before the fault; the others during it if the server is `reached`, or after it.
    """
    most = 0.0
    batch = max(20, total // FAULTS_IN_ALL)
    for first in range(0, total, batch):
        those = range(first, min(first + batch, total))
        middle = those[len(those) // 2]
        seen[0], seen[1] = float(those.start), float(len(those))
        places = [2 + worker * total + subject for worker in range(WORKERS) for subject in those]
        until(functools.partial(_all_set, seen, places))
        done: dict[int, float] = {}

        def restrict(them: range, done: dict[int, float] = done) -> None:
            for subject in them:
                subjects.restrict(subject)
                done[subject] = time.monotonic()
                time.sleep(0.02)

        restrict(range(those.start, middle))
        with fault():
            if reached:
                restrict(range(middle, those.stop))
            time.sleep(1.3)
        if not reached:
            restrict(range(middle, those.stop))
        time.sleep(1.2)
        most = max(most, *(seen[place] - done[(place - 2) % total] for place in places))
    return most


FAULTS: dict[str, Callable[[Databases, Link], Fault]] = {
    "nothing": lambda _server, _link: contextlib.nullcontext,
    "partition": lambda _server, link: link.silent,
    "frozen": lambda server, _link: server.frozen,
    "restart": lambda server, _link: server.stopped,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_clause_7_four_workers_allow_nobody_after_a_second(
    postgresql: Databases, server_url: str, *, fault: str, tmp_path: Path, total: int, say: Callable[[str], None]
) -> None:
    url = make_url(server_url)
    own = str(url.query["host"])
    link = Link(postgresql.folder, f"{own}/.s.PGSQL.5432")
    by_link = url.set(query={**url.query, "host": str(postgresql.folder)}).render_as_string(hide_password=False)
    try:
        with Store.open(server_url, timeout=60) as store, workers(by_link, tmp_path, total) as seen:
            subjects = Subjects(store, tm.NOTICE)
            reached = fault in ("nothing", "partition")
            most = propagated(subjects, seen, total, FAULTS[fault](postgresql, link), reached=reached)
    finally:
        link.close()
        (postgresql.folder / ".s.PGSQL.5432").unlink()
    say(f"{total} restrictions, {fault}: allowed for {most * 1000:.0f} ms at most")
    assert most < 1.0


@pytest.mark.processes
@pytest.mark.parametrize("dialect", ["sqlite"])
def test_clause_7_four_workers_allow_nobody_after_a_second_on_sqlite(
    store_url: str, store: Store, tmp_path: Path, total: int, say: Callable[[str], None]
) -> None:
    with workers(store_url, tmp_path, total) as seen:
        most = propagated(Subjects(store, tm.NOTICE), seen, total, contextlib.nullcontext)
    say(f"{total} restrictions, SQLite: allowed for {most * 1000:.0f} ms at most")
    assert most < 1.0


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], total: int) -> Callable[[str], None]:
    """Tells whoever ran a measurement."""

    def told(text: str) -> None:
        if total == 1000:
            with capsys.disabled():
                print(f"\n{text}")  # noqa: T201  # for whoever ran it

    return told


@pytest.fixture(params=[20, pytest.param(1000, marks=pytest.mark.deep)])
def total(request: pytest.FixtureRequest) -> int:
    """Restrictions."""
    return int(request.param)
