"""An oversight that says what a test wants said of subjects."""

from __future__ import annotations

from collections.abc import Mapping

from purposeguard.circumstances import CLEAR, Standing
from purposeguard.ledger import Ledger
from purposeguard.recipients import Provision


class Told:
    """Subjects stand as it was told: key → standing."""

    def __init__(self, standings: Mapping[str, Standing] | None = None, *, requires_subject: bool = False) -> None:
        self.standings = dict(standings or {})
        self.provisions: list[Provision] = []
        self._requires_subject = requires_subject

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
