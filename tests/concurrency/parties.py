"""Parties that each have a purpose, with data that it may use and data that only another may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import pytest

from purposeguard import Guard, Personal, Purpose, PurposeMissing, PurposeViolation, Source, Use
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.json import encode_sealed
from tests import support

ABSENT = object()
guard = Guard(tm.NOTICE)


def reader(source: type[Source]) -> Callable[[], str]:
    @guard.access(source)
    def read() -> str:
        return source.clause

    return read


class Party:
    """A purpose, with a value that it may open and one that only another may."""

    def __init__(self, purpose: type[Purpose], channel: str | None, mine: type[Source], not_mine: type[Source]) -> None:
        self.purpose = purpose
        self.channel = channel
        self.plain: Personal[str, Any] = Personal(mine.clause, mine)
        self.mapped: Personal[Any, Any] = self.plain.map(self.seen)
        self.mine: Personal[Any, Any] = Personal.collect([self.plain, self.mapped, self.plain.zip(self.plain)])
        self.opened = mine.clause
        self.source, self.read, self.read_not_mine = mine, reader(mine), reader(not_mine)
        foreign: Personal[str, Any] = Personal(not_mine.clause, not_mine)
        self.not_mine = [foreign, foreign.map(self.never), self.plain.zip(foreign), Personal.collect([foreign])]

    def seen(self, value: str) -> tuple[str, object]:
        """A function that was given to `map`: it runs when the value is opened, under what is under way there."""
        return value, guard.current.purpose

    def never(self, value: str) -> str:
        raise AssertionError(f"{self.purpose} was given {value}")

    def block(self) -> Any:
        return guard.purpose(self.purpose, channel=self.channel)

    def opens(self, use: Use[Any]) -> None:
        """This use opens what is its own, and refuses the rest."""
        plain, mapped = self.opened, (self.opened, guard.current.purpose)
        assert use.open(self.plain) == use.try_open(self.plain, ABSENT) == plain
        assert use.open(self.mapped) == mapped
        assert use.open(self.mine) == (plain, mapped, (plain, plain))
        assert use.open_all([self.plain, self.mapped]) == [plain, mapped]
        for value in self.not_mine:
            assert use.try_open(value, ABSENT) is ABSENT
            with pytest.raises(PurposeViolation) as violation:
                use.open(value)
            assert violation.value.decision.purpose is self.purpose
        with pytest.raises(PurposeViolation):
            use.open_all([self.plain, *self.not_mine])

    def holds(self) -> None:
        """The use under way here is one of this party, and neither none nor another's."""
        use = guard.current
        assert use.purpose is self.purpose
        assert use.channel == self.channel
        assert self.read() == self.opened
        assert use.allows(self.source)
        with pytest.raises(PurposeViolation) as refused:
            self.read_not_mine()
        assert refused.value.decision.purpose is self.purpose

    def here(self) -> None:
        """The same, and it opens what is sealed."""
        self.holds()
        self.opens(guard.current)
        assert encode_sealed(self.plain) == self.opened
        with pytest.raises(PurposeViolation):
            encode_sealed(self.not_mine[0])


PARTIES = [
    Party(tm.RenewalGuidance, None, tm.Registration, tm.ProductData),
    Party(tm.ProductImprovement, None, tm.ProductData, tm.Cookie),
    Party(tm.WebSecurityMail, "email", tm.WebContact, tm.Registration),
    Party(tm.TrafficAnalysis, None, tm.Cookie, tm.WebContact),
    Party(tm.ProspectProductGuidance, "phone", tm.ProspectContact, tm.WebContact),
    Party(tm.UsageAnalysis, None, tm.LinkedUsage, tm.ProspectJob),
]


def party(number: int) -> Party:
    return PARTIES[number % len(PARTIES)]


def assert_none(owner: Party) -> None:
    """Nothing is under way here, so nothing is read or opened."""
    with pytest.raises(PurposeMissing):
        owner.read()
    with pytest.raises(PurposeMissing):
        guard.current.open(owner.plain)
    with pytest.raises(PurposeMissing):
        encode_sealed(owner.plain)


def stream(owner: Party) -> Iterator[None]:
    """A generator that runs for this party, step by step; one use lasts a step."""

    @guard.purpose(owner.purpose, channel=owner.channel)
    def steps() -> Iterator[None]:
        before: Use[Any] | None = None
        while True:
            owner.here()
            if before is not None:
                with pytest.raises(PurposeMissing):
                    before.open(owner.plain)
            before = guard.current
            yield

    return steps()


def async_stream(owner: Party) -> AsyncIterator[None]:
    @guard.purpose(owner.purpose, channel=owner.channel)
    async def steps() -> AsyncIterator[None]:
        while True:
            owner.here()
            await asyncio.sleep(0)
            owner.here()
            yield

    return steps()


def running(fn: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
    """Runs a coroutine function on a loop of its own."""
    asyncio.run(fn(*arguments))


def at_length(part: int, bursts: int, burst: Callable[[Party, Use[Any]], object]) -> None:
    """So many bursts in each of 32 threads and 32 tasks, by turns every µs."""

    def one_thread(number: int) -> None:
        owner = party(number)
        with owner.block() as use:
            for _ in range(bursts):
                burst(owner, use)

    async def one_task(number: int) -> None:
        owner = party(number)
        with owner.block() as use:
            for _ in range(bursts):
                burst(owner, use)
                await asyncio.sleep(0)

    async def eight_tasks(first: int) -> None:
        await asyncio.gather(*map(one_task, range(first, first + 8)))

    jobs: list[Callable[[], object]] = [partial(one_thread, number + part) for number in range(32)]
    jobs += [partial(running, eight_tasks, first) for first in range(part, part + 32, 8)]
    with support.switching():
        support.in_threads(jobs)
