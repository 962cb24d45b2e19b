"""Tags behind type variables: whatever they stand for counts, for each use of a class and at every depth."""

from __future__ import annotations

import dataclasses
import enum
import io
import traceback
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Generic, Protocol, TypeVar

import pytest
import typing_extensions as te
from pydantic import BaseModel, StringConstraints

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.marked_rows import reading
from tests.unit.models import Box, D, Device, R, T, U, guard

Registered = Annotated[str, tm.Registration]
DEVICE = "sentinel-4d1e"
T_co = TypeVar("T_co", covariant=True)
Defaulted = te.TypeVar("Defaulted", default=Device)
Several = te.TypeVarTuple("Several")


@dataclasses.dataclass
class Named(Generic[T]):
    name: Registered
    item: T


class WithDefault(BaseModel, Generic[Defaulted]):
    name: Registered
    item: Defaulted


@dataclasses.dataclass
class Pair(Generic[T, Defaulted]):
    first: T
    second: Defaulted


@dataclasses.dataclass
class Variadic(Generic[T, *Several]):
    first: T
    others: tuple[*Several]


class GenericRow(te.TypedDict, Generic[T]):
    item: T


class DeviceRow(GenericRow[Device]):
    name: Registered


class FurtherRow(DeviceRow):
    more: int


class Contact(BaseModel):
    device: Device


class Page(list[Contact]): ...


class Numbers(list[int]): ...


class Speaks(Protocol[T_co]): ...


Alias = te.TypeAliasType("Alias", list[Box[T]], type_params=(T,))
Both = te.TypeAliasType("Both", Pair[T, Defaulted], type_params=(T, Defaulted))

