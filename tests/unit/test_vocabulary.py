from __future__ import annotations

import copy
import pickle
from typing import Any, Union

import pytest

import purposeguard as pg
from purposeguard.notice.vocabulary import LONGEST_ID, find_nearest, fold, make_slug
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.samples import SMALL


@pytest.mark.parametrize(
    ("find", "term", "spellings"),
    [
        (
            tm.NOTICE.source,
            tm.Registration,
            ("1.1(a)", "1.1a", "1.1 (A)", "１．１（ａ）", "1.1-a", "§1.1(a)", " 1.1(a) "),
        ),
        (tm.NOTICE.source, tm.Registration, ("Registration", "registration")),
        (tm.NOTICE.source, tm.ProductData, ("product-data", "product_data", "ProductData")),
        (tm.NOTICE.source, tm.Customer, ("1.1",)),
        (tm.NOTICE.source, tm.Cookie, ("2.3",)),
        (tm.NOTICE.source, tm.LinkedUsage, ("2.3③", "linked-usage")),
        (tm.NOTICE.purpose, tm.RenewalGuidance, ("1.2(1)①", "1.2(1)-1", "1.2(1).1", "1.2(1)1", "1.2(1)➀", "1.2(1)❶")),
        (tm.NOTICE.purpose, tm.RenewalGuidance, ("1.2(1)⑴", "１．２（１）１", "1.2(1)⒈")),
        (tm.NOTICE.purpose, tm.RenewalGuidance, ("RenewalGuidance", "renewal-guidance", "Renewal Guidance")),
        (tm.NOTICE.purpose, tm.ProductGuidance, ("1.2(1)➁", "1.2(1)②")),
        (tm.NOTICE.purpose, tm.ExperienceHearing, ("1.2(2)➅",)),
        (tm.NOTICE.purpose, tm.WebBehaviourAnalysis, ("2.2➇",)),
        (tm.NOTICE.purpose, tm.WebCommunityOperation, ("2.2⑪", "2.2-11")),
    ],
    ids=str,
)
def test_ids_are_read_generously(find: Any, term: type, spellings: tuple[str, ...]) -> None:
    assert {find(spelling) for spelling in spellings} == {term}


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        " ",
        "()",
        "1.1(а)",  # a Cyrillic letter
        "1․1(a)x",
        "Rеgistration",  # a Cyrillic letter
        "1.1(a)\u200b",  # a zero-width blank
        "1.1(ａ\u0301)",  # a combining accent
        "1.1½",
        "1.1(a)\x00",
        "١.١(a)",  # Arabic-Indic digits
        "1.1(a);drop",
        "1" * 1_000_000,
        "(" * 1_000_000,
        "①" * 1_000_000,
        "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 199,
        None,
        b"1.1(a)",
        bytearray(b"1.1(a)"),
        11,
        1.1,
        object(),
        {"1.1(a)": 1},
    ],
    ids=lambda given: ascii(given)[:16],
)
def test_what_is_no_id_is_an_unknown_term(nonsense: object) -> None:
    guard = pg.Guard(tm.NOTICE)
    with pytest.raises(pg.UnknownSource):
        tm.NOTICE.source(nonsense)
    for find in (tm.NOTICE.purpose, tm.NOTICE.family):
        with pytest.raises(pg.UnknownPurpose):
            find(nonsense)
    with pytest.raises(pg.UnknownChannel) as caught:
        tm.NOTICE.channel(nonsense)
    assert len(str(caught.value)) < 400
    asks: list[Any] = [guard.allows, guard.check, guard.explain]
    for ask in asks:
        with pytest.raises(pg.UnknownSource):
            ask(nonsense, tm.RenewalGuidance)
        with pytest.raises(pg.UnknownPurpose) as unknown:
            ask(tm.Registration, nonsense)
        assert len(str(unknown.value)) < 500


def test_an_unknown_id_suggests_the_nearest() -> None:
    with pytest.raises(pg.UnknownSource) as caught:
        tm.NOTICE.source("Registraton")
    assert caught.value.suggestions[0] in {"Registration", "registration"}
    with pytest.raises(pg.UnknownPurpose) as unknown:
        tm.NOTICE.purpose("renewal-guidence")
    assert "renewal-guidance" in str(unknown.value)
    with pytest.raises(pg.UnknownPurpose) as family:
        tm.NOTICE.purpose_or_family("AnyProductGuidanc")
    assert "AnyProductGuidance" in family.value.suggestions
    with pytest.raises(pg.UnknownChannel) as channel:
        tm.NOTICE.channel("emial")
    assert channel.value.suggestions == ("email",)


def test_what_is_no_text_has_no_near_ids() -> None:
    assert find_nearest(5, ["5"]) == ()
    assert find_nearest("registraton", ["Registration"]) == ("Registration",)


