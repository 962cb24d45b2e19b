"""What tests of governance share: a clock that is set by hand, outages, ledgers in memory, data that is due."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import datetime
import functools
import math
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from purposeguard.errors import RequestError, StoreUnavailable
from purposeguard.governance.governance import Governance
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.requests import Requests
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.runtime.clock import Clock
from tests.governance.disclosures import NOTICE, NOW
from tests.support import free_port

if TYPE_CHECKING:
    from tests.governance.conftest import Databases

START = datetime.datetime(2026, 5, 2, 9, 15, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
PATIENCE = 60
"""Seconds after which a store gives up, and its server ends a transaction: longer than a busy machine takes."""
TODAY = datetime.date(2026, 5, 3)  # that of NOW in the notice's time zone


def in_event_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine function in an event loop of asyncio of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Time:
    """A time that is set by hand: `now`, also as a function, and as a `clock`."""

    def __init__(self, now: datetime.datetime = START) -> None:
        self.now = now
        self.clock = Clock(self)

    def __call__(self) -> datetime.datetime:
        return self.now

    def passes(self, **parts: float) -> None:
        self.now += datetime.timedelta(**parts)


def last_allowed(stopped: Callable[[], bool]) -> float:
    """When the last check began that allowed, by the machine's clock; minus infinity if none did.

    Not when it was answered: a thread that gets no processor is late, and allows nothing by that.
    """
    began, last = time.monotonic(), -math.inf
    while True:
        asked = time.monotonic()
        assert asked < began + 60, "it was not stopped"
        with contextlib.suppress(StoreUnavailable):  # which refuses too
            if stopped():
                return last
            last = asked
        time.sleep(0.0005)


@contextlib.contextmanager
def outage(store: Store, request: pytest.FixtureRequest) -> Iterator[None]:
    """A store that cannot be reached: a file that is gone, a server that is stopped."""
    if store.dialect == "postgresql":
        with request.getfixturevalue("postgresql").stopped():
            yield
        return
    path = Path(str(store.engine.url.database))
    path.rename(path.with_suffix(".away"))
    try:
        yield
    finally:
        path.with_suffix(".away").rename(path)


class Entries:
    """A ledger within the store, kept in memory; entries of a transaction that fails are not removed."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.kept: list[tuple[str, dict[str, Any]]] = []
        self.failing = False

    def append_in(self, connection: sa.Connection, kind: str, body: dict[str, Any], /) -> None:
        if self.failing:
            raise OSError("no room")
        assert connection.in_transaction()
        self.kept.append((kind, dict(body)))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [body for each, body in self.kept if each == kind]


class LedgerElsewhere:
    """A ledger outside the store, kept in memory."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, dict[str, Any]]] = []
        self.failing = False

    def append(self, kind: str, body: Mapping[str, Any], /) -> None:
        if self.failing:
            raise OSError("no room")
        self.kept.append((kind, dict(body)))


class Rows:
    """Some data of an application that erases: key → the day from which it is counted.

    Functions take the place of its methods, for an application that does them wrong.
    """

    def __init__(
        self, rows: Mapping[Any, datetime.date] | Iterable[tuple[Any, datetime.date]], **instead: Callable[[Any], Any]
    ) -> None:
        self.rows = dict(rows)
        vars(self).update(instead)
        self.asked: list[datetime.date] = []
        self.batches: list[tuple[Any, ...]] = []

    def due(self, before: datetime.date, /) -> list[Any]:
        self.asked.append(before)
        return [key for key, day in self.rows.items() if day < before]

    def erase(self, keys: Iterable[Any], /) -> None:
        self.batches.append(tuple(keys))
        for key in keys:
            self.rows.pop(key, None)


def raising(error: Exception) -> Callable[[Any], Any]:
    """Make a function that raises an error."""

    def fail(_: Any) -> Any:
        raise error

    return fail


def entries(governance: Governance, *kinds: str) -> list[Any]:
    """The entries of the ledger, verified; of these kinds, if any are named."""
    ledger = cast("SqlLedger", governance.ledger)
    ledger.flush()
    with ledger.reading() as reading:
        reading.verify()
        return list(reading.entries(kinds or None))


def count_denials(governance: Governance) -> int:
    """The denials on record, also those that are only counted."""
    with cast("SqlLedger", governance.ledger).reading() as reading:
        return sum(reading.head.repeated.values()) + len(list(reading.entries(["denial"])))


@contextmanager
def hold_ledger(governance: Governance) -> Iterator[None]:
    """Hold the ledger, so that who writes to it waits."""
    engine = sa.create_engine(governance.store.engine.url)
    with engine.connect() as connection:  # which no limit of the store ends
        if governance.store.dialect == "postgresql":
            connection.execute(sa.text("LOCK TABLE purposeguard_ledger_head, purposeguard_ledger_count IN SHARE MODE"))
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield
        connection.rollback()
    engine.dispose()


def requests(store: Store, time: Time | None = None, **options: Any) -> Requests:
    """Requests over a store."""
    ledger = options.pop("ledger", None)
    notice = options.pop("notice", NOTICE)
    return Requests(Subjects(store, notice, clock=(time or Time(NOW)).clock, ledger=ledger), **options)


@contextlib.contextmanager
def refusing(why: str) -> Iterator[Any]:
    """A RequestError that says so."""
    with pytest.raises(RequestError) as caught:
        yield caught
    assert re.search(why, str(caught.value))


CAPABILITIES_VERSION = 0x20080522
WRITE_ANYTHING = 1 << 1
"""CAP_DAC_OVERRIDE of Linux: the capability by which root writes what the modes of files forbid."""


@contextmanager
def bound_by_file_modes() -> Iterator[None]:
    """Let root write only what the modes of files allow, as anybody else must.

    Root stays root and can read everything. Another user could not read the library's own files where root works in a
    directory that is closed to others.
    """
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION)
    capabilities = (ctypes.c_uint32 * 6)()  # The first word holds the effective capabilities.
    assert libc.capget(header, capabilities) == 0
    effective = capabilities[0]
    capabilities[0] = effective & ~WRITE_ANYTHING
    assert libc.capset(header, capabilities) == 0
    try:
        yield
    finally:
        capabilities[0] = effective
        assert libc.capset(header, capabilities) == 0


@contextmanager
def pooled(databases: Databases, name: str) -> Iterator[str]:
    """PgBouncer before a database, which gives each transaction another of two sessions; gives the URL."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "these tests start PgBouncer: apt-get install pgbouncer"
    server = make_url(databases.url(name))
    settings = databases.folder / f"{name}.ini"
    target = f"host={server.query.get('host') or server.host} port={server.port or 5432} user={server.username}"
    # The socket of the server is in a folder of the server's user, who is another one where the tests are root.
    user = databases.server.system_user
    identity = ("-u", user) if user and os.geteuid() == 0 else ()
    with free_port() as port:
        settings.write_text(
            f"[databases]\nstore = dbname={name} {target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\nserver_round_robin = 1\n"
            "unix_socket_dir =\nmax_prepared_statements = 0\n"
        )
        with subprocess.Popen([program, *identity, str(settings)], stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr
                for line in process.stderr:
                    if "process up" in line:
                        break
                else:
                    raise AssertionError("PgBouncer did not start")
                threading.Thread(target=process.stderr.read, daemon=True).start()
                yield f"postgresql://{server.username}@127.0.0.1:{port}/store"
            finally:
                process.kill()
