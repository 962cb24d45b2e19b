from __future__ import annotations

import copy
import datetime
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import purposeguard as pg
from purposeguard import Purpose, Source
from purposeguard.notice import vocabulary as terms
from purposeguard.notice.mro import linearize
from purposeguard.notice.texts import Titles
from purposeguard.notices import trendmicro_jp as tm
from tests.generated.notice_tables import titled
from tests.unit.samples import RETENTION, SMALL, changed, revised, tables

small = pg.Notice.loads(SMALL)


def test_the_bundled_notice_is_the_generated_module_s_by_identity() -> None:
    assert pg.Notice.bundled("trendmicro-jp") is tm.NOTICE
    assert pg.Notice.bundled("trendmicro-jp").source("1.1a") is tm.Registration


def test_no_other_notice_is_bundled() -> None:
    with pytest.raises(pg.NoticeError, match="trendmicro-jp"):
        pg.Notice.bundled("trendmicro-us")
    with pytest.raises(pg.NoticeError):
        pg.Notice.bundled("trendmicro_jp")


def test_sources_purposes_and_families_are_in_the_notice_s_order() -> None:
    assert [source.clause for source in small.sources] == ["1", "1(a)", "1(b)", "2", "1(b) router", "5"]
    assert [one.clause for one in small.purposes] == ["3(1)①", "3(1)②", "3(2)①", "3(2)②", "4①", "4②"]
    assert [family.name for family in small.families] == ["AnyAdvice"]
    assert small.channels == ("email", "phone")


def test_the_reference_notice_has_every_row_of_the_reading() -> None:
    notice = tm.NOTICE
    assert (len(notice.sources), len(notice.purposes), len(notice.families)) == (14, 34, 8)
    assert notice.revision == datetime.date(2024, 4, 1)
    assert notice.id == "trendmicro-jp"


@pytest.mark.parametrize("slot", ["id", "revision", "sources", "document", "grants", "other"])
def test_a_notice_cannot_be_changed(slot: str) -> None:
    notice = pg.Notice.loads(SMALL)
    with pytest.raises(AttributeError):
        setattr(notice, slot, None)
    with pytest.raises(AttributeError):
        delattr(notice, slot)


def test_a_notice_s_tables_cannot_be_changed() -> None:
    account, service = small.source("1(a)"), small.purpose("Service")
    with pytest.raises(TypeError):
        small.grants[account] = {}  # type: ignore[index]
    with pytest.raises(TypeError):
        small.grants[account][service] = "x"  # type: ignore[index]
    with pytest.raises(ValueError, match="frozen"):
        small.document.id = "other"


def test_grants_say_by_which_clause() -> None:
    named = {source.clause: {one.clause: by for one, by in row.items()} for source, row in small.grants.items()}
    assert named == {
        "1": {"3(2)①": "3(2)"},  # what both items may serve; billing is forbidden to one
        "1(a)": {"3(1)①": "3(1)", "3(1)②": "3(1)", "3(2)①": "3(2)", "3(2)②": "3(2)"},
        "1(b)": {"3(2)①": "3(2)"},
        "2": {"4①": "4", "4②": "4"},
        "1(b) router": {"3(2)①": "3(2)"},
        "5": {"4①": "4"},
    }


def test_a_prohibition_on_a_parent_covers_items_overlays_and_what_is_derived_from_them() -> None:
    forbidding = {"sources": ["1"], "purposes": ["AnyAdvice", "3(2)①", "4①"], "reason": {"en": "no", "ja": "否"}}
    notice = pg.Notice.parse(changed(lambda t: t["forbid"].append(forbidding) or t["overlay"][0].update(serves=[])))
    named = {source.clause: [one.clause for one in row] for source, row in notice.grants.items()}
    assert named == {"1": [], "1(a)": ["3(1)②", "3(2)②"], "1(b)": [], "2": ["4①", "4②"], "1(b) router": [], "5": []}


def test_notices_are_equal_when_their_documents_are() -> None:
    assert pg.Notice.loads(SMALL) == small
    assert pg.Notice.loads(SMALL).source("1(a)") is not small.source("1(a)")
    assert revised(small, lambda t: None) == small
    assert revised(small, lambda t: None, "2030-01-01") != small
    assert small != tm.NOTICE
    assert small != small.dump()
    assert repr(small) == "<Notice small 2024-01-01: 6 sources, 6 purposes>"
    assert copy.copy(small) is copy.deepcopy(small) is small


