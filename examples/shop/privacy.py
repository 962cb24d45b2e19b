"""The guard of this application: one notice, and what is remembered of people, parties and uses."""

from __future__ import annotations

from collections.abc import Iterable

import purposeguard as pg
from purposeguard.governance import Governance
from purposeguard.notices import trendmicro_jp as tm

governance = Governance(None, notice=tm.NOTICE)
"""What people asked for, what was handed to whom, and the ledger. The application opens its store when it starts."""

guard = pg.Guard(tm.NOTICE, governance=governance)


def clauses(sources: Iterable[type[pg.Source]]) -> str:
    """`1.1(a) 1.1(c)`."""
    return " ".join(source.clause for source in sources)
