"""What a type checker says of the shop: of the example nothing, of the slips in it exactly which line is one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from examples.shop.scenes import uses
from tests.docs.running import alone, cache
from tests.faults.reading import SILENCING

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
UNTYPED = EXAMPLES / "django_shop"
"""Django and its REST framework come without types."""

SLIPS = """\
from collections.abc import Sequence

from examples.shop.activities import telemetry
from examples.shop.mailer import Mailing, Message
from examples.shop.models import (
    CustomerContact, CustomerVisit, Event, Figures, FromCustomer, FromLead, Inquiry, LeadContact, Renewal,
)
from examples.shop.privacy import guard
from purposeguard import Personal, Use
from purposeguard.notices import trendmicro_jp as tm


@guard.purpose(tm.ProductGuidance, channel="email").with_use
def promote(
    use: Use[tm.ProductGuidance], to: CustomerContact, event: Event, figures: Figures, lead: LeadContact
) -> None:
    mailing = Mailing(use)
    mailing.add(to, "Faster!", event.device)  # error
    mailing.add(to, "Faster!", to.name.zip(event.device).map(str))  # error
    mailing.add(to, "Faster!", event.seconds.map(str))  # error
    mailing.add(to, "Faster!", figures.mean_seconds.map(str))
    mailing.add(to, "Faster!", to.name.zip(figures.mean_seconds).map(str))
    mailing.add(lead, "Faster!", to.name)  # error
    mailing.to_each([to], "Faster!", "Buy one")
    mailing.to_each([lead], "Faster!", "Buy one")  # error


@guard.purpose(tm.AnyInquiryResponse, channel="email").with_use
def answer(use: Use[tm.AnyInquiryResponse], inquiry: Inquiry, lead: FromLead, customer: FromCustomer) -> None:
    Mailing(use).to_each([lead], "Your inquiry", "Yes")
    Mailing(use).to_each([customer], "Your inquiry", "Yes")  # error
    Mailing(use).to_each([inquiry.sender], "Your inquiry", "Yes")  # error


@guard.purpose(tm.UsageAnalysis).with_use
def pages(use: Use[tm.UsageAnalysis], visit: CustomerVisit) -> None:
    use.open(tm.link_usage(visit.page, visit.customer))
    use.open(tm.link_usage(visit.customer, visit.page))  # error
    use.open(visit.page.zip(visit.customer))  # error
    use.open(visit.customer)  # error
    use.open(visit.page)


@guard.purpose(tm.ProductImprovement).with_use  # error
def remind(use: Use[tm.RenewalGuidance], due: Renewal) -> None:
    Mailing(use).add(due, "Your licence", due.product)


def helpers(due: Sequence[Renewal], to: CustomerContact, event: Event, mailing: Mailing[tm.ProductImprovement]) -> None:
    Message(to.email, "Hello", "Hello")  # error
    to.name.upper()  # error
    f"{to.name}"
    telemetry.crash_percent(Personal([], tm.ProductData))
    telemetry.crash_percent(Personal([], tm.Registration))  # error
    telemetry.published.count(event.device, subject=str)
    telemetry.published.count(to.name, subject=str)  # error
    mailing.add(to, "A survey", event.device)
    sorted(due, key=lambda one: one.renews_on)  # error
    CustomerContact(id=1, registered_on=to.registered_on, name="Aiko", email=to.email)  # error
"""


def mypy(*arguments: str, where: Path) -> str:
    with alone():
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", *arguments],
            cwd=where,
            env={**os.environ, "MYPYPATH": str(ROOT), "MYPY_CACHE_DIR": cache(strict=True), "PYTHONOPTIMIZE": ""},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What mypy says of the slips, and of what the demo quotes: line → messages, by file."""
    folder = tmp_path_factory.mktemp("slips")
    head = SLIPS.partition("\n\n\n")[0]
    (folder / "slips.py").write_text(SLIPS, encoding="utf-8")
    (folder / "quoted.py").write_text(f"{head}\n\n\n{uses.WRONG}", encoding="utf-8")
    printed = mypy("slips.py", "quoted.py", where=folder)
    found: dict[str, dict[int, list[str]]] = {"slips.py": {}, "quoted.py": {}}
    for file, line, message in re.findall(r"^(\w+\.py):(\d+): (error: .*)$", printed, re.MULTILINE):
        found[file].setdefault(int(line), []).append(message)
    return found


def test_each_slip_is_an_error_and_nothing_else_is(said):
    marked = {number for number, line in enumerate(SLIPS.splitlines(), 1) if line.endswith("# error")}
    assert len(marked) > 10
    assert set(said["slips.py"]) == marked


def test_the_demo_quotes_what_mypy_says(said):
    (messages,) = said["quoted.py"].values()
    assert messages == [uses.SAID]


def test_the_example_needs_no_ignore():
    texts = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in EXAMPLES.rglob("*.py")}
    assert len(texts) > 20
    assert [name for name, text in texts.items() if SILENCING.search(text)] == []


def test_pyright_is_asked_of_all_of_the_example_strictly():
    """By `make types`, with these settings."""
    assert json.loads((EXAMPLES / "pyrightconfig.json").read_text("utf-8")) == {
        "include": ["."],
        "exclude": [UNTYPED.name],
        "extraPaths": [".."],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
    }
