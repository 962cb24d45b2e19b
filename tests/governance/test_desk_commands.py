"""`purposeguard requests` and `purposeguard disclose`: over an application, and over a store."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from purposeguard.cli.commands import app
from purposeguard.governance import Governance, Store
from purposeguard.governance.disclosure_page import Disclosure
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.test_disclosure_pages import Page
from tests.unit.command_line import process

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)

APPLICATION = """
from typing import Annotated

from pydantic import BaseModel

import purposeguard as pg
from purposeguard.governance import Governance
from purposeguard.notices import trendmicro_jp as tm


class Customer(BaseModel):
    email: Annotated[str, tm.Registration]
    device: pg.Personal[str, tm.ProductData]


governance = Governance("sqlite:///own.db", notice=tm.NOTICE, days=14)
guard = pg.Guard(tm.NOTICE, governance=governance)
bare = pg.Guard(tm.NOTICE)
print("noise of an import")


@governance.holding("customers")
def customers(key: str) -> Customer:
    return Customer(email="aiko@example.org", device=pg.Personal("TM-99", tm.ProductData))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an application, which is forgotten, and closed, afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "clinic.py").write_text(APPLICATION, "utf-8")
    yield tmp_path
    module: Any = sys.modules.pop("clinic", None)
    if module is not None:
        module.governance.close()


def run(*arguments: str, columns: int = 100) -> Any:
    variables = {"COLUMNS": str(columns), "FORCE_COLOR": None, "NO_COLOR": None, "TERM": None}
    return CliRunner().invoke(app, arguments, env=variables, prog_name="purposeguard")


def filled(governance: Governance) -> None:
    """One request is overdue, one is to be answered, one has no deadline to come, one is closed."""
    desk = governance.requests
    desk.open("erasure", subject=7, received_at=NOW - 40 * DAY)
    verified = desk.open("suspension-of-use", subject=8, purposes=["1.2(1)①", "2.2①"], requester="agent", authority="x")
    desk.verify(verified, how="x", by="clerk")
    desk.extend(verified, reason="x", by="clerk", days=30)
    desk.refuse(desk.open("erasure"), reason="x", by="clerk")


@pytest.fixture
def store(store_url: str) -> str:
    with Governance(store_url, notice=tm.NOTICE, days=14) as governance:
        filled(governance)
    return store_url


def test_requests_of_a_store(store: str) -> None:
    result = run("requests", store, "--format", "json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert [(one["id"], one["kind"], one["state"], one["overdue"]) for one in data["requests"]] == [
        (1, "erasure", "open", True),
        (2, "suspension-of-use", "verified", False),
    ]
    assert data["requests"][1]["purposes"] == ["1.2(1)①", "2.2①"]
    assert data["counts"] == [
        {"kind": "erasure", "state": "open", "count": 1},
        {"kind": "erasure", "state": "refused", "count": 1},
        {"kind": "suspension-of-use", "state": "verified", "count": 1},
    ]
    assert data["overdue"] == 1
    overdue = run("requests", store, "--overdue", "--format", "json")
    assert overdue.exit_code == 1
    assert [one["id"] for one in json.loads(overdue.stdout)["requests"]] == [1]


def test_a_terminal_shows_what_is_due(store: str) -> None:
    text = run("requests", store).stdout
    assert "OVERDUE since" in text
    assert "put off" in text
    assert "All requests" in text
    assert max(map(len, text.splitlines())) <= 100
    only = run("requests", store, "--open").stdout
    assert "To be answered on" in only
    assert "All requests" not in only
    assert "Overdue on" in run("requests", store, "--overdue").stdout


def test_nothing_is_overdue(folder: Path) -> None:
    def overdue() -> tuple[int, list[int]]:
        result = run("requests", "clinic:governance", "--overdue", "--format", "json")
        assert "noise of an import" not in result.stdout
        return result.exit_code, [request["id"] for request in json.loads(result.stdout)["requests"]]

    assert overdue() == (0, [])
    desk = sys.modules["clinic"].governance.requests
    desk.open("erasure", subject=7)
    assert overdue() == (0, [])
    late = desk.open("erasure", subject=8, received_at=NOW - 40 * DAY)
    assert overdue() == (1, [late.id])


def test_requests_of_an_application_and_of_a_file(folder: Path) -> None:
    assert run("requests", "clinic:governance").exit_code == 0
    sys.modules["clinic"].governance.requests.open("erasure", subject=7)
    for target in ("clinic:governance", "clinic:guard", "own.db", "sqlite:///own.db", f"sqlite:///{folder}/own.db"):
        result = run("requests", target, "--format", "json")
        assert result.exit_code == 0, result.output
        assert len(json.loads(result.stdout)["requests"]) == 1
    Store.open("sqlite:///bare.db").close()
    for command in (["requests", "bare.db"], ["disclose", "bare.db", "--subject", "7"]):
        result = run(*command)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "which notice is meant?" in result.stderr
        assert "the bundled one is `--notice trendmicro-jp`" in result.stderr
        assert "no bundled notice is called `no-such`" in run(*command, "--notice", "no-such").stderr


