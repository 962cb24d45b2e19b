"""The officer's report of the shop, as a reader has it: written by the command, opened without a network, printed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from playwright.sync_api import Browser, Page

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.browsing import findings, printed
from tests.officer import SUBJECTS, WORDS_OF_CLERKS
from tests.unit.command_line import ROOT, run

PACKAGE = "examples.shop."
NOTICE = tm.NOTICE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the shop has done, and its report in both languages; made by processes of their own."""
    folder = tmp_path_factory.mktemp("officer")
    subprocess.run([sys.executable, "-m", "tests.officer", str(folder)], check=True, cwd=ROOT, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def inventory(folder: Path) -> Any:
    """What `purposeguard inventory` tells of the shop."""
    return json.loads((folder / "inventory.json").read_text("utf-8"))


@pytest.fixture
def english(folder: Path, browser: Browser) -> Iterator[Page]:
    yield from opened(browser, folder / "report-en.html")


@pytest.fixture
def japanese(folder: Path, browser: Browser) -> Iterator[Page]:
    yield from opened(browser, folder / "report-ja.html")


def opened(browser: Browser, path: Path, **options: Any) -> Iterator[Page]:
    """The page without a network, which asks for nothing else and complains of nothing."""
    context = browser.new_context(offline=True, **options)
    page = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    yield page
    assert asked == [path.as_uri()]
    assert complaints == []
    context.close()


def texts(page: Page, selector: str) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(selector).all_inner_texts()]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_registers_are_on_the_page_and_in_the_workbook(folder: Path, browser: Browser, language: str) -> None:
    book = load_workbook(folder / f"registers-{language}.xlsx")
    assert len(book.worksheets) == 2
    (shown,) = opened_texts(browser, folder / f"report-{language}.html")
    for sheet in book.worksheets:
        cells = [str(cell.value) for row in sheet.iter_rows() for cell in row if cell.value]
        assert len(cells) > 40
        assert [cell for cell in cells if not set(cell.split()) <= shown] == []


def opened_texts(browser: Browser, path: Path) -> Iterator[set[str]]:
    for page in opened(browser, path):
        yield set(page.locator("body").inner_text().split())


def test_each_purpose_stands_beside_the_activities_that_state_it(english: Page, inventory: Any) -> None:
    families = {family.name: [member.clause for member in family.members] for family in NOTICE.families}
    expected: dict[str, set[str]] = {purpose.clause: set() for purpose in NOTICE.purposes}
    for activity in inventory["activities"]:
        for purpose in families.get(activity["purpose"], [activity["purpose"]]):
            expected[purpose].add(activity["name"].removeprefix(PACKAGE))
    shown = english.locator("section[aria-labelledby=purposes] tbody").evaluate_all(
        """groups => groups.map(group => [
            group.querySelector("th .id").textContent,
            [...group.querySelectorAll("td:first-of-type > code")].map(code => code.textContent)])"""
    )
    assert {purpose: set(names) for purpose, names in shown} == expected
    assert len(inventory["activities"]) == len(set().union(*expected.values()))


def test_the_matrix_is_what_a_guard_decides(english: Page) -> None:
    guard = pg.Guard(NOTICE)
    for number, terms in enumerate((NOTICE.purposes, NOTICE.families)):
        table = english.locator("table.matrix").nth(number)
        marks = table.locator("tbody tr").evaluate_all(
            "rows => rows.map(row => [...row.querySelectorAll('td.mark')].map(cell => cell.className.includes('yes')))"
        )
        assert marks == [[guard.allows(source, term) for source in NOTICE.sources] for term in terms]


