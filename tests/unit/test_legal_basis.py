"""On what a purpose rests: what rests on consent serves those who gave it, what rests on law outlasts periods."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.cli.forecasts import outcome
from purposeguard.policy.context import DenialReason, SubjectPreferences
from purposeguard.policy.violations import violation_class
from purposeguard.runtime.clock import Clock
from tests.unit.marked_rows import reading
from tests.unit.oversights import STOPPED, WAYS_TO_READ, Counting, Office, listing
from tests.unit.samples import RETENTION, revised, tables
from tests.unit.seals import words

DAY = datetime.date(2024, 1, 1)
STATISTICS, OFFERS, RENEWAL, SERVICE, BILLING = "4①", "3(1)②", "3(1)①", "3(2)①", "3(2)②"


def based(t: dict[str, Any]) -> None:
    """Offers rest on consent, billing on law; everything else on contract, or as stated."""
    t["grant"][0]["purpose"][1]["basis"] = "consent"
    t["grant"][1]["basis"] = "contract"
    t["grant"][1]["purpose"][1]["basis"] = "law"
    t["forbid"][0]["purposes"] = [SERVICE]
    t["overlay"][0]["serves"] = [BILLING]
    periods = [{"source": "1(a)", "days": 10, "from": "collection"}, {"source": "1(a)", "days": 5}]
    t["retention"] = RETENTION | {"bases": ["law", "granted-purposes"], "period": periods}


SMALL = pg.Notice.parse(tables())
NOTICE = revised(SMALL, based)
ACCOUNT = NOTICE.source("1(a)")
GAVE = SubjectPreferences(consents=frozenset({(OFFERS, DAY)}))
OTHER = SubjectPreferences(consents=frozenset({(STATISTICS, DAY)}))
GAVE_AND_STOPPED = SubjectPreferences(consents=GAVE.consents, suspended=frozenset({OFFERS}))
NAME: pg.Personal[str, Any] = pg.Personal("name", ACCOUNT)

WATCH = [datetime.datetime(2024, 6, 1, 12, tzinfo=datetime.UTC)]


def made(office: Office | None = None, **options: Any) -> pg.Guard:
    """A guard; of its subjects 1 agreed, 2 agreed to something else, 3 agreed and stopped it, 4 did nothing."""
    all_preferences = {"1": GAVE, "2": OTHER, "3": GAVE_AND_STOPPED, "7": STOPPED}
    return pg.Guard(NOTICE, governance=office or Office(all_preferences), clock=lambda: WATCH[0], **options)


class Row(BaseModel):
    key: Annotated[int, pg.Subject]
    name: Annotated[str, ACCOUNT] = "n"


class Plain(BaseModel):
    name: Annotated[str, ACCOUNT] = "n"


@pytest.mark.parametrize(("subject", "may"), [(1, True), (2, False), (3, False), (4, False), (7, False), (None, False)])
def test_what_rests_on_consent_serves_those_who_gave_it(subject: int | None, may: bool) -> None:
    guard = made()
    assert guard.allows("1(a)", OFFERS, subject=subject) is may
    assert guard.explain("1(a)", OFFERS, subject=subject).allowed is may
    with guard.purpose(OFFERS) as use:
        assert use.allows(NAME.label, subject=subject) is may
        assert use.try_open(NAME, "else", subject=subject) == ("name" if may else "else")
        if may:
            assert use.open(NAME, subject=subject) == "name"
            guard.check("1(a)", OFFERS, subject=subject)
            use.check(ACCOUNT, subject=subject)
        else:
            for way in (
                lambda: use.open(NAME, subject=subject),
                lambda: use.check(ACCOUNT, subject=subject),
                lambda: guard.check("1(a)", OFFERS, subject=subject),
            ):
                with pytest.raises(pg.SubjectViolation):
                    way()


def test_nobody_agreed_where_nobody_is_asked() -> None:
    guard = pg.Guard(NOTICE)
    assert not guard.allows("1(a)", OFFERS)
    assert not guard.allows("1(a)", OFFERS, subject=pg.RowContext())
    assert guard.allows("1(a)", RENEWAL)
    assert guard.allows("1(b)", BILLING)
    with pytest.raises(pg.SubjectViolation) as caught:
        guard.check("1(a)", OFFERS)
    assert "offers (3(1)②) rests on consent, and it is not said whose data of 1(a) this is" in words(caught)


def test_the_reason_says_what_is_missing() -> None:
    guard = made()
    (reason,) = guard.explain("1(a)", OFFERS, subject=4).reasons
    assert reason == "offers (3(1)②) rests on consent here, which the subject did not give, or took back"
    (reason,) = guard.explain("1(a)", OFFERS, subject=3).reasons
    assert reason == "the subject asked for the use for offers (3(1)②) of the data to stop (clause 7)"
    assert OFFERS not in [one.clause for one in guard.explain("1(a)", RENEWAL, subject=4).alternatives]
    assert OFFERS in [one.clause for one in guard.explain("1(a)", RENEWAL, subject=1).alternatives]


def test_consent_widens_nothing() -> None:
    """It fulfils a condition of a grant; where there is no grant, or a prohibition, there is none to fulfil."""
    guard = made(Office({"1": SubjectPreferences(consents=frozenset({(one.clause, DAY) for one in NOTICE.purposes}))}))
    for source, purpose in (("1(b)", OFFERS), ("2", OFFERS), ("1(a)", STATISTICS), ("1(b)", SERVICE), ("1", OFFERS)):
        with pytest.raises(pg.PurposeViolation) as caught:
            guard.check(source, purpose, subject=1)
        assert type(caught.value) is pg.PurposeViolation
    with pytest.raises(pg.ChannelViolation):
        guard.check("1(a)", RENEWAL, "phone", subject=1)


def test_consent_is_taken_back_at_once() -> None:
    office = Office({"1": GAVE})
    guard = made(office)
    with guard.purpose(OFFERS) as use:
        for _ in range(3):
            assert use.open(NAME, subject=1) == "name"
        office.all_preferences["1"] = SubjectPreferences()
        with pytest.raises(pg.SubjectViolation):
            use.open(NAME, subject=1)
        office.all_preferences["1"] = GAVE
        assert use.open(NAME, subject=1) == "name"


def test_a_family_is_served_by_a_member_that_asks_for_no_consent() -> None:
    def consented(t: dict[str, Any]) -> None:
        t["grant"][0]["purpose"][0]["basis"] = "consent"

    guard = pg.Guard(
        revised(SMALL, consented), governance=Office({"1": SubjectPreferences(consents=frozenset({(RENEWAL, DAY)}))})
    )
    both = [guard.notice.source(one) for one in ("1(a)", "2")]
    assert not guard.allows(both, "AnyAdvice")
    assert guard.allows("2", "AnyAdvice")
    assert guard.allows(both, "AnyAdvice", subject=1)
    decision = guard.explain(both, "AnyAdvice")
    assert violation_class(decision) is pg.SubjectViolation
    assert decision.denied == (both[0],)


def test_the_basis_of_both_revisions_counts() -> None:
    """Data that was collected under a revision in which a purpose asked for consent goes on asking for it."""
    later = revised(SMALL, lambda t: None, "2025-01-01")
    guard = pg.Guard(pg.History(NOTICE, later), governance=Office({"1": GAVE}))
    then = {"collected": datetime.date(2024, 6, 1)}
    assert guard.allows("1(a)", OFFERS)
    assert guard.allows("1(a)", OFFERS, subject=pg.RowContext(1, **then))
    assert not guard.allows("1(a)", OFFERS, subject=pg.RowContext(2, **then))
    assert not guard.allows(NOTICE.source("1(a)"), OFFERS)
    assert not guard.allows(NOTICE.source("1(a)"), OFFERS, subject=2)
    assert guard.allows(NOTICE.source("1(a)"), OFFERS, subject=1)


def test_rows_are_read_of_those_who_agreed() -> None:
    guard = made()
    load, narrowed, withheld = (listing(guard, Row, **options) for options in WAYS_TO_READ)

    with guard.purpose(OFFERS) as use:
        assert load(1) == [Row(key=1)]
        for keys in ((2,), (1, 3), (4,)):
            with pytest.raises(pg.SubjectViolation):
                load(*keys)
        assert narrowed(1, 2, 3, 4) == [Row(key=1)]
        assert [row.model_dump() for row in withheld(1, 4)] == [{"key": 1, "name": "n"}, {"key": 4}]
        copy = use.withhold(Row(key=4))
        with pytest.raises(pg.SubjectViolation) as caught:
            copy.name  # noqa: B018
        assert "rests on consent here" in words(caught)
    with guard.purpose(RENEWAL, channel="email"):
        assert load(4) == [Row(key=4)]


def test_what_says_of_nobody_is_read_of_nobody() -> None:
    guard = made()
    ran = []

    @guard.access
    def load() -> Plain:
        ran.append(1)
        return Plain()

    @guard.access(ACCOUNT)
    def named() -> list[Row]:
        ran.append(1)
        return [Row(key=1)]

    withheld = reading(guard, Plain, Plain, withhold=True)
    with guard.purpose(OFFERS) as use:
        for function in (load, named):
            with pytest.raises(pg.SubjectViolation, match="rests on consent"):
                function()
        assert withheld().model_dump() == {}
        assert use.withhold(Plain()).model_dump() == {}
        assert ran == []
    with guard.purpose(RENEWAL, channel="email"):
        assert load().name == "n"
        assert withheld().name == "n"


def test_uses_that_rest_on_consent_are_counted() -> None:
    ledger = Counting()
    guard = made(ledger=ledger)
    with guard.purpose(OFFERS, activity="a") as use:
        for _ in range(3):
            use.open(NAME, subject=1)
        use.open_all([NAME, NAME], subjects=[1, 1])
    assert ledger.counts == {("a", OFFERS, NAME.label): 5}


def test_the_inventory_says_what_comes_of_it() -> None:
    guard = made()
    reading(guard, Plain, Plain)

    @guard.purpose(OFFERS)
    def offer() -> None: ...

    @guard.purpose(RENEWAL, channel="email")
    def renew() -> None: ...

    first, second = guard.activities
    (access,) = guard.accesses
    assert outcome(guard, first, access).verdict == "refused"
    assert "rests on consent" in outcome(guard, first, access).reasons[0]
    assert outcome(guard, second, access).verdict == "allowed"


def test_the_inventory_of_a_guard_that_has_nothing_read_of_nobody() -> None:
    guard = made(Office({}, requires_subject=True))
    plain = reading(guard, Plain, Plain)

    @guard.purpose(RENEWAL, channel="email")
    def renew() -> object:
        return plain()

    with pytest.raises(pg.SubjectViolation):
        renew()
    (activity,), (access,) = guard.activities, guard.accesses
    found = outcome(guard, activity, access)
    assert found.verdict == "refused"
    assert "name the subject" in found.reasons[0]


def at(days: int) -> None:
    WATCH[0] = datetime.datetime(2024, 6, 1, 12, tzinfo=datetime.UTC) + datetime.timedelta(days=days)


COLLECTED = datetime.date(2024, 6, 1)


@pytest.fixture(autouse=True)
def _in_june() -> None:
    at(0)


@pytest.mark.parametrize(("days", "may"), [(0, True), (10, True), (11, False), (1000, False)])
def test_past_its_period_data_serves_only_what_rests_on_law(days: int, may: bool) -> None:
    guard = made()
    at(days)
    about = pg.RowContext(4, collected=COLLECTED)
    assert guard.allows("1(a)", RENEWAL, subject=about) is may
    assert guard.allows("1(a)", BILLING, subject=about)
    assert guard.allows("2", STATISTICS, subject=about)  # of which no period is set
    assert guard.allows("1", BILLING, subject=about)
    with guard.purpose(RENEWAL, channel="email") as use:
        assert use.try_open(NAME, "else", subject=about) == ("name" if may else "else")
        assert use.open(NAME, subject=pg.RowContext(4)) == "name"


def test_a_period_from_the_end_of_use_begins_when_use_ends() -> None:
    guard = made()
    at(5)
    ended = pg.RowContext(collected=COLLECTED, ended=COLLECTED)
    assert guard.allows("1(a)", RENEWAL, subject=ended)
    assert guard.allows("1(a)", RENEWAL, subject=pg.RowContext(collected=COLLECTED))
    at(6)
    assert not guard.allows("1(a)", RENEWAL, subject=ended)
    assert not guard.allows("1(a)", RENEWAL, subject=pg.RowContext(ended=COLLECTED))
    assert guard.allows("1(a)", RENEWAL, subject=pg.RowContext(collected=COLLECTED))
    with pytest.raises(pg.RetentionViolation) as caught:
        guard.check("1(a)", RENEWAL, subject=ended)
    assert "the period for which 1(a) may be kept is over, save for a use based on law (clause 8)" in words(caught)


def test_a_clause_is_overdue_with_its_items() -> None:
    guard = made()
    at(11)
    about = pg.RowContext(collected=COLLECTED)
    assert not guard.allows("1", SERVICE, subject=about)
    assert guard.allows("1(b) router", BILLING, subject=about)
    at(0)
    assert not guard.allows("1", SERVICE, subject=about)  # a clock that is set back brings no data back


def test_who_stopped_the_use_stops_what_rests_on_law_too() -> None:
    """The notice knows no use that a subject could not stop; law outside of it is an exception."""
    with pytest.raises(pg.SubjectViolation):
        made().check("1(a)", BILLING, subject=7)


def test_a_clock_that_jumps_is_believed_as_far_as_it_allows_less() -> None:
    """Held against the time that has passed; nothing of it is left when it is put right."""
    now = [datetime.datetime(2024, 6, 10, tzinfo=datetime.UTC)]
    guard = pg.Guard(made().notice, clock=Clock(lambda: now[0], lambda: 0.0))
    new = pg.RowContext(collected=datetime.date(2024, 6, 9))
    old = pg.RowContext(collected=datetime.date(2000, 1, 1))
    assert guard.allows("1(a)", RENEWAL, subject=new)
    for years in (10, -10):
        now[0] = now[0].replace(year=2024 + years)
        assert guard.allows("1(a)", RENEWAL, subject=new) is (years < 0)
        assert not guard.allows("1(a)", RENEWAL, subject=old)
        now[0] = now[0].replace(year=2024)
        assert guard.allows("1(a)", RENEWAL, subject=new)


def test_rows_past_their_period_are_refused_left_out_or_withheld() -> None:
    guard = made()

    class Dated(BaseModel):
        since: Annotated[datetime.date, pg.Collected]
        until: Annotated[datetime.date | None, pg.Ended] = None
        name: Annotated[str, ACCOUNT] = "n"

    rows = [Dated(since=COLLECTED), Dated(since=COLLECTED, until=COLLECTED), Dated(since=datetime.date(2024, 6, 10))]
    load, narrowed, withheld = (reading(guard, list[Dated], rows, **options) for options in WAYS_TO_READ)
    with guard.purpose(RENEWAL, channel="email"):
        assert load() == narrowed() == rows
        at(8)
        assert narrowed() == [rows[0], rows[2]]
        with pytest.raises(pg.RetentionViolation):
            load()
        at(11)
        assert narrowed() == [rows[2]]
        assert [hasattr(row, "name") for row in withheld()[2:]] == [True]
        with pytest.raises(pg.RetentionViolation):
            withheld()[0].name  # noqa: B018
    with guard.purpose(BILLING):
        assert load() == rows


def needed_by_law(t: dict[str, Any]) -> None:
    based(t)
    t["retention"]["law"] = [{"source": "1(a)", "days": 100, "from": "collection"}, {"source": "1(a)", "days": 50}]
    disputes = {"id": "9.1", "class": "Disputes", "title": {"en": "Disputes", "ja": "紛争"}}
    t["grant"][1]["purpose"].append(disputes | {"bases": [{"basis": "law"}, {"basis": "legitimate-interest"}]})


def test_what_rests_on_law_ends_when_law_needs_the_data_no_longer() -> None:
    guard = pg.Guard(revised(SMALL, needed_by_law), governance=Office(), clock=lambda: WATCH[0])
    about = pg.RowContext(4, collected=COLLECTED)
    ended = pg.RowContext(4, collected=COLLECTED, ended=COLLECTED)
    for days, collected, unused in ((50, True, True), (51, True, False), (100, True, False), (101, False, False)):
        at(days)
        assert guard.allows("1(a)", BILLING, subject=about) is collected
        assert guard.allows("1", BILLING, subject=about) is collected
        assert guard.allows("1(a)", BILLING, subject=ended) is unused
    assert guard.allows("1(a)", BILLING, subject=pg.RowContext(4))
    decision = guard.explain("1(a)", BILLING, subject=about)
    assert decision.reason is DenialReason.RETENTION
    assert "the period for which law needs 1(a) is over" in str(decision)
    with pytest.raises(pg.RetentionViolation):
        guard.check("1(a)", BILLING, subject=about)
    assert "save for a use based on law" in str(guard.explain("1(a)", RENEWAL, "email", subject=about))


def test_a_period_of_law_ends_no_other_use() -> None:
    def change(t: dict[str, Any]) -> None:
        needed_by_law(t)
        t["retention"]["law"] = [{"source": "1(a)", "days": 5, "from": "collection"}]

    guard = pg.Guard(revised(SMALL, change), governance=Office(), clock=lambda: WATCH[0])
    about = pg.RowContext(4, collected=COLLECTED)
    at(6)
    assert not guard.allows("1(a)", BILLING, subject=about), "though it may still be kept"
    assert guard.allows("1(a)", RENEWAL, "email", subject=about)
    assert guard.allows("1(a)", "9.1", subject=about), "on its other basis"
    at(11)
    assert not guard.allows("1(a)", "9.1", subject=about)


def test_rows_that_law_needs_no_longer_are_left_out() -> None:
    guard = pg.Guard(revised(SMALL, needed_by_law), governance=Office(), clock=lambda: WATCH[0])
    account = guard.notice.source("1(a)")

    class Dated(BaseModel):
        since: Annotated[datetime.date, pg.Collected]
        name: Annotated[str, account] = "n"

    rows = [Dated(since=COLLECTED), Dated(since=datetime.date(2024, 6, 10))]
    _, narrowed, _ = (reading(guard, list[Dated], rows, **options) for options in WAYS_TO_READ)
    at(101)
    with guard.purpose(BILLING):
        assert narrowed() == [rows[1]]


def test_a_revision_may_set_other_periods() -> None:
    def longer(t: dict[str, Any]) -> None:
        t["retention"]["period"][0]["days"] = 100

    guard = made()
    at(11)
    about = pg.RowContext(collected=COLLECTED)
    assert not guard.allows("1(a)", RENEWAL, subject=about)
    guard.replace(revised(NOTICE, longer))
    assert guard.allows("1(a)", RENEWAL, subject=about)


def test_of_several_things_the_first_is_told() -> None:
    """The revision comes before the period, the period before the subject, and all of them after the grant."""
    later = revised(NOTICE, lambda t: t["grant"][2].update(sources=["1(a)", "2"]), "2025-01-01")
    at(1000)
    guard = pg.Guard(pg.History(NOTICE, later), governance=Office({"7": STOPPED}), clock=lambda: WATCH[0])
    about = pg.RowContext(7, collected=COLLECTED)
    for source, purpose, error in (
        ("1(a)", STATISTICS, pg.RevisionViolation),
        ("1(a)", RENEWAL, pg.RetentionViolation),
        ("1(a)", BILLING, pg.SubjectViolation),
        ("1(b)", RENEWAL, pg.PurposeViolation),
    ):
        assert violation_class(guard.explain(source, purpose, subject=about)) is error
