"""The guard of this application, and its records about people."""

from __future__ import annotations

import purposeguard as pg
from purposeguard.governance import Governance
from purposeguard.notices import trendmicro_jp as tm

governance = Governance(None, notice=tm.NOTICE)
"""Requests of people. The application opens the store when it starts."""

guard = pg.Guard(tm.NOTICE, governance=governance)