def test_each_source_stands_beside_what_reads_it(english: Page, inventory: Any) -> None:
    expected = {
        (source, access["name"].removeprefix(PACKAGE))
        for access in inventory["accesses"]
        for source in {*(access["sources"] or ()), *(one for ids in access["sealed"].values() for one in ids)}
    }
    expected |= {
        (source, handed["name"].removeprefix(PACKAGE))
        for handed in inventory["entrustments"]
        for source in handed["sources"]
    }
    shown = {
        (row["source"], row["name"])
        for row in english.locator("section[aria-labelledby=sources] tbody").evaluate_all(
            """groups => groups.flatMap(group => [...group.rows].map(row => ({
                source: group.querySelector('th .id').textContent,
                kind: row.querySelector('td').textContent,
                name: row.querySelector('td:nth-of-type(2) code')?.textContent})))"""
        )
        if row["kind"] in {"access function", "hand-over"}
    }
    assert shown == expected
    heads = english.locator("section[aria-labelledby=sources] th[scope=rowgroup] .id").all_inner_texts()
    assert heads == [source.clause for source in NOTICE.sources]
    assert "models.Customer" in " ".join(texts(english, "section[aria-labelledby=sources] code"))


def test_the_evidence_is_that_of_the_ledger(english: Page, folder: Path) -> None:
    done = run("ledger", "show", folder / "privacy.db", "--by", "activity,purpose", "--format", "json")
    groups = {
        (group["activity"], group["purpose"]): group for group in json.loads(done.stdout)["groups"] if group["activity"]
    }
    reminded = groups[f"{PACKAGE}activities.mail.remind_of_renewal", "1.2(1)①"]
    rows = texts(english, "section[aria-labelledby=purposes] tr:has-text('mail.remind_of_renewal')")
    assert len(rows) == 1
    assert f" {reminded['used']} {reminded['last'].replace('T', ' ').removesuffix('Z')} " in rows[0]
    refused = sum(group["refused"] for group in groups.values())
    assert refused > 0
    denied = json.loads(run("ledger", "show", folder / "privacy.db", "--format", "json").stdout)
    denials = sum(entry["kind"] == "denial" for entry in denied["entries"])
    cards = dict(zip(texts(english, ".cards dt"), texts(english, ".cards dd"), strict=True))
    assert cards["refusals on record"] == str(denials)
    assert cards["uses on record"] == f"{sum(use['count'] for use in denied['uses']):,}"


def test_gaps_are_those_that_are_counted_otherwise(english: Page, folder: Path, inventory: Any) -> None:
    families = {family.name: [member.clause for member in family.members] for family in NOTICE.families}
    stated = {
        purpose
        for activity in inventory["activities"]
        for purpose in families.get(activity["purpose"], [activity["purpose"]])
    }
    gaps = {
        key: texts(english, f"section[aria-labelledby=gap-{key}] li")
        for key in ("purposes", "never", "untagged", "outside")
    }
    assert [gap.split()[0] for gap in gaps["purposes"]] == [
        purpose.clause for purpose in NOTICE.purposes if purpose.clause not in stated
    ]
    done = run("ledger", "show", folder / "privacy.db", "--kind", "use", "--format", "json")
    ran = {use["activity"] for use in json.loads(done.stdout)["uses"]}
    never = [activity["name"] for activity in inventory["activities"] if activity["name"] not in ran]
    assert [gap.split()[0] for gap in gaps["never"]] == [name.removeprefix(PACKAGE) for name in never]
    assert never
    assert gaps["untagged"] == [
        "models.NewEvent customer_id",
        "models.NewInquiry customer_id, lead_id, prospect_id",
        "models.NewVisit customer_id",
    ]
    assert len(gaps["outside"]) == 1
    kinds = english.locator("section.gap").evaluate_all(
        "parts => parts.map(part => part.getAttribute('aria-labelledby'))"
    )
    assert kinds == ["gap-purposes", "gap-outside", "gap-never", "gap-untagged"]
    cards = dict(zip(texts(english, ".cards dt"), texts(english, ".cards dd"), strict=True))
    assert int(cards["gaps"]) == len(gaps["purposes"]) + len(gaps["never"]) + 5 + 1


def test_what_a_later_revision_changes_is_told_with_what_becomes_of_the_shop(english: Page) -> None:
    section = "section[aria-labelledby=revisions]"
    assert texts(english, f"{section} h3") == ["2025-04-01 after 2024-04-01"]
    (withdrawn, _) = texts(english, f"{section} table.changes tbody tr")
    assert withdrawn.startswith("narrowed web-product-guidance (2.2①) may no longer use")
    stops = texts(english, f"{section} table.turns tbody tr")
    assert any(row.startswith("stops activities.newsletter.advertise repository.lead_companies") for row in stops)
    assert not any("starts" in row for row in stops)


