"""What `sources_of` and `untagged` read off annotations of sealed values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    NewType,
    NotRequired,
    Optional,
    Required,
    TypeVar,
    Union,
)

import attrs
import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType, TypedDict

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.type_schema import read_shape
from tests.unit.models import KINDS, C, D, R, T, class_with

S = TypeVar("S", bound=pg.Source)
W = pg.Label(tm.WebForm)
Either = tm.Registration | tm.Contract
Alias = TypeAliasType("Alias", tm.Registration | tm.Contract)
Name = NewType("Name", str)


class Inner(BaseModel):
    device: Annotated[str, tm.ProductData]
    note: str = "n"


ANNOTATIONS: list[tuple[str, Any, pg.Label | None]] = [
    ("source", pg.Personal[str, tm.Registration], R),
    ("union", pg.Personal[str, tm.Registration | tm.Contract], R | C),
    ("old-union", pg.Personal[str, Union[tm.Registration, tm.Contract]], R | C),  # noqa: UP007  # as older code has it
    ("named-union", pg.Personal[str, Either], R | C),
    ("alias", pg.Personal[str, Alias], R | C),
    ("optional", pg.Personal[str, tm.Registration] | None, R),
    ("old-optional", Optional[pg.Personal[str, tm.Registration]], R),  # noqa: UP045  # likewise
    ("either", pg.Personal[str, tm.Registration] | pg.Personal[int, tm.Contract], R | C),
    ("or-plain", pg.Personal[str, tm.Registration] | str, R),
    ("annotated", Annotated[pg.Personal[str, tm.Registration], Field(title="t")], R),
    ("new-type", pg.Personal[Name, tm.Registration], R),
    ("purpose", pg.Personal[str, tm.RenewalGuidance], None),
    ("family", pg.Personal[str, tm.AnyProductGuidance], None),
    ("any", pg.Personal[str, Any], None),
    ("base", pg.Personal[str, pg.Source], None),
    ("variable", pg.Personal[str, S], None),  # type: ignore[valid-type]  # as inside a generic class
    ("purpose-or-source", pg.Personal[str, tm.Registration | tm.RenewalGuidance], R),
    ("not-personal", pg.Personal[int, pg.NotPersonal], pg.Label(pg.NotPersonal)),
    ("model-inside", pg.Personal[Inner, tm.Registration], R | D),
    ("models-inside", pg.Personal[list[Inner | None], tm.Registration], R | D),
    ("model-for-a-purpose", pg.Personal[Inner, tm.RenewalGuidance], D),
    ("tag-inside", pg.Personal[Annotated[str, tm.ProductData], tm.Registration], R | D),
    ("tag-beside", Annotated[pg.Personal[str, tm.Registration], tm.Contract], R | C),
    ("seal-inside", pg.Personal[pg.Personal[str, tm.ProductData], tm.Registration], R | D),
]


def each(*but: str) -> Any:
    """A test for each annotation, save those of these names."""
    cases = [pytest.param(one, label, id=name) for name, one, label in ANNOTATIONS if name not in but]
    return pytest.mark.parametrize(("annotation", "label"), cases)


@each()
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "pydantic"])
def test_sealed_fields_are_read(kind: str, annotation: Any, label: pg.Label | None) -> None:
    cls = class_with(kind, id=int, field=annotation)
    assert pg.sources_of(cls) == ({} if label is None else {"field": label})
    # Sealed is sealed: it is no field that was forgotten.
    assert pg.untagged(cls) == ("id",)


@each("alias")  # pydantic is told the classes themselves
def test_sealed_fields_of_pydantic_models_are_read(annotation: Any, label: pg.Label | None) -> None:
    cls = class_with("pydantic", id=int, field=annotation)
    assert pg.sources_of(cls) == ({} if label is None else {"field": label})
    assert pg.untagged(cls) == ("id",)


CONTAINERS: list[tuple[str, Any]] = [
    ("field[]", list[pg.Personal[str, tm.Registration]]),
    ("field[]", tuple[pg.Personal[str, tm.Registration], ...]),
    ("field[]", dict[str, pg.Personal[str, tm.Registration]]),
    ("field[]", Mapping[str, pg.Personal[str, tm.Registration] | None]),
    ("field[][]", list[set[pg.Personal[str, tm.Registration]]]),
    ("field", dict[pg.Personal[str, tm.Registration], str]),
]


@pytest.mark.parametrize(("path", "annotation"), CONTAINERS, ids=["list", "tuple", "dict", "mapping", "nested", "keys"])
def test_containers_of_sealed_values_are_read(path: str, annotation: Any) -> None:
    for cls in (class_with(kind, id=int, field=annotation) for kind in ("dataclass", "TypedDict")):
        assert pg.sources_of(cls) == {path: R}
        assert pg.untagged(cls) == ("id",)


class Customer(BaseModel):
    id: int
    name: pg.Personal[str, tm.Registration]
    inner: Inner
    sealed: pg.Personal[Inner, tm.Contract]
    forms: list[pg.Personal[str, tm.WebForm]] = []
    note: ClassVar[pg.Personal[str, tm.Contract] | None] = None


class Row(TypedDict):
    name: Required[pg.Personal[str, tm.Registration]]
    customer: NotRequired[Customer]


def test_nested_models_are_read() -> None:
    # What is in a sealed value is a matter of its own label: its fields are not listed one by one.
    assert pg.sources_of(Customer) == {"name": R, "inner.device": D, "sealed": C | D, "forms[]": W}
    assert pg.untagged(Customer) == ("id", "inner.note")
    assert pg.sources_of(Row)["customer.sealed"] is C | D
    assert pg.sources_of(list[Customer])["[].name"] is R
    assert pg.untagged(dict[str, Row]) == ("[].customer.id", "[].customer.inner.note")


def test_an_annotation_alone_is_read() -> None:
    assert pg.sources_of(pg.Personal[str, tm.Registration]) == {"": R}
    assert pg.sources_of(list[pg.Personal[str, tm.Registration]]) == {"[]": R}
    assert pg.sources_of(pg.Personal[str, tm.RenewalGuidance]) == pg.sources_of(pg.Personal) == {}
    assert pg.untagged(pg.Personal[str, tm.Registration]) == ()


class Generic_(BaseModel, Generic[T, S]):
    field: pg.Personal[T, S]


@dataclasses.dataclass
class GenericData(Generic[T, S]):
    field: pg.Personal[T, S]
    items: list[pg.Personal[str, S]]


@attrs.define
class GenericAttrs(Generic[S]):
    field: pg.Personal[Inner, S]


@dataclasses.dataclass
class Bound(GenericData[Inner, tm.Registration]):
    bill: pg.Personal[str, tm.Contract]


def test_type_variables_stand_for_what_they_are_given() -> None:
    for cls in (Generic_, GenericData):
        one: Any = cls
        assert pg.sources_of(one[str, tm.Registration])["field"] is R
        assert pg.sources_of(one[Inner, tm.Registration | tm.Contract])["field"] is R | C | D
        assert "field" not in pg.sources_of(one[str, tm.RenewalGuidance])
        assert pg.sources_of(one) == {}
        assert pg.untagged(one[str, tm.Registration]) == ()
    assert pg.sources_of(GenericData[str, tm.Registration]) == {"field": R, "items[]": R}
    assert pg.sources_of(GenericAttrs[tm.Registration]) == {"field": R | D}
    assert pg.sources_of(GenericAttrs[Any]) == {"field": D}
    assert pg.sources_of(Bound) == {"field": R | D, "items[]": R, "bill": C}


def test_shapes_unite() -> None:
    shape = read_shape(pg.Personal[str, tm.Registration]) | read_shape(Annotated[str, tm.Contract])
    assert shape.sealed
    assert (shape.labels(), shape.seals(), shape.all_labels()) == ({"": C}, {"": R}, {"": R | C})
    assert shape.holds_seals
    assert shape.has_tags
    assert shape.has_fields
    nothing = read_shape(dict[str, int])
    assert not nothing.holds_seals
    assert not nothing.has_tags
    assert nothing.label_of_all() is None


class Node(BaseModel):
    name: pg.Personal[str, tm.Registration]
    device: Annotated[str, tm.ProductData] = "d"
    below: list[Node] = []
    sealed: pg.Personal[list[Node], tm.Contract] | None = None


def test_models_that_hold_themselves_are_read_once() -> None:
    assert pg.sources_of(Node) == {"name": R, "device": D, "sealed": R | C | D}
    assert pg.Personal(Node(name=pg.Personal("n", tm.Registration)), tm.WebForm).label is R | C | D | W


class Unresolved(BaseModel):
    field: pg.Personal[Missing, tm.Registration]  # type: ignore[name-defined]  # noqa: F821  # never defined


def test_what_is_not_resolved_is_said() -> None:
    for ask in (pg.sources_of, pg.untagged):
        with pytest.raises(pg.UnlabelledData, match="`Missing` cannot be resolved"):
            ask(Unresolved)
