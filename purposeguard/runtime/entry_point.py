"""Entry points: the route, task, command, job or test by which the outside world starts the present execution."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar, Token
from typing import Final, Self

from purposeguard.errors import on_one_line

_ENTRY_POINT: Final[ContextVar[str | None]] = ContextVar("purposeguard_entry_point", default=None)


class EntryPoint:
    """A block that runs at an entry point: `with EntryPoint.route("GET", "/users/{id}"):`.

    Tasks and context copies that begin in the block inherit the entry point, as do functions that `guard.carry` binds.
    The innermost entry point counts: a task that runs within a request has its own.

    Attributes:
        name: The name, which contains no personal data: the template of a route, not the path of a request.
    """

    __slots__ = ("_tokens", "name")

    def __init__(self, name: str) -> None:
        """Name the entry point, such as `task shop.tasks.send_invoice`. Use the class methods where they fit."""
        self.name = on_one_line(name)
        self._tokens: list[Token[str | None]] = []

    @classmethod
    def route(cls, method: str, template: str) -> Self:
        """Return the entry point of a web route.

        Args:
            method: The method of the request, such as `GET`, or `WEBSOCKET`.
            template: The template of the route, such as `/users/{id}`.
        """
        return cls(f"{method.upper()} {template}")

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
        self._tokens.append(_ENTRY_POINT.set(self.name))
        return self

    def __exit__(self, *_: object) -> None:
        token = self._tokens.pop()
        with contextlib.suppress(ValueError):  # If the block is left in another context, there is nothing to reset.
            _ENTRY_POINT.reset(token)

    def __repr__(self) -> str:
        return f"<EntryPoint {self.name}>"


def current_entry_point() -> str | None:
    """Return the name of the entry point of the present execution. None if no integration has set one."""
    return _ENTRY_POINT.get()
