"""A guard over several notices: one vocabulary, each source decided by its own notice, ids that say whose they are."""

from __future__ import annotations

import datetime
import pickle
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.errors import SeveralNotices, UnknownOperation
from purposeguard.notice.several import JointNotice
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import ANYONE, BEFORE_ALL, UNNAMED, Context, SubjectPreferences
from purposeguard.policy.joint import JointTable, NoticesInForce
from purposeguard.policy.table import PolicyTable
from tests.oversights import Told
from tests.support import RecordingLedger
from tests.unit.oversights import Counting
from tests.unit.samples import RETENTION, revised
from tests.unit.together import EU, JP, both, day, one, recipient, term

JP_ACCOUNT, EU_ACCOUNT = term(JP, "Account"), term(EU, "Account")
JP_RENEWAL, EU_RENEWAL = term(JP, "Renewal"), term(EU, "Renewal")


@pytest.fixture
def guard() -> pg.Guard:
    return pg.Guard(both())


def test_each_source_is_decided_by_its_own_notice(guard: pg.Guard) -> None:
    label = pg.Label(JP_ACCOUNT, EU_ACCOUNT)
    assert guard.allows(JP_ACCOUNT, JP_RENEWAL)
    assert not guard.allows(EU_ACCOUNT, JP_RENEWAL)
    assert not guard.allows(label, JP_RENEWAL)
    assert guard.allows(label, JP_RENEWAL | EU_RENEWAL)
    assert guard.allows(label, EU_RENEWAL | JP_RENEWAL)
    assert guard.allows(label, "AnyRenewal")
    usage = term(JP, "Usage"), term(EU, "Usage")
    assert [guard.allows(source, "AnyRenewal") for source in usage] == [False, True]


def test_the_classes_are_those_of_the_notices(guard: pg.Guard) -> None:
    assert isinstance(guard.notice, JointNotice)
    assert guard.notice.sources == (*JP.sources, *EU.sources)
    assert guard.notice.purposes == (*JP.purposes, *EU.purposes)
    assert guard.explain("shop-jp:Account", "shop-eu:Renewal").label is pg.Label(JP_ACCOUNT)
    assert guard.explain("shop-jp:Account", "shop-eu:Renewal").purpose is EU_RENEWAL
    assert guard.explain(JP_ACCOUNT, "AnyRenewal").alternatives == tuple(JP.grants[JP_ACCOUNT])


@pytest.mark.parametrize(
    "spelt", ["shop-jp:1(a)", "shop-jp:1a", "SHOP-JP: １（ａ）", "shop-jp:Account", "shop-jp:account", "shop jp 1 a"]
)
def test_an_id_names_its_notice(guard: pg.Guard, spelt: str) -> None:
    assert guard.allows(spelt, "shop-jp:3(1)①")
    assert guard.allows(spelt, "shop-jp:renewal")
    assert not guard.allows(spelt, "shop-eu:3(1)①")


def test_an_id_that_two_notices_have_is_refused(guard: pg.Guard) -> None:
    for given in ("1(a)", "Account", "account"):
        with pytest.raises(pg.UnknownSource, match=r"write `shop-jp:1\(a\)` or `shop-eu:1\(a\)`"):
            guard.allows(given, JP_RENEWAL)
    for given in ("3(1)①", "Renewal", "AnyAdvice"):
        with pytest.raises(pg.UnknownPurpose, match="more than one notice has it"):
            guard.allows(JP_ACCOUNT, given)
    with pytest.raises(pg.UnknownPurpose, match="more than one notice has it"):
        guard.notice.purpose("Renewal")


def test_an_id_that_one_notice_has_needs_no_name() -> None:
    eu = one("shop-eu", lambda t: t["source"].append({"id": "9", "class": "Camera", "title": t["title"]}))
    guard = pg.Guard(both(eu=eu))
    assert guard.explain("9", "AnyRenewal").label is pg.Label(term(eu, "Camera"))
    with pytest.raises(pg.UnknownSource, match="none of shop-jp, shop-eu has this id"):
        guard.allows("10", "AnyRenewal")
    assert guard.notice.family("AnyRenewal") is guard.notice.families[-1]
    with pytest.raises(pg.UnknownPurpose):
        guard.notice.purpose(3)


