"""A version of the library in a process of its own, which works with a store until its standard input ends.

`python -m tests.governance.rolling URL FOLDER TABLE…`: FOLDER has its migrations. In each round it records a
restriction, has a use refused and recorded, and writes into the TABLEs that its code knows; then it prints a line.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config

import purposeguard as pg
from purposeguard.governance import Governance, store
from purposeguard.notices import trendmicro_jp as tm


def migrations_in(folder: Path) -> Config:
    """Alembic's configuration for a version whose migrations are in this folder."""
    config = Config()
    config.set_main_option("script_location", str(folder))
    return config


def _wait_for_the_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def main(url: str, folder: str, *tables: str) -> None:
    """Works."""
    store.make_alembic_config = lambda: migrations_in(Path(folder))
    ended = threading.Event()
    threading.Thread(target=_wait_for_the_end, args=[ended], daemon=True).start()
    # On a busy machine a write may take long; here it may not fail.
    with store.Store.open(url, timeout=30) as opened, Governance(opened, notice=tm.NOTICE) as governance:
        guard = pg.Guard(tm.NOTICE, governance=governance)
        for number in itertools.count(1):
            subject = f"{os.getpid()}-{number}"
            guard.check(tm.Registration, tm.RenewalGuidance, subject=subject)
            governance.restrict(subject, tm.RenewalGuidance)
            try:
                guard.check(tm.Registration, tm.RenewalGuidance, subject=subject)
            except pg.SubjectViolation:
                pass
            else:
                raise RuntimeError("a restriction does not hold")
            last = ended.is_set()  # before its line is printed: whoever ended it reads one more
            for table in tables:
                with opened.writing() as connection:
                    connection.execute(sa.insert(sa.table(table, sa.column("id"))).values(id=1))
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            if last:
                break
            time.sleep(0.02)


if __name__ == "__main__":
    main(*sys.argv[1:])
