"""Withheld copies: what they are, what they hold, and that the rest works as before."""

from __future__ import annotations

import collections
import copy
import dataclasses
import functools
import pickle
import threading
from collections.abc import Iterator
from typing import Annotated, Any, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import pytest
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel, TypeAdapter, computed_field

import purposeguard as pg
from purposeguard.copies import GONE, Classes
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.samples import revised

guard = pg.Guard(tm.NOTICE)
Email = Annotated[str, tm.Registration]
Device = Annotated[str, tm.ProductData]
T = TypeVar("T")


def withheld(value: Any, like: Any = None, purpose: Any = tm.RenewalGuidance) -> Any:
    """`value` as a purpose that may use registration data and no product data is given it."""
    with guard.purpose(purpose) as use:
        return use.withhold(value, like)


class Model(BaseModel):
    email: Email
    device: Device
    note: str = "n"

    def shout(self) -> str:
        return self.email.upper()

    def both(self) -> str:
        return self.email + self.device


@dataclasses.dataclass
class Data:
    email: Email
    device: Device = "default"
    note: str = "n"

    def shout(self) -> str:
        return self.email.upper()

    def both(self) -> str:
        return self.email + self.device


@dataclasses.dataclass(slots=True, frozen=True, order=True, kw_only=True)
class Slotted:
    email: Email
    device: Device
    note: str = "n"

    def shout(self) -> str:
        return self.email.upper()

    def both(self) -> str:
        return self.email + self.device


@attrs.define
class Attrs:
    email: Email
    device: Device
    note: str = "n"

    def shout(self) -> str:
        return self.email.upper()

    def both(self) -> str:
        return self.email + self.device


@attrs.frozen(slots=False)
class Frozen:
    email: Email
    device: Device
    note: str = "n"

    def shout(self) -> str:
        return self.email.upper()

    def both(self) -> str:
        return self.email + self.device


class Named(NamedTuple):
    email: Email
    device: Device
    note: str = "n"

    def shout(self) -> str:
        return self.email.upper()

    def both(self) -> str:
        return self.email + self.device


CLASSES = [Model, Data, Slotted, Attrs, Frozen, Named]
each_class = pytest.mark.parametrize("cls", CLASSES)


@each_class
def test_a_copy_is_an_instance_and_its_methods_work(cls: Any) -> None:
    original = cls(email="e", device="d")
    one = withheld(original)
    assert isinstance(one, cls)
    assert type(one).__name__ == cls.__name__
    assert one.email == "e"
    assert one.note == "n"
    assert one.shout() == "E"
    with pytest.raises(pg.PurposeViolation):
        one.both()
    assert original.both() == "ed"


@each_class
def test_reading_what_is_withheld_says_why(cls: Any) -> None:
    with guard.purpose(tm.RenewalGuidance, activity="remind") as use:
        one = use.withhold(cls(email="e", device="d"))
    with pytest.raises(pg.PurposeViolation) as caught:
        one.device  # noqa: B018
    error = caught.value
    assert (error.field, error.activity, error.function) == ("device", "remind", None)
    assert error.decision.denied == (tm.ProductData,)
    assert "withheld" in str(error)


@each_class
def test_what_is_withheld_cannot_be_set_or_deleted(cls: Any) -> None:
    one = withheld(cls(email="e", device="d"))
    for change in (lambda: setattr(one, "device", "x"), lambda: delattr(one, "device")):
        with pytest.raises((AttributeError, ValueError)):
            change()
    with pytest.raises(pg.PurposeViolation):
        one.device  # noqa: B018


@each_class
def test_nothing_to_withhold_is_the_object_itself(cls: Any) -> None:
    one = cls(email="e", device="d")
    assert withheld(one, purpose=tm.ProductProvision) is one
    several = [one, one]
    assert withheld(several, purpose=tm.ProductProvision) is several


@each_class
def test_everything_may_be_withheld(cls: Any) -> None:
    one = withheld(cls(email="e", device="d"), purpose=tm.TrafficAnalysis)
    assert repr(one) == f"{cls.__name__}(note='n')"
    with pytest.raises(pg.PurposeViolation):
        one.email  # noqa: B018