def test_ids_that_read_alike_in_two_notices_are_refused() -> None:
    """Notice `shop`, clause `2 1(a)`, reads as notice `shop-2`, clause `1(a)`."""
    tricky = one("shop", lambda t: t["source"].append({"id": "2 1(a)", "class": "Camera", "title": t["title"]}))
    guard = pg.Guard(pg.Notices(tricky, one("shop-2")))
    with pytest.raises(pg.UnknownSource, match="more than one notice has it"):
        guard.allows("shop-2:1(a)", term(tricky, "Renewal"))


def test_an_id_that_is_too_long_to_be_read_is_none() -> None:
    long = "shop" * 25
    guard = pg.Guard(pg.Notices(JP, one(long, lambda t: t["source"][3].update({"class": "V" + "isit" * 24 + "ors"}))))
    assert guard.notice.source(f"{long}:2") is guard.notice.source("V" + "isit" * 24 + "ors")
    with pytest.raises(pg.UnknownSource):
        guard.notice.source(f"{long}:{'V' + 'isit' * 24 + 'ors'}")


def test_a_slug_after_a_notice_with_a_number() -> None:
    guard = pg.Guard(pg.Notices(one("shop-1"), one("shop-2")))
    assert guard.notice.source("shop-2:linked-visit").clause == "5"


def test_a_notice_s_own_family_is_its_own(guard: pg.Guard) -> None:
    family = JP.families[0]
    assert guard.allows(JP_ACCOUNT, family)
    assert guard.allows(JP_ACCOUNT, "shop-jp:AnyAdvice")
    assert not guard.allows(EU_ACCOUNT, family)
    assert not guard.allows([JP_ACCOUNT, EU_ACCOUNT], family)


def test_a_family_may_take_a_whole_family_of_a_notice() -> None:
    union: Any = JP.families[0].union
    notices = pg.Notices(JP, EU, families={"EveryAdvice": union | term(EU, "Advice")})
    guard = pg.Guard(notices)
    assert guard.allows([JP_ACCOUNT, term(JP, "Visit"), term(EU, "Visit")], "EveryAdvice")
    assert not guard.allows([JP_ACCOUNT, EU_ACCOUNT], "EveryAdvice")


def faults(*members: Any, **families: Any) -> dict[str, str]:
    with pytest.raises(pg.NoticeError) as caught:
        pg.Guard(pg.Notices(*members, families=families))
    return {fault.place: fault.message for fault in caught.value.faults}


def test_what_cannot_be_held_to_at_once() -> None:
    assert faults(JP) == {"": "there are fewer than two"}
    assert faults(JP, EU, JP) == {"shop-jp": "is given twice"}
    spelt = one("shop-eu", _spell)
    assert faults(JP, spelt) == {"shop-eu: channel": "`e_mail` is `email` in another notice"}


def _spell(t: dict[str, Any]) -> None:
    t["channel"][0].update(id="e_mail")
    t["grant"][0]["purpose"][0]["channels"] = {"closed": ["e_mail"]}


def test_families_that_widen_what_a_notice_lets_be_asked_for() -> None:
    services = term(JP, "Service") | term(JP, "Billing")
    assert faults(JP, EU, AnyService=services | term(EU, "Service")) == {
        "family AnyService": "takes 3(2)①, 3(2)② of shop-jp, which names no such family"
    }
    assert faults(JP, EU, AnyService=JP.families[0].union) == {"family AnyService": "is of one notice alone"}
    renewal = JP_RENEWAL | EU_RENEWAL
    taken = "is the name of another purpose or family, or cannot name a class"
    for name in ("Renewal", "AnyAdvice", "any-renewal", "anyrenewal"):
        assert faults(JP, EU, **{name: renewal}) == {f"family {name}": taken}
    assert faults(JP, EU, AnyRenewal=renewal, Anyrenewal=renewal) == {"family Anyrenewal": taken}
    gone = one("other")
    assert faults(JP, EU, AnyRenewal=JP_RENEWAL | term(gone, "Renewal")) == {
        "family AnyRenewal": "`3(1)①` is no purpose of the notices in force"
    }
    assert faults(JP, EU, AnyRenewal=JP_RENEWAL | int) == {
        "family AnyRenewal": "`type` is no purpose of the notices in force"
    }


