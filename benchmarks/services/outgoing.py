"""A request to a server on loopback: guarded, beside the same client bare; and with the record in a store on disk."""

from __future__ import annotations

import contextlib
import datetime
import socketserver
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import requests

import purposeguard as pg
from benchmarks.data.measured import TimedRow, time_alternately, time_pairs
from benchmarks.data.office import Office
from purposeguard.governance import Governance
from purposeguard.integrations.httpx import GuardedTransport
from purposeguard.integrations.outgoing import Outgoing
from purposeguard.integrations.requests import GuardedSession
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient, Safeguard

PACKAGES = ("httpx", "requests")

LETTER = {"to": "Aiko", "text": "Your licence ends soon. " * 40}
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_DAY = datetime.date(2024, 4, 1)
HOUSE = Recipient(
    "mail-house",
    "domestic-contractor",
    "JP",
    safeguards=[Safeguard("contract", "2026-117", since=_DAY)],
    supervised_on=_DAY,
    means="other",
)


CALLERS = (4, 16, 64)
"""Threads that send at the same time."""


class _Server(socketserver.StreamRequestHandler):
    """Answers each request of a connection, and looks at nothing but its length."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        while self.rfile.readline():
            length = 0
            while (line := self.rfile.readline().lower()) not in (b"\r\n", b""):
                if line.startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            self.rfile.read(length)
            self.wfile.write(_ANSWER)


class _ThreadingServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 2 * max(CALLERS)
    """The connections that may wait, so that none of many callers is reset."""


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Return a context manager: the URL of a server, in a thread of its own."""
    with _ThreadingServer(("127.0.0.1", 0), _Server) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/letters"
        server.shutdown()
        thread.join()


def rows(quick: bool) -> list[TimedRow]:
    """Return one POST of a thousand bytes each."""
    rounds = 200 if quick else 2_000
    with serving() as url, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        with Governance(f"sqlite:///{path}", notice=tm.NOTICE) as stored:
            return [
                _httpx("httpx, nothing personal declared", url, Office([]), pg.NotPersonal, rounds),
                _httpx("httpx, handed over", url, Office([]), tm.Registration, rounds),
                _httpx("httpx, handed over, on record in SQLite", url, stored, tm.Registration, rounds // 4),
                *(_at_once(callers, url, stored, rounds // 4) for callers in CALLERS),
                _requests("requests, handed over", url, Office([]), rounds),
            ]


def _outgoing(url: str, governance: Office | Governance) -> tuple[pg.Guard, Outgoing]:
    guard = pg.Guard(tm.NOTICE, governance=governance)
    return guard, Outgoing(guard, {url.removesuffix("/letters"): HOUSE})


def _httpx(what: str, url: str, governance: Office | Governance, source: type, rounds: int) -> TimedRow:
    guard, outgoing = _outgoing(url, governance)
    with httpx.Client() as bare, httpx.Client(transport=GuardedTransport(outgoing)) as guarded:

        def send() -> None:
            with guard.purpose(tm.RenewalGuidance), outgoing.handover(source, subject=7):
                guarded.post(url, json=LETTER)

        return _row(what, "httpx bare", lambda: bare.post(url, json=LETTER), send, rounds)


def _at_once(callers: int, url: str, governance: Governance, calls: int) -> TimedRow:
    """Return the time of a recorded call, where so many threads share a client; of several blocks, the fastest."""
    guard, outgoing = _outgoing(url, governance)
    limits = httpx.Limits(max_connections=callers, max_keepalive_connections=callers)
    transport = GuardedTransport(outgoing, limits=limits)
    with (
        httpx.Client(limits=limits) as bare,
        httpx.Client(transport=transport) as guarded,
        ThreadPoolExecutor(callers) as threads,
    ):

        def send(number: int) -> None:
            with guard.purpose(tm.RenewalGuidance), outgoing.handover(tm.Registration, subject=number):
                guarded.post(url, json=LETTER)

        def run(call: Callable[[int], object]) -> None:
            for _ in threads.map(call, range(calls)):
                pass

        took = time_alternately(
            {"bare": lambda: run(lambda _: bare.post(url, json=LETTER)), "ours": lambda: run(send)}, 5
        )
    what = f"httpx, handed over by {callers} threads, on record in SQLite"
    return TimedRow(what, took["ours"] / calls, "httpx bare, as many threads", took["bare"] / calls)


def _requests(what: str, url: str, governance: Office, rounds: int) -> TimedRow:
    guard, outgoing = _outgoing(url, governance)
    with requests.Session() as bare, GuardedSession(outgoing) as guarded:
        bare.trust_env = guarded.trust_env = False

        def send() -> None:
            with guard.purpose(tm.RenewalGuidance), outgoing.handover(tm.Registration, subject=7):
                guarded.post(url, json=LETTER, timeout=10)

        return _row(what, "requests bare", lambda: bare.post(url, json=LETTER, timeout=10), send, rounds)


def _row(what: str, against: str, bare: Callable[[], object], send: Callable[[], object], rounds: int) -> TimedRow:
    floor, ours, middle = time_pairs(bare, send, rounds)
    return TimedRow(what, ours, against, floor, middle=middle)
