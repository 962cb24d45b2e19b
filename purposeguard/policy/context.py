"""The context of a decision: a subject's preferences, the revision of collection, and periods that are over."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

Names = Mapping[datetime.date, str | None]
"""Revision → the id of a purpose from that revision on, or None; in the order of the revisions."""

NO_NAMES: Final[Names] = MappingProxyType({})
"""The names of a purpose that has the same id in every revision."""


@dataclasses.dataclass(frozen=True, slots=True)
class SubjectPreferences:
    """The requests and consents of one subject that are in force now (clause 7). Purposes are named by clause."""

    suspended: frozenset[str] = frozenset()
    """The purposes that may not use the subject's data."""
    all_suspended: bool = False
    """No purpose may use the subject's data."""
    erased: bool = False
    """The subject asked for erasure, so no purpose may use the data."""
    provision_stopped: bool = False
    """The data may not be provided to third parties."""
    consents: frozenset[tuple[str, datetime.date]] = frozenset()
    """The purposes that the subject agreed to, each with the revision under which the consent was given."""
    _hash: int = dataclasses.field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        facts = (self.suspended, self.all_suspended, self.erased, self.provision_stopped, self.consents)
        object.__setattr__(self, "_hash", hash(facts))  # Computed once, since it is used in every look-up.

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        # The object is made anew in the other process, because hashes differ between processes.
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
    """Preferences that refuse every use, for data whose subject must be named and is not."""

    __slots__ = ()

    def stops(self, purpose: str) -> bool:  # noqa: ARG002  # as SubjectPreferences has it
        return True


class _AnybodyPreferences(SubjectPreferences):
    """Preferences that agree to every purpose, because the rows will be checked by their own subjects later."""

    __slots__ = ()

    def has_consented(self, purpose: str, after: datetime.date | None = None, named: Names = NO_NAMES) -> bool:  # noqa: ARG002  # as SubjectPreferences has it
        return True


CLEAR: Final = SubjectPreferences()
"""The preferences of a subject who asked for nothing and agreed to nothing."""

UNNAMED: Final = _NobodyPreferences(all_suspended=True)
"""The preferences of a subject who must be named, and is not."""

ANYONE: Final = _AnybodyPreferences()
"""The preferences that stand for all subjects, for rows that name their subjects when they are read."""

BEFORE_ALL: Final = datetime.date.min
"""The revision of data that was collected before the earliest known revision."""


NO_CONDITIONS: Final[frozenset[str]] = frozenset()
"""No condition is stated."""


class Context(NamedTuple):
    """The facts, apart from the label, that a decision depends on.

    Over several notices, clauses and conditions contain the id of theirs (`jp-notice:1.1(a)`).
    """

    preferences: SubjectPreferences | None = None
    """The subject's requests and consents; None if no subject is named."""
    under: datetime.date | None = None
    """The revision under which the data was collected; None for the one in force.

    Over several notices, a value other than None only says that `unders` holds one.
    """
    overdue: frozenset[str] = frozenset()
    """The clauses of the sources whose period of retention is over.

    Sources that law no longer needs are also named as `notice.retention.for_law` names them.
    """
    channel_unstated: bool = False
    """True for an activity that states no channel. It may use any, also one that the revision of collection refuses."""
    conditions: frozenset[str] = NO_CONDITIONS
    """The conditions of the notice that are stated to hold. All others do not hold."""
    unders: tuple[datetime.date | None, ...] = ()
    """The revision of collection in each notice, in the order of the notices, if there are several."""


NONE_KNOWN: Final = Context()
"""The context of a decision by the label alone."""

BY_ANY_CHANNEL: Final = Context(channel_unstated=True)
"""The context of a decision by the label alone, for an activity that states no channel."""

NOT_NAMED: Final = Context(UNNAMED)
"""The context of a decision by the label alone, for data whose subject must be named."""

ASKED_LATER: Final = Context(ANYONE)
"""The context of a decision that is made again for each row that is read."""


class DenialReason(enum.IntEnum):
    """The reason why a source may not serve a purpose.

    If there are several, usually the first one counts: see `Decision.reason`.
    """

    GRANT = 0
    """No clause grants the use (rules 1, 5, 6 and 8)."""
    CHANNEL = 1
    """The purpose does not admit the channel (rule 7)."""
    CONDITION = 2
    """The use is granted, or not forbidden, only under conditions that are not stated."""
    REVISION = 3
    """The revision under which the data was collected does not grant the use (rule 9)."""
    RETENTION = 4
    """The period for which the data may be kept is over (clause 8)."""
    SUBJECT = 5
    """The subject asked for the use to stop (clause 7), or the subject must be named and is not."""
    CONSENT = 6
    """The use rests on consent, which the subject did not give."""
    RECIPIENT = 7
    """The data may not be handed to this recipient (clauses 4, 5 and 6)."""
