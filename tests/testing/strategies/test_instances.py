"""Instances of tagged models: valid, whole, marked where they are personal."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol, get_args, get_origin

import pytest
import typing_extensions
from hypothesis import find, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing._places import places
from purposeguard.testing.strategies import instances
from purposeguard.testing.values import Markers, simplest, texts_of
from purposeguard.values.sealed import compute_plain_value
from tests.testing.strategies.models import MODELS, Aliased, Base, Frozen, Keys, Nested, Plain, Sealed, Tree, name_of


class Odd(Protocol):
    def something(self) -> int: ...


@dataclasses.dataclass
class Inner:
    odd: Odd


@dataclasses.dataclass
class Outer:
    inner: Inner


@dataclasses.dataclass
class Open:
    seal: Personal[str, Any]


every_model = pytest.mark.parametrize("model", MODELS, ids=map(name_of, MODELS))
some = settings(max_examples=7)


def is_of(value: Any, model: Any) -> bool:
    if get_origin(model) in (list, dict):
        items = value.values() if isinstance(value, dict) else value
        return isinstance(value, get_origin(model)) and all(is_of(one, get_args(model)[-1]) for one in items)
    cls = get_origin(model) or model
    if typing_extensions.is_typeddict(cls):
        return isinstance(value, dict) and cls.__required_keys__ <= set(value) <= set(cls.__annotations__)
    return type(value) is cls


@every_model
@some
@given(data=st.data())
def test_an_instance_is_of_its_model(model: Any, data: st.DataObject) -> None:
    made = data.draw(instances(model))
    assert is_of(made, model)
    if isinstance(model, type) and issubclass(model, BaseModel) and not issubclass(model, pg.PersonalModel):
        for name in type(made).model_fields:
            assert name in made.__dict__


@every_model
@some
@given(data=st.data())
def test_what_is_personal_is_marked(model: Any, data: st.DataObject) -> None:
    markers = Markers()
    made = data.draw(instances(model, markers))
    labels = pg.sources_of(model)
    present = {place.path for place in places(made, model) if place.path in labels and place.content is not None}
    assert {mark.field for mark in markers} - {"for_renewal"} == present
    for mark in markers:
        assert mark.label is labels.get(mark.field, mark.label)
        assert mark.texts in ((), texts_of(mark.value))
    # Nothing that is personal is missing: no key, no item, no value.
    computed = {"initials"}
    assert set(labels) - present <= computed


@every_model
def test_marks_are_unlike_each_other(model: Any) -> None:
    markers = Markers()
    for _ in range(3):
        markers.instance(model)
    seen: dict[str, str] = {}
    for mark in markers:
        for text in mark.texts:
            field = seen.setdefault(text, mark.field)
            fields = {field, mark.field}
            assert seen_once(text, markers) or fields <= {"email", "repeated", "first", "last"}, (text, fields)


def seen_once(text: str, markers: Markers) -> bool:
    return sum(text in mark.texts for mark in markers) == 1


def test_what_cannot_be_known_again_is_said() -> None:
    markers = Markers()
    markers.instance(Plain)
    unrecognisable = {mark.field for mark in markers if not mark.recognisable}
    assert unrecognisable == {"vip", "colour", "plan"}


def test_a_marked_instance_is_the_same_in_every_run() -> None:
    one, other = Markers(), Markers()
    assert one.instance(Plain) == other.instance(Plain)
    assert [mark.value for mark in one] == [mark.value for mark in other]
    assert Markers("elsewhere").instance(Plain) != Markers().instance(Plain)


def test_given_fields_are_given() -> None:
    markers = Markers()
    made = markers.instance(Plain, id=7, name="Aiko")
    assert (made.id, made.name) == (7, "Aiko")
    assert "name" not in {mark.field for mark in markers}
    drawn = simplest(instances(Plain, name=st.just("Aiko")))
    assert drawn.name == "Aiko"
    with pytest.raises(TypeError, match="Plain has no field `nmae`"):
        markers.instance(Plain, nmae="Aiko")


def test_an_existing_instance_is_marked() -> None:
    plain_one = Nested.model_construct(**{**dict(simplest(instances(Nested))), "alias": "before"})
    markers = Markers()
    marked = markers.mark(plain_one)
    assert marked.alias != "before"
    assert markers["alias"].value == marked.alias
    assert marked.pair[1] == plain_one.pair[1]
    row: Keys = {"name": "Aiko", "address": simplest(instances(Nested)).home}
    found = markers.mark(row, Keys)
    assert found["name"] == markers["name"].value != "Aiko"
    assert set(found) == set(row)


def test_seals_are_under_the_label_of_their_field() -> None:
    markers = Markers()
    made = markers.instance(Sealed)
    assert made.name.label is pg.Label(tm.Registration)
    assert made.age.label is pg.Label(tm.Registration, tm.Contract)
    assert made.address.label is pg.Label(tm.Registration, tm.WebContact)
    assert made.email is not None
    assert tm.RenewalGuidance in next(iter(made.for_renewal.label)).__mro__
    assert compute_plain_value(made.name) == markers["name"].value
    assert markers["for_renewal"].label is made.for_renewal.label
    assert markers["address"].texts == (compute_plain_value(made.address).city, compute_plain_value(made.address).zip)
    use = pg.Guard(tm.NOTICE)
    with use.purpose(tm.RenewalGuidance) as under_way:
        assert under_way.open(made.name) == markers["name"].value


def test_models_within_themselves_end() -> None:
    def depth(tree: Tree) -> int:
        return 1 + max(map(depth, [*tree.children, *([tree.parent] if tree.parent else [])]), default=0)

    assert depth(find(instances(Tree), lambda tree: depth(tree) >= 2)) == 2


def test_the_simplest_is_simple() -> None:
    found = simplest(instances(Aliased))
    assert (found.name, found.city, found.device) == ("", "", "")
    frozen: Any = simplest(instances(Frozen))
    assert (frozen.name, frozen.device, frozen.extra, frozen.made) == ("", "", [], 3)
    assert find(instances(Base[int]), lambda one: one.value > 50).value == 51


def test_what_is_not_known_is_said_with_its_place() -> None:
    with pytest.raises(TypeError, match=r"^inner\.odd: no strategy is known"):
        Markers().instance(Outer)
    with pytest.raises(TypeError, match=r"^seal: a sealed field that leaves its sources open"):
        Markers().instance(Open)
