"""Purposes of blocks, what activities declare, their channels, and purposes carried elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.activity import UseAttribute
from purposeguard.runtime.registry import Activity
from tests.support import in_threads
from tests.unit.models import RENEWAL, guard, in_a_loop, purpose_here
from tests.unit.samples import Tape, revised


def test_a_block_is_a_context_manager_sync_and_async_and_may_be_entered_again() -> None:
    block = guard.purpose(tm.RenewalGuidance)

    async def main() -> None:
        async with block as use:
            assert guard.current is use

    for _ in range(2):
        with block as use:
            assert purpose_here() == RENEWAL
            with block as inner:
                assert inner is not use
                assert guard.current is inner
            assert guard.current is use
    asyncio.run(main())
    assert purpose_here() is None


def test_one_block_is_entered_by_several_tasks_at_a_time() -> None:
    block = guard.purpose(tm.RenewalGuidance)

    async def worker(rounds: int) -> int:
        held = 0
        for _ in range(rounds):
            async with block as use:
                await asyncio.sleep(0)
                held += guard.current is use
            assert purpose_here() is None
        return held

    async def main() -> list[int]:
        return await asyncio.gather(*(worker(n) for n in range(1, 20)))

    assert asyncio.run(main()) == list(range(1, 20))


def test_activities_are_listed_with_name_module_and_line() -> None:
    mine = pg.Guard(tm.NOTICE)
    assert len(mine.activities) == 0

    @mine.purpose(tm.RenewalGuidance)
    def remind() -> None: ...

    @mine.purpose(tm.AnyProductGuidance, channel="email", activity="newsletter", mode="observe")
    def send() -> None: ...

    for _ in range(3):
        with mine.purpose(tm.ProductProvision):
            pass
    here = "test_activities_are_listed_with_name_module_and_line"
    listed: tuple[Activity, ...] = mine.activities
    one, two, three = listed
    assert (one.name, one.purpose, one.channel, one.observing) == (
        f"{__name__}.{here}.<locals>.remind", tm.RenewalGuidance, None, False,
    )  # fmt: skip
    assert (one.module, one.qualname) == (__name__, f"{here}.<locals>.remind")
    assert one.line == inspect.unwrap(remind).__code__.co_firstlineno
    assert one.purpose_id == RENEWAL
    assert (two.name, two.purpose_id, two.channel, two.observing) == ("newsletter", "AnyProductGuidance", "email", True)
    assert (three.name, three.module, three.qualname) == (f"{__name__}.{here}", __name__, here)
    assert three.line > two.line


@pytest.mark.parametrize("purpose", [tm.WebSecurityMail, tm.WebProductGuidance, tm.AnyProductGuidance, "3.2④"])
def test_an_activity_under_a_closed_purpose_must_state_a_channel(purpose: Any) -> None:
    with pytest.raises(pg.ChannelViolation, match="channel") as caught:
        guard.purpose(purpose)
    assert '`channel="email"`' in str(caught.value)
    guard.purpose(purpose, channel="email")


@pytest.mark.parametrize(("purpose", "channel"), [(tm.WebSecurityMail, "phone"), (tm.WebSecurityMail, "post")])
def test_an_activity_by_a_channel_that_its_purpose_does_not_admit(purpose: Any, channel: str) -> None:
    with pytest.raises(pg.ChannelViolation, match="email") as caught:
        guard.purpose(purpose, channel=channel, activity="calls")
    assert caught.value.activity == "calls"
    assert caught.value.decision.channel == channel


def test_open_purposes_and_purposes_without_channels_take_any_or_none() -> None:
    for purpose in (tm.WebEventInvitation, tm.RenewalGuidance):
        guard.purpose(purpose)
        for channel in tm.NOTICE.channels:
            guard.purpose(purpose, channel=channel)
    with pytest.raises(pg.UnknownChannel):
        guard.purpose(tm.RenewalGuidance, channel="pigeon")


def test_a_purpose_that_nobody_may_serve_still_needs_its_channel() -> None:
    rule = {"sources": ["2.1"], "purposes": ["2.2③"], "reason": {"en": "no", "ja": "否"}}
    strict = pg.Guard(revised(tm.NOTICE, lambda t: t.setdefault("forbid", []).append(rule)))
    with pytest.raises(pg.ChannelViolation):
        strict.purpose("2.2③")


def test_an_observing_activity_may_do_what_would_be_refused() -> None:
    tape = Tape()
    mine = pg.Guard(tm.NOTICE, ledger=tape)
    with mine.purpose(tm.WebSecurityMail, channel="phone", mode="observe") as use:
        use.check("1.1b")
    assert [(type(error).__name__, observed) for error, observed in tape.denials] == [
        ("ChannelViolation", True),
        ("PurposeViolation", True),
    ]
    with mine.purpose(tm.RenewalGuidance) as use, pytest.raises(pg.PurposeViolation):
        use.check("1.1b")
    strict = pg.Guard(tm.NOTICE, mode="observe")
    with strict.purpose(tm.RenewalGuidance, mode="enforce") as use, pytest.raises(pg.PurposeViolation):
        use.check("1.1b")


def test_a_place_that_stated_its_purpose_before_is_asked_again_by_a_new_revision() -> None:
    mine = pg.Guard(tm.NOTICE)

    def guidance() -> Any:
        return mine.purpose("1.2(1)①")

    def close(tables: dict[str, Any]) -> None:
        tables["revision"] = "2030-01-01"
        for grant in tables["grant"]:
            for purpose in grant.get("purpose", ()):
                if purpose["id"] == "1.2(1)①":
                    purpose["channels"] = {"closed": ["email"]}

    with guidance():
        pass
    mine.replace(revised(tm.NOTICE, close))
    with pytest.raises(pg.ChannelViolation):
        guidance()


def test_one_place_may_state_several_purposes_and_its_blocks_are_apart() -> None:
    mine = pg.Guard(tm.NOTICE)
    purposes = [tm.RenewalGuidance, tm.WebFeedback]
    for _ in range(2):
        outer, inner = (mine.purpose(purpose) for purpose in purposes)
        with outer as around, inner as use:
            assert (around.purpose, use.purpose) == (purposes[0], purposes[1])
            assert mine.current is use
        assert not around.active


def test_what_is_observed_at_a_place_is_told_each_time() -> None:
    tape = Tape()
    mine = pg.Guard(tm.NOTICE, ledger=tape, mode="observe")
    for _ in range(3):
        with mine.purpose(tm.WebSecurityMail, channel="phone"):
            pass
    assert len(tape.denials) == 3


@pytest.mark.parametrize(
    "wrong", ["nothing", tm.Registration, pg.Purpose, None, 5, tm.RenewalGuidance | tm.WebFeedback]
)
def test_an_activity_for_what_is_no_purpose(wrong: Any) -> None:
    with pytest.raises(pg.UnknownPurpose):
        guard.purpose(wrong)


@in_a_loop
async def test_carried_functions_of_every_kind() -> None:
    async def slow() -> str | None:
        await asyncio.sleep(0)
        return purpose_here()

    def letters() -> Iterator[str | None]:
        yield purpose_here()

    async def aletters() -> AsyncIterator[str | None]:
        yield purpose_here()

    async with guard.purpose(tm.RenewalGuidance):
        fast, gen, agen = guard.carry(slow), guard.carry(letters), guard.carry(aletters)
        assert [*await asyncio.gather(slow(), fast())] == [None, RENEWAL]
        assert await asyncio.to_thread(guard.carry(purpose_here)) == RENEWAL
        assert await asyncio.to_thread(purpose_here) is None
        with pytest.raises(pg.PurposeMissing):
            await asyncio.to_thread(guard.access(tm.Registration)(lambda: None))
        seen: list[str | None] = []
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_soon(lambda: seen.append(purpose_here()))
        loop.call_soon(guard.carry(lambda: seen.append(purpose_here())))
        loop.call_soon(done.set_result, None)
        await done
        assert seen == [None, RENEWAL]
    assert list(gen()) == [RENEWAL]
    assert [one async for one in agen()] == [RENEWAL]


def test_carrying_needs_a_purpose_and_a_function() -> None:
    with pytest.raises(pg.PurposeMissing, match="was to be carried"):
        guard.carry(purpose_here)

    async def slow() -> None: ...

    pending: Any = slow()
    with guard.purpose(tm.RenewalGuidance):
        with pytest.raises(TypeError, match="before it is called"):
            guard.carry(pending)
        with pytest.raises(TypeError, match="before it is called"):
            guard.carry(cast("Any", 5))
    pending.close()


def test_a_carried_activity_is_no_new_activity() -> None:
    tape = Tape()
    mine = pg.Guard(tm.NOTICE, ledger=tape)
    with mine.purpose(tm.RenewalGuidance, activity="remind"):
        carried = mine.carry(lambda: mine.current.check("1.1a"))
    in_threads([carried])
    assert tape.uses == [("remind", RENEWAL, pg.Label(tm.Registration), 1)]
    assert len(mine.activities) == 1


def test_a_block_that_is_left_more_often_than_entered_says_so() -> None:
    block = guard.purpose(tm.RenewalGuidance)
    with block:
        pass
    with pytest.raises(RuntimeError, match="more often than it was entered"):
        block.__exit__(None, None, None)


def test_a_block_in_several_exit_stacks_is_left_innermost_first() -> None:
    block = guard.purpose(tm.RenewalGuidance)
    with contextlib.ExitStack() as outer:
        use = outer.enter_context(block)
        with contextlib.ExitStack() as inner:
            inner_use = inner.enter_context(block)
        assert use.active
        assert not inner_use.active
        assert guard.use(tm.RenewalGuidance) is use
    assert not use.active


@pytest.mark.usefixtures("remembers")
def test_a_purpose_that_holds_nowhere_is_warned_of_once_a_place() -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(2):
            guard.purpose(tm.RenewalGuidance)
        block = guard.purpose(tm.RenewalGuidance)
        with guard.purpose(tm.RenewalGuidance), block:
            pass
    (said,) = warned
    assert said.category is RuntimeWarning
    assert said.filename == __file__


def test_what_a_use_has_is_no_attribute_of_a_block_or_a_guard() -> None:
    for one in (guard.purpose(tm.RenewalGuidance), guard):
        assert not hasattr(one, "open")
        assert "open" in vars(type(one))
        assert isinstance(vars(type(one))["open"], UseAttribute)
        assert getattr(type(one), "open") is vars(type(one))["open"]  # noqa: B009  # type checkers know none


def test_a_call_without_an_argument_is_explained_where_a_use_is_what_it_lacks() -> None:
    @guard.purpose(tm.RenewalGuidance)
    def given(use: object, address: str) -> None: ...

    @guard.purpose(tm.RenewalGuidance)
    def plain(address: str) -> None: ...

    @guard.purpose(tm.RenewalGuidance)
    def failing(use: object) -> None:
        raise TypeError("of its own")

    without_signature = guard.purpose(tm.RenewalGuidance)(cast("Any", min))
    acts: list[tuple[Any, int]] = [
        (lambda: cast("Any", given)("x"), 1),
        (cast("Any", plain), 0),
        (lambda: failing(7), 0),
        (without_signature, 0),
    ]
    for act, notes in acts:
        with pytest.raises(TypeError) as caught:
            act()
        assert len(getattr(caught.value, "__notes__", ())) == notes
