"""The compiled matrix answers as the executable specification does: everywhere on the bundled notice, widely elsewhere.

Labels of up to two sources are asked of everything; `make test-all` asks the bundled notice those of up to four.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purposeguard import ChannelViolation, Guard, Label, Notice, PurposeViolation, Source, UnknownSource, notices
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy import spec
from purposeguard.policy.violations import violation_class
from purposeguard.testing import strategies
from purposeguard.testing.strategies import list_purposes, name_of
from tests import generated
from tests.support import every_label

TOML = Path(notices.__path__[0]) / "trendmicro_jp" / "notice.toml"


class Tally:
    """How many questions were asked, and how many were answered with yes."""

    def __init__(self) -> None:
        self.asked = 0
        self.allowed = 0

    def compare(self, notice: Notice, labels: Iterable[tuple[type[Source], ...]]) -> None:
        """Asks guard and reference whether these labels may serve every purpose and family by every channel."""
        guard = Guard(notice)
        questions = [
            (purpose, name_of(purpose), channel)
            for channel in (None, *notice.channels)
            for purpose in list_purposes(notice)
        ]
        for sources in labels:
            label = Label(*sources)
            ids = [source.clause for source in sources]
            for purpose, given_id, channel in questions:
                expected = spec.permits(notice.document, ids, given_id, channel)
                if guard.allows(label, purpose, channel) is not expected:
                    pytest.fail(f"{ids} for {given_id} by {channel}: the reference says {expected}\n{notice.dump()}")
                self.asked += 1
                self.allowed += expected


# 34 purposes and 8 families, no channel and each of 8. How many are allowed is held here so that neither side can come
# to refuse, or allow, what it did not.
LABELS = 14 + 91 + 364 + 1_001
QUESTIONS = LABELS * (34 + 8) * (1 + 8)
ALLOWED = 21_668


@pytest.mark.parametrize("notice", [tm.NOTICE, Notice.load(TOML)], ids=["generated-module", "loaded-toml"])
def test_bundled_notice_with_labels_of_one_and_two_sources(notice: Notice) -> None:
    tally = Tally()
    tally.compare(notice, every_label(notice, 2))
    assert (tally.asked, tally.allowed) == ((14 + 91) * 378, 4_640)


@pytest.mark.faults
def test_bundled_notice_exhaustively() -> None:
    tally = Tally()
    tally.compare(tm.NOTICE, every_label(tm.NOTICE, 4))
    assert (tally.asked, tally.allowed) == (QUESTIONS, ALLOWED)


def test_generated_notices() -> None:
    tally = Tally()

    @settings(max_examples=settings().max_examples * 3)
    @given(notice=generated.notices(opened=True))
    def compare(notice: Notice) -> None:
        tally.compare(notice, every_label(notice, 2))

    compare()
    assert tally.asked >= 10_000
    assert 0.02 < tally.allowed / tally.asked < 0.9  # neither answer is rare, so both are compared


@pytest.mark.deep
@pytest.mark.parametrize("part", range(8))
def test_generated_notices_at_length(part: int) -> None:
    """Ten million questions in eight parts, which may run side by side."""
    tally = Tally()

    @settings(derandomize=False)  # else each round would ask what the one before asked
    @given(notice=generated.notices(opened=True))
    def compare(notice: Notice) -> None:
        tally.compare(notice, every_label(notice, 2))

    while tally.asked < 10**7 / 8:
        compare()


def assert_consistent(notice: Notice, guard: Guard, sources: tuple[type[Source], ...], channel: str | None) -> None:
    """Every decision about these sources says the same in all its parts, and what the reference says."""
    document = notice.document
    ids = [source.clause for source in sources]
    clause_of = {row.id: grant.clause for grant in document.grant for row in grant.purpose}
    members = {row.class_: row.purposes for row in document.family}
    may_serve = tuple(one for one in notice.purposes if spec.permits(document, ids, one.clause, channel))
    for purpose in list_purposes(notice):
        given_id = name_of(purpose)
        decision = guard.explain(sources, purpose, channel)
        allowed = spec.permits(document, ids, given_id, channel)
        assert bool(decision) is decision.allowed is allowed
        assert decision.label is Label(*sources)
        assert (decision.purpose, decision.channel) == (purpose, channel)
        refused = {one for one in sources if not spec.permits(document, [one.clause], given_id, channel)}
        assert set(decision.denied) == refused
        assert len(decision.denied) == len(refused)
        assert set(decision.grants) == set(sources) - refused
        assert set(decision.grants.values()) <= {clause_of[one] for one in members.get(given_id, (given_id,))}
        assert len(decision.reasons) == len(refused)
        assert decision.alternatives == may_serve
        by_channel = not allowed and spec.permits(document, ids, given_id)
        assert allowed or violation_class(decision) is (ChannelViolation if by_channel else PurposeViolation)
        assert all(one.clause in str(decision) for one in (sources if allowed else refused))


def test_decisions_of_the_bundled_notice_are_consistent() -> None:
    guard = Guard(tm.NOTICE)
    for sources in every_label(tm.NOTICE, 2):
        for channel in (None, "email", "post"):
            assert_consistent(tm.NOTICE, guard, sources, channel)


@given(data=st.data(), notice=generated.notices(opened=True))
def test_decisions_of_generated_notices_are_consistent(data: st.DataObject, notice: Notice) -> None:
    guard = Guard(notice)
    for label in data.draw(st.lists(strategies.labels(notice), min_size=1, max_size=5)):
        assert_consistent(notice, guard, tuple(label), data.draw(st.sampled_from([None, *notice.channels])))


def derived(guard: Guard, operation: str, one: Any, other: Any) -> str | None:
    """The source that an operation makes, as the guard has it; None where it declares none."""
    try:
        label: Label = guard.derive(operation, one, other)
    except UnknownSource:
        return None
    (source,) = label
    return source.clause


def compare_derivations(notice: Notice) -> int:
    """Joins every two sources by every operation; the number of joins that are declared."""
    guard = Guard(notice)
    declared = 0
    for operation in ("link", "match", "no-such-operation"):
        for one in notice.sources:
            for other in notice.sources:
                expected = spec.derive_source(notice.document, operation, one.clause, other.clause)
                assert derived(guard, operation, one, other) == expected
                declared += expected is not None
    return declared


def test_derivations_of_the_bundled_notice() -> None:
    # Cookies with each of the three clauses and their nine items, from either side.
    assert compare_derivations(tm.NOTICE) == 2 * (3 + 9)


@given(data=st.data(), notice=generated.notices(opened=True))
def test_derivations_of_generated_notices(data: st.DataObject, notice: Notice) -> None:
    compare_derivations(notice)
    guard = Guard(notice)
    operations = sorted({row.operation for row in notice.document.derivation})
    for operation in operations:
        left, right = data.draw(strategies.labels(notice, most=2)), data.draw(strategies.labels(notice, most=2))
        if derived(guard, operation, left, right) is not None:
            # What is derived from mixed data could have been derived from any part of it.
            pairs = [(one.clause, other.clause) for one in left for other in right]
            assert all(spec.derive_source(notice.document, operation, *pair) for pair in pairs)
