"""A purpose that a generator or coroutine enters holds while that runs; its consumer keeps the purpose that it has."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import sys
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Annotated, Any

import greenlet  # type: ignore[import-untyped]  # it comes without types
import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.frames import FrameCheck, find_suspendable_frame
from purposeguard.runtime.use import is_ambient_here
from tests.unit.oversights import Counting

CONSUMER, PRODUCER, DECORATED = tm.RenewalGuidance, tm.ProductImprovement, tm.ProductProvision


class Customer(BaseModel):
    device: Annotated[str, tm.ProductData]


class Letter(pg.PersonalModel):
    device: pg.Personal[str, tm.ProductData]


class Service:
    """A guard with an access function that the purpose of the consumer may not call."""

    def __init__(self, guard: pg.Guard) -> None:
        self.guard = guard

        @guard.access
        def load() -> Customer:
            return Customer(device="d")

        self.load = load

    def here(self) -> str:
        """Return the purpose under way, once the access function agrees that it is."""
        try:
            purpose = self.guard.current.purpose
        except pg.PurposeMissing:
            with pytest.raises(pg.PurposeMissing):
                self.load()
            return "nothing"
        if purpose is CONSUMER:
            with pytest.raises(pg.PurposeViolation):
                self.load()
        else:
            assert self.load().device == "d"
        return str(purpose.__name__)  # type: ignore[union-attr]  # no family is entered

    def legal(self) -> Any:
        """Return a block of a use that law permits."""
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        return self.guard.exception(
            basis="vital-interest", reason="test", approver="counsel", subjects="all", until=until
        )


@pytest.fixture(params=["plain", "counting"])
def service(request: pytest.FixtureRequest) -> Service:
    return Service(pg.Guard(tm.NOTICE, ledger=Counting() if request.param == "counting" else None))


Seen = list[str]
Maker = Callable[[Service, Seen], Any]
MAKERS: dict[str, Maker] = {}


def maker(make: Maker) -> Maker:
    MAKERS[make.__name__] = make
    return make


@maker
def generator(service: Service, seen: Seen) -> Any:
    def steps() -> Iterator[int]:
        with service.guard.purpose(PRODUCER):
            for number in (1, 2):
                seen.append(service.here())
                yield number
            seen.append(service.here())

    return steps


@maker
def decorated_generator(service: Service, seen: Seen) -> Any:
    return service.guard.purpose(DECORATED)(generator(service, seen))


@maker
def access_generator(service: Service, seen: Seen) -> Any:
    return service.guard.access(tm.Registration)(generator(service, seen))


@maker
def exit_stack(service: Service, seen: Seen) -> Any:
    def steps() -> Iterator[int]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(service.guard.purpose(PRODUCER))
            for number in (1, 2):
                seen.append(service.here())
                yield number
            seen.append(service.here())

    return steps


@maker
def context_manager_in_a_generator(service: Service, seen: Seen) -> Any:
    @contextlib.contextmanager
    def producing() -> Iterator[None]:
        with service.guard.purpose(PRODUCER):
            yield

    def steps() -> Iterator[int]:
        with producing():
            for number in (1, 2):
                seen.append(service.here())
                yield number
            seen.append(service.here())

    return steps


@maker
def delegating_generator(service: Service, seen: Seen) -> Any:
    inner = generator(service, seen)

    def steps() -> Iterator[int]:
        yield from inner()

    return steps


class Steps:
    """The steps of a coroutine, which its consumer takes by hand."""

    def __init__(self, made: Any) -> None:
        self.made = made

    def __iter__(self) -> Steps:
        return self

    def __next__(self) -> Any:
        return self.made.send(None)

    def close(self) -> None:
        with contextlib.suppress(StopIteration):  # an async generator cannot be closed while it waits
            while True:
                next(self)


class Items(Steps):
    """The items of an asynchronous generator, in the context of its own consumer."""

    def __next__(self) -> Any:
        try:
            self.made.__anext__().send(None)
        except StopIteration as item:
            return item.value
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        with contextlib.suppress(StopIteration):
            self.made.aclose().send(None)


def by_hand(make: Callable[[], Any], steps: type[Steps] = Steps) -> Callable[[], Iterator[Any]]:
    """Return a generator function whose consumer takes these steps."""
    return lambda: steps(make())


class Pause:
    def __await__(self) -> Generator[int]:
        yield 1


@maker
def coroutine(service: Service, seen: Seen) -> Any:
    async def steps() -> None:
        async with service.guard.purpose(PRODUCER):
            for _ in range(2):
                seen.append(service.here())
                await Pause()
            seen.append(service.here())

    return by_hand(steps)


@maker
def decorated_coroutine(service: Service, seen: Seen) -> Any:
    @service.guard.purpose(PRODUCER)
    async def steps() -> None:
        for _ in range(2):
            seen.append(service.here())
            await Pause()
        seen.append(service.here())

    return by_hand(steps)


@maker
def async_generator(service: Service, seen: Seen) -> Any:
    async def steps() -> AsyncIterator[int]:
        async with service.guard.purpose(PRODUCER):
            for number in (1, 2):
                seen.append(service.here())
                yield number
            seen.append(service.here())

    return by_hand(steps, Items)


@maker
def decorated_async_generator(service: Service, seen: Seen) -> Any:
    async def steps() -> AsyncIterator[int]:
        with service.guard.purpose(PRODUCER):
            for number in (1, 2):
                seen.append(service.here())
                yield number
            seen.append(service.here())

    return by_hand(service.guard.purpose(DECORATED)(steps), Items)


@maker
def async_generator_that_waits(service: Service, seen: Seen) -> Any:
    async def steps() -> AsyncIterator[int]:
        for _ in range(2):
            seen.append(service.here())
            await Pause()
        seen.append(service.here())
        yield 1

    decorated = service.guard.purpose(PRODUCER)(steps)

    async def exhaust() -> None:
        async for _ in decorated():
            pass

    return by_hand(exhaust)


@pytest.mark.parametrize("make", MAKERS.values(), ids=list(MAKERS))
def test_a_consumer_keeps_its_purpose_and_the_body_its_own(make: Maker, service: Service) -> None:
    guard, consumer = service.guard, CONSUMER.__name__
    seen: Seen = []
    with guard.purpose(CONSUMER):
        steps = make(service, seen)()
        next(steps)
        assert service.here() == consumer
        with guard.purpose(tm.ProductGuidance):
            assert guard.current.purpose is tm.ProductGuidance
            next(steps)
            assert guard.current.purpose is tm.ProductGuidance
        assert service.here() == consumer
        with contextlib.suppress(StopIteration):
            next(steps)
        assert service.here() == consumer
    assert service.here() == "nothing"
    assert seen == [PRODUCER.__name__] * 3


@pytest.mark.parametrize("make", MAKERS.values(), ids=list(MAKERS))
def test_a_consumer_without_a_purpose_has_none(make: Maker, service: Service) -> None:
    if make is access_generator:
        with pytest.raises(pg.PurposeMissing):
            next(make(service, [])())
        return
    seen: Seen = []
    steps = make(service, seen)()
    next(steps)
    assert service.here() == "nothing"
    with pytest.raises(pg.PurposeMissing, match="suspended now, and is not handed to its consumer: state the purpose"):
        service.guard.current  # noqa: B018
    with pytest.raises(pg.PurposeMissing):
        service.guard.carry(service.load)
    with pytest.raises(pg.PurposeMissing):
        service.guard.use(PRODUCER)
    assert seen == [PRODUCER.__name__]
    steps.close()
    assert service.here() == "nothing"


@pytest.mark.parametrize("make", MAKERS.values(), ids=list(MAKERS))
def test_a_sealed_field_is_not_dumped_for_a_suspended_generator(make: Maker, service: Service) -> None:
    letter: Any = Letter(device=pg.Personal("secret", tm.ProductData))
    with service.guard.purpose(tm.ProductProvision):
        steps = make(service, [])()
        next(steps)
        assert letter.model_dump() == {"device": "secret"}
    with pytest.raises(pg.PurposeMissing):
        letter.model_dump_json()
    steps.close()


def test_a_decorated_generator_goes_on_for_its_own_purpose_after_a_block(service: Service) -> None:
    @service.guard.purpose(DECORATED)
    def steps() -> Iterator[str]:
        with service.guard.purpose(PRODUCER):
            yield service.here()
            with service.guard.purpose(CONSUMER):
                yield service.here()
                yield service.here()
            yield service.here()
        yield service.here()

    names = (PRODUCER, CONSUMER, CONSUMER, PRODUCER, DECORATED)
    with service.guard.purpose(tm.ProductGuidance):
        assert list(steps()) == [purpose.__name__ for purpose in names]


def test_an_activity_that_steps_a_generator_lends_it_no_purpose(service: Service) -> None:
    seen: Seen = []
    steps = generator(service, seen)()
    next(steps)

    @service.guard.purpose(CONSUMER)
    def consume() -> str:
        next(steps)
        return service.here()

    assert consume() == CONSUMER.__name__
    assert seen == [PRODUCER.__name__] * 2
    steps.close()
    assert consume.__wrapped__ is not None  # type: ignore[attr-defined]  # as functools has it


def test_what_law_permits_a_generator_it_permits_no_consumer() -> None:
    service = Service(pg.Guard(tm.NOTICE, ledger=Counting()))

    def legal() -> Iterator[str]:
        with service.legal():
            yield service.load().device

    async def alegal() -> AsyncIterator[str]:
        async with service.legal():
            yield service.load().device

    made: list[Any] = [legal(), by_hand(alegal, Items)()]
    for steps in made:
        assert next(steps) == "d"
        assert service.here() == "nothing"
        steps.close()


def test_a_use_that_is_handed_out_holds_until_its_generator_goes_on(service: Service) -> None:
    def uses() -> Iterator[pg.Use[Any]]:
        with service.guard.purpose(PRODUCER) as use:
            yield use

    steps = uses()
    use = next(steps)
    seal: Any = pg.Personal("d", tm.ProductData)
    assert (use.open(seal), use.open_all([seal]), use.try_open(seal, "")) == ("d", ["d"], "d")
    use.check(tm.ProductData)
    assert service.here() == "nothing"
    assert list(steps) == []
    with pytest.raises(pg.PurposeMissing):
        use.open(seal)


# --- context managers: what their generators enter is meant for the block


def test_a_context_manager_gives_its_purpose_to_its_block(service: Service) -> None:
    @contextlib.contextmanager
    def producing() -> Iterator[None]:
        with service.guard.purpose(PRODUCER):
            yield

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        with producing():
            yield

    @contextlib.asynccontextmanager
    async def aproducing() -> AsyncIterator[None]:
        async with service.guard.purpose(PRODUCER):
            yield

    async def main() -> list[str]:
        async with aproducing():
            inside = [service.here(), await asyncio.to_thread(service.here)]
            await asyncio.create_task(asyncio.sleep(0))
            inside.append(service.here())
            return [*inside, await asyncio.create_task(elsewhere())]

    async def elsewhere() -> str:
        return service.here()

    producer = PRODUCER.__name__
    for manager in (producing, around):
        with manager():
            assert service.here() == producer
        with contextlib.ExitStack() as stack:
            stack.enter_context(manager())
            assert service.here() == producer
        assert service.here() == "nothing"
    assert asyncio.run(main()) == [producer, "nothing", producer, "nothing"]


@pytest.fixture
def producing() -> Iterator[Service]:
    service = Service(pg.Guard(tm.NOTICE))
    with service.guard.purpose(PRODUCER):
        yield service


def test_a_fixture_gives_its_purpose_to_its_test(producing: Service) -> None:
    assert producing.here() == PRODUCER.__name__


def test_a_decorated_context_manager_gives_its_block_nothing(service: Service) -> None:
    @contextlib.contextmanager
    @service.guard.purpose(DECORATED)
    def session() -> Iterator[None]:
        with service.guard.purpose(PRODUCER):
            yield

    with session():
        assert service.here() == "nothing"


def test_a_stack_that_a_coroutine_has_filled_holds_after_it(service: Service) -> None:
    async def fill(stack: contextlib.AsyncExitStack) -> None:
        await stack.enter_async_context(service.guard.purpose(PRODUCER))

    async def main() -> list[str]:
        async with contextlib.AsyncExitStack() as stack:
            await fill(stack)
            inside = service.here()
        return [inside, service.here()]

    assert asyncio.run(main()) == [PRODUCER.__name__, "nothing"]


@pytest.mark.parametrize("withhold", [False, True])
def test_what_a_guarded_context_manager_reads_is_decided_where_it_is_entered(withhold: bool, service: Service) -> None:
    guard = service.guard

    @guard.access(withhold=withhold)
    @contextlib.contextmanager
    def session() -> Iterator[Customer]:
        yield Customer(device="d")

    @guard.access(withhold=withhold)
    @contextlib.asynccontextmanager
    async def asession() -> AsyncIterator[Customer]:
        yield Customer(device="d")

    async def aread(made: Any) -> str:
        async with made as customer:
            return str(customer.device)

    def read(made: Any) -> str:
        with made as customer:
            return str(customer.device)

    with guard.purpose(PRODUCER):
        assert [read(session()), asyncio.run(aread(asession()))] == ["d", "d"]
        early, aearly, late, alate = session(), asession(), session(), asession()
        with guard.purpose(CONSUMER):
            for ask in (lambda: read(early), lambda: asyncio.run(aread(aearly))):
                with pytest.raises(pg.PurposeViolation):
                    ask()
    for ask in (lambda: read(late), lambda: asyncio.run(aread(alate))):
        with pytest.raises(pg.PurposeMissing):
            ask()


def test_rows_of_a_guarded_context_manager_are_looked_at_where_it_is_entered() -> None:
    guard = pg.Guard(tm.NOTICE)

    class Row(BaseModel):
        key: Annotated[int, pg.Subject]
        device: Annotated[str, tm.ProductData]

    @guard.access
    @contextlib.contextmanager
    def session() -> Iterator[Row]:
        yield Row(key=1, device="d")

    with guard.purpose(PRODUCER):
        made = session()
        with session() as row:
            assert row.device == "d"
    with pytest.raises(pg.PurposeMissing), made:
        raise AssertionError("must not open")


def test_a_purpose_in_a_guarded_context_manager_stops_with_the_generator_around_it(service: Service) -> None:
    @service.guard.access(tm.Registration)
    @contextlib.contextmanager
    def session() -> Iterator[str]:
        with service.guard.purpose(PRODUCER):
            yield "open"

    def steps() -> Iterator[str]:
        with session():
            yield service.here()

    with service.guard.purpose(CONSUMER):
        given: Any = steps()
        assert next(given) == PRODUCER.__name__
        assert service.here() == CONSUMER.__name__
        given.close()


def test_a_generator_that_goes_on_in_another_thread_gives_nothing_to_the_first(service: Service) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def steps() -> Iterator[int]:
        with service.guard.purpose(PRODUCER):
            yield 1
            inside.set()
            go_on.wait(timeout=60)
            seen.append(service.here())
            yield 2

    seen: Seen = []
    given: Any = steps()
    next(given)
    thread = threading.Thread(target=next, args=(given,))
    thread.start()
    inside.wait(timeout=60)
    assert service.here() == "nothing"
    go_on.set()
    thread.join()
    assert seen == ["nothing"]
    given.close()


def test_an_async_generator_that_goes_on_in_another_task_gives_nothing_to_either(service: Service) -> None:
    async def steps() -> AsyncIterator[str]:
        with service.guard.purpose(PRODUCER):
            yield service.here()
            await asyncio.sleep(0)
            yield service.here()

    async def main() -> list[str]:
        given = steps()
        first = await anext(given)
        second: asyncio.Task[str] = asyncio.create_task(anext(given))  # type: ignore[arg-type]  # a coroutine in all but name
        names = []
        while not second.done():
            await asyncio.sleep(0)
            names.append(service.here())
        return [first, second.result(), *set(names)]

    assert asyncio.run(main()) == [PRODUCER.__name__, "nothing", "nothing"]


def test_what_a_generator_has_a_greenlet_do_holds_the_purpose_of_neither(service: Service) -> None:
    def steps() -> Iterator[str]:
        with service.guard.purpose(PRODUCER):
            yield str(greenlet.greenlet(service.here).switch())
            yield service.here()

    given: Any = steps()
    assert next(given) == "nothing"
    assert service.here() == "nothing"
    assert next(given) == PRODUCER.__name__
    given.close()

    def run() -> list[str]:
        return [*steps(), service.here()]

    assert greenlet.greenlet(run).switch() == ["nothing", PRODUCER.__name__, "nothing"]


def test_a_generator_at_the_bottom_of_a_stack_is_known_as_such(service: Service) -> None:
    checks: list[bool] = []

    def steps() -> Iterator[str]:
        with service.guard.purpose(PRODUCER) as use:
            checks.append(type(use._identify_runner) is FrameCheck)
            yield service.here()

    given: Any = steps()
    assert greenlet.greenlet(given.__next__).switch() == PRODUCER.__name__
    assert checks == [True]
    assert service.here() == "nothing"
    given.close()

    @contextlib.contextmanager
    def producing() -> Iterator[None]:
        with service.guard.purpose(PRODUCER) as use:
            checks.append(type(use._identify_runner) is FrameCheck)
            yield

    greenlet.greenlet(producing().__enter__).switch()
    assert checks == [True, False]
    assert service.here() == "nothing"


def test_no_frame_is_kept_of_a_use_that_has_ended(service: Service) -> None:
    def steps() -> Iterator[pg.Use[Any]]:
        with service.guard.purpose(PRODUCER) as use:
            yield use

    use = next(steps())
    check = use._identify_runner
    assert isinstance(check, FrameCheck)
    assert (check.frame, use.active) == (None, False)
    assert not check.is_running()
    assert find_suspendable_frame(sys._getframe()) is None


def test_a_use_is_ambient_only_while_its_generator_runs() -> None:
    guard = pg.Guard(tm.NOTICE)

    def steps() -> Iterator[pg.Use[Any]]:
        with guard.purpose(tm.RenewalGuidance) as use:
            assert is_ambient_here(use)
            yield use

    with guard.purpose(tm.RenewalGuidance) as outer:
        assert is_ambient_here(outer)
        inner = next(generator := steps())
        assert not is_ambient_here(inner)
        assert is_ambient_here(outer)
        generator.close()  # type: ignore[attr-defined]  # A generator has it.
    assert not is_ambient_here(outer)
