"""Clauses 4, 5 and 6: to whom data may be handed, where, and under which terms."""

import datetime
from dataclasses import replace
from datetime import date

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient, Safeguard, list_clauses, list_objections, make_refusal
from purposeguard.policy.violations import violation_class

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
    return list(list_objections(notice.document, recipient, today=today, **terms))


def without(*names, **tables) -> pg.Notice:
    """The reference notice without these tables, and with these."""
    dumped = tm.NOTICE.dump() | tables
    return pg.Notice.parse({key: value for key, value in dumped.items() if key not in names})


LISTED = ("TW", "PH", "CA", "AU", "US", "IN", "ID", "MY", "SG", "AE", "DE", "IS", "GB", "us")
UNLISTED = ("XX", "KR", "CH", "HK", "RU", "UK", "ZZ", "kr")
TASKS = "operation, maintenance or investigation, not for"
ENDED = replace(CONTRACT, until=TODAY - datetime.timedelta(days=1))
BEGINS = replace(CONTRACT, since=TODAY + datetime.timedelta(days=1))
REFUSED = [
    # Clause 4: each kind that the notice names, those abroad abroad and those at home at home, all supervised
    (replace(HOME, kind="advertiser"), {}, ["`<a text of 10 characters>`"]),
    (replace(ABROAD, country="JP"), {}, ["outside JP"]),
    (replace(HOME, country="PH"), {}, ["in JP, and this one is in PH"]),
    (replace(HOME, supervised_on=None), {}, ["no supervision of it is on record"]),
    (replace(HOME, supervised_on=TODAY + datetime.timedelta(days=1)), {}, ["2026-06-16 only"]),
    # Clause 5: listed and equivalent countries alone; China under conditions
    *((replace(ABROAD, country=one), {}, [f"names no country {one.upper()}"]) for one in UNLISTED),
    (replace(CHINA, own_subsidiary=False), IN_CHINA, ["own-subsidiary"]),
    (replace(CHINA, kind="overseas-contractor", own_subsidiary=False), IN_CHINA, ["own-subsidiary"]),
    *(
        (CHINA, IN_CHINA | {"product": one}, [f"`<a text of {len(one)} characters>` is none of the `products`"])
        for one in ("Virus Buster", "Deep Security 20", "Deep")
    ),
    (replace(CHINA, products=()), IN_CHINA, ["none of the `products`"]),
    (CHINA, {"task": "maintenance"}, ["no product is stated"]),
    *((CHINA, IN_CHINA | {"task": one}, [TASKS]) for one in ("marketing", "development", "operations and sales")),
    (CHINA, {"product": "Deep Security"}, ["no task is stated"]),
    (replace(ABROAD, country="CN"), {}, ["own-subsidiary", "products", "operation"]),
    (replace(CHINA, supervised_on=None), IN_CHINA, ["supervision"]),
    (replace(CHINA, safeguards=()), IN_CHINA, ["safeguard"]),
    # Clause 6: a measure of the notice that holds today, and its means
    (replace(HOME, safeguards=()), {}, ["no safeguard is on record, such as contract or other (clause 6.2)"]),
    (replace(HOME, safeguards=(ENDED,)), {}, ["ended on 2026-06-14"]),
    (replace(HOME, safeguards=(BEGINS,)), {}, ["begins on 2026-06-16"]),
    (replace(HOME, safeguards=(BEGINS, ENDED)), {}, ["ended on 2026-06-14"]),
    (
        replace(HOME, safeguards=(replace(CONTRACT, measure="handshake"),)),
        {},
        ["`<a text of 9 characters>` is no measure of clause 6.2, which names contract or other"],
    ),
    (HOME, {"means": "carrier-pigeon"}, ["not by `<a text of 14 characters>`"]),
]
"""Recipient, what else is stated → a part of each objection, in their order."""

LET = [
    *((one, {}) for one in (HOME, ABROAD)),
    (replace(ABROAD, kind="overseas-affiliate"), {}),
    (replace(HOME, kind="Domestic Contractor"), {}),
    (replace(HOME, supervised_on=TODAY), {}),
    *((replace(ABROAD, country=one), {}) for one in LISTED),
    *(
        (CHINA, {"product": "deep  security", "task": one})
        for one in ("operation", "maintenance", "investigation", "Investigation")
    ),
    (replace(HOME, safeguards=[Safeguard("Other", "ISO 27001", since=TODAY)]), {}),
    (replace(HOME, safeguards=(ENDED, replace(CONTRACT, until=TODAY))), {}),
    (replace(HOME, safeguards=(replace(CONTRACT, since=TODAY),)), {}),
    *(
        (HOME, {"means": one})
        for one in ("database-access", "email", "cloud-storage", "storage-media", "other", "Cloud storage")
    ),
]


@pytest.mark.parametrize(("recipient", "terms", "expected"), REFUSED)
def test_who_may_not_be_handed_data_is_told_why(recipient, terms, expected):
    why = against(recipient, **terms)
    assert len(why) == len(expected)
    assert [part in one for part, one in zip(expected, why, strict=True)] == [True] * len(why)


