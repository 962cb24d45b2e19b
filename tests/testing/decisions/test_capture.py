"""What is captured: each decision that a caller asks for, once, whatever the guard remembers."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import datetime
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest

import purposeguard as pg
from purposeguard.adapters.enforcement import Decider, Demand
from purposeguard.adapters.tags import columns_of
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Provision, Recipient, Safeguard
from purposeguard.testing.decisions import Decided, capture_decisions
from tests.support import RecordingLedger
from tests.unit.oversights import SUSPENDED, Counting, Office

R, C, D = pg.Label(tm.Registration), pg.Label(tm.Contract), pg.Label(tm.ProductData)
NAME: pg.Personal[str, tm.Registration] = pg.Personal("Aiko", tm.Registration)
SERIAL: Any = pg.Personal("TM-99", tm.ProductData)


@dataclasses.dataclass
class Customer:
    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]
    phone: pg.Personal[str, tm.Registration] = NAME


@dataclasses.dataclass
class Order:
    who: Annotated[int, pg.Subject]
    total: Annotated[int, tm.Contract]


LEDGERS: list[Callable[[], Any]] = [lambda: None, RecordingLedger, Counting]


@pytest.fixture(params=LEDGERS, ids=["no ledger", "told at the end", "counting"])
def guard(request: pytest.FixtureRequest) -> pg.Guard:
    return pg.Guard(tm.NOTICE, ledger=request.param())


def brief(found: list[Decided]) -> list[tuple[pg.Label, bool, bool]]:
    return [(one.sources, one.allowed, one.used) for one in found]


def refused(act: Callable[[], object]) -> None:
    with pytest.raises(pg.PurposeViolation):
        act()


WAYS: dict[str, tuple[Callable[[pg.Guard], object], list[tuple[pg.Label, bool, bool]]]] = {
    "allows": (lambda g: g.allows(tm.Registration, tm.RenewalGuidance), [(R, True, False)]),
    "allows ids": (lambda g: g.allows({"1.1a", "1.1c"}, "1.2(1)①"), [(R | C, True, False)]),
    "allows not": (lambda g: g.allows("1.1b", "1.2(1)①"), [(D, False, False)]),
    "allows an iterator": (lambda g: g.allows(iter(["1.1b", "1.1a"]), "1.2(1)①"), [(R | D, False, False)]),
    "check": (lambda g: g.check("1.1a", "1.2(1)①"), [(R, True, True)]),
    "check an iterator": (lambda g: g.check(iter(["1.1a"]), "1.2(1)①"), [(R, True, True)]),
    "check not": (lambda g: refused(lambda: g.check("1.1b", "1.2(1)①")), [(D, False, True)]),
    "explain": (lambda g: str(g.explain("1.1b", "1.2(1)①")), [(D, False, False)]),
    "explain, and its alternatives": (lambda g: g.explain("1.1a", "1.2(1)①").alternatives, [(R, True, False)]),
    "by a channel": (lambda g: g.allows("2.1a", "2.2③", "phone"), [(pg.Label(tm.WebContact), False, False)]),
    "a family": (lambda g: g.allows("1.1a", tm.AnyProductGuidance), [(R, True, False)]),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_guard_is_asked_is_told_once(guard: pg.Guard, way: str) -> None:
    act, expected = WAYS[way]
    act(guard)
    act(guard)  # it is remembered now
    with capture_decisions(guard) as found:
        act(guard)
        act(guard)
    assert brief(found) == expected * 2
    act(guard)
    assert len(found) == 2 * len(expected)  # nothing is told any more


USES: dict[str, tuple[Callable[[pg.Use[Any]], object], list[tuple[pg.Label, bool, bool]]]] = {
    "open": (lambda u: u.open(NAME), [(R, True, True)]),
    "open not": (lambda u: refused(lambda: u.open(SERIAL)), [(D, False, True)]),
    "open what is mapped": (lambda u: u.open(NAME.map(str.upper)), [(R, True, True)]),
    "open_all": (lambda u: u.open_all([NAME, NAME]), [(R, True, True)]),
    "try_open": (lambda u: u.try_open(NAME, ""), [(R, True, True)]),
    "try_open not": (lambda u: u.try_open(SERIAL, ""), [(D, False, True)]),
    "allows": (lambda u: u.allows(R), [(R, True, False)]),
    "allows not": (lambda u: u.allows(["1.1b"]), [(D, False, False)]),
    "explain": (lambda u: u.explain(R).reasons, [(R, True, False)]),
    "check": (lambda u: u.check("1.1a"), [(R, True, True)]),
    "check not": (lambda u: refused(lambda: u.check("1.1b")), [(D, False, True)]),
    "withhold": (
        lambda u: u.withhold([Customer("a@example.com", "TM")]),
        [(R, True, True), (D, False, True), (R, True, False)],
    ),
}


@pytest.mark.parametrize("way", USES)
def test_what_a_use_decides_is_told_once(guard: pg.Guard, way: str) -> None:
    act, expected = USES[way]
    with guard.purpose(tm.RenewalGuidance, activity="reminders") as use:
        act(use)
        act(use)
        with capture_decisions(guard) as found:
            act(use)
            act(use)
        act(use)
    assert brief(found) == expected * 2
    assert {one.activity for one in found} == {"reminders"}


def test_access_functions_of_every_kind_are_told(guard: pg.Guard) -> None:
    @guard.access(tm.Contract)
    def plain() -> int:
        return 1

    @guard.access(tm.Contract)
    async def later() -> int:
        return 1

    @guard.access(tm.Contract)
    def steps() -> Iterator[int]:
        yield 1
        yield 2

    kept = guard.cached()(plain)

    @guard.purpose(tm.RenewalGuidance, activity="reminders")
    def remind() -> None:
        assert plain() == plain() == asyncio.run(guard.carry(later)()) == 1
        assert list(steps()) == [1, 2]
        assert kept() == kept() == 1

    remind()
    with capture_decisions(guard) as found:
        remind()
    names = [str(one.function).rpartition(".")[2] for one in found]
    assert names == ["plain", "plain", "later", "steps", "steps", "steps", "plain", "plain"]
    assert brief(found) == [(C, True, True)] * 8


def test_withheld_fields_are_named(guard: pg.Guard) -> None:
    @guard.access(withhold=True)
    def load() -> list[Customer]:
        return [Customer("a@example.com", "TM")]

    @guard.purpose(tm.RenewalGuidance)
    def remind() -> None:
        (customer,) = load()
        with pytest.raises(pg.PurposeViolation):  # which was decided when it was withheld
            _ = customer.device
        copy.copy(customer)

    with capture_decisions(guard) as found:
        remind()
    assert [(one.field, one.allowed, one.used) for one in found] == [
        ("email", True, True),
        ("device", False, True),
        ("phone", True, False),
    ]
    assert all(str(one.function).endswith("load") for one in found)
    assert found[1].denied == (tm.ProductData,)


def test_rows_are_told_one_by_one() -> None:
    guard = pg.Guard(tm.NOTICE, governance=Office())

    @guard.access(narrow=True)
    def orders() -> list[Order]:
        return [Order(1, 10), Order(SUSPENDED, 20)]

    @guard.purpose(tm.RenewalGuidance)
    def remind() -> int:
        return len(orders())

    assert remind() == 1
    with capture_decisions(guard) as found:
        assert remind() == 1
    assert brief(found) == [(C, True, True), (C, True, True), (C, False, True)]
    with guard.purpose(tm.RenewalGuidance) as use:
        with capture_decisions(guard) as found:
            assert use.allows(C, subject=1)
            assert not use.allows(C, subject=SUSPENDED)
            assert use.explain(C, subject=1)
            assert use.open(NAME, subject=1) == use.try_open(NAME, "", subject=1) == "Aiko"
            assert use.try_open(NAME, "", subject=SUSPENDED) == ""
        assert brief(found) == [
            *[(C, True, False), (C, False, False), (C, True, False)],
            *[(R, True, True), (R, True, True), (R, False, True)],
        ]
    with capture_decisions(guard) as found:
        assert guard.allows(C, tm.RenewalGuidance, subject=1)
        refused(lambda: guard.check(C, tm.RenewalGuidance, subject=SUSPENDED))
    assert brief(found) == [(C, True, False), (C, False, True)]


class Providing(RecordingLedger):
    """A ledger that can be told of hand-overs."""

    def provided(self, provision: Provision, /) -> None: ...


def test_a_hand_over_is_told_once() -> None:
    guard = pg.Guard(tm.NOTICE, ledger=Providing())
    contract = Safeguard("contract", "c-1", datetime.date(2024, 1, 1))
    supervised = datetime.date(2026, 5, 1)
    house = Recipient("mail-house", "domestic-contractor", "JP", safeguards=[contract], supervised_on=supervised)

    @guard.entrust(house, means="email")
    def hand_over(customer: Customer) -> None: ...

    with guard.purpose(tm.ProductProvision), capture_decisions(guard) as found:
        hand_over(Customer("a@example.com", "TM"))
    assert brief(found) == [(R | D, True, True)]
    with guard.purpose(tm.RenewalGuidance), capture_decisions(guard) as found:
        refused(lambda: hand_over(Customer("a@example.com", "TM")))
    assert brief(found) == [(R | D, False, True)]


def test_what_adapters_decide_is_told_once_a_label(guard: pg.Guard) -> None:
    columns = columns_of(tm.NOTICE, {"email": R, "name": R, "total": C, "device": D})
    decider = Decider(guard)
    allowed = decider.demand({"sales": (columns, ["email", "name", "total"])})
    denied = Demand([("device", D), ("other", D)])
    with guard.purpose(tm.RenewalGuidance, activity="reminders"):
        decider.check_demand(allowed)
        decider.check_demand(allowed)  # the quick way
        with capture_decisions(guard) as found:
            decider.check_demand(allowed)
            decider.check_demand(allowed)
            refused(lambda: decider.check_demand(denied))
        assert brief(found) == [(R, True, True), (C, True, True)] * 2 + [(D, False, True)]
        assert [one.field for one in found[:2]] == ["sales.email", "sales.total"]
        assert {one.activity for one in found} == {"reminders"}


def test_columns_that_are_left_out_are_told_as_denied_and_the_rest_as_used(guard: pg.Guard) -> None:
    columns = columns_of(tm.NOTICE, {"email": R, "device": D})
    decider = Decider(guard)
    with guard.purpose(tm.RenewalGuidance) as use, capture_decisions(guard) as found:
        left_out = decider.find_denied_columns(use, columns, ["email", "device"], "sales")
        assert list(left_out) == ["device"]
        decider.check_demand(decider.demand({"sales": (columns, ["email"])}))
    assert brief(found) == [(D, False, False), (R, True, True)]
    assert [one.field for one in found] == ["device", "sales.email"]


def test_nested_uses_are_told_of_their_own_activity(guard: pg.Guard) -> None:
    with (
        capture_decisions(guard) as found,
        guard.purpose(tm.ProductProvision, activity="outer") as outer,
        guard.purpose(tm.RenewalGuidance, activity="inner") as inner,
    ):
        outer.open(SERIAL)
        inner.open(NAME)
        refused(lambda: inner.open(SERIAL))
    assert [(one.activity, one.allowed) for one in found] == [("outer", True), ("inner", True), ("inner", False)]


def test_a_member_of_a_family_is_told_as_itself(guard: pg.Guard) -> None:
    with capture_decisions(guard) as found, guard.purpose(tm.AnyFeedback, activity="feedback") as use:
        use.open(NAME)
        guard.use(tm.ExperienceHearing).open(NAME)
    assert [one.purpose for one in found] == [guard.notice.family("AnyFeedback"), tm.ExperienceHearing]


def test_all_guards_are_seen_those_made_meanwhile_too() -> None:
    before = pg.Guard(tm.NOTICE)
    ask = before.allows  # bound before it is watched
    ask(tm.Registration, tm.RenewalGuidance)
    with capture_decisions() as found:
        after = pg.Guard(tm.NOTICE)
        ask(tm.Registration, tm.RenewalGuidance)
        after.allows(tm.Contract, tm.RenewalGuidance)
    assert brief(found) == [(R, True, False), (C, True, False)]
    assert ask(tm.Registration, tm.RenewalGuidance)
    assert after.allows(tm.Contract, tm.RenewalGuidance)
    assert len(found) == 2


def test_captures_nest_and_each_hears_its_own(guard: pg.Guard) -> None:
    other = pg.Guard(tm.NOTICE)
    with capture_decisions() as every:
        with capture_decisions(guard) as one:
            guard.allows(R, tm.RenewalGuidance)
            other.allows(C, tm.RenewalGuidance)
        guard.allows(D, tm.RenewalGuidance)
    assert [len(every), len(one)] == [3, 1]
    other.allows(C, tm.RenewalGuidance)
    assert len(every) == 3


def test_threads_and_tasks_are_heard(guard: pg.Guard) -> None:
    def work() -> None:
        with guard.purpose(tm.RenewalGuidance) as use:
            for _ in range(50):
                use.open(NAME)

    async def tasks() -> None:
        async def one() -> None:
            async with guard.purpose(tm.RenewalGuidance) as use:
                for _ in range(50):
                    use.open(NAME)
                    await asyncio.sleep(0)

        await asyncio.gather(one(), one())

    with capture_decisions(guard) as found:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        asyncio.run(tasks())
        for thread in threads:
            thread.join()
    assert len(found) == 300


def test_what_is_not_personal_is_no_decision_about_a_source(guard: pg.Guard) -> None:
    with capture_decisions(guard) as found, guard.purpose(tm.RenewalGuidance) as use:
        assert use.open(pg.Personal(1, pg.NotPersonal)) == 1
    assert found == []


def test_a_decision_says_what_it_was(guard: pg.Guard) -> None:
    with capture_decisions(guard) as found:
        guard.allows("2.1a", "2.2③", "email")
        with guard.purpose(tm.RenewalGuidance, activity="reminders") as use:
            use.try_open(SERIAL, None)
    assert list(map(str, found)) == [
        "web-security-mail (2.2③) may use 2.1(a) by email (asked only)",
        "renewal-guidance (1.2(1)①) may not use 1.1(b) (in reminders)",
    ]
