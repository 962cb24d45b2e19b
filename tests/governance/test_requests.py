"""The request desk (clause 7), on both databases: from receipt to answer, and what may not be done."""

from __future__ import annotations

import copy
import datetime
import re
from typing import Any

import pytest
import sqlalchemy as sa

import purposeguard as pg
from purposeguard.errors import RequestError, StoreUnavailable
from purposeguard.governance.request_records import request as table
from purposeguard.governance.request_records import step
from purposeguard.governance.requests import Requests
from purposeguard.governance.store import Store
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import SubjectPreferences
from tests.governance.disclosures import NOTICE, NOW, report
from tests.governance.support import DAY, TODAY, Entries, LedgerElsewhere, Time, refusing, requests

SAID = "Aiko of Kyoto said so"


@pytest.fixture
def time() -> Time:
    return Time(NOW)


def opened(it: Requests, kind: str = "suspension-of-use", **more: Any) -> Any:
    return it.open(kind, **{"subject": 7, **more})


def verified(it: Requests, kind: str = "suspension-of-use", **more: Any) -> Any:
    return it.verify(opened(it, kind, **more), how="log-in", by="clerk 3")


def preferences(it: Requests, subject: Any = 7) -> SubjectPreferences:
    return it.subjects.preferences(subject)


def test_what_is_opened_once_is_alike_in_everything(store: Store, time: Time) -> None:
    it = requests(store, time)
    same: dict[str, Any] = {"received_at": NOW, "by": "clerk 1", "note": "by letter", "once": True}
    first = opened(it, subject=None, purposes=["1.2(1)①"], **same)
    time.passes(hours=1)
    assert opened(it, subject=None, purposes=["1.2(1)①"], **same) == first
    named = it.verify(first, how="log-in", by="clerk 2", subject=7)
    assert opened(it, subject=None, purposes=["1.2(1)①"], **same) == named
    others: list[dict[str, Any]] = [{"subject": 8}, {"purposes": None}, {"received_at": NOW - DAY}, {"by": "clerk 2"}]
    others += [{"note": "by telephone"}, {"requester": "agent"}, {"requester": "agent", "authority": "file 7"}]
    others += [{"once": False}]
    numbers = [opened(it, **{"subject": None, "purposes": ["1.2(1)①"], **same, **other}).id for other in others]
    assert numbers == list(range(2, 10))


def test_a_step_after_one_that_is_not_the_last_is_refused(store: Store, time: Time) -> None:
    it = requests(store, time)
    one = opened(it)
    it.extend(one, days=3, reason="more time", by="clerk", after=1)
    for step_after in (
        lambda: it.verify(one, how="log-in", by="clerk", after=1),
        lambda: it.refuse(one, reason="no", by="clerk", after=3),
        lambda: it.withdraw(one, by="clerk", after=0),
    ):
        with refusing("^request 1 .suspension-of-use. has moved on"):
            step_after()
    it.verify(one, how="log-in", by="clerk", after=2)
    with refusing("its last step is 3, and 2 was the last that was seen"):
        it.fulfil(one, by="clerk", after=2)
    assert it.fulfil(one, by="clerk", after=3).request.state == "fulfilled"


def test_a_listing_is_of_pages_that_exist(store: Store) -> None:
    it = requests(store)
    empty = it.listing()
    assert (empty.requests, empty.total, empty.number, empty.pages, empty.today) == ((), 0, 1, 1, TODAY)
    with pytest.raises(ValueError, match="counted from 1"):
        it.listing(number=0)
    with pytest.raises(ValueError, match="counted from 1"):
        it.listing(size=0)


