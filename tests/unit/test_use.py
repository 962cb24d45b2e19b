"""Uses: what holds inside a block, and what no longer holds after it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.table import PolicyTable
from purposeguard.runtime import execution as tasks
from purposeguard.runtime.current_use import find_current_use
from purposeguard.runtime.snapshot import PolicySnapshot
from purposeguard.runtime.use import Use, use_cached_labels
from tests.heap import only_new_objects
from tests.support import in_threads
from tests.unit.models import Contact, Customer, Row, guard
from tests.unit.oversights import Counting
from tests.unit.samples import Tape


def test_a_use_says_what_it_is_for() -> None:
    with guard.purpose(tm.WebSecurityMail, channel="E-mail".replace("-", ""), activity="newsletter") as use:
        assert use.purpose is tm.WebSecurityMail
        assert use.channel == "email"
        assert use.activity.name == "newsletter"
        assert bool(use.active) is True
        assert repr(use) == "<Use of newsletter for 2.2③, active>"
    assert not use.active
    assert repr(use) == "<Use of newsletter for 2.2③, not active>"


@pytest.mark.usefixtures("remembers")
def test_labels_that_are_cached_as_allowed_are_used_at_once() -> None:
    registration, contract = pg.Label(tm.Registration), pg.Label(tm.Contract)
    plain, tape = pg.Guard(tm.NOTICE), Tape()
    for own in (plain, pg.Guard(tm.NOTICE, ledger=tape)):
        with own.purpose(tm.RenewalGuidance) as use:
            assert not use_cached_labels(use, {registration})  # nothing was decided before
            use.check(tm.Registration)
            assert use_cached_labels(use, {registration})
            assert not use_cached_labels(use, {registration, contract})
            elsewhere: list[bool] = []
            in_threads([lambda: elsewhere.append(use_cached_labels(use, {registration}))])  # noqa: B023  # It runs here.
            assert elsewhere == [False]
        assert not use_cached_labels(use, {registration})
    assert find_current_use(plain.engine) is None
    assert [count for *_, count in tape.uses] == [2]


def test_a_use_decides_for_its_purpose_and_channel() -> None:
    with guard.purpose(tm.AnyEventInvitation, channel="phone") as use:
        assert use.allows("1.1a")
        assert use.allows(["1.1a", tm.WebContact])
        assert not use.allows(tm.ProductData)
        use.check("1.1a")
        decision = use.explain(["1.1a", "1.1b"])
        assert not decision
        assert decision.purpose is tm.NOTICE.family("AnyEventInvitation")
        assert decision.channel == "phone"
        with pytest.raises(pg.PurposeViolation) as caught:
            use.check(tm.ProductData)
        assert caught.value.activity == use.activity.name
        assert use.allows(pg.Label(tm.Registration))
        use.check(pg.Label(tm.Registration))
        assert use.allows(pg.Label(tm.Registration))  # asked again, and now known
        for nonsense in ("9", None, tm.RenewalGuidance, ["x"]):
            for ask in (use.allows, use.check, use.explain):
                with pytest.raises(pg.UnknownSource):
                    ask(nonsense)  # type: ignore[arg-type]  # what untyped code may hand over
        for ask in (use.allows, use.check, use.explain):
            with pytest.raises(pg.UnlabelledData):
                ask([])


def test_a_use_of_a_thread_holds_in_a_loop_that_its_body_runs() -> None:
    async def inside() -> bool:
        return guard.current.allows("1.1a")

    with guard.purpose(tm.RenewalGuidance):
        assert asyncio.run(inside())


def test_where_no_other_loop_is_loaded_a_use_belongs_to_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("greenlet", "asyncio.events", "trio.lowlevel"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        assert tasks.current_execution()[1] == threading.get_ident()
        with guard.purpose(tm.RenewalGuidance) as use:
            assert guard.current is use
    assert guard.purpose(tm.RenewalGuidance)(lambda: guard.current.active)()


def test_a_matrix_that_was_replaced_clears_nothing_any_more() -> None:
    label = pg.Label(tm.Registration)
    state = PolicySnapshot(PolicyTable(tm.NOTICE))
    permissions = state.get_permissions(tm.RenewalGuidance, None)
    assert permissions.decide(label).allowed
    assert permissions.allowed_labels == {label}
    state.retire()
    assert permissions.decide(label).allowed  # decided still, and looked up no more
    late = state.get_permissions(tm.ProductProvision, None)  # asked for while the matrix was being replaced
    assert late.decide(label).allowed
    assert permissions.allowed_labels == late.allowed_labels == set()
    assert permissions.retired
    assert late.retired


def test_nested_uses_replace_and_restore() -> None:
    with guard.purpose(tm.RenewalGuidance) as outer:
        with guard.purpose(tm.ProductProvision) as inner:
            assert guard.current is inner
            assert inner.allows("1.1b")
            assert not outer.allows("1.1b")
        assert guard.current is outer
        with pytest.raises(RuntimeError), guard.purpose(tm.ProductProvision):
            raise RuntimeError
        assert guard.current is outer
    with pytest.raises(pg.PurposeMissing):
        guard.current  # noqa: B018


def test_uses_left_out_of_order_leave_no_purpose_behind() -> None:
    first, second = guard.purpose(tm.RenewalGuidance), guard.purpose(tm.ProductProvision)
    first.__enter__()
    inner = second.__enter__()
    first.__exit__(None, None, None)
    assert guard.current is inner
    second.__exit__(None, None, None)
    with pytest.raises(pg.PurposeMissing, match="outside any purpose: decorate"):
        guard.current  # noqa: B018
    with guard.purpose(tm.RenewalGuidance):
        pass


def test_uses_left_out_of_order_give_way_to_those_around_them() -> None:
    outermost, first, second = (guard.purpose(tm.RenewalGuidance) for _ in range(3))
    with outermost as outer:
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        second.__exit__(None, None, None)
        assert guard.current is outer


def test_a_use_that_ended_in_another_context_does_not_stand_in_the_way() -> None:
    @guard.purpose(tm.RenewalGuidance)
    def started() -> contextvars.Context:
        return contextvars.copy_context()

    block = guard.purpose(tm.RenewalGuidance)
    for context in (started(), contextvars.copy_context()):
        context.run(block.__enter__)
        block.__exit__(None, None, None)  # here, where it is not ambient
        inside = context.run(block.__enter__)
        assert repr(inside._before) == "<no use>"  # nothing that has ended is kept
        context.run(block.__exit__, None, None, None)
        with pytest.raises(pg.PurposeMissing):
            context.run(lambda: guard.current)


def test_a_with_statement_left_in_another_context_ends_its_own_use() -> None:
    """A generator runs in the context of whoever asks for the next item; of two, each leaves what it entered."""
    block = guard.purpose(tm.RenewalGuidance)
    uses: list[pg.Use[Any]] = []

    def through() -> Iterator[None]:
        with block as use:
            uses.append(use)
            yield

    async def athrough() -> AsyncIterator[None]:
        async with block as use:
            uses.append(use)
            yield

    def step(given: Any) -> None:
        with contextlib.suppress(StopIteration):
            next(given) if isinstance(given, Iterator) else given.__anext__().send(None)

    make: Any
    for make in (through, athrough):
        uses.clear()
        steps = [make() for _ in range(3)]
        for one in steps:
            contextvars.copy_context().run(step, one)
        for one, others in ((0, {1, 2}), (2, {1}), (1, set())):
            with contextlib.suppress(StopAsyncIteration):
                contextvars.copy_context().run(step, steps[one])
            assert {number for number, use in enumerate(uses) if use.active} == others


def test_sessions_on_one_block_end_their_own_use() -> None:
    block = guard.purpose(tm.RenewalGuidance)

    @contextlib.contextmanager
    def session() -> Iterator[pg.Use[Any]]:
        with block as use:
            yield use

    first, second = session(), session()
    a, b = first.__enter__(), second.__enter__()
    first.__exit__(None, None, None)
    assert (a.active, b.active) == (False, True)
    second.__exit__(None, None, None)
    assert not b.active


def test_a_stack_that_leaves_a_block_ends_no_use_of_another_thread() -> None:
    block, other = guard.purpose(tm.RenewalGuidance), guard.purpose(tm.ProductProvision)
    ready, go = threading.Event(), threading.Event()
    seen: list[bool] = []

    def elsewhere() -> None:
        with contextlib.ExitStack() as stack:
            use = stack.enter_context(block)
            ready.set()
            go.wait(timeout=60)
            seen.append(use.active)

    stack = contextlib.ExitStack()
    mine = stack.enter_context(block)
    thread = threading.Thread(target=elsewhere)
    thread.start()
    ready.wait(timeout=60)
    with other:
        stack.close()
        assert not mine.active
    go.set()
    thread.join()
    assert seen == [True]
    with pytest.raises(pg.PurposeMissing):
        guard.current  # noqa: B018


@pytest.mark.parametrize("counts", [False, True])
def test_a_use_that_is_not_under_way_observes_where_that_is_observed(counts: bool) -> None:
    tape = Counting() if counts else Tape()
    observing = pg.Guard(tm.NOTICE, mode="observe", ledger=tape)
    name: Any = pg.Personal("n", tm.Registration)
    device: Any = pg.Personal("d", tm.ProductData)

    def ask() -> list[str]:
        use = observing.use(tm.RenewalGuidance)
        assert use.active
        assert use.purpose is tm.RenewalGuidance
        return [use.open(name), use.open(device), *use.open_all([name, device])]

    assert ask() == ["n", "d", "n", "d"]
    with observing.purpose(tm.UsageAnalysis):
        assert ask() == ["n", "d", "n", "d"]
    counted = tape.counts if isinstance(tape, Counting) else tape.uses
    assert {pg.Label(tm.Registration)} == {label for _, _, label, *_ in counted}
    assert {type(error) for error, observed in tape.denials if observed} == {pg.PurposeMissing, pg.PurposeViolation}
    assert all(observed for _, observed in tape.denials)


def test_a_use_that_an_observed_activity_asks_for_ends_with_it() -> None:
    with guard.purpose(tm.UsageAnalysis, mode="observe"):
        use = guard.use("1.2(1)①")
        assert use.open(pg.Personal("d", tm.ProductData)) == "d"
    with pytest.raises(pg.PurposeMissing):
        use.open(pg.Personal("n", tm.Registration))
    with guard.purpose(tm.UsageAnalysis), pytest.raises(pg.PurposeMissing):
        guard.use(tm.RenewalGuidance)
    with pytest.raises(pg.PurposeMissing):
        guard.use(tm.RenewalGuidance)


def test_without_a_purpose_there_is_no_present_use_in_any_mode() -> None:
    tape = Tape()
    observing = pg.Guard(tm.NOTICE, mode="observe", ledger=tape)
    with pytest.raises(pg.PurposeMissing, match="a use was asked for outside any purpose"):
        observing.current  # noqa: B018
    assert [observed for _, observed in tape.denials] == [False]


def test_a_block_is_not_left_from_where_it_cannot_be_told_which_use_is_meant() -> None:
    block = guard.purpose(tm.RenewalGuidance)
    uses: list[pg.Use[Any]] = []
    hold = threading.Event()

    def elsewhere() -> None:
        uses.append(contextlib.ExitStack().enter_context(block))
        hold.wait(timeout=60)

    threads = [threading.Thread(target=elsewhere) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(uses) < 2:
        threading.Event().wait(0.001)
    with pytest.raises(RuntimeError, match="leave it in the task or thread that entered it"):
        block.__exit__(None, None, None)
    assert all(use.active for use in uses)
    hold.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def _only_new_objects() -> None:
    only_new_objects()


def uses_alive() -> int:
    gc.collect()
    return sum(isinstance(one, Use) for one in gc.get_objects())


@pytest.mark.usefixtures("_only_new_objects")
def test_a_timer_that_sets_itself_again_keeps_no_uses() -> None:
    async def main(rounds: int) -> int:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        counts: list[int] = []

        def tick(left: int) -> None:
            if left:
                loop.call_soon(guard.carry(tick), left - 1)
                return
            counts.append(uses_alive())
            done.set()

        with guard.purpose(tm.RenewalGuidance):
            loop.call_soon(guard.carry(tick), rounds)
        await done.wait()
        return counts[0]

    assert asyncio.run(main(200)) <= asyncio.run(main(10)) + 5


@pytest.mark.usefixtures("_only_new_objects")
def test_tasks_that_start_the_next_keep_no_uses() -> None:
    @guard.purpose(tm.RenewalGuidance)
    async def step(left: int, done: asyncio.Future[int]) -> None:
        if left:
            started.append(asyncio.create_task(step(left - 1, done)))
        else:
            done.set_result(uses_alive())

    @guard.purpose(tm.RenewalGuidance)
    def quick(left: int, done: asyncio.Future[int]) -> None:
        if left:
            asyncio.get_running_loop().call_soon(quick, left - 1, done)
        else:
            done.set_result(uses_alive())

    async def main(rounds: int, start: Any) -> int:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        first = start(rounds, done)
        if first is not None:
            await first
        return await done

    started: list[Any] = []
    for start in (step, quick):
        assert asyncio.run(main(200, start)) <= asyncio.run(main(10, start)) + 5


def test_withholding_by_a_use() -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        customer = use.withhold(Customer(email="e", device="d"))
        assert isinstance(customer, Customer)
        assert customer.model_dump() == {"email": "e"}
        with pytest.raises(pg.PurposeViolation) as caught:
            customer.device  # noqa: B018
        assert caught.value.field == "device"
        assert caught.value.activity == use.activity.name
        assert use.withhold([{"email": "e", "device": "d"}], list[Row]) == use.withhold(
            [{"email": "e", "device": "x"}], list[Row]
        )
        assert use.withhold(None, Row) is None
        empties: list[Any] = [[], {}, (), set(), [[], {}], {"a": []}, [[Contact(email="e")], []]]
        for empty in empties:
            assert use.withhold(empty) is empty
        for bare in (5, "text", {"email": "e"}, [1], [[], 1], object()):
            with pytest.raises(pg.UnlabelledData, match="like="):
                use.withhold(bare)
        with pytest.raises(pg.UnlabelledData, match="like="):
            use.withhold({"email": "e"}, dict[str, str])
    with guard.purpose(tm.ProductProvision) as use:
        whole = Customer(email="e", device="d")
        assert use.withhold(whole) is whole
