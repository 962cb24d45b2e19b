"""Ledgers that are kept: what they are told is read back, in order, and no more of it than they should say."""

from __future__ import annotations

import datetime
import functools
import threading
from typing import Any

import pytest
import sqlalchemy as sa

import purposeguard as pg
from purposeguard.errors import LedgerBroken
from purposeguard.governance.ledger import Hour, SqlLedger
from purposeguard.governance.ledger.tables import head as head_table
from purposeguard.governance.ledger.writing import CountKey
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.ledger import places
from tests.governance.ledger.places import DIGEST, C, D, Place, R
from tests.governance.support import START, Time
from tests.support import in_threads

NINE, TEN = "2026-05-02T09:00Z", "2026-05-02T10:00Z"


def bodies(ledger: Any, *kinds: str) -> list[dict[str, Any]]:
    return [dict(entry.body) for entry in ledger.entries(kinds or None)]


EXCEPTED = {"name": "shop.warrant", "basis": "law", "reason": "a warrant", "approver": "counsel"}
EXCEPTED |= {"until": "2026-05-03T09:15:00.000000Z"}
DENIED = {
    "error": "PurposeViolation",
    "observed": False,
    "activity": "mail",
    "function": "shop.read",
    "field": "device",
}
DENIED |= {"reason": "renewal-guidance (1.2(1)①) may not use product-data (1.1(b))", "purpose": "1.2(1)①"}
DENIED |= {"sources": ["1.1(b)"], "denied": ["1.1(b)"], "channel": None}
RECLASSIFIED: dict[str, Any] = {"name": "totals", "activity": "report", "sources": ["1.1(b)"], "to": ["not-personal"]}
RECLASSIFIED |= {"why": "a sum names nobody", "approver": "privacy"}
PROVIDED: dict[str, Any] = {"recipient": "mail-house", "kind": "domestic-contractor", "country": "JP", "clauses": ["4"]}
PROVIDED |= {"sources": ["1.1(a)"], "purpose": "1.2(1)①", "revision": "2024-04-01", "activity": "shop.mail.remind"}
PROVIDED |= {"means": "database-access", "product": None, "task": None}


def test_each_kind_of_entry_is_read_back_as_it_was_told(place: Place, time: Time) -> None:
    ledger = place.open(clock=time)
    named = place.store.pseudonym
    ledger.denied(places.denial(activity="mail", function="shop.read", field="device"), observed=False)
    outside = "data was read outside any purpose: say why"
    ledger.denied(pg.PurposeMissing(outside), observed=True)
    ledger.reclassified(places.RECLASSIFICATION, D, "report")
    ledger.excepted(places.EXCEPTION, R, "7", 3)
    ledger.excepted(places.EXCEPTION, R | C, None, 1)
    ledger.provided(places.PROVISION)
    ledger.append("restriction", {"what": "erasure", "subject": DIGEST, "id": 4, "purposes": None})
    ledger.append("consent", {"what": "withdrawn", "subject": DIGEST, "id": 5})
    ledger.append("request", {"subject": None, "did": "opened", "request": "disclosure"})
    ledger.append("sweep", {"step": "ended", "on": datetime.date(2026, 5, 2), "erased": {"orders": 3}})
    at = "2026-05-02T09:15:00.000000Z"
    found = list(ledger.entries())
    assert [(entry.seq, entry.at, entry.moment) for entry in found] == [(n, at, START) for n in range(1, 11)]
    assert [(entry.kind, dict(entry.body)) for entry in found] == [
        ("denial", DENIED),
        ("denial", {"error": "PurposeMissing", "observed": True, "reason": outside}),
        ("reclassification", RECLASSIFIED),
        ("exception", {**EXCEPTED, "sources": ["1.1(a)"], "subject": named("7"), "count": 3}),
        ("exception", {**EXCEPTED, "sources": ["1.1(a)", "1.1(c)"], "subject": None, "count": 1}),
        ("provision", {**PROVIDED, "handed_over": at, "count": 2, "subjects": [named("7"), named("8")]}),
        ("restriction", {"what": "erasure", "subject": DIGEST, "id": 4, "purposes": None}),
        ("consent", {"what": "withdrawn", "subject": DIGEST, "id": 5}),
        ("request", {"subject": None, "did": "opened", "request": "disclosure"}),
        ("sweep", {"step": "ended", "on": "2026-05-02", "erased": {"orders": 3}}),
    ]
    assert ledger.verify().entries == 10