def test_clause_7_a_request_is_received_verified_and_fulfilled(store: Store, time: Time) -> None:
    it = requests(store, time)
    one = opened(it, purposes=[tm.RenewalGuidance], by="clerk 1", note="by telephone")
    assert (one.state, one.subject, one.purposes, one.requester) == ("open", "7", ("1.2(1)①",), "subject")
    assert (one.received_at, one.due_on, one.pending) == (NOW, TODAY + 14 * DAY, True)
    time.passes(days=1)
    it.verify(one, how="called back", by="clerk 2")
    time.passes(days=1)
    answer = it.fulfil(one.id, by="clerk 3")
    assert (answer.request.state, answer.request.closed_at, answer.report) == ("fulfilled", NOW + 2 * DAY, None)
    assert it.get(one) == answer.request
    assert answer.restriction is not None
    assert (answer.restriction.request, answer.restriction.at, answer.restriction.until) == (one.id, NOW, None)
    assert preferences(it) == SubjectPreferences(suspended=frozenset({"1.2(1)①"}))
    assert [(each.number, each.by, each.did, each.state, each.text) for each in it.steps(one)] == [
        (1, "clerk 1", "opened", "open", "by telephone"),
        (2, "clerk 2", "verified", "verified", "called back"),
        (3, "clerk 3", "fulfilled", "fulfilled", None),
    ]
    assert [each.at for each in it.steps(one)] == [NOW, NOW + DAY, NOW + 2 * DAY]


EFFECTS = {
    "notification-of-purposes": SubjectPreferences(),
    "disclosure": SubjectPreferences(),
    "correction": SubjectPreferences(),
    "addition": SubjectPreferences(),
    "deletion": SubjectPreferences(),
    "suspension-of-use": SubjectPreferences(all_suspended=True),
    "erasure": SubjectPreferences(erased=True),
    "stop-of-provision": SubjectPreferences(provision_stopped=True),
}


def test_clause_7_each_kind_of_request_has_its_effect(store: Store) -> None:
    it = requests(store)
    assert it.notice.document.rights is not None
    assert [row.id for row in it.notice.document.rights.request] == list(EFFECTS)
    for kind, expected in EFFECTS.items():
        answer = it.fulfil(verified(it, kind, subject=kind), by="clerk", done="as asked")
        assert preferences(it, kind) == expected
        assert (answer.restriction is not None) is (expected != SubjectPreferences())
    assert preferences(it, 8) == SubjectPreferences()


def test_clause_7_an_agent_s_request_needs_an_authority_on_record(store: Store) -> None:
    it = requests(store)
    one = opened(it, requester="agent")
    with refusing("no authority is on record"):
        it.verify(one, how="passport", by="clerk")
    it.verify(one, how="passport", by="clerk", authority="power of attorney, file 12")
    assert it.get(one).authority == "power of attorney, file 12"
    answer = it.fulfil(one, by="clerk")
    assert answer.restriction is not None
    assert answer.restriction.by == "agent"
    other = opened(it, requester="agent", authority="file 13")
    assert it.verify(other, how="passport", by="clerk").state == "verified"
    mine = opened(it)
    with refusing("no agent asked"):
        it.verify(mine, how="passport", by="clerk", authority="file 14")
    with refusing("only an agent acts by an authority"):
        opened(it, authority="file 15")


def test_whom_it_is_about_may_be_known_later(store: Store) -> None:
    it = requests(store)
    one = it.open("erasure")
    assert one.subject is None
    with refusing("nobody said whose data it is about"):
        it.verify(one, how="letter", by="clerk")
    it.verify(one, how="letter", by="clerk", subject=" 7".strip())
    assert it.get(one).subject == "7"
    known = opened(it)
    with refusing("about another subject") as caught:
        it.verify(known, how="letter", by="clerk", subject=8)
    assert "8" not in str(caught.value).replace(str(known.id), "")
    it.verify(known, how="letter", by="clerk", subject="7")


def test_a_request_about_somebody_whom_nobody_knows_is_a_request(store: Store) -> None:
    it = requests(store)
    one = verified(it, "erasure", subject="00000000-0000-0000-0000-00000000ABCD")
    it.fulfil(one, by="clerk")
    assert preferences(it, "{00000000-0000-0000-0000-00000000abcd}").erased
    assert it.of("nobody") == ()


def test_what_the_application_does_is_to_be_said(store: Store) -> None:
    it = requests(store)
    for kind in ("correction", "disclosure"):  # a desk by itself makes no reports
        one = verified(it, kind)
        with refusing("say what was done"):
            it.fulfil(one, by="clerk")
        it.fulfil(one, by="clerk", done="the address is put right")
        assert it.steps(one)[-1].text == "the address is put right"


