from __future__ import annotations

from typing import Any

import pytest

import purposeguard as pg
from purposeguard.errors import UnknownOperation
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy import table as compiled
from purposeguard.policy.table import PolicyTable
from tests.unit.samples import SMALL, changed, revised

small = pg.Notice.loads(SMALL)


def test_a_source_asked_for_in_any_form_gives_the_same_row() -> None:
    matrix = PolicyTable(small)
    account, usage = small.source("1(a)"), small.source("1(b)")
    expected = matrix.resolve_row(pg.Label(account, usage))
    forms: list[Any] = [
        {account, usage}, [usage, account, account], (account, "1B"), frozenset({"1(a)", usage}),
        [pg.Label(account), "usage"], [pg.Label(account, usage)], (one for one in (account, usage)),
        {account: 1, usage: 2}.keys(),
    ]  # fmt: skip
    for form in forms:
        assert matrix.resolve_row(form) == expected
    assert expected == {small.purpose("Service")}
    assert matrix.resolve_row("account") == matrix.resolve_row(account) == matrix.resolve_row([account])


def test_what_is_no_source_is_unknown() -> None:
    matrix = PolicyTable(small)
    wrong: list[Any] = [None, 5, b"1(a)", bytearray(b"x"), {"1(a)": 1}, small, [None], ["1(a)", 5], [["1(a)"]], [[]]]
    for nonsense in wrong:
        with pytest.raises(pg.UnknownSource):
            matrix.resolve_row(nonsense)
    nothing: list[Any] = [(), [], set(), frozenset(), iter(())]
    for empty in nothing:
        with pytest.raises(pg.UnlabelledData):
            matrix.resolve_row(empty)


def test_not_personal_data_may_serve_every_purpose_by_a_channel_that_the_purpose_admits() -> None:
    matrix = PolicyTable(small)
    for purpose in (*small.purposes, *small.families):
        assert matrix.allows(pg.NotPersonal, purpose)
    assert matrix.allows(pg.NotPersonal, "Renewal", "email")
    assert not matrix.allows(pg.NotPersonal, "Renewal", "phone")
    assert matrix.allows(pg.NotPersonal, "AnyAdvice", "phone")
    assert matrix.allows([pg.NotPersonal, "2"], "Statistics")
    assert not matrix.allows([pg.NotPersonal, "2"], "Service")
    with pytest.raises(pg.UnknownPurpose):
        matrix.allows(pg.NotPersonal, "nothing")


def test_a_family_that_admits_a_channel_by_no_member_is_closed_to_not_personal_data_too() -> None:
    matrix = PolicyTable(tm.NOTICE)
    assert not matrix.allows(pg.NotPersonal, tm.WebSecurityMail, "phone")
    assert matrix.allows(pg.NotPersonal, "AnySecurityInformation", "phone")  # 1.2(2)④ names no channels
    shut = PolicyTable(pg.Notice.parse(changed(lambda t: t["family"][0].update(purposes=["3(1)①", "4②"]))))
    assert shut.allows(pg.NotPersonal, "AnyAdvice", "email")
    only_mail = pg.Notice.parse(changed(lambda t: t["grant"][2]["purpose"][1].update(channels={"closed": ["email"]})))
    assert not PolicyTable(only_mail).allows(pg.NotPersonal, "AnyAdvice", "phone")


def test_channels_close_and_open() -> None:
    matrix = PolicyTable(small)
    account, visit = small.source("1(a)"), small.source("2")
    assert matrix.allows(account, "Renewal")
    assert matrix.allows(account, "Renewal", "email")
    assert not matrix.allows(account, "Renewal", "phone")
    assert matrix.allows(account, "Offers", "email")  # open: for example by phone
    assert matrix.allows(account, "Service", "Phone")
    assert matrix.allows(account, "AnyAdvice", "email")
    assert not matrix.allows(account, "AnyAdvice", "phone")
    assert matrix.allows([account, visit], "AnyAdvice")
    for channel in small.channels:  # by no one channel may both be reached
        assert not matrix.allows([account, visit], "AnyAdvice", channel)
    for nonsense in ("pigeon", "", 5, b"email", ["email"]):
        with pytest.raises(pg.UnknownChannel):
            matrix.allows(account, "Renewal", nonsense)  # type: ignore[arg-type]


