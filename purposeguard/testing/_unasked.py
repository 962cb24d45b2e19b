"""Where an error goes that leaves a task or the work of a pool: no `except` stands there, and perhaps nobody looks."""

from __future__ import annotations

import concurrent.futures
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any, Final, NamedTuple

_ASYNCIO: Final = "asyncio"
_GATHERED: Final = "gather.<locals>._done_callback"
_POOL: Final = "concurrent.futures.thread"

Place = tuple[str, int]
"""A file and a line."""


class Waiting(NamedTuple):
    """Who waits for a task in a way that keeps its error: in a group with others, or as a value among results."""

    grouped: bool
    places: tuple[Place, ...]
    """Where they wait, the innermost first."""


def waiting() -> Waiting | None:
    """Who waits so for the present task; None where there is none, or its error will just be raised there."""
    asyncio = sys.modules.get(_ASYNCIO)
    if asyncio is None:
        return None
    try:
        task: Any = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return None
    for callback in _callbacks(task):
        code = getattr(callback, "__code__", None)
        gathered = isinstance(code, CodeType) and code.co_qualname == _GATHERED
        if gathered and _held(callback, "return_exceptions"):
            waiters = (getattr(one, "__self__", None) for one in _callbacks(_held(callback, "outer")))
            waiter = next((one for one in waiters if isinstance(one, asyncio.Task)), None)
            return Waiting(False, tuple(_places(waiter)))
        group = getattr(callback, "__self__", None)
        if isinstance(group, asyncio.TaskGroup):
            return Waiting(True, tuple(_places(getattr(group, "_parent_task", None))))
    return None


def _held(function: Any, name: str) -> Any:
    """What a nested function finds under a name of the function around it; None where there is none."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
    try:
        return cells[name].cell_contents
    except (KeyError, ValueError):  # another version of Python, or it is not there yet
        return None


def _callbacks(future: Any) -> Iterator[Any]:
    """What is called once a task, or another future of asyncio, is done."""
    for callback, *_ in getattr(future, "_callbacks", None) or ():
        yield callback


def _places(task: Any) -> Iterator[Place]:
    """Where a task waits, the innermost first."""
    found: list[Place] = []
    coroutine: Any = task.get_coro() if task is not None else None
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        found.append((frame.f_code.co_filename, frame.f_lineno))
        coroutine = coroutine.cr_await
    return reversed(found)


class Look:
    """Whether somebody looked at the error of a future. It outlives both."""

    __slots__ = ("looked",)

    def __init__(self) -> None:
        self.looked = False


class _Asked(concurrent.futures.Future[Any]):
    """A future that notes when somebody looks at its error. Where that is raised, its traceback tells."""

    look: Look

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self.look.looked = True
        return super().exception(timeout)


def work_here() -> Look | None:
    """Of the work of a pool that is under way in this thread, whether somebody will look at its error."""
    code = _work()
    frame = sys._getframe() if code is not None else None
    while frame is not None:
        if frame.f_code is code:
            future = getattr(frame.f_locals.get("self"), "future", None)
            if type(future) is concurrent.futures.Future:
                future.__class__ = _Asked  # both have the same shape
                future.look = Look()  # type: ignore[attr-defined]  # as it is now
            return future.look if isinstance(future, _Asked) else None
        frame = frame.f_back
    return None


def is_work(code: CodeType) -> bool:
    """Whether this is where a pool keeps the error of its work."""
    return code is _work()


def _work() -> CodeType | None:
    thread: Any = sys.modules.get(_POOL)  # which is loaded where there is a pool
    run = getattr(getattr(thread, "_WorkItem", None), "run", None)
    return getattr(run, "__code__", None)
