"""The seat of a ledger: what a guard tells about what was used, and what was refused."""

from __future__ import annotations

from typing import Protocol

from purposeguard.errors import PurposeMissing, PurposeViolation
from purposeguard.inventory import Reclassification
from purposeguard.label import Label


class Ledger(Protocol):
    """Told by a guard, synchronously and from any thread; a guard without one pays nothing for it.

    What a ledger raises is not caught: a use that cannot be recorded does not happen.
    """

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """A use was refused, or would have been (`observed`) if the guard or the activity were enforcing."""

    def allowed(self, activity: str | None, purpose: str, label: Label, count: int) -> None:
        """An activity (None: a bare `guard.check`) used data of this label so often since it was last told.

        Told when a use ends. `purpose` is the canonical id of a purpose or the name of a family.
        """

    def reclassified(self, declared: Reclassification, label: Label, activity: str | None) -> None:
        """A declared function is about to see a value of this label, and to give a result that leaves it.

        Told before anything is seen: also of a run that then fails, or gives no figure since the subjects are too few.
        `activity` is what is under way, None where nothing is: a reclassification needs no purpose.
        """
