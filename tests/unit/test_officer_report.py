"""The officer's report: what it shows of code, terms and records that are hostile, lacking or many."""

from __future__ import annotations

import dataclasses
import re
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.cli.report.drawing import MapDrawing, draw_map
from purposeguard.cli.report.facts import Facts, facts_of
from purposeguard.cli.report.layout import HEIGHT, WIDTH
from purposeguard.cli.report.notice_facts import NoticeFacts
from purposeguard.cli.report.page import BADGES, TEMPLATES, page, words
from purposeguard.cli.report.registers import Language, ReportRegister
from purposeguard.cli.report.relations import NoticeRelations
from purposeguard.cli.report.revisions import sentences
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.diff import compare
from tests import lindenrad
from tests.golden.changes import CHANGES, after, before
from tests.unit.command_line import ROOT, TINY, process, run

LANGUAGES: tuple[Language, ...] = ("en", "ja")
GDPR = pg.Notice.load(ROOT / "examples" / "gdpr" / "notice.toml")


class Read(HTMLParser):
    """A page as its tags and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, *tags: str) -> int:
        return sum(tag in tags for tag, _ in self.tags)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An application whose names are markup; its own store is open."""
    folder = tmp_path_factory.mktemp("lindenrad")
    target = lindenrad.written(folder)
    sys.path.insert(0, str(folder))
    yield target
    sys.path.remove(str(folder))
    module: Any = sys.modules.pop("lindenrad", None)
    if module is not None:
        module.governance.close()


@pytest.fixture(scope="module")
def facts(shop: str) -> Facts:
    facts_of(shop)
    module: Any = sys.modules["lindenrad"]
    module.fulfil()
    # In a module of its own, or those of the other tests would be of the application too.
    with pytest.raises(pg.PurposeViolation):
        module.block()
    with pytest.raises(pg.PurposeMissing):
        module.account(7)
    asked = module.governance.requests.open("erasure", subject="4711", note=lindenrad.HOSTILE)
    module.governance.requests.verify(asked, how="by telephone", by="clerk")
    module.governance.ledger.flush()
    return facts_of(shop)


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_that_the_page_is_about_becomes_markup(facts: Facts, language: Language) -> None:
    text = page(facts, language)
    read = Read(text)
    assert read.count("script") == read.count("style") == 1
    assert read.count("img") == 0
    # The title of the notice, a source, a purpose, a family; an activity, a class, an eraser, a reason, an approver.
    assert read.text.count(lindenrad.HOSTILE) >= 9
    assert not any(name.startswith("on") for _, attributes in read.tags for name in attributes)
    policy = next(attributes["content"] for _, attributes in read.tags if "http-equiv" in attributes)
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not any({"src", "style"} & attributes.keys() for _, attributes in read.tags)
    assert all((attributes.get("href") or "#").startswith("#") for _, attributes in read.tags)
    assert "4711" not in text


def test_the_gaps_of_an_application(facts: Facts) -> None:
    gaps = facts.gaps
    assert [(gap.of.rpartition(".")[2], gap.name) for gap in gaps.untagged] == [
        (lindenrad.HOSTILE.rpartition(".")[2], "nickname")
    ]
    assert gaps.never is not None
    assert [gap.name for gap in gaps.never] == ["lindenrad.mail", "lindenrad.advertise", "block"]
    assert "3.1①" not in {gap.name for gap in gaps.purposes}
    assert {gap.name for gap in gaps.purposes} == {purpose.clause for purpose in GDPR.purposes} - {
        *("3.1①", "3.3①", "3.5①", "3.3②")
    }
    assert {gap.name for gap in gaps.sources} == {"2.1(b)", "2.1(c)", "2.3", "3.6/profile", "2.2/commuter/battery"}
    assert gaps.code["outside"][0].name == "1"
    assert gaps.code["idle_access"][0].name == "lindenrad.rider"


