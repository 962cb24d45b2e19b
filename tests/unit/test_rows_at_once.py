"""Many rows at once: short ways of withholding, opening and asking leave nothing out that the long ones see."""

from __future__ import annotations

import asyncio
import datetime
import enum
import sys
import types
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, PrivateAttr, field_serializer
from pydantic_core import PydanticSerializationError
from typing_extensions import TypedDict

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.policy.row_context import RowContext, subject_key, subject_keys
from purposeguard.runtime.execution import current_execution
from purposeguard.runtime.protocols import Roster, can_ask_for_many, can_prefetch_roster
from purposeguard.runtime.use import is_owner_running
from tests.unit.oversights import STOPPED, SUSPENDED, WAYS_TO_READ, Counting, Many, Office, guarded

R, P = tm.Registration, tm.ProductData
guard = pg.Guard(tm.NOTICE)


def withheld(rows: list[Any], annotation: Any) -> list[Any]:
    with guard.purpose(tm.RenewalGuidance) as use:
        return use.withhold(rows, like=annotation)


def lacks(row: Any, name: str = "device") -> bool:
    try:
        _ = row[name] if isinstance(row, dict) else getattr(row, name)
    except pg.PurposeViolation:
        return True
    return False


class Kept(BaseModel):
    model_config = ConfigDict(extra="allow")

    email: Annotated[str, R]
    device: Annotated[str, P]
    _beside: str = PrivateAttr(default="beside")


class Partial(TypedDict, total=False):
    email: Annotated[str, R]
    device: Annotated[str, P]


def test_models_with_private_attributes_are_copied_one_by_one() -> None:
    rows = withheld([Kept(email="a", device="b"), Kept(email="c", device="d")], list[Kept])
    assert all(map(lacks, rows))
    assert [(row.email, row._beside, row.model_extra) for row in rows] == [("a", "beside", {}), ("c", "beside", {})]


def test_rows_that_lack_a_field_are_copied_one_by_one() -> None:
    rows = withheld([{"email": "a", "device": "b"}, {"device": "d"}], list[Partial])
    assert all(map(lacks, rows))
    assert rows == withheld([{"email": "a", "device": "b"}], list[Partial]) + withheld([{"device": "d"}], list[Partial])
    assert [dict(row) for row in rows] == [{"email": "a"}, {}]


class Owner(BaseModel):
    email: Annotated[str, R]
    one: Kept | None = None


def test_a_list_in_the_place_of_a_row_is_all_that_the_row_would_be() -> None:
    owners = [Owner.model_construct(email="a", one=[Kept(email="a", device="b")])]
    with guard.purpose(tm.RenewalGuidance) as use, pytest.raises(pg.PurposeViolation):
        use.withhold(owners, like=list[Owner])


@pytest.mark.parametrize("ids", [[7, 8], [7, 10**40], ["7", "8"], [7, "8"]], ids=["numbers", "long", "texts", "mixed"])
def test_keys_of_many_subjects_are_those_of_each(ids: list[Any]) -> None:
    assert subject_keys(ids) == list(map(subject_key, ids))


class Key(enum.StrEnum):
    EMAIL = "email"
    DEVICE = "device"


Keyed = TypedDict("Keyed", {Key.EMAIL: Annotated[str, R], Key.DEVICE: Annotated[str, P]})  # type: ignore[misc]  # mypy reads literals alone


def test_keys_may_be_members_of_an_enumeration() -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        rows = use.withhold([{Key.EMAIL: "a", Key.DEVICE: "b"}] * 2, like=list[Keyed])
    assert [dict(row) for row in rows] == [{Key.EMAIL: "a"}] * 2


class _Everywhere(Office):
    """Suspends everybody, by overriding the question about one."""

    def preferences(self, subject: str, /) -> SubjectPreferences:
        return STOPPED


class _Batched(Many):
    """Says of many that they asked for nothing, whatever they did."""

    def preferences_of_each(self, subjects: list[str], /) -> list[SubjectPreferences]:
        return [CLEAR for _ in super().preferences_of_each(subjects)]


class _Overridden(_Batched):
    preferences = _Everywhere.preferences


class Named(BaseModel):
    key: Annotated[int, pg.Subject]
    email: Annotated[str, R]


@pytest.mark.parametrize("way", ["class", "instance"])
def test_an_office_that_overrides_the_question_about_one_subject_is_asked_by_it(way: str) -> None:
    office = _Overridden({}) if way == "class" else _Batched({})
    if way == "instance":
        office.preferences = lambda _subject, /: STOPPED  # type: ignore[method-assign]  # as a test may patch it
    strict = guarded(office)

    @strict.access(narrow=True)
    def load() -> list[Named]:
        return [Named(key=1, email="a"), Named(key=2, email="b")]

    with strict.purpose(tm.RenewalGuidance):
        assert load() == []
    assert can_ask_for_many(_Batched({}))
    assert not can_ask_for_many(Office({}))


