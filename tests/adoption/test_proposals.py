"""The summary of evidence, and the purposes that are proposed from it."""

import datetime
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import purposeguard as pg
from purposeguard.adoption.evidence_store import EvidenceKey, EvidenceRow
from purposeguard.adoption.proposals import propose_purposes
from purposeguard.adoption.summary import Judgment, summarize
from purposeguard.errors import EvidenceError
from purposeguard.notice.vocabulary import list_term_ids
from purposeguard.notices import trendmicro_jp as tm

NOTICE = f"trendmicro-jp@{tm.NOTICE.revision}"
GUARD = pg.Guard(tm.NOTICE)
OBSERVING = pg.Guard(tm.NOTICE, mode="observe")


def make_row(times: int = 1, day: int = 1, /, **facts: str) -> EvidenceRow:
    """Return a row of evidence. By default it is a read under the notice in force."""
    date = datetime.date(2026, 12, day)
    return EvidenceRow(EvidenceKey(**{"notice": NOTICE, "outcome": "read", **facts}), times, date, date)


def test_uses_are_summed_up_by_source_and_judged() -> None:
    use = {"entry_point": "GET /renewals", "activity": "renew", "purpose": "1.2(1)①"}
    summary = summarize(
        [
            make_row(3, 1, **use, field="users.name", sources="1.1(a)"),
            make_row(2, 9, **use, field="users.device", sources="1.1(a) 1.1(b)"),
            make_row(2, **use, field="users.device", sources="1.1(b)", outcome="observed", detail="grant"),
            make_row(5, **use, sources="1.1(a)"),  # The same reads, counted without their fields.
            make_row(1, entry_point="GET /renewals", field="users.name", sources="1.1(a)"),
            make_row(4, entry_point="job x", outcome="unresolved", detail="pragma: UnresolvedStatement"),
            make_row(1, entry_point="job x", field="t.c", sources="1.1(a)", outcome="unresolved", detail="copy: E"),
        ],
        GUARD,
    )
    shown = [
        (use.key.entry_point, use.key.purpose, use.key.source, use.judgment.value, use.times) for use in summary.uses
    ]
    assert shown == [
        ("GET /renewals", "", "1.1(a)", "no purpose", 1),
        ("GET /renewals", "1.2(1)①", "1.1(a)", "permitted", 5),
        ("GET /renewals", "1.2(1)①", "1.1(b)", "not permitted", 2),
        ("job x", "", "1.1(a)", "unresolved", 1),
    ]
    permitted, denied = summary.uses[1:3]
    assert permitted.fields == {"users.name", "users.device"}
    assert (permitted.clause, permitted.first.day, permitted.last.day) == ("1.2(1)", 1, 9)
    assert denied.denials == {"grant": 2}
    assert summary.unresolved == {("job x", "pragma: UnresolvedStatement"): 4, ("job x", "copy: E"): 1}
    assert summary.entry_points == ["GET /renewals", "job x"]
    assert summary.collect_sources() == {"GET /renewals": ["1.1(a)", "1.1(b)"], "job x": []}
    assert not summary.other_revisions


def test_evidence_of_another_revision_is_judged_by_the_notice_in_force() -> None:
    row = make_row(sources="9.9", purpose="1.2(1)①", entry_point="x")
    summary = summarize([row._replace(key=row.key._replace(notice="trendmicro-jp@2020-01-01"))], GUARD)
    assert [use.judgment for use in summary.uses] == [Judgment.UNKNOWN]
    assert summary.other_revisions == {"trendmicro-jp@2020-01-01"}


def test_evidence_of_another_notice_is_refused() -> None:
    with pytest.raises(EvidenceError, match="was collected under other@2026-01-01"):
        summarize([make_row(sources="1.1(a)", notice="other@2026-01-01")], GUARD)


def test_entry_points_that_no_purpose_permits_come_first() -> None:
    rows = [
        make_row(entry_point="GET /a", sources="1.1(a)"),
        make_row(entry_point="GET /z", sources="1.1(a)"),
        make_row(entry_point="GET /z", sources="3.1"),
        make_row(entry_point="GET /stated", sources="1.1(a)", purpose="1.2(1)①"),
        make_row(sources="1.1(a)"),
    ]
    first, second = propose_purposes(summarize(rows, GUARD), GUARD, {"GET /stated": "1.2(1)①"})
    assert (first.entry_point, first.candidates, first.forbidding) == ("GET /z", (), ("1.1(a)", "3.1"))
    assert second.entry_point == "GET /a"
    assert second.candidates


def test_names_and_neighbors_choose_among_the_permitting_purposes() -> None:
    rows = [make_row(entry_point=name, sources="1.1(a)") for name in ("GET /renewal/guidance", "POST /mails/{id}")]
    by_name, by_neighbor = propose_purposes(summarize(rows, GUARD), GUARD, {"GET /mails": "1.2(1)②"})
    assert by_name.candidates[0].purpose == "1.2(1)①"
    assert by_neighbor.candidates[0].purpose == "1.2(1)②"


def test_a_purpose_that_permits_more_of_the_entry_points_is_proposed_before_a_narrower_one() -> None:
    one = make_row(entry_point="GET /one", sources="1.1(a)")
    others = [
        make_row(entry_point=name, sources=source) for name in ("GET /x", "GET /y") for source in ("1.1(a)", "1.1(b)")
    ]
    (alone,) = propose_purposes(summarize([one], GUARD), GUARD, {})
    among_others, *shared = propose_purposes(summarize([one, *others], GUARD), GUARD, {})
    assert alone.candidates[0].breadth < among_others.candidates[0].breadth
    assert {proposal.candidates[0].purpose for proposal in shared} == {among_others.candidates[0].purpose}
    assert (among_others.candidates[0].fits, alone.candidates[0].fits) == (3, 1)


def test_a_purpose_that_is_stated_for_more_entry_points_is_proposed_before_others() -> None:
    rows = [make_row(entry_point=name, sources="1.1(a)") for name in ("GET /x", "GET /y", "GET /z")]
    stated = {"GET /x": "1.2(2)②", "GET /w": "1.2(1)①"}
    before = propose_purposes(summarize(rows[1:], GUARD), GUARD, {})
    after = propose_purposes(summarize(rows[1:], GUARD), GUARD, {**stated, "GET /v": "1.2(2)②"})
    assert "1.2(2)②" in {candidate.purpose for candidate in before[0].candidates[1:]}
    assert [proposal.candidates[0].purpose for proposal in after] == ["1.2(2)②", "1.2(2)②"]
    assert [proposal.candidates[0].stated for proposal in after] == [2, 2]


SOURCES = list_term_ids(tm.NOTICE.sources)


@given(st.lists(st.sampled_from(SOURCES), min_size=1, max_size=4, unique=True))
def test_what_is_proposed_permits_everything_that_was_observed(sources: list[str]) -> None:
    (proposal,) = propose_purposes(
        summarize([make_row(entry_point="GET /x", sources=source) for source in sources], GUARD), GUARD, {}
    )
    permitting = set()
    for purpose, channel in itertools.product(tm.NOTICE.purposes, (None, *tm.NOTICE.channels)):
        with_purpose = OBSERVING.purpose(purpose, channel=channel)
        if with_purpose.stated.fits and GUARD.allows(sources, purpose, channel):
            permitting.add((purpose.clause, channel))
    proposed = {(candidate.purpose, candidate.channel) for candidate in proposal.candidates}
    assert proposed <= permitting
    assert {purpose for purpose, _ in proposed} == {purpose for purpose, _ in permitting}