def test_titles_are_equal_in_whatever_order_their_languages_stand() -> None:
    email, post = Titles({"en": "Email", "ja": "メール"}), Titles({"en": "Email", "ja": "郵便"})
    assert {email, post, Titles({"ja": "メール", "en": "Email"})} == {email, post}


def test_terms_are_found_by_themselves_and_not_by_those_of_another_notice() -> None:
    account, service = small.source("1(a)"), small.purpose("Service")
    assert small.source(account) is account
    assert small.purpose(service) is service
    other = pg.Notice.loads(SMALL)
    for stranger in (account, tm.Registration, pg.Source, service):
        with pytest.raises(pg.UnknownSource):
            other.source(stranger)
    for stranger in (service, tm.RenewalGuidance, pg.Purpose, account):
        with pytest.raises(pg.UnknownPurpose):
            other.purpose(stranger)
        with pytest.raises(pg.UnknownPurpose):
            other.purpose_or_family(stranger)


def test_sources_are_no_purposes_though_one_id_may_name_both() -> None:
    for source in (small.source("1(a)"), "1(a)"):
        with pytest.raises(pg.UnknownPurpose):
            small.purpose(source)
    for purpose in (small.purpose("Service"), "3(2)①"):
        with pytest.raises(pg.UnknownSource):
            small.source(purpose)
    assert tm.NOTICE.source("2.3③") is tm.LinkedUsage
    assert tm.NOTICE.purpose("2.3③") is tm.UsageAnalysis


def test_a_family_is_found_by_name_slug_and_union() -> None:
    family = small.families[0]
    renewal, advice = family.members
    for given in ("AnyAdvice", "any-advice", "any advice", family, renewal | advice, advice | renewal):
        assert small.family(given) is family
        assert small.purpose_or_family(given) is family
    assert small.purpose_or_family("Renewal") is renewal


def test_a_union_that_is_no_family_is_an_unknown_purpose_and_says_so() -> None:
    one, two, three = (small.purpose(name) for name in ("Renewal", "Advice", "Service"))
    for union in (one | three, one | two | three, one | None, one | str):
        with pytest.raises(pg.UnknownPurpose, match="no declared family"):
            small.purpose_or_family(union)


@pytest.mark.parametrize("spelling", ["in_product", "In Product", "in-product", "IN_PRODUCT"])
def test_channels_are_read_generously(spelling: str) -> None:
    assert tm.NOTICE.channel(spelling) == "in_product"


def test_a_notice_without_channels_says_so() -> None:
    def strip(t: dict[str, Any]) -> None:
        del t["channel"]
        for grant in t["grant"]:
            for row in grant["purpose"]:
                row.pop("channels", None)

    with pytest.raises(pg.UnknownChannel, match="names no channels"):
        pg.Notice.parse(changed(strip)).channel("email")


def module_of(notice: pg.Notice) -> dict[str, object]:
    return {one.__name__: one for one in (*notice.sources, *notice.purposes)}


def test_a_notice_may_be_bound_to_classes_that_are_made_already() -> None:
    bound = pg.Notice.parse(tables(), classes=module_of(small))
    assert bound.sources == small.sources
    assert bound.purposes == small.purposes
    assert bound == small


def test_classes_that_are_not_the_notice_s_are_stale() -> None:
    def faults(classes: dict[str, object]) -> set[str]:
        with pytest.raises(pg.NoticeError) as caught:
            pg.Notice.parse(tables(), classes=classes)
        return {fault.place for fault in caught.value.faults}

    classes = module_of(small)
    assert faults({**classes, "Account": None}) == {"Account"}
    assert faults({**classes, "Account": small.source("1(b)"), "Service": str}) == {"Account", "Service"}
    del classes["Visit"]
    # A class that is not there, and not those that derive from it: it has no items.
    assert faults(classes) == {"Visit"}
    wider = pg.Notice.parse(changed(lambda t: t["forbid"].clear()))
    assert "Usage" in faults(module_of(wider))  # it derives from what the notice does not grant
    retitled = pg.Notice.parse(changed(lambda t: t["source"][3]["title"].update(en="Visitors")))
    assert faults(module_of(retitled)) == {"Visit"}


