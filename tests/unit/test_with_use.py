"""Uses that are asked for: `@guard.purpose(…).with_use`, and the use of a family for one of its members."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.support import in_threads
from tests.unit.samples import Tape, revised
from tests.unit.seals import DEVICE, NAME, Told, words


@pytest.fixture(params=["bare", "told"])
def guard(request: pytest.FixtureRequest) -> pg.Guard:
    return pg.Guard(tm.NOTICE, ledger=Told() if request.param == "told" else None)


def test_a_function_is_given_its_use(guard: pg.Guard) -> None:
    kept: list[pg.Use[Any]] = []

    @guard.purpose(tm.RenewalGuidance, activity="remind").with_use
    def remind(use: pg.Use[tm.RenewalGuidance], value: pg.Personal[str, Any], times: int = 1, *, end: str = "") -> str:
        """Reminds."""
        assert guard.current is use
        kept.append(use)
        return use.open(value) * times + end

    assert remind(NAME) == "name"
    assert remind(value=NAME, times=2, end="!") == "namename!"
    with pytest.raises(pg.PurposeViolation) as refused:
        remind(DEVICE)
    assert refused.value.activity == "remind"
    assert not any(use.active for use in kept)
    assert len(set(map(id, kept))) == 3  # each call has its own
    assert str(inspect.signature(remind)) == (
        "(value: 'pg.Personal[str, Any]', times: 'int' = 1, *, end: 'str' = '') -> 'str'"
    )
    assert (remind.__name__, remind.__doc__) == ("remind", "Reminds.")
    (activity,) = guard.activities
    assert (activity.name, activity.purpose, activity.module) == ("remind", tm.RenewalGuidance, __name__)
    assert activity.qualname == remind.__qualname__
    assert activity.line == inspect.unwrap(remind).__code__.co_firstlineno


def test_a_coroutine_function_is_given_its_use(guard: pg.Guard) -> None:
    @guard.purpose(tm.RenewalGuidance).with_use
    async def remind(use: pg.Use[tm.RenewalGuidance], value: pg.Personal[str, Any]) -> str:
        await asyncio.sleep(0)
        assert guard.current is use
        return use.open(value)

    async def both() -> list[str]:
        return [*await asyncio.gather(remind(NAME), remind(value=NAME))]

    assert inspect.iscoroutinefunction(remind)
    assert asyncio.run(both()) == ["name", "name"]
    assert guard.activities[0].name == f"{__name__}.{remind.__qualname__}"


def generator(use: pg.Use[Any]) -> Iterator[str]:
    yield use.open(NAME)


async def async_generator(use: pg.Use[Any]) -> AsyncIterator[str]:
    yield use.open(NAME)


@pytest.mark.parametrize("fn", [generator, async_generator], ids=["generator", "async-generator"])
def test_generators_ask_for_the_use_of_each_step(fn: Any) -> None:
    with pytest.raises(
        TypeError, match=rf"{fn.__name__} yields, and each of its steps has a use of its own: ask `guard.use"
    ):
        pg.Guard(tm.NOTICE).purpose(tm.RenewalGuidance).with_use(fn)


@pytest.mark.parametrize("thing", [int, "text", None], ids=["class", "text", "none"])
def test_only_functions_are_given_a_use(thing: Any) -> None:
    with pytest.raises(TypeError, match="decorates functions and methods"):
        pg.Guard(tm.NOTICE).purpose(tm.RenewalGuidance).with_use(thing)


def test_a_static_method_is_given_its_use(guard: pg.Guard) -> None:
    give: Any = guard.purpose(tm.RenewalGuidance).with_use

    class Mail:
        @staticmethod
        @give
        def below(use: pg.Use[Any], value: Any) -> Any:
            return use.open(value)

        @give
        @staticmethod
        def above(use: pg.Use[Any], value: Any) -> Any:
            return use.open(value)

    for mail in (Mail, Mail()):
        assert mail.below(NAME) == mail.above(NAME) == "name"


def test_a_method_asks_for_its_use() -> None:
    def remind(self: Any, use: pg.Use[Any]) -> Any: ...
    def remind_all(cls: Any, use: pg.Use[Any]) -> Any: ...

    give: Any = pg.Guard(tm.NOTICE).purpose(tm.RenewalGuidance).with_use

    def of_another_name(kind: Any, use: pg.Use[Any]) -> Any: ...

    for fn in (remind, remind_all, classmethod(remind_all), classmethod(of_another_name)):
        with pytest.raises(TypeError, match=r"guard\.use"):
            give(fn)


WEB: pg.Personal[str, Any] = pg.Personal("web@example.com", pg.Label(tm.WebContact))


def family(guard: pg.Guard) -> Any:
    return guard.purpose(tm.AnyProductGuidance, channel="email", activity="guide")


def test_it_opens_what_the_member_may_use_and_no_more() -> None:
    guard = pg.Guard(tm.NOTICE)
    with family(guard) as whole:
        use = guard.use(tm.ProductGuidance)
        assert whole.open_all([NAME, WEB]) == ["name", "web@example.com"]
        for _ in range(2):  # looked up, and known
            assert use.open(NAME) == "name"
            assert use.open_all([NAME, NAME]) == ["name", "name"]
            assert use.allows(tm.Registration)
            assert not use.allows(tm.WebContact)
            with pytest.raises(pg.PurposeViolation, match=r"product-guidance \(1\.2\(1\)②\) may not use"):
                use.open(WEB)
        assert use.try_open(WEB, None) is None
        assert use.purpose is tm.ProductGuidance
        assert (use.channel, use.activity.name, use.activity.site) == ("email", "guide", whole.activity.site)
        assert guard.current is whole  # what is under way is the family's
        assert guard.use(tm.WebProductGuidance).open(WEB) == "web@example.com"
        with pytest.raises(pg.PurposeMissing):
            guard.use(tm.RenewalGuidance)
    assert guard.activities == (whole.activity,)


def test_it_ends_with_the_familys() -> None:
    guard = pg.Guard(tm.NOTICE)
    with family(guard):
        use = guard.use(tm.ProductGuidance)
        assert use.open(NAME) == "name"
        assert repr(use) == "<Use of guide for 1.2(1)②, active>"
    assert repr(use) == "<Use of guide for 1.2(1)②, not active>"
    for act in (lambda: use.open(NAME), lambda: use.open_all([NAME]), lambda: use.check(tm.Registration)):
        with pytest.raises(pg.PurposeMissing, match="activity guide has ended"):
            act()


def test_it_holds_elsewhere_where_the_familys_is_carried() -> None:
    guard = pg.Guard(tm.NOTICE)
    found: list[object] = []
    with family(guard):
        use = guard.use(tm.ProductGuidance)

        def run() -> None:
            try:
                found.append(use.open(NAME))
            except pg.PurposeMissing as error:
                found.append(words(error))

        for target in (run, guard.carry(run)):
            in_threads([target])
        found.append(guard.carry(lambda: guard.use(tm.ProductGuidance).open(NAME))())
    assert "another task or thread" in str(found[0])
    assert found[1:] == ["name", "name"]


def test_what_it_uses_is_counted_as_the_members() -> None:
    tape = Tape()
    guard = pg.Guard(tm.NOTICE, ledger=tape)
    with family(guard) as whole:
        whole.open(NAME)
        guard.use(tm.ProductGuidance).open(NAME)
        guard.use(tm.ProductGuidance).open_all([NAME, NAME])
        with pytest.raises(pg.PurposeViolation) as refused:
            guard.use(tm.ProductGuidance).open(WEB)
    label = pg.Label(tm.Registration)
    assert tape.uses == [("guide", "AnyProductGuidance", label, 1), ("guide", "1.2(1)②", label, 3)]
    assert tape.denials == [(refused.value, False)]


def test_a_member_that_leaves_its_family_leaves_its_use() -> None:
    guard = pg.Guard(tm.NOTICE)

    def without(tables: dict[str, Any]) -> None:
        (family,) = [one for one in tables["family"] if one["class"] == "AnyProductGuidance"]
        family["purposes"].remove("1.2(1)②")

    with guard.purpose("AnyProductGuidance", channel="email") as whole:
        use = guard.use(tm.ProductGuidance)
        assert use.open(NAME) == "name"
        guard.replace(revised(tm.NOTICE, without))
        acts: list[Any] = [
            lambda: use.open(NAME),
            lambda: use.open_all([NAME]),
            lambda: use.check(tm.Registration),
            lambda: use.allows(tm.Registration),
            lambda: whole.open(NAME),
            lambda: guard.use(tm.ProductGuidance),
        ]
        for act in acts:
            with pytest.raises(pg.UnknownPurpose):
                act()


def test_it_is_decided_by_the_revision_in_force() -> None:
    guard = pg.Guard(tm.NOTICE)
    with family(guard):
        use = guard.use(tm.ProductGuidance)
        assert use.open(NAME) == "name"
        rule = {"sources": ["1.1(a)"], "purposes": ["1.2(1)②"], "reason": {"en": "asked not to", "ja": "希望"}}
        guard.replace(revised(tm.NOTICE, lambda tables: tables.setdefault("forbid", []).append(rule)))
        with pytest.raises(pg.PurposeViolation):
            use.open(NAME)
        assert guard.use(tm.WebProductGuidance).open(WEB) == "web@example.com"
