"""Clauses 4 to 7: hand-overs on record, found by subject; the register of recipients, and what was recorded of them."""

import datetime
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, date
from functools import partial
from typing import Annotated

import pytest
import sqlalchemy as sa

import purposeguard as pg
from purposeguard.errors import StoreUnavailable, UnknownRecipient
from purposeguard.governance.governance import Governance
from purposeguard.governance.store import Store
from purposeguard.governance.transfers import Provisions, provided_subject
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient, Safeguard
from purposeguard.runtime.clock import Clock
from tests.governance.ledger.places import PROVISION
from tests.governance.support import Entries, entries
from tests.support import in_threads

NOW = datetime.datetime(2026, 6, 15, 3, 0, tzinfo=UTC)
CONTRACT = Safeguard("contract", "2026-117", since=date(2026, 4, 1))
MAIL_HOUSE = Recipient("mail-house", "domestic-contractor", "JP", name="Mail House", safeguards=(CONTRACT,))
GIVEN = replace(
    PROVISION, clauses=("4", "6.2"), sources=("1.1(a)", "1.1(c)"), means="storage-media", at=NOW, name="Mail House"
)


@pytest.fixture
def moment():
    return [NOW]


@pytest.fixture
def provisions(store, moment):
    return Provisions(store, clock=Clock(lambda: moment[0]), timezone=lambda: "Asia/Tokyo")


def found(records):
    return [(one.number, one.provision.recipient) for one in records]


def test_clause_7_a_disclosure_finds_each_hand_over(provisions):
    first = provisions.record(GIVEN)
    second = provisions.record(replace(GIVEN, recipient="support", subjects=("7",), product="Deep Security", task="x"))
    assert found(provisions.of(7)) == [(first, "mail-house"), (second, "support")]
    assert found(provisions.of("8")) == [(first, "mail-house")]
    assert provisions.of("9") == ()
    one = provisions.of(7)[0]
    assert one.provision == replace(GIVEN, subjects=("7",))  # the others are nobody's business here
    assert one.subjects == 2


def test_it_is_found_by_every_spelling_of_the_subject(provisions):
    key = uuid.UUID("0b0e2c5a-9d7e-4a53-8f5e-3a5b7a0a1c11")
    provisions.record(replace(GIVEN, subjects=(str(key).upper(),)))
    assert len(provisions.of(key)) == len(provisions.of(key.hex)) == len(provisions.of(str(key))) == 1


def test_one_subject_twice_is_one(provisions):
    provisions.record(replace(GIVEN, subjects=("7", "7", "8")))
    assert provisions.of(7)[0].subjects == 2


def test_hand_overs_since_a_moment(provisions):
    days = [datetime.timedelta(days=days) for days in range(3)]
    for day in days:
        provisions.record(replace(GIVEN, at=NOW + day, recipient=f"r{day.days}"))
    tokyo = datetime.timezone(datetime.timedelta(hours=9))
    assert [one.provision.recipient for one in provisions.since((NOW + days[1]).astimezone(tokyo))] == ["r1", "r2"]
    assert [one.provision.recipient for one in provisions.since(NOW, recipient="r2")] == ["r2"]
    assert provisions.since(NOW)[0].provision.subjects == ()


def test_about_nobody_in_particular(provisions):
    provisions.record(replace(GIVEN, subjects=(), purpose=None, activity=None))
    (one,) = provisions.since(NOW)
    assert one.subjects == 0
    assert one.provision.purpose is None


def test_the_store_names_no_subject(provisions, store):
    provisions.record(replace(GIVEN, subjects=("hanako@example.jp",)))
    with store.reading() as connection:
        kept = connection.execute(sa.select(provided_subject)).all()
    assert [row.pseudonym for row in kept] == [store.pseudonym("hanako@example.jp")]


def test_the_ledger_is_told_in_the_same_transaction(store):
    ledger = Entries(store)
    provisions = Provisions(store, ledger=ledger)
    provisions.record(GIVEN)
    ((kind, body),) = ledger.kept
    assert kind == "provision"
    assert body["count"] == 2
    assert body["subjects"] == [store.pseudonym("7"), store.pseudonym("8")]
    assert "7" not in map(str, body.values())
    provisions.record(replace(GIVEN, subjects=tuple(map(str, range(101)))))
    assert ledger.kept[1][1]["count"] == 101
    assert "subjects" not in ledger.kept[1][1]


