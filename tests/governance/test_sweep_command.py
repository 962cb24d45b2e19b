"""`purposeguard sweep`: what is due is listed first, erased when asked for, and what failed is said."""

import io
import json
import sys
from typing import Any

import pytest
from rich.console import Console

from purposeguard.cli.people import run_sweep
from tests.governance.support import Rows, raising
from tests.unit.command_line import run

APPLICATION = """
import purposeguard as pg
from purposeguard.governance import Governance
from tests.governance.support import Rows
from tests.governance.test_retention import NOW, days_ago, noticed

NOTICE = noticed(("1(a)", 30), ("2", 7, "collection"), ("1(b)", 1))
accounts = Rows({number: days_ago(number) for number in range(100)})
visits = Rows({number: days_ago(number) for number in range(100)})
governance = Governance("sqlite:///cleaning.db", notice=NOTICE, clock=lambda: NOW)
governance.eraser("1(a)", name="accounts")(accounts)
governance.eraser("2", name="visits", counted="collection")(visits)
guard = pg.Guard(NOTICE, governance=governance)
bare = pg.Guard(NOTICE)
number = 7
"""


@pytest.fixture
def application(tmp_path, monkeypatch):
    """An application in a module `cleaning`, with a governance that sweeps."""
    (tmp_path / "cleaning.py").write_text(APPLICATION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "cleaning:governance"
    module = sys.modules.pop("cleaning", None)
    if module is not None:
        module.governance.close()


def data(*arguments):
    result = run("sweep", *arguments, "--format", "json")
    return result.exit_code, json.loads(result.stdout)


def printed(result):
    """What was printed, without the blanks that fill its columns."""
    return "".join(f"{line.rstrip()}\n" for line in result.stdout.splitlines())


def test_what_is_due_is_listed_and_nothing_is_erased(application):
    result = run("sweep", application, columns=120)
    assert result.exit_code == 0
    assert printed(result) == (
        "Due on 2026-06-15 (161)\n"
        "eraser   kept for                    erased if before due\n"
        "accounts 30 days from the end of use 2026-05-16       69 of 100\n"
        "1(a)\n"
        "visits   7 days from collection      2026-06-08       92 of 100\n"
        "2\n"
        "\n"
        "Nothing was erased: `--apply` erases what is due.\n"
    )
    assert result.stderr == "finding: no eraser serves the period of 1(b), 1 day from the end of use\n"
    assert len(sys.modules["cleaning"].accounts.rows) == 100


def test_it_is_erased_when_that_is_asked_for(application):
    result = run("sweep", application, "--apply", "--max-share", 1, "--batch", 30, columns=120)
    assert result.exit_code == 0
    assert printed(result).endswith(
        "Sweep 1\neraser   erased outcome\naccounts 69     done\n1(a)\nvisits   92     done\n2\n\n"
    )
    module = sys.modules["cleaning"]
    assert sorted(module.accounts.rows) == list(range(31))
    assert [len(batch) for batch in module.accounts.batches] == [30, 30, 9]
    told = [entry for entry in module.governance.ledger.entries() if entry.kind in ("sweep", "erasure")]
    assert [entry.kind for entry in told] == ["sweep", *["erasure"] * 7, "sweep"]
    assert sum(entry.body["count"] for entry in told if entry.kind == "erasure") == 161
    assert data(application)[1]["due"] == 0
    assert "Nothing was erased" not in run("sweep", application).stdout


def test_more_than_it_may_is_not_erased(application):
    result = run("sweep", application, "--apply", columns=120)
    assert result.exit_code == 2
    assert "69 of the 100 things that eraser accounts knows are due" in result.stderr
    assert len(sys.modules["cleaning"].accounts.rows) == 100


def test_as_json(application):
    code, told = data(application)
    assert code == 0
    assert told == {
        "today": "2026-06-15",
        "resumes": None,
        "due": 161,
        "erasers": [
            {"eraser": "accounts", "sources": ["1(a)"], "days": 30, "from": "end-of-use", "before": "2026-05-16"}
            | {"due": 69, "known": 100, "pending": 0, "problem": None},
            {"eraser": "visits", "sources": ["2"], "days": 7, "from": "collection", "before": "2026-06-08"}
            | {"due": 92, "known": 100, "pending": 0, "problem": None},
        ],
        "unserved": [{"source": "1(b)", "days": 1, "from": "end-of-use"}],
    }
    assert data(application, "--apply", "--max-share", 1)[1] == {
        "sweep": 1,
        "ended": True,
        "good": True,
        "erasers": [
            {"eraser": "accounts", "sources": ["1(a)"], "erased": 69, "left": False, "problem": None},
            {"eraser": "visits", "sources": ["2"], "erased": 92, "left": False, "problem": None},
        ],
    }


def test_what_failed_is_said_and_gone_on_with(application):
    data(application)
    module = sys.modules["cleaning"]

    class Full(dict[int, Any]):
        def pop(self, *_):
            raise OSError("hanako@example.jp")

    module.accounts.rows = Full(module.accounts.rows)
    module.governance.eraser("1(b)", name="usage")(module.Rows({1: module.days_ago(9)}))
    result = run("sweep", application, "--apply", "--max-share", 1, "--batch", 30, columns=120)
    assert result.exit_code == 1
    assert "hanako" not in result.output
    assert "Sweep 1, to be resumed" in result.stdout
    assert "accounts 0      FAILED" in result.stdout
    assert "finding: eraser accounts: `accounts` failed with OSError in line" in result.stderr
    result = run("sweep", application, columns=120)
    assert result.exit_code == 0
    assert "Due on 2026-06-15, resuming sweep 1 (99)" in result.stdout
    assert "69 of 100 and 30 under way" in result.stdout


def test_what_cannot_say_what_is_due_is_said(application):
    data(application)
    module = sys.modules["cleaning"]

    module.governance.eraser("1(b)", name="usage")(Rows({}, due=raising(OSError())))
    result = run("sweep", application, columns=120)
    assert result.exit_code == 1
    assert "finding: eraser usage: `usage.due` failed with OSError" in result.stderr


def test_what_is_left_is_said(application):
    data(application)
    module = sys.modules["cleaning"]

    idle = Rows({1: module.days_ago(9)}, erase=lambda _: None)
    module.governance.eraser("1(b)", name="usage")(idle)
    result = run("sweep", application, "--apply", "--max-share", 1, columns=120)
    assert result.exit_code == 1
    assert "something is left" in result.stdout
    assert "finding: eraser usage: something is still due after it was erased" in result.stderr


def test_a_guard_leads_to_its_governance(application):
    assert data("cleaning:guard")[1]["due"] == 161
    for target, why in (
        ("cleaning:bare", "is a guard without governance"),
        ("cleaning:number", "`cleaning:number` is a int"),
        ("cleaning:nothing", "has no `nothing`"),
        ("nowhere:governance", "no module `nowhere`"),
    ):
        result = run("sweep", target)
        assert result.exit_code == 2
        assert why in result.stderr


def test_without_the_store_there_is_an_error(application):
    data(application)
    sys.modules["cleaning"].governance.close()
    result = run("sweep", application)
    assert result.exit_code == 2
    assert "was closed" in result.stderr


def test_a_terminal_sees_a_bar(application):
    data(application)
    sweep = sys.modules["cleaning"].governance.retention
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    run_sweep(sweep, sweep.plan(), 10, 1, console)
    assert isinstance(console.file, io.StringIO)
    assert "accounts" in console.file.getvalue()
    assert "69/69" in console.file.getvalue()
