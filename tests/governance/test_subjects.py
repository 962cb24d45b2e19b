"""Clause 7: what subjects ask for and agree to is recorded, in force, and never lost."""

from __future__ import annotations

import datetime
import uuid
import zoneinfo
from typing import Any

import pytest

from purposeguard import Notice, UnknownPurpose
from purposeguard.errors import RequestError
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import CLEAR
from purposeguard.runtime.clock import UTC
from tests.governance.support import START, Entries, LedgerElsewhere, Time

FIRST = tm.NOTICE.revision


def test_clause_7_use_is_suspended_for_one_purpose(subjects: Subjects) -> None:
    made = subjects.restrict(7, "1.2(1)①")
    assert (made.kind, made.purposes, made.by, made.at) == ("suspension-of-use", ("1.2(1)①",), "subject", START)
    assert subjects.preferences(7).suspended == {"1.2(1)①"}
    assert subjects.preferences("7").suspended == {"1.2(1)①"}
    assert subjects.preferences(8) is CLEAR


def test_a_family_stands_for_each_of_its_members(subjects: Subjects) -> None:
    made = subjects.restrict(7, tm.AnyFeedback)
    assert made.purposes == ("1.2(2)⑥", "2.2⑦", "3.2⑧")
    several = subjects.restrict(8, ["AnyFeedback", tm.RenewalGuidance, "1.2(1)-1"])
    assert several.purposes == ("1.2(1)①", "1.2(2)⑥", "2.2⑦", "3.2⑧")


