"""Evidence in the store of governance: merged over processes, read by commands, and added to older stores."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

import purposeguard as pg
from purposeguard.adoption.evidence import Evidence
from purposeguard.adoption.evidence_store import EvidenceKey
from purposeguard.errors import EvidenceError
from purposeguard.governance import Governance, Store
from purposeguard.governance.evidence import StoredEvidence, evidence_table
from purposeguard.governance.store import make_alembic_config, upgrade_store
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.entry_point import EntryPoint
from tests.governance.rolling import migrations_in
from tests.support import in_threads
from tests.unit.command_line import run

KEY = EvidenceKey(
    notice=f"{tm.NOTICE.id}@{tm.NOTICE.revision}",
    entry_point="GET /users",
    purpose="1.2(1)①",
    field="users.name",
    sources="1.1(a)",
    outcome="read",
)
PROCESS = """
import sys

import purposeguard as pg
from purposeguard.adoption.evidence import Evidence
from purposeguard.governance import Governance
from purposeguard.notices import trendmicro_jp as tm

governance = Governance(sys.argv[1], notice=tm.NOTICE)
guard = pg.Guard(tm.NOTICE, governance=governance, observers=[Evidence(governance.evidence, interval=3600)])


@guard.access(tm.Registration)
def load() -> str:
    return "Alice"


for _ in range(40):
    with guard.purpose(tm.RenewalGuidance, activity="remind"):
        load()
"""


def test_processes_add_to_the_same_counters_and_write_the_rest_at_their_end(store_url: str) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", PROCESS, store_url]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    with Store.open(store_url) as store:
        rows = StoredEvidence(store).load()
    reads = [row for row in rows if row.key.outcome == "read" and row.key.activity == "remind"]
    assert {row.key.sources for row in reads} == {"1.1(a)"}
    assert [row.times for row in reads if row.key.field == "__main__.load"] == [80]


def test_counts_of_days_and_threads_are_added(store: Store) -> None:
    evidence = StoredEvidence(store)
    keys = [KEY._replace(field=f"users.{number}") for number in range(700)]
    in_threads([lambda: evidence.add(dict.fromkeys(keys, 3)), lambda: evidence.add(dict.fromkeys(keys[::-1], 4))])
    assert {(row.key, row.times) for row in evidence.load()} == {(key, 7) for key in keys}
    with store.writing() as connection:
        connection.execute(sa.update(evidence_table).values(day=sa.text("'2030-02-01'")))
    evidence.add({keys[0]: 5})
    (row,) = (row for row in evidence.load() if row.key == keys[0])
    assert (row.times, {row.first.isoformat(), row.last.isoformat()} > {"2030-02-01"}) == (12, True)


def test_keys_that_are_longer_than_an_index_can_hold_are_kept(store: Store) -> None:
    evidence = StoredEvidence(store)
    long = EvidenceKey(*("漢" * 300 for _ in EvidenceKey._fields))
    for _ in range(2):
        evidence.add({long: 2**31})
    assert [(row.key, row.times) for row in evidence.load()] == [(long, 2**32)]


def test_counts_wait_for_a_store_that_is_opened_later(store_url: str) -> None:
    governance = Governance(None, notice=tm.NOTICE)
    evidence = Evidence(governance.evidence, interval=3600)
    guard = pg.Guard(tm.NOTICE, mode="observe", observers=[evidence])
    with pytest.raises(EvidenceError, match="was not opened yet"):
        governance.evidence.load()
    with EntryPoint.route("GET", "/users"):
        guard.check(tm.Registration, tm.AnyFeedback)
    assert not evidence.flush()
    governance.open(store_url)
    evidence.close()
    assert {row.key.entry_point for row in governance.evidence.load()} == {"GET /users"}
    governance.close()


def test_commands_read_it_beside_files(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.purposeguard]\nnotice = "trendmicro-jp"\n', "utf-8")
    monkeypatch.chdir(tmp_path)
    with Store.open(store_url) as store:
        StoredEvidence(store).add({KEY: 40})
    result = run("adopt", "evidence", "--evidence", store_url, "--evidence", store_url, "--format", "json")
    assert result.exit_code == 0, result.output
    (use,) = json.loads(result.stdout)["uses"]
    assert (use["entry_point"], use["judgment"], use["times"]) == ("GET /users", "permitted", 80)
    missing = run("adopt", "evidence", "--evidence", "sqlite:///nowhere.db")
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert "does not exist" in missing.stderr


def test_an_older_store_is_upgraded(empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(str(make_alembic_config().get_main_option("script_location")))
    earlier = Path(shutil.copytree(folder, tmp_path / "before"))
    (earlier / "versions" / "0003d_evidence.py").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("purposeguard.governance.store.make_alembic_config", lambda: migrations_in(earlier))
        older = Governance(empty_url, notice=tm.NOTICE)
        older.restrict(7, "1.2(1)①")
    with older:
        with pytest.raises(EvidenceError):
            older.evidence.add({KEY: 1})
        assert upgrade_store(empty_url) == ("0003c_notices", "0003d_evidence")
        older.restrict(8, "1.2(1)①")
        with Governance(empty_url, notice=tm.NOTICE) as newer:
            newer.evidence.add({KEY: 2})
            assert [row.times for row in newer.evidence.load()] == [2]
            assert newer.preferences("7").suspended
            assert newer.preferences("8").suspended
