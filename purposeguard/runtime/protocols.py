"""Protocols between a guard and governance, which keeps requests, consents and records of provision."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from purposeguard.notice.immutable import Immutable
from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.runtime.observer import Ledger

if TYPE_CHECKING:
    from purposeguard.policy.transfers import Provision

__all__ = [
    "CLEAR",
    "BatchOversight",
    "OffLoopLedger",
    "Oversight",
    "PrefetchingOversight",
    "Roster",
    "RosterOversight",
    "SubjectPreferences",
]


class Oversight(Protocol):
    """Governance as a guard sees it. The methods are called from any thread."""

    @property
    def ledger(self) -> Ledger | None:
        """The ledger of a guard that has no ledger of its own."""

    @property
    def requires_subject(self) -> bool:
        """True if each use of personal data must name its subject."""
        ...

    def preferences(self, subject: str, /) -> SubjectPreferences:
        """Return the preferences of a subject.

        Args:
            subject: The `subject_key` of the subject.

        Returns:
            The preferences, `CLEAR` if nothing is known of the subject.

        Raises:
            StoreUnavailable: The store cannot answer now.
        """
        ...

    def provided(self, provision: Provision, /) -> None:
        """Record a hand-over durably, before it takes place.

        Raises:
            StoreUnavailable: The hand-over cannot be recorded, so it must not take place.
        """


class BatchOversight(Protocol):
    """An oversight that answers for many subjects at once."""

    def preferences_of_each(self, subjects: Sequence[str], /) -> Sequence[SubjectPreferences]:
        """Return the preferences of each subject in order.

        Args:
            subjects: The `subject_key` of each subject.

        Raises:
            StoreUnavailable: The store cannot answer now.
        """
        ...


@runtime_checkable
class PrefetchingOversight(Protocol):
    """An oversight that can read preferences in advance, because `preferences` would block an event loop."""

    async def ready(self, subjects: Iterable[str] = (), /) -> None:
        """Read the preferences of these subjects in advance.

        Args:
            subjects: The `subject_key` of each subject. Without subjects, only check that the store answers.

        Raises:
            StoreUnavailable: The store cannot answer now.
        """
        ...


@runtime_checkable
class OffLoopLedger(Protocol):
    """A ledger that can record denials without blocking an event loop."""

    def off_loop(self) -> AbstractAsyncContextManager[Callable[[], Awaitable[None]]]:
        """Return an async context manager that ends when the denials inside it are recorded.

        It yields a coroutine function that records the denials so far, for use before the block ends.

        Raises:
            StoreUnavailable: The denials cannot be recorded, so the request must not be answered.
        """
        ...


def can_ask_for_many(oversight: object) -> bool:
    """Return True if `preferences_of_each` of an oversight answers as its `preferences` does.

    It does not if a subclass overrides only `preferences`, because the inherited batch method ignores that.
    """
    return _is_consistent_override(oversight, "preferences_of_each", "preferences")


def can_prefetch_roster(oversight: object) -> bool:
    """Return True if `aroster` of an oversight answers as its `roster` does. See `can_ask_for_many`."""
    return _is_consistent_override(oversight, "aroster", "roster")


def _is_consistent_override(oversight: object, name: str, base_name: str) -> bool:
    """Return True if the method `name` was overridden together with `base_name`, or after it."""
    for namespace in (getattr(oversight, "__dict__", {}), *map(vars, type(oversight).__mro__)):
        if name in namespace:
            return True
        if base_name in namespace:
            return False
    return False


class Roster(Immutable):
    """All subjects whose preferences are not `CLEAR`. Immutable.

    An oversight returns the same roster as long as nothing has changed, so that results derived from it can be cached.

    Attributes:
        groups: The `subject_key` of the subjects, in order, by their preferences.
    """

    __slots__ = ("__weakref__", "groups")

    groups: Mapping[SubjectPreferences, tuple[str, ...]]

    def __init__(self, groups: Mapping[SubjectPreferences, tuple[str, ...]]) -> None:
        present: dict[SubjectPreferences, tuple[str, ...]] = {}
        for preferences, subjects in groups.items():
            if subjects and preferences != CLEAR:
                present[preferences] = tuple(subjects)
        self._fill(groups=MappingProxyType(present))

    def __repr__(self) -> str:
        return f"<Roster of {sum(map(len, self.groups.values())):,} subjects, {len(self.groups)} groups>"


@runtime_checkable
class RosterOversight(Protocol):
    """An oversight that can list all subjects with preferences, for queries that read the rows of many subjects."""

    def roster(self) -> Roster:
        """Return the roster of all subjects whose preferences are not `CLEAR`.

        Raises:
            StoreUnavailable: The store cannot answer now.
        """
        ...
