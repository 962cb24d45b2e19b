"""What tools see of a fault."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Sighting:
    """A tool found something: by which of its checks (a test, a rule, a code), and what that said."""

    tool: str
    by: str
    says: str


@dataclass(slots=True)
class Seen:
    """All that was seen, and `crashes`: what shows that the copy is broken and not that it breaks a notice."""

    sightings: list[Sighting] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)

    def dump(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def load(cls, given: dict[str, Any]) -> Seen:
        """What was dumped."""
        return cls([Sighting(**one) for one in given["sightings"]], list(given["crashes"]))

    def __add__(self, other: Seen) -> Seen:
        return Seen([*self.sightings, *other.sightings], [*self.crashes, *other.crashes])