def test_a_guard_is_refused_once_its_denial_is_on_record(place: Place) -> None:
    guard = pg.Guard(tm.NOTICE, ledger=place.open())
    other = place.open()
    device = pg.Personal("device", tm.ProductData)
    with guard.purpose(tm.RenewalGuidance, activity="mail") as use:
        for number in range(1, 4):
            with pytest.raises(pg.PurposeViolation):
                use.open(device)  # type: ignore[arg-type]  # the point of it
            assert on_record(other) == number


def on_record(ledger: SqlLedger) -> int:
    """The denials that are on record."""
    with ledger.reading() as reading:
        return len(list(reading.entries(["denial"]))) + sum(reading.head.repeated.values())


def test_the_same_denial_again_is_counted_and_becomes_an_entry_when_the_hour_is_over(
    place: Place, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, other = place.open(clock=time), place.open(clock=time)
    device, other_field = places.denial(activity="mail"), places.denial(activity="mail", field="plan")
    for refused in (device, other_field, device, device):
        ledger.denied(refused, observed=False)
    ledger.denied(device, observed=True)
    other.denied(device, observed=False)
    assert on_record(other) == 6
    found = [(body["field"], body["observed"]) for body in bodies(other, "denial")]
    assert found == [(None, False), ("plan", False), (None, True), (None, False)]
    assert closed(ledger, time) == [{**bodies(other)[0], "hour": NINE, "count": 2}]
    assert on_record(other) == 5
    monkeypatch.setattr("purposeguard.governance.ledger.sql.REPEATED", 0)
    ledger.denied(device, observed=False)
    assert "count" not in bodies(other, "denial")[-1]


def closed(ledger: SqlLedger, time: Time) -> list[dict[str, Any]]:
    """The entries that counts become when the hour is over."""
    before = ledger.verify().entries
    time.passes(hours=2)
    ledger.flush()
    return [dict(entry.body) for entry in ledger.entries() if entry.seq > before]


def test_no_subject_is_named_by_its_id(place: Place) -> None:
    ledger = place.open()
    for body in (
        {"what": "erasure", "subject": "taro@example.com"},
        {"subject": 7},
        {"subject": DIGEST.upper()},
        {"subjects": [DIGEST, "taro@example.com"]},
    ):
        with pytest.raises(ValueError, match=r"names subjects by `store\.pseudonym") as refused:
            ledger.append("restriction", body)
        assert "taro" not in str(refused.value)
    assert list(ledger.entries()) == []


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ({"share": 0.5}, TypeError, "holds no float"),
        ({"what": {1, 2}}, TypeError, "holds no set"),
        ({"what": b"bytes"}, TypeError, "holds no bytes"),
        ({7: "seven"}, TypeError, "keys of an entry are texts, not int"),
        ({"at": datetime.datetime(2026, 5, 2, 9)}, TypeError, "time zone"),  # noqa: DTZ001  # the point of it
        ({"what": "x" * 1_000_001}, ValueError, "at most 1,000,000"),
    ],
    ids=["fraction", "set", "bytes", "key", "naive", "long"],
)
@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_what_has_no_one_spelling_is_no_entry(place: Place, body: Any, error: type[Exception], message: str) -> None:
    ledger = place.open()
    with pytest.raises(error, match=message):
        ledger.append("sweep", body)
    with pytest.raises(ValueError, match="no entries of kind `sweeep`: use, denial"):
        ledger.append("sweeep", {})
    ledger.append("sweep", {})
    assert [entry.seq for entry in ledger.entries()] == [1]


