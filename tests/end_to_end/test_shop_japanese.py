"""`--language ja`: whatever the command line prints for people of the shop and of its notice is Japanese."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from fastapi.testclient import TestClient

from examples.shop.privacy import guard
from examples.shop.settings import Settings
from purposeguard.adapters import arrow
from purposeguard.adoption.evidence_store import EvidenceFile, EvidenceKey
from purposeguard.cli.commands import app as command_line
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.dbt.conftest import Shop as Project
from tests.end_to_end.conftest import Asks
from tests.unit.command_line import ROOT, TINY, run
from tests.unit.mistakes import NOTICE

GUARD = "examples.shop.app:guard"
DIFF = str(ROOT / "tests" / "golden" / "diff")
FOR = ("--purpose", "renewal-guidance")

RUNS: tuple[tuple[int, str], ...] = (
    (0, "matrix --notice trendmicro-jp"),
    (2, "matrix"),
    (2, "matrix worded.toml --notice worded.toml"),
    (2, f"requests {GUARD} --notice worded.toml"),
    (2, "explain worded.toml 2①"),
    (0, "matrix --channel email --notice trendmicro-jp"),
    (2, "matrix --channel fax --notice trendmicro-jp"),
    (0, "explain 1.1(a),1.1(c) 1.2(1)① --notice trendmicro-jp"),
    (1, "explain 1.1(a),1.1(b) 1.2(1)① --notice trendmicro-jp"),
    (1, "explain 2.1(a) 2.2③ --channel phone --notice trendmicro-jp"),
    (1, "explain 2.1(a) 1.2(1)② --notice trendmicro-jp"),
    (2, "explain 9.9 1.2(1)① --notice trendmicro-jp"),
    (0, "matrix --notice worded.toml --text"),
    (2, "matrix --notice worded.toml --language jp"),
    (0, "explain 1 2① --notice worded.toml"),
    (0, "diff worded.toml worded-anew.toml"),
    (0, "new uses.csv -o begun.toml"),
    (2, "new uses.csv -o worded.toml"),
    (2, "new absent.csv"),
    (2, "new ragged.csv"),
    (0, "new --template japan -o templated.toml"),
    (2, "new --template gdrp"),
    (2, "new --template gdpr --titles de"),
    (0, "validate trendmicro-jp"),
    (2, "validate faulty.toml"),
    (2, "validate unquoted.toml"),
    (1, "validate doubtful.toml --strict"),
    (2, "validate absent"),
    (1, "codegen trendmicro-jp -o absent.py --check"),
    (2, "codegen trendmicro-jp --check"),
    (1, "schema -o absent.json --check"),
    (1, "export cedar trendmicro-jp -o cedar --check"),
    (1, "export fides trendmicro-jp -o fides --check"),
    (2, f"export fides next.toml -o fides --guard {GUARD}"),
    (1, "export dpv trendmicro-jp -o dpv --check"),
    (0, f"inventory {GUARD}"),
    (2, "inventory examples.shop.app:nobody"),
    (2, "inventory absent:guard"),
    (0, "diff {diff}/v1.toml {diff}/v2.toml"),
    (0, "diff {diff}/v2.toml {diff}/v3.toml"),
    (0, "diff trendmicro-jp next.toml --app small:guard"),
    (0, f"requests {GUARD}"),
    (0, "requests {store} --overdue --notice trendmicro-jp"),
    (2, "requests absent.db"),
    (0, f"disclose {GUARD} --subject customer:1"),
    (2, f"disclose {GUARD} --subject customer:1 --values"),
    (2, f"disclose {GUARD} --subject customer:1 --request 77"),
    (0, f"sweep {GUARD}"),
    (0, f"sweep {GUARD} --apply"),
    (2, "sweep examples.shop.models:CustomerId"),
    (0, "ledger verify {store}"),
    (1, "ledger verify broken.jsonl"),
    (2, "ledger verify absent.db"),
    (0, "ledger key signing.key"),
    (2, "ledger key absent/signing.key"),
    (0, "ledger checkpoint {store} -o checkpoints.jsonl"),
    (0, "ledger verify {store} --from checkpoints.jsonl"),
    (2, "ledger verify {store} --from absent.jsonl"),
    (2, "ledger verify {store} --stopped"),
    (0, "ledger archive {store} --before 2001-01-01 -o none.jsonl"),
    (2, "ledger archive {store} --before 2001-01-01 -o broken.jsonl"),
    (2, "ledger archive {store} --before 2999-01-01 -o none.jsonl"),
    (2, "ledger verify {store} --key signing.key.pub"),
    (0, "ledger reconcile {store}"),
    (2, "ledger reconcile broken.jsonl"),
    (0, "ledger show {store}"),
    (0, "ledger show {store} --by activity,field --limit 1"),
    (2, "ledger show {store} --since yesterday"),
    (2, "ledger export {store} -o store.db"),
    (0, f"report {GUARD} -o report.html --xlsx report.xlsx"),
    (2, f"report {GUARD} -o report.html --revision absent"),
    (0, "store upgrade {store}"),
    (0, "store upgrade {store} --contract"),
    (2, "store upgrade absent.db"),
    (0, "sql SELECT_email customer.parquet --notice trendmicro-jp"),
    (1, "sql SELECT_device customer.parquet --notice trendmicro-jp"),
    (1, "sql SELECT_device customer.parquet --explain --notice trendmicro-jp"),
    (2, "sql SELECT_phone customer.parquet --notice trendmicro-jp"),
    (2, "sql SELECT_email orders.csv --notice trendmicro-jp"),
    (2, "sql SELECT_total orders.csv --notice trendmicro-jp"),
    (0, "adopt scan --dbt dbt --directory adoption --dry-run"),
    (2, "adopt scan --directory adoption"),
    (2, "adopt scan absent --directory adoption"),
    (0, "adopt evidence --directory adoption"),
    (2, "adopt evidence --evidence absent.sqlite --directory adoption"),
    (0, "adopt propose --directory adoption"),
    (0, "adopt status --directory adoption"),
    (2, "adopt status --tolerate known --directory adoption"),
    (0, "adopt apply --directory adoption"),
    (2, "adopt run"),
    (1, "dbt check dbt --notice trendmicro-jp"),
    (2, "dbt check absent --notice trendmicro-jp"),
    (1, "dbt labels dbt --notice trendmicro-jp"),
)
"""Exit code → what is run. `sql SELECT_x file` is a query of that column of that file."""

ALLOWED = "GET POST TOML URL Web PYTHONPATH UTC IP MODULE NAME FILE GUARD Annotated exposure duckdb count avg sum"
"""Latin words that Japanese engineers write as they are."""

OTHERS = (
    "MemberService Invoicing Visit Reading Accounting customer:2 PurposeViolation PurposeMissing CustomerId SQLite "
    "purposeguard absent ja codegen schema json cedar fides dpv export dbt sql audience advertisement unexplained "
    "revision class format grant surplus sources purpose analyst push erasure disclosure AnnotatedAlias Governance "
    "lead telemetry published disclose small contact visitor advertise clerk tiny given club"
)
"""Further names: of the files below, of errors, of commands, and of keys of a notice."""

SMALL = """
from typing import Annotated

