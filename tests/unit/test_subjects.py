"""Whose data it is, named at a check: what a subject asked for is in force at once (clause 7)."""

from __future__ import annotations

import dataclasses
import datetime
import os
import pickle
import subprocess
import sys
import uuid
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.policy.violations import violation_class
from purposeguard.runtime.protocols import Roster
from tests.unit.models import P
from tests.unit.oversights import ERASED, STOPPED, Counting, Office, guarded
from tests.unit.samples import SMALL, Tape
from tests.unit.seals import DEVICE, FREE, NAME, words

SOME = uuid.UUID("12345678-9abc-def0-1234-56789abcdef0")
REGISTERED = NAME.label


class Row(BaseModel):
    key: Annotated[int, pg.Subject]


@dataclasses.dataclass
class Both:
    sender: Annotated[int, pg.Subject]
    recipient: Annotated[int, pg.Subject]


class Plain(BaseModel):
    key: int


def asked(guard: pg.Guard, subject: Any) -> dict[str, object]:
    """What each way to ask about a subject answers: the value, or the class of the error."""
    with guard.purpose(P) as use:
        ways: dict[str, Callable[[], object]] = {
            "guard.allows": lambda: guard.allows(tm.Registration, P, subject=subject),
            "guard.check": lambda: guard.check(tm.Registration, P, subject=subject),
            "guard.explain": lambda: bool(guard.explain(tm.Registration, P, subject=subject)),
            "use.allows": lambda: use.allows(REGISTERED, subject=subject),
            "use.allows id": lambda: use.allows("1.1a", subject=subject),
            "use.check": lambda: use.check(tm.Registration, subject=subject),
            "use.explain": lambda: bool(use.explain(tm.Registration, subject=subject)),
            "use.open": lambda: use.open(NAME, subject=subject),
            "use.open_all": lambda: use.open_all([NAME, NAME], subjects=[subject, subject]),
            "use.try_open": lambda: use.try_open(NAME, "else", subject=subject),
            "use.open mapped": lambda: use.open(NAME.map(str.upper), subject=subject),
        }
        return {name: _outcome(way) for name, way in ways.items()}


def _outcome(way: Callable[[], object]) -> object:
    try:
        return way()
    except (pg.PurposeGuardError, TypeError, ValueError) as error:
        return type(error)


QUESTIONS = ("guard.allows", "guard.explain", "use.allows", "use.allows id", "use.explain")
CHECKS = ("guard.check", "use.check")
OPENED = {"use.open": "name", "use.open_all": ["name", "name"], "use.try_open": "name", "use.open mapped": "NAME"}
ALLOWED: dict[str, object] = dict.fromkeys(QUESTIONS, True) | dict.fromkeys(CHECKS) | OPENED
REFUSED: dict[str, object] = (
    dict.fromkeys(QUESTIONS, False) | dict.fromkeys((*CHECKS, *OPENED), pg.SubjectViolation) | {"use.try_open": "else"}
)


def everywhere(error: type[Exception]) -> dict[str, object]:
    return dict.fromkeys(ALLOWED, error)


@pytest.mark.parametrize("ledger", [lambda: None, Tape, Counting], ids=["none", "Tape", "Counting"])
def test_a_suspended_subject_is_suspended_in_every_form_and_nobody_else_is(ledger: Callable[[], Any]) -> None:
    guard = guarded(ledger=ledger())
    subject: Any
    for subject in (7, "7", pg.RowContext(7), pg.RowContext("7"), Row(key=7), Both(7, 8), Both(8, 7)):
        assert asked(guard, subject) == REFUSED
    for subject in (8, "8", "07", pg.RowContext(8), pg.RowContext(), Row(key=8), Both(8, 9), None):
        assert asked(guard, subject) == ALLOWED


@pytest.mark.parametrize("subject", [SOME, str(SOME).upper(), SOME.hex, pg.RowContext(SOME)], ids=repr)
def test_a_uuid_is_one_subject_in_all_its_spellings(subject: Any) -> None:
    assert asked(guarded(Office({str(SOME): STOPPED})), subject) == REFUSED
    assert asked(guarded(Office({str(SOME.int): STOPPED})), subject) == ALLOWED


def test_zero_is_a_subject_like_any_other() -> None:
    assert asked(guarded(Office({"0": STOPPED})), 0) == REFUSED


@dataclasses.dataclass
class Odd:
    key: Annotated[Any, pg.Subject]


