"""Classes whose fields are not read: where they, or what is in them, say anything, it is refused."""

from __future__ import annotations

import collections
import dataclasses
import functools
import sys
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Generic, Protocol

import attrs
import msgspec
import pytest
import typing_extensions as te
from pydantic import BaseModel, computed_field
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.parameters import read_parameter_shapes, unite_shape_labels
from purposeguard.values.type_schema import Shape, read_shape
from purposeguard.values.walk import ArgumentScan
from tests.unit.models import D, Device, Email, R, T, guard

if TYPE_CHECKING:
    from decimal import Context


def declared(name: str, **annotations: str) -> Any:
    """A plain class whose annotations are these, as texts of this module."""
    return type(name, (), {"__annotations__": annotations, "__module__": __name__})


Sealing = declared("Sealing", device="pg.Personal[str, tm.ProductData]")
Marked = declared("Marked", number="Annotated[int, pg.Subject]")
Wrong = declared("Wrong", device='Annotated[str, "1.1(b)"]')
# Names that are there for type checkers alone, and no annotation at all.
TypedTag = declared("TypedTag", context="Annotated[str, Context.device]")
TypedCall = declared("TypedCall", context='Annotated[str, Context("x")]')
TypedItems = declared("TypedItems", context="Context[Device]")
NoAnnotation = declared("NoAnnotation", device="Annotated[str, 1 / 0, tm.ProductData]")


class Plain:
    def __init__(self, device: str) -> None:
        self.device = device

    device: Device


class OfPlain(Plain):
    """Says nothing itself."""


class Struct(msgspec.Struct):
    device: Device


class Looks(Protocol):
    device: Device


class Base(DeclarativeBase): ...


class Mapping(Base):
    __tablename__ = "unread"
    id: Mapped[int] = mapped_column(primary_key=True)
    device: Mapped[Device]


class Property:
    @property
    def device(self) -> Device:
        return "d"


class Cached:
    @functools.cached_property
    def device(self) -> list[Device]:
        return ["d"]


class Hybrid:
    @hybrid_property
    def device(self) -> Device:
        return "d"


class Phone(BaseModel):
    number: Device


class Page:
    """What it holds is tagged, and not itself."""

    rows: list[Phone]


class Book:
    """A circle, with a page in it."""

    pages: dict[str, Page]
    next: Book | None


class Box(Generic[T]):
    content: T
    device: Device


class Rows(list[int]):
    device: Device


class Typed:
    """Some names are there for type checkers alone."""

    context: Context
    other: Context | Device


@dataclasses.dataclass
class Half:
    """A class that is read, and cannot be, for one of its names."""

    context: Context
    device: Device


class HoldsHalf:
    half: Half


UNREAD: list[Any] = [
    Plain, OfPlain, Struct, Sealing, Marked, Looks, Mapping, Property, Cached, Hybrid, Wrong, Page, Book, Box, Rows,
    Typed, TypedTag, TypedCall, TypedItems, HoldsHalf, NoAnnotation,
]  # fmt: skip


def made(cls: Any) -> Any:
    if cls is Looks:
        return types.new_class("Made", (cls,))()
    return cls("d") if cls is Struct else cls.__new__(cls)


@pytest.mark.parametrize("cls", UNREAD)
def test_what_nobody_reads_is_refused_wherever_it_is_used(cls: Any) -> None:
    @dataclasses.dataclass
    class Customer:
        email: Email
        more: Any = None

    Customer.__annotations__["more"] = cls
    load: Callable[..., Any] = lambda: None  # noqa: E731  # annotated below
    named = rf"{cls.__mro__[1].__name__ if cls is OfPlain else cls.__name__}\.\w+"
    for annotation in (cls, list[cls], cls | None, Customer, dict[str, Customer]):
        for ask in (pg.sources_of, pg.untagged):
            with pytest.raises(pg.UnlabelledData, match=named):
                ask(annotation)
        load.__annotations__ = {"return": annotation}
        for decorate in (guard.access, guard.access(withhold=True), guard.access(narrow=True)):
            with pytest.raises(pg.UnlabelledData, match=named):
                decorate(load)
        with guard.purpose(tm.RenewalGuidance) as use, pytest.raises(pg.UnlabelledData, match=named):
            use.withhold(made(cls), like=annotation)
    send: Callable[..., Any] = lambda it: None  # noqa: E731  # likewise
    send.__annotations__ = {"it": cls}
    with pytest.raises(pg.UnlabelledData, match=named):
        unite_shape_labels(read_parameter_shapes(send, None))


