"""An independent engine decides as this library does: the exported policies, asked of Cedar, beside the guard.

What is compared here and what is not: `docs/how-to/export-to-cedar.md`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purposeguard import Guard, History, Label, Notice
from purposeguard.notice.export.cedar import SCHEMA, export
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy import spec
from purposeguard.policy.context import Context, SubjectPreferences
from purposeguard.policy.table import PolicyTable
from purposeguard.testing.strategies import list_purposes, name_of
from tests import generated
from tests.exporting.asking import Cedar, NoAnswer, Question, drawn
from tests.exporting.samples import EVERYTHING
from tests.exporting.summary import NAME, Property
from tests.support import every_label

BUNDLED, GENERATED = 8_000, 12_000
AT_LENGTH = 125_000
"""Questions in each of eight parts."""


class Tally:
    """How many questions were put to Cedar, and how many it answered with yes; it ends at the first difference."""

    def __init__(self) -> None:
        self.asked = 0
        self.allowed = 0

    def compare(self, notice: Notice, cedar: Cedar, questions: Sequence[Question]) -> None:
        guard = Guard(notice)
        for question, told in zip(questions, cedar.answers(questions), strict=True):
            sources, purpose, channel = question[:3]
            expected = guard.allows(sources, purpose, channel)
            if told is not expected:
                pytest.fail(f"{question}: Cedar says {told}, the guard {expected}\n{notice.dump()}")
            self.asked += 1
            self.allowed += told

    def told(self, what: str) -> str:
        """The figures; neither answer may be rare, so that both are compared."""
        assert 0.1 < self.allowed / self.asked < 0.9
        return f"{what}: {self.asked:,} uses, {self.allowed:,} of them allowed, no difference"


def test_the_bundled_notice(record_property: Property) -> None:
    tally = Tally()
    tally.compare(tm.NOTICE, Cedar(tm.NOTICE.document), drawn(tm.NOTICE, BUNDLED, random.Random(1)))
    record_property(NAME, tally.told("bundled notice"))


def test_generated_notices(record_property: Property) -> None:
    tally = Tally()

    @settings(max_examples=60)
    @given(notice=generated.notices(opened=True), seed=st.integers(0, 2**32))
    def compare(notice: Notice, seed: int) -> None:
        questions = drawn(notice, GENERATED // 60, random.Random(seed))
        tally.compare(notice, Cedar(notice.document), questions)

    compare()
    while tally.asked < GENERATED:  # under a profile that says how many, or where there were fewer examples
        compare()
    record_property(NAME, tally.told("generated notices"))


@pytest.mark.deep
def test_the_bundled_notice_exhaustively(record_property: Property) -> None:
    """Over every label of up to four sources, as the reference is."""
    tally = Tally()
    cedar = Cedar(tm.NOTICE.document)
    purposes = [name_of(one) for one in list_purposes(tm.NOTICE)]
    for sources in every_label(tm.NOTICE, 4):
        label = tuple(one.clause for one in sources)
        asked = [Question(label, *one) for one in product(purposes, (None, *tm.NOTICE.channels))]
        tally.asked += len(asked)
        guard = Guard(tm.NOTICE)
        expected = [guard.allows(one.sources, one.purpose, one.channel) for one in asked]
        assert cedar.answers(asked) == expected, label
        tally.allowed += sum(expected)
    assert tally.asked == 555_660
    assert tally.allowed == 21_668  # as many as the reference allows
    record_property(NAME, f"bundled notice: {tally.asked:,} uses, {tally.allowed:,} of them allowed, no difference")


@pytest.mark.deep
@pytest.mark.parametrize("part", range(8))
def test_generated_notices_at_length(part: int, record_property: Property) -> None:
    """A million questions in eight parts, which may run side by side."""
    tally = Tally()

    @settings(derandomize=False, max_examples=50)  # else each round would ask what the one before asked
    @given(notice=generated.notices(opened=True), seed=st.integers(0, 2**32))
    def compare(notice: Notice, seed: int) -> None:
        tally.compare(notice, Cedar(notice.document), drawn(notice, 500, random.Random(seed)))

    while tally.asked < AT_LENGTH:
        compare()
    record_property(NAME, tally.told(f"generated notices, part {part + 1}"))


def compare_consents(notice: Notice, questions: Sequence[Question]) -> int:
    """Cedar, told what the subject agreed to, beside the matrix and the second specification; how many were allowed."""
    matrix = PolicyTable(notice)
    for question, told in zip(questions, Cedar(notice.document).answers(questions), strict=True):
        agreed = frozenset((one, notice.revision) for one in question.consents)
        label = Label(*map(notice.source, question.sources))
        conditions = frozenset(question.conditions)
        context = Context(SubjectPreferences(consents=agreed), conditions=conditions)
        row = matrix.row_for(label, question.channel, context)
        assert told is (notice.purpose_or_family(question.purpose) in row), question
        asked = (question.sources, question.purpose, question.channel)
        expected = spec.is_allowed([notice.document], *asked, consents=agreed, conditions=conditions, named=True)
        assert told is expected, question
    return len(questions)


def consented(notice: Notice, count: int, chance: random.Random) -> list[Question]:
    """Questions about subjects who agreed to something, where the notice asks for consent at all."""
    purposes = [one.clause for one in notice.purposes]
    rests = '"consents"' in export(notice.document)[SCHEMA]
    return [
        one._replace(consents=tuple(chance.sample(purposes, chance.randint(0, len(purposes)))) if rests else ())
        for one in drawn(notice, count, chance)
    ]


def test_consents_of_a_notice_with_everything() -> None:
    assert compare_consents(EVERYTHING, consented(EVERYTHING, 1_500, random.Random(2))) == 1_500


@settings(max_examples=25)
@given(notice=generated.notices(facts=True, opened=True), seed=st.integers(0, 2**32))
def test_consents_of_generated_notices(notice: Notice, seed: int) -> None:
    compare_consents(notice, consented(notice, 40, random.Random(seed)))


@settings(max_examples=40)
@given(notice=generated.notices(facts=True, conditions=True), seed=st.integers(0, 2**32))
def test_conditions_and_several_bases_of_generated_notices(notice: Notice, seed: int) -> None:
    """What people may opt out of is asked of somebody who is named, and did not."""
    chance = random.Random(seed)
    stated = notice.conditions
    questions = [
        one._replace(conditions=tuple(chance.sample(stated, chance.randint(0, len(stated)))))
        for one in consented(notice, 80, chance)
    ]
    compare_consents(notice, questions)


@settings(max_examples=25)
@given(history=generated.histories(), seed=st.integers(0, 2**32))
def test_what_the_exports_of_two_revisions_both_allow_is_allowed(history: History, seed: int) -> None:
    """As the how-to says of data collected under an earlier one: of purposes, by the ids that each revision has."""
    then, now = history.notices[0], history.latest
    documents = [one.document for one in history]
    purposes = {one.clause for one in then.purposes}
    asked: list[tuple[Question, Question]] = []
    for question in drawn(now, 40, random.Random(seed)):
        old = spec.translate_id(documents, "purpose", question.purpose, then.revision)
        sources = [spec.translate_id(documents, "source", one, then.revision) for one in question.sources]
        known = tuple(one for one in sources if one is not None)
        if old in purposes and len(known) == len(sources) and question.channel in (None, *then.channels):
            asked.append((question, Question(known, old, question.channel)))
    answers = Cedar(now.document).answers([one for one, _ in asked])
    earlier = Cedar(then.document).answers([other for _, other in asked])
    for (question, _), one, other in zip(asked, answers, earlier, strict=True):
        given_ = (question.sources, question.purpose, question.channel)
        if one and other:
            assert spec.is_allowed(documents, *given_, collected_under=then.revision), question


@pytest.mark.parametrize("notice", [tm.NOTICE, EVERYTHING], ids=["trendmicro-jp", "everything"])
def test_data_without_a_label_is_refused(notice: Notice) -> None:
    questions = [
        Question((), name_of(one), channel) for one in list_purposes(notice) for channel in (None, *notice.channels)
    ]
    assert not any(Cedar(notice.document).answers(questions))


def test_what_is_unknown_is_refused() -> None:
    cedar = Cedar(tm.NOTICE.document)
    assert cedar.answers([Question(("1.1(a)", "9.9"), "1.2(1)①"), Question(("9.9",), "1.2(2)①")]) == [False, False]
    for unknown in (Question(("1.1(a)",), "9.9①"), Question(("1.1(a)",), "1.2(1)④", "pigeon")):
        with pytest.raises(NoAnswer, match=r"does not exist in the supplied schema|not declared as a valid eid"):
            cedar.answers([unknown])


def test_without_the_schema_the_entities_say_as_much() -> None:
    """An engine that is given no schema learns of the actions from the entities."""
    cedar = Cedar(tm.NOTICE.document)
    questions = drawn(tm.NOTICE, 400, random.Random(3))
    expected = cedar.answers(questions)
    cedar.schema = None
    assert cedar.answers(questions) == expected
