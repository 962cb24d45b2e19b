"""The page that says what entries hold names all that they hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from purposeguard.errors import PurposeMissing
from purposeguard.governance.ledger import KINDS, Hour, entries
from purposeguard.governance.ledger.chain import ENTRY_KEYS, Head
from tests.governance.ledger.places import DIGEST, EXCEPTION, PROVISION, RECLASSIFICATION, D, R, denial
from tests.unit.command_line import ROOT

PAGE = (Path(ROOT) / "docs" / "reference" / "ledger.md").read_text("utf-8")
BODIES = {
    "use": Hour("", None, "", ()).body(1),
    "denial": entries.make_denial_body(denial(), observed=False)
    | entries.make_denial_body(PurposeMissing("none"), observed=True),
    "exception": entries.make_exception_body(EXCEPTION, R, None, 1),
    "reclassification": entries.make_reclassification_body(RECLASSIFICATION, D, None),
    "provision": entries.make_provision_body(PROVISION, [DIGEST]),
}


def rows(heading: str) -> dict[str, str]:
    """The rows of the table under a heading: what stands first, and the rest."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (`.+?`) \| (.*) \|$", section, re.MULTILINE)
    return {name.strip("`"): rest for names, rest in found for name in names.split(", ")}


def test_all_kinds_are_named() -> None:
    assert list(rows("Kinds of entries")) == list(KINDS)


@pytest.mark.parametrize("kind", BODIES)
def test_all_that_a_body_holds_is_named(kind: str) -> None:
    named = re.findall(r"`(\w+)`", rows("Kinds of entries")[kind])
    assert set(BODIES[kind]) <= set(named)


def test_the_keys_of_an_entry_and_of_the_head_are_named() -> None:
    assert set(rows("An entry")) == set(ENTRY_KEYS)
    head = Head(after=1)
    assert set(rows("The head")) == {*re.findall(r'"(\w+)":', head.text)}
