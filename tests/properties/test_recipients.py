"""The rules about countries equal a table that was written out by hand from the reading of clause 5."""

from datetime import date

from hypothesis import example, given
from hypothesis import strategies as st

from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient, Safeguard, list_objections

HOME = "JP"
LISTED = {"TW", "PH", "CA", "AU", "US", "IN", "ID", "MY", "SG", "AE"}
# fmt: off
EQUIVALENT = {
    "GB",
    "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT",
    "LV", "LT", "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE",
    "IS", "LI", "NO",
}
# fmt: on
TASKS_IN_CHINA = {"operation", "maintenance", "investigation"}
KINDS = {"domestic-contractor": "home", "overseas-affiliate": "abroad", "overseas-contractor": "abroad"}


def by_hand(recipient: Recipient, product: str | None, task: str | None) -> bool:
    """Whether clause 5, and clause 4 as to who sits where, let data go there."""
    if recipient.country == HOME:
        return KINDS[recipient.kind] == "home"
    if KINDS[recipient.kind] == "home":
        return False
    if recipient.country == "CN":
        return recipient.own_subsidiary and product in recipient.products and task in TASKS_IN_CHINA
    return recipient.country in LISTED | EQUIVALENT


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
countries = st.sampled_from([HOME, "CN", "CN", *sorted(LISTED | EQUIVALENT), "XX", "KR", "RU", "CH", "HK"]) | st.text(
    LETTERS, min_size=2, max_size=2
)
recipients = st.builds(
    Recipient,
    st.just("someone"),
    st.sampled_from(sorted(KINDS)),
    countries,
    safeguards=st.just([Safeguard("contract", "2026-117", since=date(2026, 4, 1))]),
    supervised_on=st.just(date(2026, 5, 1)),
    own_subsidiary=st.booleans(),
    products=st.sets(st.sampled_from(["Deep Security", "Vision One"])),
)
products = st.sampled_from([None, "Deep Security", "Vision One", "Virus Buster"])
tasks = st.sampled_from([None, *sorted(TASKS_IN_CHINA), "marketing", "sales"])


@given(recipients, products, tasks)
def test_countries_as_the_reading_has_them(recipient, product, task):
    why = list_objections(tm.NOTICE.document, recipient, product=product, task=task, today=date(2026, 6, 1))
    assert (not why) == by_hand(recipient, product, task), why


@given(recipients, products, tasks)
def test_no_detail_but_those_asked_for_opens_a_country(recipient, product, task):
    """What is refused without a product and a task is refused with them, save in the one country that asks for them."""
    document, today = tm.NOTICE.document, date(2026, 6, 1)
    bare = list_objections(document, recipient, today=today)
    if recipient.country != "CN":
        assert bare == list_objections(document, recipient, product=product, task=task, today=today)
    else:
        assert bare


@example("CN")
@given(countries)
def test_every_country_is_home_listed_equivalent_or_refused(country):
    made = Recipient("x", "overseas-contractor", country)
    why = list_objections(tm.NOTICE.document, made, today=date(2026, 6, 1))
    named = any("names no country" in one for one in why)
    assert named == (country not in {HOME, "CN", *LISTED, *EQUIVALENT})


def test_no_country_is_forgotten():
    transfer = tm.NOTICE.document.transfer
    assert transfer is not None
    assert {row.code for row in transfer.country} == LISTED | {"CN"}
    assert {code for row in transfer.equivalent for code in row.countries} == EQUIVALENT
    assert len(EQUIVALENT) == 31
