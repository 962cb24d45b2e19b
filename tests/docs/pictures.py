"""The pictures of the documentation, taken anew: `python -m tests.docs.pictures`.

They show the report of the example shop in Chromium, in English, in light colours, 1,200 pixels wide.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.browsing import chromium

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
WIDTH = 1200
LARGEST = 150_000
"""Bytes that a picture may have."""


def main() -> None:
    """Runs the shop, writes its report, and takes the pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        subprocess.run([sys.executable, "-m", "tests.officer", folder], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        context = browser.new_context(offline=True, color_scheme="light", viewport={"width": WIDTH, "height": 900})
        page = context.new_page()
        page.goto((Path(folder) / "report-en.html").as_uri())
        taken(page, "report-map", "#map", 640)
        page.locator("svg .node[aria-label*='1.1(a) ']").focus()
        taken(page, "report-source", "#shown", 540)
        page.keyboard.press("Escape")
        taken(page, "report-purposes", "#purposes", 620)
        taken(page, "report-gaps", "#gaps", 560)


def taken(page: Page, name: str, top: str, height: int) -> None:
    """Takes a picture of the page from an element on."""
    box: Any = page.locator(top).evaluate("one => one.getBoundingClientRect().top + scrollY")
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path, full_page=True, clip={"x": 0, "y": box - 12, "width": WIDTH, "height": height})
    size = path.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{path} has more than {LARGEST:,} bytes")


if __name__ == "__main__":
    main()