def test_a_class_of_two_notices_is_refused() -> None:
    """Two notices bound to one module have the same classes: nobody could tell of which of them a value is."""
    classes = {each.__name__: each for each in (*JP.sources, *JP.purposes)}
    made = JP.dump() | {"id": "shop-uk"}
    twin = pg.Notice.parse(made, classes=classes)
    assert set(faults(JP, twin)) == {"shop-jp", "shop-uk"}
    wider = revised(JP, lambda t: t["grant"][0].update(sources=["1(a)", "1(b)"]))
    assert wider.grants[term(wider, "Usage")]
    classes = {each.__name__: each for each in (*wider.sources, *wider.purposes)}
    twin = pg.Notice.parse(wider.dump() | {"id": "shop-uk"}, classes=classes)
    guard = pg.Guard(pg.Notices(one("shop-uk"), wider))
    with pytest.raises(pg.NoticeError, match="`Account` is a class of shop-jp too"):
        guard.replace(twin)
    # What was refused has left no trace: whose the classes are is known as before.
    guard.replace(JP)
    usage, renewal = term(wider, "Usage"), term(wider, "Renewal")
    assert not guard.allows(usage, renewal)
    assert guard.engine.snapshot.matrix.table_of(usage).notice is JP


def test_what_is_no_notice() -> None:
    given: Any = "notice.toml"
    with pytest.raises(TypeError, match="made of notices and histories, not of str"):
        pg.Notices(JP, given)
    with pytest.raises(TypeError, match="family `AnyRenewal` is a union"):
        pg.Notices(JP, EU, families={"AnyRenewal": JP_RENEWAL})
    with pytest.raises(TypeError, match="a guard needs a Notice, not JointNotice"):
        pg.Guard(pg.Guard(both()).notice)


def test_what_belongs_to_one_notice_is_asked_of_that(guard: pg.Guard) -> None:
    notice = guard.notice
    for ask in (lambda: notice.revision, lambda: notice.document, lambda: notice.prohibited, lambda: guard.history):
        with pytest.raises(SeveralNotices, match="holds to shop-jp, shop-eu at once") as caught:
            ask()
        assert caught.value.notices == ("shop-jp", "shop-eu")
    with pytest.raises(SeveralNotices, match="periods of retention"):
        _ = guard.engine.snapshot.matrix.periods
    assert notice.id == "shop-jp + shop-eu"


def test_what_no_notice_has_is_no_attribute_of_several(guard: pg.Guard) -> None:
    matrix = guard.engine.snapshot.matrix
    with pytest.raises(SeveralNotices, match="each has its revisions"):
        _ = matrix.history
    for missing in (lambda: guard.notice.colour, lambda: matrix.colour):  # type: ignore[attr-defined]
        with pytest.raises(AttributeError, match="colour"):
            missing()


def test_a_purpose_is_of_one_notice_and_a_family_may_be_of_several(guard: pg.Guard) -> None:
    matrix = guard.engine.snapshot.matrix
    assert [part.notice.id for part in matrix.parts] == ["shop-jp", "shop-eu"]
    assert [matrix.single_table_of(purpose).notice.id for purpose in (JP_RENEWAL, EU_RENEWAL)] == ["shop-jp", "shop-eu"]
    with pytest.raises(SeveralNotices, match="a purpose of its own in this family"):
        matrix.single_table_of(matrix.resolve_purpose("AnyRenewal"))
    third = pg.Notice.parse(JP.dump() | {"id": "shop-uk"})
    with pytest.raises(pg.UnknownSource, match="is a class of none of shop-jp"):
        matrix.split_label(pg.Label(JP_ACCOUNT, term(third, "Account")))
    table = pg.Guard(JP).engine.snapshot.matrix
    assert table.parts == (table,)
    assert table.single_table_of(JP_RENEWAL) is table
    assert table.own_conditions(frozenset({"adult"})) == {"adult"}
    assert matrix.parts[0].own_conditions(frozenset({"shop-jp:adult", "shop-eu:adult"})) == {"adult"}


def test_two_that_say_the_same_are_equal(guard: pg.Guard) -> None:
    other = pg.Guard(both()).notice
    assert guard.notice == other
    assert hash(guard.notice) == hash(other)
    assert guard.notice != JP
    assert guard.notice != pg.Guard(pg.Notices(JP, EU)).notice
    assert repr(guard.notice) == "<JointNotice shop-jp 2024-01-01, shop-eu 2024-01-01>"
    assert repr(both()) == "<Notices shop-jp, shop-eu>"
    assert "shop-jp, revision of 2024-01-01" in guard._repr_html_()
    assert "shop-eu, revision of 2024-01-01" in guard.notice._repr_html_()
    assert repr(guard.engine.snapshot.matrix).startswith("<JointTable of <JointNotice")