def test_what_the_ledger_does_not_take_is_not_recorded_either(store):
    ledger = Entries(store)
    ledger.failing = True
    provisions = Provisions(store, ledger=ledger)
    with pytest.raises(OSError, match="no room"):
        provisions.record(GIVEN)
    assert provisions.since(NOW) == ()
    assert provisions.of(7) == ()


def test_a_hand_over_of_many_at_once(provisions):
    provisions.record(replace(GIVEN, subjects=tuple(map(str, range(12_000)))))
    assert provisions.of(11_999)[0].subjects == 12_000


@pytest.mark.parametrize(
    "wrong",
    [{"at": datetime.datetime(2026, 1, 1)}, {"subjects": (True,)}, {"subjects": ("",)}],  # noqa: DTZ001  # what is tested
    ids=["naive", "bool", "blank"],
)
def test_what_is_no_hand_over_is_refused(provisions, wrong):
    with pytest.raises((TypeError, ValueError)):
        provisions.record(replace(GIVEN, **wrong))
    assert provisions.since(NOW) == ()


def test_without_the_store_nothing_is_recorded(provisions, store):
    store.close()
    with pytest.raises(StoreUnavailable):
        provisions.record(GIVEN)
    with pytest.raises(StoreUnavailable):
        provisions.of(7)


@dataclass
class Customer:
    id: Annotated[int, pg.Subject]
    email: Annotated[str, tm.Registration]


def test_what_cannot_be_recorded_is_not_handed_over(store):
    with Governance(store, notice=tm.NOTICE, clock=lambda: NOW) as governance:
        guard = pg.Guard(tm.NOTICE, governance=governance, clock=lambda: NOW)
        printed: list[int] = []

        @guard.purpose(tm.RenewalGuidance, activity="reminders")
        @guard.entrust("mail-house", means="storage-media")
        def print_letter(customer: Customer) -> None:
            printed.append(customer.id)

        governance.provisions.recipients.register(replace(MAIL_HOUSE, supervised_on=date(2026, 5, 1)))
        print_letter(Customer(7, "hanako@example.jp"))
        with store.writing() as connection:
            connection.execute(sa.text("DROP TABLE purposeguard_provided_subject"))
        with pytest.raises(StoreUnavailable):
            print_letter(Customer(8, "taro@example.jp"))
        assert printed == [7]
        assert len(governance.provisions.since(NOW)) == 1
        assert len(entries(governance, "provision")) == 1


def test_clause_4_supervision_is_recorded(provisions):
    register = provisions.recipients
    register.register(MAIL_HOUSE, by="procurement")
    assert register.get("mail-house") == MAIL_HOUSE
    register.supervise("mail-house", date(2026, 5, 1), by="DPO", note="on site; nothing found")
    register.supervise("mail-house", date(2026, 2, 1), by="DPO")
    assert register.get("mail-house") == replace(MAIL_HOUSE, supervised_on=date(2026, 5, 1))


def test_a_safeguard_that_was_ended_is_not_revived_by_registering_the_recipient_again(provisions):
    """As an application does that registers its recipients each time that it starts."""
    register = provisions.recipients
    recipient = replace(MAIL_HOUSE, safeguards=[CONTRACT])
    register.register(recipient)
    register.end_safeguard("mail-house", "2026-117", date(2026, 6, 30))
    register.register(recipient)
    (held,) = register.get("mail-house").safeguards
    assert held.until == date(2026, 6, 30)
    register.strike("mail-house")
    register.register(recipient)
    assert register.get("mail-house").safeguards == (held,)
    for other in (replace(CONTRACT, since=date(2026, 7, 1)), replace(CONTRACT, until=date(2027, 3, 31))):
        register.add_safeguard("mail-house", other)
        assert other in register.get("mail-house").safeguards


def test_clause_6_safeguards_are_recorded_and_end(provisions):
    register = provisions.recipients
    register.register(MAIL_HOUSE)
    other = Safeguard("other", "ISO 27001", since=date(2026, 1, 1), until=date(2026, 12, 31))
    register.add_safeguard("mail-house", other, by="legal")
    register.add_safeguard("mail-house", other, by="legal")
    register.end_safeguard("mail-house", "2026-117", date(2026, 6, 30), by="legal", note="given notice of")
    ended = replace(CONTRACT, until=date(2026, 6, 30))
    assert register.get("mail-house").safeguards == (ended, other)
    with pytest.raises(ValueError, match="no safeguard"):
        register.end_safeguard("mail-house", "2020-1", date(2026, 6, 30))
    with pytest.raises(ValueError, match="did not begin"):
        register.end_safeguard("mail-house", "2026-117", date(2025, 1, 1))


