"""Wrapping a function of any kind: what happens before and after its body, however the body is run.

A generator's or coroutine's `before` and `after` surround the running of the body, not its creation. A generator's
body is left at every `yield` and entered again after it, so that nothing of it holds in the consumer meanwhile.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any, Final, Protocol, TypeVar, cast

from purposeguard.errors import hide_own_frames
from purposeguard.runtime.site import Site
from purposeguard.values.callables import Kind, callable_kind
from purposeguard.values.streams import LEFT_OUT

F = TypeVar("F", bound=Callable[..., Any])
Function = Callable[..., Any]


class BodyWrapper(Protocol):
    """What surrounds each run of a body. Whatever `before` gives is handed to the other two."""

    def enter(self) -> Any:
        """Run before the body, and again whenever a generator's body goes on; raise to keep it from running."""

    def leave(self, token: Any) -> None:
        """Run when the body is left, by whichever way."""

    def enter_for_cleanup(self) -> Any:
        """Run instead of `before` where a generator's body is only let clean up."""

    def filter_result(self, value: Any, token: Any) -> Any:
        """What the caller gets for what the body returned or yielded."""


def wrap_method(fn: Any, wrap: Callable[[Function], Function]) -> Any | None:
    """Return `fn` wrapped inside its classmethod or staticmethod; None where it is neither."""
    if isinstance(fn, (classmethod, staticmethod)):
        return type(fn)(wrap(cast("Function", fn.__func__)))
    return None


def wrap_body(fn: Any, around: BodyWrapper) -> Function:
    """Return `fn` with `around` around its body: same signature, same kind (sync, async, generator, async generator).

    Raises:
        TypeError: `fn` is not a function or another callable object.
    """
    require_function(fn)
    return WRAPPERS[callable_kind(fn)](fn, around)


def is_task(fn: Any) -> bool:
    """True if it is a task of a queue, as Celery makes them: an object whose `run` is the function, with `.delay`."""
    if isinstance(fn, type) or inspect.isroutine(fn):
        return False
    return callable(getattr(fn, "run", None)) and callable(getattr(fn, "apply_async", None))


def wrap_task(task: Any, wrap: Callable[[Function], Function]) -> Any:
    """Return the task itself, with its function wrapped: a function in its place would have no `.delay`."""
    task.run = wrap(task.run)
    return task


def require_function(fn: Any) -> None:
    """Raise TypeError where `fn` is not a function or another callable object, or is a task of a queue."""
    if is_task(fn):
        raise TypeError(
            "decorates functions, not tasks, which would lose `.delay`: write it below the task's decorator"
        )
    if isinstance(fn, type) or not callable(fn):
        kind = "a class" if isinstance(fn, type) else f"`{type(fn).__name__}`"
        instead = "write `@property` above it" if isinstance(fn, property) else "decorate the functions that run"
        raise TypeError(f"decorates functions and methods, not {kind}: {instead}")


def refuse_method(fn: Any, instead: str) -> None:
    """Raise where the first argument of `fn` is its object or class, and so not what a wrapper puts there.

    To be asked before a classmethod or staticmethod is unwrapped; a staticmethod is a function like any other.

    Raises:
        TypeError: `fn` is a classmethod, or a method by the name of its first parameter. `instead` is what to do.
    """
    if isinstance(fn, classmethod):
        inner: Any = cast("Function", fn.__func__)
    elif inspect.isfunction(fn) and next(iter(inspect.signature(fn).parameters), None) in {"self", "cls"}:
        inner = fn
    else:
        return
    raise TypeError(f"{Site.of(inner).dotted} is a method, whose first argument is another: {instead}")


def explain_call(error: BaseException, fn: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Add a note to the error of a call that lacks an argument, where `fn` takes a use that nobody gives it."""
    trace = error.__traceback__
    if not isinstance(error, TypeError) or trace is None or trace.tb_next is not None:
        return  # not of the call itself
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return  # it has none
    first = next(iter(signature.parameters.values()), None)
    if first is not None and (first.name == "use" or re.search(r"\bUse\b", str(first.annotation))):
        try:
            signature.bind(*args, **kwargs)
        except TypeError:
            error.add_note(f"`{first.name}` is given by `@guard.purpose(…).with_use`: write that above the function")


def _wrap_plain(fn: Function, around: BodyWrapper) -> Function:
    before, after, result = around.enter, around.leave, around.filter_result

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            token = before()
            try:
                return result(fn(*args, **kwargs), token)
            finally:
                after(token)
        except BaseException as error:
            explain_call(error, fn, args, kwargs)
            hide_own_frames(error)
            raise

    return wrapper


def _wrap_coroutine(fn: Function, around: BodyWrapper) -> Function:
    before, after, result = around.enter, around.leave, around.filter_result

    @functools.wraps(fn)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            token = before()
            try:
                return result(await fn(*args, **kwargs), token)
            finally:
                after(token)
        except BaseException as error:
            explain_call(error, fn, args, kwargs)
            hide_own_frames(error)
            raise

    return wrapper


def _wrap_generator(fn: Function, around: BodyWrapper) -> Function:
    before, after, result = around.enter, around.leave, around.filter_result

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        body: Generator[Any, Any, Any] = fn(*args, **kwargs)
        step: Callable[[Any], Any] = body.send
        given: Any = None
        try:
            while True:
                token = before()
                try:
                    item = result(step(given), token)
                except StopIteration as stop:
                    last = result(stop.value, token)
                    return None if last is LEFT_OUT else last
                finally:
                    after(token)
                if item is LEFT_OUT:
                    given, step = None, body.send
                    continue
                try:
                    given, step = (yield item), body.send
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001  # whatever the consumer throws in is the body's to handle
                    given, step = error, body.throw
        except BaseException as error:
            hide_own_frames(error)
            raise
        finally:
            _close_body(body, around)

    return wrapper


def _close_body(body: Generator[Any, Any, Any], around: BodyWrapper) -> None:
    """Let a body that was not exhausted clean up, inside what surrounds it."""
    if inspect.getgeneratorstate(body) in (inspect.GEN_CLOSED, inspect.GEN_CREATED):
        body.close()
        return
    token = around.enter_for_cleanup()
    try:
        body.close()
    finally:
        around.leave(token)


def _wrap_async_generator(fn: Function, around: BodyWrapper) -> Function:
    before, after, result = around.enter, around.leave, around.filter_result

    @functools.wraps(fn)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        body: AsyncGenerator[Any, Any] = fn(*args, **kwargs)
        step: Callable[[Any], Any] = body.asend
        given: Any = None
        live = True
        try:
            while True:
                token = before()
                try:
                    item = result(await step(given), token)
                except StopAsyncIteration:
                    live = False
                    return
                except BaseException:
                    # It goes to the consumer. The body has ended by it, or what it yielded was refused.
                    live = getattr(body, "ag_frame", None) is not None
                    raise
                finally:
                    after(token)
                if item is LEFT_OUT:
                    given, step = None, body.asend
                    continue
                try:
                    given, step = (yield item), body.asend
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001  # whatever the consumer throws in is the body's to handle
                    given, step = error, body.athrow
        except BaseException as error:
            hide_own_frames(error)
            raise
        finally:
            if live:
                token = around.enter_for_cleanup()
                try:
                    await body.aclose()
                finally:
                    after(token)

    return wrapper


WRAPPERS: Final[Mapping[Kind, Callable[[Function, BodyWrapper], Function]]] = {
    "plain": _wrap_plain,
    "coroutine": _wrap_coroutine,
    "generator": _wrap_generator,
    "async generator": _wrap_async_generator,
}
