"""Clauses 4, 5 and 6: to whom data may be handed, where, and under which terms."""

import datetime
from dataclasses import replace
from datetime import date

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient, Safeguard, clauses, objections, refusal
from purposeguard.policy.violations import violation_of

TODAY = date(2026, 6, 15)
CONTRACT = Safeguard("contract", "2026-117", since=date(2026, 4, 1))
HOME = Recipient(
    "mail-house", "domestic-contractor", "JP", safeguards=(CONTRACT,), supervised_on=date(2026, 5, 1), name="Mail House"
)
ABROAD = replace(HOME, id="support-centre", kind="overseas-contractor", country="PH")
CHINA = replace(
    ABROAD, id="nanjing", kind="overseas-affiliate", country="CN", own_subsidiary=True, products={"Deep Security"}
)
IN_CHINA = {"product": "Deep Security", "task": "maintenance"}


def against(recipient, notice=tm.NOTICE, *, today=TODAY, **terms) -> list[str]:
    return list(objections(notice.document, recipient, today=today, **terms))


def without(*names, **tables) -> pg.Notice:
    """The reference notice without these tables, and with these."""
    dumped = tm.NOTICE.dump() | tables
    return pg.Notice.parse({key: value for key, value in dumped.items() if key not in names})


# ---- Clause 4


def test_clause_4_each_kind_that_the_notice_names_may_handle_data():
    assert against(HOME) == []
    assert against(ABROAD) == []
    assert against(replace(ABROAD, kind="overseas-affiliate")) == []
    assert against(replace(HOME, kind="Domestic Contractor")) == []


def test_clause_4_any_other_kind_is_refused():
    (why,) = against(replace(HOME, kind="advertiser"))
    assert "`<a text of 10 characters>`" in why
    assert "overseas-affiliate, overseas-contractor or domestic-contractor" in why


def test_clause_4_recipients_abroad_are_abroad_and_those_at_home_at_home():
    assert "outside JP" in against(replace(ABROAD, country="JP"))[0]
    assert "in JP, and this one is in PH" in against(replace(HOME, country="PH"))[0]
    kinds = [{"id": "anyone", "title": {"en": "Anyone", "ja": "誰でも"}}]
    either = without(entrustment=tm.NOTICE.dump()["entrustment"] | {"recipients": kinds})
    for country in ("JP", "PH"):
        assert against(replace(HOME, kind="anyone", country=country), either) == []


def test_clause_4_supervision_is_on_record_before_anything_is_handed_over():
    assert "no supervision of it is on record" in against(replace(HOME, supervised_on=None))[0]
    assert "2026-06-16 only" in against(replace(HOME, supervised_on=TODAY + datetime.timedelta(days=1)))[0]
    assert against(replace(HOME, supervised_on=TODAY)) == []
    lax = without(entrustment=tm.NOTICE.dump()["entrustment"] | {"supervision": "recorded"})
    assert against(replace(HOME, supervised_on=None), lax) == []


# ---- Clause 5


@pytest.mark.parametrize(
    "country", ["TW", "PH", "CA", "AU", "US", "IN", "ID", "MY", "SG", "AE", "DE", "IS", "GB", "us"]
)
def test_clause_5_listed_and_equivalent_countries(country):
    assert against(replace(ABROAD, country=country)) == []


@pytest.mark.parametrize("country", ["XX", "KR", "CH", "HK", "RU", "UK", "ZZ", "kr"])
def test_clause_5_any_other_country_is_refused_by_name(country):
    (why,) = against(replace(ABROAD, country=country))
    assert f"names no country {country.upper()}" in why


def test_clause_5_equivalent_countries_are_data():
    transfer = tm.NOTICE.dump()["transfer"]
    korea = {"id": "korea", "title": {"en": "Korea", "ja": "韓国"}, "countries": ["KR"]}
    assert against(replace(ABROAD, country="KR"), without(transfer=transfer | {"equivalent": [korea]})) == []
    assert against(replace(ABROAD, country="DE"), without(transfer=transfer | {"equivalent": [korea]}))