def test_what_a_purpose_admits_and_must_state() -> None:
    matrix = PolicyTable(small)
    family = small.families[0]
    assert matrix.list_admitted_channels(small.purpose("Renewal")) == ("email",)
    assert matrix.list_admitted_channels(small.purpose("Service")) == ("email", "phone")
    assert matrix.list_admitted_channels(family) == ("email", "phone")
    assert matrix.must_state_channel(small.purpose("Renewal"))
    assert not matrix.must_state_channel(small.purpose("Offers"))
    assert matrix.must_state_channel(family)
    assert matrix.resolve_channel(None) is None
    assert matrix.resolve_channel("E-Mail".replace("-", "")) == "email"


def test_purposes_asked_for_in_any_form() -> None:
    matrix = PolicyTable(small)
    renewal, advice = small.families[0].members
    forms: list[Any] = [renewal, "3(1)①", "3(1)-1", "renewal"]
    for form in forms:
        assert matrix.resolve_purpose(form) is renewal
    forms = ["AnyAdvice", "any-advice", renewal | advice, advice | renewal, small.families[0]]
    for form in forms:
        assert matrix.resolve_purpose(form) is small.families[0]
    unions = (renewal | small.purpose("Service"), int | str)
    wrong: list[Any] = [None, 5, [], {}, b"x", pg.Purpose, small.source("2"), *unions]
    for nonsense in wrong:
        with pytest.raises(pg.UnknownPurpose):
            matrix.resolve_purpose(nonsense)


def test_spellings_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = PolicyTable(small)
    rows, purposes = matrix.lookup_tables
    assert len(rows) < len(purposes)
    known = len(purposes)
    monkeypatch.setattr(compiled, "MOST_REMEMBERED", known + 2)
    for blanks in range(1, 20):
        assert matrix.allows("1(a)" + " " * blanks, "Service" + " " * blanks)
    assert len(rows) == known + 2
    assert len(purposes) == known + 2


def test_only_what_lasts_is_remembered() -> None:
    class Name(str):
        __slots__ = ()

    matrix = PolicyTable(small)
    matrix.resolve_row(pg.Label(small.source("1(a)")))
    rows, purposes = matrix.lookup_tables
    known = set(rows)
    assert matrix.allows(Name("1(a)"), Name("Service"))
    assert matrix.allows("1(a)" + " " * 100, "Service" + " " * 100)
    assert matrix.allows(("1(a)",), "Service")
    assert matrix.allows(["1(a)"] * 100, "Service")
    assert matrix.allows(frozenset("1(a)" + " " * n for n in range(70)), "Service")
    assert {form for form in set(rows) - known if not isinstance(form, frozenset)} == set()
    assert not any(isinstance(form, frozenset) and len(form) > 64 for form in rows)
    assert not any(type(form) is not str for form in purposes if isinstance(form, str))


def test_a_set_that_lies_about_its_items_changes_no_later_answer() -> None:
    class Lying(frozenset):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            return iter(["1(a)"])

    matrix = PolicyTable(small)
    matrix.resolve_row(Lying([small.source("2")]))
    assert not matrix.allows(frozenset([small.source("2")]), "Service")
    assert not matrix.allows({small.source("2")}, "Service")


def test_a_matrix_cannot_be_changed() -> None:
    matrix = PolicyTable(small)
    with pytest.raises(AttributeError):
        matrix.notice = tm.NOTICE
    with pytest.raises(AttributeError):
        del matrix.closed


