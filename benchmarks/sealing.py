"""A million sealed values, in a process of its own: how long they take, and what memory they hold."""

from __future__ import annotations

import json
import time
import tracemalloc

import purposeguard as pg
from benchmarks.processes import MILLION, SEAL_BYTES
from purposeguard.notices import trendmicro_jp as tm

COUNT = 1_000_000
WEIGHED = 100_000


def main() -> None:
    values = list(map(str, range(COUNT)))
    pg.Personal(values[0], tm.Registration)
    started = time.perf_counter()
    seals = [pg.Personal(value, tm.Registration) for value in values]
    took = time.perf_counter() - started
    with pg.Guard(tm.NOTICE).purpose(tm.RenewalGuidance) as use:
        assert use.open_all(seals) == values
    del seals
    held: list[object] = [None] * WEIGHED
    tracemalloc.start()
    for index in range(WEIGHED):
        held[index] = pg.Personal(values[index], tm.Registration)
    size, _ = tracemalloc.get_traced_memory()
    print(json.dumps({MILLION: took * 1e9, SEAL_BYTES: size / WEIGHED}))


if __name__ == "__main__":
    main()
