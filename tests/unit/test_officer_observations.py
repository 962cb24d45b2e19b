"""The officer's report: what was observed while an application ran."""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from purposeguard.adoption.evidence_store import EvidenceFile, EvidenceKey
from purposeguard.cli.report.observations import MAX_ENTRY_POINTS, MAX_FIELDS, MAX_UNRESOLVED
from purposeguard.cli.report.page import words
from purposeguard.cli.report.registers import Language
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.command_line import run

NOTICE = f"trendmicro-jp@{tm.NOTICE.revision}"
HOSTILE = "GET /<img src=x onerror=alert(1)>"
RENEWAL = "1.2(1)①"
SHOP = """
import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE, tags="privacy/tags.toml")
"""


def read_key(entry_point: str, source: str, field: str = "users.name", **facts: str) -> EvidenceKey:
    return EvidenceKey(
        **{"notice": NOTICE, "outcome": "read", "entry_point": entry_point, "sources": source, "field": field, **facts}
    )


class Section(HTMLParser):
    """The section about observations: the cells of its rows, and all its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.text = ""
        self._is_in_cell = False
        found = re.search(r'<section aria-labelledby="observed">(.*?)</section>', page, re.DOTALL)
        self.html = found[1] if found else ""
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._is_in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._is_in_cell &= tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._is_in_cell:
            self.rows[-1][-1] += data


@pytest.fixture
def evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EvidenceFile]:
    """Make an application with a guard, and go there; return the file of its evidence, which is not there yet."""
    (tmp_path / "pyproject.toml").write_text('[tool.purposeguard]\nnotice = "trendmicro-jp"\n', "utf-8")
    (tmp_path / "privacy").mkdir()
    (tmp_path / "privacy" / "tags.toml").write_text('["shop.User"]\nname = "1.1(a)"\nnote = "undecided"\n', "utf-8")
    (tmp_path / "observed_shop.py").write_text(SHOP, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield EvidenceFile(tmp_path / "privacy" / "evidence.sqlite")
    sys.modules.pop("observed_shop", None)


def report(*arguments: object, language: Language = "en") -> Section:
    result = run("report", "observed_shop:guard", "--language", language, *arguments)
    assert result.exit_code == 0, result.output
    return Section(result.stdout)


def test_without_evidence_the_page_has_no_such_section(evidence: EvidenceFile) -> None:
    assert not evidence.path.exists()
    assert report().html == ""


@pytest.mark.parametrize("language", ["en", "ja"])
def test_entry_points_that_no_purpose_permits_come_first(evidence: EvidenceFile, language: Language) -> None:
    renewal = {"activity": "GET /renewals", "purpose": RENEWAL}
    denied = {**renewal, "outcome": "denied", "detail": "grant"}
    evidence.add(
        {
            read_key("GET /a-renewal", "1.1(a)", **renewal): 1_234,
            read_key("GET /b-device", "1.1(b)", "users.device", **renewal): 2,
            read_key("GET /b-device", "1.1(b)", "users.device", **denied): 3,
            read_key(HOSTILE, "1.1(a)"): 1,
            read_key(HOSTILE, "3.1", "letters.name"): 1,
            EvidenceKey(notice=NOTICE, entry_point="GET /odd", outcome="unresolved", detail="pragma: <b>"): 7,
        }
    )
    section, word = report(language=language), words(language)
    names = [row[0] for row in section.rows[1:] if len(row) == 7]
    assert names[0].startswith(HOSTILE)
    assert [name.partition(" ")[2] for name in names[1:]] == ["/b-device", "/a-renewal"]
    assert names[0].count(word["no_purpose_permits"]) == 1
    assert word["permitted_without"] + "1.1(a)" in names[0]
    assert "<img" not in section.html
    (permitted,) = (row for row in section.rows if row[0] == "GET /a-renewal")
    assert [RENEWAL in permitted[2], permitted[3], permitted[4]] == [
        True,
        word["judgment_permitted"] + "1.2(1)",
        "1,234",
    ]
    (refused,) = (row for row in section.rows if row[0] == "GET /b-device")
    assert refused[3:6] == [word["judgment_not_permitted"], "2", word["reason_grant"] + " 3"]
    assert ["GET /odd", "pragma: <b>", "7"] in section.rows
    assert word["undecided"] in section.text
    assert section.text.rstrip().endswith("shop.User note")


def test_sources_and_purposes_filter_entry_points(evidence: EvidenceFile) -> None:
    evidence.add({read_key("GET /renewals", "1.1(a)", activity="GET /renewals", purpose=RENEWAL): 1})
    page = run("report", "observed_shop:guard").stdout
    (keys,) = re.findall(r'<tbody data-of="(.*?)">', Section(page).html)
    row = re.search(rf'data-column="purpose" data-key="(p\d+)" [^>]*{re.escape(RENEWAL)}', page)
    assert row is not None
    assert row[1] in keys.split()
    assert sum(key.startswith("p") for key in keys.split()) == 1


def test_evidence_of_several_files_is_added(evidence: EvidenceFile, tmp_path: Path) -> None:
    other = EvidenceFile(tmp_path / "other.sqlite")
    for store, times in ((evidence, 5), (other, 37)):
        store.add({read_key("GET /users", "1.1(a)"): times})
    section = report("--evidence", evidence.path, "--evidence", other.path)
    assert section.rows[1][4] == "42"


def test_evidence_of_another_revision_is_marked_and_of_another_notice_refused(
    evidence: EvidenceFile, tmp_path: Path
) -> None:
    evidence.add({read_key("GET /users", "9.9", notice="trendmicro-jp@2000-01-01", purpose=RENEWAL): 1})
    section = report()
    assert words("en")["observed_revisions"] + "trendmicro-jp@2000-01-01" in section.text
    assert section.rows[1][3] == "not in this revision"
    foreign = EvidenceFile(tmp_path / "foreign.sqlite")
    foreign.add({read_key("GET /users", "1.1(a)", notice="gdpr@2025-01-01"): 1})
    result = run("report", "observed_shop:guard", "--evidence", foreign.path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the evidence was collected under gdpr@2025-01-01" in result.stderr


@pytest.mark.parametrize("content", [b"", b"no database"])
def test_evidence_that_cannot_be_read_is_an_error(evidence: EvidenceFile, content: bytes) -> None:
    evidence.path.write_bytes(content)
    result = run("report", "observed_shop:guard")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "evidence.sqlite" in result.stderr


def test_large_evidence_is_cut(evidence: EvidenceFile) -> None:
    counts = {read_key(f"GET /{number}", "1.1(a)"): 1 for number in range(MAX_ENTRY_POINTS + 7)}
    counts |= {read_key("GET /0", "1.1(a)", f"users.field_{number:03}"): 1 for number in range(MAX_FIELDS + 3)}
    for number in range(MAX_UNRESOLVED + 5):
        counts[EvidenceKey(notice=NOTICE, outcome="unresolved", detail=f"odd {number}")] = 1
    evidence.add(counts)
    section = report()
    assert section.html.count("<tbody data-of=") == MAX_ENTRY_POINTS
    assert "7 more entry points are not listed" in section.text
    assert "users.field_011 and 4 more" in section.text
    assert "5 more rows are not listed" in section.text
