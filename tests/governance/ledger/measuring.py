"""Measures denials a second: `python -m tests.governance.ledger.measuring URL PROCESSES SECONDS [DELAY]`.

Each process refuses, one after another, denials of which none is like another, and says how many it was told of. With
a delay the server is reached through a relay that holds back all it carries for so many seconds (a round trip).
"""

from __future__ import annotations

import heapq
import json
import multiprocessing
import os
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.store import Store
from tests.governance.ledger.places import denial


def relay(listening: socket.socket, server: str, delay: float) -> None:
    """Carries what clients and server say to each other, each way half of the delay later."""
    selector = selectors.DefaultSelector()
    selector.register(listening, selectors.EVENT_READ)
    peers: dict[socket.socket, socket.socket] = {}
    late: list[tuple[float, int, socket.socket, bytes]] = []
    number = 0
    while True:
        wait = max(0.0, late[0][0] - time.monotonic()) if late else None
        for key, _ in selector.select(wait):
            each: Any = key.fileobj
            if each is listening:
                client, _ = listening.accept()
                other = socket.socket(socket.AF_UNIX)
                other.connect(server)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peers |= {client: other, other: client}
                selector.register(client, selectors.EVENT_READ)
                selector.register(other, selectors.EVENT_READ)
                continue
            try:
                data = each.recv(1 << 16)
            except OSError:
                data = b""
            number += 1
            heapq.heappush(late, (time.monotonic() + delay / 2, number, peers[each], data))
            if not data:
                selector.unregister(each)
        while late and late[0][0] <= time.monotonic():
            _, _, to, data = heapq.heappop(late)
            try:
                to.sendall(data) if data else to.shutdown(socket.SHUT_WR)
            except OSError:
                continue


@contextmanager
def delayed(url: str, delay: float) -> Iterator[str]:
    """The URL by which a server is reached through a relay."""
    parsed = make_url(url)
    folder = str(parsed.query.get("host") or parsed.host)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = next(str(path) for path in Path(folder).glob(".s.PGSQL.*") if path.suffix != ".lock")
        process = multiprocessing.get_context("fork").Process(target=relay, args=(listening, server, delay))
        process.start()
        port = listening.getsockname()[1]
        try:
            plain = parsed.set(host="127.0.0.1", port=port, query={})
            yield plain.render_as_string(hide_password=False)
        finally:
            process.kill()
            process.join()


def refuse(url: str, begun: Any, seconds: float, told: Any) -> None:
    """Refuses for so long, and says how often."""
    with Store.open(url, timeout=30) as store, SqlLedger(store, interval=3600) as ledger:
        name = f"{os.getpid()}"
        first = denial(activity=name, field="first")
        ledger.denied(first, observed=False)
        begun.wait()
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end:
            ledger.denied(type(first)(first.decision, activity=name, field=f"{number}"), observed=False)
            number += 1
        told.put((name, number + 1))


def measured(url: str, processes: int, seconds: float) -> tuple[float, dict[str, int]]:
    """Denials a second, and how many each process was told of."""
    context = multiprocessing.get_context("fork")
    begun, told = context.Barrier(processes), context.Queue()
    running = [context.Process(target=refuse, args=(url, begun, seconds, told)) for _ in range(processes)]
    for process in running:
        process.start()
    counts = dict(told.get(timeout=seconds + 60) for _ in running)
    for process in running:
        process.join()
    return sum(counts.values()) / seconds, counts


if __name__ == "__main__":
    address, many, time_to_run, *rest = sys.argv[1:]
    with delayed(address, float(rest[0])) if rest else delayed(address, 0) as through:
        figure, _ = measured(through if rest else address, int(many), float(time_to_run))
    sys.stdout.write(f"{json.dumps({'processes': int(many), 'delay': rest, 'per_second': round(figure)})}\n")
