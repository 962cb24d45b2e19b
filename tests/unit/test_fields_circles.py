"""Classes that hold each other, and type aliases that refer to themselves: read to an end, and no source is lost."""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
import typing_extensions as te
from pydantic import BaseModel, JsonValue

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.type_schema import read_shape
from tests.unit.customers import withheld
from tests.unit.marked_rows import Data as MarkedRow
from tests.unit.marked_rows import reading
from tests.unit.models import Box, Contact, D, Device, Email, P, R, T, guard, lacks


def module_of_classes(count: int, name: str) -> Any:
    """A module with classes, each of which holds two of the others."""
    module: Any = types.ModuleType(name)
    sys.modules[name] = module
    source = "from tests.unit.test_fields_circles import *\n"
    for number in range(count):
        source += (
            f"@dataclasses.dataclass\nclass C{number}:\n"
            f"    field_{number}: {'Device' if number % 2 else 'Email'} = 'x'\n"
            "    note: int = 0\n"
            f"    many: 'list[C{(number + 1) % count}]' = ()\n"
            f"    one: 'C{(7 * number + 3) % count} | None' = None\n"
        )
    exec(source, module.__dict__)  # noqa: S102  # classes that refer to each other by their names
    return module


@pytest.fixture(params=[5, 20, 30])
def classes(request: pytest.FixtureRequest) -> Iterator[Any]:
    name = f"circles_of_{request.param}"
    yield module_of_classes(request.param, name), request.param
    del sys.modules[name]


def test_each_of_many_classes_with_mutual_relations_is_listed(classes: tuple[Any, int]) -> None:
    module, count = classes
    labels = pg.sources_of(module.C0)
    assert {path.rpartition(".")[2] for path in labels} == {f"field_{number}" for number in range(count)}
    assert count <= len(labels) < 2 * count
    untagged = pg.untagged(module.C0)
    assert len([path for path in untagged if path.endswith("note")]) == len(labels)
    assert {path.rpartition(".")[2] for path in untagged} == {"note", "many", "one"}
    assert labels["field_0"] == R
    assert labels["many[].field_1"] == D


def test_what_is_decided_of_classes_with_mutual_relations_is_what_any_of_them_says(classes: tuple[Any, int]) -> None:
    module, _ = classes
    load = reading(guard, module.C0, module.C0)
    with guard.purpose(P), pytest.raises(pg.PurposeViolation):
        load()
    with guard.purpose(tm.ProductProvision):
        load()
    left = withheld(module.C0(many=[module.C1(many=[module.C2(many=[module.C3(note=3)])])]))
    inner = left.many[0].many[0].many[0]
    assert inner.note == 3
    assert lacks(inner, "field_3")


@dataclasses.dataclass
class Person:
    email: Email
    orders: list[Order] = dataclasses.field(default_factory=list)
    friend: Person | None = None


@dataclasses.dataclass
class Address:
    city: Email


@dataclasses.dataclass
class Order:
    billing: Person
    shipping: Person
    device: Device = ""
    here: Address | None = None
    there: Address | None = None


def test_fields_that_hold_the_same_class_are_each_listed_where_it_is_met_first() -> None:
    assert pg.sources_of(Order) == {
        "billing.email": R, "shipping.email": R, "device": D, "here.city": R, "there.city": R,
    }  # fmt: skip
    assert pg.sources_of(Person) == {
        "email": R, "orders[].device": D, "orders[].here.city": R, "orders[].there.city": R,
    }  # fmt: skip
    assert pg.sources_of(list[Person] | Order).keys() == {"[].email", "device", "here.city", "there.city"}


Tree = te.TypeAliasType("Tree", "list[Tree] | dict[str, Tree] | Contact | int")
Rows = te.TypeAliasType("Rows", "list[Rows] | MarkedRow")
Texts = te.TypeAliasType("Texts", "list[Texts] | Device")
Nested = te.TypeAliasType("Nested", "list[Nested[T]] | T", type_params=(T,))
Growing = te.TypeAliasType("Growing", "list[Growing[list[T]]] | T", type_params=(T,))  # type: ignore[misc]  # which is to be refused
Unknown = te.TypeAliasType("Unknown", "list[NotDefined]")  # type: ignore[name-defined]  # noqa: F821
Steps = te.TypeAliasType("Steps", "list[Steps] | Iterator[Contact]")