@pytest.mark.parametrize(
    ("error", "subjects"),
    [
        (TypeError, [True, 7.0, b"7", [7], {"key": 7}, object(), Plain(key=7)]),
        (ValueError, ["", " 7", "7 ", "x" * 201]),
        (pg.UnlabelledData, [Odd(7.5), Odd(True), Odd([7.5]), Odd({7: 1}), Odd(object())]),
    ],
    ids=["nobody", "no id", "unreadable mark"],
)
def test_what_names_nobody_is_an_error(error: type[Exception], subjects: list[Any]) -> None:
    guard = guarded()
    for subject in subjects:
        assert asked(guard, subject) == everywhere(error)
        with guard.purpose(P) as use, pytest.raises(error) as caught:
            use.open(NAME, subject=subject)
        assert error is not TypeError or "7" not in str(caught.value)


def test_a_guard_that_asks_nobody_takes_no_subject(guard: pg.Guard) -> None:
    """Else a suspension would seem to be looked at, and is not."""
    for subject in (7, pg.RowContext(7), Row(key=7), SOME):
        assert asked(guard, subject) == everywhere(TypeError)
    assert asked(guard, pg.RowContext()) == ALLOWED
    assert asked(guard, pg.RowContext(collected=datetime.date(2024, 4, 1))) == ALLOWED
    with guard.purpose(P) as use, pytest.raises(TypeError, match=r"Guard\(notice, governance=…\)"):
        use.open(NAME, subject=7)


def test_all_use_is_suspended_or_that_for_some_purposes() -> None:
    some = SubjectPreferences(suspended=frozenset({P.clause}))
    guard = guarded(Office({"1": some}))
    assert asked(guard, 1) == REFUSED
    assert guard.allows(tm.Registration, tm.ProductGuidance, subject=1)
    with pytest.raises(pg.SubjectViolation) as caught:
        guard.check(tm.Registration, P, subject=1)
    assert "asked for the use for renewal-guidance (1.2(1)①) of the data to stop (clause 7)" in words(caught)
    with pytest.raises(pg.SubjectViolation) as caught:
        guarded().check(tm.Registration, P, subject=7)
    assert "asked for all use of the data to stop (clause 7)" in words(caught)


def test_of_a_family_each_member_may_be_suspended() -> None:
    members = [one.clause for one in (tm.ProgramInvitation, tm.WebSurveyInvitation, tm.ProspectSurveyInvitation)]
    guard = guarded(
        Office(
            {
                "1": SubjectPreferences(suspended=frozenset(members[:1])),
                "2": SubjectPreferences(suspended=frozenset(members)),
            }
        )
    )
    label = pg.Label(tm.Registration, tm.WebForm)
    assert guard.allows(label, tm.AnySurveyInvitation)
    assert not guard.allows(label, tm.AnySurveyInvitation, subject=1)
    assert guard.allows(tm.WebForm, tm.AnySurveyInvitation, subject=1)
    assert not guard.allows(tm.WebForm, tm.AnySurveyInvitation, subject=2)
    decision = guard.explain(label, tm.AnySurveyInvitation, subject=1)
    assert decision.denied == (tm.Registration,)
    assert violation_class(decision) is pg.SubjectViolation
    assert decision.grants == {tm.WebForm: "2.2"}


def test_erasure_stops_all_use_and_a_stop_of_provision_stops_none() -> None:
    guard = guarded(Office({"1": ERASED, "2": SubjectPreferences(provision_stopped=True)}))
    assert asked(guard, 1) == REFUSED
    assert asked(guard, 2) == ALLOWED
    with pytest.raises(pg.SubjectViolation) as caught:
        guard.check(tm.Registration, P, subject=1)
    assert "asked for the data to be erased (clause 7)" in words(caught)


def test_what_no_clause_grants_is_refused_as_such() -> None:
    """A violation is about the subject only where the purpose itself would be allowed."""
    guard = guarded()
    with pytest.raises(pg.PurposeViolation) as caught:
        guard.check(tm.ProductData, P, subject=7)
    assert type(caught.value) is pg.PurposeViolation
    with pytest.raises(pg.ChannelViolation):
        guard.check("2.1", "2.2③", "phone", subject=7)
    with pytest.raises(pg.SubjectViolation):
        guard.check("2.1", "2.2③", "email", subject=7)
    mixed = guard.explain([tm.ProductData, tm.Registration], P, subject=7)
    assert violation_class(mixed) is pg.PurposeViolation
    assert mixed.denied == (tm.Registration, tm.ProductData)
    assert mixed.alternatives == ()