def test_a_channel_is_stated_where_some_notice_closes_the_list(guard: pg.Guard) -> None:
    with pytest.raises(pg.ChannelViolation), guard.purpose(JP_RENEWAL | EU_RENEWAL):
        pass
    with guard.purpose(JP_RENEWAL | EU_RENEWAL, channel="email") as use:
        assert use.allows([JP_ACCOUNT, EU_ACCOUNT])
        assert not use.allows(term(JP, "Visit"))
    with guard.purpose(EU_RENEWAL):
        pass
    # Named by one notice alone: what leaves its channels open admits it, what closes the list does not.
    other = pg.Guard(pg.Notices(JP, one("shop-eu", _without_channels)))
    eu = other.notice.purpose("shop-eu:Renewal")
    assert other.allows("shop-eu:Account", eu, "phone")
    assert not other.allows(JP_ACCOUNT, JP_RENEWAL, "phone")
    with pytest.raises(pg.UnknownChannel):
        other.allows(JP_ACCOUNT, JP_RENEWAL, "pigeon")


def _without_channels(t: dict[str, Any]) -> None:
    t["channel"].clear()
    for row in (row for grant in t["grant"] for row in grant["purpose"]):
        row.pop("channels", None)


def test_data_that_is_not_personal(guard: pg.Guard) -> None:
    assert guard.allows(pg.NotPersonal, JP_RENEWAL | EU_RENEWAL)
    assert guard.allows(pg.NotPersonal, term(EU, "Advice"), "phone")
    assert not guard.allows(pg.NotPersonal, term(EU, "Advice"), "email")
    decision = guard.explain(pg.NotPersonal, term(EU, "Advice"), "email")
    assert "not-personal" in str(decision)


class Customer(BaseModel):
    mail: Annotated[str, JP_ACCOUNT]
    phone: Annotated[str, EU_ACCOUNT]


def test_models_and_sealed_values_of_two_notices(guard: pg.Guard) -> None:
    @guard.access
    def load() -> Customer:
        return Customer(mail="m", phone="p")

    sealed = pg.Personal("a", JP_ACCOUNT).zip(pg.Personal("b", EU_ACCOUNT))
    with guard.purpose("AnyRenewal", channel="email") as use:
        assert load().phone == "p"
        assert use.open(sealed) == ("a", "b")
    with guard.purpose(term(JP, "Service")) as use:
        with pytest.raises(pg.PurposeViolation, match=r"shop-eu:1\(a\)"):
            load()
        with pytest.raises(pg.PurposeViolation):
            use.open(sealed)


def test_explanations_say_of_which_notice(guard: pg.Guard) -> None:
    said = str(guard.explain([term(JP, "Usage"), EU_ACCOUNT], term(JP, "Billing")))
    assert said.splitlines()[0].startswith("billing (shop-jp:3(2)②) may not use")
    assert "shop-jp:1(b) is forbidden to serve billing (shop-jp:3(2)②): usage is free of charge" in said
    assert "shop-eu:1(b)" not in said
    # Clause 3(2)② of the other notice is not what the row of this one forbids.
    assert "forbidden" not in str(guard.explain(term(JP, "Usage"), term(EU, "Billing")))


def test_a_denial_crosses_to_another_process() -> None:
    guard = pg.Guard(pg.Notices(tm.NOTICE, EU))
    decision = pickle.loads(pickle.dumps(guard.explain(tm.Registration, tm.ProductProvision)))
    assert decision.label is pg.Label(tm.Registration)


