"""Governance of subjects who all stopped everything, as little as can be."""

from __future__ import annotations

from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.policy.transfers import Provision
from purposeguard.runtime.observer import Ledger
from purposeguard.runtime.protocols import Roster


class Office:
    """What a guard asks, answered from memory."""

    ledger: Ledger | None = None
    requires_subject = False

    def __init__(self, stopped: list[int]) -> None:
        self._stopped = SubjectPreferences(all_suspended=True)
        self._roster = Roster({self._stopped: tuple(map(str, stopped))})
        self._held = frozenset(stopped)

    def preferences(self, subject: str, /) -> SubjectPreferences:
        return self._stopped if int(subject) in self._held else CLEAR

    def roster(self) -> Roster:
        return self._roster

    def provided(self, provision: Provision, /) -> None:
        """Do nothing: no benchmark hands data over."""