def test_a_restriction_is_in_force_at_the_next_check() -> None:
    office = Office({})
    guard = guarded(office)
    for preferences, expected in ((CLEAR, ALLOWED), (STOPPED, REFUSED), (CLEAR, ALLOWED), (ERASED, REFUSED)):
        office.all_preferences["1"] = preferences
        assert asked(guard, 1) == expected


def test_what_is_not_personal_is_nobodys() -> None:
    guard = guarded()
    with guard.purpose(P) as use:
        assert use.open(FREE, subject=7) == "free"
    assert guard.allows(pg.NotPersonal, P, subject=7)


def test_of_several_all_are_opened_or_none() -> None:
    ledger = Counting()
    guard = guarded(ledger=ledger)
    with guard.purpose(P) as use:
        assert use.open_all([NAME, NAME, FREE], subjects=[8, 9, 7]) == ["name", "name", "free"]
        assert sum(ledger.counts.values()) == 3
        with pytest.raises(pg.SubjectViolation):
            use.open_all([NAME, NAME], subjects=[8, 7])
        assert sum(ledger.counts.values()) == 3
        assert use.open_all([], subjects=[]) == []
    assert len(ledger.denials) == 1


def test_each_value_is_somebodys() -> None:
    with guarded().purpose(P) as use:
        for subjects in ([8], [8, 8, 8], []):
            with pytest.raises(ValueError, match=f"2 values and {len(subjects)} subjects"):
                use.open_all([NAME, NAME], subjects=subjects)
        assert use.open_all([NAME, NAME], subjects=[8, None]) == ["name", "name"]
        wrong: Any
        for wrong in ("89", b"89", {8: 1, 9: 2}):
            with pytest.raises(TypeError, match="give a list"):
                use.open_all([NAME, NAME], subjects=wrong)
        unsealed: Any = "name"
        with pytest.raises(TypeError):
            use.open_all([unsealed], subjects=[8])
        some: list[int | Row] = [8, Row(key=9)]
        assert use.open_all(iter([NAME, NAME]), subjects=iter(some)) == ["name", "name"]


def test_a_strict_office_has_nothing_opened_of_nobody() -> None:
    guard = guarded(Office(requires_subject=True))
    assert asked(guard, pg.RowContext()) == REFUSED
    unnamed = asked(guard, None) | dict.fromkeys(("guard.allows", "guard.check", "guard.explain"))
    assert unnamed == REFUSED | {"guard.allows": None, "guard.check": None, "guard.explain": None}
    assert asked(guard, 8) == ALLOWED
    assert asked(guard, 7) == REFUSED
    with guard.purpose(P) as use:
        assert use.open(FREE) == "free"
        assert use.allows(pg.NotPersonal)
        assert use.check(FREE.label) is None  # type: ignore[func-returns-value]  # nothing is what it says
        with pytest.raises(pg.SubjectViolation) as caught:
            use.open(NAME)
        assert "it is not said whose data of 1.1(a) this is: name the subject" in words(caught)
        with pytest.raises(pg.PurposeViolation) as refused:
            use.open(DEVICE)
        assert type(refused.value) is pg.PurposeViolation


def test_a_row_without_a_subject_is_nobodys() -> None:
    @dataclasses.dataclass
    class Maybe:
        key: Annotated[int | None, pg.Subject]

    assert asked(guarded(), Maybe(None)) == ALLOWED
    assert asked(guarded(Office(requires_subject=True)), Maybe(None)) == REFUSED
    assert asked(guarded(Office(requires_subject=True)), Maybe(8)) == ALLOWED


def test_uses_are_counted_whoever_they_are_of() -> None:
    ledger = Counting()
    guard = guarded(ledger=ledger)

    @guard.purpose(P, activity="a")
    def act() -> None:
        use = guard.use(P)
        for subject in (8, 9, "8", SOME, pg.RowContext(8), Row(key=8), None):
            use.open(NAME, subject=subject)

    act()
    act()
    assert ledger.counts == {("a", P.clause, REGISTERED): 14}
    assert ledger.counters == 1


def test_a_ledger_counts_what_subjects_let_pass() -> None:
    tape = Tape()
    with guarded(ledger=tape).purpose(P, activity="a") as use:
        for subject in (8, 9, Row(key=8), None):
            use.open(NAME, subject=subject)
        use.check(tm.Registration, subject=8)
        assert use.allows(REGISTERED, subject=8)
    assert tape.uses == [("a", P.clause, REGISTERED, 5)]


