"""What hypothesis is doing while it runs a test: what a test that is written on top of it has to know."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeVar

from hypothesis import Phase, find, settings
from hypothesis import strategies as st
from hypothesis.control import BuildContext
from hypothesis.errors import NoSuchExample
from hypothesis.internal import scrutineer

T = TypeVar("T")


def execution_of() -> object:
    """The object that stands for one run of hypothesis over a test; None where it cannot be found."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "execute_once":
            return frame.f_locals.get("self")
        frame = frame.f_back
    return None


def reference(execution: object) -> Callable[[], object]:
    """What gives that object as long as it is there, and does not keep it."""
    try:
        return weakref.ref(execution)
    except TypeError:
        return lambda: None


def choices_of(context: BuildContext) -> object:
    """What was drawn, as far as it says which example this is."""
    choices = getattr(context.data, "choices", None)
    if choices is not None:
        return tuple((type(one), one) for one in choices)
    drawn = getattr(context.data, "buffer", None)  # what earlier versions draw from
    return None if drawn is None else bytes(drawn)


@contextlib.contextmanager
def untraced() -> Generator[Any]:
    """Gives the function with which hypothesis traces each line, to explain failures, and takes it off meanwhile.

    It explains lines of the application; to trace all that is done beside would take several times as long.
    """
    tracer: Any = sys.gettrace()
    if type(getattr(tracer, "__self__", None)).__module__ != scrutineer.__name__:
        yield None  # none, or somebody else's; from Python 3.12 on hypothesis needs none
        return
    sys.settrace(None)
    try:
        yield tracer
    finally:
        sys.settrace(tracer)


def not_counted(context: BuildContext, seconds: float) -> None:
    """Time that no deadline counts: it is for one run of a body, however often it is repeated."""
    known = getattr(context.data, "_stateful_run_times", None)
    if isinstance(known, dict):
        known["purposeguard"] = known.get("purposeguard", 0.0) + seconds


def aside(fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """What a function gives, in a thread of its own: hypothesis does not look for values within a test."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(fn, *args, **kwargs).result()


def several(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Some that a strategy makes, where there is nothing that they could be drawn from."""
    found: list[Any] = []

    def enough(one: Any) -> bool:
        found.append(one)
        return len(found) >= count

    with contextlib.suppress(NoSuchExample):
        aside(find, strategy, enough, settings=_SEARCH)
    return found[:count]


_SEARCH: Final = settings(database=None, derandomize=True, max_examples=20, deadline=None, phases=[Phase.generate])


def is_explicit(context: BuildContext) -> bool:
    """Whether the example was given by `@example`, so that there is nothing to draw from."""
    data: Any = context.data
    return bool(getattr(data, "max_choices", getattr(data, "max_length", None)) == 0)  # its earlier name


def _say_nothing_of_this() -> None:
    """Of the lines that only failing examples ran, hypothesis shows those of the application; none of these."""
    known = getattr(scrutineer, "UNHELPFUL_LOCATIONS", None)
    own = f"/{Path(__file__).parent.parent.name}/{Path(__file__).parent.name}/*"
    if isinstance(known, tuple) and own not in known:
        scrutineer.UNHELPFUL_LOCATIONS = (*known, own)


_say_nothing_of_this()
