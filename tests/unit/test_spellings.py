"""Every way to write a tag in an annotation: it is read, or it is refused; none is passed over."""

# No `from __future__ import annotations`: what is written as a text here is meant to be one.
import dataclasses
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Final, ForwardRef, Literal, NewType, Optional, TypedDict

import annotated_types
import attrs
import pytest
import typing_extensions as te
from pydantic import BaseModel, Field, StringConstraints

import purposeguard as pg
from purposeguard.adapters.tags import Tag
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.parameters import read_parameter_shapes, unite_shape_labels
from purposeguard.values.type_schema import Shape
from purposeguard.values.walk import ArgumentScan
from tests.unit import pep563
from tests.unit.models import KINDS, C, D, Email, R, T, class_with, guard

Alias = te.TypeAliasType("Alias", Email)
ListOf = te.TypeAliasType("ListOf", list[Annotated[T, tm.ProductData]], type_params=(T,))
AliasOfWrong = te.TypeAliasType("AliasOfWrong", Annotated[str, [tm.Registration]])
Nick = NewType("Nick", Email)
BOTH: Any = (tm.Registration, tm.Contract)


class Keys(TypedDict):
    email: Email


class Grouped(annotated_types.GroupedMetadata):
    def __iter__(self) -> Iterator[object]:
        yield tm.Registration


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


EVERY = KINDS
DATACLASS = ("dataclass",)
TYPED_DICT = ("TypedDict",)

READ: dict[str, tuple[Any, dict[str, pg.Label], tuple[str, ...]]] = {
    "a tag": (Email, {"it": R}, EVERY),
    "several tags": (Annotated[str, tm.Registration, tm.Contract], {"it": R | C}, EVERY),
    "several, unpacked": (Annotated[str, *BOTH], {"it": R | C}, EVERY),
    "a label": (Annotated[str, R | C], {"it": R | C}, EVERY),
    "Annotated in Annotated": (Annotated[Email, tm.Contract], {"it": R | C}, EVERY),
    "beside what others say": (Annotated[str, tm.Registration, Field(max_length=3)], {"it": R}, EVERY),
    "behind what others say": (Annotated[str, StringConstraints(max_length=3), tm.Registration], {"it": R}, EVERY),
    "beside a text": (Annotated[str, "how to reach them", tm.Registration], {"it": R}, EVERY),
    "beside Doc": (Annotated[str, te.Doc("1.1(b)"), tm.Registration], {"it": R}, EVERY),
    "Optional": (Optional[Email], {"it": R}, EVERY),  # noqa: UP045
    "a union": (Email | int | None, {"it": R}, EVERY),
    "a list": (list[Email], {"it[]": R}, EVERY),
    "the keys of a mapping": (dict[Email, int], {"it": R}, EVERY),
    "an alias": (Alias, {"it": R}, EVERY),
    "a generic alias": (ListOf[str], {"it[]": D}, EVERY),
    "NewType": (Nick, {"it": R}, EVERY),
    "a text": ("Email", {"it": R}, EVERY),
    "a text in Annotated": (Annotated["str", tm.Registration], {"it": R}, EVERY),
    "a text around Annotated": ("Annotated[str, tm.Registration]", {"it": R}, EVERY),
    "a text in a list": (list["Email"], {"it[]": R}, EVERY),
    "ForwardRef": (ForwardRef("Email", module=__name__), {"it": R}, EVERY),
    "Final": (Final[Email], {"it": R}, DATACLASS),
    "Required": (te.Required[Email], {"it": R}, TYPED_DICT),
    "NotRequired": (te.NotRequired[Email], {"it": R}, TYPED_DICT),
    "ReadOnly": (te.ReadOnly[Email], {"it": R}, TYPED_DICT),
    "Annotated around Required": (Annotated[te.Required[str], tm.Registration], {"it": R}, TYPED_DICT),
    "all of them": (te.NotRequired[te.ReadOnly[Annotated[Alias, tm.Contract]]], {"it": R | C}, TYPED_DICT),
    "a seal": (pg.Personal[str, tm.Registration], {"it": R}, ("pydantic", "dataclass", "attrs")),
    "not personal": (Annotated[str, pg.NotPersonal], {"it": pg.Label(pg.NotPersonal)}, EVERY),
    # Nothing of it is a tag.
    "a plain type": (str, {}, EVERY),
    "what others say": (Annotated[str, Field(max_length=3), annotated_types.Len(1), 5, ("it", 1), "note"], {}, EVERY),
    "a text that is no id": (Annotated[str, "page 3 of the form, or 4"], {}, EVERY),
    "a list that holds itself": (Annotated[str, CIRCLE], {}, EVERY),
    "a unit": (Annotated[float, "km/h"], {}, EVERY),
    "the class of a source": (type[tm.Registration], {}, DATACLASS),
    "a function over it": (Callable[[Email], Email], {}, DATACLASS),
    "a literal": (Literal["1.1(a)"], {}, EVERY),
}  # fmt: skip