def test_requests_and_restrictions_are_figures(english: Page) -> None:
    section = "section[aria-labelledby=people]"
    requests = {row[0]: row[1:] for row in (text.rsplit(" ", 8) for text in texts(english, f"{section} tbody tr")[:8])}
    assert requests["Suspension of use"] == ["0", "0", "0", "0", "-", "2", "0", "0"]
    assert requests["Erasure"] == ["0", "1", "0", "0", "-", "0", "0", "0"]
    assert requests["Disclosure, records of provision included"][0] == "2"
    assert texts(english, f"{section} tbody tr")[8:] == [
        "consent Invitation to surveys, campaigns and marketing programmes 1.2(1)④ 2024-04-01 1",
        "provision stopped all purposes 2024-04-01 1",
        "use suspended Guidance on renewing a contract 1.2(1)① 2024-04-01 1",
        "use suspended Guidance on products 1.2(1)② 2024-04-01 1",
        "use suspended Guidance on products, to website users 2.2① 2024-04-01 1",
    ]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_nobody_is_named(folder: Path, language: str) -> None:
    store = (folder / "privacy.db").read_bytes()
    page = (folder / f"report-{language}.html").read_text("utf-8")
    for secret in (*SUBJECTS, *WORDS_OF_CLERKS):
        assert secret.encode() in store  # else its absence would show nothing
        assert secret not in page
        assert secret.rpartition(":")[2] not in page
    digests = set(re.findall(rb'"subjects?":\[?"([0-9a-f]{32})"', store))
    assert digests
    assert not any(digest.decode() in page for digest in digests)


def test_the_keyboard_reaches_the_filters_and_the_map(english: Page) -> None:
    def pressed(wanted: str) -> None:
        for _ in range(30):
            english.keyboard.press("Tab")
            if english.evaluate(f"document.activeElement.matches({wanted!r})"):
                return
        raise AssertionError(f"no tabulator leads to {wanted}")

    def purposes() -> list[str]:
        return english.locator("table.matrix").first.locator("tbody tr:visible th .id").all_inner_texts()

    pressed("select[data-filter=family]")
    english.keyboard.type("Information on s")
    assert purposes() == ["1.2(2)④", "2.2③", "3.2③"]
    assert texts(english, "#shown") == ["Filtered: 3 of 34 purposes are shown."]
    pressed("select[data-filter=source]")
    english.keyboard.type("2.1(a)")
    assert purposes() == ["2.2③"]
    assert english.locator("table.matrix").first.locator("thead th:visible").count() == 3
    groups = english.locator("section[aria-labelledby=purposes] tbody:visible th .id").all_inner_texts()
    assert groups == ["2.2③"]
    pressed("#clear")
    english.keyboard.press("Enter")
    assert len(purposes()) == 34

    pressed("svg [data-key]")
    english.keyboard.press("ArrowDown")
    assert english.evaluate("document.activeElement.dataset.key") == "s1"
    lit = english.locator("svg .node.purpose.lit text .strong, svg .node.purpose.lit tspan.strong").all_text_contents()
    assert lit == [purpose.clause for purpose in NOTICE.grants[tm.Registration]]
    english.keyboard.press("Enter")
    assert purposes() == lit
    assert english.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    english.keyboard.press("ArrowRight")
    assert english.evaluate("document.activeElement.dataset.column") == "grant"
    english.keyboard.press("Enter")
    assert purposes() == [purpose for purpose in lit if purpose.startswith("1.2(1)")]
    english.keyboard.press("Escape")
    assert len(purposes()) == 34


