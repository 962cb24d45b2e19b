"""Under circumstances, too, the compiled matrix answers as the executable specification does."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from purposeguard import Label, Notice, Source
from purposeguard.notice.history import History
from purposeguard.policy import spec
from purposeguard.policy.context import BEFORE_ALL, Context, SubjectPreferences
from purposeguard.policy.table import PolicyTable
from purposeguard.testing import strategies
from purposeguard.testing.strategies import list_purposes, name_of
from tests import histories
from tests.generated import notice_revisions


class Tally:
    """How many questions were asked, and how many were answered with yes."""

    def __init__(self) -> None:
        self.asked = 0
        self.allowed = 0

    def hold_equal(
        self, matrix: PolicyTable, label: Label, notices: Sequence[Notice], known: histories.Context
    ) -> None:
        """Asks both whether data of this label may serve every purpose and family, by every channel."""
        documents = [one.document for one in (*notices, matrix.notice)]
        given = compiled(known)
        ids = [source.clause for source in label]
        for channel in (None, *matrix.notice.channels):
            for activity in (False, True):
                row = matrix.row_for(label, channel, given._replace(channel_unstated=activity and channel is None))
                for purpose in list_purposes(matrix.notice):
                    shut = activity and channel is None and matrix.must_state_channel(purpose)
                    asked = (documents, ids, name_of(purpose), channel)
                    expected = spec.is_allowed(*asked, **known, named=True, activity=activity)
                    if (purpose in row and not shut) is not expected:
                        pytest.fail(f"{asked[1:]}, {known}: the specification says {expected}")
                    self.asked += 1
                    self.allowed += expected


def compiled(known: histories.Context) -> Context:
    """The same circumstances as the matrix takes them, of whoever asks."""
    preferences = SubjectPreferences(
        suspended=frozenset(known["suspended"]),
        erased=known["stopped"],
        consents=frozenset(known["consents"]),
    )
    overdue, conditions = frozenset(known["overdue"]), known["conditions"]
    return Context(preferences, known["collected_under"], overdue, conditions=conditions)


@st.composite
def situations(draw: st.DrawFn) -> tuple[tuple[Notice, ...], Notice]:
    """A history and the revision of it that is in force: the last, or an earlier one that was put back."""
    notices = draw(notice_revisions.revisions(conditions=draw(st.booleans())))
    return notices, draw(st.sampled_from([notices[-1], notices[-1], notices[-1], notices[0]]))


def compare(tally: Tally, data: st.DataObject, situation: tuple[tuple[Notice, ...], Notice]) -> None:
    notices, inforce = situation
    matrix = PolicyTable(inforce, history=History(*notices))
    for _ in range(6):
        known = data.draw(histories.context(notices, inforce))
        tally.hold_equal(matrix, data.draw(strategies.labels(inforce, most=3)), notices, known)


def test_generated_histories() -> None:
    tally = Tally()

    @given(data=st.data(), situation=situations())
    def ask(data: st.DataObject, situation: tuple[tuple[Notice, ...], Notice]) -> None:
        compare(tally, data, situation)

    ask()
    assert tally.asked >= 1_000
    assert 0.02 < tally.allowed / tally.asked < 0.9  # neither answer is rare, so both are compared


@pytest.mark.deep
@pytest.mark.parametrize("part", range(8))
def test_generated_histories_at_length(part: int) -> None:
    """Four million questions in eight parts, which may run side by side."""
    tally = Tally()

    @settings(derandomize=False)  # else each round would ask what the one before asked
    @given(data=st.data(), situation=situations())
    def ask(data: st.DataObject, situation: tuple[tuple[Notice, ...], Notice]) -> None:
        compare(tally, data, situation)

    while tally.asked < 500_000:
        ask()


@given(data=st.data(), situation=situations())
def test_classes_of_a_revision_say_that_data_was_collected_under_it(
    data: st.DataObject, situation: tuple[tuple[Notice, ...], Notice]
) -> None:
    """A label may hold sources of several revisions: each is judged by its own."""
    notices, inforce = situation
    matrix = PolicyTable(inforce, history=History(*notices))
    known = data.draw(histories.context(notices, inforce))
    said = known["collected_under"]

    def told(of: Notice) -> histories.Context:
        """Of what the revision in force tags, they say when it was collected; of another's, that it was earlier."""
        earlier = said not in (None, inforce.revision) and said < of.revision
        return known if of is inforce or earlier else known | {"collected_under": of.revision}

    # The term that the revision in force has of it; a text where it has none, as it then is unknown.
    there: list[tuple[Notice, type[Source], str | None]] = [
        (one, source, getattr(matrix.current_source(source), "clause", None))
        for one in notices
        for source in one.sources
    ]
    tagged = [(one, source, clause) for one, source, clause in there if clause is not None]
    assume(tagged)
    chosen = data.draw(st.lists(st.sampled_from(tagged), min_size=1, max_size=3))
    documents = [one.document for one in (*notices, inforce)]
    for channel in (None, *inforce.channels):
        row = matrix.row_for(Label(*(source for _, source, _ in chosen)), channel, compiled(known))
        for purpose in list_purposes(inforce):
            expected = all(
                spec.is_allowed(
                    documents,
                    [clause],
                    name_of(purpose),
                    channel,
                    **told(one),
                    named=True,
                )
                for one, _, clause in chosen
            )
            assert (purpose in row) is expected


@given(data=st.data(), situation=situations())
def test_a_revision_that_is_not_known_grants_nothing(
    data: st.DataObject, situation: tuple[tuple[Notice, ...], Notice]
) -> None:
    notices, inforce = situation
    matrix = PolicyTable(inforce, history=History(*notices))
    label = data.draw(strategies.labels(inforce, most=2))
    known = data.draw(histories.context(notices, inforce)) | {"collected_under": datetime.date(2019, 1, 1)}
    Tally().hold_equal(matrix, label, notices, known)
    given_ = compiled(known)
    assert matrix.row_for(label, None, Context(given_.preferences, BEFORE_ALL, given_.overdue)) == frozenset()
