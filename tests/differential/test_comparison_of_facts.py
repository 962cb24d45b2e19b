"""What a comparison says of periods, countries and the rest comes of deciding too, and all of it can be said."""

from __future__ import annotations

import datetime
import itertools
import json
import re
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purposeguard import Notice
from purposeguard.cli.diff import Diff, headline
from purposeguard.notice.retention import Periods, for_law
from purposeguard.notice.schema import Document, Transfer
from purposeguard.policy.diff import Change, compare
from purposeguard.policy.diff.rows import _country_terms
from purposeguard.policy.transfers import Recipient, _check_transfer
from tests.generated import notice_revisions, notice_tables
from tests.generated.notice_tables import Tables, titled
from tests.unit import samples

CODES = ("US", "CN", "DE", "JP", "FR")
KINDS = ("own-subsidiary", "partner")
THINGS = ("alpha", "beta")


def kind(name: str) -> Tables:
    return {"id": name, "title": titled(name)}


@st.composite
def transfers(draw: st.DrawFn) -> Tables:
    limit = st.fixed_dictionaries(
        {
            "recipient": st.sampled_from(KINDS).map(kind),
            "products": st.sampled_from(THINGS).map(kind),
            "tasks": notice_tables.some(THINGS).map(lambda names: [kind(name) for name in names]),
        }
    )
    countries = st.fixed_dictionaries(
        {"code": st.sampled_from(CODES), "title": st.just(titled("it"))}, optional={"limit": limit}
    )
    return {
        "clause": "5",
        "home": draw(st.sampled_from(["JP", "DE"])),
        "scope": "entrustment-only",
        "otherwise": draw(st.sampled_from(["refuse", "safeguards"])),
        "country": draw(st.lists(countries, unique_by=lambda row: str(row["code"]), max_size=3)),
        "equivalent": [kind("some") | {"countries": found} for found in [draw(notice_tables.some(CODES, 0))] if found],
    }


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Notice, Notice]:
    """Two revisions that differ in clauses 4 to 11."""
    made = draw(notice_tables.tables(facts=True))
    made["revision"] = draw(st.dates(datetime.date(1990, 1, 1), datetime.date(9990, 1, 1))).isoformat()
    for row in made.get("extension", []):
        row["notified"] = made["revision"]
    other = notice_tables.copied(made) | {"revision": "9999-01-01"}
    other |= draw(notice_tables.some_facts(made))
    for tables in (made, other):
        for drawn_below in ("transfer", "rights", "changes"):
            tables.pop(drawn_below, None)
        if draw(st.booleans()):
            tables["transfer"] = draw(transfers())
        if draw(st.booleans()):
            tables["rights"] = draw(rights())
        for gone in draw(notice_tables.some(["retention", "safeguards", "entrustment", "contact"], 0, 2)):
            tables.pop(gone, None)
        if draw(st.booleans()):
            tables.pop("renamed", None)
    return Notice.parse(made), Notice.parse(other)


def rights() -> st.SearchStrategy[Tables]:
    requests = st.fixed_dictionaries(
        {
            "id": st.sampled_from(["access", "erasure"]),
            "title": st.sampled_from(["it", "that"]).map(titled),
            "effect": st.sampled_from(["discloses", "stops-use"]),
        }
    )
    return st.fixed_dictionaries(
        {
            "clause": st.just("7"),
            "requesters": notice_tables.some(["subject", "agent"]),
            "request": st.lists(requests, min_size=1, max_size=2, unique_by=lambda row: str(row["id"])),
        },
        optional={"days": st.integers(1, 3)},
    )


def changes(old: Notice, new: Notice, kind: str) -> list[Change]:
    return [one for one in compare(old, new).changes if one.kind == kind]


def handed(rule: Transfer | None, code: str) -> frozenset[object]:
    """Under which terms data may be handed to a country: every combination of what terms speak of.

    Which products are meant the application says; to the comparison other words are other products.
    """
    if rule is None:
        return frozenset()
    products = {row.code: {row.limit.products.id} for row in rule.country if row.limit is not None}
    return frozenset(
        (name, product, task)
        for name, product, task in itertools.product(KINDS, THINGS, THINGS)
        if product in products.get(code, THINGS)
        if not list(_check_transfer(rule, Recipient("it", name, code, products=["it"]), "it", task))
    )


@settings(max_examples=15)
@given(pair=pairs())
def test_countries(pair: tuple[Notice, Notice]) -> None:
    old, new = pair
    told = {cast("str", one["code"]): one for one in changes(old, new, "country")}
    named = {code for notice in pair for code in _country_terms(notice.document)}
    for code in (*CODES, "XX"):
        before, after = handed(old.document.transfer, code), handed(new.document.transfer, code)
        change = told.get(code if code in named else "other countries")
        assert (change is not None) is (before != after)
        if change is not None:
            assert change.direction == ("widened" if after - before else "narrowed")
            assert (change.needs == "notice") is (after - before != set())