def test_any_text_is_read_back(place: Place) -> None:
    ledger = place.open()
    told = ["", '"\\', "\x00\x1f\x7f", "\u2028\n\r\t", "①日本語🦉", "e\u0301 é", "\ufeff", "\ud800 half"]
    ledger.append("sweep", {text: [text, {text: text}] for text in told})
    as_kept = [*told[:-1], "\\ud800 half"]
    assert bodies(ledger) == [{text: [text, {text: text}] for text in as_kept}]
    assert ledger.verify().entries == 1


def today(hour: int, minute: int = 0) -> datetime.datetime:
    return START.replace(hour=hour, minute=minute)


def use_of(activity: str | None, hour: str = NINE, source: str = "1.1(a)", purpose: str = "1.2(1)①") -> Hour:
    return Hour(hour, activity, purpose, (source,))


def test_uses_are_added_up_by_activity_sources_purpose_and_hour(place: Place, time: Time) -> None:
    ledger = place.open(clock=time)
    guard = pg.Guard(tm.NOTICE, ledger=ledger)
    name, plan = pg.Personal("name", tm.Registration), pg.Personal("plan", tm.Contract)
    with guard.purpose(tm.RenewalGuidance, activity="mail") as use:
        for _ in range(1000):
            use.open(name)
        use.open(name.zip(plan))
    guard.check(tm.Registration, tm.RenewalGuidance)
    nine = {use_of("mail"): 1000, Hour(NINE, "mail", "1.2(1)①", ("1.1(a)", "1.1(c)")): 1, use_of(None): 1}
    assert ledger.uses() == nine
    assert list(ledger.entries()) == []  # the hour is not over
    time.passes(minutes=45)
    with guard.purpose(tm.RenewalGuidance, activity="mail") as use:
        use.open(name)
    assert ledger.uses() == {**nine, use_of("mail", TEN): 1}
    assert sum(entry.body["count"] for entry in ledger.entries()) == 1002
    assert {entry.kind for entry in ledger.entries()} == {"use"}
    ledger.close()
    assert bodies(ledger, "use")[-1] == use_of("mail", TEN).body(1)
    for since, until, hours in (
        (None, today(10), {NINE}),
        (today(9), today(10), {NINE}),
        (today(9, 1), None, {TEN}),
        (today(10), today(10, 1), {TEN}),
        (today(10, 1), None, set()),
        (None, today(9), set()),
    ):
        assert {key.hour for key in ledger.uses(since, until)} == hours


def test_an_entry_writes_no_count(place: Place, time: Time) -> None:
    ledger, other = place.open(clock=time), place.open(clock=time)
    tick = ledger.counter("mail", "1.2(1)①", R)
    tick()
    with pytest.raises(TypeError):
        ledger.append("sweep", {"share": 0.5})
    ledger.append("sweep", {"number": 1})
    assert not other.uses()
    ledger.flush()
    assert other.uses() == {use_of("mail"): 1}
    time.passes(hours=1)
    tick()
    ledger.append("sweep", {"number": 2})
    ledger.flush()
    assert other.uses() == {use_of("mail"): 1, use_of("mail", TEN): 1}
    kinds = [(entry.kind, entry.body.get("number", entry.body.get("hour"))) for entry in other.entries()]
    assert kinds == [("sweep", 1), ("sweep", 2), ("use", NINE)]
    ledger.close()
    assert other.uses() == {use_of("mail"): 1, use_of("mail", TEN): 1}
    assert other.verify().entries == 4


def test_counts_are_written_in_the_background(place: Place) -> None:
    ledger, other = place.open(interval=0.05), place.open()
    told = threading.Event()
    ledger.counter("mail", "1.2(1)①", R)()
    for _ in range(1200):
        if other.uses():
            break
        told.wait(0.05)
    assert [key.activity for key in other.uses()] == ["mail"]


def test_an_hour_is_closed_though_nothing_is_used_after_it(place: Place, time: Time) -> None:
    ledger = place.open(clock=time)
    ledger._counters.add("mail", "1.2(1)①", R, 5)
    ledger.flush()
    ledger.flush()
    assert list(ledger.entries()) == []
    time.passes(hours=3)
    ledger.flush()
    assert bodies(ledger) == [use_of("mail").body(5)]
    ledger.flush()
    ledger.close()
    assert len(list(ledger.entries())) == 1


