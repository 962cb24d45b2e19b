"""What was withheld appears nowhere, whatever a colleague in a hurry tries."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.bypass.kinds import SENTINEL, Named, kinds
from tests.bypass.render import WAYS, shown
from tests.bypass.seal_looking import guard
from tests.unit.models import Device, Row

NAMES = list(kinds())


def withheld(name: str) -> Any:
    """A withheld copy whose original is gone."""
    value, like = kinds()[name]
    with guard.purpose(tm.RenewalGuidance) as use:
        return use.withhold(value, like)


def original(name: str) -> Any:
    return kinds()[name][0]


@pytest.mark.parametrize("name", NAMES)
def test_the_value_is_there_to_be_found_before_it_is_withheld(name: str) -> None:
    assert any(SENTINEL in shown(way, original(name)) for way in WAYS.values())


@pytest.mark.parametrize("name", NAMES)
def test_no_way_shows_what_is_withheld(name: str) -> None:
    assert [way for way, ask in WAYS.items() if SENTINEL in shown(ask, withheld(name))] == []


def test_each_way_works_on_some_kind_of_object() -> None:
    """A way that fails on everything would show nothing and prove nothing."""
    for way, ask in WAYS.items():
        assert any(works(ask, original(name)) for name in NAMES), way


def works(ask: Any, one: Any) -> bool:
    try:
        ask(one)
    except Exception:
        return False
    return True


# --- oracles: asking questions whose answers depend on the value


@pytest.mark.parametrize("name", NAMES)
def test_equality_and_hashes_tell_nothing_of_the_value(name: str) -> None:
    one = withheld(name)
    guess = original(name)
    assert one != guess
    assert guess != one
    assert not one == guess  # noqa: SIM201
    assert [one].count(guess) == 0
    try:
        hash(guess)
        hashed = hash(one)
    except TypeError:
        return
    assert hashed != hash(guess)
    assert guess not in {one: 1}


@pytest.mark.parametrize("name", ["ordered dataclass", "frozen slotted dataclass", "frozen attrs", "named tuple"])
def test_ordering_tells_nothing_of_the_value(name: str) -> None:
    one = withheld(name)
    answers = set()
    for guess in ("", "sentinel-5f1c99", SENTINEL, "sentinel-5f1c9b", "zzz"):
        other = dataclasses.replace(original(name), device=guess) if dataclasses.is_dataclass(one) else None
        if other is None:
            other = type(original(name))(email="e", device=guess)
        asked: list[object] = []
        for ask in (lambda: one < other, lambda: one > other, lambda: other < one, lambda: sorted([one, other])):  # noqa: B023
            try:
                asked.append(ask() if ask() in (True, False) else "sorted")
            except (TypeError, pg.PurposeViolation) as error:
                asked.append(type(error).__name__)
        answers.add(repr(asked))
    assert len(answers) == 1


def test_membership_count_and_index_tell_nothing_of_the_value() -> None:
    one = withheld("named tuple")
    assert SENTINEL not in one
    assert one.count(SENTINEL) == 0
    with pytest.raises(ValueError, match="not in tuple"):
        one.index(SENTINEL)


def test_a_truth_value_and_a_length_tell_nothing_of_the_value() -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        for device in ("", SENTINEL):
            one: Any = use.withhold({"email": "e", "device": device}, Row)
            assert (len(one), bool(one), "device" in one) == (1, True, False)
            named = use.withhold(Named("e", device))
            assert (len(named), bool(named)) == (2, True)


def test_setting_and_then_reading_gives_nothing_of_the_original() -> None:
    for name in ("model", "dataclass", "attrs", "row", "default row"):
        one = withheld(name)
        for change in (
            lambda one=one: setattr(one, "device", "mine"),
            lambda one=one: one.__setitem__("device", "mine"),
            lambda one=one: object.__setattr__(one, "device", "mine"),
            lambda one=one: one.__dict__.update(device="mine"),
            lambda one=one: delattr(one, "device"),
            lambda one=one: one.__delitem__("device"),
        ):
            with contextlib.suppress(AttributeError, TypeError, KeyError, pg.PurposeViolation):
                change()
            assert SENTINEL not in shown(repr, one) + shown(vars, one)


def test_restoring_a_copy_s_state_into_a_bare_object_gives_nothing() -> None:
    for name in ("model", "dataclass", "slotted dataclass", "attrs", "attrs without slots"):
        one = withheld(name)
        base = type(original(name))
        bare = object.__new__(base)
        for attribute in ("__dict__", "__pydantic_private__", "__pydantic_extra__", "__pydantic_fields_set__"):
            if hasattr(one, attribute):
                object.__setattr__(bare, attribute, copy.copy(getattr(one, attribute)))
        assert SENTINEL not in shown(repr, bare) + shown(lambda given: given.device, bare)


def test_a_subclass_made_of_the_copy_s_class_reads_no_more() -> None:
    one = withheld("dataclass")
    sub = type("Sub", (type(one),), {"device": property(lambda self: self.__dict__.get("device"))})
    mine = copy.copy(one)
    mine.__class__ = sub
    assert mine.device is None


def test_the_attribute_of_the_copy_s_class_is_no_value() -> None:
    for name in ("model", "dataclass", "attrs", "named tuple"):
        assert SENTINEL not in shown(lambda one: [type(one).device, vars(type(one))["device"]], withheld(name))


def test_the_record_behind_a_copy_holds_no_value() -> None:
    one = withheld("nest")
    record = type(one).__purposeguard_withheld__
    assert SENTINEL not in repr([record.decisions, record.activity, record.function, dict(record.decisions)])


def test_a_web_framework_answers_without_it() -> None:
    app = FastAPI()

    @app.get("/bare", response_model=None)
    def bare() -> Any:
        return withheld("model")

    @app.get("/modelled")
    def modelled() -> Any:
        return withheld("dataclass")

    @app.get("/rows")
    def rows() -> list[Any]:
        return [withheld("row"), withheld("model"), withheld("attrs without slots").__dict__]

    client = TestClient(app)
    for path in ("/bare", "/modelled", "/rows"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert SENTINEL not in answer.text
        assert '"email":"e"' in answer.text


def test_a_refusal_of_the_whole_shows_nothing_of_it() -> None:
    @guard.access(withhold=True)
    def devices() -> list[Device]:
        return [SENTINEL]

    @guard.access(withhold=True)
    async def slow() -> Device:
        return SENTINEL

    def by_use() -> Any:
        return guard.current.withhold([SENTINEL], list[Device])

    def run(fn: Any) -> Any:
        with guard.purpose(tm.RenewalGuidance):
            return fn()

    def drive() -> Any:
        pending = slow()
        try:
            return pending.send(None)
        finally:
            pending.close()

    for fn in (devices, drive, by_use):
        text = shown(run, fn)
        assert "PurposeViolation" in text
        assert SENTINEL not in text