def test_the_ledger_of_the_office_is_told_unless_another_is_given() -> None:
    own, other = Tape(), Tape()
    assert guarded(Office(ledger=own)).ledger is own
    assert guarded(Office(ledger=own), ledger=other).ledger is other
    assert guarded(Office()).ledger is None
    guarded(Office(ledger=own)).check(tm.Registration, P, subject=8)
    assert own.uses == [(None, P.clause, REGISTERED, 1)]


def test_each_denial_is_told_once_and_says_nothing_of_the_subject() -> None:
    subject = "jane.doe@example.com"
    for observing in (False, True):
        tape = Tape()
        guard = guarded(Office({subject: STOPPED}), ledger=tape, mode="observe" if observing else "enforce")
        asked(guard, subject)
        asked(guard, pg.RowContext(subject))
        assert len(tape.denials) == 10  # check, use.check, open, open_all and the mapped one, twice each
        for error, observed in tape.denials:
            assert observed is observing
            assert type(error) is pg.SubjectViolation
            assert "jane" not in str(error) + repr(error) + repr(vars(error)) + repr(vars(error.decision))
        assert "jane" not in repr(tape.uses)


def test_where_denials_are_observed_the_data_is_used(caplog: pytest.LogCaptureFixture) -> None:
    with guarded(mode="observe").purpose(P) as use:
        assert use.open(NAME, subject=7) == "name"
        assert use.try_open(NAME, "else", subject=7) == "else"
        assert use.open_all([NAME, NAME], subjects=[8, 7]) == ["name", "name"]
        use.check(tm.Registration, subject=7)
    assert len(caplog.records) == 1  # They are of one kind.


def test_what_cannot_be_known_is_refused() -> None:
    office = Office()
    guard = guarded(office)
    assert asked(guard, 8) == ALLOWED
    office.closed = True
    assert asked(guard, 8) == everywhere(StoreUnavailable)
    assert asked(guard, None) == ALLOWED
    office.closed = False
    assert asked(guard, 8) == ALLOWED


def test_what_an_office_does_wrong_is_not_passed_over() -> None:
    """On the quick way as on the other: an error of the office is no answer."""

    class Broken(Office):
        error: Exception | None = None

        def preferences(self, subject: str, /) -> SubjectPreferences:
            if self.error is not None:
                raise self.error
            return super().preferences(subject)

    office = Broken()
    guard = guarded(office)
    assert asked(guard, 8) == ALLOWED
    for error in (AttributeError("a"), TypeError("b"), KeyError("c"), RuntimeError("d")):
        office.error = error
        with guard.purpose(P) as use, pytest.raises(type(error)):
            use.open(NAME, subject=8)


@pytest.mark.parametrize("answer", [None, False, (), "clear"], ids=repr)
def test_an_office_that_says_nothing_of_a_subject_is_no_licence(answer: Any) -> None:
    class Silent(Office):
        def preferences(self, subject: str, /) -> Any:
            return answer

    assert asked(guarded(Silent()), 8) == everywhere(TypeError)
    with (
        guarded(Silent()).purpose(P) as use,
        pytest.raises(TypeError, match="Silent gave no SubjectPreferences") as caught,
    ):
        use.open(NAME, subject=8)
    assert "8" not in str(caught.value)


@pytest.mark.usefixtures("remembers")
def test_no_more_standings_are_remembered_than_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("purposeguard.runtime.snapshot.MOST_REMEMBERED", 1)
    other = SubjectPreferences(provision_stopped=True)
    guard = guarded(Office({"7": STOPPED, "9": other}))
    for _ in range(2):
        assert asked(guard, 8) == asked(guard, 9) == ALLOWED
        assert asked(guard, 7) == REFUSED
    column = guard.engine.snapshot.get_permissions(P, None)
    assert column.labels_allowed_for(CLEAR) == {REGISTERED}
    assert column.labels_allowed_for(other) == frozenset()


def test_sources_of_another_notice_are_unknown_whoever_they_are_of() -> None:
    other = pg.Notice.loads(SMALL).source("1")
    foreign: pg.Personal[str, Any] = pg.Personal("x", other)
    guard = guarded()
    for subject in (8, 7, pg.RowContext(8, collected=datetime.date(2025, 1, 1)), None):
        with guard.purpose(P) as use:
            for way in (
                lambda: use.open(foreign, subject=subject),  # noqa: B023  # called at once
                lambda: use.try_open(foreign, 0, subject=subject),  # noqa: B023
                lambda: use.allows(foreign.label, subject=subject),  # noqa: B023
                lambda: use.explain(foreign.label, subject=subject),  # noqa: B023
                lambda: guard.allows(foreign.label, P, subject=subject),  # noqa: B023
                lambda: use.open_all([foreign], subjects=[subject or 8]),  # noqa: B023
            ):
                with pytest.raises(pg.UnknownSource):
                    way()


