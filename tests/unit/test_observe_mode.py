"""In observe mode, functions of the application run whatever the library finds out about their data."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest

import purposeguard as pg
from purposeguard.errors import StoreUnavailable, TooFewSubjects, UnknownRecipient
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Provision, Recipient
from purposeguard.runtime import observer
from purposeguard.runtime.current_use import ReportUnresolved, is_observing
from purposeguard.runtime.entry_point import EntryPoint
from purposeguard.runtime.observer import ObservedLog
from tests.support import RecordingObserver
from tests.unit.models import MarkedCustomer
from tests.unit.oversights import Office


@dataclasses.dataclass
class Contact:
    email: Annotated[str, tm.Registration]


class Unreachable(Office):
    """A governance whose store does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = True

    def provided(self, provision: Provision, /) -> None:
        raise StoreUnavailable("the store is closed")

    def recipient(self, recipient_id: str, /) -> Recipient:
        raise UnknownRecipient(recipient_id, "is not on the register")


AIKO = MarkedCustomer(7, "a@example.com", "laptop")
EMAIL = pg.Personal("a@example.com", tm.Registration)


def read_rows(guard: pg.Guard, **options: bool) -> object:
    @guard.access(**options)
    def read() -> list[MarkedCustomer]:
        return [AIKO]

    return read()


def read_each(guard: pg.Guard, **options: bool) -> object:
    @guard.access(**options)
    def read() -> Iterator[MarkedCustomer]:
        yield AIKO

    return list(read())


def read_circle(guard: pg.Guard) -> object:
    @guard.access(withhold=True)
    def read() -> list[Contact]:
        rows: list[Any] = [Contact("a@example.com")]
        rows.append(rows)
        return rows

    return len(read())


def open_mapped(guard: pg.Guard) -> object:
    return guard.current.open(EMAIL.map(str.upper))


def open_of(guard: pg.Guard) -> object:
    return guard.current.open(EMAIL, subject=7)


def check_of(guard: pg.Guard) -> object:
    guard.current.check(tm.Registration, subject=7)
    return None


def reclassify_more(guard: pg.Guard) -> object:
    @guard.reclassify(tm.Contract, to=pg.NotPersonal, why="a test")
    def count(text: str) -> int:
        return len(text)

    value: Any = EMAIL  # Type checkers refuse it, too.
    counted = count(value)
    return counted.label, guard.current.open(counted)


def count_few(guard: pg.Guard) -> object:
    whose = guard.transform(int)
    figures = guard.reclassify(tm.Registration, to=pg.NotPersonal, why="a test", at_least=9)
    values: pg.Personal[Any, Any] = pg.Personal([1, 2], tm.Registration)
    return guard.current.open(figures.count(values, subject=whose))


def hand_over(guard: pg.Guard, recipient: Any = "mail-house") -> object:
    @guard.entrust(recipient, tm.Registration)
    def send(text: str) -> str:
        return text

    return send("a@example.com")


def hand_over_unrecorded(guard: pg.Guard) -> object:
    return hand_over(guard, Recipient("mail-house", "domestic-contractor", "JP", means="email"))


CASES: dict[str, tuple[Callable[[pg.Guard], object], object, type[Exception]]] = {
    "rows whose subject is not known": (read_rows, [AIKO], StoreUnavailable),
    "rows to narrow": (lambda guard: read_rows(guard, narrow=True), [AIKO], StoreUnavailable),
    "rows to withhold from": (lambda guard: read_rows(guard, withhold=True), [AIKO], StoreUnavailable),
    "rows one by one": (lambda guard: read_each(guard, narrow=True), [AIKO], StoreUnavailable),
    "rows in a circle": (read_circle, 2, pg.UnlabelledData),
    "a seal of a subject": (open_of, "a@example.com", StoreUnavailable),
    "a check": (check_of, None, StoreUnavailable),
    "a function that sees a value": (open_mapped, "A@EXAMPLE.COM", pg.SealedValue),
    "another source": (reclassify_more, (pg.Label(tm.Registration), 13), pg.SealedValue),
    "few subjects": (count_few, 2, TooFewSubjects),
    "an unknown recipient": (hand_over, "a@example.com", UnknownRecipient),
    "a record that fails": (hand_over_unrecorded, "a@example.com", StoreUnavailable),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_decided_is_reported_and_takes_place(case: str) -> None:
    act, expected, error = CASES[case]
    observer = RecordingObserver()
    guard = pg.Guard(tm.NOTICE, mode="observe", strict=True, governance=Unreachable(), observers=[observer])
    with guard.purpose(tm.ProductProvision):
        assert act(guard) == expected
    assert {type(error) for error in observer.errors} == {error}
    with guard.purpose(tm.ProductProvision, mode="enforce"), pytest.raises((error, pg.RecipientViolation)):
        act(guard)
    enforcing = pg.Guard(tm.NOTICE, strict=True, governance=Unreachable())
    with enforcing.purpose(tm.ProductProvision, mode="observe"):
        assert act(enforcing) == expected


def test_of_each_kind_of_violation_the_first_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = ObservedLog()
    with caplog.at_level(logging.WARNING, "purposeguard"):
        for message in ("one", "one", "two"):  # Violations that were made anew from their texts.
            log.denied(pg.PurposeViolation(message), observed=True)
            log.denied(pg.PurposeMissing(message), observed=False)
        assert caplog.messages == ["observed, not enforced: one", "observed, not enforced: two"]
        for event in ("select", "select", "insert"):
            log.unresolved((), None, event, pg.UnlabelledData("three"))
        assert caplog.messages[2:] == ["observed, not enforced: three"] * 2
        monkeypatch.setattr(observer, "_MAX_LOGGED_KINDS", 4)
        log.unresolved((), None, "delete", pg.UnlabelledData("three"))
        assert len(caplog.messages) == 4


def test_denials_are_logged_again_for_another_entry_point_activity_or_source(caplog: pytest.LogCaptureFixture) -> None:
    guard = pg.Guard(tm.NOTICE, mode="observe")
    with caplog.at_level(logging.WARNING, "purposeguard"):
        for _ in range(2):
            for entry_point in ("nightly", "weekly"):
                with EntryPoint.job(entry_point):
                    for activity in ("one", "two"):
                        with guard.purpose(tm.RenewalGuidance, activity=activity) as use:
                            use.check(tm.ProductData)
                            use.check(tm.Cookie)
    assert len(caplog.messages) == len(set(caplog.messages)) == 8


@pytest.mark.parametrize("of_guard", ["enforce", "observe"])
@pytest.mark.parametrize("of_activity", ["enforce", "observe", None])
def test_the_use_that_is_active_says_what_is_observed_and_else_the_guard(of_guard: Any, of_activity: Any) -> None:
    observer = RecordingObserver()
    guard = pg.Guard(tm.NOTICE, mode=of_guard, observers=[observer])
    block = contextlib.nullcontext() if of_activity is None else guard.purpose(tm.ProductProvision, mode=of_activity)
    observed = (of_activity or of_guard) == "observe"
    with block:
        assert is_observing(guard.engine) is observed
        raised = contextlib.nullcontext() if observed else pytest.raises(StoreUnavailable)
        with raised, ReportUnresolved(guard.engine, "test"):
            raise StoreUnavailable("the store is closed")
        for enforced in (pg.PurposeMissing("it was raised"), ValueError("a mistake")):
            with pytest.raises(type(enforced)), ReportUnresolved(guard.engine, "test"):
                raise enforced
    assert [type(error) for error in observer.errors] == [StoreUnavailable] * observed