def test_items_may_come_before_their_parent_in_the_file() -> None:
    notice = pg.Notice.parse(changed(lambda t: t["source"].reverse()))
    assert issubclass(notice.source("1(a)"), notice.source("1"))
    assert [source.clause for source in notice.sources[:4]] == ["2", "1(b)", "1(a)", "1"]


def test_parents_may_have_parents() -> None:
    grandparent = {"id": "0", "class": "Anyone", "title": {"en": "Anyone", "ja": "誰か"}}
    notice = pg.Notice.parse(changed(lambda t: t["source"].append(grandparent) or t["source"][0].update(parent="0")))
    assert issubclass(notice.source("1(a)"), notice.source("0"))
    assert {one.clause for one in notice.grants[notice.source("0")]} == {"3(2)①"}


def large(*, nested: int = 1, purposes: int = 1) -> dict[str, Any]:
    """A notice of so many clauses, each an item of the one before, and of so many purposes for all of them."""
    return {
        "format": 1,
        "id": "large",
        "revision": "2024-01-01",
        "controller": titled("c"),
        "title": titled("t"),
        "source": [
            {"id": f"{n + 1}", "class": f"S{n}x", "title": titled("s"), **({"parent": f"{n}"} if n else {})}
            for n in range(nested)
        ],
        "grant": [
            {
                "clause": f"0({n // 40 + 1})",
                "title": titled("g"),
                "sources": ["1"],
                "purpose": [
                    {"id": f"0({n // 40 + 1}).{m}", "class": f"P{m}x", "title": titled("p")}
                    for m in range(n, min(n + 40, purposes))
                ],
            }
            for n in range(0, purposes, 40)
        ],
        "retention": RETENTION | {"period": [{"source": "1", "days": 30}]},
    }


def calls_of(run: Callable[[], object]) -> int:
    """How many functions a run calls, those of C included: a measure of its work that no clock spoils."""
    count = itertools.count()
    before = sys.getprofile()
    sys.setprofile(lambda *_: next(count) and None)
    try:
        run()
    finally:
        sys.setprofile(before)
    return next(count)


@pytest.mark.parametrize("kind", ["nested", "purposes"])
def test_the_work_grows_as_the_notice_does(kind: str) -> None:
    def work(size: int) -> int:
        made = large(**{kind: size})
        return calls_of(lambda: pg.Guard(pg.Notice.parse(made)))

    work(20)  # what is imported or compiled once
    assert work(160) < 2.5 * work(80)


def test_python_orders_the_bases_of_no_class_that_has_many(monkeypatch: pytest.MonkeyPatch) -> None:
    ordered: list[int] = []
    own = linearize

    def counted(cls: type) -> list[type]:
        ordered.append(len(cls.__bases__))
        return own(cls)

    monkeypatch.setattr(terms, "linearize", counted)
    notice = pg.Notice.parse(large(nested=3, purposes=500))
    assert ordered == [501]  # the items have the one base that has them all
    top, *items = notice.sources
    assert all(issubclass(source, purpose) for source in notice.sources for purpose in notice.purposes)
    assert all(issubclass(item, top) for item in items)
    assert not issubclass(top, items[0])
    assert top.__mro__ == (top, *notice.purposes, Purpose, Source, object)


@pytest.mark.parametrize(
    ("read", "source", "wrong"),
    [
        (pg.Notice.parse, "the tables of its file, a mapping", ("notice.toml", {"id"})),
        (pg.Notice.loads, "a text in TOML", ({},)),
    ],
    ids=["tables", "text"],
)
def test_what_is_no_table_or_no_text_is_a_mistake_that_is_told(read, source, wrong):
    for given in (None, b"id = 1", 5, Path("notice.toml"), ["id"], *wrong):
        with pytest.raises(TypeError, match=f"a notice is read from {source}, not from") as caught:
            read(given)
        assert caught.value.__cause__ is caught.value.__context__ is None
        assert "notice.toml" not in str(caught.value)


@pytest.mark.parametrize(
    "given", [{}, {1: 2}, {None: {}}, {("id",): "x"}, {"source": None}, {"grant": {1: 2}}, {"source": [None, 5]}]
)
def test_tables_that_are_none_are_faults(given):
    with pytest.raises(pg.NoticeError):
        pg.Notice.parse(given)
