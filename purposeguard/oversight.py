"""The seat of governance: what a guard asks of whoever keeps requests, consents and records of provision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from purposeguard.circumstances import CLEAR, Standing
from purposeguard.ledger import Ledger

if TYPE_CHECKING:
    from purposeguard.recipients import Provision

__all__ = ["CLEAR", "Oversight", "Standing"]


class Oversight(Protocol):
    """Asked by a guard, from any thread."""

    @property
    def ledger(self) -> Ledger | None:
        """Who is told of uses and denials, unless the guard is given another."""

    @property
    def requires_subject(self) -> bool:
        """Whether nothing may be opened without saying whose it is."""
        ...

    def standing(self, subject: str, /) -> Standing:
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