def test_two_processes_count_into_the_same_hour(place: Place, time: Time) -> None:
    one, other = place.open(clock=time), place.open(clock=time)
    for ledger, count in ((one, 3), (other, 4), (one, 5)):
        ledger._counters.add("mail", "1.2(1)①", R, count)
        ledger.flush()
    assert one.uses() == other.uses() == {use_of("mail"): 12}
    one.close()  # the other counts on
    assert bodies(other) == [use_of("mail").body(8)]
    other._counters.add("mail", "1.2(1)①", R, 1)
    other.close()
    assert bodies(other) == [use_of("mail").body(8), use_of("mail").body(5)]
    assert other.uses() == {use_of("mail"): 13}
    assert other.verify().entries == 2


def test_counts_of_a_process_that_was_killed_become_entries_of_another(place: Place, time: Time) -> None:
    killed, other = place.open(clock=time), place.open(clock=time)
    for ledger, count in ((killed, 3), (other, 4)):
        ledger._counters.add("mail", "1.2(1)①", R, count)
        ledger.flush()
    assert closed(other, time) == [use_of("mail").body(7)]
    assert other.uses() == {use_of("mail"): 7}
    killed.flush()
    killed.close()
    assert other.verify().entries == 1


def test_counts_are_written_once_though_they_cannot_become_entries(place: Place, time: Time) -> None:
    ledger = place.open(clock=time)
    kept = place.row(head_table, 1)
    ledger._counters.add("mail", "1.2(1)①", R, 3)
    ledger.flush()
    place.change(sa.delete(head_table))
    time.passes(hours=2)
    for number in (1, 1):
        ledger._counters.add("mail", "1.2(1)①", R, number)
        with pytest.raises(LedgerBroken):
            ledger.flush()
    place.change(sa.insert(head_table).values(kept))
    ledger._counters.add("mail", "1.2(1)①", R, 1)
    ledger.flush()
    assert sum(ledger.uses().values()) == 6
    assert sum(body["count"] for body in bodies(ledger, "use")) == 3


