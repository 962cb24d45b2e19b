"""Twins: other values in the fields that are named, the very same ones in all others, valid as a whole."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing._models import few_valued
from purposeguard.testing._places import places
from purposeguard.testing.strategies import instances, twins
from purposeguard.testing.values import simplest
from tests.support import smallest
from tests.testing.strategies.models import (
    MODELS,
    Address,
    Aliased,
    Attributes,
    Frozen,
    Keys,
    Nested,
    Plain,
    Row,
    Sealed,
    Together,
    Tree,
    name_of,
)

every_model = pytest.mark.parametrize("model", MODELS, ids=map(name_of, MODELS))


def content(instance: Any, model: Any) -> dict[str, list[Any]]:
    """Path → what is there, of everything that holds nothing that has a path of its own."""
    found: dict[str, list[Any]] = {}
    for place in places(instance, model):
        if not place.shape.models and place.shape.items is None:
            found.setdefault(place.path, []).append(place.content)
    return found


def within(path: str, fields: set[str]) -> bool:
    return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in fields)


@every_model
@settings(max_examples=6)
@given(data=st.data())
def test_a_twin_differs_where_it_is_told_to_and_nowhere_else(model: Any, data: st.DataObject) -> None:
    made = data.draw(instances(model))
    paths = sorted(set(pg.sources_of(model)) - {"initials"})
    fields = set(data.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3, unique=True)))
    twin = data.draw(twins(made, fields, model))
    assert type(twin) is type(made)
    before, after = content(made, model), content(twin, model)
    for path in before.keys() - {one for one in before if within(one, fields)}:
        assert len(before[path]) == len(after[path])
        assert all(one is other for one, other in zip(before[path], after[path], strict=True)), path
    # A field that is not set has its default.
    unset = set(made.model_fields_set - twin.model_fields_set) if isinstance(made, BaseModel) else set()
    few = few_valued(model) | unset
    for path in fields & before.keys() & after.keys() - few:
        if len(before[path]) == len(after[path]):
            assert all(one is not other and one != other for one, other in zip(before[path], after[path], strict=True))
    if isinstance(made, BaseModel) and not isinstance(made, pg.PersonalModel):
        assert twin.model_fields_set >= made.model_fields_set - fields


def test_few_values_are_told_apart_as_well() -> None:
    made = simplest(instances(Plain))
    for _ in range(5):
        twin = simplest(twins(made, ["vip", "colour", "plan"]))
        assert (twin.vip, twin.colour, twin.plan) != (made.vip, made.colour, made.plan)
        assert twin.vip is not made.vip
        assert twin.colour is not made.colour
        assert twin.plan != made.plan


def test_what_holds_together_stays_so() -> None:
    @settings(max_examples=30)
    @given(data=st.data())
    def hold(data: st.DataObject) -> None:
        made = data.draw(instances(Together))
        twin = data.draw(twins(made, ["first", "device"]))
        assert twin.first <= twin.last
        assert twin.last is made.last
        assert twin.device != made.device
        other = data.draw(twins(made, ["email", "repeated"]))
        assert other.email == other.repeated != made.email

    hold()


def test_frozen_models_slots_and_aliases() -> None:
    aliased = simplest(instances(Aliased))
    twin = simplest(twins(aliased, ["city"]))
    assert (twin.name, twin.device) == (aliased.name, aliased.device)
    assert twin.city != aliased.city
    frozen: Any = simplest(instances(Frozen))
    other = simplest(twins(frozen, ["phone", "name"]))
    assert other.phone is not frozen.phone
    assert other.device is frozen.device
    assert other.made == frozen.made == 3


def test_a_seal_keeps_its_own_label() -> None:
    made = simplest(instances(Sealed))
    narrower = made.model_copy(update={"age": Personal(30, tm.Registration)})
    twin = simplest(twins(narrower, ["age", "name"]))
    assert twin.age.label is pg.Label(tm.Registration)
    assert twin.name.label is made.name.label
    with pg.Guard(tm.NOTICE).purpose(tm.RenewalGuidance) as use:
        assert use.open(twin.age) != 30
        assert 0 <= use.open(twin.age) <= 120
        assert use.open(twin.name) != use.open(made.name)
    assert twin.devices is made.devices


def test_what_is_not_there_stays_away() -> None:
    made = simplest(instances(Nested))
    assert made.work is None
    assert made.others == []
    twin = simplest(twins(made, ["work.city", "others[].city"]))
    assert twin is made
    row: Keys = {"name": "x", "address": Address(city="a", zip="b")}  # type: ignore[arg-type]
    assert "device" not in simplest(twins(row, ["device", "name"], Keys))


def test_the_other_kinds_of_models() -> None:
    row = Row("Aiko", "d-1", 5)
    twin = simplest(twins(row, ["device"]))
    assert (twin.name, twin.number) == ("Aiko", 5)
    assert twin.device != "d-1"
    attributes = simplest(instances(Attributes))
    other = simplest(twins(attributes, ["_name", "device"]))
    assert other._name != attributes._name
    assert other.age == attributes.age
    tree = smallest(instances(Tree), lambda tree: bool(tree.children))
    renamed = simplest(twins(tree, ["name"]))
    assert renamed.children is tree.children


def test_the_twin_of_a_list() -> None:
    found = [Address(city="a", zip="b"), Address(city="c", zip="d")]  # type: ignore[arg-type]
    twin = simplest(twins(found, ["[].city"], list[Address]))
    assert [one.zip for one in twin] == ["b", "d"]
    assert all(one.city != other.city for one, other in zip(found, twin, strict=True))


def test_what_was_worked_out_is_worked_out_anew() -> None:
    import functools

    class Cached(BaseModel):
        name: Annotated[str, tm.Registration]

        @functools.cached_property
        def shout(self) -> str:
            return self.name.upper() + "!"

    made = Cached(name="Aiko")
    assert made.shout == "AIKO!"
    twin = simplest(twins(made, ["name"]))
    assert twin.shout == f"{twin.name.upper()}!" != "AIKO!"


def test_fields_that_are_none_are_refused() -> None:
    made = simplest(instances(Plain))
    with pytest.raises(ValueError, match="`nmae` is no tagged field"):
        twins(made, ["nmae"])
    with pytest.raises(ValueError, match="no fields were named"):
        twins(made, [])
