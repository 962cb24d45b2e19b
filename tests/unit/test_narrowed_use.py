"""The use of a family, asked for one of its members: `guard.use(Member)` inside the family's block."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.samples import Tape, revised
from tests.unit.seals import words

WEB: pg.Personal[str, Any] = pg.Personal("web@example.com", pg.Label(tm.WebContact))
NAME = pg.Personal("name", tm.Registration)


def family(guard: pg.Guard) -> Any:
    return guard.purpose(tm.AnyProductGuidance, channel="email", activity="guide")


def test_it_opens_what_the_member_may_use_and_no_more() -> None:
    guard = pg.Guard(tm.NOTICE)
    with family(guard) as whole:
        use = guard.use(tm.ProductGuidance)
        assert whole.open_all([NAME, WEB]) == ["name", "web@example.com"]
        for _ in range(2):  # looked up, and known
            assert use.open(NAME) == "name"
            assert use.open_all([NAME, NAME]) == ["name", "name"]
            assert use.allows(tm.Registration)
            assert not use.allows(tm.WebContact)
            with pytest.raises(pg.PurposeViolation, match=r"product-guidance \(1\.2\(1\)②\) may not use"):
                use.open(WEB)
        assert use.try_open(WEB, None) is None
        assert use.purpose is tm.ProductGuidance
        assert (use.channel, use.activity.name, use.activity.site) == ("email", "guide", whole.activity.site)
        assert guard.current is whole  # what is under way is the family's
        assert guard.use(tm.WebProductGuidance).open(WEB) == "web@example.com"
        with pytest.raises(pg.PurposeMissing):
            guard.use(tm.RenewalGuidance)
    assert guard.activities == (whole.activity,)


def test_it_ends_with_the_familys() -> None:
    guard = pg.Guard(tm.NOTICE)
    with family(guard):
        use = guard.use(tm.ProductGuidance)
        assert use.open(NAME) == "name"
        assert repr(use) == "<Use of guide for 1.2(1)②, active>"
    assert repr(use) == "<Use of guide for 1.2(1)②, not active>"
    for act in (lambda: use.open(NAME), lambda: use.open_all([NAME]), lambda: use.check(tm.Registration)):
        with pytest.raises(pg.PurposeMissing, match="activity guide has ended"):
            act()


def test_it_holds_elsewhere_where_the_familys_is_carried() -> None:
    guard = pg.Guard(tm.NOTICE)
    found: list[object] = []
    with family(guard):
        use = guard.use(tm.ProductGuidance)

        def run() -> None:
            try:
                found.append(use.open(NAME))
            except pg.PurposeMissing as error:
                found.append(words(error))

        for target in (run, guard.carry(run)):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
        found.append(guard.carry(lambda: guard.use(tm.ProductGuidance).open(NAME))())
    assert "another task or thread" in str(found[0])
    assert found[1:] == ["name", "name"]


def test_what_it_uses_is_counted_as_the_members() -> None:
    tape = Tape()
    guard = pg.Guard(tm.NOTICE, ledger=tape)
    with family(guard) as whole:
        whole.open(NAME)
        guard.use(tm.ProductGuidance).open(NAME)
        guard.use(tm.ProductGuidance).open_all([NAME, NAME])
        with pytest.raises(pg.PurposeViolation) as refused:
            guard.use(tm.ProductGuidance).open(WEB)
    label = pg.Label(tm.Registration)
    assert tape.uses == [("guide", "AnyProductGuidance", label, 1), ("guide", "1.2(1)②", label, 3)]
    assert tape.denials == [(refused.value, False)]


def test_a_member_that_leaves_its_family_leaves_its_use() -> None:
    guard = pg.Guard(tm.NOTICE)

    def without(tables: dict[str, Any]) -> None:
        (family,) = [one for one in tables["family"] if one["class"] == "AnyProductGuidance"]
        family["purposes"].remove("1.2(1)②")

    with guard.purpose("AnyProductGuidance", channel="email") as whole:
        use = guard.use(tm.ProductGuidance)
        assert use.open(NAME) == "name"
        guard.replace(revised(tm.NOTICE, without))
        acts: list[Any] = [
            lambda: use.open(NAME),
            lambda: use.open_all([NAME]),
            lambda: use.check(tm.Registration),
            lambda: use.allows(tm.Registration),
            lambda: whole.open(NAME),
            lambda: guard.use(tm.ProductGuidance),
        ]
        for act in acts:
            with pytest.raises(pg.UnknownPurpose):
                act()


def test_it_is_decided_by_the_revision_in_force() -> None:
    guard = pg.Guard(tm.NOTICE)
    with family(guard):
        use = guard.use(tm.ProductGuidance)
        assert use.open(NAME) == "name"
        rule = {"sources": ["1.1(a)"], "purposes": ["1.2(1)②"], "reason": {"en": "asked not to", "ja": "希望"}}
        guard.replace(revised(tm.NOTICE, lambda tables: tables.setdefault("forbid", []).append(rule)))
        with pytest.raises(pg.PurposeViolation):
            use.open(NAME)
        assert guard.use(tm.WebProductGuidance).open(WEB) == "web@example.com"
