"""A change: one thing that a revision does differently, as facts. Words are made of it elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

Direction = Literal["widened", "narrowed", "neutral"]
"""Widened: more may be done with data than before, or subjects may ask for less. Narrowed: the reverse."""

Needs = Literal["notice", "consent"]
"""What a change asks for before it is relied on (clause 11): notice to the subjects, or the consent of each."""

Fact = str | int | bool | None | tuple[str, ...] | Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """What `kind` of change it is, in which direction, what it `needs`, and the `facts`: ids, days, titles."""

    kind: str
    direction: Direction
    facts: Mapping[str, Fact]
    needs: Needs | None = None

    def __getitem__(self, name: str) -> Fact:
        return self.facts[name]