def test_a_report_of_an_application(folder: Path) -> None:
    result = run("disclose", "clinic:guard", "--subject", "7", "--language", "ja")
    assert result.exit_code == 0, result.output
    page = Page(result.stdout)
    assert page.tags[0] == ("html", {"lang": "ja"})
    assert "email" in page.text
    assert "aiko" not in result.output
    assert run("disclose", "clinic:guard", "--subject", "7", "--values").exit_code == 2
    asked = sys.modules["clinic"].governance.requests.open("disclosure", subject=7).id
    arguments = ["--subject", "7", "--values", "--by", "Ms Sato", "--request", str(asked), "--format", "json"]
    shown = run("disclose", "clinic:governance", *arguments, "-o", "report.json")
    assert (shown.exit_code, shown.output.replace("noise of an import\n", "")) == (0, "")
    report = Disclosure.model_validate_json((folder / "report.json").read_text("utf-8"))
    assert [one.value for one in report.holdings[0].records[0].items] == ["aiko@example.org", "TM-99"]
    assert report.request == asked
    unknown = run("disclose", "clinic:guard", "--subject", "7", "--request", str(asked + 1))
    assert (unknown.exit_code, "no request" in unknown.stderr) == (2, True)
    ledger = run("ledger", "show", "own.db", "--kind", "exception", "--format", "json")
    assert "Ms Sato" in ledger.stdout
    assert "aiko" not in ledger.stdout


def test_a_report_of_a_store_says_what_is_on_record(store: str) -> None:
    result = run("disclose", store, "--subject", "8", "--format", "json")
    report = Disclosure.model_validate_json(result.stdout)
    assert report.holdings == ()
    (asked,) = report.requests
    assert (asked.kind, asked.state, asked.purposes) == ("suspension-of-use", "verified", ("1.2(1)①", "2.2①"))
    # Looking leaves no trace.
    before = run("ledger", "verify", store, "--format", "json").stdout
    assert run("disclose", store, "--subject", "nobody").exit_code == 0
    assert run("ledger", "verify", store, "--format", "json").stdout == before


def test_another_notice(store: str, tmp_path: Path) -> None:
    toml = Path(tm.__file__).with_name("notice.toml").read_text("utf-8")
    line = next(one for one in toml.splitlines() if one.startswith("controller = "))
    other = toml.replace(line, 'controller = { en = "Another", ja = "別" }')
    (tmp_path / "other.toml").write_text(other, "utf-8")
    result = run("disclose", store, "--subject", "8", "--notice", str(tmp_path / "other.toml"))
    assert "Another" in Page(result.stdout).text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["requests", "clinic:bare"], "`clinic:bare` is a guard without governance"),
        (["requests", "clinic:customers"], "`clinic:customers` is a function: name a Governance"),
        (["requests", "clinic:nothing"], "clinic has no `nothing`"),
        (["requests", "nothing"], "there is no file `nothing`"),
        (["requests", "sqlite:///missing.db"], "`missing.db` does not exist"),
        (["requests", "sqlite:///empty.db"], "is no store of purposeguard"),
        (["requests", "clinic.py"], "cannot be used: file is not a database"),
        (["requests", "mysql://there/it"], "a store's URL is"),
        (["requests", "a b://"], "a store's URL is"),
        (["requests", "clinic:governance", "--notice", "x"], "an application, such as `clinic:governance`, has its"),
        (["disclose", "clinic:governance", "--subject", " "], "a subject's id is"),
        (["disclose", "clinic:governance", "--subject", "7", "-o", "missing/report.html"], "cannot be written"),
        (["disclose", "clinic:governance", "--subject", "7", "--values"], "name who, `--by NAME`"),
    ],
)
def test_what_keeps_it_from_looking_is_said(folder: Path, arguments: list[str], told: str) -> None:
    (folder / "empty.db").write_bytes(b"")
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert told in result.stderr
    assert "Traceback" not in result.output
    assert not (folder / "missing.db").exists()
    assert (folder / "empty.db").read_bytes() == b""


def test_a_store_of_another_version_is_not_changed(store_url: str) -> None:
    with Store.open(store_url) as store, store.writing() as connection:
        connection.execute(sa.text("UPDATE purposeguard_version SET version_num = '0000_earlier'"))
    result = run("requests", store_url)
    assert result.exit_code == 2
    assert "was made by a newer version of purposeguard" in result.stderr


@pytest.mark.parametrize("library", ["alembic", "sqlalchemy"])
def test_what_is_to_be_installed_is_said(library: str) -> None:
    code = (
        f"import sys; sys.modules['{library}'] = None; from purposeguard.cli.main import main; "
        "sys.argv = ['purposeguard', 'requests', 'sqlite:///store.db']; main()"
    )
    result = process(code=code)
    assert result.returncode == 2
    assert f"{library}, which is not installed: pip install 'purposeguard[governance]'" in result.stderr


def test_a_store_is_upgraded_on_request(store_url: str) -> None:
    Store.open(store_url).close()
    for language, said in ((), "up to date: `0"), (("--language", "ja"), "最新です: `0"):
        result = run(*language, "store", "upgrade", store_url)
        assert (result.exit_code, result.stdout.startswith(said)) == (0, True)
    result = run("store", "upgrade", "mysql://host/name")
    assert (result.exit_code, "a store's URL is `sqlite:///file.db`" in result.stderr) == (2, True)
