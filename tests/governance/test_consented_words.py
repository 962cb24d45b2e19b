"""A consent is to the words that a person read: it serves no purpose that says something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import purposeguard as pg
from purposeguard.governance import Governance
from purposeguard.governance.restrictions import declaration
from purposeguard.governance.store import Store
from tests.governance.disclosures import NOW
from tests.unit.command_line import run
from tests.unit.samples import revised, tables

OFFERS = "3(1)②"


def offers(t: dict[str, Any]) -> dict[str, Any]:
    return next(row for row in t["grant"][0]["purpose"] if row["id"] == OFFERS)


def by_consent(t: dict[str, Any]) -> None:
    offers(t)["basis"] = "consent"


def reuse(t: dict[str, Any]) -> None:
    offers(t).update({"class": "Profiling", "title": {"en": "Profiles", "ja": "分析"}})


def reword(t: dict[str, Any]) -> None:
    offers(t)["title"] = {"en": "Offers by telephone", "ja": "電話での案内"}
    t["unchanged"] = [{"kind": "purpose", "ids": [OFFERS], "since": FIRST.revision}]


FIRST = revised(pg.Notice.parse(tables()), by_consent)
REUSED = revised(FIRST, reuse, "2025-01-01")
REWORDED = revised(FIRST, reword, "2025-01-01")
SAME = revised(FIRST, lambda t: None, "2025-01-01")


def allowed(store: Store, notice: pg.Notice | pg.History) -> bool:
    with Governance(store, notice=notice, clock=lambda: NOW) as governance:
        guard = pg.Guard(notice, governance=governance, clock=lambda: NOW)
        verdict = guard.allows("1(a)", OFFERS, subject=7)
        roster = any(of.has_consented(OFFERS) for of, who in governance.roster().groups.items() if "7" in who)
        each = OFFERS in {clause for clause, _ in governance.preferences_of_each(["7", "8"])[0].consents}
    assert roster == each == verdict
    return verdict


@pytest.fixture
def consented(store: Store) -> Store:
    with Governance(store, notice=FIRST, clock=lambda: NOW) as governance:
        (consent,) = governance.consent(7, OFFERS)
        assert consent.words == FIRST.words_digest(OFFERS)
    return store


def test_a_revision_that_reuses_the_number_is_refused_though_it_alone_is_known(consented: Store) -> None:
    assert allowed(consented, FIRST)
    assert not allowed(consented, REUSED)


def test_a_revision_with_the_same_words_goes_on(consented: Store) -> None:
    assert allowed(consented, SAME)
    assert allowed(consented, pg.History(FIRST, SAME))


def test_other_words_for_the_same_purpose_count_where_the_earlier_ones_are_known(consented: Store) -> None:
    assert allowed(consented, pg.History(FIRST, REWORDED))
    assert not allowed(consented, REWORDED), "which cannot know what the person read"


def test_a_notice_that_says_something_else_under_its_date_is_another_one(consented: Store) -> None:
    assert not allowed(consented, revised(FIRST, reuse))


def test_a_consent_from_before_words_were_recorded_is_valid_by_its_revision(consented: Store) -> None:
    with consented.writing() as connection:
        connection.execute(sa.update(declaration).values(words=None))
    assert allowed(consented, SAME)
    assert allowed(consented, REUSED), "nothing tells what the person read"
    with pytest.raises(pg.NoticeError):
        pg.History(FIRST, REUSED)


def test_stops_and_consents_of_an_unknown_revision_follow_what_the_known_one_renamed(store: Store) -> None:
    def renumber(t: dict[str, Any]) -> None:
        by_consent(t)
        offers(t)["id"] = "3(1)③"
        t["grant"][0]["purpose"].append({"id": OFFERS, "class": "Profiling", "title": {"en": "Profiles", "ja": "分析"}})
        t["derivation"][0]["serves"] = [one for one in t["derivation"][0]["serves"] if one != OFFERS]
        for row in t["family"]:
            row["purposes"] = ["3(1)③" if one == OFFERS else one for one in row["purposes"]]
        t["renamed"] = [{"kind": "purpose", "old": OFFERS, "new": "3(1)③"}]

    later = revised(pg.Notice.parse(tables()), renumber, "2025-01-01")
    with Governance(store, notice=FIRST, clock=lambda: NOW) as governance:
        governance.consent(7, OFFERS)
        governance.restrict(8, OFFERS)
    with Governance(store, notice=later, clock=lambda: NOW) as governance:
        guard = pg.Guard(later, governance=governance, clock=lambda: NOW)
        assert guard.allows("1(a)", "3(1)③", subject=7)
        assert governance.preferences("8").suspended == {"3(1)③"}
        assert governance._clause_now(OFFERS, FIRST.revision) == "3(1)③"
        assert governance._clause_now("3(1)③", FIRST.revision) is None


def test_the_ledger_says_which_words_they_were(store_url: str, tmp_path: Path) -> None:
    with Governance(store_url, notice=FIRST, clock=lambda: NOW) as governance:
        governance.consent(7, OFFERS)
        governance.consent(8, OFFERS)
    assert run("ledger", "reconcile", store_url).exit_code == 0
    other = REUSED.words_digest(OFFERS)
    with Store.open(store_url) as store, store.writing() as connection:
        connection.execute(sa.update(declaration).where(declaration.c.id == 2).values(words=other))
    result = run("ledger", "reconcile", store_url)
    assert result.exit_code == 1
    assert "consent 2" in result.stdout


def test_the_digest_is_of_titles_and_published_words() -> None:
    called = revised(FIRST, lambda t: offers(t).update(text={"en": "We call you."}))
    written = revised(FIRST, lambda t: offers(t).update(text={"en": "We write to you."}))
    digests = {notice.words_digest(OFFERS) for notice in (FIRST, REUSED, REWORDED, called, written)}
    assert len(digests) == 5
    broken = revised(FIRST, lambda t: offers(t).update(text={"en": "We\ncall you."}))
    assert broken.words_digest(OFFERS) in digests, "where lines break does not matter"
    assert SAME.words_digest("Offers") == FIRST.words_digest(OFFERS)
