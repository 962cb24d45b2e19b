"""A small notice with one row of every kind, and what tests do with it."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.errors import Fault
from tests.support import RecordingLedger

SMALL = """
format = 1
id = "small"
revision = 2024-01-01
controller = { en = "A shop", ja = "店" }
title = { en = "What a shop does with data", ja = "データの扱い" }

[[channel]]
id = "email"
title = { en = "E-mail", ja = "メール" }

[[channel]]
id = "phone"
title = { en = "Telephone", ja = "電話" }

[[source]]
id = "1"
class = "Person"
title = { en = "Persons", ja = "人" }

[[source]]
id = "1(a)"
class = "Account"
parent = "1"
title = { en = "Accounts", ja = "口座" }

[[source]]
id = "1(b)"
class = "Usage"
parent = "1"
title = { en = "Usage", ja = "利用" }

[[source]]
id = "2"
class = "Visit"
title = { en = "Visits", ja = "訪問" }
automatic = true

[[grant]]
clause = "3(1)"
sources = ["1(a)"]
title = { en = "For accounts", ja = "口座" }

[[grant.purpose]]
id = "3(1)①"
class = "Renewal"
title = { en = "Renewals", ja = "更新" }
channels = { closed = ["email"] }

[[grant.purpose]]
id = "3(1)②"
class = "Offers"
title = { en = "Offers", ja = "案内" }
channels = { open = ["phone"] }

[[grant]]
clause = "3(2)"
sources = ["1"]
title = { en = "For persons", ja = "人" }

[[grant.purpose]]
id = "3(2)①"
class = "Service"
title = { en = "Service", ja = "提供" }

[[grant.purpose]]
id = "3(2)②"
class = "Billing"
title = { en = "Billing", ja = "請求" }

[[grant]]
clause = "4"
sources = ["2"]
title = { en = "For visits", ja = "訪問" }

[[grant.purpose]]
id = "4①"
class = "Statistics"
title = { en = "Statistics", ja = "統計" }

[[grant.purpose]]
id = "4②"
class = "Advice"
title = { en = "Advice", ja = "助言" }
channels = { closed = ["phone"] }

[[family]]
class = "AnyAdvice"
purposes = ["3(1)①", "4②"]
title = { en = "Advice of any kind", ja = "助言" }

[[derivation]]
id = "5"
class = "LinkedVisit"
operation = "link"
function = "link_visit"
from = ["2"]
with = ["1"]
serves = ["4①"]
title = { en = "Visits linked with persons", ja = "関連づけ" }

[[forbid]]
sources = ["1(b)"]
purposes = ["3(2)②"]
reason = { en = "usage is free of charge", ja = "無料" }

[[overlay]]
id = "1(b) router"
class = "RouterUsage"
source = "1(b)"
product = "router"
item = "dns"
serves = ["3(2)①"]
title = { en = "Names that a router looked up", ja = "名前" }
"""


RETENTION: dict[str, Any] = {"clause": "8", "starts": "end-of-use", "bases": ["law"], "after": "law-only"}
"""Clause 8 as the tests of periods state it, without any."""


def tables() -> dict[str, Any]:
    """The tables of the small notice, a fresh copy."""
    return tomllib.loads(SMALL)


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The tables of the small notice after a change."""
    found = tables()
    change(found)
    return found


def faults_of(given: dict[str, Any] | str) -> dict[str, Fault]:
    """Place → fault of a notice that must be refused."""
    with pytest.raises(pg.NoticeError) as caught:
        pg.Notice.loads(given) if isinstance(given, str) else pg.Notice.parse(given)
    places = [fault.place for fault in caught.value.faults]
    assert len(places) == len(set(places)), f"two faults at one place: {places}"
    return {fault.place: fault for fault in caught.value.faults}


def revised(notice: pg.Notice, change: Callable[[dict[str, Any]], object], date: str | None = None) -> pg.Notice:
    """A notice, changed: the same revision put right or, with a date, another one."""
    other = copy.deepcopy(notice.dump())
    if date is not None:
        other["revision"] = date
    change(other)
    return pg.Notice.parse(other)


Tape = RecordingLedger


def numbered(cases: list[tuple[Any, ...]]) -> list[Any]:
    """Parameter sets named by their number and what they expect, since a lambda has no name to tell it by."""
    return [pytest.param(*case, id=f"{number}-{case[1]}") for number, case in enumerate(cases)]
