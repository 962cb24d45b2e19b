"""Withholding from what is nested, generic, in containers, or a row."""

from __future__ import annotations

import array
import collections
import dataclasses
from typing import Annotated, Any, Generic, TypedDict, TypeVar

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.customers import Attrs, Data, Frozen, Model, withheld
from tests.unit.models import Device, Email, T, U, guard


@dataclasses.dataclass
class Base(Generic[T]):
    email: Email
    content: T


@dataclasses.dataclass
class Derived(Base[Device]):
    more: Device = ""


class Plain(Base[Device]):
    pass


class Unbound(Base):  # type: ignore[type-arg]
    pass


@dataclasses.dataclass
class Regeneric(Base[T]):
    more: T | None = None


V = TypeVar("V")


@dataclasses.dataclass
class Renamed(Regeneric[U], Generic[V, U]):
    other: V | None = None


@pytest.mark.parametrize(
    ("value", "like", "left"),
    [
        (Derived("e", "d", "m"), Derived, "Derived(email='e')"),
        (Derived("e", "d", "m"), Base[str], "Derived(email='e')"),
        (Plain("e", "d"), Plain, "Plain(email='e')"),
        (Base("e", "d"), Base[Device], "Base(email='e')"),
        (Base("e", "d"), Base[str], "Base(email='e', content='d')"),
        (Unbound("e", "d"), Base[Device], "Unbound(email='e')"),
        (Regeneric("e", "d", "m"), Base[Device], "Regeneric(email='e')"),
        (Renamed("e", "d", "m", "o"), Base[Device], "Renamed(email='e', other='o')"),
        (Regeneric("e", "d", "m"), Regeneric[Device], "Regeneric(email='e')"),
    ],
    ids=["own", "announced", "bound", "generic", "generic harmless", "unbound", "generic again", "renamed", "both"],
)
def test_generics_and_inheritance_withhold_what_the_annotation_or_the_class_says(
    value: Any, like: Any, left: str
) -> None:
    assert repr(withheld(value, like)) == left


@dataclasses.dataclass
class Outer:
    inner: Model
    many: list[Model]
    by_name: dict[str, Data]
    maybe: Attrs | None = None
    anything: Any = None
    untagged: str = "u"


def test_nested_values_are_withheld_wherever_they_are() -> None:
    model = Model(email="e", device="d")
    original = Outer(model, [model, model], {"a": Data("e", "d")}, Attrs("e", "d"), (model, {"deep": [model]}))
    one = withheld(original)
    assert isinstance(one, Outer)
    text = repr(one)
    assert "device" not in text
    assert text.count("email='e'") == 7
    below: list[Any] = [one.inner, one.many[1], one.by_name["a"], one.maybe]
    for nested in (*below, one.anything[0], one.anything[1]["deep"][0]):
        with pytest.raises(pg.PurposeViolation):
            nested.device  # noqa: B018
    assert original.many == [model, model]
    assert type(one.anything) is tuple
    assert dataclasses.asdict(one)["by_name"] == {"a": {"email": "e", "note": "n"}}


@pytest.mark.parametrize(
    "container",
    [
        [Data("e", "d")],
        (Data("e", "d"),),
        {"k": Data("e", "d")},
        collections.deque([Data("e", "d")], maxlen=3),
        collections.OrderedDict(k=Data("e", "d")),
        collections.defaultdict(lambda: Data("", ""), k=Data("e", "d")),
        [[Data("e", "d")], [Data("e", "d")]],
    ],
    ids=["list", "tuple", "dict", "deque", "OrderedDict", "defaultdict", "list of lists"],
)
def test_containers_keep_their_type(container: Any) -> None:
    one = withheld(container)
    assert type(one) is type(container)
    assert "device" not in repr(one)
    assert "email='e'" in repr(one)
    assert len(one) == len(container)
    assert getattr(one, "maxlen", None) == getattr(container, "maxlen", None)


def test_sets_and_frozen_sets() -> None:
    for kind in (set, frozenset):
        one = withheld(kind([Frozen("e", "d")]))
        assert type(one) is kind
        assert repr(next(iter(one))) == "Frozen(email='e', note='n')"


class MyList(list[Any]):
    pass


class MyTuple(tuple[Any, ...]):
    __slots__ = ()


def test_containers_of_classes_of_their_own() -> None:
    one = withheld(MyList([Data("e", "d")]))
    assert type(one) is MyList
    assert repr(one) == "[Data(email='e', note='n')]"
    # Nothing says how to make another one of these, so the whole is refused.
    with pytest.raises(pg.PurposeViolation):
        withheld(MyTuple([Data("e", "d")]), list[Data])
    whole = MyTuple([Data("e", "d")])
    assert withheld(whole, list[Data], tm.ProductProvision) is whole