def test_each_notice_has_its_own_revisions() -> None:
    """The revision of the other notice is none of this one's, whatever its date."""
    before = revised(EU, lambda t: t["grant"][0].update(sources=["1(a)"]), "2020-01-01")
    history = pg.History(before, EU)
    guard = pg.Guard(both(jp=pg.History(JP), eu=history), clock=lambda: day("2025-01-01"))
    usage = term(EU, "Usage")
    told = pg.RowContext(collected=datetime.date(2021, 1, 1))
    assert guard.allows(usage, EU_RENEWAL)
    assert not guard.allows(usage, EU_RENEWAL, subject=told)
    assert guard.allows(EU_ACCOUNT, EU_RENEWAL, subject=told)
    assert guard.allows(term(before, "Account"), "AnyRenewal")
    assert not guard.allows(term(before, "Usage"), "AnyRenewal")
    # Of 2021 the first notice knows no revision, the second does.
    assert not guard.allows(JP_ACCOUNT, JP_RENEWAL, subject=told)
    assert not guard.allows([JP_ACCOUNT, EU_ACCOUNT], "AnyRenewal", subject=told)
    said = str(guard.explain(JP_ACCOUNT, JP_RENEWAL, subject=told))
    assert "before 2024-01-01, the earliest revision" in said
    said = str(guard.explain(usage, EU_RENEWAL, subject=told))
    assert "shop-eu:1(b) was collected under the revision of 2020-01-01" in said
    assert "that of 2024-01-01 does not extend it" in said
    now = pg.RowContext(collected=datetime.date(2024, 6, 1))
    assert guard.allows([JP_ACCOUNT, EU_ACCOUNT], "AnyRenewal", subject=now)


def test_a_row_that_was_allowed_says_nothing_of_one_from_before() -> None:
    before = revised(EU, lambda t: t["grant"][0].update(sources=["1(a)"]), "2020-01-01")
    guard = pg.Guard(both(eu=pg.History(before, EU)), governance=Told(), clock=lambda: day("2025-01-01"))
    usage = pg.Label(term(EU, "Usage"))
    with guard.purpose(EU_RENEWAL) as use:
        assert use.allows(usage, subject=7)
        assert use.allows(usage, subject=pg.RowContext(7, collected=datetime.date(2024, 2, 1)))
        assert not use.allows(usage, subject=pg.RowContext(7, collected=datetime.date(2021, 1, 1)))


def test_a_date_alone_is_a_revision_of_neither() -> None:
    table = pg.Guard(both()).engine.snapshot.matrix
    label = pg.Label(JP_ACCOUNT)
    assert table.row_for(label, None, Context(under=JP.revision)) == frozenset()
    assert table.collection_revision(JP_ACCOUNT, Context(under=JP.revision)) == BEFORE_ALL
    assert table.collection_revision(JP_ACCOUNT, Context()) is None


def test_replacing_one_notice_leaves_the_other() -> None:
    guard = pg.Guard(both())
    other = guard.engine.snapshot.matrix.table_of(EU_ACCOUNT)
    later = revised(JP, lambda t: t["grant"][0].update(sources=["1(a)", "2"]), "2025-01-01")
    with guard.purpose("AnyRenewal", channel="email") as use:
        assert not use.allows(term(JP, "Visit"))
        guard.replace(later)
        assert use.allows(term(later, "Visit"))
        assert not use.allows(term(JP, "Visit"))  # collected under the revision before
        assert use.allows([JP_ACCOUNT, EU_ACCOUNT])
        assert use.allows([term(later, "Account"), EU_ACCOUNT])
    assert guard.engine.snapshot.matrix.table_of(EU_ACCOUNT) is other
    assert guard.allows(term(later, "Account"), term(later, "Renewal") | EU_RENEWAL)
    assert guard.allows(term(later, "Account"), JP_RENEWAL | EU_RENEWAL)
    clock = day("2025-06-01")
    dated = pg.Guard(both(), clock=lambda: clock)
    dated.replace(pg.History(JP, later))
    row = pg.RowContext(collected=datetime.date(2024, 6, 1))
    assert dated.allows(term(later, "Visit"), term(later, "Renewal"))
    assert not dated.allows(term(later, "Visit"), term(later, "Renewal"), subject=row)
    with pytest.raises(pg.NoticeError, match="other: this guard holds to shop-jp, shop-eu"):
        guard.replace(one("other"))
    with pytest.raises(pg.NoticeError, match="shop-jp, other: this guard holds to shop-jp, shop-eu"):
        guard.replace(pg.Notices(later, one("other")))
    with pytest.raises(pg.NoticeError, match="more than one is another notice than `shop-jp`"):
        pg.Guard(JP).replace(both())


