"""The guard of this application: one notice, one ledger."""

from __future__ import annotations

import purposeguard as pg
from examples.shop.ledger import DatabaseLedger
from purposeguard.notices import trendmicro_jp as tm

ledger = DatabaseLedger()
guard = pg.Guard(tm.NOTICE, ledger=ledger)