class _Ahead(Office):
    def roster(self) -> Roster:
        return Roster({})

    async def aroster(self) -> Roster:
        return self.roster()


class _OverriddenAhead(_Ahead):
    def roster(self) -> Roster:
        return Roster({STOPPED: ("1",)})


def test_an_office_that_overrides_its_roster_is_asked_for_that_in_an_event_loop_too() -> None:
    assert can_prefetch_roster(_Ahead({}))
    assert not can_prefetch_roster(_OverriddenAhead({}))
    assert not can_prefetch_roster(Office({}))


class Owned(pg.PersonalModel):
    key: Annotated[int, pg.Subject]
    email: pg.Personal[str, tm.Registration]
    since: Annotated[datetime.date, pg.Collected] = datetime.date(2026, 5, 1)


class Shared(pg.PersonalModel):
    key: Annotated[int, pg.Subject]
    other: Annotated[int, pg.Subject] = 9
    email: pg.Personal[str, tm.Registration]


def sealing(strict: pg.Guard, **options: Any) -> Any:
    @strict.access(**options)
    def load(*rows: tuple[Any, int]) -> list[Owned | Shared]:
        return [row.model_validate({"key": key, "email": "a"}) for row, key in rows]

    return load


@pytest.mark.parametrize("options", WAYS_TO_READ, ids=str)
def test_those_whom_rows_with_seals_are_about_are_asked_of_together(options: dict[str, Any]) -> None:
    office = _Batched({str(SUSPENDED): STOPPED})
    strict = guarded(office)
    load = sealing(strict, **options)
    with strict.purpose(tm.RenewalGuidance) as use:
        rows = load((Owned, 1), (Owned, 2), (Owned, 3))
        assert set(map(tuple, office.batches)) == {("1", "2", "3")}
        assert use.open_all([row.email for row in rows], [row.key for row in rows]) == ["a"] * 3
        office.batches.clear()
        # The answer for each row is asked for as before, and decides.
        if options.get("narrow"):
            assert [row.key for row in load((Owned, 1), (Owned, SUSPENDED))] == [1]
        elif options.get("withhold"):
            assert [lacks(row, "email") for row in load((Owned, 1), (Owned, SUSPENDED))] == [False, True]
        else:
            with pytest.raises(pg.SubjectViolation):
                load((Owned, 1), (Owned, SUSPENDED))
        assert office.batches[0] == ["1", str(SUSPENDED)]


def test_those_whom_rows_may_be_about_otherwise_are_asked_of_row_by_row() -> None:
    office = _Batched({})
    strict = guarded(office)
    load = sealing(strict)
    with strict.purpose(tm.RenewalGuidance):
        load((Owned, 1), (Shared, 2))
        assert office.asked[0] == "1"
        assert ["1", "2"] not in office.batches
        office.batches.clear()
        load((Shared, 1), (Shared, 2))
        assert ["1", "2"] not in office.batches
    alone = guarded(single := Office({}))
    load = sealing(alone)
    with alone.purpose(tm.RenewalGuidance):
        load((Owned, 1), (Owned, 2))
    assert single.asked == ["1", "2"]


class Letter(pg.PersonalModel):
    name: pg.Personal[str, tm.Registration]
    device: pg.Personal[str, tm.ProductData] | None = None
    note: str = "note"

    @field_serializer("note")
    def _ask(self, value: str) -> str:
        return asked(value)


def asked(value: str) -> str:
    return value


@pytest.mark.parametrize("way", ["block", "function"])
def test_a_use_that_is_entered_while_a_model_is_written_decides_from_then_on(way: str, monkeypatch: Any) -> None:
    inner = Letter.model_validate({"name": "Aiko", "device": "router"})
    letter = Letter.model_validate({"name": "Ren"})
    seen: list[str] = []

    def dump() -> None:
        seen.append(Letter.model_construct(name=inner.name, device=None, note="plain").model_dump_json())
        with pytest.raises(pg.PurposeViolation):
            inner.model_dump_json()

    def nested(value: str) -> str:
        monkeypatch.setattr(sys.modules[__name__], "asked", lambda value: value)
        if way == "function":
            guard.purpose(tm.RenewalGuidance)(dump)()
        else:
            with guard.purpose(tm.RenewalGuidance):
                dump()
        return value

    with guard.purpose(tm.ProductProvision):
        letter.model_dump_json()  # the class is looked at once
    monkeypatch.setattr(sys.modules[__name__], "asked", nested)
    with guard.purpose(tm.ProductProvision):
        assert letter.model_dump_json() == '{"name":"Ren","device":null,"note":"note"}'
    assert seen == ['{"name":"Aiko","device":null,"note":"plain"}']


