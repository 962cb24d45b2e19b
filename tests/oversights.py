"""An oversight that says what a test wants said of subjects."""

from __future__ import annotations

from collections.abc import Mapping

from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.policy.transfers import Provision
from purposeguard.runtime.observer import Ledger
from purposeguard.runtime.protocols import Roster


class Told:
    """Subjects stand as it was told: key → standing."""

    def __init__(
        self, all_preferences: Mapping[str, SubjectPreferences] | None = None, *, requires_subject: bool = False
    ) -> None:
        self.all_preferences = dict(all_preferences or {})
        self.provisions: list[Provision] = []
        self._requires_subject = requires_subject
        self._roster = self._grouped()

    @property
    def ledger(self) -> Ledger | None:
        return None

    @property
    def requires_subject(self) -> bool:
        return self._requires_subject

    def preferences(self, subject: str, /) -> SubjectPreferences:
        return self.all_preferences.get(subject, CLEAR)

    def provided(self, provision: Provision, /) -> None:
        self.provisions.append(provision)

    def roster(self) -> Roster:
        found = self._grouped()
        if found.groups != self._roster.groups:
            self._roster = found
        return self._roster

    def _grouped(self) -> Roster:
        groups: dict[SubjectPreferences, list[str]] = {}
        for subject, preferences in self.all_preferences.items():
            groups.setdefault(preferences, []).append(subject)
        return Roster({preferences: tuple(of) for preferences, of in groups.items()})
