"""Marks: which fields of a model say whose a row is, when it was collected, and when its use ended.

`Annotated[int, Subject]`, `Annotated[datetime, Collected]`, `Annotated[date | None, Ended]`. What is read through a
guard is then checked row by row.
"""

from __future__ import annotations

from typing import Final

from purposeguard.terms import Immutable


class Mark(Immutable):
    """A mark on a field; there are three, and no others are made."""

    __slots__ = ("name",)

    name: str

    def __init__(self, name: str) -> None:
        self._fill(name=name)

    def __reduce__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name


Subject: Final = Mark("Subject")
"""The field holds the id of the person whom the row is about: an int, a text or a UUID (clause 7)."""

Collected: Final = Mark("Collected")
"""The field holds the day, or the moment, on which the row was collected (clauses 8 and 11)."""

Ended: Final = Mark("Ended")
"""The field holds the day, or the moment, on which the subject's use ended; None while it goes on (clause 8)."""