@pytest.mark.parametrize(("recipient", "terms"), LET)
def test_who_may_be_handed_data(recipient, terms):
    assert against(recipient, **terms) == []


def test_clause_4_a_kind_may_be_anywhere_and_supervision_may_be_recorded_later():
    entrustment = tm.NOTICE.dump()["entrustment"]
    kinds = [{"id": "anyone", "title": {"en": "Anyone", "ja": "誰でも"}}]
    for country in ("JP", "PH"):
        anyone = replace(HOME, kind="anyone", country=country)
        assert against(anyone, without(entrustment=entrustment | {"recipients": kinds})) == []
    lax = without(entrustment=entrustment | {"supervision": "recorded"})
    assert against(replace(HOME, supervised_on=None), lax) == []


def test_clause_5_equivalent_countries_are_data_and_the_terms_of_a_listed_one_hold_still():
    def objections(country, equivalent):
        group = {"id": "group", "title": {"en": "Group", "ja": "全"}, "countries": [equivalent]}
        transfer = tm.NOTICE.dump()["transfer"] | {"equivalent": [group]}
        return against(replace(ABROAD, country=country), without(transfer=transfer))

    assert objections("KR", "KR") == []
    assert objections("DE", "KR")
    assert len(objections("CN", "CN")) == 3


def test_clause_5_a_limit_may_name_one_of_the_kinds():
    tables = tm.NOTICE.dump()
    tables["transfer"]["country"][-1]["limit"]["recipient"]["id"] = "overseas-affiliate"
    limited = pg.Notice.parse(tables)
    assert against(replace(CHINA, own_subsidiary=False), limited, **IN_CHINA) == []
    assert len(against(replace(CHINA, kind="overseas-contractor"), limited, **IN_CHINA)) == 1


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
    assert list_clauses(tm.NOTICE.document, HOME) == ("4", "6.2")
    assert list_clauses(tm.NOTICE.document, ABROAD) == ("4", "5", "6.2")
    assert list_clauses(without("entrustment", "transfer", "safeguards").document, HOME) == ()


def test_a_refusal_is_a_decision_with_its_reasons():
    allowed = pg.Guard(tm.NOTICE).explain("1.1(a)", "1.2(1)①")
    denied = make_refusal(tm.NOTICE.document, allowed, ABROAD, ("no contract", "no supervision"))
    assert allowed
    assert not denied
    assert violation_class(denied) is pg.RecipientViolation
    assert denied.reasons == ("no contract", "no supervision")
    assert str(denied).splitlines() == [
        "renewal-guidance (1.2(1)①) may not hand 1.1(a) to support-centre (overseas-contractor, PH)",
        "  no contract",
        "  no supervision",
    ]


def test_a_country_is_two_letters_in_any_case():
    assert replace(HOME, country=" jp ").country == "JP"
    for country in ("", "J", "JPN", "J1", "Ｊ", "日本", "ＪＰ"):
        with pytest.raises(ValueError, match=r"two letters|one line"):
            replace(HOME, country=country)


