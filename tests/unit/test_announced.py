"""What a value is, given what was announced: an instance of it, or all that it could mean, or refused."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import inspect
import ipaddress
from collections.abc import AsyncIterator, Iterator
from typing import Any, Generic, Literal, NamedTuple, TypedDict

import pytest
from pydantic import BaseModel, ConfigDict

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.plan import make_plan
from purposeguard.values.type_schema import Shape, read_shape
from purposeguard.values.walk import ArgumentScan
from tests.unit.customers import Data, Model, withheld
from tests.unit.marked_rows import Customer, Dict, Frozen, Key, read, reading
from tests.unit.models import Contact, D, Device, Email, P, R, Sealing, T, U, lacks
from tests.unit.oversights import Counting

PHONE = "090-1234"


class Row(TypedDict):
    note: str
    phone: pg.Personal[str, tm.Registration]


Sealed = pg.Personal[str, tm.Registration]
SEAL: Sealed = pg.Personal(PHONE, tm.Registration)
PLAIN_FOR_SEALED: list[tuple[Any, Any, str | None]] = [
    (Sealed, PHONE, None),
    (Sealed | None, PHONE, None),
    (list[Sealed], [SEAL, PHONE], "[]"),
    (list[Row], [{"note": "n", "phone": PHONE}], "[].phone"),
    (Sealing, Sealing(PHONE), "phone"),  # type: ignore[arg-type]  # nothing but a type checker would object
    (dict[str, Sealing], {"a": Sealing([PHONE])}, "[].phone"),  # type: ignore[arg-type]  # likewise
]


@pytest.mark.parametrize(("annotation", "value", "field"), PLAIN_FOR_SEALED)
@pytest.mark.parametrize("options", [{}, {"withhold": True}], ids=["access", "withhold"])
def test_a_plain_value_in_the_place_of_a_sealed_one_is_refused(
    annotation: Any, value: Any, field: str | None, options: Any
) -> None:
    for purpose in (P, tm.ProductProvision):
        guard = pg.Guard(tm.NOTICE)
        function = reading(guard, annotation, value, **options)
        with guard.purpose(purpose), pytest.raises(pg.UnlabelledData) as caught:
            function()
        assert PHONE not in str(caught.value)
        assert "a sealed value was announced" in str(caught.value)
        assert field is None or f"`{field}`" in str(caught.value)


def test_what_may_be_sealed_or_plain_may_be_plain() -> None:
    for annotation, value in (
        (str | Sealed, "e"), (tuple[int, Sealed], (1, SEAL)), (dict[str, int | Sealed], {"a": 1, "b": SEAL}),
        (Literal["none"] | Sealed, "none"), (Sealed | None, None),
    ):  # fmt: skip
        assert read(annotation, value) is value


def test_a_literal_beside_a_seal_announces_no_other_text() -> None:
    annotation: Any = Literal["none"] | Sealed
    for value in ("none", ["none", "none"], ["none", SEAL]):
        assert read(list[annotation] if isinstance(value, list) else annotation, value) is value
    for value in (PHONE, ["none", PHONE]):
        with pytest.raises(pg.UnlabelledData, match="a sealed value was announced"):
            read(list[annotation] if isinstance(value, list) else annotation, value)


class Status(enum.Enum):
    BLOCKED = "blocked"
    CLOSED = "closed"


class Code(enum.StrEnum):
    BLOCKED = "blocked"


STATES: list[tuple[Any, Any]] = [
    (Data | Literal["missing", 404], "missing"), (Data | Literal["missing", 404], 404),
    (Data | Literal[Status.BLOCKED], Status.BLOCKED), (Data | bool, False), (Data | int, 404), (Data | int, True),
    (Data | float, 404), (Data | None, None), (Data | Status, Status.CLOSED), (Data | Code, Code.BLOCKED),
    (Data | datetime.date, datetime.date(2026, 1, 1)),
    (dict[str, Data | Literal["missing"]], {"a": "missing", "b": "missing"}),
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "value"), STATES)
def test_what_cannot_be_a_row_is_given_where_it_was_announced_beside_rows(annotation: Any, value: Any) -> None:
    guard = pg.Guard(tm.NOTICE)
    function = reading(guard, annotation, value, withhold=True)
    with guard.purpose(P):
        assert function() == value


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Data | Literal["missing"], "device"), (Data | Literal[1], True),
        (Data | Literal[Status.BLOCKED], Status.CLOSED), (Data | bool, 1), (Data | Status, "blocked"),
        (Data | str, '{"device": "d"}'), (Data | bytes, b"d"),
        (list[Data | Literal["missing"]], ["missing", "device"]),
    ],
)  # fmt: skip
def test_what_may_be_a_row_written_out_is_all_that_was_announced(annotation: Any, value: Any) -> None:
    with pytest.raises(pg.PurposeViolation):
        withheld(value, annotation)
    assert withheld(value, annotation, tm.ProductProvision) == value


def test_of_marked_rows_a_literal_is_none() -> None:
    annotation: Any = Customer | Literal["missing"]
    for value in ("missing", ["missing", "missing"], [Customer(key=1), "missing"]):
        assert read(list[annotation] if isinstance(value, list) else annotation, value) == value
    with pytest.raises(pg.UnlabelledData, match="whom it is about is unknown"):
        read(list[annotation], ["missing", "e"])


def test_what_is_announced_as_sealed_and_comes_sealed_is_given_at_once_and_later() -> None:
    guard = pg.Guard(tm.NOTICE)
    row: Row = {"note": "n", "phone": SEAL}
    function = guard.cached()(reading(guard, list[Row], [row]))
    with guard.purpose(P):
        for _ in range(2):
            assert function() == [row]


def test_plain_values_are_not_handed_over_as_sealed_ones() -> None:
    with pytest.raises(pg.UnlabelledData, match="a sealed value was announced"):
        make_plan(str, read_shape(Sealed), "phone")


namedtuple: Any = collections.namedtuple  # noqa: PYI024  # as drivers make them
LOOSE = namedtuple("LOOSE", "email")


class Usage(BaseModel):
    device: Device


def test_of_several_models_a_value_is_what_it_is_an_instance_of() -> None:
    contact = Contact(email="e")
    assert withheld(contact, Contact | Usage) is contact
    for other in ({"email": "e"}, ("e",), "e", LOOSE("e")):
        with pytest.raises(pg.PurposeViolation):
            withheld(other, Contact | Usage)
        assert withheld(other, Contact) == other


class Pair(NamedTuple):
    first: Any
    second: Any


def test_a_named_tuple_is_a_tuple() -> None:
    pair = withheld(Pair(Model(email="e", device="d"), Data("e", "d")), tuple[Model | Data, ...])
    assert pair.first.email == pair.second.email == "e"
    for one in pair:
        assert lacks(one, "device")
    with pytest.raises(pg.PurposeViolation):
        withheld(Pair("e", "d"), tuple[Model, ...])


def test_a_number_beside_a_list_of_rows_is_a_number() -> None:
    rows, total = withheld(([Data("e", "d")], 1), tuple[list[Data], int])
    assert (rows[0].email, total) == ("e", 1)
    with pytest.raises(pg.PurposeViolation):
        withheld(("d", 1), tuple[list[Data], int])


@dataclasses.dataclass
class Holder:
    some: list[Contact]
    one: Contact
    any: Any = None


@dataclasses.dataclass
class Wider(Holder):
    """Says of its fields what their first class does not."""

    some: list[str]  # type: ignore[assignment]  # which type checkers refuse
    one: list[str]  # type: ignore[assignment]  # likewise
    any: Device = ""


@dataclasses.dataclass
class Narrower(Holder):
    one: Usage  # type: ignore[assignment]  # likewise


def test_a_subclass_says_no_less_of_a_field_than_was_announced() -> None:
    one = withheld(Wider([], ["e"], "d"), Holder, tm.TrafficAnalysis)
    for name in ("one", "any"):
        with pytest.raises(pg.PurposeViolation):
            getattr(one, name)
    with pytest.raises(pg.PurposeViolation):
        withheld(Wider(["e"], []), Holder, tm.TrafficAnalysis)
    one = withheld(Narrower([], Usage(device="d")), Holder)
    assert lacks(one, "one")


@dataclasses.dataclass
class Both(dict[str, str]):
    device: Device


def test_a_dict_that_has_fields_too_is_refused() -> None:
    for value, like in ((Both("d"), None), (Both("d"), Both), ([Both("d")], list[Both]), (Both("d"), Row)):
        with pytest.raises(pg.UnlabelledData, match="has fields beside its items"):
            withheld(value, like)


@dataclasses.dataclass
class Nest:
    key: Key
    inside: Any = None


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    key: Key


BAD, GOOD = Frozen(key=7), Frozen(key=8)


def test_rows_are_seen_in_fields_that_do_not_say_that_they_hold_any() -> None:
    assert read(list[Nest | Customer], [Nest(8, [GOOD])])[0].inside == [GOOD]
    for row in (Nest(8, BAD), Nest(8, {"a": [BAD]}), Open.model_validate({"key": 8, "other": BAD})):
        with pytest.raises(pg.SubjectViolation):
            read(type(row) | Customer, row)
    (left,) = read(list[Nest | Customer], [Nest(8, [BAD, GOOD])], narrow=True)
    assert left.inside == [GOOD]


def test_rows_beside_what_a_row_declares_are_seen() -> None:
    row: Any = {"key": 8, "email": "e", "more": BAD}
    fine: Any = {"key": 8, "email": "e", "more": GOOD}
    assert read(list[Dict], [fine]) == [fine]
    with pytest.raises(pg.SubjectViolation):
        read(list[Dict], [row])
    with pytest.raises(pg.UnlabelledData, match="in keys that it does not declare"):
        read(list[Dict], [row], narrow=True)


def test_circles_that_hold_no_rows_to_leave_out_are_let_be() -> None:
    ring: list[Any] = [1]
    ring.append(ring)
    row = Nest(8, ring)
    assert read(Nest | Customer, row) is row
    ring.append(BAD)
    with pytest.raises(pg.SubjectViolation):
        read(list[Nest | Customer], [row])
    with pytest.raises(pg.UnlabelledData, match="runs in a circle"):
        read(list[Nest | Customer], [row], narrow=True)


def test_what_comes_in_the_place_of_a_row_without_marks_is_its_outer_rows() -> None:
    @dataclasses.dataclass
    class Told:
        key: Key
        contact: Contact

    for contact in (("e",), {"email": "e"}, "e", Pair("e", "f")):
        told: Any = Told(7, contact)  # type: ignore[arg-type]  # it is not what was announced
        with pytest.raises(pg.SubjectViolation):
            read(Told, told)
        assert read(list[Told], [told], narrow=True) == []
        told.key = 8
        assert read(Told, told) is told


@dataclasses.dataclass
class SealedDevice:
    device: pg.Personal[str, tm.ProductData]


@dataclasses.dataclass
class Devices:
    device: SealedDevice | None
    rows: list[Customer]


def test_a_row_is_left_without_what_comes_plain_in_the_place_of_a_sealed_record() -> None:
    rows = [Customer(key=8)]
    for plain in (("d",), ["d"], Pair("d", "d"), {"device": "d"}):
        devices: Any = Devices(plain, rows)  # type: ignore[arg-type]  # it is not what was announced
        with pytest.raises(pg.PurposeViolation):
            read(list[Devices], [devices])
        assert read(list[Devices], [devices], narrow=True) == [Devices(None, rows)]


def test_an_annotation_that_says_nothing_asks_for_nothing() -> None:
    assert make_plan(type(None), read_shape(Customer), "").whole is None
    for cls in (str, list, dict, Data):
        assert make_plan(cls, Shape(), "").whole is None
    assert make_plan(tuple, read_shape(Data), "").whole == D | R


class ManyValued(dict[str, Any]):
    """A dict of lists that gives the last item of each, as web frameworks have them."""

    def items(self) -> Any:
        return [(key, values[-1]) for key, values in dict.items(self)]

    def values(self) -> Any:
        return [values[-1] for values in dict.values(self)]

    def update(self, *given: Any, **named: Any) -> None:
        raise AssertionError("it would add to what is there")


def test_a_dict_is_read_by_what_it_stores() -> None:
    many = ManyValued(a=[Data("e", "d"), None])
    left = withheld(many, dict[str, list[Data | None]])
    assert type(left) is ManyValued
    assert "'d'" not in str(dict(left))
    rows = ManyValued(a=[BAD, GOOD])
    assert dict(read(dict[str, list[Frozen]], rows, narrow=True)) == {"a": [GOOD]}
    with pytest.raises(pg.SubjectViolation):
        read(dict[str, list[Frozen]], rows)
    assert pg.Personal(ManyValued(a=[Data("e", "d"), None]), tm.Registration).label == D | R


class Lazy:
    def __iter__(self) -> Iterator[Data]:
        return iter([Data("e", "d")])


async def later() -> Data:
    raise AssertionError("it is not run")


async def one_by_one() -> AsyncIterator[Data]:
    yield Data("e", "d")


def test_what_gives_its_items_later_is_refused_where_nothing_says_what_they_are() -> None:
    coroutine = later()
    for value in (Lazy(), coroutine, one_by_one()):
        with pytest.raises(pg.UnlabelledData, match="what it gives cannot be seen before"):
            read(Nest | Customer, Nest(8, value))
    coroutine.close()
    with pytest.raises(pg.UnlabelledData, match="what it gives cannot be seen before"):
        withheld(Holder([], Contact(email="e"), Lazy()))
    with pytest.raises(pg.PurposeViolation):
        withheld(Lazy(), Data)
    network = ipaddress.ip_network("192.0.2.0/24")
    holder = Holder([], Contact(email="e"), network)
    assert withheld(holder) is holder


def test_rows_beside_what_is_declared_are_handed_over_as_what_they_are() -> None:
    looked = ArgumentScan()
    looked.scan_argument({"key": 8, "email": "e", "more": BAD}, read_shape(Dict), "row")
    assert {about.subject for about in looked.row_contexts} == {"8", "7"}
    looked.scan_argument(
        ManyValued(a=[Customer(key=9), Customer(key=10)]), read_shape(dict[str, list[Customer]]), "rows"
    )
    assert {about.subject for about in looked.row_contexts} == {"8", "7", "9", "10"}
    looked.scan_argument(("d", "e"), read_shape(Data), "row")
    assert looked.labels >= {D | R}


@dataclasses.dataclass(frozen=True)
class Sold:
    device: Device


class Sort(Sold, enum.Enum):
    ROUTER = "router"


def test_a_member_of_an_enumeration_is_all_that_its_class_says() -> None:
    likes: list[Any] = [None, list[Data | Sort], list[Data | Contact], list[Data | list[Contact]]]
    for like in likes:
        with pytest.raises(pg.PurposeViolation):
            withheld([Data("e"), Sort.ROUTER], like)
    assert withheld(Sort.ROUTER, Sort, tm.ProductProvision) is Sort.ROUTER
    with pytest.raises(pg.UnlabelledData, match="not what its annotation says"):
        read(Customer, Sort.ROUTER)
    with pytest.raises(pg.PurposeViolation):
        read(Nest | Customer, Nest(8, Sort.ROUTER))


def test_type_variables_stand_for_what_was_announced_of_them() -> None:
    class Own(GenericModel[Email, T], Generic[T]):
        pass

    for value in (GenericModel(a="e", b="d"), Own(a="e", b="d"), GenericModel[str, str](a="e", b="d")):
        one = withheld(value, GenericModel[Email, Device])
        assert one.a == "e"
        assert lacks(one, "b")


class GenericModel(BaseModel, Generic[T, U]):
    a: T
    b: U


@pytest.mark.parametrize("counting", [False, True], ids=["", "counting"])
def test_functions_that_give_seals_are_as_others_are(counting: bool) -> None:
    guard = pg.Guard(tm.NOTICE, ledger=Counting() if counting else None)
    record: Any = Sealing(SEAL)
    device: Any = pg.Personal("d", tm.ProductData)
    given: list[Any] = []

    @guard.access
    def load(key: int = 1) -> Sealing:
        return given[-1]  # type: ignore[no-any-return]  # whatever the test gives

    assert inspect.unwrap(load) is load.__wrapped__  # type: ignore[attr-defined]  # as functools.wraps has it
    with pytest.raises(pg.PurposeMissing):
        load()
    with guard.purpose(P) as use:
        for value in (record, record, Sealing(device), record):  # the seal says what it is, whatever was announced
            given.append(value)
            assert load() is load(key=2) is value
        assert use.open(load().phone) == PHONE
        given.append(Sealing(PHONE))  # type: ignore[arg-type]  # it is not what was announced
        with pytest.raises(pg.UnlabelledData, match="a sealed value was announced"):
            load()
        whole: Any
        for whole in ((PHONE,), [PHONE], PHONE):
            given.append(whole)
            assert load() == whole  # all of a record may be used
    block = guard.purpose(tm.TrafficAnalysis)
    with block:
        for plain in ((PHONE,), PHONE):
            given.append(plain)
            with pytest.raises(pg.PurposeViolation) as caught:
                load()
            assert PHONE not in str(caught.value)
        given.append([record])

        @guard.access
        def leaves() -> list[Sealing]:
            block.__exit__(None, None, None)
            return [record]

        with pytest.raises(pg.PurposeMissing):
            leaves()
        block.__enter__()


def test_where_it_is_only_observed_what_comes_outside_a_purpose_is_given() -> None:
    guard = pg.Guard(tm.NOTICE, mode="observe")
    function = reading(guard, Sealing, Sealing(PHONE))  # type: ignore[arg-type]  # it is not what was announced
    assert function().phone == PHONE


@dataclasses.dataclass
class Filed:
    contact: Contact
    phone: pg.Personal[str, tm.Registration]


def test_a_seal_in_the_place_of_something_else_is_all_that_was_announced() -> None:
    guard = pg.Guard(tm.NOTICE)
    sealed: Any = pg.Personal("d", pg.NotPersonal)
    filed: Any = Filed(sealed, SEAL)
    rows = [filed, filed]
    function = reading(guard, Filed, lambda: rows[-1])
    with guard.purpose(P):
        assert function() is function() is filed
    for like, value in ((Usage, sealed), (list[Usage], [sealed])):
        with pytest.raises(pg.PurposeViolation):
            withheld(value, like)
        assert withheld(value, like, tm.ProductProvision) == value
    with pytest.raises(pg.UnlabelledData, match="whom it is about is unknown"):
        read(list[Customer], [pg.Personal(BAD, tm.Registration)])
