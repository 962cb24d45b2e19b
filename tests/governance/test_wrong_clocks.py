"""A host whose clock is wrong from the start, by `faketime`: it spoils its own entries, and nobody else's."""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
import sys

import pytest

from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm

TEN_YEARS_AHEAD = """
import datetime, sys
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm

assert datetime.datetime.now().year >= int(sys.argv[2])
with Store.open(sys.argv[1]) as store, SqlLedger(store) as ledger:
    Subjects(store, tm.NOTICE, ledger=ledger).restrict("ahead")
"""

pytestmark = pytest.mark.processes


def test_entries_of_a_host_that_is_ten_years_ahead_move_no_other_time(store: Store, store_url: str) -> None:
    program = shutil.which("faketime")
    assert program, "this test sets a clock: apt-get install faketime"
    now = datetime.datetime.now(datetime.UTC)
    with SqlLedger(store) as ledger:
        subjects = Subjects(store, tm.NOTICE, ledger=ledger)
        subjects.restrict("before")
        command = [program, "-f", "+10y", sys.executable, "-c", TEN_YEARS_AHEAD, store_url, str(now.year + 9)]
        # Its years have 365 days, so that the year may be one less. What may be waited for is not set.
        subprocess.run(command, check=True, env={**os.environ, "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
        subjects.restrict("after")
        verdict = ledger.verify()
        before, ahead, after = (entry.moment for entry in ledger.entries({"restriction"}))
    assert verdict.entries == 3
    assert all(abs(moment - now) < datetime.timedelta(minutes=5) for moment in (before, after))
    if store.dialect == "postgresql":  # the server tells the time
        assert abs(ahead - now) < datetime.timedelta(minutes=5)
    else:
        assert ahead - now > datetime.timedelta(days=3_600)
        assert verdict.went_back == 1
    assert all(subjects.preferences(subject).all_suspended for subject in ("before", "ahead", "after"))
