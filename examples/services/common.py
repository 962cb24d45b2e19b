"""The notice and the passport keys that both services share."""

from __future__ import annotations

import os

import purposeguard as pg
from purposeguard.integrations.passport import Passports
from purposeguard.integrations.replays import LocalReplays
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)
passports = Passports(guard, keys={"2026-05": os.environ["PASSPORT_KEY"]}, one_time=LocalReplays())