def test_a_disclosure_is_answered_with_a_report(store: Store) -> None:
    told: list[Any] = []

    def disclose(asked: Any, /, **more: Any) -> Any:
        told.append((asked.id, asked.state, more))
        if len(told) == 1:
            raise ConnectionError
        return report()

    it = requests(store, disclose=disclose)
    one = verified(it, "disclosure")
    with pytest.raises(ConnectionError):
        it.fulfil(one, by="clerk", language="ja", values=True)
    assert it.get(one).state == "verified"  # nothing is written before there is an answer
    assert it.fulfil(one, by="clerk", language="ja", values=True).report == report()
    assert told == [(one.id, "verified", {"by": "clerk", "language": "ja", "values": True})] * 2
    with pytest.raises(RequestError):
        it.fulfil(one, by="clerk")
    assert len(told) == 2  # nobody's data is read for a request that is closed


def test_only_a_verified_request_is_fulfilled(store: Store) -> None:
    it = requests(store)
    one = opened(it)
    with pytest.raises(RequestError) as caught:
        it.fulfil(one, by="clerk")
    assert str(caught.value) == (
        f"request {one.id} (suspension-of-use) cannot be fulfilled: it is open, and only a verified request is "
        f"fulfilled (help: verify first who asks, `requests.verify({one.id}, how=…, by=…)`)"
    )
    assert preferences(it) == SubjectPreferences()
    it.verify(one, how="log-in", by="clerk")
    with refusing("it is verified already"):
        it.verify(one, how="log-in", by="clerk")


def test_a_closed_request_is_not_changed(store: Store) -> None:
    it = requests(store)

    def ways(one: Any) -> dict[str, Any]:
        return {
            "fulfil": lambda: it.fulfil(one, by="clerk"),
            "refuse": lambda: it.refuse(one, reason="no such data", by="clerk"),
            "withdraw": lambda: it.withdraw(one, by="clerk"),
            "verify": lambda: it.verify(one, how="x", by="clerk"),
            "extend": lambda: it.extend(one, reason="x", by="clerk", days=1),
        }

    for end in ("fulfil", "refuse", "withdraw"):
        one = verified(it)
        ways(one)[end]()
        before = it.get(one), it.steps(one), preferences(it)
        for again in ways(one).values():
            with refusing(r"was (fulfilled|refused|withdrawn) on 2026-05-02, and what is closed is not changed"):
                again()
        assert (it.get(one), it.steps(one), preferences(it)) == before


def test_a_refusal_says_why_and_restricts_nothing(store: Store) -> None:
    it = requests(store)
    one, other = opened(it), verified(it)
    it.refuse(one, reason="who asked could not be found", by="clerk")
    it.withdraw(other, by="clerk", reason="changed their mind")
    assert preferences(it) == SubjectPreferences()
    assert it.reasons(it.of(7)) == {one.id: "who asked could not be found"}
    assert [each.state for each in it.of(7)] == ["refused", "withdrawn"]
    with pytest.raises(TypeError, match="`reason` is a text, not NoneType"):
        it.refuse(opened(it), reason=None, by="clerk")  # type: ignore[arg-type]  # that is the point


NO_REQUESTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"kind": "suspension"}, RequestError, r"grants no request `suspension` \(help: suspension-of-use"),
    ({"kind": "free-text"}, RequestError, "notification-of-purposes, disclosure"),
    ({"requester": "neighbour"}, RequestError, "takes requests from subject or agent, not `<a text of 9 characters>`"),
    ({"kind": "erasure", "purposes": ["1.2(1)①"]}, RequestError, "only use is suspended for some"),
    ({"kind": "correction", "suspend_while_open": True}, RequestError, "stops nothing"),
    ({"purposes": ["1.2(1)①", "9.9①"]}, pg.UnknownPurpose, "9.9①"),
    ({"purposes": []}, ValueError, "no purpose was given"),
    ({"purposes": 7}, pg.UnknownPurpose, "a text or a class"),
    ({"subject": True}, TypeError, "a subject's id"),
    ({"subject": " "}, ValueError, "a subject's id"),
    ({"note": ""}, ValueError, "`note` is a text, not blank"),
    ({"note": "a\0"}, ValueError, "`note` is a text"),
    ({"note": "a\ud800"}, ValueError, "`note` is a text"),
    ({"note": "a" * 10_001}, ValueError, "`note` is a text"),
    ({"received_at": NOW + DAY}, ValueError, "lies in the future"),
    ({"received_at": NOW.replace(tzinfo=None)}, ValueError, "time zone"),
    ({"received_at": NOW.date()}, TypeError, "datetime"),
]


