"""`guard.replace` while others decide, read and withhold."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest

from purposeguard import Guard, Notice, PurposeViolation
from purposeguard.notices import trendmicro_jp as tm
from tests import support
from tests.unit.models import in_a_loop


def revised(**grants: list[str]) -> Notice:
    """The bundled notice, put right: with other sources in some of its grants."""
    made = tm.NOTICE.dump()
    for grant in made["grant"]:
        grant["sources"] = grants.get(grant["clause"], grant["sources"])
    return Notice.parse(made)


# Under each revision one of the two may serve renewal guidance; a decision mixed from both would let both serve it.
ONE = tm.NOTICE
OTHER = revised(**{"1.2(1)": ["1.1(b)"]})
PAIR = [tm.Registration, tm.ProductData]


@dataclasses.dataclass
class Both:
    name: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]


class Firing:
    """A guard whose notice is replaced all the time, and what others do meanwhile."""

    def __init__(self) -> None:
        self.guard = Guard(ONE)
        self.over = threading.Event()
        guard = self.guard

        @guard.access
        def both() -> Both:
            return Both("name", "device")

        @guard.access(withhold=True)
        def what_may_be() -> Both:
            return Both("name", "device")

        @guard.access(tm.Registration)
        def names() -> str:
            return "name"

        @guard.access(tm.ProductData)
        def devices() -> str:
            return "device"

        @guard.purpose(tm.RenewalGuidance)
        def stream() -> Iterator[str]:
            while True:
                yield from self.read(names)
                yield from self.read(devices)

        self.both, self.what_may_be, self.names, self.devices = both, what_may_be, names, devices
        self.cached = guard.cached()(what_may_be)
        self.stream = stream

    def read(self, fn: Callable[[], Any]) -> list[Any]:
        """What is read, or the name of the sources that were refused."""
        try:
            return [fn()]
        except PurposeViolation as violation:
            if violation.decision.allowed:
                raise AssertionError("refused by a decision that allows") from violation
            return []

    def fire(self, times: int) -> None:
        try:
            for _ in range(times):
                self.guard.replace(OTHER)
                self.guard.replace(ONE)
        finally:
            self.over.set()

    def use(self) -> None:
        guard, stream = self.guard, self.stream()
        while not self.over.is_set():
            with guard.purpose(tm.RenewalGuidance) as use:
                assert not self.read(self.both)
                assert not use.allows(PAIR)
                assert not self.read(lambda: use.check(PAIR))
                self.read(self.names)
                self.read(self.devices)
                next(stream)
                for kept in (self.what_may_be(), self.cached(), use.withhold(Both("name", "device"))):
                    # Whichever revision withheld, it left one of the two; a mixture of both would leave both.
                    assert len(self.seen_in(kept)) == 1

    def seen_in(self, kept: Both) -> list[str]:
        return [*self.read(lambda: kept.name), *self.read(lambda: kept.device)]


def test_uses_while_the_notice_is_replaced() -> None:
    firing = Firing()
    with support.switching():
        support.in_threads([*[firing.use] * 6, lambda: firing.fire(100)])


@in_a_loop
async def test_tasks_while_the_notice_is_replaced() -> None:
    firing = Firing()

    async def task() -> None:
        with firing.guard.purpose(tm.RenewalGuidance) as use:
            while not firing.over.is_set():
                assert not use.allows(PAIR)
                await asyncio.sleep(0)
                assert not firing.read(firing.both)
                await asyncio.sleep(0)
                # Nobody else runs in this thread between the two questions.
                assert use.allows(tm.Registration) is not use.allows(tm.ProductData)

    async def fire() -> None:
        for _ in range(50):
            for notice in (OTHER, ONE):
                firing.guard.replace(notice)
                # From here on, in this thread, the new revision decides and no other.
                assert firing.guard.allows(tm.Registration, "1.2(1)①") is (notice is ONE)
                assert firing.guard.allows(tm.ProductData, "1.2(1)①") is (notice is OTHER)
                await asyncio.sleep(0)
        firing.over.set()

    await asyncio.gather(*(task() for _ in range(100)), fire())


@pytest.mark.parametrize("way", ["check", "use", "access", "whole", "withheld", "cached"])
def test_a_refusal_is_explained_by_the_revision_that_refused(way: str) -> None:
    firing = Firing()
    guard = firing.guard
    acts: dict[str, Callable[[Any], object]] = {
        "check": lambda _: guard.check(tm.ProductData, tm.RenewalGuidance),
        "use": lambda use: use.check(tm.ProductData),
        "access": lambda _: firing.devices(),
        # Plain items cannot be told apart, so these are refused as a whole.
        "whole": lambda use: use.withhold(["device"], list[Annotated[str, tm.ProductData]]),
        "withheld": lambda use: use.withhold(Both("name", "device")).device,
        "cached": lambda _: guard.cached()(firing.devices)(),
    }
    # The revision that was asked refuses, although the other one, which allows it, is in force by then.
    with (
        guard.purpose(tm.RenewalGuidance) as use,
        support.racing(guard, OTHER),
        pytest.raises(PurposeViolation, match="may not use") as refused,
    ):
        acts[way](use)
    assert guard.notice is OTHER  # the race was run
    assert not refused.value.decision
    assert [source.clause for source in refused.value.decision.denied] == ["1.1(b)"]


def test_a_use_entered_while_the_notice_is_replaced_is_decided_by_the_new_one() -> None:
    guard = Guard(ONE)
    block = guard.purpose(tm.RenewalGuidance)
    with support.racing(guard, OTHER, "resolve_purpose"), block as use:
        assert guard.notice is OTHER  # the race was run
        assert not use.allows(tm.Registration)
        assert use.allows(tm.ProductData)
        with pytest.raises(PurposeViolation):
            use.check(tm.Registration)
        use.check(tm.ProductData)
