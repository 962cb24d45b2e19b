"""Withholding of sealed values: what a purpose may not open is left out, and nothing is opened by it."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator
from typing import Annotated, Any, Generic, NamedTuple

import attrs
import pytest
from pydantic import BaseModel, RootModel
from typing_extensions import TypedDict

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.marked_rows import reading
from tests.unit.models import D, R, T
from tests.unit.seals import (
    BILL,
    DEVICE,
    FREE,
    NAME,
    Device,
    Name,
    Told,
    run,
    sealed_by_key,
    sealed_customer,
    sealed_each,
    sealed_later,
    sealed_stream,
    words,
)


@dataclasses.dataclass
class Data:
    name: Name
    device: Device
    note: str = "n"


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    name: Name
    device: Device
    note: str = "n"


@attrs.define
class Attrs:
    name: Name
    device: Device
    note: str = "n"


class Named(NamedTuple):
    name: Name
    device: Device
    note: str = "n"


class Model(BaseModel):
    name: Name
    device: Device
    note: str = "n"


class ForPurposes(BaseModel):
    """What fields accept by purpose says nothing of what is in one: the label of the value counts."""

    name: pg.Personal[str, tm.RenewalGuidance]
    device: pg.Personal[str, tm.ProductProvision]
    note: str = "n"


class Holding(BaseModel):
    name: Name | None
    device: list[Device]
    note: str = "n"


@dataclasses.dataclass
class Open:
    """Says nothing of most that it holds."""

    name: Any
    device: object
    note: str = "n"
    bill: Annotated[str, pg.NotPersonal] = "b"


@dataclasses.dataclass
class Box(Generic[T]):
    name: Name
    device: T
    note: str = "n"


class Row(TypedDict):
    name: Name
    device: Device
    note: str


KINDS: dict[str, Any] = {
    "dataclass": Data(NAME, DEVICE), "slotted": Slotted(NAME, DEVICE), "attrs": Attrs(NAME, DEVICE),
    "named-tuple": Named(NAME, DEVICE), "model": Model(name=NAME, device=DEVICE),
    "purposes": ForPurposes(name=NAME, device=DEVICE), "containers": Holding(name=NAME, device=[DEVICE]),
    "open": Open(NAME, DEVICE), "open-containers": Open(NAME, {"a": [DEVICE]}), "generic": Box(NAME, DEVICE),
    "joined": Open(NAME.map(len), NAME.zip(DEVICE)),
}  # fmt: skip


def of_row(row: Any, key: str) -> Any:
    return row[key] if isinstance(row, dict) else getattr(row, key)


def assert_withheld(copy: Any, value: Any) -> None:
    """The name and the note are left, and the device is not."""
    assert of_row(copy, "name") is of_row(value, "name")
    assert of_row(copy, "note") == "n"
    assert isinstance(copy, type(value))
    with pytest.raises(pg.PurposeViolation) as refused:
        of_row(copy, "device")
    assert refused.value.field == "device"
    assert D.sources <= refused.value.decision.label.sources
    assert "the field `device` was withheld" in words(refused)


@pytest.mark.parametrize("value", KINDS.values(), ids=list(KINDS))
def test_a_sealed_field_that_may_not_be_opened_is_withheld(value: Any) -> None:
    told = Told()
    guard = pg.Guard(tm.NOTICE, ledger=told)
    with guard.purpose(tm.RenewalGuidance) as use:
        assert_withheld(use.withhold(value), value)
        assert_withheld(use.withhold([value])[0], value)
        assert_withheld(use.withhold({"a": (value,)})["a"][0], value)
        assert_withheld(next(use.withhold(iter([value]), Iterator[type(value)])), value)  # type: ignore[misc]  # known here alone
        assert of_row(value, "device") is not None  # what was given stays as it was
    assert len(told.denials) == 4  # to leave out is none, to read what was left out is one
    with guard.purpose(tm.ProductProvision) as use:
        assert use.withhold(value) is value
    assert {label for _, _, label, _ in told.uses} <= {pg.Label(pg.NotPersonal)}  # and nothing was opened


def test_rows_are_withheld_by_their_annotation() -> None:
    guard = pg.Guard(tm.NOTICE)
    row: Row = {"name": NAME, "device": DEVICE, "note": "n"}
    rows = reading(guard, list[Row], [row, row], withhold=True)
    with guard.purpose(tm.RenewalGuidance) as use:
        for copy in (use.withhold(row, Row), use.withhold([row], list[Row])[0], *rows()):
            assert_withheld(copy, row)
            assert dict(copy) == {"name": NAME, "note": "n"}
        with pytest.raises(pg.UnlabelledData):
            use.withhold(row)
    assert guard.accesses[0].sealed == {"name": R, "device": D}


def test_what_access_functions_of_every_kind_return_is_withheld() -> None:
    guard = pg.Guard(tm.NOTICE)
    for fn in (sealed_customer, sealed_later, sealed_each, sealed_stream, sealed_by_key):
        read: Any = guard.access(withhold=True)(fn)
        for purpose, may in [(tm.RenewalGuidance, False), (tm.ProductProvision, True)]:
            with guard.purpose(purpose):
                found = run(read)
            (one,) = found if isinstance(found, list) else found.values() if isinstance(found, dict) else [found]
            assert one.name is NAME
            if may:
                assert one.device is DEVICE
            else:
                with pytest.raises(pg.PurposeViolation) as refused:
                    one.device  # noqa: B018  # asking is what raises
                assert refused.value.function == f"{fn.__module__}.{fn.__qualname__}"
        with pytest.raises(pg.PurposeMissing):
            run(read)


def test_a_sealed_value_alone_is_refused_or_stays() -> None:
    guard = pg.Guard(tm.NOTICE)
    with guard.purpose(tm.RenewalGuidance, activity="it") as use:
        for kept in (NAME, FREE, [NAME, BILL], {"a": {NAME}}, None):
            assert use.withhold(kept) is kept
        for refused in (
            DEVICE, [NAME, DEVICE], ([DEVICE],), collections.deque([DEVICE]), {"a": DEVICE}, NAME.zip(DEVICE),
        ):  # fmt: skip
            with pytest.raises(pg.PurposeViolation) as violation:
                use.withhold(refused)
            assert violation.value.activity == "it"
        keyed = {NAME: 1}
        assert use.withhold(keyed, dict[Name, int]) is keyed
        with pytest.raises(pg.PurposeViolation):
            use.withhold({NAME: 1, DEVICE: 2}, dict[Name, int])
        stream = use.withhold(iter([NAME, DEVICE]), Iterator[Name])
        assert next(stream) is NAME
        with pytest.raises(pg.PurposeViolation):
            next(stream)
    device = reading(guard, list[Device], [DEVICE], withhold=True)
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation):
        device()
    with guard.purpose(tm.ProductProvision):
        assert device() == [DEVICE]


class Root(RootModel[dict[str, Model]]): ...


class Nested(BaseModel):
    model: Model
    all: tuple[Data, ...] = ()


def test_what_is_nested_is_withheld_where_it_lies() -> None:
    guard = pg.Guard(tm.NOTICE)
    model = Model(name=NAME, device=DEVICE)
    with guard.purpose(tm.RenewalGuidance) as use:
        copy = use.withhold(Nested(model=model, all=(Data(NAME, DEVICE),)))
        assert_withheld(copy.model, model)
        assert_withheld(copy.all[0], KINDS["dataclass"])
        assert copy.model_dump(exclude={"all"}) == {"model": {"name": "name", "note": "n"}}
        root = use.withhold(Root({"a": model})).root
        assert_withheld(root["a"], model)
        boxed = use.withhold(Box(NAME, model), Box[Model])
        assert boxed.name is NAME
        assert_withheld(boxed.device, model)
        assert_withheld(use.withhold(Open(NAME, Data(NAME, DEVICE))).device, KINDS["dataclass"])


@pytest.mark.parametrize("value", KINDS.values(), ids=list(KINDS))
def test_what_a_copy_lacks_stays_away(value: Any) -> None:
    guard = pg.Guard(tm.NOTICE)
    with guard.purpose(tm.RenewalGuidance) as use:
        copy = use.withhold(value)
        assert_withheld(use.withhold(copy), value)
        assert_withheld(use.withhold([copy])[0], value)
    with guard.purpose(tm.ProductProvision) as use:
        assert_withheld(use.withhold(copy), value)  # which might have had it, and was not given it
    with guard.purpose(tm.TrafficAnalysis) as use:
        less = use.withhold(copy)
        assert less.note == "n"
        for name in ("name", "device"):
            with pytest.raises(pg.PurposeViolation) as refused:
                getattr(less, name)
            assert refused.value.field == name


def test_what_cannot_be_made_anew_is_withheld_whole() -> None:
    with pg.Guard(tm.NOTICE).purpose(tm.RenewalGuidance) as use:
        for many in (
            collections.UserList([NAME, DEVICE]),
            collections.UserDict(a=DEVICE),
            {"a": collections.UserList([DEVICE])},
        ):
            value = Open(NAME, many)
            assert_withheld(use.withhold(value), value)
        kept = Open(NAME, collections.UserList([NAME, None]))
        assert use.withhold(kept) is kept
        with pytest.raises(pg.PurposeViolation):
            use.withhold(collections.UserList([DEVICE]), list[Device])
        models = Open(NAME, collections.UserList([Model(name=NAME, device=DEVICE)]))
        with pytest.raises(pg.UnlabelledData, match="is a UserList, in which nothing can be left out"):
            use.withhold(models)


def test_where_it_is_only_observed_nothing_is_withheld_nor_told() -> None:
    told = Told()
    guard = pg.Guard(tm.NOTICE, mode="observe", ledger=told)
    with guard.purpose(tm.RenewalGuidance) as use:
        for value in (*KINDS.values(), DEVICE, [DEVICE]):
            assert use.withhold(value) is value
        assert guard.access(withhold=True)(sealed_customer)().device is DEVICE
    assert told.denials == []  # what is sealed is told where it is opened
    assert use.withhold(DEVICE) is DEVICE  # as nothing is refused outside any purpose either
    assert len(told.denials) == 1
