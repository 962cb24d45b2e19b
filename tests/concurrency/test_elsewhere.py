"""Purposes do not cross from one task or thread to another: not without `carry`, and with it only what was carried."""

from __future__ import annotations

import asyncio
import os

import pytest

from purposeguard import PurposeMissing, PurposeViolation
from tests.concurrency.parties import PARTIES, Party, assert_none, async_stream, at_length, guard, party
from tests.unit.models import in_a_loop


def none_here() -> None:
    """No purpose is under way here, for anybody."""
    with pytest.raises(PurposeMissing):
        guard.current  # noqa: B018  # asking is what raises
    for owner in PARTIES:
        assert_none(owner)


@in_a_loop
async def test_an_async_generator_is_run_by_many_tasks_in_turn() -> None:
    streams = [async_stream(owner) for owner in PARTIES]
    turns = [asyncio.Lock() for _ in streams]

    async def run(number: int) -> None:
        async with party(number).block():
            for stream, turn in zip(streams, turns, strict=True):
                async with turn:
                    await anext(stream)
                party(number).holds()

    async with asyncio.TaskGroup() as group:
        for number in range(150):
            group.create_task(run(number))
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]  # they are generators
    none_here()


@in_a_loop
async def test_a_coroutine_is_carried_into_its_task() -> None:
    async def body(number: int) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            PARTIES[number].holds()

    pending = []
    for number in range(len(PARTIES)):
        with PARTIES[number].block():
            pending += [asyncio.create_task(guard.carry(body)(number)) for _ in range(20)]
    none_here()
    await asyncio.gather(*pending)
    none_here()


DEEP_CHECKS = int(os.environ.get("PURPOSEGUARD_DEEP_CHECKS", "100_000_000"))


def burst(owner: Party, _use: object) -> None:
    """A hundred checks of what is under way here, as plainly as possible, and one refusal."""
    read, purpose = owner.read, owner.purpose
    for _ in range(50):
        if read() != owner.opened or guard.current.purpose is not purpose:
            raise AssertionError(f"{purpose} was crossed")
    with pytest.raises(PurposeViolation):
        owner.read_not_mine()


@pytest.mark.deep
@pytest.mark.parametrize("part", range(4))
def test_no_purpose_crosses_at_length(part: int) -> None:
    """10⁸ checks in four parts (or as many as PURPOSEGUARD_DEEP_CHECKS says), half in threads and half in tasks."""
    at_length(part, DEEP_CHECKS // 4 // 64 // 100, burst)
    none_here()
