"""The seat of governance: what a guard asks of whoever keeps requests, consents and records of provision."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from purposeguard.notice.vocabulary import Immutable
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
    """Asked by a guard, from any thread."""

    @property
    def ledger(self) -> Ledger | None:
        """Who is told of uses and denials, unless the guard is given another."""

    @property
    def requires_subject(self) -> bool:
        """Whether nothing may be opened without saying whose it is."""
        ...

    def preferences(self, subject: str, /) -> SubjectPreferences:
        """What holds for a subject, by `subject_key`; CLEAR for one that nothing is known of.

        Raises:
            StoreUnavailable: it cannot be known now.
        """
        ...

    def provided(self, provision: Provision, /) -> None:
        """A hand-over is about to take place; on record, durably, before this returns.

        Raises:
            StoreUnavailable: it cannot be recorded, so it must not take place.
        """


class BatchOversight(Protocol):
    """An oversight that can be asked of many subjects at once, as rows are that say whose they are."""

    def preferences_of_each(self, subjects: Sequence[str], /) -> Sequence[SubjectPreferences]:
        """What holds for each of these subjects, by `subject_key`, in their order.

        Raises:
            StoreUnavailable: it cannot be known now.
        """
        ...


@runtime_checkable
class PrefetchingOversight(Protocol):
    """An oversight that learns of subjects ahead, without blocking an event loop, as `preferences` would."""

    async def ready(self, subjects: Iterable[str] = (), /) -> None:
        """Have what holds for these subjects at hand, by `subject_key`; without any, that the store answers.

        Raises:
            StoreUnavailable: it cannot be known now.
        """
        ...


@runtime_checkable
class OffLoopLedger(Protocol):
    """A ledger that need not block an event loop to record a denial."""

    def off_loop(self) -> AbstractAsyncContextManager[Callable[[], Awaitable[None]]]:
        """Return a block that ends when the denials in it are on record; gives what is awaited for that before.

        Raises:
            StoreUnavailable: they cannot be recorded, so there must be no answer.
        """
        ...


def can_ask_for_many(oversight: object) -> bool:
    """Return True if an oversight can be asked of many subjects at once, and answers as `preferences` would.

    A subclass that overrides `preferences` alone is asked by it: the batch that it inherits does not know of that.
    """
    return _is_consistent_override(oversight, "preferences_of_each", "preferences")


def can_prefetch_roster(oversight: object) -> bool:
    """Return True if an oversight has an async method `aroster`, which answers as its `roster` would; likewise."""
    return _is_consistent_override(oversight, "aroster", "roster")


def _is_consistent_override(oversight: object, name: str, other: str) -> bool:
    spaces = [getattr(oversight, "__dict__", {}), *map(vars, type(oversight).__mro__)]
    return next((name in space for space in spaces if name in space or other in space), False)


class Roster(Immutable):
    """All subjects whose preferences are not `CLEAR`.

    `groups` has them by preferences, each subject by its `subject_key`, in order. Immutable; who keeps a roster gives
    the same object as long as nothing has changed, so that what was worked out from one can be kept.
    """

    __slots__ = ("__weakref__", "groups")

    groups: Mapping[SubjectPreferences, tuple[str, ...]]

    def __init__(self, groups: Mapping[SubjectPreferences, tuple[str, ...]]) -> None:
        self._fill(groups=MappingProxyType({one: tuple(of) for one, of in groups.items() if one != CLEAR and of}))

    def __repr__(self) -> str:
        return f"<Roster of {sum(map(len, self.groups.values())):,} subjects, {len(self.groups)} groups>"


@runtime_checkable
class RosterOversight(Protocol):
    """An oversight that can tell of all subjects at once, as is asked where a query reads the rows of many."""

    def roster(self) -> Roster:
        """How things stand for all subjects for whom something was asked.

        Raises:
            StoreUnavailable: it cannot be known now.
        """
        ...