def test_a_use_that_has_ended_opens_nothing_of_anybody() -> None:
    guard = guarded()
    with guard.purpose(P) as use:
        assert use.open(NAME, subject=8) == "name"
    for subject in (8, pg.RowContext(8), None):
        with pytest.raises(pg.PurposeMissing):
            use.open(NAME, subject=subject)
        with pytest.raises(pg.PurposeMissing):
            use.open_all([NAME], subjects=[8])
        with pytest.raises(pg.PurposeMissing):
            use.try_open(NAME, 0, subject=subject)
        with pytest.raises(pg.PurposeMissing):
            use.check(tm.Registration, subject=subject)


def test_a_member_of_a_family_opens_what_its_subjects_let_it() -> None:
    office = Office({"1": SubjectPreferences(suspended=frozenset({tm.ProgramInvitation.clause}))})
    guard = guarded(office)
    with guard.purpose(tm.AnySurveyInvitation, channel="email") as whole:
        member = guard.use(tm.ProgramInvitation)
        assert whole.open(NAME, subject=8) == member.open(NAME, subject=8) == "name"
        assert member.open(NAME, subject=8) == "name"
        for use in (whole, member):
            with pytest.raises(pg.SubjectViolation):
                use.open(NAME, subject=1)


def test_the_guard_says_who_is_asked() -> None:
    office = Office()
    assert guarded(office).governance is office
    assert pg.Guard(tm.NOTICE).governance is None


def test_standings_are_the_same_in_another_process() -> None:
    preferences = SubjectPreferences(
        suspended=frozenset({"1.2(1)①"}), consents=frozenset({("2.3①", datetime.date(2024, 4, 1))})
    )
    code = (
        "import pickle, sys; from purposeguard.policy.context import SubjectPreferences\n"
        "one = pickle.loads(sys.stdin.buffer.read())\n"
        "facts = one.suspended, one.all_suspended, one.erased, one.provision_stopped, one.consents\n"
        "print(one in {SubjectPreferences(*facts)})"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(preferences),
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    assert run.stdout.strip() == b"True"


class Bare(BaseModel):
    id: Annotated[int, pg.Subject]
    name: pg.Personal[str, tm.Registration]


class Said(pg.PersonalModel):
    id: Annotated[int, pg.Subject]
    name: pg.Personal[str, tm.Registration]


class HoldsBare(pg.PersonalModel):
    id: Annotated[int, pg.Subject]
    inner: Bare


class HoldsSaid(pg.PersonalModel):
    id: Annotated[int, pg.Subject]
    inner: list[Said]


def test_a_dump_knows_in_which_row_a_sealed_value_is() -> None:
    guard = guarded(Office({"1": STOPPED}))
    with guard.purpose(P):
        mine = HoldsSaid(id=1, inner=[Said(id=2, name="b")])  # type: ignore[arg-type]  # sealed when validated
        assert mine.model_dump() == {"id": 1, "inner": [{"id": 2, "name": "b"}]}
        theirs = HoldsSaid(id=2, inner=[Said(id=1, name="a")])  # type: ignore[arg-type]  # likewise
        with pytest.raises(pg.SubjectViolation):
            theirs.model_dump()
        assert theirs.model_dump(mode="withhold") == {"id": 2, "inner": [{"id": 1}]}
        # What does not derive from PersonalModel does not say when it is written.
        bare = HoldsBare(id=2, inner=Bare(id=1, name="a"))  # type: ignore[arg-type]  # likewise
        with pytest.raises(pg.UnlabelledData, match="derive Bare from PersonalModel"):
            bare.model_dump()


def test_a_roster_groups_those_who_asked_for_something_and_shows_none_of_them() -> None:
    roster = Roster({STOPPED: ("7", "8"), CLEAR: ("9",), ERASED: ()})
    assert dict(roster.groups) == {STOPPED: ("7", "8")}
    assert repr(roster) == "<Roster of 2 subjects, 1 groups>"
    with pytest.raises((AttributeError, TypeError)):
        roster.groups = {}
