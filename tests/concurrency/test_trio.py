"""A purpose entered in a trio task is that task's alone, as it is in asyncio."""

from __future__ import annotations

import pytest
import trio

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


@guard.access(tm.Registration)
def read() -> str:
    return "read"


def test_a_purpose_holds_in_its_own_trio_task() -> None:
    async def main() -> str:
        with guard.purpose(tm.RenewalGuidance):
            await trio.lowlevel.checkpoint()
            return read()

    assert trio.run(main) == "read"


def test_a_purpose_does_not_cross_to_a_child_task_or_worker_thread() -> None:
    refused: list[str] = []

    async def child() -> None:
        with pytest.raises(pg.PurposeMissing):
            read()
        refused.append("task")

    def worker() -> None:
        with pytest.raises(pg.PurposeMissing):
            read()
        refused.append("thread")

    async def main() -> None:
        with guard.purpose(tm.RenewalGuidance):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child)
            await trio.to_thread.run_sync(worker)
            assert read() == "read"

    trio.run(main)
    assert refused == ["task", "thread"]


def test_a_carried_function_has_the_purpose_there() -> None:
    async def main() -> list[str]:
        got: list[str] = []

        async def child() -> None:
            got.append(read())

        with guard.purpose(tm.RenewalGuidance):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(guard.carry(child))
            got.append(await trio.to_thread.run_sync(guard.carry(read)))
        return got

    assert trio.run(main) == ["read", "read"]