def test_what_is_no_request_is_not_put_on_record(store: Store) -> None:
    it = requests(store)
    for more, kind, told in NO_REQUESTS:
        with pytest.raises(kind) as caught:
            it.open(**{"kind": "suspension-of-use", "subject": 7, **more})
        assert re.search(told, str(caught.value)), more
    with store.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0
        assert connection.execute(sa.select(sa.func.count()).select_from(step)).scalar_one() == 0


def test_a_request_that_is_not_there_is_an_error(store: Store) -> None:
    it = requests(store)
    for number in (17, 0, -1, 2**63):
        for act in (it.get, it.steps, lambda one: it.fulfil(one, by="clerk"), lambda one: it.withdraw(one, by="clerk")):
            with refusing(r"there is no request (17|of such a number)"):
                act(number)
    with pytest.raises(TypeError, match="named by its number"):
        it.get("17")  # type: ignore[arg-type]  # that is the point


def test_a_notice_without_rights_takes_no_requests(store: Store) -> None:
    tables = {key: value for key, value in NOTICE.dump().items() if key != "rights"}
    it = requests(store, notice=pg.Notice.parse(tables))
    assert it.days is None
    with refusing(r"has no \[rights\] \(clause 7\)"):
        it.open("erasure", subject=7)


def test_a_notice_may_take_requests_from_the_subject_alone(store: Store) -> None:
    tables = copy.deepcopy(NOTICE.dump())
    tables["rights"]["requesters"] = ["subject"]
    with refusing("takes requests from subject, not `agent`"):
        requests(store, notice=pg.Notice.parse(tables)).open("erasure", requester="agent")


def test_purposes_that_a_later_revision_has_no_more(store: Store) -> None:
    it = requests(store)
    gone = verified(it, purposes=["2.3①"])
    some = verified(it, purposes=["2.3①", "2.2①"])
    tables = copy.deepcopy(NOTICE.dump())
    tables["revision"] = "2027-01-01"
    for grant in tables["grant"]:
        grant["purpose"] = [row for row in grant["purpose"] if row["id"] != "2.3①"]
    it.subjects.notice = pg.Notice.parse(tables)
    with refusing("has none of the purposes that it is about"):
        it.fulfil(gone, by="clerk")
    assert it.get(gone).state == "verified"
    answer = it.fulfil(some, by="clerk")
    assert answer.restriction is not None
    assert answer.restriction.purposes == ("2.2①",)


DEADLINES = {
    "2026-05-02T14:59:59+00:00": "2026-05-16",  # still the second of May in Tokyo
    "2026-05-02T15:00:00+00:00": "2026-05-17",
    "2024-02-15T09:00:00+09:00": "2024-02-29",
    "2023-12-24T23:00:00-05:00": "2024-01-08",
}


def test_clause_7_the_deadline_is_counted_in_days_of_the_notice_s_time_zone(store: Store) -> None:
    it = requests(store)
    for received, due_on in DEADLINES.items():
        one = opened(it, received_at=datetime.datetime.fromisoformat(received))
        assert one.due_on == datetime.date.fromisoformat(due_on)


def test_daylight_saving_moves_no_deadline(store: Store) -> None:
    tables = NOTICE.dump() | {"timezone": "Europe/Berlin"}
    it = requests(store, notice=pg.Notice.parse(tables))
    before = datetime.datetime(2026, 3, 28, 22, 59, tzinfo=datetime.UTC)  # 23:59, the night before clocks go forward
    for received in (before, before + datetime.timedelta(minutes=1)):
        one = opened(it, received_at=received)
        assert one.due_on == received.astimezone().date().replace(month=4, day=11 if received == before else 12)


