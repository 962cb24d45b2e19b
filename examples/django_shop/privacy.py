"""The guard of this application: one notice, and what is remembered of people."""

from __future__ import annotations

import purposeguard as pg
from purposeguard.governance import Governance
from purposeguard.notices import trendmicro_jp as tm

governance = Governance(None, notice=tm.NOTICE)
"""Who stopped which use. The application opens its store when it starts."""

guard = pg.Guard(tm.NOTICE, governance=governance)
