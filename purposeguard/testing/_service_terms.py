"""The purposes and sources that a service names: a state machine mostly draws these, since a notice has many more."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import CodeType, ModuleType
from typing import Any, Final, Self, TypeVar

from purposeguard.errors import UnknownTerm
from purposeguard.extras import Needs
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Family, NotPersonal, Source, TermMeta, is_union, list_members
from purposeguard.testing.strategies import Asked, name_of

with Needs(__name__, "hypothesis"):
    from hypothesis import strategies as st

T = TypeVar("T")

_PACKAGE: Final = __name__.partition(".")[0]

_WEIGHT: Final = 7
"""How many times more often than any option a named one is drawn."""


class ServiceTerms:
    """The purposes, families and sources that a service and its tests name, in the order in which they were met.

    Attributes:
        purposes: The ids of purposes and the names of families.
        sources: The sources.
    """

    def __init__(self) -> None:
        self.purposes: dict[str, None] = {}
        self.sources: dict[type[Source], None] = {}

    def __ior__(self, other: ServiceTerms) -> Self:
        self.purposes |= other.purposes
        self.sources |= other.sources
        return self

    def add_purpose(self, purpose: Asked) -> None:
        """Add a purpose, or a family with its members."""
        self.purposes |= dict.fromkeys((name_of(purpose), *map(name_of, list_members(purpose))))

    def add_label(self, label: Label | None) -> None:
        """Add the personal sources of a label, if there is one."""
        self.sources |= dict.fromkeys(source for source in label or () if source is not NotPersonal)

    def add_inventory(self, guard: Guard) -> None:
        """Add the purposes of a guard's activities, and the sources of its access functions."""
        for activity in guard.activities:
            if activity.site.module.partition(".")[0] != _PACKAGE:  # The machine enters purposes as well.
                self.add_purpose(activity.purpose)
        for access in guard.inventory.accesses:
            for label in (access.label, access.named, *access.fields.values(), *access.sealed.values()):
                self.add_label(label)

    def add_methods(self, cls: type, notice: Notice) -> None:
        """Add the terms in the code of a class's methods and those of its bases, except of this package.

        A term is a class, an attribute of a module, or a text that the notice knows.
        """
        for base in reversed(cls.__mro__):
            if base.__module__.partition(".")[0] in (_PACKAGE, "hypothesis"):
                continue
            for method in filter(inspect.isfunction, vars(base).values()):
                function: Any = inspect.unwrap(method)  # A rule wraps the function that it decorates.
                for value in _iter_values(function.__code__, inspect.getclosurevars(function)):
                    self._add_term(value, notice)

    def _add_term(self, value: object, notice: Notice) -> None:
        if isinstance(value, (str, TermMeta, Family)) or is_union(value):
            with suppress(UnknownTerm):
                self.add_purpose(notice.purpose_or_family(value))
        if isinstance(value, (str, TermMeta)):
            with suppress(UnknownTerm):
                self.add_label(Label(notice.source(value)))


def _iter_values(code: CodeType, variables: inspect.ClosureVars) -> Iterator[object]:
    """Yield the constants of a function's code, the values of its variables, and the attributes of modules in it."""
    yield from code.co_consts
    for value in (*variables.globals.values(), *variables.nonlocals.values()):
        yield value
        if isinstance(value, ModuleType):
            for name in code.co_names:
                yield vars(value).get(name)


def favor(named: Sequence[T], every: Sequence[T]) -> st.SearchStrategy[T]:
    """Return a strategy for all options that mostly draws a named one, and shrinks to the first of these."""
    times = _WEIGHT * len(every) // len(named) if named else 0
    return st.sampled_from([*(list(named) * times), *every])


def favor_labels(sources: Sequence[type[Source]], labels: st.SearchStrategy[Label]) -> st.SearchStrategy[Label]:
    """Return a strategy for labels of these sources alone, if there are any, or for other labels."""
    if not sources:
        return labels
    chosen = st.lists(st.sampled_from(sources), min_size=1, max_size=2, unique=True)
    return st.builds(lambda sources: Label(*sources), chosen) | labels
