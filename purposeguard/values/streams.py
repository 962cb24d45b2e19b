"""Wrappers that check each step of lazily read values: iterators, coroutines, and generator-based context managers.

A decorated generator is checked each time its body resumes. An iterator that a plain function returns may resume as
well, under another purpose or under none. So a wrapper checks each step and otherwise behaves like the iterator.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, NamedTuple, NoReturn

from purposeguard.errors import PurposeGuardError

LEFT_OUT: Final = object()
"""A placeholder for a row that is left out."""


class Steps(NamedTuple):
    """Functions that run around each step of a lazily read value.

    Attributes:
        before: Raises if nothing may be read. The other two get its result as a token.
        item: Returns what replaces an item, or LEFT_OUT to skip to the next item.
        other: Returns what replaces any other result: the return value of a generator, the result of another method.
    """

    before: Callable[[], Any]
    item: Callable[[Any, Any], Any]
    other: Callable[[Any, Any], Any]


def _has_methods(cls: type, *names: str) -> bool:
    return all(getattr(cls, name, None) is not None for name in names)


def is_iterator_class(cls: type) -> bool:
    """Return True if objects of a class are iterators, or asynchronous iterators."""
    return _has_methods(cls, "__next__") or _has_methods(cls, "__anext__")


def enters_generator(cls: type) -> bool:
    """Return True if objects of a class are context managers that contextlib made from a generator function.

    The body of that function runs when the block is entered.
    """
    return issubclass(cls, (contextlib._GeneratorContextManager, contextlib._AsyncGeneratorContextManager))


def is_lazy_class(cls: type) -> bool:
    """Return True if objects of a class are read lazily: iterators, coroutines, awaitables, and generator contexts.

    A future is not: its result is computed elsewhere, whoever awaits it.
    """
    return (
        is_iterator_class(cls)
        or enters_generator(cls)
        or (_has_methods(cls, "__await__") and not hasattr(cls, "_asyncio_future_blocking"))
    )


def wrap_stepwise(value: Any, steps: Steps) -> Any:
    """Wrap a lazily read value so that each step is checked. The wrapper has the same protocols and methods."""
    cls = type(value)
    if inspect.iscoroutine(value):
        return _await_stepwise(value, steps)
    return _make_class(tuple(part for names, part in _PARTS if _has_methods(cls, *names)))(value, steps)


async def _await_stepwise(coroutine: Coroutine[Any, Any, Any], steps: Steps) -> Any:
    try:
        token = steps.before()
    except BaseException:
        coroutine.close()  # Closing it avoids a warning that it never ran.
        raise
    return _filter_result(steps.other, [await coroutine], token)


def _filter_result(result: Callable[[Any, Any], Any], value: list[Any], token: Any) -> Any:
    """Pass the value in a list to `result`, and return its result. A refusal keeps the value out of all frames."""
    try:
        return result(value.pop(), token)
    except PurposeGuardError as error:
        refusal = error
    raise refusal.with_traceback(None)


class _Stepwise:
    """A wrapper of a lazily read value. The subclasses below add the protocols that the value has."""

    __slots__ = ("__weakref__", "_behind", "_steps")

    def __init__(self, behind: Any, steps: Steps) -> None:
        self._behind = behind
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        behind, steps = self._behind, self._steps
        if name in _CLEANING:  # Closing reads nothing.
            return getattr(behind, name)
        if name.startswith("__") and not callable(getattr(type(behind), name, None)):
            raise AttributeError(name)  # Special data attributes would expose the object's state.
        token = steps.before()
        value = getattr(behind, name)
        if not callable(value):
            return _filter_result(steps.other, [value], token)

        def method(*args: Any, **kwargs: Any) -> Any:
            token = steps.before()
            return _filter_result(steps.other, [value(*args, **kwargs)], token)

        return method

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        """Refuse to be pickled: nothing would check the steps of the copy."""
        self.__deepcopy__()

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        self.__deepcopy__()

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled."""
        self.__deepcopy__()

    def __deepcopy__(self, _memo: object = None) -> NoReturn:
        """Refuse to be copied."""
        raise TypeError(f"a {type(self._behind).__name__} that asks at each item is neither copied nor pickled")


_CLEANING: Final = frozenset({"close", "aclose"})


class _Iterator(_Stepwise):
    __slots__ = ()

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self._step(next, self._behind)

    def _step(self, step: Callable[..., Any], *args: Any) -> Any:
        before, result, other = self._steps
        while True:
            token = before()
            try:
                read = [step(*args)]
            except StopIteration as stop:
                last = [stop.value]
            else:
                item = _filter_result(result, read, token)
                if item is not LEFT_OUT:
                    return item
                step, args = next, (self._behind,)
                continue
            # Raise outside of the handler: the error that is handled there holds the returned value.
            raise StopIteration(_filter_result(other, last, token))


class _Generator(_Stepwise):
    __slots__ = ()
    _step: Callable[..., Any]

    def send(self, value: Any) -> Any:
        return self._step(self._behind.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._behind.throw, *error)

    def close(self) -> None:
        self._behind.close()  # Do not return the generator's value, which was not checked.


class _AsyncIterator(_Stepwise):
    __slots__ = ()

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        return await self._astep(anext, self._behind)

    async def _astep(self, step: Callable[..., Any], *args: Any) -> Any:
        before, result, _ = self._steps
        while True:
            token = before()
            item = _filter_result(result, [await step(*args)], token)
            if item is not LEFT_OUT:
                return item
            step, args = anext, (self._behind,)


class _AsyncGenerator(_Stepwise):
    __slots__ = ()
    _astep: Callable[..., Any]

    async def asend(self, value: Any) -> Any:
        return await self._astep(self._behind.asend, value)

    async def athrow(self, *error: Any) -> Any:
        return await self._astep(self._behind.athrow, *error)

    async def aclose(self) -> None:
        await self._behind.aclose()


class _Awaitable(_Stepwise):
    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, Any]:
        token = self._steps.before()
        return _filter_result(self._steps.other, [(yield from self._behind.__await__())], token)


class _Context(_Stepwise):
    __slots__ = ()

    def __enter__(self) -> Any:
        token = self._steps.before()
        entered = self._behind.__enter__()
        return self if entered is self._behind else _filter_result(self._steps.other, [entered], token)

    def __exit__(self, *error: object) -> Any:
        return self._behind.__exit__(*error)


class _AsyncContext(_Stepwise):
    __slots__ = ()

    async def __aenter__(self) -> Any:
        token = self._steps.before()
        entered = await self._behind.__aenter__()
        return self if entered is self._behind else _filter_result(self._steps.other, [entered], token)

    async def __aexit__(self, *error: object) -> Any:
        return await self._behind.__aexit__(*error)


_PARTS: Final[tuple[tuple[tuple[str, ...], type[_Stepwise]], ...]] = (
    (("__next__",), _Iterator),
    (("__next__", "send", "throw", "close"), _Generator),
    (("__anext__",), _AsyncIterator),
    (("__anext__", "asend", "athrow", "aclose"), _AsyncGenerator),
    (("__await__",), _Awaitable),
    (("__enter__", "__exit__"), _Context),
    (("__aenter__", "__aexit__"), _AsyncContext),
)
"""The methods of each protocol, and the wrapper class that forwards them."""


@functools.cache
def _make_class(parts: tuple[type[_Stepwise], ...]) -> type[_Stepwise]:
    """Return the class that combines these parts. The cache is bounded by the number of combinations."""
    return type("Stepwise", parts, {"__slots__": ()})
