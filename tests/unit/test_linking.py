"""Sealed values joined by an operation that the notice declares, by each of the ways to say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import purposeguard as pg
from purposeguard import derive
from purposeguard.errors import UnknownOperation
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import guard
from tests.unit.samples import SMALL, changed, revised
from tests.unit.seals import BILL, COOKIE, DEVICE, FREE, NAME, words

LINKED = pg.Label(tm.LinkedUsage)
WEB: pg.Personal[str, Any] = pg.Personal("web", tm.WebForm)

Way = Callable[[Any, Any], pg.Personal[Any, Any]]
WAYS: dict[str, Way] = {
    "function": tm.link_usage,
    "derive": lambda one, other: derive(tm.NOTICE, "link", one, other),
    "guard": lambda one, other: guard.derive("link", one, other),
}
each_way = pytest.mark.parametrize("link", WAYS.values(), ids=list(WAYS))


@each_way
def test_what_the_notice_lets_be_joined_has_a_source_of_its_own(link: Way) -> None:
    for other in (NAME, BILL, DEVICE, NAME.zip(DEVICE), NAME.zip(WEB), WEB.map(str.upper)):
        for linked in (link(COOKIE, other), link(COOKIE.map(len), other)):
            assert linked.label is LINKED
    with guard.purpose(tm.UsageAnalysis) as use:
        assert use.open(link(COOKIE, NAME)) == ("cookie", "name")
        assert use.open(link(COOKIE.map(len), NAME.map(str.upper))) == (6, "NAME")
        assert use.open(link(NAME, COOKIE)) == ("name", "cookie")  # in the order in which they were given
        with pytest.raises(pg.PurposeViolation):
            use.open(COOKIE.zip(NAME))  # plain combination keeps both labels
        with pytest.raises(pg.PurposeViolation):
            use.open(NAME)
    with guard.purpose(tm.RenewalGuidance) as use, pytest.raises(pg.PurposeViolation):
        use.open(link(COOKIE, NAME))


@each_way
def test_what_it_does_not_let_be_joined_is_refused(link: Way) -> None:
    for one, other in [
        (NAME, BILL), (COOKIE, COOKIE), (COOKIE, FREE), (COOKIE.zip(NAME), NAME), (COOKIE, COOKIE.zip(NAME)),
    ]:  # fmt: skip
        with pytest.raises(UnknownOperation, match="unknown operation `link`"):
            link(one, other)
    with pytest.raises(UnknownOperation) as refused:
        link(NAME, WEB)
    assert words(refused) == (
        "unknown operation `link`: the notice derives nothing from 1.1(a) and 2.1(c) by this; it declares `link` of "
        "2.3 with 1.1, 2.1, 3.1"
    )


@each_way
def test_only_sealed_values_are_joined(link: Way) -> None:
    for one, other in [(COOKIE, "name"), ("cookie", NAME)]:
        with pytest.raises(TypeError, match="a derivation takes sealed values, and was given a str"):
            link(one, other)


@each_way
def test_what_is_of_another_notice_is_unknown(link: Way) -> None:
    foreign: pg.Personal[str, Any] = pg.Personal("x", pg.Notice.parse(tm.NOTICE.dump()).source("1.1a"))
    for one, other in [(COOKIE, foreign), (COOKIE, foreign.zip(NAME))]:
        with pytest.raises(pg.UnknownSource):
            link(one, other)


def test_a_class_made_by_hand_is_no_source_that_a_notice_knows() -> None:
    meta: Any = type(pg.Source)
    made: Any = meta("Mine", (tm.Registration,), {"clause": "1.1(z)", "slug": "mine", "title": {}})
    mine: pg.Personal[str, Any] = pg.Personal("x", made)
    for link in WAYS.values():
        with pytest.raises(pg.UnknownSource):
            link(COOKIE, mine)
    with guard.purpose(tm.RenewalGuidance) as use, pytest.raises(pg.UnknownSource):
        use.open(mine)


def test_an_operation_that_is_not_declared_says_which_are() -> None:
    with pytest.raises(UnknownOperation) as refused:
        derive(tm.NOTICE, "match", COOKIE, NAME)
    assert "unknown operation `<a text of 5 characters>`" in words(refused)
    assert isinstance(refused.value, pg.UnknownSource)
    bare = pg.Notice.parse(changed(lambda made: made.pop("derivation")))
    one, other = (pg.Personal("x", bare.source(given)) for given in ("2", "1(a)"))
    with pytest.raises(UnknownOperation, match=r"declares no derivation"):
        derive(bare, "link", one, other)


def test_sources_alone_give_the_label() -> None:
    assert guard.derive("link", tm.Cookie, "1.1") is guard.derive("link", [tm.Customer, "2.1a"], tm.Cookie) is LINKED
    with pytest.raises(pg.UnlabelledData):
        guard.derive("link", [], tm.Cookie)


def test_a_guard_derives_by_the_revision_in_force() -> None:
    small = pg.Notice.loads(SMALL)
    moving = pg.Guard(small)
    visit, usage = (pg.Personal(given, small.source(given)) for given in ("2", "1(b)"))
    assert moving.derive("link", visit, usage).label is pg.Label(small.source("5"))

    def narrower(made: dict[str, Any]) -> None:
        made["derivation"][0]["with"] = ["1(a)"]

    later = revised(small, narrower)
    moving.replace(later)
    with pytest.raises(UnknownOperation):
        moving.derive("link", visit, usage)
    linked: pg.Personal[Any, Any] = moving.derive("link", visit, pg.Personal("a", small.source("1(a)")))
    assert linked.label is pg.Label(later.source("5"))
    with moving.purpose("4①") as use:
        assert use.open(linked) == ("2", "a")
