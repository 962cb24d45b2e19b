"""The guard of this application, and its records of people, recipients and uses."""

from __future__ import annotations

from collections.abc import Iterable

import purposeguard as pg
from purposeguard.governance import Governance
from purposeguard.notices import trendmicro_jp as tm

governance = Governance(None, notice=tm.NOTICE)
"""Requests of people, hand-overs, and the ledger. The application opens the store when it starts."""

guard = pg.Guard(tm.NOTICE, governance=governance)


def clauses(sources: Iterable[type[pg.Source]]) -> str:
    """Return the clauses of some sources as text: `1.1(a) 1.1(c)`."""
    return " ".join(source.clause for source in sources)
