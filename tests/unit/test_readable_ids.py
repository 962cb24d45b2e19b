"""Ids as notices of several countries have them: they stay as they are wherever they are written, and are found."""

from __future__ import annotations

import datetime
import itertools
import json
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pytest
import tomli_w

import purposeguard as pg
from purposeguard.adapters import arrow
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.store import Store
from purposeguard.integrations.passport import Passports
from purposeguard.notice.vocabulary import fold
from tests.unit.command_line import run

SOURCES = ("第3条第1号", "§ 3 Abs. 1", "Art. 6(1)(a)", "what-you-type", "Art. 7, n° 2", "धारा 3", "المادة ٣")
PURPOSES = ("第4条第2号ア", "§ 4 Abs. 2 S. 1", "sharing-with-ads", "tier2-data-use")

TABLES: dict[str, Any] = {
    "format": 1,
    "id": "readable",
    "revision": "2026-04-01",
    "controller": {"de": "Eckladen"},
    "title": {"de": "Hinweise"},
    "source": [
        {"id": id_, "class": f"DataOf{number}Kind", "title": {"de": f"Daten {number}"}}
        for number, id_ in enumerate(SOURCES)
    ],
    "grant": [
        {
            "clause": "第4条",
            "title": {"de": "Zwecke"},
            "sources": list(SOURCES[:-1]),
            "purpose": [
                {"id": id_, "class": f"UseOfTier{number}Data", "title": {"de": f"Zweck {number}"}}
                for number, id_ in enumerate(PURPOSES)
            ],
        }
    ],
}
NOTICE = pg.Notice.parse(TABLES)
FIRST: Any = NOTICE.source(SOURCES[0])
LAST: Any = NOTICE.source(SOURCES[-1])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "readable.toml"
    file.write_text(tomli_w.dumps(TABLES), "utf-8")
    return file


@pytest.mark.parametrize(("id_", "purpose"), [*zip(SOURCES, itertools.cycle(PURPOSES), strict=False)])
def test_the_command_line_takes_an_id_as_it_is(path: Path, id_: str, purpose: str) -> None:
    result = run("explain", id_, purpose, "--notice", path, "--format", "json")
    found = json.loads(result.stdout)
    assert (found["sources"], found["purpose"]) == ([id_], purpose)
    assert result.exit_code == (id_ == SOURCES[-1])


def test_several_ids_stand_in_one_argument(path: Path) -> None:
    result = run("explain", f"{SOURCES[0]}, {SOURCES[1]}", "Art. 7, n° 2", PURPOSES[0], "--notice", path, columns=200)
    assert result.exit_code == 0
    assert all(id_ in result.stdout for id_ in (*SOURCES[:2], SOURCES[4], PURPOSES[0], "第4条"))


def test_slugs_with_digits_are_found_and_may_be_referred_to() -> None:
    terms: list[type[pg.Source | pg.Purpose]] = [*NOTICE.sources, *NOTICE.purposes]
    for term in terms:
        find = NOTICE.source if issubclass(term, pg.Source) else NOTICE.purpose
        assert find(term.slug) is term
    assert fold("use-of-tier0-data") != fold("UseOfTier0Data")
    respelled = TABLES | {
        "forbid": [{"sources": ["data-of1-kind"], "purposes": ["use-of-tier0-data"], "reason": {"de": "nie"}}]
    }
    (row,) = pg.Notice.parse(respelled).document.forbid
    assert (row.sources, row.purposes) == ((SOURCES[1],), (PURPOSES[0],))


def test_an_id_goes_before_the_slug_of_another_term() -> None:
    tables = TABLES | {"source": [*TABLES["source"], {"id": "data-of-1-kind", "class": "Other", "title": {"de": "x"}}]}
    assert pg.Notice.parse(tables).source("data-of1-kind").__name__ == "Other"


def test_ids_stay_as_they_are_in_tags_ledgers_and_passports(tmp_path: Path) -> None:
    tagged = arrow.tagged(pa.table({"name": ["x"]}), {"name": [FIRST, LAST]}, NOTICE)
    text = b"".join((tagged.schema.field("name").metadata or {}).values()).decode()
    assert all(id_ in text for id_ in (SOURCES[0], SOURCES[-1]))
    assert arrow.columns_of(tagged, NOTICE)["name"].label == pg.Label(FIRST, LAST)
    store = tmp_path / "uses.db"
    ledger = SqlLedger(
        Store.open(f"sqlite:///{store}"), clock=lambda: datetime.datetime(2026, 5, 2, tzinfo=datetime.UTC)
    )
    guard = pg.Guard(NOTICE, ledger=ledger)

    @guard.access
    def name() -> Annotated[str, FIRST]:
        return "Aiko"

    @guard.access
    def other() -> Annotated[str, LAST]:
        return "Aiko"

    with guard.purpose(PURPOSES[1]):
        name()
        with pytest.raises(pg.PurposeViolation) as refused:
            other()
    assert SOURCES[-1] in str(refused.value)
    ledger.close()
    shown = run("ledger", "show", store, "--by", "purpose,sources", columns=200).stdout
    assert all(id_ in shown for id_ in (PURPOSES[1], SOURCES[0], SOURCES[-1]))
    assert run("ledger", "verify", store).exit_code == 0
    passports = Passports(guard, keys={"2026": "a" * 43})
    with guard.purpose(PURPOSES[0]):
        text = passports.issue(audience="other")
    assert text.isascii()
    assert passports.read(text, audience="other").purpose == PURPOSES[0]
