"""Entry points: the route, task, command, job or test by which the outside world starts the present execution."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Collection, Generator
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, Self

from purposeguard.errors import on_one_line
from purposeguard.runtime.wrapping import Function, wrap_body


class _Entered(NamedTuple):
    """An entry point that was entered in a context, and the one around it."""

    entry_point: EntryPoint
    outer: _Entered | None


_ENTERED: Final[ContextVar[_Entered | None]] = ContextVar("purposeguard_entry_point", default=None)

_NO_ROUTE: Final = "(no route)"
METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""The methods of HTTP in the names of entry points."""


class EntryPoint:
    """A block that runs at an entry point: `with EntryPoint.route("GET", "/users/{id}"):`.

    Tasks and context copies that begin in the block inherit the entry point, as do functions that `guard.carry` binds.
    The innermost entry point counts: a task that runs within a request has its own. One object may be entered in
    several threads and tasks at the same time.

    Attributes:
        name: The name, which contains no personal data: the template of a route, not the path of a request.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        """Name the entry point, such as `task shop.tasks.send_invoice`. Use the class methods where they fit."""
        self.name = on_one_line(name)

    @classmethod
    def route(cls, method: str, template: str) -> Self:
        """Return the entry point of a web route.

        Args:
            method: The method of the request, such as `GET`, or `WEBSOCKET`.
            template: The template of the route, such as `/users/{id}`.
        """
        return cls(f"{method.upper()} {template}")

    @classmethod
    def request(cls, method: str) -> Self:
        """Return the entry point of a request before its route is chosen, `GET (no route)`.

        It is also that of a request for which there is no route.
        """
        entry_point = object.__new__(cls)
        entry_point.name = _name_request(method)
        return entry_point

    def choose_route(self, method: str, template: str) -> None:
        """Name the entry point after the route that was chosen for its request.

        This holds in all threads and tasks of the request at once, and until its answer is written.
        """
        self.name = type(self).route(method, template).name

    @classmethod
    def task(cls, name: str) -> Self:
        """Return the entry point of a task of a queue."""
        return cls(f"task {name}")

    @classmethod
    def command(cls, name: str) -> Self:
        """Return the entry point of a management command."""
        return cls(f"command {name}")

    @classmethod
    def job(cls, name: str) -> Self:
        """Return the entry point of a scheduled job."""
        return cls(f"job {name}")

    @classmethod
    def test(cls, name: str) -> Self:
        """Return the entry point of a test."""
        return cls(f"test {name}")

    def __enter__(self) -> Self:
        _ENTERED.set(_Entered(self, _ENTERED.get()))
        return self

    def __exit__(self, *_: object) -> None:
        entered = _ENTERED.get()
        while entered is not None and entered.entry_point is not self:
            entered = entered.outer
        if entered is not None:  # If the block is left in another context, there is nothing to leave.
            _ENTERED.set(entered.outer)

    def wrap(self, fn: Function) -> Function:
        """Wrap a function of any kind so that it runs at this entry point. A generator has it at each step."""
        return wrap_body(fn, _Steps(self))

    def __repr__(self) -> str:
        return f"<EntryPoint {self.name}>"


class _Steps:
    """The steps around a function that runs at an entry point."""

    def __init__(self, entry_point: EntryPoint) -> None:
        self._entry_point = entry_point
        self.enter = self.enter_for_cleanup = entry_point.__enter__

    def leave(self, token: object) -> None:  # noqa: ARG002  # The signature is that of BodyWrapper.
        """Leave the entry point."""
        self._entry_point.__exit__()

    def filter_result(self, value: Any, token: object) -> Any:  # noqa: ARG002  # The signature is that of BodyWrapper.
        """Return the value unchanged."""
        return value


def current_entry_point() -> str | None:
    """Return the name of the entry point of the present execution. None if no integration has set one."""
    entered = _ENTERED.get()
    return None if entered is None else entered.entry_point.name


@contextlib.contextmanager
def suspend_entry_point() -> Generator[None]:
    """Let the code of a block run at no entry point, such as the start of a thread that serves several of them."""
    token = _ENTERED.set(None)
    try:
        yield
    finally:
        _ENTERED.reset(token)


@functools.lru_cache(maxsize=32)
def _name_request(method: str) -> str:
    return EntryPoint.route(name_method(method), _NO_ROUTE).name


def name_method(method: str, declared: Collection[str] = ()) -> str:
    """Return the method in the name of an entry point. HEAD counts as GET.

    Args:
        method: The method of the request, which may be any text.
        declared: The methods that its route declares. Others that are not of HTTP are all named `OTHER`.
    """
    upper = method.upper()
    if upper == "HEAD" and (not declared or "GET" in declared):
        return "GET"
    return upper if upper in METHODS or upper in ("WEBSOCKET", *declared) else "OTHER"
