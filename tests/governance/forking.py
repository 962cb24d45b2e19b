"""`python -m tests.governance.forking URL FORKS`: forks while eight threads write, and has each child write and read.

Prints how many children failed, and how many hung.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from dataclasses import replace

from purposeguard.governance import forking
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.governance.transfers import Provisions
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.ledger.places import NEVER, PROVISION

PATIENCE = 60
"""Seconds."""


def main(url: str, forks: int) -> None:
    """Forks, and counts."""
    warnings.simplefilter("ignore", DeprecationWarning)  # that it forks beside threads is what is tried
    # Five that write at once wait long for each other on a busy machine.
    forking.PATIENCE = PATIENCE  # type: ignore[misc]  # of the library's constant
    store = Store.open(url, timeout=PATIENCE)
    subjects = Subjects(store, tm.NOTICE)
    provisions = Provisions(store, ledger=SqlLedger(store, interval=NEVER))
    ended = threading.Event()

    def work(thread: int) -> None:
        number = 0
        while not ended.wait(0.005):
            number = (number + 1) % 50
            subjects.restrict(f"{thread}-{number}")
            subjects.preferences(f"{thread}-{number}")

    def hand_over() -> None:
        while not ended.wait(0.001):
            provisions.record(PROVISION)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(4)]
    threads += [threading.Thread(target=hand_over, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    failed = hung = 0
    for number in range(forks):
        child = os.fork()
        if child == 0:
            _child(subjects, provisions, number)
        _, status = os.waitpid(child, 0)
        hung += os.WIFSIGNALED(status)
        failed += os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0
        time.sleep(0.005)
    ended.set()
    for thread in threads:
        thread.join()
    SqlLedger(store, interval=NEVER).verify()
    sys.stdout.write(f"{failed} failed, {hung} hung\n")


def _child(subjects: Subjects, provisions: Provisions, number: int) -> None:
    signal.alarm(2 * PATIENCE)
    try:
        subjects.restrict(f"child-{number}")
        if not subjects.preferences(f"child-{number}").all_suspended:
            raise RuntimeError("it does not see what it wrote")
        provisions.record(replace(PROVISION, subjects=(f"child-{number}",)))
        if len(provisions.of(f"child-{number}")) != 1:
            raise RuntimeError("it does not see its hand-over")
    except BaseException as error:  # the child ends here
        sys.stderr.write(f"{error}\n")
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
