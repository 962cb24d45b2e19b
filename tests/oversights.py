"""An oversight that says what a test wants said of subjects."""

from __future__ import annotations

from collections.abc import Mapping

from purposeguard.policy.context import SubjectPreferences
from purposeguard.testing.stateful import Office

STOPPED = SubjectPreferences(all_suspended=True)
"""How a subject stands who stopped all use."""


class Told(Office):
    """Subjects stand as it was told: key → standing."""

    def __init__(
        self, all_preferences: Mapping[str, SubjectPreferences] | None = None, *, requires_subject: bool = False
    ) -> None:
        super().__init__()
        self.all_preferences = dict(all_preferences or {})
        self.requires_subject = requires_subject

    @property
    def all_preferences(self) -> dict[str, SubjectPreferences]:
        return self.preferences_by_subject

    @all_preferences.setter
    def all_preferences(self, preferences: dict[str, SubjectPreferences]) -> None:
        self.preferences_by_subject = preferences
