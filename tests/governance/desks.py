"""A desk, a clock that is set by hand, and a ledger that is kept in memory."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from purposeguard.errors import RequestError
from purposeguard.governance.desk import Desk
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.runtime.clock import Clock
from tests.governance.disclosures import NOTICE, NOW

DAY = datetime.timedelta(days=1)
TODAY = datetime.date(2026, 5, 3)  # in the notice's time zone


class Time:
    """The time of day, until it is set to another."""

    def __init__(self, now: datetime.datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime.datetime:
        return self.now

    def pass_(self, days: float) -> None:
        self.now += days * DAY


class Entries:
    """A ledger within the store, as far as a desk knows it: entries of a transaction that fails are not kept."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.kept: list[tuple[str, dict[str, Any]]] = []
        self.failing = False

    def append_in(self, connection: sa.Connection, kind: str, body: dict[str, Any], /) -> None:
        if self.failing:
            raise OSError("no room")
        assert connection.in_transaction()
        self.kept.append((kind, body))


def desk(store: Store, time: Time | None = None, **options: Any) -> Desk:
    ledger = options.pop("ledger", None)
    notice = options.pop("notice", NOTICE)
    return Desk(Subjects(store, notice, clock=Clock(time or Time()), ledger=ledger), **options)


@contextlib.contextmanager
def refusing(why: str) -> Iterator[Any]:
    """A RequestError is raised that says so, on however many lines."""
    with pytest.raises(RequestError) as caught:
        yield caught
    assert re.search(why, " ".join(str(caught.value).split()))
