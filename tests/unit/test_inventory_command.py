"""`purposeguard inventory`: its forecast is what happens, and what keeps it from looking is said."""

import json
import sys
from operator import itemgetter

import pytest
from typer.testing import CliRunner

import purposeguard as pg
from purposeguard.adoption.evidence_store import EvidenceFile, EvidenceKey
from purposeguard.cli.commands import app
from purposeguard.notices import trendmicro_jp as tm

SHOP = """
from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


@guard.access
def late() -> Later:
    return Later(email="e")


class Later(BaseModel):
    email: Annotated[str, tm.Registration]


class Address(BaseModel):
    street: Annotated[str, tm.Registration]
    wifi: Annotated[str, tm.ProductData]


class Customer(BaseModel):
    id: int
    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]
    serials: list[Annotated[str, tm.ProductData]]
    address: Address


@dataclasses.dataclass
class Visit:
    page: str
    address: Annotated[str, tm.Cookie]


CUSTOMER = Customer(id=1, email="e", device="d", serials=["s"], address=Address(street="t", wifi="w"))


class Repository:
    @guard.access
    def load(self) -> Customer:
        return CUSTOMER

    @staticmethod
    @guard.access(withhold=True)
    def seen() -> Customer:
        return CUSTOMER

    @classmethod
    @guard.access(withhold=True)
    def all(cls) -> list[Customer]:
        return [CUSTOMER]


@guard.access(tm.Registration, withhold=True)
def named() -> Customer:
    return CUSTOMER


@guard.access(withhold=True)
def whole() -> Annotated[Visit, tm.Contract]:
    return Visit("p", "a")


@guard.access(withhold=True)
def registered() -> Annotated[Later, tm.Registration]:
    return Later(email="e")


@guard.access(withhold=True)
def serials() -> list[Annotated[str, tm.ProductData]]:
    return ["s"]


@guard.access(tm.Cookie)
def visits() -> list[str]:
    return ["v"]


@guard.access(pg.NotPersonal)
def prices() -> list[int]:
    return [1]

"""
ACTIVITIES = {
    "remind": "tm.RenewalGuidance",
    "improve": "tm.ProductImprovement",
    "web_mail": 'tm.WebSecurityMail, channel="email"',
    "news": 'tm.AnySecurityInformation, channel="email", activity="security news"',
    "traffic": "tm.TrafficAnalysis",
    "trial": 'tm.RenewalGuidance, mode="observe"',
}
SHOP += "".join(f"\n\n@guard.purpose({of})\ndef {name}(fn):\n    return fn()\n" for name, of in ACTIVITIES.items())
SHOP += 'print("noise of an import")\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder that modules are imported from, and forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def shop(folder):
    (folder / "shop.py").write_text(SHOP, "utf-8")
    return "shop:guard"


def run(*arguments, columns=80):
    variables = {"COLUMNS": str(columns), "FORCE_COLOR": None, "NO_COLOR": None, "TERM": None}
    return CliRunner().invoke(app, ["inventory", *arguments], env=variables, prog_name="purposeguard")


def words(text):
    return " ".join(text.split())


