"""Exceptions: what law permits outside the purposes of the notice, through one door, each use on record first."""

from __future__ import annotations

import asyncio
import datetime
import pickle
import uuid
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import SubjectPreferences
from purposeguard.runtime.declarations import LegalException
from purposeguard.runtime.legal_override import LegalBasis, OutsideTheNotice
from tests.unit.excepted import HOUR, NOON, Case, Row, Two, Watch
from tests.unit.marked_rows import reading
from tests.unit.models import Contact, D, P, R
from tests.unit.oversights import STOPPED, WAYS_TO_READ, Counting, Office, guarded, listing
from tests.unit.samples import Tape
from tests.unit.seals import DEVICE, FREE, NAME, words


def test_an_exception_says_on_what_it_rests_and_who_approved_it() -> None:
    case = Case()
    with case.door() as use:
        use.open(DEVICE, subject=7)
    ((exception, *_),) = case.ledger.exceptions
    assert exception == LegalException(
        "rescue", "vital-interest", "an accident", "the officer", frozenset({"7", "8"}), NOON + HOUR, exception.site
    )
    assert (exception.module, exception.qualname) == ("tests.unit.excepted", "Case.door")
    assert "7" not in repr(exception).replace(str(exception.line), "")


def test_it_is_named_after_where_it_stands() -> None:
    case = Case()
    with case.door(activity=None) as use:
        assert use.activity.name.endswith("Case.door")
        assert use.purpose is OutsideTheNotice
        assert use.channel is None