@each_class
def test_texts_leave_it_out(cls: Any) -> None:
    one = withheld(cls(email="e", device="d"))
    expected = f"{cls.__name__}(email='e', note='n')"
    assert repr(one) == f"{one!r}" == expected
    assert str(one) == f"{one}" == format(one)
    assert "email='e'" in str(one)
    assert "device" not in str(one)
    assert f"{one:>60}" == str(one).rjust(60)


@each_class
def test_copies_equal_each_other_by_what_is_left(cls: Any) -> None:
    one, same = withheld(cls(email="e", device="d")), withheld(cls(email="e", device="other"))
    differs = withheld(cls(email="f", device="d"))
    less = withheld(cls(email="e", device="d"), purpose=tm.TrafficAnalysis)
    assert one == same
    assert not one != same
    for other in (differs, less, cls(email="e", device="d"), ("e", "n"), "e", None):
        assert one != other
        assert not one == other  # noqa: SIM201
        assert other != one


@each_class
def test_copies_are_hashable_where_the_original_is(cls: Any) -> None:
    one, same = withheld(cls(email="e", device="d")), withheld(cls(email="e", device="other"))
    try:
        hash(cls(email="e", device="d"))
    except TypeError:
        with pytest.raises(TypeError):
            hash(one)
    else:
        assert hash(one) == hash(same)
        assert len({one, same}) == 1


@each_class
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_a_copy_of_a_copy_is_withheld_too(cls: Any, again: Any) -> None:
    one = withheld(cls(email="e", device="d"))
    two = again(one)
    assert two == one
    assert two is not one
    assert isinstance(two, cls)
    with pytest.raises(pg.PurposeViolation):
        two.device  # noqa: B018


@each_class
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_copy_is_withheld_too(cls: Any, protocol: int) -> None:
    one = withheld(cls(email="e", device="d"))
    two = pickle.loads(pickle.dumps(one, protocol))
    assert two == one
    assert two.shout() == "E"
    with pytest.raises(pg.PurposeViolation) as caught:
        two.device  # noqa: B018
    assert caught.value.field == "device"
    assert "1.1(b) may serve" in str(caught.value)
    assert pickle.loads(pickle.dumps(two, protocol)) == one
    assert type(pickle.loads(pickle.dumps(one, protocol))) is type(two)  # one class for all that are alike


@each_class
def test_the_original_is_not_touched(cls: Any) -> None:
    original = cls(email="e", device="d")
    withheld(original)
    assert original == cls(email="e", device="d")
    assert original.device == "d"


# --- dataclasses


def test_dataclass_tools_go_by_what_is_left() -> None:
    for cls in (Data, Slotted):
        one = withheld(cls(email="e", device="d"))
        assert [field.name for field in dataclasses.fields(one)] == ["email", "note"]
        assert dataclasses.asdict(one) == {"email": "e", "note": "n"}
        assert dataclasses.astuple(one) == ("e", "n")
        changed = dataclasses.replace(one, email="f")
        assert dataclasses.asdict(changed) == {"email": "f", "note": "n"}
        with pytest.raises(pg.PurposeViolation):
            changed.device  # noqa: B018
        for wrong in ({"device": "x"}, {"nothing": 1}):
            with pytest.raises(TypeError, match="withheld or no field"):
                dataclasses.replace(one, **wrong)
        assert type(one).__match_args__ in ((), ("email", "note"))


@dataclasses.dataclass
class Rich:
    email: Email
    device: Device
    seed: dataclasses.InitVar[int] = 3
    made: list[str] = dataclasses.field(default_factory=list, init=False)
    kind: str = dataclasses.field(default="k", init=False)
    bare: str = dataclasses.field(init=False)
    secret: str = dataclasses.field(default="s", repr=False, compare=False)

    def __post_init__(self, seed: int) -> None:
        self.made = [self.email * seed]

    @functools.cached_property
    def joined(self) -> str:
        return self.email + self.device


