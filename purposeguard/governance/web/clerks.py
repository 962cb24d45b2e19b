"""The clerks of the desk and their rights. The application identifies the clerk of each HTTP request."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Collection
from typing import Final, Literal, get_args

from starlette.requests import Request

from purposeguard.errors import format_id

Right = Literal["see", "receive", "verify", "extend", "fulfil", "refuse", "withdraw", "disclose"]
"""The rights of a clerk: `see` requests; `receive` new ones; take each of the steps; `disclose` what is held, which
fulfilling a request for disclosure needs too."""

RIGHTS: Final[frozenset[Right]] = frozenset(get_args(Right))
"""All rights of clerks."""

LONGEST_NAME: Final = 200


@dataclasses.dataclass(frozen=True, slots=True)
class Clerk:
    """A clerk: the name that is recorded with each step, and the rights. A clerk needs `see` to do anything.

    Raises:
        TypeError: the name is no text, or `may` is one.
        ValueError: the name is blank or very long, or there is no such right.
    """

    name: str
    may: Collection[Right]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"a clerk's name is a text, not {type(self.name).__name__}")
        if isinstance(self.may, str):
            raise TypeError("`may` is a collection of rights, not a text")
        if not self.name.strip() or not self.name.isprintable() or len(self.name) > LONGEST_NAME:
            raise ValueError(f"a clerk's name prints, is not blank, and has {LONGEST_NAME} characters at most")
        for right in self.may:
            if right not in RIGHTS:
                raise ValueError(f"a clerk cannot have the right {format_id(right, sorted(RIGHTS))}")
        object.__setattr__(self, "may", frozenset(self.may))


ClerkOf = Callable[[Request], Clerk | Awaitable[Clerk | None] | None]
"""A function that returns who sent an HTTP request, or None for others. A plain function is run in a thread."""