@pytest.mark.parametrize(
    ("wrong", "error", "why"),
    [
        ({"basis": "consent"}, ValueError, "`basis` is one of law, vital-interest"),
        ({"basis": None}, ValueError, "`basis` is one of"),
        ({"reason": ""}, ValueError, "`reason` is a text, and not blank"),
        ({"reason": " "}, ValueError, "`reason` is a text, and not blank"),
        ({"approver": ""}, ValueError, "`approver` is a text, and not blank"),
        ({"approver": None}, ValueError, "`approver` is a text, and not blank"),
        ({"subjects": []}, ValueError, "there are none"),
        ({"subjects": "7"}, TypeError, "are the ids of those concerned"),
        ({"subjects": "everybody"}, TypeError, "are the ids of those concerned"),
        ({"subjects": 7}, TypeError, "are the ids of those concerned"),
        ({"subjects": {7: 1}}, TypeError, "are the ids of those concerned"),
        ({"subjects": b"all"}, TypeError, "are the ids of those concerned"),
        ({"subjects": None}, TypeError, "are the ids of those concerned"),
        ({"subjects": [True]}, TypeError, "an int, a text or a UUID"),
        ({"subjects": [""]}, ValueError, "1 to 200 characters"),
        ({"until": datetime.datetime(2030, 1, 1)}, ValueError, "time zone"),  # noqa: DTZ001  # what is refused
        ({"until": datetime.date(2030, 1, 1)}, TypeError, "not date"),
    ],
    ids=str,
)
def test_what_is_not_stated_is_no_exception(wrong: dict[str, Any], error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        Case().door(**wrong)


@pytest.mark.parametrize("basis", LegalBasis.__args__)  # type: ignore[attr-defined]  # as `get_args` gives them
def test_each_basis_that_law_knows_opens_the_door_for_subjects_in_any_form(basis: str) -> None:
    some = uuid.uuid4()
    for subjects in ([7, "x", some], iter((7,)), {"7"}, (some.hex, 7), pd.Series([7, 8]), np.array(["7", "x"])):
        with Case().door(subjects, basis=basis) as use:
            assert use.open(NAME, subject=7) == "name"


@pytest.mark.parametrize("ledger", [None, Tape()], ids=["none", "deaf"])
def test_without_a_ledger_that_is_told_there_is_no_door(ledger: Any) -> None:
    guard = guarded(ledger=ledger)
    with pytest.raises(TypeError, match="an exception needs a ledger that is told of each use"):
        guard.exception(basis="law", reason="r", approver="a", subjects="all", until=NOON)


def test_an_exception_decorates_nothing() -> None:
    with pytest.raises(TypeError, match="an exception decorates nothing"):

        @Case().door()
        def act() -> None: ...


def test_it_opens_what_no_clause_grants_and_nobody_else_may() -> None:
    office = Office({"7": STOPPED, "8": SubjectPreferences(erased=True)})
    case = Case(office)
    with case.door() as use:
        assert use.open(DEVICE, subject=7) == "device"
        assert use.open(NAME, subject="8") == "name"
        assert use.open_all([NAME, DEVICE, NAME], subjects=[7, 8, 7]) == ["name", "device", "name"]
        assert use.try_open(NAME, "else", subject=pg.RowContext(7)) == "name"
        assert use.open(NAME.map(str.upper), subject=7) == "NAME"
        use.check({"1.1a", "2.3"}, subject=7)
        assert use.allows("2.3", subject=7)
        assert use.explain("2.3", subject=7)
        old = pg.RowContext(7, collected=datetime.date(1999, 1, 1), ended=datetime.date(1999, 1, 1))
        assert use.open(NAME, subject=old) == "name"
    assert case.ledger.denials == []
    assert office.asked == []


def test_each_use_is_on_record_before_it_takes_place() -> None:
    case = Case()
    with case.door() as use:
        use.open(DEVICE, subject=7)
        use.open_all([NAME, DEVICE, NAME], subjects=[7, 8, 7])
        use.try_open(NAME, "else", subject=8)
        use.check([tm.Registration, tm.Cookie], subject=7)
        use.allows(R, subject=7)
        use.explain(R, subject=7)
    assert case.recorded == [
        (D, "7", 1), (R, "7", 2), (D, "8", 1), (R, "8", 1), (pg.Label(tm.Registration, tm.Cookie), "7", 1),
    ]  # fmt: skip
    assert case.ledger.counts == {}
    assert case.ledger.uses == []


def test_what_cannot_be_recorded_does_not_take_place() -> None:
    class Full(Counting):
        def excepted(self, *_: Any) -> None:
            raise OSError("the disk is full")

    guard = guarded(ledger=Full(), clock=Watch())
    door = guard.exception(basis="law", reason="r", approver="a", subjects="all", until=NOON + HOUR)
    with door as use:
        for way in (
            lambda: use.open(NAME), lambda: use.open_all([NAME]), lambda: use.try_open(NAME, 0), lambda: use.check(R),
            lambda: use.withhold(Row(key=7)),
        ):  # fmt: skip
            with pytest.raises(OSError, match="full"):
                way()
        assert use.allows(R)


def test_it_covers_those_whom_it_names() -> None:
    case = Case()
    with case.door([7]) as use:
        for subject in (8, None, pg.RowContext(), Two(7, 8)):
            with pytest.raises(pg.SubjectViolation) as caught:
                use.open(NAME, subject=subject)
            assert "the exception does not cover this use of 1.1(a) for activity rescue" in words(caught)
            unnamed = subject is None or isinstance(subject, pg.RowContext)
            assert ("name the subject" if unnamed else "it does not concern this subject") in words(caught)
            assert not use.allows(R, subject=subject)
            decision = use.explain(R, subject=subject)
            assert not decision
            assert decision.denied == (tm.Registration,)
            assert use.try_open(NAME, "else", subject=subject) == "else"
        assert use.open(NAME, subject=Two(7, 7)) == "name"
        with pytest.raises(pg.SubjectViolation):
            use.open_all([NAME, NAME], subjects=[7, 8])
    assert case.recorded == [(R, "7", 1)]
    assert len(case.ledger.denials) == 5


def test_it_may_concern_all_and_records_nothing_of_what_is_not_personal() -> None:
    case = Case()
    with case.door("all") as use:
        assert use.open(FREE) == "free"
        assert use.allows(pg.NotPersonal)
        assert use.open(NAME) == "name"
        assert use.open(NAME, subject=9) == "name"
        assert use.open(NAME, subject=Two(1, 2)) == "name"
        assert use.allows(R)
        decision = use.explain(R)
        assert decision
        assert str(decision) == "law permits this use, outside the purposes of the notice"
        assert decision.label is R
        assert decision.purpose is OutsideTheNotice
    assert case.recorded == [(R, None, 1), (R, "9", 1), (R, "1", 1), (R, "2", 1)]
    assert case.ledger.exceptions[0][0].subjects is None


def test_whom_it_concerns_needs_nobody_who_keeps_what_subjects_want() -> None:
    ledger = Counting()
    guard = pg.Guard(tm.NOTICE, ledger=ledger, clock=Watch())
    with guard.exception(basis="law", reason="r", approver="a", subjects=[7], until=NOON + HOUR) as use:
        assert use.open(NAME, subject=7) == "name"
        assert len(ledger.exceptions) == 1
        with pytest.raises(pg.SubjectViolation):
            use.open(NAME, subject=8)
        with pytest.raises(TypeError, match="is an id"):
            use.open(NAME, subject=7.5)  # type: ignore[arg-type]  # what is refused


def test_sources_of_another_notice_are_unknown_here_too() -> None:
    class Elsewhere(pg.Source):
        clause = "9"
        slug = "elsewhere"
        title = {"en": "e", "ja": "e"}

    foreign: pg.Personal[str, Any] = pg.Personal("x", Elsewhere)
    with Case().door("all") as use:
        for way in (lambda: use.open(foreign), lambda: use.allows("9.9"), lambda: use.explain(Elsewhere)):
            with pytest.raises(pg.UnknownSource):
                way()


def test_a_denial_may_cross_to_another_process() -> None:
    case = Case()
    with case.door([7]) as use, pytest.raises(pg.SubjectViolation) as caught:
        use.open(NAME, subject=8)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert pickle.loads(pickle.dumps(case.ledger.denials[0][0])).decision.reasons


def test_rows_of_those_whom_it_names_are_read_and_recorded() -> None:
    case = Case()
    guard = case.guard

    load, narrowed, withheld = (listing(guard, Row, **options) for options in WAYS_TO_READ)

    @guard.access(narrow=True)
    def each(*keys: int) -> Iterator[Row]:
        for key in keys:
            yield Row(key=key)

    with case.door([7]) as use:
        assert load(7) == [Row(key=7)]
        assert case.recorded == [(R, "7", 1), (D, "7", 1)]
        with pytest.raises(pg.SubjectViolation):
            load(7, 8)
        assert narrowed(8, 7) == [Row(key=7)]
        assert list(each(8, 7)) == [Row(key=7)]
        assert [row.model_dump() for row in withheld(7, 8)] == [{"key": 7, "email": "e", "device": "d"}, {"key": 8}]
        assert use.withhold(Row(key=7)).email == "e"
    assert {subject for _, subject, _ in case.recorded} == {"7"}
    assert len(case.recorded) == 2 * 6


def test_what_is_in_no_row_is_recorded_when_it_is_asked_for() -> None:
    """Else data beside rows, or sources that the decorator names, could be read without a trace."""
    case = Case()
    guard = case.guard

    class Page(BaseModel):
        title: Annotated[str, tm.Contract] = "t"
        rows: list[Row] = []

    page = reading(guard, Page, Page)
    named = reading(guard, list[Row], [], tm.Cookie)
    plain = reading(guard, str, "name", tm.Registration)
    for read, label in ((page, tm.Contract), (named, tm.Cookie), (plain, tm.Registration)):
        with case.door("all"):
            read()
            read()
            assert case.recorded == [(pg.Label(label), None, 1)] * 2
        case.ledger.exceptions.clear()
        with case.door([7]), pytest.raises(pg.SubjectViolation) as caught:
            read()
        assert "name the subject" in words(caught)
        assert case.recorded == []


def test_nothing_is_kept_of_what_was_read_under_an_exception() -> None:
    """One exception is given nothing that was read for another, and each use of it is recorded."""
    case = Case()
    guard = case.guard
    ran = []

    @guard.cached()
    @guard.access(withhold=True)
    def load() -> Contact:
        ran.append(1)
        return Contact()

    @guard.cached()
    @guard.access(withhold=True)
    async def later() -> Contact:
        ran.append(1)
        return Contact()

    for _ in range(2):
        with case.door("all"):
            assert load().email == "e"
            assert asyncio.run(later()).email == "e"
        with case.door([7]):
            assert load().model_dump() == {}
            assert asyncio.run(later()).model_dump() == {}
    with guard.purpose(P):
        assert load().email == "e"
    assert len(ran) == 9
    assert case.recorded == [(R, None, 1)] * 4
    assert load.cache_info().currsize == 1  # type: ignore[attr-defined]  # as caches have it


def test_dumps_of_rows_under_an_exception() -> None:
    class Safe(pg.PersonalModel):
        key: Annotated[int, pg.Subject]
        email: pg.Personal[str, tm.Registration]

    case = Case()
    row, other = Safe(key=7, email=NAME), Safe(key=9, email=NAME)
    with case.door():
        assert row.model_dump() == {"key": 7, "email": "name"}
        assert other.model_dump(mode="withhold") == {"key": 9}
        with pytest.raises(pg.SubjectViolation):
            other.model_dump()
    assert case.recorded == [(R, "7", 1)]
