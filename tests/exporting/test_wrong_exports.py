"""A wrong export is noticed: whatever one thing is changed in the policies, Cedar answers some question otherwise."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from purposeguard import Notice
from purposeguard.notice.export.cedar import POLICIES, export
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy import spec
from purposeguard.testing.strategies import list_purposes, name_of
from tests.exporting.asking import Cedar, Question
from tests.exporting.mutants import Mutant, mutants
from tests.exporting.samples import EVERYTHING
from tests.exporting.summary import NAME, Property

AT_ONCE = 20

HARMLESS = {
    # Derivations come under clauses whose purposes a prohibition takes from them.
    "4: without `D2` in entry 4",
    "5: without `D1` in entry 8",
    "5: without `D4` in entry 9",
    "D1: without `5①` in entry 4",
    "D2: without `4④` in entry 4",
    "D3: without `4④` in entry 2",
    "D4: without `5②` in entry 3",
    # Of the two purposes of clause 5 the overlay may serve the one, and a prohibition forbids it the other.
    "P2: left out",
    "P2: permit in place of forbid",
    "prohibition 1: without `P2` in entry 4",
    # Prohibitions reach sources that no clause lets serve the purpose in the first place.
    "prohibition 2: without `4①` in entry 1",
    "prohibition 2: without `3` in entry 3",
    "prohibition 2: without `D2` in entry 5",
    "prohibition 2: without `D3` in entry 6",
    *(f"prohibition 3: without `{one}` in entry {number}" for number, one in ((1, "1"), (3, "1(b)"), (4, "1(b)(i)"))),
    *(f"prohibition 3: without `{one}` in entry {number}" for number, one in ((5, "1(b)(ii)"), (6, "P1"), (7, "P2"))),
    *(f"prohibition 3: without `{one}` in entry {number}" for number, one in ((8, "D1"), (11, "D4"))),
}
"""Changes that decide nothing, since another row of the notice says as much."""


def questions(notice: Notice, consents: Sequence[tuple[str, ...]]) -> list[Question]:
    """Every source by itself, and none, for every purpose and family by each of three channels; well mixed."""
    labels: list[tuple[str, ...]] = [(), *((source.clause,) for source in notice.sources)]
    found = [
        Question(label, name_of(purpose), channel, agreed)
        for label in labels
        for purpose in list_purposes(notice)
        for channel in (None, *notice.channels[:3])
        for agreed in consents
    ]
    random.Random(4).shuffle(found)
    return found


def expected(notice: Notice, question: Question) -> bool:
    """What the specification says."""
    agreed = [(one, notice.revision) for one in question.consents]
    asked = (question.sources, question.purpose, question.channel)
    return spec.is_allowed([notice.document], *asked, consents=agreed)


Asked = Sequence[tuple[Question, bool, set[str]]]
"""Questions, what is right, and the actions that each is about."""


def noticed(cedar: Cedar, mutant: Mutant, asked: Asked) -> bool:
    """Whether some answer about its actions is another; asked in parts, since most are noticed in the first."""
    pairs = [
        (question, answer)
        for question, answer, about in asked
        if mutant.actions is None or not mutant.actions.isdisjoint(about)
    ]
    for start in range(0, len(pairs), AT_ONCE):
        some, right = zip(*pairs[start : start + AT_ONCE], strict=True)
        if cedar.answers(some, mutant.policies) != list(right):
            return True
    return False


def unnoticed(notice: Notice, consents: Sequence[tuple[str, ...]] = ((),)) -> tuple[int, set[str]]:
    """How many changes were tried, and those that no answer shows."""
    files = export(notice.document)
    cedar = Cedar(notice.document, files)
    asked = [(one, expected(notice, one), cedar.within(one.purpose)) for one in questions(notice, consents)]
    assert cedar.answers(question for question, _, _ in asked) == [right for _, right, _ in asked]
    tried = list(mutants(files[POLICIES]))
    assert len({mutant.what for mutant in tried}) == len(tried)
    return len(tried), {mutant.what for mutant in tried if not noticed(cedar, mutant, asked)}


def test_of_a_notice_with_everything(record_property: Property) -> None:
    tried, left = unnoticed(EVERYTHING, [(), ("4②", "6①")])
    record_property(NAME, f"{tried} wrong exports, {tried - len(left)} noticed, {len(left)} that change no decision")
    assert left == HARMLESS


@pytest.mark.deep
def test_of_the_bundled_notice(record_property: Property) -> None:
    tried, left = unnoticed(tm.NOTICE)
    record_property(NAME, f"bundled notice: {tried} wrong exports, {tried - len(left)} noticed")
    assert left == set()
