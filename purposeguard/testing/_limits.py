"""What the metadata of an annotation asks of a value: bounds, lengths, patterns, and validators that are not known."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import annotated_types as at
from pydantic.types import UuidVersion

from purposeguard.testing._checks import Check


def as_it_is(value: Any) -> Any:
    """The value."""
    return value


ANY_ZONE: Final = object()
"""Nothing is asked of a moment's time zone."""


class Limits:
    """What the metadata of an annotation asks, as far as it is known how to keep to it."""

    def __init__(self, metadata: Iterable[object]) -> None:
        self.above: Any = None
        self.below: Any = None
        self.least: Any = None
        self.most: Any = None
        self.step: Any = None
        self.shortest = 0
        self.longest: int | None = None
        self.pattern: str | None = None
        self.places: int | None = None
        self.digits: int | None = None
        self.version: int | None = None
        self.zone: object = ANY_ZONE
        self.others: list[object] = []
        """What is not known here: validators."""
        self.known: list[object] = []
        self.validated = False
        """Whether the application has a say."""
        self.fits: Check = lambda _: True
        """Whether a value keeps to what is known here."""
        self.seen: Callable[[Any], Any] = as_it_is
        """What a value that is taken looks like where it ends."""
        for one in _flat(metadata):
            before = len(self.others)
            self._read(one)
            if len(self.others) == before:
                self.known.append(one)

    def _read(self, one: object) -> None:  # noqa: C901  # one line a constraint
        match one:
            case at.Gt(gt=bound):
                self.above = extreme(max, self.above, bound)
            case at.Ge(ge=bound):
                self.least = extreme(max, self.least, bound)
            case at.Lt(lt=bound):
                self.below = extreme(min, self.below, bound)
            case at.Le(le=bound):
                self.most = extreme(min, self.most, bound)
            case at.MultipleOf(multiple_of=step) if self.step is None:
                self.step = step
            case at.MinLen(min_length=length):
                self.shortest = max(self.shortest, length)
            case at.MaxLen(max_length=length):
                self.longest = length if self.longest is None else min(length, self.longest)
            case at.Timezone(tz=zone):
                self.zone = zone
            case UuidVersion(uuid_version=version):
                self.version = version
            case _ if "pydantic" in type(one).__module__ and isinstance(getattr(one, "__dict__", None), dict):
                self._read_of_pydantic(one)
            case _ if not isinstance(one, (str, type(None), at.DocInfo)):
                self.others.append(one)
            case _:
                pass

    def _read_of_pydantic(self, one: object) -> None:
        known = {key: value for key, value in vars(one).items() if value is not None}
        if not known or set(known) - _OF_PYDANTIC:
            if type(one).__name__ != "Strict":
                self.others.append(one)
            return
        pattern = known.get("pattern")
        self.pattern = getattr(pattern, "pattern", pattern) or self.pattern
        self.digits = known.get("max_digits") or self.digits
        places = known.get("decimal_places")
        self.places = self.places if places is None else places

    def translated(self, change: Callable[[Any], Any]) -> Limits:
        """The same with other bounds."""
        found = copy.copy(self)
        for name in ("above", "below", "least", "most"):
            bound = getattr(self, name)
            setattr(found, name, None if bound is None else change(bound))
        return found

    def narrowed(self, widest: Any, places: int) -> Limits:
        """The same for numbers no further from 0 than the widest, of so many decimal places."""
        found = copy.copy(self)
        found.least, found.most = extreme(max, self.least, -widest), extreme(min, self.most, widest)
        found.places = places
        return found

    @property
    def lowest(self) -> Any:
        """The bound below, whether it counts or not."""
        return extreme(max, self.above, self.least)

    @property
    def highest(self) -> Any:
        """The bound above, likewise."""
        return extreme(min, self.below, self.most)


_OF_PYDANTIC: Final = {"pattern", "max_digits", "decimal_places", "strict", "allow_inf_nan"}


def extreme(choose: Callable[..., Any], *given: Any) -> Any:
    """The least or the greatest of what is known; None where nothing is."""
    known = [one for one in given if one is not None]
    return choose(known) if known else None


def _flat(metadata: Iterable[object]) -> Iterator[object]:
    for one in metadata:
        if isinstance(one, at.GroupedMetadata) or (
            type(one).__module__.startswith("pydantic") and hasattr(one, "metadata") and hasattr(one, "annotation")
        ):  # a FieldInfo holds what it was given as metadata
            inner: Any = one
            yield from _flat(getattr(inner, "metadata", inner))
        else:
            yield one