def test_a_desk_may_have_a_deadline_of_its_own(store: Store) -> None:
    assert opened(requests(store, days=30)).due_on == TODAY + 30 * DAY
    assert opened(requests(store, notice=tm.NOTICE)).due_on is None
    for days, kind in ((0, ValueError), (-1, ValueError), (10**6, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(kind, match="a period is"):
            requests(store, days=days)


def test_a_deadline_is_put_off_once_with_a_reason(store: Store, time: Time) -> None:
    it = requests(store, time)
    one = opened(it)
    after = it.extend(one, reason="many requests", by="clerk", days=7)
    assert (after.due_on, after.extended, after.state) == (TODAY + 21 * DAY, True, "open")
    with refusing("put off before"):
        it.extend(one, reason="still many", by="clerk", days=7)
    other = verified(it)
    assert it.extend(other, reason="abroad", by="clerk", days=1).due_on == TODAY + 15 * DAY
    assert it.steps(other)[-1].text == "abroad"
    third = opened(it)
    time.passes(days=14)
    it.extend(opened(it, received_at=NOW), reason="on its last day", by="clerk", days=1)
    time.passes(days=1)
    with refusing("its deadline passed on 2026-05-17"):
        it.extend(third, reason="x", by="clerk", days=1)
    assert it.get(third).due_on == TODAY + 14 * DAY


def test_what_is_no_extension_is_refused(store: Store) -> None:
    it = requests(store)
    one = opened(it)
    for days, kind in ((0, ValueError), (-1, ValueError), (10**6, ValueError), (1.5, TypeError)):
        with pytest.raises(kind, match="a period is"):
            it.extend(one, reason="x", by="clerk", days=days)  # type: ignore[arg-type]  # 1.5
    with pytest.raises(ValueError, match="`reason`"):
        it.extend(one, reason=" ", by="clerk", days=1)
    without = opened(requests(store, notice=tm.NOTICE))
    with refusing("it has no deadline"):
        it.extend(without, reason="x", by="clerk", days=1)


def test_an_overview_counts_and_puts_the_most_urgent_first(store: Store, time: Time) -> None:
    it = requests(store, time)
    late = opened(it, received_at=NOW - 20 * DAY)
    never = opened(requests(store, time, notice=tm.NOTICE), "erasure")
    soon = verified(it, "erasure", received_at=NOW - 14 * DAY)  # today is its last day
    later = opened(it, "disclosure")
    it.fulfil(verified(it, "erasure"), by="clerk")
    it.refuse(opened(it, "erasure"), reason="x", by="clerk")
    found = it.overview()
    assert (found.as_of, found.today) == (NOW, TODAY)
    assert [one.id for one in found.pending] == [late.id, soon.id, later.id, never.id]
    assert [one.id for one in found.overdue] == [late.id]
    assert list(found.counts.items()) == [
        (("disclosure", "open"), 1),
        (("erasure", "open"), 1),
        (("erasure", "verified"), 1),
        (("erasure", "fulfilled"), 1),
        (("erasure", "refused"), 1),
        (("suspension-of-use", "open"), 1),
    ]
    time.passes(days=1)
    assert [one.id for one in it.overview().overdue] == [late.id, soon.id]


MEANWHILE = {
    "suspension-of-use": (SubjectPreferences(all_suspended=True), SubjectPreferences(all_suspended=True)),
    # What is erased too soon is lost.
    "erasure": (SubjectPreferences(all_suspended=True), SubjectPreferences(erased=True)),
    "stop-of-provision": (SubjectPreferences(provision_stopped=True), SubjectPreferences(provision_stopped=True)),
}


def test_use_may_be_suspended_while_a_request_is_open(store: Store) -> None:
    it = requests(store, suspend_while_open=True)
    for kind, (meanwhile, then) in MEANWHILE.items():
        for end in ("fulfil", "refuse", "withdraw"):
            subject = f"{kind} {end}"
            one = opened(it, kind, subject=subject)
            assert preferences(it, subject) == meanwhile
            it.verify(one, how="x", by="clerk")
            assert preferences(it, subject) == meanwhile
            if end == "fulfil":
                it.fulfil(one, by="clerk")
                assert preferences(it, subject) == then
            else:
                it.refuse(one, reason="x", by="clerk") if end == "refuse" else it.withdraw(one, by="clerk")
                assert preferences(it, subject) == SubjectPreferences()
            assert it.get(one).interim is None


def test_use_is_suspended_once_it_is_known_whose(store: Store) -> None:
    it = requests(store)
    one = it.open("suspension-of-use", purposes="1.2(1)①", suspend_while_open=True)
    assert one.interim is None
    assert it.verify(one, how="x", by="clerk", subject=7).interim is not None
    assert preferences(it).suspended == {"1.2(1)①"}
    it.refuse(one, reason="x", by="clerk")
    assert preferences(it) == SubjectPreferences()
    assert opened(requests(store, suspend_while_open=True), suspend_while_open=False).interim is None
    assert opened(requests(store, suspend_while_open=True), "correction").interim is None


def test_an_interim_suspension_that_was_lifted_by_hand_stands_in_nobody_s_way(store: Store) -> None:
    it = requests(store, suspend_while_open=True)
    one = opened(it)
    it.subjects.lift(one.interim)
    assert it.withdraw(one, by="clerk").state == "withdrawn"


def test_the_ledger_is_told_of_each_step_and_not_what_was_said(store: Store) -> None:
    ledger = Entries(store)
    it = requests(store, ledger=ledger)
    one = opened(it, requester="agent", authority=SAID, by="clerk", note=SAID)
    it.verify(one, how=SAID, by="clerk")
    it.extend(one, reason=SAID, by="clerk", days=3)
    it.fulfil(one, by="clerk 2", done=SAID)
    it.refuse(it.open("erasure", note=SAID), reason=SAID, by="clerk 3")
    assert "Aiko" not in repr(ledger.kept)
    assert "'7'" not in repr(ledger.kept)
    assert [(kind, body.get("did") or body.get("what")) for kind, body in ledger.kept] == [
        ("request", "opened"),
        ("request", "verified"),
        ("request", "extended"),
        ("restriction", "suspension-of-use"),
        ("request", "fulfilled"),
        ("request", "opened"),
        ("request", "refused"),
    ]
    assert ledger.kept[1][1] == {
        "did": "verified",
        "by": "clerk",
        "request": one.id,
        "kind": "suspension-of-use",
        "requester": "agent",
        "subject": store.pseudonym("7"),
        "purposes": None,
        "revision": "2024-04-01",
        "due_on": "2026-05-17",
        "state": "verified",
    }
    assert ledger.kept[-1][1]["subject"] is None
    clerks = [body["by"] for kind, body in ledger.kept if kind == "request"]
    assert clerks == ["clerk", "clerk", "clerk", "clerk 2", None, "clerk 3"]


def test_a_ledger_elsewhere_is_told_too(store: Store) -> None:
    ledger = LedgerElsewhere()
    it = requests(store, ledger=ledger)
    it.fulfil(verified(it), by="clerk")
    told = [body["did"] if kind == "request" else body["what"] for kind, body in ledger.kept]
    assert told == ["opened", "verified", "suspension-of-use", "fulfilled"]
    assert {body["subject"] for _, body in ledger.kept} == {store.pseudonym("7")}


def test_what_the_ledger_cannot_be_told_does_not_happen(store: Store) -> None:
    ledger = Entries(store)
    it = requests(store, ledger=ledger)
    one = verified(it)
    ledger.failing = True
    with pytest.raises(OSError, match="no room"):
        it.fulfil(one, by="clerk")
    with pytest.raises(OSError, match="no room"):
        opened(it)
    assert it.get(one).state == "verified"
    assert preferences(it) == SubjectPreferences()
    assert len(it.steps(one)) == 2
    assert [each.id for each in it.of(7)] == [one.id]


def test_what_cannot_be_kept_does_not_happen(store: Store) -> None:
    it = requests(store)
    one = verified(it)
    with store.writing() as connection:
        connection.execute(sa.text("DROP TABLE purposeguard_request_step"))
    with pytest.raises(StoreUnavailable):
        it.fulfil(one, by="clerk")
    assert it.get(one).state == "verified"
    assert preferences(it) == SubjectPreferences()


def test_requests_show_nothing_of_whom_they_are_about(store: Store) -> None:
    it = requests(store)
    one = opened(it, requester="agent", authority=SAID, subject="aiko@example.org", note=SAID)
    it.refuse(one, reason=SAID, by="clerk")
    shown = repr(it.get(one)) + repr(it.steps(one)) + repr(it.overview())
    assert "aiko" not in shown
    assert "Aiko" not in shown
