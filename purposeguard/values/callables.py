"""Kinds of callables: whether the body runs during the call, or later, and how."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final, Literal

Kind = Literal["plain", "coroutine", "generator", "async generator"]

_LATER: Final[tuple[tuple[Callable[[object], bool], Kind], ...]] = (
    (inspect.isasyncgenfunction, "async generator"),
    (inspect.iscoroutinefunction, "coroutine"),
    (inspect.isgeneratorfunction, "generator"),
)


def callable_kind(fn: Callable[..., Any]) -> Kind:
    """Return the kind of a function, a method, a partial, or an object with `__call__`."""
    while isinstance(fn, functools.partial):  # `inspect` looks only through partials of functions.
        fn = fn.func
    for is_one, kind in _LATER:
        if is_one(fn) or is_one(getattr(type(fn), "__call__", None)):  # noqa: B004  # The kind of `__call__` matters, not its presence.
            return kind
    return "plain"


def is_plain(fn: Callable[..., Any]) -> bool:
    """Return True if the body of `fn` runs within the call of it."""
    return callable_kind(fn) == "plain"