REFUSED: dict[str, Any] = {
    "an id": Annotated[str, "1.1(b)"],
    "an id, written otherwise": Annotated[str, "１．１（ｂ）"],
    "an id of no notice that is loaded": Annotated[str, "7.4(c)"],
    "the name of a source": Annotated[str, "ProductData"],
    "the slug of a source": Annotated[str, "product-data"],
    "the id of a purpose": Annotated[str, "1.2(1)①"],
    "the name of a purpose": Annotated[str, "RenewalGuidance"],
    "not-personal": Annotated[str, "not-personal"],
    "an id beside a tag": Annotated[str, tm.Registration, "1.1(b)"],
    "a list": Annotated[str, [tm.ProductData]],
    "a list beside a tag": Annotated[str, tm.Registration, [tm.ProductData]],
    "a tuple": Annotated[str, tm.Registration, (tm.ProductData, tm.Contract)],
    "a set": Annotated[str, {tm.ProductData}],
    "a frozenset": Annotated[str, frozenset({tm.ProductData})],
    "a deque": Annotated[str, deque([tm.ProductData])],
    "a dict": Annotated[str, {"source": tm.ProductData}],
    "the keys of a dict": Annotated[str, {tm.ProductData: 1}],
    "a list of ids": Annotated[str, ["1.1(b)"]],
    "a list in a tuple": Annotated[str, ("x", [R])],
    "a list of marks": Annotated[str, [pg.Subject]],
    "grouped": Annotated[str, Grouped()],
    "an iterator": Annotated[str, iter([tm.ProductData])],
    "an iterator without an end": Annotated[str, itertools.repeat(tm.ProductData)],
    "a union": Annotated[str, tm.Registration | tm.ProductData],
    "a family": Annotated[str, tm.AnyProductGuidance],
    "Optional": Annotated[str, Optional[tm.ProductData]],  # noqa: UP045
    "in brackets": Annotated[str, list[tm.ProductData]],
    "Literal": Annotated[str, Literal["1.1(b)"]],
    "Annotated in it": Annotated[str, Annotated[str, tm.ProductData]],
    "an instance": Annotated[str, object.__new__(tm.ProductData)],
    "the tag of a column": Annotated[str, Tag(D)],
    "a sealed value": Annotated[str, pg.Personal("x", tm.ProductData)],
    "the class of labels": Annotated[str, pg.Label],
    "the notice": Annotated[str, tm.NOTICE],
    "deep inside": list[dict[str, Annotated[str, "1.1(b)"] | None]],
    "in an alias": AliasOfWrong,
    "a source for a type": tm.ProductData,
    "a source in a list": list[tm.ProductData],
    "a source in a union": str | tm.ProductData,
    "a source, tagged": Annotated[tm.ProductData, tm.Registration],
}


@pytest.mark.parametrize(
    ("kind", "spelling"),
    [(kind, spelling) for spelling, (_, _, kinds) in READ.items() for kind in kinds],
    ids=lambda part: part,
)
def test_what_is_understood_is_read(kind: str, spelling: str) -> None:
    annotation, expected, _ = READ[spelling]
    cls = class_with(kind, it=annotation)
    names = {"Email": Email, "Annotated": Annotated, "tm": tm}
    assert pg.sources_of(cls, names) == expected
    assert pg.untagged(cls, names) == (() if expected else ("it",))


NO_SCHEMA = {"a sealed value", "a source for a type", "a source in a list", "a source in a union", "a source, tagged"}
"""What pydantic refuses by itself."""


@pytest.mark.parametrize(
    ("kind", "spelling"),
    [(kind, one) for one in REFUSED for kind in EVERY if not (kind == "pydantic" and one in NO_SCHEMA)],
    ids=lambda part: part,
)
def test_what_is_not_understood_is_refused(kind: str, spelling: str) -> None:
    cls = class_with(kind, it=REFUSED[spelling])
    for ask in (pg.sources_of, pg.untagged):
        with pytest.raises(pg.UnlabelledData, match=r"Row\.it: ") as refused:
            ask(cls)
        assert "1.1(b)" not in str(refused.value)


def test_modules_whose_annotations_are_texts() -> None:
    for model in (pep563.Data, pep563.Model, pep563.Row):
        assert pg.sources_of(model) == {"email": R}
    with pytest.raises(pg.UnlabelledData, match=r"Wrong\.email: "):
        pg.sources_of(pep563.Wrong)
    with pytest.raises(pg.UnlabelledData, match=r"Plain\.email"):
        pg.sources_of(pep563.Plain)


@dataclasses.dataclass
class OfClass:
    name: Email
    kind: ClassVar[Annotated[str, tm.ProductData]] = "k"


@dataclasses.dataclass
class OfInit:
    name: Email
    seed: dataclasses.InitVar[Annotated[str, tm.ProductData]] = "s"


