"""Activities: functions of every kind, methods, context managers; and purposes carried elsewhere."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest

from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import PROVISION, RENEWAL, guard, in_a_loop, purpose_here


def test_a_function_is_an_activity() -> None:
    @guard.purpose(tm.RenewalGuidance)
    def remind(a: int, *, b: int = 2) -> tuple[int, int, str | None]:
        """Reminds."""
        return a, b, purpose_here()

    assert remind(1, b=3) == (1, 3, RENEWAL)
    assert purpose_here() is None
    assert remind.__name__ == "remind"
    assert remind.__doc__ == "Reminds."
    assert str(inspect.signature(remind)) == "(a: 'int', *, b: 'int' = 2) -> 'tuple[int, int, str | None]'"


def test_the_purpose_ends_where_the_function_raises() -> None:
    @guard.purpose(tm.RenewalGuidance)
    def remind() -> None:
        raise KeyError(purpose_here())

    with pytest.raises(KeyError, match=r"1\.2"):
        remind()
    assert purpose_here() is None


def test_activities_call_each_other() -> None:
    @guard.purpose(tm.ProductProvision)
    def inner() -> str | None:
        return purpose_here()

    @guard.purpose(tm.RenewalGuidance)
    def outer(depth: int) -> list[str | None]:
        return [purpose_here(), inner(), *(outer(depth - 1) if depth else []), purpose_here()]

    assert outer(1) == [RENEWAL, PROVISION, RENEWAL, PROVISION, RENEWAL, RENEWAL]


@in_a_loop
async def test_a_coroutine_function_is_an_activity() -> None:
    @guard.purpose(tm.RenewalGuidance)
    async def remind(wait: float) -> tuple[str | None, str | None]:
        before = purpose_here()
        await asyncio.sleep(wait)
        return before, purpose_here()

    assert inspect.iscoroutinefunction(remind)
    pending = remind(0)
    assert purpose_here() is None  # made, not run
    assert await pending == (RENEWAL, RENEWAL)
    assert purpose_here() is None
    task = asyncio.create_task(remind(0.001))
    await asyncio.sleep(0)
    assert purpose_here() is None
    assert await task == (RENEWAL, RENEWAL)
    task = asyncio.create_task(remind(60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert purpose_here() is None


def test_a_generator_holds_its_purpose_while_its_body_runs_and_never_in_the_consumer() -> None:
    seen: list[object] = []

    @guard.purpose(tm.RenewalGuidance)
    def letters(n: int) -> Generator[str | None, str, str]:
        try:
            for _ in range(n):
                sent = yield purpose_here()
                seen.append(sent)
        except KeyError as error:
            seen.append((repr(error), purpose_here()))
            yield "handled"
        finally:
            seen.append(purpose_here())
        return f"done under {purpose_here()}"

    assert inspect.isgeneratorfunction(letters)
    given = letters(2)
    assert seen == []
    assert next(given) == RENEWAL
    assert purpose_here() is None
    assert given.send("sent") == RENEWAL
    assert purpose_here() is None
    with pytest.raises(StopIteration) as stop:
        given.send("again")
    assert stop.value.value == f"done under {RENEWAL}"
    assert seen == ["sent", "again", RENEWAL]

    seen.clear()
    given = letters(2)
    next(given)
    assert given.throw(KeyError("thrown")) == "handled"
    given.close()
    assert seen == [("KeyError('thrown')", RENEWAL), RENEWAL]
    assert purpose_here() is None

    seen.clear()
    given = letters(9)
    next(given)
    with guard.purpose(tm.ProductProvision):
        given.close()  # cleans up under its own purpose
        assert purpose_here() == PROVISION
    assert seen == [RENEWAL]

    letters(9).close()  # never begun
    given = letters(9)
    next(given)
    with pytest.raises(ValueError, match="not handled"):
        given.throw(ValueError("not handled"))
    assert list(given) == []
    assert purpose_here() is None


def test_a_generator_may_go_on_in_another_thread() -> None:
    @guard.purpose(tm.RenewalGuidance)
    def letters() -> Iterator[str | None]:
        while True:
            yield purpose_here()

    given = letters()
    assert next(given) == RENEWAL
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(next, given).result() == RENEWAL
        assert pool.submit(purpose_here).result() is None
    with guard.purpose(tm.ProductProvision):
        assert next(given) == RENEWAL
        assert purpose_here() == PROVISION
    given.close()  # type: ignore[attr-defined]


def test_generators_delegate() -> None:
    @guard.purpose(tm.ProductProvision)
    def inner() -> Generator[str | None, None, str]:
        yield purpose_here()
        return "inner"

    @guard.purpose(tm.RenewalGuidance)
    def outer() -> Generator[str | None, None, None]:
        result = yield from inner()
        yield f"{result} {purpose_here()}"

    assert list(outer()) == [PROVISION, f"inner {RENEWAL}"]


@in_a_loop
async def test_an_async_generator_holds_its_purpose_while_its_body_runs() -> None:
    seen: list[object] = []

    @guard.purpose(tm.RenewalGuidance)
    async def letters(n: int) -> AsyncIterator[Any]:
        try:
            for _ in range(n):
                await asyncio.sleep(0)
                seen.append((yield purpose_here()))
        except KeyError as error:
            seen.append((repr(error), purpose_here()))
            yield "handled"
        finally:
            await asyncio.sleep(0)
            seen.append(purpose_here())

    assert inspect.isasyncgenfunction(letters)
    async for one in letters(2):
        assert one == RENEWAL
        assert purpose_here() is None
    assert seen == [None, None, RENEWAL]

    seen.clear()
    given: Any = letters(3)
    assert await anext(given) == RENEWAL
    assert await given.asend("sent") == RENEWAL
    assert await given.athrow(KeyError("thrown")) == "handled"
    await given.aclose()
    assert seen == ["sent", ("KeyError('thrown')", RENEWAL), RENEWAL]

    seen.clear()
    given = letters(3)
    await anext(given)
    with guard.purpose(tm.ProductProvision):
        await given.aclose()
        assert purpose_here() == PROVISION
    assert seen == [RENEWAL]

    await letters(3).aclose()  # never begun
    given = letters(3)
    await anext(given)
    with pytest.raises(ValueError, match="not handled"):
        await given.athrow(ValueError("not handled"))
    assert [one async for one in given] == []
    assert purpose_here() is None


class Mailer:
    """Methods of every kind, decorators in both orders."""

    def __init__(self, name: str) -> None:
        self.name = name

    @guard.purpose(tm.RenewalGuidance)
    def method(self, more: str) -> tuple[object, ...]:
        return self.name, more, purpose_here()

    @classmethod
    @guard.purpose(tm.RenewalGuidance)
    def class_inside(cls, more: str) -> tuple[object, ...]:
        return cls.__name__, more, purpose_here()

    @guard.purpose(tm.RenewalGuidance)
    @classmethod
    def class_outside(cls, more: str) -> tuple[object, ...]:
        return cls.__name__, more, purpose_here()

    @staticmethod
    @guard.purpose(tm.RenewalGuidance)
    def static_inside(more: str) -> tuple[object, ...]:
        return "static", more, purpose_here()

    @guard.purpose(tm.RenewalGuidance)
    @staticmethod
    def static_outside(more: str) -> tuple[object, ...]:
        return "static", more, purpose_here()

    @property
    @guard.purpose(tm.RenewalGuidance)
    def prop(self) -> tuple[object, ...]:
        return self.name, purpose_here()

    @guard.purpose(tm.RenewalGuidance)
    async def coroutine(self) -> tuple[object, ...]:
        return self.name, purpose_here()

    @guard.purpose(tm.RenewalGuidance)
    def generator(self) -> Iterator[tuple[object, ...]]:
        yield self.name, purpose_here()

    @guard.purpose(tm.RenewalGuidance)
    def __call__(self) -> tuple[object, ...]:
        return self.name, purpose_here()


def test_methods_of_every_kind_are_activities() -> None:
    mailer = Mailer("m")
    assert mailer.method("x") == ("m", "x", RENEWAL)
    for owner in (Mailer, mailer):
        assert owner.class_inside("x") == ("Mailer", "x", RENEWAL)
        assert owner.class_outside("x") == ("Mailer", "x", RENEWAL)
        assert owner.static_inside("x") == ("static", "x", RENEWAL)
        assert owner.static_outside("x") == ("static", "x", RENEWAL)
        for name in ("class_inside", "class_outside", "static_inside", "static_outside"):
            assert str(inspect.signature(getattr(owner, name))) == "(more: 'str') -> 'tuple[object, ...]'"
    assert mailer.prop == ("m", RENEWAL)
    assert asyncio.run(mailer.coroutine()) == ("m", RENEWAL)
    assert list(mailer.generator()) == [("m", RENEWAL)]
    assert mailer() == ("m", RENEWAL)
    assert purpose_here() is None


class Callable_:
    def __call__(self, n: int) -> tuple[int, str | None]:
        return n, purpose_here()


class AsyncCallable:
    async def __call__(self, n: int) -> tuple[int, str | None]:
        return n, purpose_here()


def test_other_callables_are_activities() -> None:
    def plain(n: int, m: int) -> tuple[int, int, str | None]:
        return n, m, purpose_here()

    async def slow(n: int) -> tuple[int, str | None]:
        return n, purpose_here()

    decorate = guard.purpose(tm.RenewalGuidance)
    assert decorate(functools.partial(plain, 1))(2) == (1, 2, RENEWAL)
    assert decorate(Callable_())(1) == (1, RENEWAL)
    assert asyncio.run(decorate(AsyncCallable())(1)) == (1, RENEWAL)
    assert asyncio.run(decorate(functools.partial(slow, 1))()) == (1, RENEWAL)
    assert decorate(len)("abc") == 3


@pytest.mark.parametrize(
    "given", [Mailer, 5, None, "text", property(lambda self: 1)], ids=lambda given: type(given).__name__
)
def test_what_is_no_function_is_a_type_error(given: Any) -> None:
    with pytest.raises(TypeError, match="decorates functions"):
        guard.purpose(tm.RenewalGuidance)(given)


class Task:
    """A task of a queue, in the manner of Celery."""

    def __init__(self, fn: Any) -> None:
        self.run = fn
        self.sent: list[Any] = []

    def __call__(self, *args: Any) -> Any:
        return self.run(*args)

    def apply_async(self, args: tuple[Any, ...] = ()) -> None:
        self.sent.append(args)


def test_a_task_of_a_queue_stays_one() -> None:
    def remind(n: int) -> tuple[int, str | None]:
        return n, purpose_here()

    task = Task(remind)
    assert guard.purpose(tm.RenewalGuidance)(task) is task
    task.apply_async((7,))
    assert task(7) == (7, RENEWAL)
    assert task.sent == [(7,)]
    assert any(activity.name.endswith("remind") for activity in guard.activities)


def test_nothing_else_takes_the_place_of_a_task() -> None:
    def load(n: int) -> int:
        return n

    with guard.purpose(tm.RenewalGuidance):
        for decorate in (guard.access(tm.Contract), guard.carry, guard.purpose(tm.RenewalGuidance).with_use):
            with pytest.raises(TypeError, match="decorates functions, not tasks"):
                decorate(Task(load))
    with pytest.raises(TypeError, match="decorates functions and methods"):
        guard.purpose(tm.RenewalGuidance)(Task)
