"""Clauses on third parties, compared with a second statement of the rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from purposeguard import Notice
from purposeguard.notice.schema import Document
from purposeguard.policy.transfers import Recipient, Safeguard, list_objections
from tests.generated import notice_tables
from tests.generated.notice_tables import Tables, purposes_of, some, sources_of_tables, titled

TODAY = date(2026, 6, 1)
HELD = Safeguard("contract", "2026-117", since=date(2026, 4, 1))
CODES = ("JP", "US", "DE", "XX")
KINDS = ("advertiser", "researcher")


@st.composite
def cases(draw: st.DrawFn) -> tuple[Notice, Recipient, list[str], list[str]]:
    """A notice with clauses on third parties, one of these, and what it may be given for what."""
    made = draw(notice_tables.tables())
    sources, purposes = sources_of_tables(made), purposes_of(made)
    rows = st.fixed_dictionaries(
        {
            "title": st.just(titled("it")),
            "recipients": some(KINDS).map(lambda ids: [{"id": one, "title": titled(one)} for one in ids]),
        },
        optional={
            "sources": some(sources), "purposes": some(purposes), "form": st.sampled_from(["personal", "aggregate"]),
            "countries": st.just("any") | some(["JP", "US"]), "safeguards": st.just("recorded"),
        },
    )  # fmt: skip
    made["provision"] = [
        {**row, "clause": f"4.{number}"} for number, row in enumerate(draw(st.lists(rows, min_size=1, max_size=3)))
    ]
    if draw(st.booleans()):
        made["transfer"] = _transfer(draw)
    if draw(st.booleans()):
        entry = [{"id": "contract", "title": titled("contract")}]
        made["safeguards"] = {"clause": "6", "before_transfer": "required", "measures": entry, "means": entry}
    safeguards = draw(st.sampled_from([(), (HELD,)]))
    recipient = Recipient("it", draw(st.sampled_from(KINDS)), draw(st.sampled_from(CODES)), safeguards=safeguards)
    return Notice.parse(made), recipient, draw(some([*sources, "not-personal"])), draw(some(purposes))


def _transfer(draw: st.DrawFn) -> Tables:
    return {
        "clause": "5",
        "home": "JP",
        "scope": draw(st.sampled_from(["entrustment-only", "any-recipient"])),
        "country": [{"code": "US", "title": titled("US")}] if draw(st.booleans()) else [],
        "equivalent": [],
        "otherwise": draw(st.sampled_from(["refuse", "safeguards"])),
    }


def by_hand(document: Document, recipient: Recipient, sources: Sequence[str], purposes: Sequence[str]) -> bool:
    """Whether some clause lets this third party have these data for these purposes."""

    def reaches(row: Any) -> bool:
        if row.countries is not None:
            return row.countries == "any" or recipient.country in row.countries
        rule = document.transfer
        if rule is None or recipient.country == "JP":
            return rule is not None
        listed = recipient.country in {one.code for one in rule.country}
        return rule.scope == "any-recipient" and (listed or rule.otherwise == "safeguards")

    def covered(row: Any, source: str) -> bool:
        if source == "not-personal":
            return True
        if row.form == "aggregate":
            return False
        above = {one.id: one.parent for one in document.source} | {one.id: one.source for one in document.overlay}
        step: str | None = source
        while row.sources is not None and step is not None and step not in row.sources:
            step = above.get(step)
        return step is not None

    return any(
        any(kind.id == recipient.kind for kind in row.recipients)
        and reaches(row)
        and all(covered(row, source) for source in sources)
        and (row.purposes is None or {*purposes} <= {*row.purposes})
        and (row.safeguards == "recorded" or (document.safeguards is not None and bool(recipient.safeguards)))
        for row in document.provision
    )


def known(document: Document, recipient: Recipient) -> bool:
    return any(kind.id == recipient.kind for row in document.provision for kind in row.recipients)


@settings(max_examples=200)
@given(case=cases())
def test_a_third_party_gets_what_a_clause_provides(case: tuple[Notice, Recipient, list[str], list[str]]) -> None:
    notice, recipient, sources, purposes = case
    document = notice.document
    why = list_objections(document, recipient, sources=sources, purposes=purposes, today=TODAY)
    assert (not why) == by_hand(document, recipient, sources, purposes), why


@settings(max_examples=100)
@given(case=cases())
def test_what_is_not_asked_is_not_objected_to(case: tuple[Notice, Recipient, list[str], list[str]]) -> None:
    notice, recipient, sources, purposes = case
    bare = list_objections(notice.document, recipient, today=TODAY)
    assert not bare or list_objections(notice.document, recipient, sources=sources, purposes=purposes, today=TODAY)


@settings(max_examples=50)
@given(case=cases())
def test_no_clause_no_provision(case: tuple[Notice, Recipient, list[str], list[str]]) -> None:
    notice, recipient, _, _ = case
    tables = {name: rows for name, rows in notice.dump().items() if name != "provision"}
    assert list_objections(Notice.parse(tables).document, recipient, today=TODAY)
    if not known(notice.document, recipient):
        assert list_objections(notice.document, recipient, today=TODAY)