def test_a_term_of_the_map_lights_up_what_is_granted_to_it_and_nothing_else(english: Page) -> None:
    lit = english.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("svg .node")].map(node => {
            node.focus();
            const name = (one) => `${one.dataset.column} ${one.querySelector("text, tspan").textContent.split(" ")[0]}`;
            return [name(node), [...document.querySelectorAll("svg .node.lit")].map(name)];
        }))"""
    )
    grants = NOTICE.grants
    for source in NOTICE.sources:
        purposes = {f"purpose {purpose.clause}" for purpose in grants[source]}
        assert {one for one in lit[f"source {source.clause}"] if one.startswith("purpose ")} == purposes
        clauses = {f"grant {clause}" for clause in grants[source].values()}
        assert {one for one in lit[f"source {source.clause}"] if one.startswith("grant ")} == clauses
    for purpose in NOTICE.purposes:
        sources = {f"source {source.clause}" for source in NOTICE.sources if purpose in grants[source]}
        assert {one for one in lit[f"purpose {purpose.clause}"] if one.startswith("source ")} == sources
    assert len(lit) > len(NOTICE.sources) + len(NOTICE.purposes)


@pytest.mark.parametrize(
    ("report", "scheme", "media"),
    # The smaller one has each legal basis, prohibitions, what is due, and names that are markup.
    [("report-en", "light", "screen"), ("lindenrad-en", "dark", "screen"), ("lindenrad-ja", "dark", "print")],
    ids=["light", "dark", "print"],
)
def test_axe_finds_nothing(folder: Path, browser: Browser, report: str, scheme: str, media: Any) -> None:
    for page in opened(browser, folder / f"{report}.html", color_scheme=scheme):
        page.emulate_media(media=media)
        assert findings(page) == []


def titles(language: str) -> list[str]:
    """The titles of all terms."""
    terms = [*(term.title for term in NOTICE.sources), *(term.title for term in NOTICE.purposes)]
    return [title[language] for title in (*terms, *(family.title for family in NOTICE.families))]


def plain(text: str) -> str:
    """A text without blanks, ligatures and circles."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text))


def test_it_is_printed_whole(folder: Path, browser: Browser) -> None:
    for page in opened(browser, folder / "report-ja.html", color_scheme="dark"):
        text = plain(printed(page))
        for title in titles("ja"):
            assert plain(title) in text
        for purpose in NOTICE.purposes:
            assert plain(purpose.clause) in text
        page.emulate_media(media="print")
        cut = page.locator("tr, svg.map").evaluate_all(
            "parts => parts.filter(part => getComputedStyle(part).breakInside !== 'avoid').length"
        )
        assert cut == 0
        assert page.locator("nav").is_hidden()
        dashes = {
            page.locator(f"svg.map .line.{style}").first.evaluate("line => getComputedStyle(line).strokeDasharray")
            for style in ("whole", "part", "open")
        }
        assert len(dashes) == 3  # told apart without colour
        assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"


def visible(page: Page) -> str:
    """The text of a page, also for screen readers, without names of code and what the code says of itself.

    Cells of the registers have names of code among their text, which tests/unit/test_registers.py looks at.
    """
    beside = (
        "code, .id, script, style, [aria-labelledby=parties] bdi, [aria-labelledby=registers] :is(td, tbody th, dd)"
    )
    page.evaluate("beside => document.querySelectorAll(beside).forEach(one => one.remove())", beside)
    labels = page.locator("[aria-label]").evaluate_all("parts => parts.map(part => part.getAttribute('aria-label'))")
    return "\n".join([str(page.evaluate("document.documentElement.textContent")), *labels])


def test_the_english_page_has_no_japanese(english: Page) -> None:
    assert re.findall(r"[\u3040-\u30ff\u4e00-\u9fff]+", visible(english)) == []


def test_the_japanese_page_has_no_english(japanese: Page) -> None:
    found = set(re.findall(r"[A-Za-z][A-Za-z-]{2,}", visible(japanese)))
    named = {"UTC", "Enter", "Escape", "purposeguard", "ledger", "verify"}  # keys, and a command
    named |= {"GDPR", "DPO", "basis", "period", "retention"}  # of the registers: keys of the notice file
    assert found - named == set(re.findall(r"[A-Za-z]{3,}", " ".join(titles("ja"))))
