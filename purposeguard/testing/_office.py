"""What a guard asks and tells in a test: an office that keeps what subjects asked for, a ledger that writes down."""

from __future__ import annotations

from purposeguard.errors import PurposeMissing
from purposeguard.notice.label import Label
from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.policy.transfers import Provision
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.observer import Ledger
from purposeguard.runtime.protocols import Roster
from purposeguard.runtime.registry import Reclassification


class WrittenDown:
    """A ledger that keeps what it is told."""

    def __init__(self) -> None:
        self.denials: list[PurposeViolation | PurposeMissing] = []
        self.uses: list[tuple[str | None, str, Label, int]] = []
        self.reclassifications: list[tuple[Reclassification, Label]] = []

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:  # noqa: ARG002  # as Ledger has it
        """Keeps the denial."""
        self.denials.append(error)

    def allowed(self, activity: str | None, purpose: str, label: Label, count: int) -> None:
        """Keeps the use."""
        self.uses.append((activity, purpose, label, count))

    def reclassified(self, declared: Reclassification, label: Label, activity: str | None) -> None:  # noqa: ARG002  # as Ledger has it
        """Keeps the run."""
        self.reclassifications.append((declared, label))


class Office:
    """Keeps how subjects stand, as it is told by the machine: what `governance=` of a guard may be in a test."""

    ledger: Ledger | None = None
    requires_subject = False

    def __init__(self) -> None:
        self.all_preferences: dict[str, SubjectPreferences] = {}
        self.provisions: list[Provision] = []
        self._roster = Roster({})

    def preferences(self, subject: str, /) -> SubjectPreferences:
        """How it stands for a subject."""
        return self.all_preferences.get(subject, CLEAR)

    def provided(self, provision: Provision, /) -> None:
        """Keeps the hand-over."""
        self.provisions.append(provision)

    def roster(self) -> Roster:
        """How it stands for all."""
        groups: dict[SubjectPreferences, tuple[str, ...]] = {}
        for subject, preferences in sorted(self.all_preferences.items()):
            groups[preferences] = (*groups.get(preferences, ()), subject)
        roster = Roster(groups)
        if roster.groups != self._roster.groups:
            self._roster = roster
        return self._roster