def test_dataclasses_with_fields_of_every_kind() -> None:
    original = Rich("e", "d")
    assert original.joined == "ed"
    original.extra = "beside"  # type: ignore[attr-defined]
    one = withheld(original)
    assert one.made == ["eee"]
    assert vars(one) == {"email": "e", "made": ["eee"], "kind": "k", "secret": "s"}
    with pytest.raises(pg.PurposeViolation):
        one.joined  # noqa: B018
    with pytest.raises(AttributeError):
        one.bare  # noqa: B018
    for changed in (dataclasses.replace(one, email="f"), dataclasses.replace(one, email="f", seed=5)):
        assert changed.email == "f"
        assert changed.made == []  # fields that __init__ does not take start anew
        assert changed.kind == "k"


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


@pytest.mark.parametrize(
    ("value", "like", "left"),
    [
        (Derived("e", "d", "m"), Derived, "Derived(email='e')"),
        (Derived("e", "d", "m"), Base[str], "Derived(email='e')"),
        (Plain("e", "d"), Plain, "Plain(email='e')"),
        (Base("e", "d"), Base[Device], "Base(email='e')"),
        (Base("e", "d"), Base[str], "Base(email='e', content='d')"),
        (Unbound("e", "d"), Base[Device], "Unbound(email='e')"),
        (Regeneric("e", "d"), Base[Device], "Regeneric(email='e', more=None)"),
        (Regeneric("e", "d", "m"), Regeneric[Device], "Regeneric(email='e')"),
    ],
    ids=["own", "announced", "bound", "generic", "generic harmless", "unbound", "generic again", "both"],
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
    for nested in (one.inner, one.many[1], one.by_name["a"], one.maybe, one.anything[0], one.anything[1]["deep"][0]):
        with pytest.raises(pg.PurposeViolation):
            nested.device  # noqa: B018
    assert original.many == [model, model]
    assert type(one.anything) is tuple
    assert dataclasses.asdict(one)["by_name"] == {"a": {"email": "e", "note": "n"}}


def test_the_path_of_a_nested_field_is_told_in_observe_mode_and_refusals() -> None:
    class Holder(BaseModel):
        whole: list[Device]
        inner: dict[str, Data]

    one = withheld(Holder(whole=["d"], inner={"x": Data("e", "d")}))
    with pytest.raises(pg.PurposeViolation) as caught:
        one.whole  # noqa: B018
    assert caught.value.field == "whole"
    assert repr(one) == (
        "test_the_path_of_a_nested_field_is_told_in_observe_mode_and_refusals.<locals>."
        "Holder(inner={'x': Data(email='e', note='n')})"
    )


# --- containers


@pytest.mark.parametrize(
    "container",
    [
        [Data("e", "d")],
        (Data("e", "d"),),
        {"k": Data("e", "d")},
        collections.deque([Data("e", "d")], maxlen=3),
        collections.OrderedDict(k=Data("e", "d")),
        collections.defaultdict(list, k=Data("e", "d")),
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


def test_iterators_are_withheld_item_by_item() -> None:
    def rows() -> Iterator[Data]:
        yield Data("e", "d")

    one = withheld(rows(), Iterator[Data])
    assert repr(list(one)) == "[Data(email='e', note='n')]"


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
    assert not again != one
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


def test_values_that_are_not_what_was_announced_are_refused_where_they_could_matter() -> None:
    for value, like in (("text", Row), (5, Model), (["x"], list[Row]), ([("e", "d")], list[Row]), (object(), Model)):
        with pytest.raises(pg.PurposeViolation):
            withheld(value, like)
        assert withheld(value, like, tm.ProductProvision) == value
    assert withheld([None], list[Row]) == [None]


class SubModel(Model):
    more: Device = "m"


def test_an_instance_of_a_subclass_is_withheld_by_its_own_fields() -> None:
    one = withheld([SubModel(email="e", device="d")], list[Model])
    assert repr(one) == "[SubModel(email='e', note='n')]"
    with pytest.raises(pg.PurposeViolation):
        one[0].more  # noqa: B018


# --- named tuples


def test_a_named_tuple_s_items_are_those_that_are_left() -> None:
    one = withheld(Named("e", "d"))
    assert isinstance(one, tuple)
    assert list(one) == ["e", "n"]
    assert len(one) == 2
    assert one._fields == ("email", "note")
    assert one._asdict() == {"email": "e", "note": "n"}
    assert (one[0], one[2], one[-1], one[0:3], one[::2]) == ("e", "n", "n", ("e", "n"), ("e", "n"))
    for index in (1, -2):
        with pytest.raises(pg.PurposeViolation) as caught:
            one[index]
        assert caught.value.field == "device"
    with pytest.raises(IndexError):
        one[3]
    changed = one._replace(email="f")
    assert list(changed) == ["f", "n"]
    for wrong in ({"device": "x"}, {"nothing": 1}):
        with pytest.raises(TypeError, match="withheld or no fields"):
            one._replace(**wrong)
    with pytest.raises(ValueError, match="unpack"):
        _a, _b, _c = one
    assert repr(GONE) == "<withheld>"
    assert pickle.loads(pickle.dumps(GONE)) is GONE


# --- attrs


def test_attrs_tools_go_by_what_is_left() -> None:
    for cls in (Attrs, Frozen):
        one = withheld(cls(email="e", device="d"))
        assert [field.name for field in attrs.fields(type(one))] == ["email", "note"]
        assert attrs.fields(type(one)).email.name == "email"
        with pytest.raises(AttributeError):
            attrs.fields(type(one)).device  # noqa: B018
        assert attrs.asdict(one) == {"email": "e", "note": "n"}
        assert attrs.astuple(one) == ("e", "n")
        changed = attrs.evolve(one, email="f")
        assert attrs.asdict(changed) == {"email": "f", "note": "n"}
        with pytest.raises(TypeError, match="withheld or no field"):
            attrs.evolve(one, device="x")


@attrs.define
class Aliased:
    _email: Email
    _device: Device
    shown: str = attrs.field(default="s", alias="display")


def test_attrs_aliases() -> None:
    one = withheld(Aliased(email="e", device="d"))
    assert attrs.asdict(attrs.evolve(one, email="f", display="x")) == {"_email": "f", "shown": "x"}
    with pytest.raises(pg.PurposeViolation):
        one._device  # noqa: B018


# --- pydantic


class Full(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    email: Email = Field(alias="mail")
    device: Device = "default"
    _cache: str = PrivateAttr(default="fresh")
    _count: int = PrivateAttr(default_factory=lambda: 7)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def domain(self) -> str:
        return self.email.partition("@")[2]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def fingerprint(self) -> Device:
        return self.device * 2

    @computed_field  # type: ignore[prop-decorator]
    @property
    def untagged(self) -> str:
        return self.device * 3


def test_pydantic_models_of_every_kind_of_field() -> None:
    original = Full.model_validate({"mail": "e@x", "device": "d", "extra": "beside"})
    original._cache = "derived from d"
    one = withheld(original)
    assert one.model_dump() == {"email": "e@x", "domain": "x"}
    assert one.model_dump(by_alias=True) == {"mail": "e@x", "domain": "x"}
    assert one.model_dump_json() == '{"email":"e@x","domain":"x"}'
    assert one.model_dump(exclude={"domain"}) == {"email": "e@x"}
    assert one.model_dump(exclude={"domain": True}, exclude_unset=True) == {"email": "e@x"}
    assert one.model_dump(include={"email"}) == {"email": "e@x"}
    assert one.model_extra == {}
    assert one.model_fields_set == {"email"}
    assert (one._cache, one._count) == ("fresh", 7)
    assert dict(one) == {"email": "e@x"}
    for name in ("device", "fingerprint", "untagged"):
        with pytest.raises(pg.PurposeViolation):
            getattr(one, name)
    assert one.model_copy().model_dump() == one.model_dump()
    assert one.model_copy(deep=True).model_dump() == one.model_dump()
    assert one.model_copy(update={"email": "f@y"}).email == "f@y"
    with pytest.raises(ValueError, match="frozen"):
        one.email = "x"


class Page(BaseModel, Generic[T]):
    items: list[T]


class Pages(BaseModel):
    first: Page[Full]
    rest: dict[str, Full] = {}
    pairs: tuple[Full, ...] = ()


def test_computed_fields_below_are_left_out_too() -> None:
    full = Full.model_validate({"mail": "e@x", "device": "d"})
    pages = withheld(Pages(first=Page[Full](items=[full, full]), rest={"a": full}, pairs=(full,)))
    left = {"email": "e@x", "domain": "x"}
    assert pages.model_dump() == {"first": {"items": [left, left]}, "rest": {"a": left}, "pairs": (left,)}
    excluding = {"first": {"items": {"__all__": {"domain"}}}, "rest": True, "pairs": ...}
    assert pages.model_dump(exclude=excluding) == {"first": {"items": [{"email": "e@x"}, {"email": "e@x"}]}}
    assert '"d' not in pages.model_dump_json().replace('"domain', "")


class Root(RootModel[list[Model]]): ...


def test_root_models_and_type_adapters() -> None:
    root = withheld(Root([Model(email="e", device="d")]))
    assert root.model_dump() == [{"email": "e", "note": "n"}]
    one = withheld(Model(email="e", device="d"))
    adapter: TypeAdapter[Model] = TypeAdapter(Model)
    assert adapter.dump_python(one) == {"email": "e", "note": "n"}
    assert adapter.dump_json(one) == b'{"email":"e","note":"n"}'
    assert adapter.validate_python(one) is one


def test_a_hashable_model_stays_hashable() -> None:
    full = Full.model_validate({"mail": "e@x"})
    other = Full.model_validate({"mail": "e@x", "device": "other"})
    assert hash(withheld(full)) == hash(withheld(other))


# --- classes that are made


class Registered:
    known: list[str] = []

    def __init_subclass__(cls, *, table: str, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Registered.known.append(table)


@dataclasses.dataclass
class Table(Registered, table="customers"):
    email: Email
    device: Device


class RegisteredModel(BaseModel):
    def __init_subclass__(cls, *, table: str = "?", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Registered.known.append(table)


class TableModel(RegisteredModel, table="models"):
    email: Email
    device: Device


def test_no_registry_of_subclasses_hears_of_a_copy() -> None:
    before = list(Registered.known)
    assert withheld(Table("e", "d")).email == "e"
    assert withheld(TableModel(email="e", device="d")).email == "e"
    assert Registered.known == before


@dataclasses.dataclass
class Foreign(dict):  # type: ignore[type-arg]
    email: Email
    device: Device


@dataclasses.dataclass
class ForeignList(list):  # type: ignore[type-arg]
    email: Email
    device: Device


@dataclasses.dataclass
class ForeignError(Exception):
    email: Email
    device: Device


@pytest.mark.parametrize("cls", [ForeignList, ForeignError])
def test_a_class_that_may_keep_data_where_nothing_can_be_withheld_is_refused(cls: Any) -> None:
    with pytest.raises(pg.UnlabelledData, match="cannot be withheld"):
        withheld(cls("e", "d"))
    one = cls("e", "d")
    assert withheld(one, purpose=tm.ProductProvision) is one


def test_classes_are_made_once_and_their_number_is_bounded() -> None:
    one, two = withheld(Data("e", "d")), withheld(Data("x", "y"))
    assert type(one) is type(two)
    classes = Classes(2)
    made: list[int] = []

    def make(number: int) -> type:
        made.append(number)
        return type(f"C{number}", (), {})

    for number in (1, 2, 1, 3, 1, 2):
        classes.get(number, functools.partial(make, number))
    assert made == [1, 2, 3, 2]


def test_classes_are_made_once_by_threads_too() -> None:
    found: list[type] = []
    start = threading.Barrier(8)
    mine = pg.Guard(tm.NOTICE)

    def ask() -> None:
        start.wait()
        with mine.purpose(tm.RenewalGuidance, activity="a") as use:
            found.append(type(use.withhold(Data("e", "d"))))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_what_is_withheld_is_decided_anew_after_a_replacement() -> None:
    mine = pg.Guard(tm.NOTICE)
    with mine.purpose(tm.RenewalGuidance) as use:
        assert "device" not in repr(use.withhold(Data("e", "d")))
        mine.replace(revised(tm.NOTICE, lambda t: t["grant"][0]["sources"].append("1.1(b)")))
        whole = Data("e", "d")
        assert use.withhold(whole) is whole
