"""A ledger added up by the database: as if each entry had been read, and no more than entries that can be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from purposeguard.errors import LedgerBroken
from purposeguard.governance.ledger import sql
from purposeguard.governance.ledger.exports import export_lines
from purposeguard.governance.ledger.opening import opened
from purposeguard.governance.ledger.reading import LedgerSnapshot, Total
from purposeguard.governance.ledger.tables import ledger
from tests.governance.ledger.places import C, D, Place, R, tell
from tests.governance.support import Time

KEYS: Mapping[str, Sequence[str]] = {
    "use": ("activity", "purpose", "sources"),
    "denial": ("activity", "function", "purpose", "sources", "denied", "observed"),
    "exception": ("name", "basis"),
    "provision": ("recipient", "sources"),
    "reclassification": (),
    "request": ("step",),
}


class Streamed(sql.SqlLedgerSnapshot):
    """Reads each entry."""

    def _written_totals(self, keys: Mapping[str, Sequence[str]], told: Any) -> Iterator[Total]:
        return LedgerSnapshot._total_written(self, keys, told)


def in_order(totals: Sequence[Total]) -> list[str]:
    return sorted(map(repr, totals))


@pytest.fixture
def full(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A ledger of many hours and all kinds of entries, looked at in small pieces."""
    monkeypatch.setattr(sql, "ENTRIES", 7)
    time = Time()
    ledger = place.open(clock=time)
    tell(ledger, 30, time)
    for label in (R | C, D):
        ledger.counter("a “name” with, commas]", "AnyFeedback", label)()
        ledger.counter(None, "1.2(1)①", label)()
    ledger.flush()
    return place


def test_the_database_adds_up_what_is_read_entry_by_entry(full: Place) -> None:
    with full.store.reading() as connection:
        steps: list[int] = []
        totals = sql.SqlLedgerSnapshot(connection).totals(KEYS, steps.append)
        entries = sql.SqlLedgerSnapshot(connection).head.seq
    with full.store.reading() as connection:
        assert in_order(totals) == in_order(Streamed(connection).totals(KEYS))
    assert sum(steps) == entries
    assert len(steps) > 3
    assert sum(total.counted for total in totals if total.kind == "use") == 34
    exceptions = [total for total in totals if total.kind == "exception"]
    assert sum(total.entries for total in exceptions) * 2 == sum(total.counted for total in exceptions)
    with_commas = [total for total in totals if total.values[:1] == ("a “name” with, commas]",)]
    (named,) = (total for total in with_commas if total.values[2] == ("1.1(b)",))
    assert (named.entries, named.counted) == (0, 1)  # of the hour that is not over


def test_an_export_is_added_up_too(full: Place, tmp_path: Any) -> None:
    path = tmp_path / "copy.jsonl"
    with full.store.reading() as connection, path.open("wb") as file:
        file.writelines(export_lines(sql.SqlLedgerSnapshot(connection)))
    with full.store.reading() as connection, opened(path) as export:
        assert in_order(export.totals(KEYS)) == in_order(sql.SqlLedgerSnapshot(connection).totals(KEYS))


@pytest.mark.parametrize("body", ["no JSON at all", '{"count":3}', '{"activity":"a","purpose":"p","sources":[]}'])
def test_an_entry_that_counts_no_uses_is_told(full: Place, body: str) -> None:
    with full.store.reading() as connection:
        number = connection.execute(sa.select(sa.func.min(ledger.c.seq)).where(ledger.c.kind == "use")).scalar_one()
    full.change(sa.update(ledger).where(ledger.c.seq == number).values(body=body))
    with full.store.reading() as connection, pytest.raises(LedgerBroken) as broken:
        sql.SqlLedgerSnapshot(connection).totals(KEYS)
    assert broken.value.place == f"entries {(number - 1) // 7 * 7 + 1} to {(number - 1) // 7 * 7 + 7}"
