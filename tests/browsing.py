"""Pages in a real browser: Debian's Chromium, rules of accessibility, and what was printed.

A page is opened without a network unless a test serves it. `apt-get install chromium fonts-ipafont-gothic` brings the
browser and characters of Japanese.
"""

from __future__ import annotations

import io
import shutil
import unicodedata
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

import pypdf
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from playwright.sync_api import Browser, Page, sync_playwright

_OPTIONS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@contextmanager
def chromium() -> Generator[Browser]:
    """A browser that shows nothing on a screen.

    Raises:
        RuntimeError: Chromium is not installed.

    """
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise RuntimeError("these tests look at pages in Chromium: apt-get install chromium fonts-ipafont-gothic")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(_OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


def findings(page: Page) -> list[str]:
    """What axe finds against a page: the rule, and the elements that break it."""
    # What a page keeps to is not told: of a large one, that is most of the time.
    found: list[dict[str, Any]] = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [f"{rule['id']}: {node['target']} {node['html'][:200]}" for rule in found for node in rule["nodes"]]


def printed(page: Page) -> str:
    """Print a page to PDF and read its text back, in normal form C of compatible characters (NFKC).

    A font may draw several characters by one glyph, and the PDF names one of them: with Noto CJK a radical (U+2F08) for
    an ideograph (U+4EBA), which NFKC undoes, and a hyphenation point for the middle dot of Japanese, which it does not.
    """
    text = "\n".join(sheet.extract_text() for sheet in pypdf.PdfReader(io.BytesIO(page.pdf())).pages)
    return unicodedata.normalize("NFKC", text).replace("\N{HYPHENATION POINT}", "\N{KATAKANA MIDDLE DOT}")