from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


class Visitor(BaseModel):
    contact: Annotated[str, tm.WebContact]
    form: Annotated[str, tm.WebForm]


@guard.access(withhold=True)
def visitor() -> Visitor: ...


@guard.access
def contact() -> Annotated[str, tm.WebContact]: ...


@guard.purpose(tm.WebProductGuidance, channel="email")
def advertise() -> None: ...
"""


def commands(group: Any, *above: str) -> Iterator[str]:
    """The commands of the command line, by their full names."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *above, name)
        else:
            yield " ".join((*above, name))


def test_each_command_is_run() -> None:
    every = set(commands(typer.main.get_command(command_line)))
    assert every == {name for name in every for _, line in RUNS if f"{line} ".startswith(f"{name} ")}


@cache
def declared() -> re.Pattern[str]:
    """What the notice and the shop call things, what the shop's own people wrote, and `OTHERS`."""
    document = tm.NOTICE.document
    names = {
        *OTHERS.split(),
        "To improve what we offer",
        "To improve",
        tm.NOTICE.id,
        *(channel.id for channel in document.channel),
    }
    for source in tm.NOTICE.sources:
        names |= {source.slug, source.__name__}
    for purpose in tm.NOTICE.purposes:
        names |= {purpose.slug, purpose.__name__}
    for family in tm.NOTICE.families:
        names |= {family.slug, family.name}
    for table in guard.tables:
        names |= {table.name, *(column for column, _ in table.columns)}
    for made in guard.reclassifications:
        names |= {made.why, made.approver or made.name, made.name.partition(":")[0]}
    for access in guard.accesses:
        names |= {*access.fields, *access.sealed} - {""}
    return re.compile("|".join(rf"(?<![A-Za-z]){re.escape(name)}(?![A-Za-z])" for name in sorted(names, key=len)[::-1]))


IDENTIFIERS = re.compile(
    r"`[^`\n]*`|\S*[/\\@]\S*|--[a-z-]+|\b[0-9a-f]{16,}\b|\b[A-Z]{2}\b|\[[a-z]+\]|[A-Za-z]+(?:[-_.:\[\]\d]+[A-Za-z]*)+"
)
"""By their form: code, paths and addresses, options, digests, countries, tables of TOML, and words tied together."""