SHAPES: dict[str, tuple[Any, dict[str, pg.Label]]] = {
    "two-arguments": (tuple[Box[Registered], Box[Device]], {"[].item": R | D}),
    "union": (Box[Registered] | Box[Device], {"item": R | D}),
    "nested": (Named[Named[Device]], {"name": R, "item.name": R, "item.item": D}),
    "nested-bare": (Box[Box[Box[Device]]], {"item.item.item": D}),
    "alias": (tuple[Alias[Registered], Alias[Device]], {"[][].item": R | D}),
    "default": (WithDefault, {"name": R, "item": D}),
    "default-behind": (Pair[Registered], {"first": R, "second": D}),
    "default-behind-alias": (Both[Registered], {"first": R, "second": D}),
    "default-given": (WithDefault[int], {"name": R}),
    "variadic": (Variadic[int, Registered, int, Device], {"others[]": R | D}),
    "variadic-first": (Variadic[Registered, int], {"first": R}),
    "typed-dict": (DeviceRow, {"item": D, "name": R}),
    "typed-dict-derived": (FurtherRow, {"item": D, "name": R}),
    "typed-dict-generic": (GenericRow[Registered], {"item": R}),
    "list-of-own": (tuple[Contact, Page], {"[].device": D}),
    "list-of-own-alone": (Page, {"[].device": D}),
    "no-models": (tuple[Contact, Numbers, Speaks[int]], {"[].device": D}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_use_of_a_generic_class_is_read(name: str) -> None:
    annotation, labels = SHAPES[name]
    found = {
        path.replace("[][].device", "[].device").replace("others[][]", "others[]"): label
        for path, label in pg.sources_of(annotation).items()
    }
    assert found == labels


def test_what_stands_behind_a_type_variable_is_not_read_without_its_purpose() -> None:
    pair = reading(guard, tuple[Box[Registered], Box[Device]], pytest.fail)
    nested = reading(guard, Named[Named[Device]], pytest.fail)
    pair_withheld = reading(guard, tuple[Box[Registered], Box[Device]], lambda: (Box("a"), Box(DEVICE)), withhold=True)
    rows = reading(guard, list[DeviceRow], lambda: [{"item": DEVICE, "name": "a"}], withhold=True)
    with guard.purpose(tm.RenewalGuidance):
        for act in (pair, nested):
            with pytest.raises(pg.PurposeViolation):
                act()
        assert DEVICE not in repr(pair_withheld())
        assert list(map(dict, rows())) == [{"name": "a"}]


def test_a_seal_keeps_what_stands_behind_type_variables_in_it() -> None:
    class Model(pg.PersonalModel):
        sealed: pg.Personal[tuple[Box[Registered], Box[Device]], tm.Registration]

    model = Model.model_validate({"sealed": [{"item": "a"}, {"item": "b"}]})
    assert model.sealed.label is R | D


@dataclasses.dataclass
class Growing(Generic[T]):
    item: T
    next: Growing[list[T]] | None = None


@dataclasses.dataclass
class Chain(Generic[T]):
    item: T
    next: Chain[T] | None = None


def test_a_class_that_holds_itself_ends_or_is_refused() -> None:
    assert pg.sources_of(Chain[Device]) == {"item": D}
    for ask in (pg.sources_of, pg.untagged):
        with pytest.raises(pg.UnlabelledData, match="Growing holds itself with ever more arguments"):
            ask(Growing[Device])
    with pytest.raises(pg.UnlabelledData, match="with ever more arguments"):
        pg.sources_of(pg.Personal[Growing[Device], tm.Registration])


class Extra(te.TypedDict, extra_items=Device):  # type: ignore[call-arg,unused-ignore]  # PEP 728
    name: Registered


def test_tags_of_extra_items_are_refused() -> None:
    with pytest.raises(pg.UnlabelledData, match="Extra: extra items cannot carry a tag: declare a key, or seal it"):
        pg.sources_of(Extra)


@dataclasses.dataclass(frozen=True)
class Key:
    name: Registered
    device: Device


@dataclasses.dataclass
class Index:
    name: Registered
    by_key: dict[Any, int]


@dataclasses.dataclass(eq=False)
class Unhashable:
    name: Registered
    device: Device
    notes: list[str]


class Right(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Upload:
    device: Device
    rights: Right
    file: Any


def test_keys_in_which_something_is_withheld_are_refused() -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        with pytest.raises(pg.UnlabelledData, match="`by_key` has keys in which nothing can be left out"):
            use.withhold(Index("a", {Key("a", DEVICE): 1}))
        assert use.withhold(Index("a", {("a", 1): 1})) == Index("a", {("a", 1): 1})


def test_a_set_of_what_loses_its_hash_is_refused() -> None:
    load = reading(guard, set[Unhashable], lambda: {Unhashable("a", DEVICE, [])}, withhold=True)
    with (
        guard.purpose(tm.RenewalGuidance),
        pytest.raises(pg.UnlabelledData, match="a set of what has no hash") as refused,
    ):
        load()
    assert shown_by_the_library(refused.value) == []


def shown_by_the_library(error: BaseException) -> list[str]:
    return [
        frame.f_code.co_name
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if "/purposeguard/" in frame.f_code.co_filename and DEVICE in repr(frame.f_locals)
    ]


def test_what_an_iterator_gives_is_refused_without_being_shown() -> None:
    @guard.access(withhold=True)
    def rows() -> Iterator[DeviceRow]:
        unexpected: Any = iter([{"name": "a", "item": "d"}, DEVICE])
        return unexpected  # type: ignore[no-any-return]  # other than it says

    with guard.purpose(tm.RenewalGuidance):
        given = rows()
        assert dict(next(given)) == {"name": "a"}
        with pytest.raises(pg.PurposeViolation) as refused:
            next(given)
    assert shown_by_the_library(refused.value) == []


def test_members_of_enumerations_and_files_stay_what_they_are() -> None:
    file = io.BytesIO(b"1\n2\n")
    with guard.purpose(tm.RenewalGuidance) as use:
        copy = use.withhold(Upload(DEVICE, Right.READ | Right.WRITE, file))
    assert copy.file is file
    assert copy.rights is Right.READ | Right.WRITE
    assert file.read() == b"1\n2\n"


@dataclasses.dataclass(unsafe_hash=True)
class Entry:
    who: Registered
    device: Device


class Known(Entry, enum.Enum):
    AIKO = ("a", DEVICE)


@dataclasses.dataclass
class Bare:
    number: int = 0


@dataclasses.dataclass
class Holder:
    name: Registered
    inside: Bare


def test_files_and_members_are_let_through_only_where_they_can_hold_nothing() -> None:
    @guard.access(withhold=True)
    def entries() -> list[Entry]:
        unexpected: Any = io.StringIO(DEVICE)
        return unexpected  # type: ignore[no-any-return]  # other than it says

    with guard.purpose(tm.RenewalGuidance) as use:
        taken: list[Callable[[Any], Any]] = [next, list, lambda file: file.read(), lambda file: file.getvalue()]
        for take in taken:
            with pytest.raises(pg.PurposeViolation):
                take(entries())
        with pytest.raises(pg.PurposeViolation):
            use.withhold([Known.AIKO])
    with guard.purpose(tm.ProductProvision) as may:
        assert may.withhold([Known.AIKO]) == [Known.AIKO]


def test_keys_of_what_is_no_mapping_by_its_annotation_are_looked_at_too() -> None:
    unexpected: Any = {Entry("a", DEVICE): 1}
    with guard.purpose(tm.RenewalGuidance) as use, pytest.raises(pg.UnlabelledData, match="`inside` has keys in which"):
        use.withhold(Holder("a", unexpected))


@pytest.mark.parametrize("option", ["strip_whitespace", "to_lower", "to_upper"])
def test_what_is_to_be_done_to_the_text_is_stated_inside_the_seal(option: str) -> None:
    constraints: Any = StringConstraints(**{option: True})  # type: ignore[arg-type]  # one of its options
    with pytest.raises(TypeError, match=f"states `{option}` of the seal"):

        class Outside(pg.PersonalModel):
            name: Annotated[pg.Personal[str, tm.Registration], constraints]


# Generic pydantic models inside of other generics, where pydantic has put no class in the place of their variables:
class Paged(BaseModel, Generic[T]):
    owner: Registered = "o"
    items: list[T]


class Lists(Paged[list[U]], Generic[U]):
    """What is inherited was said in the variable of this class."""


@dataclasses.dataclass
class OwnVariable(Generic[T]):
    page: Paged[T]


@dataclasses.dataclass
class OtherVariable(Generic[U]):
    page: Paged[U]


@dataclasses.dataclass
class Deeper(Generic[T]):
    page: Paged[list[T] | None]


@dataclasses.dataclass
class Inherited(Generic[T]):
    page: Lists[T]


class PagedRow(te.TypedDict, Generic[U]):
    page: Paged[U]


OwnAlias = te.TypeAliasType("OwnAlias", Paged[T], type_params=(T,))
OtherAlias = te.TypeAliasType("OtherAlias", Paged[U], type_params=(U,))


class Owned(BaseModel):
    device: Device = DEVICE


@pytest.mark.parametrize(
    ("annotation", "path"),
    [
        (OwnVariable[Owned], "page.items[].device"),
        (OtherVariable[Owned], "page.items[].device"),
        (Deeper[Owned], "page.items[][].device"),
        (Inherited[Owned], "page.items[][].device"),
        (PagedRow[Owned], "page.items[].device"),
        (OwnAlias[Owned], "items[].device"),
        (OtherAlias[Owned], "items[].device"),
    ],
)
def test_a_generic_model_inside_of_a_generic_holds_what_that_is_given(annotation: Any, path: str) -> None:
    assert pg.sources_of(annotation)[path] == D


def test_what_a_generic_model_inside_of_a_generic_holds_is_asked_for_and_withheld() -> None:
    def read() -> OtherVariable[Owned]:
        return OtherVariable(Paged(items=[Owned()]))

    with guard.purpose(tm.RenewalGuidance):
        with pytest.raises(pg.PurposeViolation):
            guard.access(read)()
        assert "device" not in vars(guard.access(withhold=True)(read)().page.items[0])


def test_a_generic_model_that_is_given_nothing_holds_what_its_variable_may_be() -> None:
    assert pg.sources_of(OtherVariable) == {"page.owner": R}
    assert pg.sources_of(Box) == {}
    assert pg.untagged(Box) == ("item",)