def test_a_family_s_purpose_that_is_gone_is_declared_anew() -> None:
    def drop(t: dict[str, Any]) -> None:
        del t["grant"][0]["purpose"][0], t["family"]

    later = revised(EU, drop, "2025-01-01")
    guard = pg.Guard(both())
    with pytest.raises(pg.NoticeError, match="is no purpose of the notices in force"):
        guard.replace(later)
    assert guard.allows(EU_ACCOUNT, "AnyRenewal")  # nothing was put in force
    guard.replace(pg.Notices(JP, later))
    assert guard.allows(JP_ACCOUNT, JP_RENEWAL)
    for gone in ("AnyRenewal", EU_RENEWAL, JP_RENEWAL | EU_RENEWAL):
        with pytest.raises(pg.UnknownPurpose):
            guard.allows(EU_ACCOUNT, gone)
    with pytest.raises(pg.UnknownSource):
        guard.allows(term(one("other"), "Account"), JP_RENEWAL)


def test_a_history_that_is_not_in_force_yet() -> None:
    with pytest.raises(pg.NoticeError, match="none is in force yet"):
        pg.Guard(both(eu=pg.History(EU)), clock=lambda: day("2020-01-01"))


def told(**preferences: Any) -> pg.Guard:
    facts: dict[str, Any] = {name: frozenset(given) for name, given in preferences.items()}
    return pg.Guard(both(), governance=Told({"7": SubjectPreferences(**facts)}))


def test_what_a_subject_stopped_is_stopped_in_one_notice() -> None:
    guard = told(suspended=["shop-jp:3(1)①"])
    assert not guard.allows(JP_ACCOUNT, "AnyRenewal", subject=7)
    assert guard.allows(EU_ACCOUNT, "AnyRenewal", subject=7)
    assert not guard.allows([JP_ACCOUNT, EU_ACCOUNT], "AnyRenewal", subject=7)
    before = told(suspended=["3(1)①"])  # asked for when there was one notice: it goes on to hold, for both
    assert not before.allows(JP_ACCOUNT, "AnyRenewal", subject=7)
    assert not before.allows(EU_ACCOUNT, "AnyRenewal", subject=7)


def test_a_consent_is_given_under_one_notice() -> None:
    visit, statistics = term(EU, "Visit"), term(EU, "Statistics")
    day_ = EU.revision
    assert told(consents=[("shop-eu:4①", day_)]).allows(visit, statistics, subject=7)
    for other in ("shop-jp:4①", "4①", "shop-eu:4②"):
        assert not told(consents=[(other, day_)]).allows(visit, statistics, subject=7)


def test_who_is_known_later_or_not_at_all() -> None:
    table = pg.Guard(both()).engine.snapshot.matrix
    visit = pg.Label(term(EU, "Visit"))
    assert term(EU, "Statistics") in table.row_for(visit, None, Context(ANYONE))
    assert table.row_for(visit, None, Context(UNNAMED)) == frozenset()


def test_a_purpose_that_had_another_id() -> None:
    def rename(t: dict[str, Any]) -> None:
        t["grant"][2]["purpose"][0]["id"] = "4⑨"
        t["derivation"][0]["serves"] = ["4⑨"]
        t["renamed"] = [{"kind": "purpose", "old": "4①", "new": "4⑨"}]

    later = revised(EU, rename, "2025-01-01")
    before = frozenset({("shop-eu:4①", EU.revision)})
    preferences = {
        "7": SubjectPreferences(consents=before),
        "8": SubjectPreferences(consents=frozenset({("shop-eu:4⑨", later.revision)})),
        "9": SubjectPreferences(consents=frozenset({("4①", EU.revision)})),
        "10": SubjectPreferences(consents=before, suspended=frozenset({"4①"})),
    }
    notices = pg.Notices(JP, pg.History(EU, later))
    guard = pg.Guard(notices, governance=Told(preferences), clock=lambda: day("2025-06-01"))
    answers = [guard.allows(term(later, "Visit"), term(later, "Statistics"), subject=each) for each in (7, 8, 9, 10)]
    assert answers == [True, True, False, False]


