"""Four workers forked from one process that has asked already, as gunicorn preloads: when each last allowed whom.

`python -m tests.governance.prefork URL FILE SUBJECTS`. The file is an array of doubles: the first and the number of
the subjects that are asked of, and then for each worker and subject when the last check began that was allowed, by the
machine's clock.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from purposeguard.errors import StoreUnavailable
from purposeguard.governance.preference_cache import PreferenceCache
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm

if TYPE_CHECKING:
    Table = memoryview[float]

WORKERS = 4
TIMEOUT = 1.0
"""Seconds for which a check may wait for the store."""


def table(path: Path) -> Table:
    """The file as an array."""
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 0)).cast("d")


def known(cache: PreferenceCache, subject: str) -> bool:
    """Whether the store answers in time."""
    try:
        cache.preferences(subject)
    except StoreUnavailable:
        return False
    return True


def work(cache: PreferenceCache, seen: Table, worker: int, subjects: int) -> None:
    """Asks of the present subjects, until there are none."""
    at = 2 + worker * subjects
    while (number := int(seen[1])) > 0:
        first = int(seen[0])
        for subject in range(first, first + number):
            asked = time.monotonic()
            try:
                stopped = cache.preferences(str(subject)).all_suspended
            except StoreUnavailable:
                break
            answered = time.monotonic()
            if not stopped:
                # Not when it was answered: a worker that gets no processor is late, and allows nothing by that.
                seen[at + subject] = max(asked, answered - TIMEOUT)
        time.sleep(0.005)


def main(url: str, path: Path, subjects: int) -> None:
    """Forks the workers, and waits for them."""
    seen = table(path)
    store = Store.open(url, timeout=60)  # a machine under load may take long to open it
    store.timeout = TIMEOUT
    cache = PreferenceCache(Subjects(store, tm.NOTICE))
    while not known(cache, "before"):
        time.sleep(0.01)
    children = []
    for worker in range(WORKERS):
        child = os.fork()
        if child == 0:
            work(cache, seen, worker, subjects)
            os._exit(0)
        children.append(child)
    sys.exit(max(os.waitpid(child, 0)[1] for child in children))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