def report(*arguments):
    result = run(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


FUNCTIONS = {
    "shop.Repository.load": lambda shop: shop.Repository().load(),
    "shop.Repository.seen": lambda shop: shop.Repository.seen(),
    "shop.Repository.all": lambda shop: shop.Repository.all(),
} | {
    f"shop.{name}": lambda shop, name=name: getattr(shop, name)()
    for name in ("late", "named", "whole", "registered", "serials", "visits", "prices")
}


def withheld(value, path=""):
    """The paths of what cannot be read in a value."""
    if isinstance(value, list):
        # Of a list that is returned itself, the paths begin at its items.
        return [one for item in value[:1] for one in withheld(item, path and f"{path}[]")]
    # By what its classes declare: what is withheld is left out of the fields that the value itself tells.
    names = [name for cls in type(value).__mro__ for name in getattr(cls, "__annotations__", ())]
    found = []
    for name in [one for one in dict.fromkeys(names) if not one.startswith(("_", "model_"))]:
        inner = f"{path}.{name}" if path else name
        try:
            found += withheld(getattr(value, name), inner)
        except pg.PurposeViolation:
            found.append(inner)
    return found


def test_the_forecast_is_what_happens(shop):
    forecast = {(one["activity"], one["access"]): one for one in report(shop)["combinations"]}
    module = sys.modules["shop"]
    for name in list(ACTIVITIES)[:-1]:
        activity = getattr(module, name)
        label = "security news" if name == "news" else f"shop.{name}"
        for access, call in FUNCTIONS.items():
            one = forecast.pop((label, access))
            assert one["enforced"] is True
            if one["outcome"] == "refused":
                with pytest.raises(pg.PurposeViolation) as caught:
                    activity(lambda call=call: call(module))
                assert set(one["reasons"]) == set(caught.value.decision.reasons)
                continue
            missing = withheld(activity(lambda call=call: call(module)))
            assert one["outcome"] == ("withheld" if missing else "allowed"), one
            assert one["withheld"] == missing
            assert bool(one["reasons"]) is bool(missing)
    assert {activity for activity, _ in forecast} == {"shop.trial"}
    assert not any(one["enforced"] for one in forecast.values())
    for access, call in FUNCTIONS.items():
        assert withheld(module.trial(lambda call=call: call(module))) == []
        assert forecast["shop.trial", access]["outcome"] in {"allowed", "withheld", "refused"}


def test_lists_what_the_guard_lists(shop):
    data = report(shop)
    guard = sys.modules["shop"].guard
    place = itemgetter("name", "module", "qualname", "line")
    for listed, one in zip(data["activities"], guard.activities, strict=True):
        assert place(listed) == (one.name, one.module, one.qualname, one.line)
        assert (listed["purpose"], listed["channel"]) == (one.purpose_id, one.channel)
        assert listed["mode"] == ("observe" if one.observing else "enforce")
    assert data["activities"][3]["name"] == "security news"
    for listed, one in zip(data["accesses"], guard.accesses, strict=True):
        assert place(listed) == (one.name, one.module, one.qualname, one.line)
        assert (listed["sources"], listed["withhold"]) == ([source.clause for source in one.label], one.withhold)
    assert len(data["combinations"]) == len(guard.activities) * len(guard.accesses) == 60
    source = SHOP.splitlines()
    for one in (*data["activities"], *data["accesses"]):
        assert source[one["line"] - 1].strip().startswith("@")


def test_a_label_that_is_known_only_later_is_settled(shop):
    (late,) = (one for one in report(shop)["accesses"] if one["name"] == "shop.late")
    assert late["sources"] == ["1.1(a)"]
    assert late["unresolved"] is None


def test_a_terminal_gets_what_fits(shop):
    text = run(shop).stdout
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("REFUSED") == sum(one["outcome"] == "refused" for one in report(shop)["combinations"])
    assert "REFUSED (observed: logged only)" in " ".join(text.split())
    assert "line " in text


def test_what_an_import_prints_is_no_part_of_the_report(shop):
    result = run(shop, "--format", "json")
    assert "noise of an import" not in result.stdout
    assert "noise of an import" in result.stderr


def test_the_module_is_found_where_the_command_is_started(shop, folder):
    sys.path[:] = [one for one in sys.path if one not in {"", str(folder)}]
    assert run(shop).exit_code == 0


FINDINGS = """
from typing import Annotated
import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


@guard.access(tm.Cookie)
def visits(): ...


@guard.access
def never() -> "Missing": ...


def hidden():
    @guard.access
    def inner() -> "Undefined": ...


hidden()


@guard.purpose(tm.RenewalGuidance)
def remind(): ...


@guard.purpose(tm.WebSecurityMail, mode="observe")
def mail(): ...
"""


def test_findings(folder):
    (folder / "odd.py").write_text(FINDINGS, "utf-8")
    result = run("odd:guard", "--format", "json")
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    joined = "\n".join(data["findings"])
    assert result.stderr == "".join(f"finding: {one}\n" for one in data["findings"])
    assert "access function odd.never: its sources are not known: its return annotation names `Missing`" in joined
    assert "access function odd.hidden.<locals>.inner: its sources are not known" in joined
    assert "access function odd.visits: every activity would be refused it" in joined
    assert "activity odd.mail: web-security-mail names its channels, and it states none" in joined
    assert "activity odd.remind" not in joined  # what is not known is not taken to be refused
    assert {one["outcome"] for one in data["combinations"] if one["access"] == "odd.never"} == {"unknown"}
    assert run("odd:guard", "--strict").exit_code == 1


TABLES = """
from purposeguard.adapters.sql import Statements

statements = Statements(guard, {
    "customer": {"id": pg.NotPersonal, "email": tm.Registration, "device": tm.ProductData},
    "visit": {"page": tm.Cookie},
}, dialect="postgres")
"""


def test_tables_are_listed_with_what_each_activity_may_not_use(folder):
    (folder / "odd.py").write_text(FINDINGS + TABLES, "utf-8")
    data = json.loads(run("odd:guard", "--format", "json").stdout)
    assert data["tables"] == [
        {"name": "customer", "columns": {"email": ["1.1(a)"], "device": ["1.1(b)"]}},
        {"name": "visit", "columns": {"page": ["2.3"]}},
    ]
    uses = {(one["activity"], one["table"]): (one["refused"], one["enforced"]) for one in data["table_uses"]}
    assert uses["odd.remind", "customer"] == (["device"], True)
    assert uses["odd.remind", "visit"] == (["page"], True)
    assert uses["odd.mail", "customer"] == (["email", "device"], False)
    assert "table visit: every activity would be refused all its tagged columns" in data["findings"]
    assert not any("table customer" in finding for finding in data["findings"])
    text = words(run("odd:guard", columns=120).stdout)
    assert "Tables (2) table column sources customer email 1.1(a) device 1.1(b) visit page 2.3" in text
    assert "remind customer refused device no clause grants it to 1.1(b)" in text
    assert "visit refused page (observed: logged only)" in text


def test_an_activity_that_uses_tables_alone_is_no_finding(folder):
    idle = FINDINGS.partition("@guard.access\n")[0] + "@guard.purpose(tm.RenewalGuidance)\ndef remind(): ...\n"
    (folder / "idle.py").write_text(idle + TABLES, "utf-8")
    assert not any("activity" in finding[:8] for finding in report("idle:guard")["findings"])


def test_an_activity_that_may_read_nothing_is_a_finding(folder):
    (folder / "idle.py").write_text(
        FINDINGS.partition("@guard.access\n")[0] + "@guard.purpose(tm.WebFeedback)\ndef ask(): ...\n"
    )
    result = run("idle:guard", "--strict")
    assert result.exit_code == 1
    assert "activity idle.ask: every access function would be refused to it" in result.stderr


def test_activities_in_modules_that_the_guard_does_not_import(folder):
    (folder / "rules.py").write_text(FINDINGS.partition("@guard.access(")[0], "utf-8")
    (folder / "jobs.py").write_text("from rules import guard, tm\n\n@guard.purpose(tm.WebFeedback)\ndef ask(): ...\n")
    assert report("rules:guard")["activities"] == []
    assert [one["name"] for one in report("rules:guard", "--import", "jobs")["activities"]] == ["jobs.ask"]
    assert run("rules:guard", "--import", "jobbs").exit_code == 2


def test_a_guard_inside_something(folder):
    (folder / "nested.py").write_text(
        "import purposeguard as pg\n"
        "class state:\n    guard = pg.Guard(pg.Notice.bundled('trendmicro-jp'), mode='observe')\n"
    )
    data = report("nested:state.guard")
    assert (data["mode"], data["combinations"], data["findings"]) == ("observe", [], [])


@pytest.mark.parametrize(
    ("text", "target", "told"),
    [
        ("", "broken", "MODULE:GUARD"),
        ("", "broken:", "MODULE:GUARD"),
        ("", ":guard", "MODULE:GUARD"),
        ("", "absent:guard", "there is no module `absent`"),
        ("", "absent.inner:guard", "there is no module `absent`"),
        ("", "broken:guard", "broken has no `guard` (help: it has no guard at all)"),
        ("guard = 3", "broken:guard", "`broken:guard` is no guard but a int"),
        ("import not_installed", "broken:guard", "broken cannot be imported: ModuleNotFoundError: No module named"),
        ("x = 1\nx / 0", "broken:guard", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "broken:guard", "broken cannot be imported: SystemExit: 3"),
        ("raise RuntimeError", "broken:guard", "RuntimeError: no message"),
        ("def f(:", "broken:guard", "SyntaxError"),
        (
            "import purposeguard as pg\ng = pg.Guard(pg.Notice.bundled('trendmicro-jp'))\n@g.access\ndef f(): ...",
            "broken:g",
            "UnlabelledData: broken.f: neither its return annotation nor the decorator names a source",
        ),
        (
            "import purposeguard as pg\nthe_guard = pg.Guard(pg.Notice.bundled('trendmicro-jp'))",
            "broken:guard",
            "broken has no `guard` (help: it has `broken:the_guard`)",
        ),
    ],
)
def test_what_keeps_it_from_looking_is_said(text, target, told, folder):
    (folder / "broken.py").write_text(text + "\n", "utf-8")
    result = run(target)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert told in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


WAYS_OUT = """
import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)
figures = guard.reclassify(
    tm.ProductData, tm.Contract, to=pg.NotPersonal, why="over many", approver="DPO", at_least=7, name="figures"
)

@guard.reclassify(tm.Registration, to=tm.Cookie, why="a length")
def length(value): ...
"""


def test_ways_out_are_listed_with_their_least_number_before_any_has_run(folder):
    (folder / "ways.py").write_text(WAYS_OUT, "utf-8")
    figure = {"module": "ways", "qualname": "<module>", "line": 6, "from": ["1.1(b)", "1.1(c)"]}
    figure |= {"to": ["not-personal"], "why": "over many", "approver": "DPO"}
    count, mean, length = report("ways:guard")["reclassifications"]
    assert count == {"name": "figures: count over at least 7 subjects"} | figure
    assert mean == {"name": "figures: mean over at least 7 subjects"} | figure
    assert (length["name"], length["line"], length["approver"]) == ("ways.length", 10, None)
    text = words(run("ways:guard", columns=300).stdout)
    assert "Reclassifications (3)" in text
    assert "figures: count over at least 7 subjects 1.1(b) 1.1(c) not-personal DPO ways.<module>, line 6" in text
    assert "ways.length 1.1(a) 2.3 - line 10 a length" in text


HANDING = """
from __future__ import annotations
import datetime
from dataclasses import dataclass
from typing import Annotated
import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient, Safeguard

class Book:
    def denied(self, error, *, observed): ...
    def counter(self, activity, purpose, label): ...
    def reclassified(self, declared, label, activity): ...
    def provided(self, provision): ...

guard = pg.Guard(tm.NOTICE, ledger=Book())
printer = Recipient(
    "printer", "domestic-contractor", "JP", supervised_on=datetime.date(2024, 5, 1),
    safeguards=[Safeguard("contract", "2024-7", since=datetime.date(2024, 4, 1))],
)
elsewhere = Recipient("elsewhere", "overseas-contractor", "KR", means="email")

@guard.entrust(printer, means="storage-media", product="x", task="y")
def letters(customer: Customer): ...

@guard.entrust(elsewhere, tm.ProductData)
async def scans(customer: int): ...

@guard.entrust(printer, means="email")
def unknown(customer: Nowhere): ...

@dataclass
class Customer:
    email: Annotated[str, tm.Registration]

def inside():
    @guard.entrust(printer, means="email")
    def hidden(customer: Nowhere): ...

inside()

@guard.purpose(tm.RenewalGuidance)
def remind(): ...
"""


def test_hand_overs_are_listed_with_their_recipients(folder):
    (folder / "handing.py").write_text(HANDING, "utf-8")
    data = report("handing:guard")
    letters, scans, unknown, hidden = data["entrustments"]
    place = {"name": "handing.letters", "module": "handing", "qualname": "letters", "line": 23}
    recipient = {"recipient": "printer", "kind": "domestic-contractor", "country": "JP", "sources": ["1.1(a)"]}
    assert letters == place | recipient | {"means": "storage-media", "product": "x", "task": "y"}
    assert (scans["recipient"], scans["country"], scans["sources"], scans["means"]) == (
        *("elsewhere", "KR", ["1.1(b)"], "email"),
    )
    assert unknown["sources"] is hidden["sources"] is None
    text = words(run("handing:guard", columns=300).stdout)
    assert "Hand-overs in handing (4)" in text
    assert "letters printer 1.1(a) storage-media line 23 domestic-contractor, JP" in text
    assert "unknown printer ? email line 29 domestic-contractor, JP" in text


def test_hand_overs_that_would_be_refused_are_findings(folder):
    (folder / "handing.py").write_text(HANDING, "utf-8")
    found = [" ".join(one.split()) for one in report("handing:guard")["findings"]]
    assert found[0].startswith("hand-over handing.unknown: its sources are not known: an annotation names `Nowhere`")
    assert found[1].startswith("hand-over handing.inside.<locals>.hidden: its sources are not known: its parameters'")
    assert found[2:] == [
        "hand-over handing.scans: no supervision of it is on record, which clause 4 requires",
        "hand-over handing.scans: clause 5 names no country KR, and any that it does not name is refused",
        "hand-over handing.scans: no safeguard is on record, such as contract or other (clause 6.2)",
        "hand-over handing.scans: it would be refused to every activity",
    ]


def test_activities_have_the_number_of_their_observed_reads(shop, folder):
    first, *others = report(shop)["activities"]
    assert "reads" not in first
    (folder / "privacy").mkdir()
    key = EvidenceKey(
        notice=f"{tm.NOTICE.id}@{tm.NOTICE.revision}", activity=first["name"], purpose=first["purpose"],
        sources="1.1(a)", field="email", outcome="read",
    )  # fmt: skip
    for name in ("privacy/evidence.sqlite", "other.sqlite"):
        EvidenceFile(folder / name).add({key: 20, key._replace(outcome="observed"): 1})
    EvidenceFile(folder / "other.sqlite").add({key._replace(purpose="1.2(1)⑧", outcome="read"): 5})
    files = ("--evidence", "privacy/evidence.sqlite", "--evidence", "other.sqlite")
    for arguments, times in (((), 20), (files, 40)):
        observed = {row["name"]: row for row in report(shop, *arguments)["activities"]}
        read = observed.pop(first["name"])
        assert (read["reads"], read["denials"]) == (times, times // 20)
        assert read["last"] is not None
        assert [(row["reads"], row["last"]) for row in observed.values()] == [(0, None)] * len(others)
    assert "observed reads" in words(run(shop, columns=200).stdout)
