"""Exceptions: what law permits outside the purposes of the notice, through one door, each use on record first."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import datetime
import pickle
import threading
import uuid
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.circumstances import Standing
from purposeguard.exceptions import ExceptionBlock, LegalBasis, OutsideTheNotice
from purposeguard.inventory import LegalException
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.oversights import STOPPED, Counting, Office, guarded, told
from tests.unit.samples import Tape, revised

UTC = datetime.UTC
NOON = datetime.datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = datetime.timedelta(hours=1)
NAME: pg.Personal[str, Any] = pg.Personal("name", tm.Registration)
DEVICE: pg.Personal[str, Any] = pg.Personal("device", tm.ProductData)
FREE: pg.Personal[str, Any] = pg.Personal("free", pg.NotPersonal)
R, D = NAME.label, DEVICE.label
P = tm.RenewalGuidance


class Watch:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime.datetime:
        return self.time


class Case:
    """A guard, its ledger, its office and its clock."""

    def __init__(self, office: Office | None = None, **options: Any) -> None:
        self.ledger = Counting()
        self.watch = Watch()
        self.guard = guarded(office, ledger=self.ledger, clock=self.watch, **options)

    def door(self, subjects: Any = (7, 8), **given: Any) -> ExceptionBlock:
        facts: dict[str, Any] = {
            "basis": "vital-interest",
            "reason": "an accident",
            "approver": "the officer",
            "until": NOON + HOUR,
            "activity": "rescue",
        }
        return self.guard.exception(subjects=subjects, **facts | given)

    @property
    def recorded(self) -> list[tuple[pg.Label, str | None, int]]:
        return [(label, subject, count) for _, label, subject, count in self.ledger.exceptions]


# --- What is stated


def test_an_exception_says_on_what_it_rests_and_who_approved_it() -> None:
    case = Case()
    with case.door() as use:
        use.open(DEVICE, subject=7)
    ((exception, *_),) = case.ledger.exceptions
    assert exception == LegalException(
        "rescue",
        "vital-interest",
        "an accident",
        "the officer",
        frozenset({"7", "8"}),
        NOON + HOUR,
        exception.site,
    )
    assert (exception.module, exception.qualname) == (__name__, "Case.door")
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


def test_subjects_are_named_in_any_form() -> None:
    some = uuid.uuid4()
    case = Case()
    for subjects in ([7, "x", some], iter((7,)), {"7"}, (some.hex,)):
        with case.door(subjects):
            pass


@pytest.mark.parametrize("basis", LegalBasis.__args__)  # type: ignore[attr-defined]  # as `get_args` gives them
def test_the_bases_that_law_knows(basis: str) -> None:
    with Case().door(basis=basis) as use:
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


# --- What it opens


def test_it_opens_what_no_clause_grants_and_nobody_else_may() -> None:
    office = Office({"7": STOPPED, "8": Standing(erased=True)})
    case = Case(office)
    with case.door() as use:
        assert use.open(DEVICE, subject=7) == "device"
        assert use.open(NAME, subject="8") == "name"
        assert use.open_all([NAME, DEVICE, NAME], subjects=[7, 8, 7]) == ["name", "device", "name"]
        assert use.try_open(NAME, "else", subject=pg.About(7)) == "name"
        assert use.open(NAME.map(str.upper), subject=7) == "NAME"
        use.check({"1.1a", "2.3"}, subject=7)
        assert use.allows("2.3", subject=7)
        assert use.explain("2.3", subject=7)
        old = pg.About(7, collected=datetime.date(1999, 1, 1), ended=datetime.date(1999, 1, 1))
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
        (D, "7", 1),
        (R, "7", 2),
        (D, "8", 1),
        (R, "8", 1),
        (pg.Label(tm.Registration, tm.Cookie), "7", 1),
    ]
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
            lambda: use.open(NAME),
            lambda: use.open_all([NAME]),
            lambda: use.try_open(NAME, 0),
            lambda: use.check(R),
            lambda: use.withhold(Row(key=7)),
        ):
            with pytest.raises(OSError, match="full"):
                way()
        assert use.allows(R)


def test_it_covers_those_whom_it_names() -> None:
    case = Case()
    with case.door([7]) as use:
        for subject in (8, None, pg.About(), Two(7, 8)):
            with pytest.raises(pg.SubjectViolation) as caught:
                use.open(NAME, subject=subject)
            assert "the exception does not cover this use of 1.1(a) for activity rescue" in told(caught)
            unnamed = subject is None or isinstance(subject, pg.About)
            assert ("name the subject" if unnamed else "it does not concern this subject") in told(caught)
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


def test_it_may_concern_all() -> None:
    case = Case()
    with case.door("all") as use:
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


def test_what_is_not_personal_needs_no_exception() -> None:
    case = Case()
    with case.door() as use:
        assert use.open(FREE) == "free"
        assert use.allows(pg.NotPersonal)
    assert case.recorded == []


def test_whom_it_concerns_needs_nobody_who_keeps_what_subjects_want() -> None:
    ledger = Counting()
    guard = pg.Guard(tm.NOTICE, ledger=ledger, clock=Watch())
    with guard.exception(basis="law", reason="r", approver="a", subjects=[7], until=NOON + HOUR) as use:
        assert use.open(NAME, subject=7) == "name"
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


# --- Rows


class Row(BaseModel):
    key: Annotated[int, pg.Subject]
    email: Annotated[str, tm.Registration] = "e"
    device: Annotated[str, tm.ProductData] = "d"


@dataclasses.dataclass
class Two:
    one: Annotated[int, pg.Subject]
    other: Annotated[int, pg.Subject]


def test_rows_of_those_whom_it_names_are_read_and_recorded() -> None:
    case = Case()
    guard = case.guard

    @guard.access
    def load(*keys: int) -> list[Row]:
        return [Row(key=key) for key in keys]

    @guard.access(narrow=True)
    def narrowed(*keys: int) -> list[Row]:
        return [Row(key=key) for key in keys]

    @guard.access(withhold=True)
    def withheld(*keys: int) -> list[Row]:
        return [Row(key=key) for key in keys]

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

    @guard.access
    def page() -> Page:
        return Page()

    @guard.access(tm.Cookie)
    def named() -> list[Row]:
        return []

    @guard.access(tm.Registration)
    def plain() -> str:
        return "name"

    for read, label in ((page, tm.Contract), (named, tm.Cookie), (plain, tm.Registration)):
        with case.door("all"):
            read()
            read()
            assert case.recorded == [(pg.Label(label), None, 1)] * 2
        case.ledger.exceptions.clear()
        with case.door([7]), pytest.raises(pg.SubjectViolation) as caught:
            read()
        assert "name the subject" in told(caught)
        assert case.recorded == []


def test_nothing_is_kept_of_what_was_read_under_an_exception() -> None:
    """One exception is given nothing that was read for another, and each use of it is recorded."""
    case = Case()
    guard = case.guard
    ran = []

    class Plain(BaseModel):
        email: Annotated[str, tm.Registration] = "e"

    @guard.cached()
    @guard.access(withhold=True)
    def load() -> Plain:
        ran.append(1)
        return Plain()

    @guard.cached()
    @guard.access(withhold=True)
    async def later() -> Plain:
        ran.append(1)
        return Plain()

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


# --- How long it lasts


def test_it_ends_at_its_moment() -> None:
    case = Case()
    door = case.door()
    with door as use:
        case.watch.time = NOON + HOUR - datetime.timedelta(microseconds=1)
        assert use.open(NAME, subject=7) == "name"
        case.watch.time = NOON + HOUR
        over = "the exception rescue ended on 2026-06-01 at 13:00 UTC: have another approved"
        for way in (
            lambda: use.open(NAME, subject=7),
            lambda: use.open_all([NAME], subjects=[7]),
            lambda: use.try_open(NAME, 0, subject=7),
            lambda: use.check(R, subject=7),
            lambda: use.withhold(Row(key=7)),
            lambda: _load(case.guard),
        ):
            with pytest.raises(pg.PurposeMissing) as caught:
                way()
            assert over in told(caught)
        assert not use.allows(R, subject=7)
        decision = use.explain(R, subject=7)
        assert not decision
        assert decision.reasons == (over,)
        assert use.allows(pg.NotPersonal)
    assert len(case.ledger.denials) == 6
    assert len(case.recorded) == 1


def _load(guard: pg.Guard) -> object:
    @guard.access
    def load() -> Row:
        raise AssertionError

    return load()


def test_one_that_is_over_is_not_entered_and_that_is_on_record() -> None:
    for mode in ("enforce", "observe"):
        case = Case(mode=mode)
        case.watch.time = NOON + HOUR
        door = case.door()
        with pytest.raises(pg.PurposeMissing, match="ended on 2026-06-01") as caught:
            door.__enter__()
        assert case.ledger.denials == [(caught.value, False)]


def test_a_clock_that_is_set_back_brings_it_not_back() -> None:
    case = Case()
    with case.door() as use:
        case.watch.time = NOON + 2 * HOUR
        with pytest.raises(pg.PurposeMissing):
            use.open(NAME, subject=7)
        case.watch.time = NOON
        with pytest.raises(pg.PurposeMissing):
            use.open(NAME, subject=7)
    with pytest.raises(pg.PurposeMissing):
        case.door().__enter__()


def test_a_stream_ends_with_it() -> None:
    case = Case()
    guard = case.guard

    @guard.access
    def each() -> Iterator[Row]:
        while True:
            yield Row(key=7)

    @guard.access
    def given() -> Iterator[Row]:
        return iter([Row(key=7), Row(key=7)])

    with case.door():
        rows, others = each(), given()
        assert next(rows).key == next(others).key == 7
        case.watch.time = NOON + HOUR
        with pytest.raises(pg.PurposeMissing):
            next(rows)
        with pytest.raises(pg.PurposeViolation):
            next(others)


def test_it_ends_with_its_block() -> None:
    case = Case()
    with case.door() as use:
        assert use.active
        assert repr(use) == "<Use under the exception rescue, active>"
    assert not use.active
    assert repr(use) == "<Use under the exception rescue, not active>"
    with pytest.raises(pg.PurposeMissing):
        use.open(NAME, subject=7)
    assert copy.copy(use) is use
    with pytest.raises(TypeError):
        pickle.dumps(use)


def test_denials_are_enforced_even_where_others_are_observed() -> None:
    case = Case(mode="observe")
    with case.door([7]) as use:
        with pytest.raises(pg.SubjectViolation):
            use.open(NAME, subject=8)
        case.watch.time = NOON + HOUR
        with pytest.raises(pg.PurposeMissing):
            use.open(NAME, subject=7)
    assert [observed for _, observed in case.ledger.denials] == [False, False]


# --- Blocks


def test_a_block_may_be_entered_again_and_nested() -> None:
    case = Case()
    door = case.door()
    with case.guard.purpose(P) as outer:
        with door as one:
            with door as other:
                assert other is not one
                assert case.guard.current is other
            assert one.open(DEVICE, subject=7) == "device"
        assert outer.open(NAME) == "name"
        with pytest.raises(pg.PurposeViolation):
            outer.open(DEVICE)
    with door as again:
        assert again.open(DEVICE, subject=7) == "device"
    with pytest.raises(RuntimeError, match="left more often than it was entered"):
        door.__exit__(None, None, None)


def test_a_purpose_within_an_exception_is_a_purpose() -> None:
    case = Case()
    with case.door() as use:
        with case.guard.purpose(P) as inner:
            with pytest.raises(pg.PurposeViolation):
                inner.open(DEVICE)
            assert inner.open(NAME) == "name"
            assert use.open(DEVICE, subject=7) == "device"
        with pytest.raises(pg.PurposeMissing):
            case.guard.use(P)


def test_each_task_has_its_own() -> None:
    case = Case()
    door = case.door("all")

    async def one(wait: asyncio.Event, done: asyncio.Event) -> None:
        async with door as use:
            done.set()
            await wait.wait()
            assert use.open(NAME) == "name"

    async def run() -> None:
        first, second, end = asyncio.Event(), asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(one(first, second)), asyncio.create_task(one(end, end))]
        await second.wait()
        first.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())
    with pytest.raises(RuntimeError):
        door.__exit__(None, None, None)


def test_it_is_not_carried() -> None:
    case = Case()
    with case.door("all"), pytest.raises(pg.PurposeMissing, match="is an exception, which is not carried"):
        case.guard.carry(lambda: None)


def test_another_thread_has_none() -> None:
    case = Case()
    outcomes: list[object] = []
    with case.door("all") as use:

        def elsewhere() -> None:
            try:
                outcomes.append(use.open(NAME))
            except pg.PurposeMissing as error:
                outcomes.append(type(error))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert outcomes == [pg.PurposeMissing]
    assert case.recorded == []


def test_another_task_has_none() -> None:
    case = Case()

    async def run() -> None:
        async with case.door("all") as use:

            async def elsewhere() -> str:
                return use.open(NAME)

            with pytest.raises(pg.PurposeMissing):
                await asyncio.create_task(elsewhere())

    asyncio.run(run())
    assert case.recorded == []


# --- Revisions


def test_the_notice_in_force_says_what_sources_there_are() -> None:
    case = Case()
    with case.door("all") as use:
        assert use.open(NAME) == "name"
        case.guard.replace(revised(tm.NOTICE, lambda t: None, "2026-01-01"))
        assert use.open(NAME) == "name"
        fresh: pg.Personal[str, Any] = pg.Personal("new", case.guard.notice.source("1.1(a)"))
        assert use.open(fresh) == "new"

        def drop(t: dict[str, Any]) -> None:
            t["source"] = [row for row in t["source"] if row["id"] != "2.1(c)"]
            for grant in t["grant"]:
                grant["sources"] = [one for one in grant["sources"] if one != "2.1(c)"]

        case.guard.replace(revised(tm.NOTICE, drop, "2026-02-01"))
        with pytest.raises(pg.UnknownSource):
            use.open(pg.Personal("x", tm.WebForm))