def test_periods_are_those_of_the_source_s_own_notice() -> None:
    retention = RETENTION | {"clause": "9", "period": [{"source": "1(a)", "days": 30}]}
    eu = revised(EU, lambda t: t.update(retention=retention))
    guard = pg.Guard(both(eu=eu), clock=lambda: day("2025-06-01"))
    over = pg.RowContext(ended=datetime.date(2025, 1, 1))
    assert guard.allows(JP_ACCOUNT, "AnyRenewal", subject=over)
    assert not guard.allows(term(eu, "Account"), "AnyRenewal", subject=over)
    assert not guard.allows([JP_ACCOUNT, term(eu, "Account")], "AnyRenewal", subject=over)
    assert "shop-eu:1(a) may be kept is over" in str(guard.explain(term(eu, "Account"), "AnyRenewal", subject=over))


def test_what_is_joined_within_a_notice(guard: pg.Guard) -> None:
    assert guard.derive("link", term(JP, "Visit"), JP_ACCOUNT) is pg.Label(term(JP, "LinkedVisit"))
    assert guard.derive("link", "shop-eu:2", EU_ACCOUNT) is pg.Label(term(EU, "LinkedVisit"))
    for pair in ((term(JP, "Visit"), EU_ACCOUNT), (pg.NotPersonal, pg.NotPersonal)):
        with pytest.raises(UnknownOperation, match="of several or of none"):
            guard.derive("link", *pair)
    with pytest.raises(UnknownOperation):
        guard.derive("join", term(JP, "Visit"), EU_ACCOUNT)


def test_records_say_of_which_notice_an_id_is() -> None:
    ledger = RecordingLedger()
    guard = pg.Guard(both(), ledger=ledger)
    guard.check([JP_ACCOUNT, EU_ACCOUNT], "AnyRenewal")
    guard.check(JP_ACCOUNT, JP_RENEWAL)
    with guard.purpose(EU_RENEWAL, activity="remind") as use:
        use.open(pg.Personal("a", EU_ACCOUNT))
        use.open(pg.Personal("b", EU_ACCOUNT))
    found = [(activity, purpose, [s.clause for s in label], n) for activity, purpose, label, n in ledger.uses]
    assert found == [
        (None, "AnyRenewal", ["shop-eu:1(a)", "shop-jp:1(a)"], 1),
        (None, "shop-jp:3(1)①", ["shop-jp:1(a)"], 1),
        ("remind", "shop-eu:3(1)①", ["shop-eu:1(a)"], 2),
    ]
    for purpose in (JP_RENEWAL, "AnyRenewal"):
        with pytest.raises(pg.PurposeViolation) as caught:
            guard.check([JP_ACCOUNT, term(JP, "Visit")], purpose)
        assert caught.value.decision.denied == (term(JP, "Visit"),)
    told_ = [error for error, _ in ledger.denials if isinstance(error, pg.PurposeViolation)]
    assert [error.decision.denied[0].clause for error in told_] == ["shop-jp:2", "shop-jp:2"]
    assert told_[0].decision.purpose.clause == "shop-jp:3(1)①"  # type: ignore[union-attr]  # a purpose was asked for
    assert str(told_[0]) == str(told_[0])
    with pytest.raises(pg.UnknownSource):  # what stands in records is decided by nobody
        guard.allows(told_[0].decision.denied[0], JP_RENEWAL)
    with pytest.raises(pg.PurposeMissing):
        guard.access(JP_ACCOUNT)(lambda: None)()


def test_a_reclassification_on_record() -> None:
    ledger = RecordingLedger()
    guard = pg.Guard(both(), ledger=ledger)

    @guard.reclassify(JP_ACCOUNT, to=pg.NotPersonal, why="only the length")
    def length(text: str) -> int:
        return len(text)

    assert guard.reclassifications[0].sources is pg.Label(JP_ACCOUNT)
    length(pg.Personal("abc", JP_ACCOUNT))
    (declared, label) = ledger.reclassifications[0]
    assert [source.clause for source in (*declared.sources, *declared.to, *label)] == [
        "shop-jp:1(a)",
        "not-personal",
        "shop-jp:1(a)",
    ]


def test_an_exception_on_record() -> None:
    ledger = Counting()
    guard = pg.Guard(both(), ledger=ledger, governance=Told(), clock=lambda: day("2025-01-01"))
    sealed = pg.Personal("a", JP_ACCOUNT).zip(pg.Personal("b", EU_ACCOUNT))
    with guard.exception(basis="law", reason="r", approver="a", subjects=[7], until=day("2025-01-02")) as use:
        assert use.open(sealed, subject=7) == ("a", "b")
        with pytest.raises(pg.SubjectViolation):
            use.open(sealed, subject=8)
    ((_, label, subject, count),) = ledger.exceptions
    assert ([source.clause for source in label], subject, count) == (["shop-eu:1(a)", "shop-jp:1(a)"], "7", 1)