def kept(document: Document, source: str, start: str, days: int) -> bool:
    """Whether data may be kept for so many days."""
    began = datetime.date(2024, 1, 1)
    days_of: Any = {"collected" if start == "collection" else "ended": began}
    return not Periods(document).overdue([source], **days_of, today=began + datetime.timedelta(days))


@settings(max_examples=15)
@given(pair=pairs())
def test_periods(pair: tuple[Notice, Notice]) -> None:
    old, new = pair
    told = {
        (source, one["start"]): one
        for one in changes(old, new, "period")
        for source in cast("tuple[str, ...]", one["sources"])
    }
    rows = [one for notice in pair if notice.document.retention for one in notice.document.retention.period]
    probes = sorted({days for row in rows for days in (row.days, row.days + 1)})
    for source in new.sources:
        for start in ("collection", "end-of-use"):
            before = {days for days in probes if kept(old.document, source.clause, start, days)}
            after = {days for days in probes if kept(new.document, source.clause, start, days)}
            assert ((source.clause, start) in told) is (before != after)
            if before != after:
                assert told[source.clause, start].direction == ("widened" if after > before else "narrowed")


LEGAL_PERIODS = [None, (30, "end-of-use"), (365, "end-of-use"), (365, "collection")]


def needed_by_law(period: tuple[int, str] | None, date: str) -> Notice:
    rows = [] if period is None else [{"source": "1", "days": period[0], "from": period[1]}]
    terms = {"clause": "8", "starts": "end-of-use", "bases": ["law"], "after": "law-only", "law": rows}
    tables = samples.tables() | {"retention": terms, "revision": date}
    tables["grant"][1]["basis"] = "law"
    return Notice.parse(tables)


@pytest.mark.parametrize(("before", "after"), [*itertools.product(LEGAL_PERIODS, repeat=2)])
def test_periods_of_law(before: tuple[int, str] | None, after: tuple[int, str] | None) -> None:
    old, new = needed_by_law(before, "2024-01-01"), needed_by_law(after, "2025-01-01")
    told = {one["start"]: one for one in changes(old, new, "law-period")}
    for start in ("collection", "end-of-use"):
        lasts_before, lasts_after = (
            [days for days in (1, 31, 366) if lasts(notice.document, start, days)] for notice in (old, new)
        )
        assert (start in told) is (lasts_before != lasts_after)
        if start in told:
            widens = len(lasts_after) > len(lasts_before)
            assert told[start].direction == ("widened" if widens else "narrowed")
            assert told[start].needs == ("notice" if widens else None)
            assert {"1", "1(a)", "1(b)"} <= {*cast("tuple[str, ...]", told[start]["sources"])}


def lasts(document: Document, start: str, days: int) -> bool:
    """Whether law still needs data of persons after so many days."""
    began = datetime.date(2024, 1, 1)
    days_of: Any = {"collected" if start == "collection" else "ended": began}
    over = Periods(document).overdue(["1"], **days_of, today=began + datetime.timedelta(days))
    return for_law("1") not in over


def test_words_of_periods_of_law_are_compared_by_source() -> None:
    def worded(words: str, date: str) -> Notice:
        tables = needed_by_law(None, date).dump()
        text = {"en": {"words": words}}
        tables["retention"]["law"] = [
            {"source": "1(a)", "days": 9, "text": text},
            {"source": "2", "days": 9, "text": {"en": {"words": "as it was"}}},
        ]
        return Notice.parse(tables)

    (change,) = changes(worded("nine days", "2024-01-01"), worded("no more than nine days", "2025-01-01"), "text")
    assert change["id"] == "1(a) law end-of-use"


@settings(max_examples=20)
@given(pair=st.one_of(pairs(), notice_revisions.revisions(2, 2)))
def test_all_of_it_can_be_said(pair: tuple[Notice, Notice]) -> None:
    found = compare(*pair)
    diff = Diff(found)
    titles = json.dumps([notice.dump() for notice in pair])  # any word may be one
    assert headline(found)
    data = diff.data()
    lines = [line for _, section in diff.sections() for line in section]
    texts = [one["text"] for one in data["changes"]]
    assert set(texts) <= set(lines)
    rule = bool(found.changes) and found.old.document.changes is not None
    assert len(lines) == len(texts) + (4 if found.changes else 2) + rule
    for text in texts:
        assert text.strip()
        words = set(re.findall(r"\bNone\b|\bFalse\b|\bTrue\b|frozenset|Mapping", text))
        assert not {word for word in words if word not in titles}, text
    assert data["widened"] + data["narrowed"] + data["neutral"] == len(texts)


def plain(given: Any) -> Any:
    """JSON values without an order, and without what says something of other revisions only."""
    if isinstance(given, dict):
        return {key: plain(value) for key, value in given.items() if key not in {"revision", "extension", "renamed"}}
    return sorted((plain(one) for one in given), key=repr) if isinstance(given, list) else given


@settings(max_examples=15)
@given(pair=st.one_of(pairs(), notice_revisions.revisions(2, 2)))
def test_whatever_is_different_is_seen(pair: tuple[Notice, Notice]) -> None:
    old, new = pair
    assert plain(old.dump()) == plain(new.dump()) or compare(old, new).changes