@pytest.mark.parametrize("cls", UNREAD)
def test_what_comes_is_refused_by_its_class(cls: Any) -> None:
    @dataclasses.dataclass
    class Customer:
        email: Email
        more: object = None

    value = made(cls)
    with pytest.raises(pg.UnlabelledData):
        pg.Personal(value, tm.Registration)
    with pytest.raises(pg.UnlabelledData):
        pg.Personal([{"it": Customer("e", value)}], tm.Registration)
    with guard.purpose(tm.RenewalGuidance) as use, pytest.raises(pg.UnlabelledData):
        use.withhold(Customer("e", value))
    with pytest.raises(pg.UnlabelledData):
        ArgumentScan().scan_argument([value], Shape(), "it")


class Awaited(Plain):
    """What it returns is inspected when it is awaited, and its fields by nobody."""

    def __await__(self) -> Iterator[None]:
        return iter(())


def test_an_awaitable_with_tagged_fields_is_not_sealed() -> None:
    with pytest.raises(pg.UnlabelledData, match=r"\.device"):
        pg.Personal(Awaited("d"), tm.Registration)


def test_the_whole_of_it_is_named_and_what_to_do() -> None:
    with pytest.raises(pg.UnlabelledData) as refused:
        pg.sources_of(Plain)
    assert " ".join(str(refused.value).split()) == (
        "`Plain.device` holds what is tagged, marked or sealed, and nobody reads it: Plain is not a pydantic model, "
        "dataclass, TypedDict, NamedTuple or attrs class; make it one, or give one with these fields"
    )


@dataclasses.dataclass
class SilentHalf:
    context: Context


Later = te.TypeAliasType("Later", "list[Nowhere]")  # type: ignore[name-defined]  # noqa: F821


class Silent:
    name: str
    half: SilentHalf
    later: Later
    context: Context
    words: Annotated[str, "a comment"]
    method: Callable[[Email], Email]
    kind: type[Phone]
    wrong: 1 / 0  # type: ignore[valid-type]  # no annotation at all
    number = 5

    def phone(self) -> Device:
        return "d"

    @property
    def length(self) -> int:
        return 1

    @property
    def unsaid(self):
        return 1


def test_a_class_that_says_nothing_is_what_it_was() -> None:
    @dataclasses.dataclass
    class Customer:
        email: Email
        more: Silent

    assert pg.sources_of(Customer) == {"email": R}
    assert pg.untagged(Customer) == ("more",)
    value = Silent()
    assert pg.Personal(value, tm.Registration).label is R
    with guard.purpose(tm.RenewalGuidance) as use:
        assert use.withhold(Customer("e", value)).more is value
    with pytest.raises(TypeError, match="no fields"):
        pg.sources_of(Silent)
    for known in (object(), collections.OrderedDict(), types.SimpleNamespace()):
        assert pg.Personal(known, tm.Registration).label is R


class RowContext(Generic[T]): ...


def test_a_source_that_a_class_is_about_is_no_tag_in_it() -> None:
    @dataclasses.dataclass
    class Customer:
        email: Email
        about: RowContext[tm.ProductData] | None = None

    assert pg.sources_of(Customer) == {"email": R}
    assert pg.sources_of(pg.Personal[str, tm.Registration]) == {"": R}
    with pytest.raises(pg.UnlabelledData, match="a source class stands where the type of a value belongs"):
        read_shape(Iterator[tm.ProductData])


