"""What a comparison of two revisions says is what comes of deciding before and after."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from purposeguard import Guard, History, Notice, UnknownSource
from purposeguard.policy import spec
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.diff import compare
from tests.comparisons import LATER, hold_equal, hold_to_what_is_stated, stated
from tests.generated import notice_revisions
from tests.generated.notice_tables import CONDITIONS
from tests.oversights import Told

PAIRS = st.one_of(notice_revisions.revisions(2, 2), notice_revisions.revisions(2, 2, conditions=True))


def test_the_cells_that_differ_are_those_that_are_decided_differently() -> None:
    tally = [0, 0]

    @settings(max_examples=settings().max_examples)
    @given(pair=PAIRS)
    def ask(pair: tuple[Notice, Notice]) -> None:
        cells, questions = hold_equal(*pair)
        tally[0] += cells
        tally[1] += questions

    ask()
    assert tally[1] > 1_000
    assert 10 < tally[0] < tally[1] - 10  # some differ and some do not; how many hangs on what is drawn


@settings(max_examples=settings().max_examples // 2)
@given(pair=PAIRS)
def test_every_change_of_uses_that_is_stated_comes_of_deciding(pair: tuple[Notice, Notice]) -> None:
    hold_to_what_is_stated(*pair)


@settings(max_examples=settings().max_examples // 3)
@given(pair=notice_revisions.revisions(3, 3))
def test_extensions_are_told_where_still_earlier_data_feels_them(pair: tuple[Notice, Notice, Notice]) -> None:
    """What the middle revision extended to data of the first, and the last does not, is lost to it; and the reverse."""
    first, old, new = pair
    found = compare(old, new)
    kinds = {kind: stated(found, kind) for kind in ("extended", "extension-dropped")}
    consents = frozenset((one.clause, notice.revision) for notice in pair for one in notice.purposes)
    oversight = Told({"agreed": SubjectPreferences(consents=consents)})
    before = Guard(History(first, old), governance=oversight, clock=lambda: LATER)
    after = Guard(History(*pair), governance=oversight, clock=lambda: LATER)
    for source in first.sources:
        for purpose in new.purposes:
            ids = [spec.translate_id([n.document for n in (new, old, first)], "source", source.clause, new.revision)]
            key = (ids[0] or "", purpose.clause)
            try:
                now = after.allows(source, purpose, subject="agreed")
            except UnknownSource:
                continue
            if key in kinds["extended"]:
                assert now
            if key in kinds["extension-dropped"] and not now:
                was = spec.translate_id([n.document for n in (old, new)], "purpose", purpose.clause, old.revision)
                assert before.allows(source, was, subject="agreed")


def ways(notice: Notice, source: str, purpose: str) -> set[frozenset[str]]:
    """The sets of conditions under which the specification lets a subject who agreed to everything be served."""
    agreed = frozenset((one.clause, notice.revision) for one in notice.purposes)
    sets = itertools.chain(*(itertools.combinations(CONDITIONS, size) for size in range(len(CONDITIONS) + 1)))
    return {
        frozenset(stated)
        for stated in sets
        if spec.is_allowed(
            [notice.document], [source], purpose, consents=agreed, conditions=frozenset(stated), named=True
        )
    }


@settings(max_examples=settings().max_examples // 3)
@given(pair=notice_revisions.revisions(2, 2, conditions=True))
def test_changes_of_conditions_are_told_with_their_direction(pair: tuple[Notice, Notice]) -> None:
    old, new = pair
    found = compare(old, new)
    told = stated(found, "conditions")
    documents = [old.document, new.document]
    parents = {row.parent for row in new.document.source}
    for source in (one.clause for one in new.sources if one.clause not in parents):
        for purpose in (one.clause for one in new.purposes):
            was = [
                spec.translate_id(documents, kind, one, old.revision)
                for kind, one in (("source", source), ("purpose", purpose))
            ]
            known = {one.clause for one in old.sources}, {one.clause for one in old.purposes}
            if was[0] not in known[0] or was[1] not in known[1]:
                continue
            before, after = ways(old, was[0], was[1]), ways(new, source, purpose)
            change = told.get((source, purpose))
            if before and after:
                assert (change is not None) is (before != after), (source, purpose, before, after)
            if change is not None and before and after:
                assert change.direction == ("narrowed" if after < before else "widened")