@pytest.mark.parametrize(("one", "other"), [("2", "2"), ("1", "1(a)"), ("5", "1"), (["2", "1"], "1")])
def test_an_operation_between_other_sources_is_refused(one: Any, other: Any) -> None:
    with pytest.raises(UnknownOperation, match=r"derives nothing from .* it declares `link`"):
        PolicyTable(small).derive_label("link", one, other)


def test_classes_of_an_earlier_revision_are_decided_by_clause_under_the_later() -> None:
    later = revised(small, lambda t: t["grant"][1]["sources"].append("2"))
    matrix = PolicyTable(later, PolicyTable(small))
    visit, service = small.source("2"), small.purpose("Service")
    assert matrix.allows(visit, service)
    assert matrix.allows(pg.Label(visit, small.source("1(a)")), later.purpose("Service"))
    assert matrix.allows([visit, later.source("1(a)"), "1(b)"], service)
    assert matrix.current_source(visit) is later.source("2")
    assert matrix.current_source(later.source("2")) is later.source("2")
    assert matrix.resolve_purpose(small.families[0]) is later.families[0]
    assert matrix.resolve_purpose(small.families[0].union) is later.families[0]
    assert matrix.derive_label("link", visit, small.source("1(a)")) is pg.Label(later.source("5"))


def test_classes_of_revisions_before_the_earlier_one_stay_known() -> None:
    second = revised(small, lambda t: None)
    third = revised(small, lambda t: t["grant"][1]["sources"].append("2"))
    matrix = PolicyTable(third, PolicyTable(second, PolicyTable(small)))
    for notice in (small, second, third):
        assert matrix.allows(notice.source("2"), notice.purpose("Service"))
    back = PolicyTable(small, matrix)  # rolled back: the first revision's classes are its own again
    assert back.resolve_purpose(small.purpose("Service")) is small.purpose("Service")
    assert not back.allows(third.source("2"), third.purpose("Service"))


def test_what_the_later_revision_no_longer_has_is_unknown() -> None:
    def drop(t: dict[str, Any]) -> None:
        del t["source"][2], t["forbid"], t["overlay"]
        del t["grant"][2]["purpose"][1], t["family"]

    later = revised(small, drop)
    matrix = PolicyTable(later, PolicyTable(small))
    usage = small.source("1(b)")
    for gone in (usage, pg.Label(usage), pg.Label(usage, small.source("2")), [usage], "1(b)"):
        with pytest.raises(pg.UnknownSource):
            matrix.allows(gone, "Service")
    for purpose in (small.purpose("Advice"), small.families[0], small.families[0].union, "Advice", "AnyAdvice"):
        with pytest.raises(pg.UnknownPurpose):
            matrix.allows("1(a)", purpose)


def test_a_union_of_one_purpose_s_revisions_is_no_family_and_not_that_purpose() -> None:
    second = revised(small, lambda t: None)
    third = revised(small, lambda t: None)
    matrix = PolicyTable(third, PolicyTable(second, PolicyTable(small)))
    several: Any = small.purpose("Renewal") | second.purpose("Renewal")
    with pytest.raises(pg.UnknownPurpose):
        matrix.resolve_purpose(several)


def test_a_family_whose_members_changed_is_not_the_family_of_before() -> None:
    later = revised(small, lambda t: t["family"][0].update(purposes=["3(1)②", "4②"]))
    matrix = PolicyTable(later, PolicyTable(small))
    with pytest.raises(pg.UnknownPurpose):
        matrix.resolve_purpose(small.families[0].union)
    assert matrix.resolve_purpose("AnyAdvice") is later.families[0]


def test_classes_of_no_revision_stay_unknown() -> None:
    matrix = PolicyTable(revised(small, lambda t: None), PolicyTable(small))
    for source in (tm.Registration, pg.Label(tm.Registration)):
        with pytest.raises(pg.UnknownSource):
            matrix.allows(source, "Service")