def english_in(text: str) -> list[str]:
    """The Latin words of a text that are no identifiers."""
    bare = declared().sub(" ", IDENTIFIERS.sub(" ", text))
    return sorted(set(re.findall(r"[A-Za-z]{2,}", bare)) - set(ALLOWED.split()))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files that the commands read."""
    monkeypatch.chdir(tmp_path)
    rows = pa.table({"email": ["a@example.com"], "device": ["d"]})
    tags = {"email": tm.Registration, "device": tm.ProductData}
    pq.write_table(arrow.tagged(rows, tags, tm.NOTICE), "customer.parquet")
    Path("orders.csv").write_text("customer,total\n1,10.5\n", "utf-8")
    Path("uses.csv").write_text("data,purpose,basis\n氏名,配送,contract\n", "utf-8")
    Path("ragged.csv").write_text("data,purpose,basis\n氏名,配送\n", "utf-8")
    faults = {'sources = ["1"]': 'sources = ["7"]', 'class = "Mailing"': 'class = "Answering"', "format = 1\n": ""}
    faulty = TINY
    for good, bad in faults.items():
        faulty = faulty.replace(good, bad)
    Path("faulty.toml").write_text(f"{faulty}surplus = 1\n", "utf-8")
    worded = TINY.replace("title", 'text = { ja = "本文を示します。" }\ntitle')
    Path("worded.toml").write_text(worded, "utf-8")
    anew = worded.replace("2025-01-01", "2026-01-01").replace("示します。", "改めます。", 2)
    Path("worded-anew.toml").write_text(anew.replace('text = { ja = "本文を示します。" }\n', "", 1), "utf-8")
    Path("unquoted.toml").write_text(TINY.replace('class = "Mailing"', "class = Mailing"), "utf-8")
    doubtful = NOTICE[: NOTICE.index("[rights]")].replace('sources = ["2"]', 'sources = ["1"]')
    Path("doubtful.toml").write_text(doubtful.replace("Statistics of the site", "Newsletter"), "utf-8")
    later = (Path(tm.__file__).parent / "notice.toml").read_text("utf-8")
    Path("next.toml").write_text(
        re.sub(r"(?m)^revision = .*$", "revision = 2026-04-01", later)
        + '\n[[forbid]]\nsources = ["2.1(a)"]\npurposes = ["2.2①"]\nreason = { en = "no longer", ja = "案内の終了" }\n',
        "utf-8",
    )
    Path("broken.jsonl").write_text('{"seq": 1}\n', "utf-8")
    Path("small.py").write_text(SMALL, "utf-8")
    read = {"notice": f"trendmicro-jp@{tm.NOTICE.revision}", "outcome": "read", "sources": "1.1(a)"}
    Path("adoption").mkdir()
    Path("adoption/pyproject.toml").write_text('[tool.purposeguard]\nnotice = "trendmicro-jp"\n', "utf-8")
    EvidenceFile("adoption/evidence.sqlite").add(
        {
            EvidenceKey(**read, entry_point="GET /users"): 1,
            EvidenceKey(**{**read, "sources": "3.1"}, entry_point="GET /users"): 1,
            EvidenceKey(**read, entry_point="GET /mails"): 1,
            EvidenceKey(**{**read, "outcome": "unresolved"}, entry_point="GET /odd", detail="x.y"): 1,
            EvidenceKey(**read, entry_point="GET /old", purpose="1.2(2)①", activity="GET /old"): 1,
        }
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "small", raising=False)
    Path("dbt").mkdir()
    project = Project(tmp_path / "dbt")
    project.model("audience", "select * from {customers}")
    project.exposure("advertisement", "audience", meta={"purpose": "2.2①"})
    project.exposure("unexplained", "audience")
    project.written()
    return tmp_path


def arguments(line: str, store: str) -> Iterable[str]:
    """What is typed, for a line of `RUNS`."""
    paths = {"{diff}": DIFF, "{store}": store, "store.db": store.removeprefix("sqlite:///")}
    name, *rest = line.split()  # Before the paths go in, which may contain blanks.
    for place, path in paths.items():
        rest = [word.replace(place, path) for word in rest]
    if name != "sql":
        return name, *rest
    query, file, *more = rest
    return name, f"{query.replace('_', ' ')} FROM {file.partition('.')[0]}", file, *FOR, *more


def test_nothing_is_left_in_english(
    five_customers: TestClient, settings: Settings, ask: Asks, laboratory: dict[str, str], folder: Path
) -> None:
    ask("suspension-of-use", "customer:1")
    five_customers.post("/privacy/requests", json={"kind": "disclosure", "subject": "customer:2"})
    five_customers.post("/renewals/reminders", json={"due_before": "2030-02-01"})
    five_customers.post("/laboratory/crashes")
    five_customers.get("/mistakes/promote-from-summary?product=Shield")
    five_customers.post("/mistakes/promote-upgrade?product=Shield")
    five_customers.get("/mistakes/without-purpose/1")
    five_customers.get("/telemetry/Shield/figures")
    found: list[str] = []
    for code, line in RUNS:
        result = run("--language", "ja", *arguments(line, settings.governance_url), columns=500)
        assert result.exit_code == code, (line, result.output)
        printed = re.sub(r"<style>.*?</style>|<[^>]*>", " ", result.output, flags=re.DOTALL)
        rows = {row for row in printed.splitlines() if not row.startswith(("  +", "  -", "  @"))}
        # Other tests may have let canaries out with the same guard, which lists them as activities.
        printed = "\n".join(row for row in rows if "canaries in " not in row)
        if left := english_in(printed):
            found.append(f"{line}: {' '.join(left)}")
    assert not found, "\n".join(found)
