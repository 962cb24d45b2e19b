"""An oversight that says what a test wants said of subjects."""

from __future__ import annotations

from collections.abc import Mapping

from purposeguard.policy.context import CLEAR, Standing
from purposeguard.policy.transfers import Provision
from purposeguard.runtime.observer import Ledger
from purposeguard.runtime.protocols import Roster


class Told:
    """Subjects stand as it was told: key → standing."""

    def __init__(self, standings: Mapping[str, Standing] | None = None, *, requires_subject: bool = False) -> None:
        self.standings = dict(standings or {})
        self.provisions: list[Provision] = []
        self._requires_subject = requires_subject
        self._roster = self._grouped()

    @property
    def ledger(self) -> Ledger | None:
        return None

    @property
    def requires_subject(self) -> bool:
        return self._requires_subject

    def standing(self, subject: str, /) -> Standing:
        return self.standings.get(subject, CLEAR)

    def provided(self, provision: Provision, /) -> None:
        self.provisions.append(provision)

    def roster(self) -> Roster:
        found = self._grouped()
        if found.groups != self._roster.groups:
            self._roster = found
        return self._roster

    def _grouped(self) -> Roster:
        groups: dict[Standing, list[str]] = {}
        for subject, standing in self.standings.items():
            groups.setdefault(standing, []).append(subject)
        return Roster({standing: tuple(of) for standing, of in groups.items()})