class Device(BaseModel):
    device: pg.Personal[str, tm.ProductData]


def test_a_use_that_is_named_for_a_dump_within_a_dump_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device.model_validate({"device": "router"})
    letter = Letter.model_validate({"name": "Ren"})
    with guard.purpose(tm.RenewalGuidance) as named, guard.purpose(tm.ProductProvision):
        letter.model_dump_json()  # the class is looked at once

        def nested(value: str) -> str:
            with pytest.raises(PydanticSerializationError, match="renewal-guidance"):
                device.model_dump_json(context={"use": named})
            return value

        monkeypatch.setattr(sys.modules[__name__], "asked", nested)
        with pytest.raises(pg.PurposeViolation):  # the outer dump is refused with the inner one
            letter.model_dump_json()


def test_a_counted_access_of_a_task_is_refused_in_another_thread() -> None:
    counted = pg.Guard(tm.NOTICE, ledger=Counting())

    @counted.access(R)
    def read() -> None: ...

    async def main() -> None:
        with counted.purpose(tm.RenewalGuidance):
            read()
            read()
            with pytest.raises(pg.PurposeMissing):
                await asyncio.to_thread(read)

    asyncio.run(main())


def test_what_runs_is_a_thread_while_asyncio_or_greenlet_is_being_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("asyncio.events", "greenlet"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    assert isinstance(current_execution()[1], int)


def test_a_label_that_was_only_asked_about_is_counted_when_it_is_opened() -> None:
    ledger = Counting()
    counted = guarded(Office({}, ledger=ledger))
    with counted.purpose(tm.RenewalGuidance, activity="it") as use:
        assert use.allows(pg.Label(R), subject=8)
        assert use.open(pg.Personal("name", R), subject=8) == "name"
    assert sum(ledger.counts.values()) == 1


def test_a_use_of_a_callback_belongs_to_its_loop() -> None:
    entered: list[Any] = []

    def enter() -> None:
        block = guard.purpose(tm.RenewalGuidance)
        entered.extend((block, block.__enter__()))

    def in_callback(loop: asyncio.AbstractEventLoop, ask: Any) -> Any:
        answers: list[Any] = []
        loop.call_soon(lambda: answers.append(ask()))
        loop.call_soon(loop.stop)
        loop.run_forever()
        return answers[0]

    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        in_callback(first, enter)
        use = entered[1]
        assert in_callback(first, lambda: is_owner_running(use))
        assert not in_callback(second, lambda: is_owner_running(use))
        entered[0].__exit__(None, None, None)
        assert not in_callback(first, lambda: is_owner_running(use))
    finally:
        first.close()
        second.close()


class _ChangesItsMind(Office):
    """Somebody stops all use once everybody was asked about."""

    def preferences_of_each(self, subjects: list[str], /) -> list[SubjectPreferences]:
        preferences = [self.preferences(subject) for subject in subjects]
        self.all_preferences = {"3": STOPPED}
        return preferences


def test_those_whose_values_are_opened_together_are_asked_of_together_and_again() -> None:
    office = _Batched({})
    values = [pg.Personal(number, R) for number in range(5)]
    with guarded(office).purpose(tm.RenewalGuidance) as use:
        assert use.open_all(values, range(5)) == list(range(5))
        assert len(office.batches) == 2
        assert use.open_all(values, [None, RowContext(), 1, 2, 3]) == list(range(5))
        assert use.open_all(values[:1], [9]) == [0]
        assert len(office.batches) == 4  # one alone is asked of as ever
    with guarded(_ChangesItsMind({})).purpose(tm.RenewalGuidance) as use:
        with pytest.raises(pg.SubjectViolation):
            use.open_all(values, range(5))
        assert use.open_all(values[:3], range(3)) == [0, 1, 2]


def test_a_row_of_several_subjects_asks_of_them_together() -> None:
    class Call(BaseModel):
        caller: Annotated[int, pg.Subject]
        called: Annotated[int, pg.Subject]
        text: Annotated[str, R]

    office = _Batched({})
    with guarded(office).purpose(tm.RenewalGuidance) as use:
        use.check(R, Call(caller=1, called=2, text="a"))
        assert office.batches == [["1", "2"]]
        assert use.explain(R, Call(caller=1, called=2, text="a")).allowed