def test_counts_that_change_while_they_become_entries_are_left_for_later(
    place: Place, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, other = place.open(clock=time), place.open(clock=time)
    ledger._counters.add("mail", "1.2(1)①", R, 3)
    ledger.flush()
    write = other._write

    def late(writing: Any, **options: bool) -> None:
        if writing.taken:
            ledger._write(ledger._make_writing(counts={CountKey(NINE, "use", use_of("mail").text): 2}))
        write(writing, **options)

    monkeypatch.setattr(other, "_write", late)
    time.passes(hours=2)
    other._counters.add("mail", "1.2(1)①", R, 1)
    other.flush()
    monkeypatch.undo()
    assert other.verify().entries == 0
    assert sum(other.uses().values()) == 6
    time.passes(hours=1)
    other.flush()
    assert sorted(body["count"] for body in bodies(other, "use")) == [1, 5]


def test_a_clock_that_was_ahead_once_does_not_make_an_entry_of_each_count(place: Place, time: Time) -> None:
    wrong = place.open(clock=Time(START + datetime.timedelta(days=3650)))
    wrong.append("sweep", {})
    ledger = place.open(clock=time)
    for _ in range(5):
        ledger._counters.add("mail", "1.2(1)①", R, 1)
        ledger.flush()
    assert ledger.verify().entries == 1
    time.passes(hours=1)
    ledger.flush()
    assert [body["count"] for body in bodies(ledger, "use")] == [5]
    assert ledger.uses() == {Hour(NINE, "mail", "1.2(1)①", ("1.1(a)",)): 5}


def test_a_clock_that_is_set_back_changes_no_order(place: Place, time: Time) -> None:
    ledger = place.open(clock=time)
    ledger.append("sweep", {"number": 1})
    time.passes(days=-400)
    ledger.append("sweep", {"number": 2})
    other = place.open(clock=time)  # a process that was started later, and never saw the time before
    other.append("sweep", {"number": 3})
    other._counters.add("mail", "1.2(1)①", R, 1)
    other.flush()
    back = time.now
    time.passes(days=401)
    other.append("sweep", {"number": 4})
    other.flush()
    assert [entry.body["number"] for entry in ledger.entries(["sweep"])] == [1, 2, 3, 4]
    assert [entry.moment for entry in ledger.entries(["sweep"])] == [START, back, back, time.now]
    assert [key.hour for key in ledger.uses()] == ["2025-03-28T09:00Z"]
    assert ledger.verify().entries == 5
    assert ledger.verify().went_back == 1


def test_one_time_far_ahead_dates_no_other_entry_and_keeps_no_count_open(place: Place, time: Time) -> None:
    ledger = place.open(clock=time)
    time.passes(days=3650)
    ledger.append("sweep", {"number": 1})
    ledger._counters.add("mail", "1.2(1)①", R, 1)
    ledger.flush()
    time.passes(days=-3650)
    ledger.append("sweep", {"number": 2})
    ledger.flush()
    assert [entry.moment for entry in ledger.entries(["sweep"])] == [START + datetime.timedelta(days=3650), START]
    assert [entry.kind for entry in ledger.entries()].count("use") == 1
    assert sum(ledger.uses(since=START).values()) == 1
    assert ledger.verify().went_back == 1


def test_a_clock_without_a_time_zone_is_refused(place: Place) -> None:
    ledger = place.open(clock=lambda: datetime.datetime(2026, 5, 2, 9))  # noqa: DTZ001  # the point of it
    with pytest.raises(ValueError, match="time zone"):
        ledger.append("sweep", {})
    assert list(place.open().entries()) == []


def test_entries_are_found_by_kind_and_time(place: Place, time: Time) -> None:
    ledger = place.open(clock=time)
    for number in range(6):
        ledger.append("sweep" if number % 2 else "erasure", {"number": number})
        time.passes(minutes=10)

    def found(**wanted: Any) -> list[int]:
        return [entry.body["number"] for entry in ledger.entries(**wanted)]

    third = START + datetime.timedelta(minutes=20)
    assert found() == [0, 1, 2, 3, 4, 5]
    assert found(kinds=["sweep"]) == [1, 3, 5]
    assert found(kinds=["denial"]) == found(kinds=[]) == []
    assert found(since=third) == [2, 3, 4, 5]
    assert found(until=third) == [0, 1]
    assert found(kinds=["sweep"], since=third, until=third + datetime.timedelta(minutes=30)) == [3]
    tokyo = third.astimezone(datetime.timezone(datetime.timedelta(hours=9)))
    assert found(since=tokyo) == [2, 3, 4, 5]


def test_threads_write_one_chain(place: Place) -> None:
    ledgers = [place.open() for _ in range(2)]

    def write(ledger: Any, who: int) -> None:
        for number in range(10):
            ledger.append("sweep", {"who": who, "number": number})
            ledger._counters.add(f"job {who}", "1.2(1)①", R, 1)
            ledger.flush()

    in_threads(functools.partial(write, ledgers[who % 2], who) for who in range(4))
    found = bodies(ledgers[0], "sweep")
    assert [[one["number"] for one in found if one["who"] == who] for who in range(4)] == [list(range(10))] * 4
    assert ledgers[0].verify().entries == 40
    assert sorted(ledgers[1].uses().values()) == [10] * 4


def test_a_hash_that_was_noted_is_looked_for(place: Place) -> None:
    ledger = place.open()
    ledger.append("sweep", {"number": 1})
    verdict = ledger.verify()
    assert ledger.verify(expect=verdict.head.hash) == verdict
    ledger.append("sweep", {"number": 2})
    assert ledger.verify(expect=verdict.head.hash).entries == 2
    with pytest.raises(LedgerBroken, match="no entry has the hash that was noted"):
        ledger.verify(expect="0" * 64)
