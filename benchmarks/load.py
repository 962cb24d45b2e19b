"""Requests a second and their 99th percentile: a list of 1,000 customers under uvicorn, guarded and bare.

`python -m benchmarks.load`, in the development environment (requirements/dev.txt): it needs FastAPI and uvicorn, which
the environment of `make bench` lacks. The service runs in two workers; the requests come from a process of its own,
over connections that are kept open. Guarded and bare take turns. Meanwhile restrictions arrive in the store.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from itertools import chain
from pathlib import Path

from benchmarks.processes import ROOT
from benchmarks.table import markdown
from purposeguard.governance import Governance
from purposeguard.notices import trendmicro_jp as tm

ROUTES = ("/guarded", "/bare")
CONNECTIONS = 8
WORKERS = 2
COUNT = 1_000
"""Customers of the list, as in the service."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.client:
        times = asyncio.run(request_repeatedly(options.port, options.client, options.seconds))
        print(json.dumps(times))
        return 0
    with tempfile.TemporaryDirectory(prefix="purposeguard-load-") as folder:
        url = f"sqlite:///{Path(folder)}/store.db"
        with Governance(url, notice=tm.NOTICE) as governance, _service(url) as port:
            for route in ROUTES:  # each worker loads and caches what it needs
                _client(port, route, 1.0)
            with _arriving(governance, options.restrictions) as arrived:
                found: dict[str, list[list[float]]] = {route: [] for route in ROUTES}
                for number in range(options.rounds):
                    for route in ROUTES if number % 2 else reversed(ROUTES):
                        found[route].append(_client(port, route, options.seconds))
                print(_report(found, options.seconds, len(arrived)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round and route (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--restrictions", type=float, default=2.0, metavar="N", help="that arrive a second (default: %(default)s)"
    )
    parser.add_argument("--client", metavar="ROUTE", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser


@contextlib.contextmanager
def _service(url: str) -> Generator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "benchmarks.load_app:app", "--port", str(port)]
    command += ["--workers", str(WORKERS), "--log-level", "warning", "--no-access-log"]
    service = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "LOAD_STORE": url})  # noqa: S603  # our own
    try:
        _wait(service, port)
        yield port
    finally:
        service.terminate()
        service.wait(30)


def _wait(service: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(600):
        if service.poll() is not None:
            break
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            asyncio.run(request_repeatedly(port, ROUTES[1], 0.0))
            return
        time.sleep(0.1)
    raise RuntimeError("the service does not start: are fastapi and uvicorn installed here?")


@contextlib.contextmanager
def _arriving(governance: Governance, each_second: float) -> Generator[list[int]]:
    """Return a context manager in which restrictions arrive from another process than the workers."""
    arrived: list[int] = []
    ending = threading.Event()

    def arrive() -> None:
        while each_second and not ending.wait(1 / each_second):
            subject = len(arrived) * 7 % COUNT
            governance.restrict(subject, tm.RenewalGuidance)
            arrived.append(subject)

    thread = threading.Thread(target=arrive)
    thread.start()
    try:
        yield arrived
    finally:
        ending.set()
        thread.join()


def _client(port: int, route: str, seconds: float) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.load", "--client", route, "--port", str(port)]
    command += ["--seconds", str(seconds)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)  # noqa: S603  # our own
    times: list[float] = json.loads(done.stdout)
    return times


async def request_repeatedly(port: int, route: str, seconds: float) -> list[float]:
    """Return the seconds of each answer within this time, over several connections; at least one for each."""
    times: list[float] = []
    until = time.perf_counter() + seconds
    await asyncio.gather(*(_connection(port, route, until, times) for _ in range(CONNECTIONS)))
    return times


async def _connection(port: int, route: str, until: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET {route} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("ascii")
    try:
        while True:
            began = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").lower()
            if not head.startswith("http/1.1 200"):
                raise RuntimeError(f"{route} answers {head.splitlines()[0]}")
            await reader.readexactly(int(head.split("content-length:")[1].split("\r\n")[0]))
            times.append(time.perf_counter() - began)
            if time.perf_counter() >= until:
                return
    finally:
        writer.close()


def _report(found: dict[str, list[list[float]]], seconds: float, arrived: int) -> str:
    lines, rates = [], {}
    for route, rounds in found.items():
        each = [len(times) / seconds for times in rounds]
        rates[route] = each
        together = list(chain.from_iterable(rounds))
        p50, p99 = statistics.median(together) * 1e3, statistics.quantiles(together, n=100)[98] * 1e3
        spread = f"{statistics.median(each):.0f} ({min(each):.0f}-{max(each):.0f})"
        lines.append([route, spread, f"{p50:.1f} ms", f"{p99:.1f} ms"])
    ratios = [bare / guarded for guarded, bare in zip(rates["/guarded"], rates["/bare"], strict=True)]
    summary = f"bare / guarded: {statistics.median(ratios):.2f} × ({min(ratios):.2f}-{max(ratios):.2f})"
    table = markdown(["route", "requests a second (range of rounds)", "median", "p99"], lines)
    return f"{table}\n\n{summary}; {arrived} restrictions arrived; {WORKERS} workers, {CONNECTIONS} connections"


if __name__ == "__main__":
    sys.exit(main())