def test_retention_and_requests_are_figures(facts: Facts) -> None:
    records = facts.records
    assert records is not None
    known = {row.eraser: row for row in records.erasable}
    assert (known[lindenrad.HOSTILE].count, known[lindenrad.HOSTILE].known) == (7, 40)
    assert known["broken"].problem is not None
    assert {(row.source, row.from_) for row in records.unserved} >= {("2.1(a)", "end-of-use"), ("2.2", "end-of-use")}
    (erasure,) = (row for row in records.requests if row.kind == "erasure")
    assert (erasure.states, erasure.overdue, erasure.soon) == ({"verified": 1}, 0, 0)
    assert erasure.next_due is not None
    text = Read(page(facts, "en")).text
    assert "could not be counted" in text
    assert str(erasure.next_due) in text


def test_what_an_eraser_failed_with_goes_to_standard_error(shop: str, facts: Facts, tmp_path: Path) -> None:
    result = run("report", shop, "-o", tmp_path / "page.html")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "finding: eraser broken: `broken.due` failed with RuntimeError" in result.stderr
    assert "4711" not in result.stderr
    assert (tmp_path / "page.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    assert run("report", shop, "--language", "ja").stdout.startswith('<!DOCTYPE html>\n<html lang="ja">')


BARE = """
from typing import Annotated
from pydantic import BaseModel
import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


class Customer(BaseModel):
    email: Annotated[str, tm.Registration]


@guard.access
def load(key: int) -> Customer: ...


@guard.purpose(tm.WebPreferences)
def keep() -> None: ...


@guard.purpose(tm.AnyFeedback)
def listen() -> None: ...
"""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An application without governance."""
    (tmp_path / "bare.py").write_text(BARE, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield "bare:guard"
    sys.modules.pop("bare", None)


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_a_store_the_page_says_so(bare: str, language: Language) -> None:
    text = Read(page(facts_of(bare), language)).text
    for word in ("no_store", "never_unknown", "no_records", "one_revision"):
        assert words(language)[word] in text
    assert words(language)["last_use"] not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_titles_and_words_in_another_language_are_marked(
    language: Language, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice = re.sub(r"\{ en = (.*?), ja = .* \}", r"{ de = \1 }", TINY)
    notice = notice.replace('class = "Given"', 'class = "Given"\ntext = { de = { file = "words.txt", lines = "1-2" } }')
    notice = notice.replace(
        'class = "Mailing"', 'class = "Mailing"\ntext = { de = "Post.", en = "Mail.", ja = "郵便。" }'
    )
    (tmp_path / "words.txt").write_text("<b>Was Sie\nuns geben.</b>\n", "utf-8")
    (tmp_path / "tiny.toml").write_text(notice, "utf-8")
    code = f"import purposeguard as pg\nguard = pg.Guard(pg.Notice.load({str(tmp_path / 'tiny.toml')!r}))\n"
    (tmp_path / "german.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    text = page(facts_of("german:guard"), language)
    sys.modules.pop("german", None)
    assert '<bdi lang="de">What was given</bdi>' in text
    assert 'lang="de">1 What was given</option>' in text
    summary = f'<details class="published"><summary>{words(language)["published"]}</summary>'
    assert f'{summary}<blockquote lang="de">&lt;b&gt;Was Sie\nuns geben.&lt;/b&gt;</blockquote></details>' in text
    assert f"{summary}<blockquote>{'Mail.' if language == 'en' else '郵便。'}</blockquote></details>" in text
    assert 'aria-label="Source 1 What was given" lang="de"' in text or language == "ja"


def test_what_a_replaced_notice_takes_away_is_a_gap(bare: str) -> None:
    assert [gap.name for gap in facts_of(bare).gaps.code["starved"]] == ["bare.keep"]
    tables = tm.NOTICE.dump()
    tables["revision"] = "2025-04-01"
    web = next(grant for grant in tables["grant"] if grant["clause"] == "2.2")
    web["purpose"] = [row for row in web["purpose"] if row["id"] != "2.2⑩"]
    given = next(row for grant in tables["grant"] for row in grant["purpose"] if row["id"] == "1.2(2)⑥")
    given["channels"] = {"closed": ["phone"]}
    sys.modules["bare"].guard.replace(pg.History(tm.NOTICE, pg.Notice.parse(tables)))
    found = facts_of(bare)
    assert found.gaps.code["purpose_gone"][0][:] == ("bare.keep", "2.2⑩")
    assert found.gaps.code["no_channel"][0].name == "bare.listen"
    (step,) = found.steps
    assert (str(step.comparison.old.revision), str(step.comparison.new.revision)) == ("2024-04-01", "2025-04-01")
    assert {turn[0].before.activity.name for turn in step.turns if turn[0].stops} == {"bare.listen"}
    text = Read(page(found, "en")).text
    assert "Activities without a clause" in text
    assert "experience-hearing (1.2(2)⑥) may no longer use" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("report", "nowhere:guard"), "there is no module `nowhere`"),
        (("report", "bare:guard", "--store", "nowhere.db"), "does not exist"),
        (("report", "bare:guard", "--store", "mysql://host/db"), "a store's URL is"),
        (("report", "bare:guard", "--revision", "nowhere"), "no file and no bundled notice"),
        (("report", "bare:guard", "--revision", str(ROOT / "examples/gdpr/notice.toml")), "another notice"),
    ],
    ids=["module", "store", "url", "revision", "notice"],
)
def test_bad_input_is_refused(bare: str, arguments: tuple[str, ...], message: str) -> None:
    del bare
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "jinja2":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from purposeguard.cli.main import main
sys.argv = ["purposeguard", "report", "bare:guard"]
main()
"""


@pytest.mark.processes
def test_what_is_to_be_installed_is_said(tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text(BARE, "utf-8")
    done = process(code=WITHOUT, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: the report needs jinja2, which is not installed: pip install 'purposeguard[report]'\n"
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_registers_are_tables_with_what_they_lack(facts: Facts, language: Language) -> None:
    rows = (("Repair", "A & B", "within 30 days"), ("Sale", "C", "within 30 days"))
    gaps = ("envisaged time limits",)
    columns = ("Purpose", "Recipients", "Answer")
    register = ReportRegister("records", "Records <b>", "As of today.", columns, rows, gaps, absent="?")
    text = page(facts, language, [register])
    read = Read(text)
    for expected in (
        "Records <b>",
        "As of today.",
        "Recipients",
        "A & B",
        "Sale",
        *gaps,
        words(language)["register_gaps"],
    ):
        assert expected in read.text
    assert read.text.count("within 30 days") == 1  # what is the same in each row
    assert words(language)["same"] in read.text
    alone = dataclasses.replace(register, rows=rows[:1])
    assert words(language)["same"] not in Read(page(facts, language, [alone])).text
    assert words(language)["h_registers"] not in Read(page(facts, language)).text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("notice", [tm.NOTICE, GDPR], ids=["trendmicro", "gdpr"])
def test_the_map_has_each_term_once_and_none_on_another(notice: pg.Notice, language: Language) -> None:
    drawing = drawing_of(notice, language)
    terms = (notice.sources, notice.document.grant, notice.purposes, notice.families)
    counts = [
        sum(node.column == column for node in drawing.nodes) for column in ("source", "grant", "purpose", "family")
    ]
    assert counts == list(map(len, terms))
    for node in drawing.nodes:
        assert 0 <= node.x < node.x + node.width <= WIDTH
        assert 0 < node.y < node.y + node.height <= drawing.height
        assert node.key in node.of.split()
    for node in drawing.nodes:
        for other in drawing.nodes:
            apart = node.y + node.height <= other.y or other.y + other.height <= node.y
            assert node is other or apart or node.x + node.width <= other.x or other.x + other.width <= node.x
    assert {node.height for node in drawing.nodes} <= {HEIGHT, 38}


def drawing_of(notice: pg.Notice, language: Language) -> MapDrawing:
    return draw_map(NoticeRelations(NoticeFacts(notice)), language, BADGES)


def test_lines_tell_parts_and_examples() -> None:
    styles = [line.style for line in drawing_of(GDPR, "en").lines]
    assert {"whole", "part"} <= set(styles)
    assert "open" in {line.style for line in drawing_of(tm.NOTICE, "en").lines}
    badges = {node.badge for node in drawing_of(GDPR, "en").nodes if node.column == "purpose"}
    assert badges == {"C", "K", "L", "I", "V"}


def test_what_is_forbidden_is_marked(facts: Facts) -> None:
    (prohibition,) = GDPR.document.forbid
    read = Read(page(facts, "en"))
    forbidden = len(facts.notice.notice.prohibited)
    assert forbidden >= len(prohibition.sources)
    assert read.text.count("explicitly forbidden") + read.text.count("forbidden") >= forbidden


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_is_said_in_both_languages(name: str) -> None:
    comparison = compare(before(), after(CHANGES[name]))
    english, japanese = (sentences(comparison, language) for language in LANGUAGES)
    for (change, text), (same, other) in zip(english, japanese, strict=True):
        assert change is same
        assert not re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", re.sub("“.*?”", "", text))
        assert re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", other), other


def test_each_word_is_used_and_each_has_both_languages() -> None:
    assert words("en").keys() == words("ja").keys()
    code = "".join(path.read_text("utf-8") for path in [*TEMPLATES.glob("*.html"), *TEMPLATES.parent.glob("*.py")])
    prefixes = tuple(set(re.findall(r'"(\w+_)" ~', code)) | set(re.findall(r'f"(\w+_)\{', code)) | {"state_"})
    unused = {name for name in words("en") if not name.startswith(prefixes) and not re.search(rf"\b{name}\b", code)}
    assert unused == {"neutral"}  # by the direction of a change
    for language in LANGUAGES:
        assert all(text.strip() or name.endswith("_end") for name, text in words(language).items())
    assert not any(re.search(r"[()]", text) for text in words("ja").values())  # full-width ones


def test_pictures_of_the_documentation_are_small() -> None:
    pictures = sorted((ROOT / "docs" / "images").glob("report-*.png"))
    assert len(pictures) == 4
    page_ = (ROOT / "docs" / "how-to" / "report-to-the-officer.md").read_text("utf-8")
    for picture in pictures:
        data = picture.read_bytes()
        assert len(data) <= 150_000
        assert int.from_bytes(data[16:20]) == 1200  # the width, in the head of a PNG
        assert f"](../images/{picture.name})" in page_


MANY = """
from typing import Annotated
from pydantic import BaseModel, create_model
import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


def load(): ...
def work(): ...


for number in range(60):
    source = tm.NOTICE.sources[number % len(tm.NOTICE.sources)]
    globals()[f"Model{number}"] = create_model(f"Model{number}", value=(Annotated[str, source], ...))
    load.__qualname__ = f"load_{number}"
    load.__annotations__ = {"return": globals()[f"Model{number}"]}
    guard.access(load)
for number in range(200):
    purpose = tm.NOTICE.purposes[number % len(tm.NOTICE.purposes)]
    work.__qualname__ = f"work_{number}"
    guard.purpose(purpose, channel="email", activity=f"shop.work_{number}")(work)
"""


@pytest.mark.parametrize("entries", [20_000, pytest.param(1_000_000, marks=pytest.mark.deep)])
def test_many_activities_and_a_long_ledger(entries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.ledgers import filled  # needs the libraries of governance

    (tmp_path / "many.py").write_text(MANY, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    store = tmp_path / "store.db"
    uses = filled(f"sqlite:///{store}", entries, [f"shop.work_{number}" for number in range(200)])
    steps: list[int] = []
    try:
        began = time.process_time()
        found = facts_of("many:guard", store=str(store), progress=lambda count, _: steps.append(count))
        text = page(found, "en")
        spent = time.process_time() - began
    finally:
        sys.modules.pop("many", None)
    assert len(found.code.evidence) == 200
    assert len(found.code.guard.accesses) == 60
    assert sum(steps) == entries
    assert sum(evidence.uses for evidence in found.code.evidence.values()) == uses
    assert f"{uses:,}" in Read(text).text
    assert spent < 10