def test_data_that_runs_in_a_circle_is_refused() -> None:
    ring: list[Any] = [Data("e", "d")]
    ring.append(ring)
    for value, like in ((ring, None), (ring, list[Data]), (Outer(None, [], {}, None, ring), None)):  # type: ignore[arg-type]
        with pytest.raises(pg.UnlabelledData, match="circle"):
            withheld(value, like)


class Row(TypedDict, total=False):
    email: Email
    device: Device
    inner: Data


class OtherRow(TypedDict):
    email: Email
    device: Annotated[str, tm.Cookie]


@pytest.mark.parametrize("kind", [dict, collections.OrderedDict, collections.defaultdict])
def test_rows_are_withheld_by_their_annotation(kind: Any) -> None:
    original = kind()
    original.update(email="e", device="d")
    one = withheld(original, Row)
    assert isinstance(one, kind)
    assert list(one) == ["email"]
    assert list(one.items()) == [("email", "e")]
    assert one["email"] == one.get("email") == "e"
    assert "device" not in one
    assert len(one) == 1
    assert "device" not in repr(one)
    for read in (
        lambda: one["device"],
        lambda: one.get("device"),
        lambda: one.get("device", "x"),
        lambda: one.pop("device"),
        lambda: one.pop("device", "x"),
        lambda: one.setdefault("device", "x"),
        lambda: "{device}".format_map(one),
    ):
        with pytest.raises(pg.PurposeViolation) as caught:
            read()
        assert caught.value.field == "device"
    assert original["device"] == "d"
    again = one.copy()
    assert again == one
    assert not again != one  # noqa: SIM202  # two methods
    assert one != {"email": "e"}
    assert not one == {"email": "e"}  # noqa: SIM201
    with pytest.raises(pg.PurposeViolation):
        again["device"]
    assert {**one, "more": 1} == {"email": "e", "more": 1}
    assert one.setdefault("more", 1) == one.pop("more") == 1
    assert one.get("absent", 2) == 2
    assert one.pop("absent", 3) == 3
    with pytest.raises(TypeError):
        hash(one)


def test_rows_without_a_key_as_their_class_has_it() -> None:
    one = withheld({"email": "e"}, Row)
    with pytest.raises(KeyError):
        one["absent"]
    with pytest.raises(KeyError):
        one.pop("absent")
    listed: Any = collections.defaultdict(list, device="d")
    two = withheld(listed, Row)
    two["absent"].append(1)
    assert dict(two) == {"absent": [1]}
    assert list(withheld(collections.OrderedDict(email="e", note=1), Row)) == ["email"]


def test_an_ordered_row_stays_ordered() -> None:
    class Many(TypedDict, total=False):
        a: str
        b: Device
        c: str

    one = withheld(collections.OrderedDict(c="3", b="2", a="1"), Many)
    assert set(one) == {"a", "c"}
    one.move_to_end(next(iter(one)))
    assert one.popitem() is not None


def test_keys_that_a_row_does_not_declare_are_left_out() -> None:
    one = withheld({"email": "e", "extra": "d"}, Row)
    assert dict(one) == {"email": "e"}
    whole = {"email": "e", "device": "d", "extra": "x"}
    assert dict(withheld(whole, Row, tm.ProductProvision)) == {"email": "e", "device": "d"}


def test_rows_of_the_same_keys_and_other_tags_are_told_apart() -> None:
    for like, source in ((Row, tm.ProductData), (OtherRow, tm.Cookie), (Row, tm.ProductData)):
        with guard.purpose(tm.RenewalGuidance, activity="one") as use:
            one: Any = use.withhold({"email": "e", "device": "d"}, like)
        with pytest.raises(pg.PurposeViolation) as caught:
            one["device"]
        assert caught.value.decision.denied == (source,)


def test_rows_that_may_be_of_several_kinds_are_withheld_by_all() -> None:
    one = withheld({"email": "e", "device": "d"}, Row | OtherRow, tm.ProductProvision)
    assert dict(one) == {"email": "e"}


@dataclasses.dataclass
class Picture:
    device: Device
    email: Email
    raw: Any


OPAQUE: list[Any] = [
    bytearray(20_000_000),
    memoryview(bytes(20_000_000)),
    array.array("b", bytes(20_000_000)),
    range(10**12),
]


@pytest.mark.parametrize("raw", OPAQUE, ids=lambda raw: type(raw).__name__)
def test_bytes_of_all_kinds_are_looked_at_as_one_value(raw: Any) -> None:
    one = withheld(Picture("d", "e", raw))
    assert one.raw is raw
    with pytest.raises(pg.PurposeViolation):
        one.device  # noqa: B018
    listed = withheld([raw, None], list[Picture | bytearray | memoryview | Any], tm.ProductProvision)
    assert listed[0] is raw
    with pytest.raises(pg.PurposeViolation):
        withheld([raw], list[Picture])