def test_a_name_that_is_defined_later_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("later")
    monkeypatch.setitem(sys.modules, "later", module)
    exec("from __future__ import annotations\nclass Early:\n    row: Late\n", vars(module))  # noqa: S102  # a module
    assert pg.Personal(module.Early(), tm.Registration).label is R
    module.Late = Phone
    with pytest.raises(pg.UnlabelledData, match=r"Early\.row"):
        pg.Personal(module.Early(), tm.Registration)


@dataclasses.dataclass
class DataWithProperty:
    email: Email

    @property
    def device(self) -> Device:
        return "d"


class ModelWithProperty(BaseModel):
    email: Email

    @functools.cached_property
    def device(self) -> Device | None:
        return "d"


@attrs.define
class AttrsWithProperty:
    email: Email

    @functools.cached_property
    def device(self) -> list[Device]:
        return ["d"]


@dataclasses.dataclass
class OfProperty(DataWithProperty):
    name: str = ""


@dataclasses.dataclass
class OfMixin(Property):
    email: Email


class MarkedProperty(BaseModel):
    email: Email

    @property
    def number(self) -> Annotated[int, pg.Subject]:
        return 1


@pytest.mark.parametrize(
    "model", [DataWithProperty, ModelWithProperty, AttrsWithProperty, OfProperty, OfMixin, MarkedProperty]
)
def test_a_property_carries_no_tag(model: Any) -> None:
    value = model(email="e")
    for ask in (pg.sources_of, pg.untagged, lambda _: pg.Personal(value, tm.Registration)):
        with pytest.raises(pg.UnlabelledData, match=r"`(device|number)` is (tagged|marked) and is no field"):
            ask(model)


class Fine(BaseModel):
    email: Email
    phone: pg.Personal[str, tm.ProductData] | None = None

    @property
    def again(self) -> pg.Personal[str, tm.ProductData] | None:
        return self.phone

    @property
    def length(self) -> int:
        return len(self.email)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def domain(self) -> Email:
        return self.email

    def device(self) -> Device:
        return "d"


def test_other_properties_are_what_they_were() -> None:
    assert pg.sources_of(Fine) == {"email": R, "phone": D, "domain": R}


class Given:
    def __init__(self, device: Device, note: str = "") -> None:
        self.device = device
        self.note = note


class Around:
    def __init__(self, given: Given) -> None:
        self.given = given


class OfGiven(Given):
    """Is made of the same."""


class Quiet:
    def __init__(self, note: str, context: Context | None = None) -> None:
        self.note = note


class NoTag(BaseModel):
    email: Email = "e"
    held: Any = None


@pytest.mark.parametrize("cls", [Given, OfGiven, Around])
def test_what_a_class_is_made_of_says_what_its_objects_hold(cls: Any) -> None:
    with pytest.raises(pg.UnlabelledData, match=r"\.__init__\((device|given)\)` holds"):
        pg.sources_of(cls | Email)
    with guard.purpose(tm.RenewalGuidance) as use, pytest.raises(pg.UnlabelledData, match="nobody reads it"):
        use.withhold(NoTag(held=cls("d")))


def test_what_a_class_is_made_of_may_say_nothing() -> None:
    assert pg.sources_of(Quiet | Email) == {"": R}
    with guard.purpose(tm.RenewalGuidance) as use:
        row = NoTag(held=Quiet("n"))
        assert use.withhold(row) is row


class Keyed:
    beside: dict[Keyed, dict[Keyed, int]]


class KeyedByTagged:
    beside: dict[Device, int]


def test_a_class_that_is_a_key_in_itself_is_looked_through_once() -> None:
    assert pg.sources_of(Keyed | Email) == {"": R}
    assert pg.sources_of(dict[Keyed, Email]) == {"[]": R}
    with pytest.raises(pg.UnlabelledData, match=r"`KeyedByTagged\.beside` holds"):
        pg.sources_of(KeyedByTagged | Email)
