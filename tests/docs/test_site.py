"""The documentation site: its search finds the pages of usual tasks, and its start is readable for everybody."""

import fcntl
import functools
import http.server
import importlib
import importlib.util
import subprocess
import sys
import threading
import urllib.request
import zlib

import pytest

import purposeguard as pg
from tests.browsing import findings
from tests.docs.running import ROOT
from tests.docs.test_pages import ADAPTERS, INTEGRATIONS, PUBLIC, offered

BUILT = ROOT / "build" / "docs"
SOURCES = ("*.md", "docs/**/*", "purposeguard/**/*.py")

TASKS = {
    "fastapi": "docs/how-to/fastapi",
    "tag a pydantic model": "docs/how-to/tag-models",
    "sqlalchemy session": "docs/how-to/guard-a-sqlalchemy-session",
    "mypy error": "docs/tutorial/first-red-squiggle",
    "celery": "docs/how-to/carry-a-purpose-to-a-task-queue",
    "consent": "docs/how-to/legal-bases-and-consent",
    "encode own notice": "docs/tutorial/encode-your-own-notice",
    "ledger": "docs/how-to/keep-a-ledger",
    "dbt": "docs/how-to/check-a-dbt-project",
    "spark": "docs/how-to/guard-spark",
    "同意": "docs/how-to/legal-bases-and-consent",
    "請求": "docs/how-to/answer-requests",
    "赤い波線": "docs/tutorial/first-red-squiggle",
}
"""What people search for → the page that answers it, or that of its name in Japanese."""


SEARCH = """words => {
    for (const field of document.querySelectorAll("input[name=q]")) field.value = words;
    document.getElementById("search-results").replaceChildren();
    Search.performSearch(words);
}"""
"""What the page of the search does with the words in its address."""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site(browser):  # of its kind: runs without a browser build no site
    """Where the site is served: as it was built, or built now if a page has changed since."""
    BUILT.mkdir(parents=True, exist_ok=True)
    stamp = BUILT / "versions.json"
    with (BUILT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests of this module may run in several processes
        sources = {path for pattern in SOURCES for path in ROOT.glob(pattern) if path.is_file()}
        newest = max(path.stat().st_mtime for path in sources if path.suffix != ".pyc")
        if not stamp.exists() or stamp.stat().st_mtime < newest:
            command = ["make", "--no-print-directory", "site", f"SITE_PYTHON={sys.executable}"]
            subprocess.run(command, cwd=ROOT, check=True)
    handler = functools.partial(Quiet, directory=str(BUILT))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/dev/"
        server.shutdown()


def found(page):
    """The pages that a search has found, best first."""
    # It is said how many there are when all are shown.
    page.wait_for_function("/found/.test(document.querySelector('.search-summary')?.innerText)")
    links = page.locator("ul.search > li > a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    return [link.partition(".html")[0] for link in links]


def test_the_search_finds_the_page_of_a_task(browser, site):
    page = browser.new_page()
    page.route("**/docs/**", lambda route: route.abort())  # the pages are not read, from which lines are shown
    missed = {}
    page.goto(f"{site}search.html")
    for words, wanted in TASKS.items():
        page.evaluate(SEARCH, words)
        best = found(page)[:3]
        if not {wanted, f"docs/ja/{wanted.rpartition('/')[2]}"} & set(best):
            missed[words] = best
    assert not missed


def test_the_search_is_reached_from_any_page_by_keyboard(browser, site):
    page = browser.new_page()
    page.goto(f"{site}docs/explanation/limits.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("withhold")
    page.keyboard.press("Enter")
    assert found(page)[0] == "docs/how-to/withhold"


@pytest.mark.parametrize(
    ("start", "scheme"), [("docs/index", "light"), ("docs/index", "dark"), ("docs/ja/index", "dark")]
)
def test_the_start_is_readable_for_everybody(browser, site, scheme, start):
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{site}{start}.html")
    page.wait_for_function("document.documentElement.dataset.theme")
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert findings(page) == []
    assert page.locator("html").get_attribute("lang") == ("ja" if "/ja/" in start else "en")
    context.close()


def test_the_header_leads_to_other_versions_and_to_the_other_language(browser, site):
    page = browser.new_page()
    page.goto(site)  # the folder of a version
    page.wait_for_url("**/dev/docs/index.html")
    page.get_by_role("button", name="Version switcher list").first.click()
    versions = page.locator("header").get_by_role("option")
    assert versions.all_inner_texts() == ["dev"]
    assert versions.first.get_attribute("href") == "/dev/docs/index.html"
    page.keyboard.press("Escape")
    page.locator("header").get_by_role("link", name="日本語").click()
    assert page.locator("h1").inner_text().startswith("文書")
    page.locator("header").get_by_role("link", name="English").click()
    assert page.locator("h1").inner_text().startswith("Documentation")


def test_every_public_name_is_in_the_api(site):
    with urllib.request.urlopen(f"{site}objects.inv") as answer:  # noqa: S310  # served above
        packed = answer.read().split(b"\n", 4)[4]
    documented = {line.split(" ")[0].rpartition(".")[2] for line in zlib.decompress(packed).decode().splitlines()}
    modules = [importlib.import_module(f"purposeguard.{module}") for module in (*ADAPTERS, *INTEGRATIONS)]
    public = {cls.__name__ for cls in PUBLIC}.union(pg.__all__, *map(offered, modules))
    assert not public - documented


def test_every_tag_of_a_release_is_a_version():
    spec = importlib.util.spec_from_file_location("versions", ROOT / "docs" / "versions.py")
    assert spec
    assert spec.loader
    versions = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(versions)
    newest_first = versions.releases(["v0.9.0", "v0.10.0", "v0.10.1rc1", "draft", "v0.2.0"])
    assert newest_first == ["0.10.0", "0.9.0", "0.2.0"]
    shown = [(one["name"], one["url"], one["preferred"]) for one in versions.listed(newest_first[:2], "/pg/")]
    assert shown == [
        ("dev", "/pg/dev/", False),
        ("0.10.0 (stable)", "/pg/0.10.0/", True),
        ("0.9.0", "/pg/0.9.0/", False),
    ]