Boxes = te.TypeAliasType("Boxes", "Box[Boxes] | Contact")
Untold = te.TypeAliasType("Untold", "Box[list[Box[Untold]]] | int")


class Document(BaseModel):
    email: Email
    device: Device
    extra: JsonValue = None


@dataclasses.dataclass
class Holder:
    email: Email
    device: Device
    tree: Tree = 0


def test_json_beside_a_tagged_field_is_a_field_that_says_nothing() -> None:
    assert pg.sources_of(Document) == {"email": R, "device": D}
    assert pg.untagged(Document) == ("extra",)
    extra: Any = {"a": [1, {"b": [[]]}]}
    left = withheld(Document(email="e", device="d", extra=extra))
    assert left.extra == extra
    assert left.model_dump() == {"email": "e", "extra": extra}
    function = reading(guard, JsonValue | Contact, extra, withhold=True)
    with guard.purpose(P):
        assert function() == extra


def test_an_alias_that_refers_to_itself_is_read_to_an_end() -> None:
    assert pg.sources_of(Holder) == {"email": R, "device": D, "tree.email": R, "tree[].email": R}
    assert pg.sources_of(Texts) == {"": D, "[]": D}
    assert pg.sources_of(Nested[Device]) == {"": D, "[]": D}
    assert pg.sources_of(list[Nested[int]] | Contact) == {"email": R}
    assert pg.sources_of(Untold | Contact) == {"email": R}


def test_what_lies_deep_in_an_alias_is_what_the_alias_says() -> None:
    deep: Any = [[{"a": [Contact(email="e")]}]]
    for purpose, allowed in ((P, True), (tm.TrafficAnalysis, False)):
        left = withheld([[Contact(email="e"), deep]], Tree, purpose)
        for contact in (left[0][0], left[0][1][0][0]["a"][0]):
            if allowed:
                assert contact.email == "e"
            else:
                assert lacks(contact, "email")
    # A plain text was not announced at any depth, so it is all that the alias could mean.
    for value in ("t", ["t"], [["t"]], [[["t"]]], [{"a": [["t"]]}]):
        assert withheld(value, Tree) == value
        with pytest.raises(pg.PurposeViolation):
            withheld(value, Tree, tm.TrafficAnalysis)
    with pytest.raises(pg.PurposeViolation):
        withheld([[["d"]]], Texts)
    both = withheld([[[Contact(email="e")]], [["d"]]], Tree | list[list[str]])
    assert both[0][0][0].email == "e"


def test_marked_rows_are_seen_at_any_depth_of_an_alias() -> None:
    with guard.purpose(P):
        assert reading(guard, Rows, [[[MarkedRow(1)]]])() == [[[MarkedRow(1)]]]
        for value in (["t"], [[["t"]]]):
            with pytest.raises(pg.UnlabelledData, match="whom it is about is unknown"):
                reading(guard, Rows, value)()


def test_iterators_deep_in_an_alias_are_asked_at_each_step() -> None:
    def contacts() -> Iterator[Contact]:
        yield Contact(email="e")

    function = reading(guard, Steps, [[contacts()]])
    with guard.purpose(P):
        [[steps]] = function()
    with pytest.raises(pg.PurposeMissing):
        next(steps)


def test_an_alias_without_an_end_is_refused() -> None:
    for annotation, why in (
        (Growing[Device], "Growing refers to itself with ever more arguments"),
        (Boxes, "Boxes refers to itself as an argument of a generic class"),
        (Unknown, "NotDefined.* is not resolved"),
    ):
        with pytest.raises(pg.UnlabelledData, match=why):
            pg.sources_of(annotation)


def test_a_shape_that_repeats_goes_on_in_what_is_derived_from_it() -> None:
    inner = read_shape(Tree).items
    assert inner is not None
    assert inner.repeats
    assert inner.contents is inner
    texts = read_shape(Texts).items
    assert texts is not None
    assert texts.iterated is texts
    rows = (inner | read_shape(list[list[Device]])).contents
    assert rows is not None
    assert (rows.repeats, rows.items) == (True, read_shape(Device))
    assert inner.merge_restated(read_shape(int)).repeats
