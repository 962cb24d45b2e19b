"""What is particular to withheld dataclasses, named tuples, attrs objects and pydantic models."""

from __future__ import annotations

import dataclasses
import functools
import pickle
import types
from typing import Any, Generic

import attrs
import pytest
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel, TypeAdapter, computed_field
from pydantic_core import PydanticUndefined
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, mapped_column
from sqlalchemy.orm.exc import UnmappedInstanceError

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.pydantic import make_private_attributes
from purposeguard.values.withheld import GONE
from tests.unit.customers import Attrs, Data, Frozen, Model, Named, Slotted, withheld
from tests.unit.models import Device, Email, T, lacks


class Tables(MappedAsDataclass, DeclarativeBase):
    pass


class MappedCustomer(Tables):
    __tablename__ = "customers"

    key: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[Email]
    device: Mapped[Device]


def test_a_mapped_dataclass_is_withheld_as_any_other() -> None:
    engine = create_engine("sqlite://")
    Tables.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(MappedCustomer(key=7, email="e", device="d"))
        session.commit()
        row = session.get_one(MappedCustomer, 7)
        one = withheld(row)
        assert isinstance(one, MappedCustomer)
        assert (one.key, one.email) == (7, "e")
        assert repr(one) == "MappedCustomer(key=7, email='e')"
        assert lacks(one, "device")
        with pytest.raises(UnmappedInstanceError):
            session.add(one)  # it would write what is left
        assert withheld(row, purpose=tm.ProductProvision) is row


def test_dataclass_tools_go_by_what_is_left() -> None:
    for cls in (Data, Slotted):
        one = withheld(cls(email="e", device="d"))
        assert [field.name for field in dataclasses.fields(one)] == ["email", "note"]
        assert dataclasses.asdict(one) == {"email": "e", "note": "n"}
        assert dataclasses.astuple(one) == ("e", "n")
        changed = dataclasses.replace(one, email="f")
        assert dataclasses.asdict(changed) == {"email": "f", "note": "n"}
        assert lacks(changed, "device")
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
    assert lacks(one, "joined")
    with pytest.raises(AttributeError):
        one.bare  # noqa: B018
    for changed in (dataclasses.replace(one, email="f"), dataclasses.replace(one, email="f", seed=5)):
        assert changed.email == "f"
        assert changed.made == []  # fields that __init__ does not take start anew
        assert changed.kind == "k"


def test_a_named_tuple_s_items_are_those_that_are_left() -> None:
    one = withheld(Named("e", "d"))
    assert issubclass(type(one), tuple)
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
    assert lacks(one, "_device")


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


def test_private_attributes_made_from_the_fields_are_left_behind() -> None:
    def one(**facts: Any) -> Any:
        return types.SimpleNamespace(default=PydanticUndefined, default_factory=None, **facts)

    taking = one(default_factory_takes_validated_data=True)
    taking.default_factory = lambda data: data["device"]
    assert make_private_attributes({"_bare": one(), "_taking": taking}) == {}
    assert make_private_attributes({}) is None


def test_what_is_left_of_a_model_may_be_set_and_deleted() -> None:
    one = withheld(Model(email="e", device="d"))
    one.email = "f"
    assert one.model_dump() == {"email": "f", "note": "n"}
    del one.note
    assert one.model_dump() == {"email": "f"}


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


class Amid(BaseModel):
    device: Device
    whole: Marks
    email: Email = "e"


class Marks(BaseModel):
    mark: int = 1


def test_models_with_nothing_to_withhold_stay_whole_below() -> None:
    assert withheld(Amid(device="d", whole=Marks())).model_dump() == {"whole": {"mark": 1}, "email": "e"}


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
