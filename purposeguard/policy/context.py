"""Context: what decides beside the label. What a subject asked for, when data was collected, how long ago."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

Names = Mapping[datetime.date, str | None]
"""Revision → the id that a purpose had from it on; None where it had none. In the order of the revisions."""

NO_NAMES: Final[Names] = MappingProxyType({})
"""A purpose that has the same id in every revision."""


@dataclasses.dataclass(frozen=True, slots=True)
class SubjectPreferences:
    """What one subject asked for and agreed to, as it is in force now (clause 7). Purposes are named by clause.

    `suspended`: purposes that may not use the subject's data; `all_suspended`: none may. `erased`: erasure was asked
    for, so none may either. `provision_stopped`: the data may not be provided to third parties. `consents`: purposes
    that the subject agreed to, each with the revision of the notice under which it was given.
    """

    suspended: frozenset[str] = frozenset()
    all_suspended: bool = False
    erased: bool = False
    provision_stopped: bool = False
    consents: frozenset[tuple[str, datetime.date]] = frozenset()
    _hash: int = dataclasses.field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        facts = (self.suspended, self.all_suspended, self.erased, self.provision_stopped, self.consents)
        object.__setattr__(self, "_hash", hash(facts))  # once: decisions are looked up by it

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        # Made anew elsewhere: hashes are of their process.
        facts = (self.suspended, self.all_suspended, self.erased, self.provision_stopped, self.consents)
        return type(self), facts

    def has_consented(self, purpose: str, after: datetime.date | None = None, named: Names = NO_NAMES) -> bool:
        """Return True if the subject agreed to a purpose.

        With `after`, only consents under revisions later than that day count. `named` holds the ids of the purpose in
        revisions in which it had another one, or none.
        """
        for clause, revision in self.consents:
            name: str | None = purpose
            for day, name_then in named.items():
                if day <= revision:
                    name = name_then
            if clause == name and (after is None or revision > after):
                return True
        return False

    def stops(self, purpose: str) -> bool:
        """Return True if the subject's data may not be used for a purpose."""
        return self.erased or self.all_suspended or purpose in self.suspended


class _NobodyPreferences(SubjectPreferences):
    """The preferences of nobody in particular, where nothing may be opened without a name."""

    __slots__ = ()

    def stops(self, purpose: str) -> bool:  # noqa: ARG002  # as SubjectPreferences has it
        return True


class _AnybodyPreferences(SubjectPreferences):
    """The preferences of a subject who is known later, row by row."""

    __slots__ = ()

    def has_consented(self, purpose: str, after: datetime.date | None = None, named: Names = NO_NAMES) -> bool:  # noqa: ARG002  # as SubjectPreferences has it
        return True


CLEAR: Final = SubjectPreferences()
"""The preferences of a subject who asked for nothing and agreed to nothing."""

UNNAMED: Final = _NobodyPreferences(all_suspended=True)
"""In place of preferences where the subject must be named, and is not."""

ANYONE: Final = _AnybodyPreferences()
"""In place of preferences where the rows that will be read name their subjects."""

BEFORE_ALL: Final = datetime.date.min
"""In place of a revision: the data was collected before the earliest revision that is known."""


NO_CONDITIONS: Final[frozenset[str]] = frozenset()
"""No condition is stated."""


class Context(NamedTuple):
    """What decides beside the label.

    `preferences` is None where no subject is named. `under` is the revision under which the data was collected, None
    for the one in force. `overdue` are the sources, by clause, whose period of retention is over, and by
    `notice.retention.for_law` those that law needs no longer. `unstated`: an
    activity asks that states no channel, so it may use any, also one that the revision of collection does not admit.
    `conditions`: those of the notice that are stated to hold; one that is not stated does not.

    Over several notices, clauses and conditions name theirs (`jp-notice:1.1(a)`), and `unders` are the revisions by
    each of them, in their order; `under` then is not None where one of these is not, and says nothing more.
    """

    preferences: SubjectPreferences | None = None
    under: datetime.date | None = None
    overdue: frozenset[str] = frozenset()
    unstated: bool = False
    conditions: frozenset[str] = NO_CONDITIONS
    unders: tuple[datetime.date | None, ...] = ()


NONE_KNOWN: Final = Context()
"""Nothing is known but the label."""

BY_ANY_CHANNEL: Final = Context(unstated=True)
"""Nothing is known but the label, and that an activity states no channel."""

NOT_NAMED: Final = Context(UNNAMED)
"""Nothing is known but the label, where it must be said whose the data is."""

ASKED_LATER: Final = Context(ANYONE)
"""What is to be known is asked of each row that is read."""


class DenialReason(enum.IntEnum):
    """The reason why a source may not serve a purpose. If there are several, the first one counts."""

    GRANT = 0
    """No clause grants it (rules 1, 5, 6 and 8)."""
    CHANNEL = 1
    """The purpose does not admit the channel (rule 7)."""
    CONDITION = 2
    """It is granted, or not forbidden, under conditions that are not stated."""
    REVISION = 3
    """The revision under which the data was collected does not grant it (rule 9)."""
    RETENTION = 4
    """The period for which the data may be kept is over (clause 8)."""
    SUBJECT = 5
    """The subject asked for the use to stop (clause 7), or it is not said who that is."""
    CONSENT = 6
    """It rests on consent, and the subject did not give it."""
    RECIPIENT = 7
    """The data may not be handed to this recipient (clauses 4, 5 and 6)."""
