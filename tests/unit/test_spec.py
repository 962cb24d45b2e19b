"""The executable specification, where no case of the conformance suite asks it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.policy.spec import derive_source, is_allowed, is_extended, permits
from tests.unit.samples import changed, tables

FIRST, SECOND = date(2024, 1, 1), date(2025, 1, 1)
SERVICE, STATISTICS = "3(2)①", "4①"
OLD = pg.Notice.parse(tables()).document


def test_an_empty_label_and_unknown_ids_are_refused() -> None:
    with pytest.raises(pg.UnlabelledData):
        permits(OLD, set(), SERVICE)
    with pytest.raises(KeyError):
        permits(OLD, {"9"}, SERVICE)


def test_sources_are_joined_in_either_order_by_the_operation_that_is_declared() -> None:
    assert derive_source(OLD, "link", "2", "1(a)") == derive_source(OLD, "link", "1(a)", "2") == "5"
    assert derive_source(OLD, "link", "2", "2") is None
    assert derive_source(OLD, "merge", "2", "1(a)") is None


def test_what_no_revision_extends_is_not_extended() -> None:
    related = {"purposes": [SERVICE], "basis": "related", "notified": date(2023, 12, 1)}
    notice = pg.Notice.parse(changed(lambda t: t.update(extension=[related]))).document
    assert is_extended(notice, "1(a)", SERVICE, agreed_since=False)
    assert not is_extended(notice, "2", STATISTICS, agreed_since=True)


def test_a_source_that_was_renamed_is_the_same_source() -> None:
    def change(t: dict[str, Any]) -> None:
        t["revision"] = SECOND
        t["source"][3]["id"] = "8"
        t["grant"][2]["sources"] = t["derivation"][0]["from"] = ["8"]
        t["renamed"] = [{"kind": "source", "old": "2", "new": "8"}]

    notices = [OLD, pg.Notice.parse(changed(change)).document]
    assert is_allowed(notices, ["8"], STATISTICS, collected_under=FIRST)
    # And back, where the earlier revision is in force again.
    assert is_allowed(notices[::-1], ["2"], STATISTICS, collected_under=SECOND)
