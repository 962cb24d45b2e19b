"""Wrapping of functions of any kind in steps that run before and after their body.

For a generator or coroutine, the steps surround each run of the body, not its creation. The body of a generator is left
at each `yield` and entered again afterwards, so its purpose does not apply to the consumer in between.
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
    """The steps around each run of a function body. The result of `enter` is passed to the other steps."""

    def enter(self) -> Any:
        """Run before the body, and again before each step of a generator. Raise an error to prevent the run."""

    def leave(self, token: Any) -> None:
        """Run after the body is left, by a return, a yield or an error."""

    def enter_for_cleanup(self) -> Any:
        """Run instead of `enter` if a generator is only closed."""

    def filter_result(self, value: Any, token: Any) -> Any:
        """Return the value that the caller receives for a value that the body returned or yielded."""


def wrap_method(fn: Any, wrap: Callable[[Function], Function]) -> Any | None:
    """Wrap the function inside a classmethod or staticmethod. Return None if `fn` is neither."""
    if isinstance(fn, (classmethod, staticmethod)):
        return type(fn)(wrap(cast("Function", fn.__func__)))
    return None


def wrap_body(fn: Any, around: BodyWrapper) -> Function:
    """Wrap a function in the steps of `around`. The wrapper has the same signature and is of the same kind.

    Args:
        fn: A function, coroutine function, generator or async generator, or a callable object.
        around: The steps around the body.

    Raises:
        TypeError: `fn` is not callable, or it is a class or a task of a queue.
    """
    require_function(fn)
    return WRAPPERS[callable_kind(fn)](fn, around)


def is_task(fn: Any) -> bool:
    """Return True if an object is a task of a queue such as Celery, with the methods `run` and `apply_async`."""
    if isinstance(fn, type) or inspect.isroutine(fn):
        return False
    return callable(getattr(fn, "run", None)) and callable(getattr(fn, "apply_async", None))


def wrap_task(task: Any, wrap: Callable[[Function], Function]) -> Any:
    """Wrap the function of a task, and return the task itself. A function in its place would have no `.delay`."""
    task.run = wrap(task.run)
    return task


def require_function(fn: Any) -> None:
    """Raise TypeError if `fn` is not callable, or is a class or a task of a queue."""
    if is_task(fn):
        raise TypeError(
            "decorates functions, not tasks, which would lose `.delay`: write it below the task's decorator"
        )
    if isinstance(fn, type) or not callable(fn):
        kind = "a class" if isinstance(fn, type) else f"`{type(fn).__name__}`"
        instead = "write `@property` above it" if isinstance(fn, property) else "decorate the functions that run"
        raise TypeError(f"decorates functions and methods, not {kind}: {instead}")


def refuse_method(fn: Any, instead: str) -> None:
    """Refuse a method, because a wrapper passes another first argument than its object or class.

    Call it before a classmethod or staticmethod is unwrapped. A staticmethod is accepted like a function.

    Args:
        fn: The function to check.
        instead: The remedy in the message.

    Raises:
        TypeError: `fn` is a classmethod, or its first parameter is called `self` or `cls`.
    """
    if isinstance(fn, classmethod):
        inner: Any = cast("Function", fn.__func__)
    elif inspect.isfunction(fn) and next(iter(inspect.signature(fn).parameters), None) in {"self", "cls"}:
        inner = fn
    else:
        return
    raise TypeError(f"{Site.of(inner).dotted} is a method, whose first argument is another: {instead}")


def explain_call(error: BaseException, fn: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Add a note to the error of a call with missing arguments, if `fn` expects a use as its first argument."""
    trace = error.__traceback__
    if not isinstance(error, TypeError) or trace is None or trace.tb_next is not None:
        return  # The call itself did not fail.
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return  # The function has no signature.
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
        sent: Any = None
        try:
            while True:
                token = before()
                try:
                    item = result(step(sent), token)
                except StopIteration as stop:
                    last = result(stop.value, token)
                    return None if last is LEFT_OUT else last
                finally:
                    after(token)
                if item is LEFT_OUT:
                    sent, step = None, body.send
                    continue
                try:
                    sent, step = (yield item), body.send
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001  # The body handles what the consumer throws.
                    sent, step = error, body.throw
        except BaseException as error:
            hide_own_frames(error)
            raise
        finally:
            _close_body(body, around)

    return wrapper


def _close_body(body: Generator[Any, Any, Any], around: BodyWrapper) -> None:
    """Close a generator that was not exhausted, inside the steps for cleaning up."""
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
        sent: Any = None
        is_live = True
        try:
            while True:
                token = before()
                try:
                    item = result(await step(sent), token)
                except StopAsyncIteration:
                    is_live = False
                    return
                except BaseException:
                    # The error is raised to the consumer. It ended the body, or a yielded item was refused.
                    is_live = getattr(body, "ag_frame", None) is not None
                    raise
                finally:
                    after(token)
                if item is LEFT_OUT:
                    sent, step = None, body.asend
                    continue
                try:
                    sent, step = (yield item), body.asend
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001  # The body handles what the consumer throws.
                    sent, step = error, body.athrow
        except BaseException as error:
            hide_own_frames(error)
            raise
        finally:
            if is_live:
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