@pytest.mark.parametrize(
    ("given", "field", "wrong"),
    [
        (HOME, "id", (7, " ", "a\nb", "x" * 201)),
        (HOME, "kind", (None,)),
        (HOME, "name", (3,)),
        (HOME, "means", ("",)),
        (HOME, "products", ("Deep Security", [7], [" "])),
        (HOME, "safeguards", (["contract"],)),
        (HOME, "supervised_on", ("2026-05-01", datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC))),
        (HOME, "own_subsidiary", (1,)),
        (CONTRACT, "measure", ("",)),
        (CONTRACT, "reference", (None,)),
        (CONTRACT, "since", (None, "today")),
        (CONTRACT, "until", (date(2026, 3, 31),)),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_recipient_or_safeguard_with_a_wrong_field_is_refused(given, field, wrong):
    for value in wrong:
        with pytest.raises((TypeError, ValueError)):
            replace(given, **{field: value})


def test_a_safeguard_may_hold_for_one_day():
    one_day = replace(CONTRACT, until=CONTRACT.since)
    assert one_day.holds(CONTRACT.since)
    assert not one_day.holds(CONTRACT.since + datetime.timedelta(days=1))


def test_recipients_are_frozen_and_keep_nothing_that_changes():
    products = ["Deep Security"]
    made = replace(CHINA, products=products, safeguards=[CONTRACT])
    products.append("Virus Buster")
    assert made.products == {"Deep Security"}
    assert made.safeguards == (CONTRACT,)
    assert hash(made) == hash(replace(made))


ADVERTISER = Recipient("ads", "advertiser", "US", safeguards=(CONTRACT,))
KINDS: list[dict[str, object]] = [{"id": "advertiser", "title": {"en": "Advertiser", "ja": "広告主"}}]
SHARING: dict[str, object] = {"clause": "4.3", "title": {"en": "Sharing", "ja": "提供"}, "recipients": KINDS}


def sharing(**terms):
    return without(provision=[SHARING | terms])


def objected(recipient=ADVERTISER, sources=("2.3",), purposes=("2.3①",), *, tables=(), **terms):
    return against(recipient, without(*tables, provision=[SHARING | terms]), sources=sources, purposes=purposes)


def test_a_third_party_needs_no_supervision_and_a_clause_of_its_own():
    abroad = {"countries": ["US"]}
    assert objected(**abroad) == []
    assert list_clauses(sharing(**abroad).document, ADVERTISER) == ("4.3", "5", "6.2")
    assert against(ADVERTISER) != []


def test_a_third_party_abroad_is_none_that_data_is_entrusted_to():
    (why,) = objected()
    assert why == "clause 5 lets data go abroad to those that it is entrusted to, and to no third party"
    assert objected(replace(ADVERTISER, country="JP")) == []
    anyone = tm.NOTICE.dump()["transfer"] | {"scope": "any-recipient"}
    assert against(ADVERTISER, without(transfer=anyone, provision=[SHARING])) == []
    other = replace(ADVERTISER, country="XX")
    assert "names no country XX" in against(other, without(transfer=anyone, provision=[SHARING]))[0]
    assert against(other, without(transfer=anyone | {"otherwise": "safeguards"}, provision=[SHARING])) == []


def test_a_clause_on_third_parties_names_its_countries():
    assert objected(countries=["DE", "FR"]) == ["clause 4.3 lets data go to DE, FR, not to US"]
    assert objected(countries="any") == []
    assert "no [transfer] (clause 5)" in objected(tables=["transfer"])[0]


def test_a_third_party_sits_where_the_clause_says():
    home = [KINDS[0] | {"place": "home"}]
    (why,) = objected(recipients=home, countries="any")
    assert why == "a recipient of the kind advertiser is in JP, and this one is in US (clause 4.3)"
    assert objected(recipients=home, countries="any", tables=["transfer"]) == []


def test_data_is_provided_in_the_form_that_the_clause_states():
    terms = {"form": "aggregate", "countries": "any"}
    (why,) = objected(**terms)
    assert why == "clause 4.3 provides no personal data, only what is made of it: declassify 2.3 first"
    assert objected(sources=("not-personal",), **terms) == []


def test_a_clause_provides_the_data_and_the_purposes_that_it_names():
    notice = sharing(sources=["1.1"], purposes=["1.2(1)①"], countries="any")
    assert against(ADVERTISER, notice, sources=("2.3",), purposes=("2.3①",)) == [
        "clause 4.3 provides 1.1, not 2.3",
        "clause 4.3 provides data for 1.2(1)①, not for 2.3①",
    ]
    assert against(ADVERTISER, notice, sources=("1.1(a)",), purposes=("1.2(1)①",)) == []
    family = tm.NOTICE.document.family[0]
    named = sharing(purposes=[family.class_], countries="any")
    assert against(ADVERTISER, named, purposes=family.purposes) == []
    assert against(ADVERTISER, named, purposes=(*family.purposes, "2.3①")) != []


def test_a_clause_may_leave_safeguards_to_the_record():
    bare = replace(ADVERTISER, safeguards=())
    assert "no safeguard is on record" in objected(bare, countries="any")[0]
    assert objected(bare, countries="any", safeguards="recorded") == []
    assert "no [safeguards] (clause 6)" in objected(countries="any", tables=["safeguards"])[0]


def test_of_several_clauses_one_is_enough():
    rows = [SHARING | {"countries": ["DE"], "sources": ["1.1"]}, SHARING | {"clause": "4.4", "countries": ["US"]}]
    notice = without(provision=rows)
    assert against(ADVERTISER, notice, sources=("2.3",)) == []
    assert list_clauses(notice.document, ADVERTISER)[:2] == ("4.3", "4.4")


def test_a_guard_hands_no_personal_data_to_those_who_get_aggregates():
    guard = pg.Guard(sharing(form="aggregate", countries="any"))
    guard.check_recipient(pg.NotPersonal, "2.3①", ADVERTISER)
    with pytest.raises(pg.RecipientViolation, match=r"declassify 2\.3 first"):
        guard.check_recipient("2.3", "2.3①", ADVERTISER)
    with pytest.raises(pg.RecipientViolation, match=r"declassify 2\.3 first"):
        guard.check_recipient({"2.3"}, "2.3①", replace(ADVERTISER, country="DE"))


def test_data_is_entrusted_to_a_kind_or_provided_to_it():
    kinds = [KINDS[0] | {"id": "Domestic-Contractor".lower()}]
    with pytest.raises(pg.NoticeError, match=r"provision\[0\]\.recipients\[0\]\.id: data is entrusted to"):
        sharing(recipients=kinds)
    assert sharing().document.recipients[-1].id == "advertiser"
    assert without("entrustment", provision=[SHARING]).document.recipients[0].id == "advertiser"


@pytest.mark.parametrize("key", ["sources", "purposes"])
def test_a_clause_on_third_parties_names_what_the_notice_has(key):
    with pytest.raises(pg.NoticeError, match=rf"provision\[0\].{key}\[0\]: unknown"):
        sharing(**{key: ["9.9"]})
