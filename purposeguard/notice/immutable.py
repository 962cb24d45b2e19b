"""`Immutable`, the base of objects that never change."""

from __future__ import annotations

from typing import NoReturn, Self


class Immutable:
    """Base of objects whose attributes are set once, at creation. A copy is the object itself."""

    __slots__ = ()

    def _fill(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{self!r} cannot be changed: make another instead of setting `{name}`")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{self!r} cannot be changed: `{name}` stays")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self
