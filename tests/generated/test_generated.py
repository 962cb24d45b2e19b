"""Generated notices have every shape, shrink, and have the faults that they say."""

from __future__ import annotations

import collections
import tomllib

import pytest
from hypothesis import given, settings

import purposeguard as pg
from tests import generated
from tests.generated.notice_faults import PLANTS, UNREADABLE, as_toml
from tests.support import drawn, smallest

TABLES = ("channel", "family", "derivation", "forbid", "overlay", "extension", "renamed")
FACTS = ("entrustment", "transfer", "safeguards", "rights", "retention", "contact", "voluntary", "changes")


def test_notices_have_every_shape() -> None:
    documents = [one.document for one in drawn(generated.notices(facts=True), 60)]
    for table in (*TABLES, *FACTS):  # what is drawn hangs on which modules are loaded, too
        having = sum(bool(getattr(one, table)) for one in documents)
        assert 0.03 * len(documents) < having < len(documents), table
    channels = [row.channels for one in documents for row in one.purposes if row.channels]
    assert any(one.closed for one in channels)
    assert any(one.open for one in channels)
    assert any(row.parent for one in documents for row in one.source)
    items = {row.id: row.parent for one in documents for row in one.source}
    assert any(items.get(parent) for parent in items.values() if parent), "items of items"


def test_what_is_left_out_is_not_there() -> None:
    for one in drawn(generated.notices(derivations=False, prohibitions=False, overlays=False), 30):
        assert not one.document.derivation
        assert not one.document.forbid
        assert not one.document.overlay


@pytest.mark.faults
def test_a_notice_shrinks_to_the_smallest() -> None:
    notice = smallest(generated.notices(), lambda _: True)
    assert (len(notice.sources), len(notice.purposes), notice.families) == (1, 1, ())
    with_family = smallest(generated.notices(), lambda one: bool(one.families))
    assert len(with_family.purposes) <= 3  # a family takes two, and hypothesis' versions differ in how far they shrink


@settings(max_examples=20)
@given(history=generated.histories(3, 3))
def test_histories_are_in_order(history: pg.History) -> None:
    assert [one.revision for one in history] == sorted({one.revision for one in history})
    assert len(history) == 3


def test_every_kind_of_fault_is_drawn() -> None:
    kinds = {fault.kind for faulty in drawn(generated.faulty_notices(most=8), 120) for fault in faulty.faults}
    assert kinds <= {*PLANTS, *UNREADABLE}
    assert len(kinds) > 0.6 * len({*PLANTS, *UNREADABLE})


@given(faulty=generated.faulty_notices(most=6))
def test_a_faulty_file_says_what_its_tables_say(faulty: generated.FaultyNotice) -> None:
    if faulty.tables is None:
        assert faulty.places == ("",)
    else:
        assert tomllib.loads(faulty.text) == faulty.tables
        assert "" not in faulty.places
    assert 1 <= len(faulty.faults) <= 6


def test_one_fault_shrinks_to_the_smallest_notice() -> None:
    def has_circle(one: generated.FaultyNotice) -> bool:
        return any(fault.kind == "circle-of-parents" for fault in one.faults)

    found = smallest(generated.faulty_notices(), has_circle)
    assert [fault.kind for fault in found.faults] == ["circle-of-parents"]
    assert found.tables is not None
    assert len(found.tables["source"]) == 3  # one of the notice, two in a circle
    assert found.places == ("source[1].parent", "source[2].parent")


@settings(max_examples=15)
@given(notice=generated.notices(facts=True))
def test_tables_are_written_as_toml(notice: pg.Notice) -> None:
    tables = notice.dump()
    assert tomllib.loads(as_toml(tables)) == tables
    assert pg.Notice.loads(as_toml(tables)) == notice


def test_kinds_of_faults_are_counted_evenly() -> None:
    found = collections.Counter(
        fault.kind for faulty in drawn(generated.faulty_notices(most=1), 60) for fault in faulty.faults
    )
    assert max(found.values()) < 0.25 * sum(found.values())
