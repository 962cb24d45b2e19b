"""The seat of governance: what a guard asks of whoever keeps requests, consents and records of provision."""

from __future__ import annotations

import dataclasses
import datetime
from typing import TYPE_CHECKING, Final, Protocol

from purposeguard.ledger import Ledger

if TYPE_CHECKING:
    from purposeguard.recipients import Provision


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
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


CLEAR: Final = Standing()
"""The standing of a subject who asked for nothing and agreed to nothing."""


class Oversight(Protocol):
    """Asked by a guard, from any thread."""

    @property
    def ledger(self) -> Ledger | None:
        """Who is told of uses and denials, unless the guard is given another."""

    @property
    def requires_subject(self) -> bool:
        """Whether nothing may be opened without saying whose it is."""

    def standing(self, subject: str, /) -> Standing:
        """What holds for a subject, by `subject_key`; CLEAR for one that nothing is known of.

        Raises:
            StoreUnavailable: it cannot be known now.
        """

    def provided(self, provision: Provision, /) -> None:
        """A hand-over is about to take place; on record, durably, before this returns.

        Raises:
            StoreUnavailable: it cannot be recorded, so it must not take place.
        """