@pytest.mark.parametrize(
    ("spelling", "folded"),
    [
        ("1.2(1)①", "1.2.1.1"), ("RenewalGuidance", "renewalguidance"), ("x" * LONGEST_ID, "x" * LONGEST_ID),
        ("x" * (LONGEST_ID + 1), None), ("⑳", "20"), ("½", None), ("²", "2"), ("㉈", None),
    ],
)  # fmt: skip
def test_two_spellings_of_one_id_fold_to_the_same(spelling: str, folded: str | None) -> None:
    # ㉈ is a circled number on a black square and reads as 10; what matters is that it reads the same as 10 does.
    assert fold(spelling) == (fold("10") if spelling == "㉈" else folded)


@pytest.mark.parametrize(
    ("name", "slug"),
    [("RenewalGuidance", "renewal-guidance"), ("DNSLookup", "dns-lookup"), ("Tier2Data", "tier2-data"), ("A", "a")],
)
def test_a_slug_is_the_class_name_with_hyphens(name: str, slug: str) -> None:
    assert make_slug(name) == slug


def test_a_term_bears_clause_slug_title_and_docstring() -> None:
    assert tm.Registration.clause == "1.1(a)"
    assert tm.Registration.slug == "registration"
    assert set(tm.Registration.title) == {"en", "ja"}
    assert "1.1(a)" in (tm.Registration.__doc__ or "")
    assert repr(tm.Registration) == "<Registration 1.1(a)>"
    assert repr(pg.Source) == "<Source>"
    with pytest.raises(TypeError):
        tm.Registration.title["en"] = "x"  # type: ignore[index]


@pytest.mark.parametrize("term", [tm.Registration, tm.RenewalGuidance, pg.NotPersonal, pg.Source, pg.Purpose])
def test_a_term_has_no_instances_and_cannot_be_changed(term: type) -> None:
    with pytest.raises(TypeError, match="no instances"):
        term()
    for name in ("clause", "__bases__", "anything"):
        with pytest.raises(AttributeError):
            setattr(term, name, "x")
    with pytest.raises(AttributeError):
        del term.clause  # type: ignore[attr-defined]


def test_not_personal_is_a_source_and_no_purpose() -> None:
    assert issubclass(pg.NotPersonal, pg.Source)
    assert not issubclass(pg.NotPersonal, pg.Purpose)


def test_a_family_is_the_union_of_its_members_in_any_order() -> None:
    family = tm.NOTICE.family("AnyProductGuidance")
    one, two, three = family.members
    assert family == tm.AnyProductGuidance == (three | one | two)
    assert family == Union[two, three, one]  # noqa: UP007
    assert hash(family) == hash(three | one | two)
    assert family != (one | two)
    assert family != one
    assert family != "AnyProductGuidance"
    by_family: dict[Any, int] = {family: 1}
    assert by_family[tm.AnyProductGuidance] == 1
    assert family == pg.Family(family.name, family.slug, family.title, family.members)
    assert family != pg.Family("Other", family.slug, family.title, family.members)


def test_a_family_bears_its_name_and_cannot_be_changed() -> None:
    family = tm.NOTICE.family("any-product-guidance")
    assert (family.name, family.slug) == ("AnyProductGuidance", "any-product-guidance")
    assert set(family.title) == {"en", "ja"}
    assert repr(family) == "<family AnyProductGuidance 1.2(1)② 2.2① 3.2①>"
    mine = pg.Family(family.name, family.slug, family.title, family.members)
    with pytest.raises(AttributeError):
        mine.members = ()
    with pytest.raises(AttributeError):
        del mine.members


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_terms_and_families_of_a_module_copy_and_pickle_to_themselves(protocol: int) -> None:
    for term in (tm.Registration, tm.RenewalGuidance, pg.NotPersonal, pg.Source):
        assert pickle.loads(pickle.dumps(term, protocol)) is copy.copy(term) is copy.deepcopy(term) is term
    family = tm.NOTICE.family("AnyProductGuidance")
    assert pickle.loads(pickle.dumps(family, protocol)) == family


def test_terms_made_from_a_file_pickle_to_stand_ins_that_no_guard_knows() -> None:
    notice = pg.Notice.loads(SMALL)
    source, purpose = notice.source("1(a)"), notice.purpose("Service")
    there = pickle.loads(pickle.dumps(source))
    assert (there.__name__, there.clause, there.slug) == ("Account", "1(a)", "account")
    assert there.title == source.title
    assert issubclass(there, pg.Source)
    assert issubclass(pickle.loads(pickle.dumps(purpose)), pg.Purpose)
    with pytest.raises(pg.UnknownSource):
        pg.Guard(notice).allows(there, purpose)
    with pytest.raises(pg.UnknownPurpose):
        pg.Guard(notice).allows(source, pickle.loads(pickle.dumps(purpose)))