@pytest.mark.parametrize("purposes", ["9.9", tm.Registration, ["1.2(1)①", "nonsense"], 7, [None]], ids=range(5))
def test_an_unknown_purpose_is_refused_at_once(subjects: Subjects, purposes: object) -> None:
    with pytest.raises(UnknownPurpose):
        subjects.restrict(7, purposes)
    with pytest.raises(UnknownPurpose):
        subjects.consent(7, purposes)
    with pytest.raises(UnknownPurpose):
        subjects.withdraw(7, purposes)
    record = subjects.of(7)
    assert (record.restrictions, record.consents) == ((), ())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"purposes": []}, "no purpose was given"),
        ({"kind": "deletion"}, "a restriction is one of erasure, stop-of-provision, suspension-of-use"),
        ({"kind": "erasure", "purposes": "1.2(1)①"}, "erasure is for all purposes"),
        ({"by": "neighbour"}, "who asks is agent or subject"),
        ({"at": datetime.datetime(2026, 1, 1)}, "without its time zone"),  # noqa: DTZ001  # that is what is refused
        ({"until": datetime.datetime(2027, 1, 1)}, "without its time zone"),  # noqa: DTZ001  # likewise
        ({"at": START + datetime.timedelta(seconds=1)}, "lies in the future"),
        ({"until": START}, "has passed already"),
        ({"reference": "x" * 1001}, "1,000 characters at most"),
        ({"reference": "a\0b"}, "without nulls"),
        ({"reference": "\ud800"}, "without nulls"),
        ({"subject": " 7"}, "no blank at either end"),
    ],
    ids=range(12),
)
def test_what_cannot_be_is_refused(subjects: Subjects, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        subjects.restrict(**{"subject": 7, **arguments})
    assert subjects.of(7).restrictions == ()


@pytest.mark.parametrize(
    "arguments",
    [{"subject": True}, {"reference": 7}, {"request": "7"}, {"request": True}, {"at": "today"}],
    ids=range(5),
)
def test_what_is_of_another_type_is_refused(subjects: Subjects, arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        subjects.restrict(**{"subject": 7, **arguments})


def test_ids_as_int_str_and_uuid_are_one_subject_each(subjects: Subjects) -> None:
    someone = uuid.UUID("0f0f0f0f-0000-4000-8000-00000000abcd")
    for spelling in (someone, str(someone).upper(), someone.hex, "{" + str(someone) + "}"):
        subjects.restrict(spelling, "1.2(1)①")
    assert len(subjects.of(someone).restrictions) == 4
    subjects.restrict(42)
    assert subjects.preferences("42").all_suspended


def test_the_same_may_be_asked_for_twice_and_stands_until_both_are_lifted(subjects: Subjects) -> None:
    one, other = subjects.restrict(7, "1.2(1)①"), subjects.restrict(7, "1.2(1)①")
    subjects.lift(one)
    assert subjects.preferences(7).suspended == {"1.2(1)①"}
    subjects.lift(other.id)
    assert subjects.preferences(7) is CLEAR


def test_lifting_adds_to_the_history(subjects: Subjects, time: Time) -> None:
    made = subjects.restrict(7, reference="letter of March", request=3)
    time.passes(days=2)
    lifted = subjects.lift(made.id, by="agent", reference="by telephone", request=4)
    assert subjects.of(7).restrictions == (lifted,)
    assert (lifted.id, lifted.at, lifted.reference, lifted.request) == (made.id, START, "letter of March", 3)
    assert lifted.lifted is not None
    assert (lifted.lifted.by, lifted.lifted.at, lifted.lifted.request) == ("agent", time.now, 4)
    assert lifted.lifted.reference == "by telephone"
    assert subjects.preferences(7) == CLEAR


def test_a_restriction_that_is_not_there_cannot_be_lifted(subjects: Subjects) -> None:
    made = subjects.restrict(7)
    given = subjects.consent(7, "1.2(1)①")[0]
    subjects.lift(made)
    for number, message in ((made.id, "was lifted already"), (given.id, "no restriction"), (99, "no restriction 99")):
        with pytest.raises(RequestError, match=message):
            subjects.lift(number)
    for number in (0, -1, 2**63):
        with pytest.raises(RequestError, match="no restriction of such a number"):
            subjects.lift(number)
    with pytest.raises(TypeError):
        subjects.lift("7")  # type: ignore[arg-type]  # that is what is refused
    assert subjects.preferences(7).consents


def test_what_is_asked_for_until_a_moment_ends_then(subjects: Subjects, time: Time) -> None:
    subjects.restrict(7, "1.2(1)①", until=START + datetime.timedelta(hours=1))
    subjects.restrict(7, "2.2①", until=START + datetime.timedelta(hours=2))
    assert subjects.stands(7).until == START + datetime.timedelta(hours=1)
    time.passes(minutes=59, seconds=59)
    assert subjects.preferences(7).suspended == {"1.2(1)①", "2.2①"}
    time.passes(seconds=1)
    assert subjects.preferences(7).suspended == {"2.2①"}
    assert subjects.stands(7).until == START + datetime.timedelta(hours=2)
    time.passes(hours=1)
    assert subjects.stands(7) == (CLEAR, None, START + datetime.timedelta(hours=2))
    assert len(subjects.of(7).restrictions) == 2


def test_moments_of_any_time_zone_are_kept_in_utc(subjects: Subjects, time: Time) -> None:
    # The hour that comes twice when clocks are set back: the second one is a later moment.
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    first = datetime.datetime(2026, 10, 25, 2, 30, tzinfo=zone)
    second = first.replace(fold=1)
    subjects.restrict(7, "1.2(1)①", until=first)
    subjects.restrict(7, "2.2①", until=second)
    until = [one.until for one in subjects.of(7).restrictions]
    assert until == [datetime.datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1)]
    assert all(one is not None and one.tzinfo is UTC for one in until)
    time.now = datetime.datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert subjects.preferences(7).suspended == {"2.2①"}


def test_a_clock_that_is_set_back_brings_nothing_back(subjects: Subjects, time: Time) -> None:
    subjects.consent(7, "1.2(1)①", until=START + datetime.timedelta(hours=1))
    time.passes(hours=2)
    assert not subjects.preferences(7).consents
    time.passes(hours=-2)
    assert not subjects.preferences(7).consents


def test_clause_7_consent_is_given_under_a_revision_and_withdrawn(subjects: Subjects) -> None:
    (given,) = subjects.consent(7, "1.2(1)①", by="agent", reference="form 12")
    assert (given.purpose, given.revision, given.by, given.reference) == ("1.2(1)①", FIRST, "agent", "form 12")
    assert subjects.preferences(7).consents == {("1.2(1)①", FIRST)}
    (withdrawn,) = subjects.withdraw(7, tm.RenewalGuidance)
    assert withdrawn.withdrawn is not None
    assert subjects.preferences(7) == CLEAR
    assert subjects.of(7).consents == (withdrawn,)
    assert subjects.withdraw(7, tm.RenewalGuidance) == ()


def test_consent_to_a_family_is_one_to_each_member_and_may_be_withdrawn_for_one(subjects: Subjects) -> None:
    assert [one.purpose for one in subjects.consent(7, "AnyFeedback")] == ["1.2(2)⑥", "2.2⑦", "3.2⑧"]
    subjects.withdraw(7, "2.2⑦")
    assert subjects.preferences(7).consents == {("1.2(2)⑥", FIRST), ("3.2⑧", FIRST)}
    assert len(subjects.withdraw(7, "AnyFeedback")) == 2
    assert subjects.preferences(7) == CLEAR


def test_what_a_later_revision_no_longer_knows_can_still_be_withdrawn(subjects: Subjects) -> None:
    subjects.consent(7, "1.2(1)①")
    subjects.consent(7, "2.2①")
    later = tm.NOTICE.dump()
    later["revision"] = "2030-01-01"
    for grant in later["grant"]:
        grant["purpose"] = [row for row in grant["purpose"] if row["id"] != "1.2(1)①"]
    subjects.notice = Notice.parse(later)
    subjects.consent(7, "2.2①")
    later_revision = datetime.date(2030, 1, 1)
    assert subjects.preferences(7).consents == {("1.2(1)①", FIRST), ("2.2①", FIRST), ("2.2①", later_revision)}
    with pytest.raises(UnknownPurpose):
        subjects.restrict(7, "1.2(1)①")
    with pytest.raises(UnknownPurpose):
        subjects.withdraw(8, "1.2(1)①")
    assert len(subjects.withdraw(7, "1.2(1)①")) == 1
    assert len(subjects.withdraw(7, "2.2①")) == 2  # under any revision
    subjects.consent(7, "2.2①")
    assert len(subjects.withdraw(7)) == 1
    assert subjects.preferences(7) == CLEAR


def test_a_subject_that_nobody_knows_has_nothing_on_record(subjects: Subjects) -> None:
    assert subjects.preferences("nobody") is CLEAR
    assert subjects.withdraw("nobody") == ()
    record = subjects.of("nobody")
    assert (record.restrictions, record.consents, record.preferences) == ((), (), CLEAR)


def test_no_text_of_a_record_says_whose_it_is(subjects: Subjects) -> None:
    subjects.lift(subjects.restrict("taro.yamada@example.com", reference="Hanako, his agent"), reference="Hanako")
    subjects.consent("taro.yamada@example.com", "1.2(1)①", reference="Hanako")
    subjects.withdraw("taro.yamada@example.com", reference="Hanako")
    text = repr(subjects.of("taro.yamada@example.com"))
    assert "suspension-of-use" in text
    assert "taro" not in text
    assert "Hanako" not in text


def test_a_ledger_is_told_of_every_change_and_never_whose_it_is(store: Store, time: Time) -> None:
    told = LedgerElsewhere()
    subjects = Subjects(store, tm.NOTICE, clock=time.clock, ledger=told)
    made = subjects.restrict("taro@example.com", "AnyFeedback", reference="by Hanako", request=3)
    subjects.lift(made)
    (given,) = subjects.consent("taro@example.com", "1.2(1)①", until=START + datetime.timedelta(days=1))
    subjects.withdraw("taro@example.com")
    moment = START.isoformat()
    asked = {"asked_by": "subject", "asked_at": moment, "request": None}
    declared = {"revision": FIRST.isoformat(), "until": None, **asked}
    digest = store.pseudonym("taro@example.com")
    agreed = {**declared, "until": "2026-05-03T09:15:00+00:00", "words": tm.NOTICE.words_digest("1.2(1)①")}
    expected: list[tuple[str, dict[str, Any]]] = [
        ("suspension-of-use", {"id": made.id, "purposes": ["1.2(2)⑥", "2.2⑦", "3.2⑧"], **declared, "request": 3}),
        ("lifted", {"id": made.id, **asked}),
        ("consent", {"id": given.id, "purposes": ["1.2(1)①"], **agreed}),
        ("withdrawn", {"id": given.id, **asked}),
    ]
    assert [body for _, body in told.kept] == [{"what": what, "subject": digest, **body} for what, body in expected]


def test_what_the_ledger_cannot_record_does_not_happen(store: Store, time: Time) -> None:
    told = LedgerElsewhere()
    subjects = Subjects(store, tm.NOTICE, clock=time.clock, ledger=told)
    made = subjects.restrict(7)
    (given,) = subjects.consent(7, "1.2(1)①")
    before = subjects.of(7)
    told.failing = True
    for change in (
        lambda: subjects.restrict(7, kind="erasure"),
        lambda: subjects.lift(made),
        lambda: subjects.consent(7, "AnyFeedback"),
        lambda: subjects.withdraw(7),
    ):
        with pytest.raises(OSError, match="no room"):
            change()
    assert subjects.of(7) == before
    assert given in before.consents


def test_a_ledger_in_the_same_store_is_told_in_the_same_transaction(store: Store, time: Time) -> None:
    ledger = Entries(store)
    subjects = Subjects(store, tm.NOTICE, clock=time.clock, ledger=ledger)
    subjects.restrict(7)
    ((kind, body),) = ledger.kept
    assert (kind, body["subject"], body["what"]) == ("restriction", store.pseudonym("7"), "suspension-of-use")


def test_several_changes_are_one_where_they_are_made_within_one_transaction(subjects: Subjects, store: Store) -> None:
    made = subjects.restrict(7)
    with store.writing() as connection:
        subjects.lift(made, within=connection)
        subjects.consent(7, "1.2(1)①", within=connection)
        subjects.restrict(8, within=connection)
    assert subjects.preferences(7).consents
    with pytest.raises(RequestError), store.writing() as connection:  # noqa: PT012  # the second one undoes the first
        subjects.withdraw(7, within=connection)
        subjects.lift(made, within=connection)
    assert subjects.preferences(7).consents
    assert subjects.preferences(8).all_suspended