def test_clause_5_the_terms_of_a_listed_country_hold_though_it_be_equivalent():
    transfer = tm.NOTICE.dump()["transfer"]
    group = {"id": "all", "title": {"en": "All", "ja": "全"}, "countries": ["CN"]}
    assert len(against(replace(ABROAD, country="CN"), without(transfer=transfer | {"equivalent": [group]}))) == 3


def test_clause_5_china_to_the_own_subsidiary_for_named_products_and_tasks():
    for task in ("operation", "maintenance", "investigation", "Investigation"):
        assert against(CHINA, product="deep  security", task=task) == []


def test_clause_5_china_to_nobody_but_the_own_subsidiary():
    for other in (
        replace(CHINA, own_subsidiary=False),
        replace(CHINA, kind="overseas-contractor", own_subsidiary=False),
    ):
        (why,) = against(other, **IN_CHINA)
        assert "own-subsidiary" in why


def test_clause_5_china_for_no_product_but_those_the_application_names():
    for product in ("Virus Buster", "Deep Security 20", "Deep"):
        (why,) = against(CHINA, product=product, task="maintenance")
        assert f"`<a text of {len(product)} characters>` is none of the `products`" in why
    (why,) = against(replace(CHINA, products=()), **IN_CHINA)
    assert "none of the `products`" in why
    (why,) = against(CHINA, task="maintenance")
    assert "no product is stated" in why


def test_clause_5_china_for_no_task_but_running_maintaining_and_investigating():
    for task in ("marketing", "development", "operations and sales"):
        (why,) = against(CHINA, product="Deep Security", task=task)
        assert "operation, maintenance or investigation, not for" in why
    (why,) = against(CHINA, product="Deep Security")
    assert "no task is stated" in why


def test_clause_5_china_every_condition_is_told():
    why = against(replace(ABROAD, country="CN"))
    assert len(why) == 3
    assert [word in one for word, one in zip(("own-subsidiary", "products", "operation"), why, strict=True)] == [
        True
    ] * 3


def test_clause_5_china_needs_what_every_country_needs():
    assert "supervision" in against(replace(CHINA, supervised_on=None), **IN_CHINA)[0]
    assert "safeguard" in against(replace(CHINA, safeguards=()), **IN_CHINA)[0]


def test_clause_5_a_limit_may_name_one_of_the_kinds():
    tables = tm.NOTICE.dump()
    tables["transfer"]["country"][-1]["limit"]["recipient"]["id"] = "overseas-affiliate"
    limited = pg.Notice.parse(tables)
    assert against(replace(CHINA, own_subsidiary=False), limited, **IN_CHINA) == []
    assert len(against(replace(CHINA, kind="overseas-contractor"), limited, **IN_CHINA)) == 1


# ---- Clause 6


def test_clause_6_a_measure_is_on_record_before_anything_is_handed_over():
    (why,) = against(replace(HOME, safeguards=()))
    assert "no safeguard is on record, such as contract or other (clause 6.2)" in why
    assert against(replace(HOME, safeguards=[Safeguard("Other", "ISO 27001", since=TODAY)])) == []


def test_clause_6_a_measure_holds_today():
    ended = replace(CONTRACT, until=TODAY - datetime.timedelta(days=1))
    begins = replace(CONTRACT, since=TODAY + datetime.timedelta(days=1))
    assert "ended on 2026-06-14" in against(replace(HOME, safeguards=(ended,)))[0]
    assert "begins on 2026-06-16" in against(replace(HOME, safeguards=(begins,)))[0]
    assert "ended on 2026-06-14" in against(replace(HOME, safeguards=(begins, ended)))[0]
    assert against(replace(HOME, safeguards=(ended, replace(CONTRACT, until=TODAY)))) == []
    assert against(replace(HOME, safeguards=(replace(CONTRACT, since=TODAY),))) == []


