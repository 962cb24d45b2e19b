"""Neither a seal nor what decides about it can be bent under its own name: classes, attributes, labels, look-alikes."""

from __future__ import annotations

import copyreg
import inspect
import types
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

import purposeguard as pg
from purposeguard import derive
from purposeguard.notices import trendmicro_jp as tm
from tests.bypass.seal_looking import TEXT, guard, leaks, opened, quiet, seal

Personal: Any = pg.Personal
BASES = [cls for cls in Personal.__mro__ if type(cls).__name__ == "SealedMeta"]


def evil(*_: object, **__: object) -> Any:
    return pg.Label(pg.NotPersonal)


@pytest.mark.parametrize("cls", BASES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize(
    "name",
    [
        "map", "zip", "collect", "label", "_sealed_label", "_plain", "__repr__", "__new__", "__getattr__", "new",
        "__slots__",
    ],
)  # fmt: skip
def test_no_attribute_of_the_class_can_be_set_or_removed(cls: Any, name: str) -> None:
    before = dict(vars(cls))
    for change in (lambda: setattr(cls, name, evil), lambda: delattr(cls, name)):
        with pytest.raises(AttributeError):
            change()
    assert dict(vars(cls)) == before


def test_no_attribute_of_a_value_can_be_set_or_removed() -> None:
    one: Any = seal()
    for name in ("label", "_sealed_label", "_plain", "__class__", "__dict__", "map", "anything"):
        for change in (lambda name=name: setattr(one, name, evil()), lambda name=name: delattr(one, name)):
            with pytest.raises(AttributeError):
                change()
    assert one.label == pg.Label(tm.Registration)


def test_the_class_of_a_value_cannot_be_assigned() -> None:
    class Mine: ...

    class Open:
        __slots__ = ("_plain", "_sealed_label", "label")

    for other in (Mine, Open, str, object):
        one: Any = seal()
        with pytest.raises((AttributeError, TypeError)):
            one.__class__ = other
        with pytest.raises((AttributeError, TypeError)):
            object.__setattr__(one, "__class__", other)
        assert type(one) is Personal


def test_the_descriptor_of_the_value_is_on_no_class() -> None:
    for cls in Personal.__mro__:
        assert "_plain" not in vars(cls)
        assert quiet(lambda cls=cls: inspect.getattr_static(cls, "_plain")).startswith("AttributeError")  # type: ignore[misc]  # a lambda with a default
    assert copyreg._slotnames(Personal) == ["label"]  # type: ignore[attr-defined]  # what copy and pickle ask


def quietly(_: Any, /, *args: object, **kwargs: object) -> None:
    """An `__init_subclass__` that asks no other."""


SUBCLASSES: dict[str, Callable[[], Any]] = {
    "class": lambda: types.new_class("Mine", (Personal,)),
    "of an alias": lambda: types.new_class("Mine", types.resolve_bases((Personal[str, tm.Registration],))),
    "by type": lambda: type(Personal)("Mine", (Personal,), {}),
    "by type itself": lambda: type.__new__(type(Personal), "Mine", (Personal,), {"label": property(evil)}),
    "with other slots": lambda: type(Personal)("Mine", (Personal,), {"__slots__": ("_plain",)}),
    "with another base": lambda: type(Personal)("Mine", (Fake, Personal), {}),
}


@pytest.mark.parametrize("name", list(SUBCLASSES))
def test_there_is_no_subclass(name: str) -> None:
    with pytest.raises(TypeError, match="Personal is final"):
        SUBCLASSES[name]()


def test_a_subclass_that_got_round_that_opens_nothing_and_sees_nothing() -> None:
    first = type("First", (), {"__init_subclass__": classmethod(quietly)})
    cls = type(Personal)("Mine", (first, Personal), {"label": property(evil), "__slots__": ("_plain", "more")})
    mine: Any = cls(TEXT, tm.ProductData)
    assert leaks(mine) == []
    for purpose in (tm.RenewalGuidance, "2.3①"):
        with pytest.raises((TypeError, pg.PurposeViolation)) as caught:
            opened(mine, purpose)
        assert leaks(caught.value, frames="purposeguard") == []


def test_a_value_without_a_value_is_no_way_in() -> None:
    bare = object.__new__(Personal)
    for ask in (repr, lambda one: one.label, opened, lambda one: one.map(str), lambda one: one.zip(seal())):
        with pytest.raises((pg.SealedValue, AttributeError)):
            ask(bare)


def test_restoring_another_s_state_makes_no_seal() -> None:
    state = object.__getstate__(seal())
    assert leaks(state) == []
    bare = object.__new__(Personal)
    with pytest.raises(pg.SealedValue):
        bare.__setstate__(state)


class Fake:
    """Has what a use asks a value for on its way."""

    def __init__(self) -> None:
        self.label = self._sealed_label = pg.Label(tm.Registration)
        self._plain = TEXT


@pytest.mark.parametrize(
    "fake",
    [TEXT, None, Fake(), mock.Mock(spec=Personal), mock.MagicMock(), object()],
    ids=lambda one: type(one).__name__,
)
def test_what_only_looks_like_a_sealed_value_is_not_opened(fake: Any) -> None:
    opened(seal())  # so that the label is known to be allowed
    with guard.purpose(tm.RenewalGuidance) as use:
        for ask in (use.open, lambda one: use.open_all([seal(), one]), lambda one: use.try_open(one, 1)):
            with pytest.raises(TypeError, match="takes sealed values"):
                ask(fake)
    for combine in (
        lambda: seal().zip(fake),
        lambda: Personal.collect([seal(), fake]),
        lambda: tm.link_usage(fake, seal()),
    ):
        with pytest.raises(TypeError, match="takes sealed values"):
            combine()


def test_a_label_is_not_widened_by_sealing_again() -> None:
    """Sealed a second time under another source, what is inside stays sealed under its own."""
    inner = seal(TEXT, tm.ProductData)
    again = seal(inner, tm.Registration)
    assert opened(again) is inner
    assert opened(seal([{"one": inner}]))[0]["one"] is inner
    with pytest.raises(pg.PurposeViolation):
        opened(opened(again))


def test_a_sealed_value_given_by_a_function_stays_sealed() -> None:
    device = seal(TEXT, tm.ProductData)
    assert opened(seal("key").map(lambda _: device)) is device
    same = seal()
    assert opened(same.map(lambda _: same)) is same


@pytest.mark.parametrize("name", ["sources", "__class__", "anything"])
def test_a_label_is_not_changed(name: str) -> None:
    label: Any = seal(TEXT, tm.ProductData).label
    with pytest.raises((AttributeError, TypeError)):
        setattr(label, name, frozenset({tm.Registration}))
    with pytest.raises(pg.PurposeViolation):
        opened(seal(TEXT, label))


def test_sources_made_by_hand_open_nothing() -> None:
    meta: Any = type(tm.ProductData)
    forged = [
        meta("Registration", (tm.Registration,), {}),
        meta("Laundered", (tm.ProductData, pg.NotPersonal), {}),
        meta("Both", (tm.ProductData, tm.Registration), {"clause": "1.1(a)"}),
        meta("Registration", (pg.Source,), {"clause": "1.1(a)", "slug": "registration", "title": {}}),
    ]

    @guard.reclassify(tm.Registration, tm.ProductData, to=pg.NotPersonal, why="to be got round")
    def anonymous(value: str) -> str:
        return value

    for source in forged:
        one = seal(TEXT, source)
        for ask in (
            opened,
            anonymous,
            lambda given: tm.link_usage(given, seal()),
            lambda given: derive(tm.NOTICE, "link", seal(TEXT, tm.Cookie), given),
        ):
            with pytest.raises(pg.UnknownTerm):
                ask(one)


def test_a_use_takes_no_attributes() -> None:
    with guard.purpose("2.3①") as use:
        for name in ("open", "allows", "purpose", "activity", "anything"):
            with pytest.raises(AttributeError):
                setattr(use, name, evil)
        with pytest.raises(pg.PurposeViolation):
            use.open(seal())