def test_what_changes_takes_the_place_of_what_was(provisions):
    register = provisions.recipients
    register.register(replace(MAIL_HOUSE, supervised_on=date(2026, 1, 1)))
    moved = Recipient("mail-house", "overseas-contractor", "PH", products={"A", "B"}, means="email")
    register.register(moved)
    assert register.get("mail-house") == replace(moved, safeguards=(CONTRACT,), supervised_on=date(2026, 1, 1))


def test_the_history_is_kept(provisions, moment):
    register = provisions.recipients
    register.register(MAIL_HOUSE, by="procurement")
    moment[0] += datetime.timedelta(days=1)
    register.supervise("mail-house", date(2026, 5, 1), by="DPO", note="on site")
    register.strike("mail-house", by="DPO", note="sold")
    assert "mail-house" not in register
    assert register.all() == ()
    told = [(one.what, one.by, one.note, (one.at - NOW).days) for one in register.history("mail-house")]
    assert told == [
        ("registered", "procurement", None, 0),
        ("safeguard", "procurement", None, 0),
        ("supervised", "DPO", "on site", 1),
        ("struck", "DPO", "sold", 1),
    ]
    for act in (lambda: register.get("mail-house"), lambda: register.supervise("mail-house", NOW.date(), by="DPO")):
        with pytest.raises(UnknownRecipient):
            act()
    register.register(replace(MAIL_HOUSE, safeguards=()))
    assert register.get("mail-house") == replace(MAIL_HOUSE, safeguards=())  # supervised, and safeguarded, anew


def test_everyone_on_the_register(provisions):
    for id_ in ("b", "a", "c"):
        provisions.recipients.register(replace(MAIL_HOUSE, id=id_))
    provisions.recipients.strike("b")
    assert [one.id for one in provisions.recipients.all()] == ["a", "c"]
    assert "a" in provisions.recipients


def test_an_unknown_recipient_is_told_with_what_was_meant(provisions):
    provisions.recipients.register(MAIL_HOUSE)
    with pytest.raises(UnknownRecipient, match=r"unknown recipient `mailhouse`.*did you mean `mail-house`"):
        provisions.recipients.get("mailhouse")
    with pytest.raises(UnknownRecipient):
        provisions.recipients.history("nobody")


def test_a_supervision_is_recorded_when_it_has_taken_place(provisions):
    register = provisions.recipients
    register.register(MAIL_HOUSE)
    register.supervise("mail-house", date(2026, 6, 15), by="DPO")
    with pytest.raises(ValueError, match="yet to come"):
        register.supervise("mail-house", date(2026, 6, 16), by="DPO")
    with pytest.raises(TypeError, match="date"):
        register.supervise("mail-house", NOW, by="DPO")
    with pytest.raises(ValueError, match="yet to come"):
        register.register(replace(MAIL_HOUSE, supervised_on=date(2026, 6, 16)))


def test_today_is_a_day_of_the_notice(provisions, moment):
    provisions.recipients.register(MAIL_HOUSE)
    moment[0] = datetime.datetime(2026, 6, 15, 15, 0, tzinfo=UTC)  # the 16th in Tokyo
    provisions.recipients.supervise("mail-house", date(2026, 6, 16), by="DPO")


@pytest.mark.parametrize("wrong", [{"by": " "}, {"by": 7}, {"note": "x" * 10_001}, {"note": "a\0b"}], ids=str)
def test_notes_are_texts(provisions, wrong):
    with pytest.raises((TypeError, ValueError)):
        provisions.recipients.register(MAIL_HOUSE, **wrong)
    assert provisions.recipients.all() == ()


def test_two_at_once_lose_nothing(store_url):
    with Store.open(store_url, timeout=60) as one, Store.open(store_url, timeout=60) as other:
        Provisions(one).recipients.register(MAIL_HOUSE)

        def work(store, day):
            for number in range(5):
                Provisions(store).recipients.supervise("mail-house", day, by=f"{day} {number}")
                Provisions(store).record(GIVEN)

        in_threads([partial(work, one, date(2025, 1, 1)), partial(work, other, date(2025, 2, 1))])
        assert len(Provisions(one).recipients.history("mail-house")) == 12
        assert len(Provisions(other).of(7)) == 10
        assert Provisions(other).recipients.get("mail-house").supervised_on == date(2025, 2, 1)