def test_clause_6_what_the_notice_does_not_name_is_no_measure():
    (why,) = against(replace(HOME, safeguards=(replace(CONTRACT, measure="handshake"),)))
    assert "`<a text of 9 characters>` is no measure of clause 6.2, which names contract or other" in why


def test_clause_6_data_travels_by_the_means_of_the_notice():
    for means in ("database-access", "email", "cloud-storage", "storage-media", "other", "Cloud storage"):
        assert against(HOME, means=means) == []
    (why,) = against(HOME, means="carrier-pigeon")
    assert "not by `<a text of 14 characters>`" in why


# ---- All clauses together


@pytest.mark.parametrize(("table", "clause"), [("entrustment", 4), ("transfer", 5), ("safeguards", 6)])
def test_a_notice_without_a_table_lets_nothing_be_handed_over(table, clause):
    (why,) = against(HOME, without(table))
    assert f"no [{table}] (clause {clause})" in why


def test_reasons_come_in_the_order_of_the_clauses():
    bad = Recipient("x", "advertiser", "XX")
    why = against(bad, means="pigeon")
    assert ["clause 4" in why[0], "clause 4" in why[1], "clause 5" in why[2], "clause 6" in why[3]] == [True] * 4
    assert "`<a text of 6 characters>`" in why[4]
    assert len(against(bad, without("entrustment", "transfer", "safeguards"))) == 3


def test_the_clauses_that_a_hand_over_rests_on():
    assert clauses(tm.NOTICE.document, HOME) == ("4", "6.2")
    assert clauses(tm.NOTICE.document, ABROAD) == ("4", "5", "6.2")
    assert clauses(without("entrustment", "transfer", "safeguards").document, HOME) == ()


def test_a_refusal_is_a_decision_with_its_reasons():
    allowed = pg.Guard(tm.NOTICE).explain("1.1(a)", "1.2(1)①")
    denied = refusal(tm.NOTICE.document, allowed, ABROAD, ("no contract", "no supervision"))
    assert allowed
    assert not denied
    assert violation_of(denied) is pg.RecipientViolation
    assert denied.reasons == ("no contract", "no supervision")
    assert str(denied).splitlines() == [
        "renewal-guidance (1.2(1)①) may not hand 1.1(a) to support-centre (overseas-contractor, PH)",
        "  no contract",
        "  no supervision",
    ]


# ---- What is no recipient


@pytest.mark.parametrize("country", ["", "J", "JPN", "J1", "Ｊ", "日本", "ＪＰ"])
def test_a_country_is_two_letters(country):
    with pytest.raises(ValueError, match=r"two letters|one line"):
        replace(HOME, country=country)


def test_countries_are_folded():
    assert replace(HOME, country=" jp ").country == "JP"


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": 7},
        {"id": " "},
        {"id": "a\nb"},
        {"id": "x" * 201},
        {"kind": None},
        {"name": 3},
        {"means": ""},
        {"products": "Deep Security"},
        {"products": [7]},
        {"products": [" "]},
        {"safeguards": ["contract"]},
        {"supervised_on": "2026-05-01"},
        {"supervised_on": datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)},
        {"own_subsidiary": 1},
    ],
    ids=str,
)
def test_what_is_no_recipient_is_refused(wrong):
    with pytest.raises((TypeError, ValueError)):
        replace(HOME, **wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"measure": ""}, {"reference": None}, {"since": None}, {"since": "today"}, {"until": date(2026, 3, 31)}],
    ids=str,
)
def test_what_is_no_safeguard_is_refused(wrong):
    with pytest.raises((TypeError, ValueError)):
        replace(CONTRACT, **wrong)


def test_recipients_are_frozen_and_keep_nothing_that_changes():
    products = ["Deep Security"]
    made = replace(CHINA, products=products, safeguards=[CONTRACT])
    products.append("Virus Buster")
    assert made.products == {"Deep Security"}
    assert made.safeguards == (CONTRACT,)
    assert hash(made) == hash(replace(made))