def test_a_recipient_is_one_that_each_notice_lets_have_its_data() -> None:
    told_ = Told()
    guard = pg.Guard(both(), governance=told_, clock=lambda: day("2025-01-01"))

    def allowed(label: Any, country: str) -> bool:
        try:
            guard.check_recipient(label, "AnyRenewal", recipient(country), channel="email")
        except pg.RecipientViolation as error:
            refusals.append(str(error))
            return False
        return True

    refusals: list[str] = []

    countries = ("JP", "US", "FR")
    assert [allowed(JP_ACCOUNT, each) for each in countries] == [True, True, False]
    assert [allowed(EU_ACCOUNT, each) for each in countries] == [True, False, True]
    assert [allowed([JP_ACCOUNT, EU_ACCOUNT], each) for each in countries] == [True, False, False]
    assert [allowed(pg.NotPersonal, each) for each in countries] == [True, False, False]
    assert "shop-jp: clause 7 names no country FR, and any that it does not name is refused" in refusals[0]
    assert "shop-jp:1(a)" in refusals[0]


def test_a_hand_over_is_on_record_under_each_notice() -> None:
    told_ = Told({"7": SubjectPreferences(provision_stopped=True)})
    guard = pg.Guard(both(), governance=told_, clock=lambda: day("2025-01-01"))

    @guard.entrust(recipient("JP"), JP_ACCOUNT, EU_ACCOUNT)
    def send(_: int) -> None: ...

    with guard.purpose("AnyRenewal", channel="email"):
        send(1)
    records = [(each.clauses, each.sources, each.purpose, each.revision) for each in told_.provisions]
    assert records == [
        (("shop-jp:6", "shop-jp:8"), ("shop-jp:1(a)",), "AnyRenewal", JP.revision),
        (("shop-eu:6", "shop-eu:7", "shop-eu:8"), ("shop-eu:1(a)",), "AnyRenewal", EU.revision),
    ]
    with pytest.raises(pg.SubjectViolation, match=r"shop-jp:1\(a\) of this subject"):
        guard.check_recipient(JP_ACCOUNT, JP_RENEWAL, recipient("JP"), subject=7)


def test_ids_and_revisions_in_records(guard: pg.Guard) -> None:
    notice = guard.notice
    assert [notice.key(each) for each in (EU_ACCOUNT, JP_RENEWAL)] == ["shop-eu:1(a)", "shop-jp:3(1)①"]
    later = pg.Guard(pg.Notices(JP, revised(EU, lambda t: None, "2025-01-01"))).notice
    revisions = [later.revision_of(given) for given in (["shop-jp:3(1)①"], ["shop-eu:3(1)①", "shop-eu:3(1)②"], [])]
    assert revisions == [JP.revision, datetime.date(2025, 1, 1), datetime.date(2025, 1, 1)]
    with pytest.raises(ValueError, match="the purposes are of shop-eu and shop-jp"):
        later.revision_of(["shop-jp:3(1)①", "shop-eu:3(1)①"])
    assert JP.key(JP_ACCOUNT) == "1(a)"
    assert (JP.notices, guard.notice.notices) == ((JP,), (JP, EU))
    assert JP.revision_of(["3(1)①"]) == JP.revision


def test_one_notice_is_as_before() -> None:
    table = PolicyTable(JP)
    assert table.table_of(JP_ACCOUNT) is table
    assert table.record_id(JP_ACCOUNT) == "1(a)"
    assert table.to_record_label(pg.Label(JP_ACCOUNT)) is pg.Label(JP_ACCOUNT)
    joint = JointTable.compile_from(NoticesInForce(((JP, None), (EU, None)), {}))
    assert joint.record_id(pg.NotPersonal) == "not-personal"
    assert joint.revisions.members == (pg.History(JP), pg.History(EU))
    assert table.revisions is table.history
    with pytest.raises(pg.UnknownSource, match="is a class of none of"):
        joint.table_of(term(one("other"), "Account"))
