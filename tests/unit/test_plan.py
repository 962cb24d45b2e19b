"""Plans: rows are read once, and quickly only where that runs no code of theirs and hides nothing."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, TypedDict, cast

import attrs
import pytest
from pydantic import BaseModel, ConfigDict
from pydantic.dataclasses import dataclass as pydantic_dataclass

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.plan import ValuePlan, make_plan
from purposeguard.values.type_schema import SILENT, Shape, read_shape
from purposeguard.values.walk import ArgumentScan
from tests.unit.models import Device, Email, P, Sealing
from tests.unit.oversights import STOPPED, Counting, Office, guarded


class Model(BaseModel):
    model_config = ConfigDict(extra="allow")

    key: int = 1
    device: Device = "d"


@dataclasses.dataclass
class Data:
    key: int = 1
    device: Device = "d"


@dataclasses.dataclass(slots=True)
class Slots:
    key: int = 1
    device: Device = "d"


@pydantic_dataclass
class Validated:
    key: int = 1
    device: Device = "d"


@attrs.define
class Attrs:
    key: int = 1
    device: Device = "d"


class Named(NamedTuple):
    key: int = 1
    device: Device = "d"


class Row(TypedDict):
    key: int
    device: Device


class OwnDict(dict[str, Any]):
    pass


MAKE: dict[str, tuple[Callable[..., Any], Any]] = {
    "model": (Model, Model),
    "dataclass": (Data, Data),
    "slots": (Slots, Slots),
    "pydantic dataclass": (Validated, Validated),
    "attrs": (Attrs, Attrs),
    "NamedTuple": (Named, Named),
    "TypedDict": (lambda key=1: {"key": key, "device": "d"}, Row),
    "own dict": (lambda key=1: OwnDict(key=key, device="d"), Row),
}
every_kind = pytest.mark.parametrize("kind", MAKE)


def planned(kind: str) -> tuple[Callable[..., Any], ValuePlan]:
    make, cls = MAKE[kind]
    return make, make_plan(type(make()), read_shape(cls))


@every_kind
def test_rows_of_plain_values_are_seen_at_once(kind: str) -> None:
    make, plan = planned(kind)
    assert plan.are_plain([])
    assert plan.are_plain([make(), make()])
    assert plan.quick is not None
    assert {name: plan.quick.held(make())[name] for name in ("key", "device")} == {"key": 1, "device": "d"}
    if kind not in ("model", "pydantic dataclass"):  # pydantic validates
        assert not plan.are_plain([make(), make(Data())])


@every_kind
def test_what_is_withheld_from_many_is_what_is_withheld_from_one(kind: str) -> None:
    make, annotation = MAKE[kind]
    guard = pg.Guard(tm.NOTICE)
    with guard.purpose(P) as use:
        (one,) = use.withhold([make()], list[annotation])  # type: ignore[valid-type]  # made here
        many = use.withhold([make(), make(key=2)], list[annotation])  # type: ignore[valid-type]  # likewise
        for row, key in ((one, 1), (many[0], 1), (many[1], 2)):
            read = operator.itemgetter if isinstance(row, dict) else operator.attrgetter
            assert read("key")(row) == key
            with pytest.raises(pg.PurposeViolation):
                read("device")(row)
        assert type(many[0]) is type(many[1])


def test_what_is_beside_the_fields_is_seen() -> None:
    model, row, data = Model(), {"key": 1, "device": "d", "more": "m"}, Data()
    assert make_plan(Model, SILENT).are_plain([model])
    model.__pydantic_extra__ = {"more": "m"}
    vars(data)["more"] = Slots()
    assert not make_plan(Model, SILENT).are_plain([Model(), model])
    assert not make_plan(dict, read_shape(Row)).are_plain([row])
    assert not make_plan(Data, SILENT).are_plain([data])


def _store_in_attribute(row: Any) -> None:
    row.device = Data()


def _store_in_dict(row: Any) -> None:
    vars(row)["device"] = Data()


def _store_under_number(row: Any) -> None:
    vars(row)[7] = Data()


def _store_after_deletion(row: Any) -> None:
    del vars(row)["key"]
    vars(row)["key"] = Data()


def _store_in_new_dict(row: Any) -> None:
    object.__setattr__(row, "__dict__", {"key": 1, "device": Data()})


@pytest.mark.parametrize(
    "store", [_store_in_attribute, _store_in_dict, _store_under_number, _store_after_deletion, _store_in_new_dict]
)
@pytest.mark.parametrize("cls", [Model, Data, Validated])
def test_an_object_stored_later_is_seen(cls: type[Any], store: Callable[[Any], None]) -> None:
    rows = [cls(), cls(), cls()]
    assert make_plan(cls, SILENT).are_plain(rows)
    store(rows[1])
    assert not make_plan(cls, SILENT).are_plain(rows)


def test_a_slot_that_was_never_set_is_not_seen_at_once() -> None:
    empty = object.__new__(Slots)
    assert not make_plan(Slots, SILENT).are_plain([empty])
    with pg.Guard(tm.NOTICE).purpose(P) as use:
        (left,) = use.withhold([empty])
    with pytest.raises(AttributeError):
        _ = left.key


class Property(Named):
    @property
    def key(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]  # what a subclass may do
        return Data()


@dataclasses.dataclass
class Computing(Data):
    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, name)


@dataclasses.dataclass
class Missing(Data):
    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


@dataclasses.dataclass
class Default:
    inside: object = dataclasses.field(default=cast("Any", Data(device="d")).device.join)


@pytest.mark.parametrize("cls", [Property, Computing, Missing, Sealing, Default])
def test_nothing_is_read_at_once_where_code_would_run_or_more_was_announced(cls: type) -> None:
    plan = make_plan(cls, SILENT)
    assert plan.quick is None
    assert not plan.are_plain([])


class Reads:
    """A field that counts how often it is read."""

    reads = 0

    def __get__(self, instance: object, _owner: type) -> Any:
        if instance is None:
            raise AttributeError
        Reads.reads += 1
        return vars(instance)["value"]

    def __set__(self, instance: object, value: object) -> None:
        vars(instance)["value"] = value


@dataclasses.dataclass
class Read:
    key: Annotated[int, pg.Subject] = Reads()  # type: ignore[assignment]  # a descriptor, as dataclasses allow
    email: Email = "e"


def test_a_field_that_runs_code_is_read_once() -> None:
    office = Office({"7": STOPPED})
    guard = guarded(office)

    def load(value: Any) -> Any:
        return value

    load.__annotations__["return"] = list[Read]
    for read in (guard.access(load), guard.access(narrow=True)(load)):
        with guard.purpose(P):
            row = Read(8)
            Reads.reads = 0
            read([row])
            assert Reads.reads == 1
    Reads.reads = 0
    ArgumentScan().scan_argument([Read(8)], read_shape(list[Read]), "rows")
    assert Reads.reads == 1
    with guard.purpose(P) as use:
        Reads.reads = 0
        use.withhold([Read(8)], list[Read])
        assert Reads.reads == 1


def test_plans_are_kept_by_the_shape_they_are_of() -> None:
    shape = read_shape(list[Data])
    assert make_plan(list, shape) is make_plan(list, shape)
    assert make_plan(list, shape) is not make_plan(list, read_shape(list[Data]))
    assert shape == read_shape(list[Data])
    assert Shape() == SILENT


def test_rows_that_are_iterators_are_not_handed_over() -> None:
    @dataclasses.dataclass
    class Cursor:
        device: Device = "d"

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            raise StopIteration

    with pytest.raises(pg.UnlabelledData, match="cannot be seen before"):
        ArgumentScan().scan_argument(Cursor(), SILENT, "rows")


def test_plain_fields_of_a_tuple_are_what_the_items_announced_were() -> None:
    class Pair(NamedTuple):
        key: int
        device: str

    guard = pg.Guard(tm.NOTICE)
    with guard.purpose(P) as use, pytest.raises(pg.PurposeViolation, match="key"):
        use.withhold([Pair(1, "d")], list[list[list[Data]]])


def test_rows_are_counted_together_as_they_are_one_by_one() -> None:
    def counted(*makes: Callable[..., Any]) -> dict[Any, int]:
        ledger = Counting()
        with guarded(ledger=ledger).purpose(tm.ProductProvision) as use:
            use.withhold([make() for make in makes])
            use.withhold((1, 2), Data)
        return {label: times for (_, _, label), times in ledger.counts.items()}

    label = pg.Label(tm.ProductData)
    # What came in the place of a row is all that the row could have been, once.
    assert counted(Data, Data, Data) == {label: 4}
    assert counted(Data, Slots, Data, Model) == {label: 5}