@attrs.define
class OfAttrs:
    name: Email
    kind: ClassVar[list[Annotated[str, tm.ProductData]]] = []


class OfModel(BaseModel):
    name: Email
    kind: ClassVar[Annotated[str, tm.ProductData]] = "k"


@dataclasses.dataclass
class InMetadata:
    email: Email
    device: str = dataclasses.field(default="", metadata={"purposeguard": tm.ProductData})


@attrs.define
class InAttrsMetadata:
    email: Email
    device: str = attrs.field(default="", metadata={"source": tm.ProductData})


class InSchema(BaseModel):
    email: Email
    device: str = Field("", json_schema_extra={"purposeguard": "1.1(b)"})


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ((OfClass, OfInit, OfAttrs, OfModel), r": `\w+` is tagged and is no field"),
        ((InMetadata, InAttrsMetadata, InSchema), r"\.device: a tag stands in the metadata"),
    ],
    ids=["no field", "metadata"],
)
def test_a_tag_where_no_field_is_annotated_is_refused(models: tuple[type, ...], said: str) -> None:
    for model in models:
        with pytest.raises(pg.UnlabelledData, match=model.__name__ + said):
            pg.sources_of(model)


@dataclasses.dataclass
class Kept:
    email: Email = dataclasses.field(metadata={"doc": "1.1(b)"})


class KeptModel(BaseModel):
    email: Email = Field(json_schema_extra={"version": "1.0"})


def test_other_metadata_is_left_alone() -> None:
    assert pg.sources_of(Kept) == pg.sources_of(KeptModel) == {"email": R}


@dataclasses.dataclass
class Person:
    email: Email
    parent: te.Self | None = None
    children: list[te.Self] = dataclasses.field(default_factory=list)


class PersonModel(BaseModel):
    email: Email
    children: list[te.Self] = []


@dataclasses.dataclass
class Employee(Person):
    device: Annotated[str, tm.ProductData] = ""


def test_self_is_the_class() -> None:
    for model in (Person, PersonModel):
        assert pg.sources_of(model) == {"email": R}
        assert "children" in pg.untagged(model)  # The number of children is not tagged.
    child = Employee("c@example.com", device="d")
    with guard.purpose(tm.RenewalGuidance) as use:
        kept = use.withhold(Employee("e@example.com", children=[child], device="d"))
        assert kept.children[0].email == "c@example.com"
        with pytest.raises(pg.PurposeViolation):
            kept.children[0].device  # noqa: B018  # withheld

    def load(key: int) -> te.Self:  # type: ignore[misc]  # outside a class
        raise NotImplementedError

    with pytest.raises(pg.UnlabelledData, match="write its name"):
        guard.access(load)


def test_unpack_is_read_where_arguments_are_handed_over() -> None:
    @guard.access
    def load() -> te.Unpack[Keys]:  # type: ignore[valid-type]  # no place for it, and read all the same
        raise NotImplementedError

    assert guard.accesses[-1].label is R
    assert read_parameter_shapes(lambda **more: more, None) == {"more": Shape(items=Shape(), keys=Shape())}

    def send(*pair: *tuple[Email, int], **more: te.Unpack[Keys]) -> None: ...

    shapes = read_parameter_shapes(send, None)
    assert unite_shape_labels({"pair": shapes["pair"]}) is R
    assert shapes["more"].labels() == {"email": R}
    handed = ArgumentScan()
    handed.scan_argument({"email": "aiko@example.com"}, shapes["more"], "more")
    assert handed.labels == {R}


@pytest.mark.parametrize(
    "wrong", [Annotated[str, "1.1(b)"], Annotated[str, tm.Registration, [tm.ProductData]]], ids=["id", "list"]
)
def test_it_is_refused_where_it_is_used(wrong: Any) -> None:
    def load() -> Any: ...

    def send(email: Any) -> None: ...

    row: Any = class_with("dataclass", it=wrong)
    containers: Any = (list, dict)
    for annotation in (wrong, row, containers[0][row], containers[1][str, wrong]):
        load.__annotations__ = {"return": annotation}
        send.__annotations__ = {"email": annotation}
        for decorate in (guard.access, guard.access(withhold=True), guard.access(tm.Registration)):
            with pytest.raises(pg.UnlabelledData, match="meant as a tag"):
                decorate(load)
        with pytest.raises(pg.UnlabelledData, match="meant as a tag"):
            unite_shape_labels(read_parameter_shapes(send, None))
    with pytest.raises(pg.UnlabelledData, match="meant as a tag"):
        pg.Personal([row("x")], tm.Registration)
    with guard.purpose(tm.RenewalGuidance) as use:
        with pytest.raises(pg.UnlabelledData, match="meant as a tag"):
            use.withhold(row("x"))
        with pytest.raises(pg.UnlabelledData, match="meant as a tag"):
            use.withhold(["x"], like=containers[0][wrong])
