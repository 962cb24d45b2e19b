"""The desk against a model of it in a few lines, over any order of steps; on both databases."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from purposeguard.errors import RequestError
from purposeguard.governance.request_records import Request
from purposeguard.governance.requests import Requests
from purposeguard.governance.store import Store
from tests.governance.disclosures import NOW
from tests.governance.support import DAY, TODAY, Time, requests

PERSONS = ("a", "b")
KINDS = ("suspension-of-use", "erasure", "stop-of-provision", "correction")
PURPOSES = ("1.2(1)①", "2.2①")
NUMBERS = itertools.count()


@dataclasses.dataclass
class Asked:
    """What the model knows of a request."""

    kind: str
    subject: str | None
    agent: bool
    authority: bool
    purposes: tuple[str, ...] | None
    due_on: Any
    interim: bool
    state: str = "open"
    extended: bool = False
    steps: int = 1

    @property
    def pending(self) -> bool:
        return self.state in {"open", "verified"}

    def stops(self) -> Iterator[tuple[str, str | None]]:
        """What it has put in force: a kind of restriction, and for what."""
        if self.subject is not None and self.kind != "correction":
            if self.state == "fulfilled":
                yield from ((self.kind, purpose) for purpose in self.purposes or (None,))
            elif self.pending and self.interim:
                kind = "stop-of-provision" if self.kind == "stop-of-provision" else "suspension-of-use"
                yield from ((kind, purpose) for purpose in self.purposes or (None,))


class Machine(RuleBasedStateMachine):
    """Steps in any order, also those that may not be taken: the desk refuses just those, and changes nothing then."""

    store: Store

    def __init__(self) -> None:
        super().__init__()
        self.time = Time(NOW)
        self.today = TODAY
        self.asked: dict[int, Asked] = {}
        self.desk: Requests = requests(self.store, self.time)
        number = next(NUMBERS)  # others' requests are in the store already: these are about people of their own
        self.people = {person: f"{number}-{person}" for person in PERSONS}

    def subject(self, person: str | None) -> str | None:
        return None if person is None else self.people[person]

    def choose(self, data: st.DataObject) -> tuple[int, Asked]:
        return list(self.asked.items())[data.draw(st.integers(0, len(self.asked) - 1))]

    def allowed(self, may: bool, act: Any) -> bool:
        try:
            act()
        except RequestError:
            assert not may
        else:
            assert may
        return may

    @rule(
        kind=st.sampled_from(KINDS),
        person=st.sampled_from([*PERSONS, None]),
        by=st.sampled_from(["subject", "agent", "subject with authority", "agent with authority"]),
        some=st.booleans(),
        interim=st.booleans(),
    )
    def open(self, kind: str, person: str | None, by: str, some: bool, interim: bool) -> None:
        agent, authority = "agent" in by, "authority" in by
        given: dict[str, Any] = {"subject": self.subject(person), "suspend_while_open": interim}
        given |= {"purposes": list(PURPOSES)} if some else {}
        given |= {"requester": "agent"} if agent else {}
        given |= {"authority": "file 12"} if authority else {}
        may = not (authority and not agent) and not (some and kind != "suspension-of-use")
        may = may and not (interim and kind == "correction")
        made: list[Any] = []
        if self.allowed(may, lambda: made.append(self.desk.open(kind, **given))):
            purposes = PURPOSES if some else None
            due_on = self.today + 14 * DAY
            self.asked[made[0].id] = Asked(kind, person, agent, authority, purposes, due_on, interim)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), person=st.sampled_from([*PERSONS, None]), authority=st.booleans())
    def verify(self, data: st.DataObject, person: str | None, authority: bool) -> None:
        number, one = self.choose(data)
        may = one.state == "open" and (one.subject or person) is not None and person in {None, one.subject or person}
        may = may and (one.authority or authority if one.agent else not authority)
        given: dict[str, Any] = {"subject": self.subject(person), "authority": "file 13" if authority else None}
        if self.allowed(may, lambda: self.desk.verify(number, how="x", by="clerk", **given)):
            one.subject, one.authority, one.state = one.subject or person, one.authority or authority, "verified"
            one.steps += 1

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), end=st.sampled_from(["fulfilled", "refused", "withdrawn"]))
    def close(self, data: st.DataObject, end: str) -> None:
        number, one = self.choose(data)
        act = {
            "fulfilled": lambda: self.desk.fulfil(number, by="clerk", done="as asked"),
            "refused": lambda: self.desk.refuse(number, reason="x", by="clerk"),
            "withdrawn": lambda: self.desk.withdraw(number, by="clerk"),
        }
        if self.allowed(one.state == "verified" or (one.state == "open" and end != "fulfilled"), act[end]):
            one.state = end
            one.steps += 1

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), days=st.integers(1, 20))
    def extend(self, data: st.DataObject, days: int) -> None:
        number, one = self.choose(data)
        may = one.pending and not one.extended and one.due_on >= self.today
        if self.allowed(may, lambda: self.desk.extend(number, reason="x", by="clerk", days=days)):
            one.due_on, one.extended = one.due_on + days * DAY, True
            one.steps += 1

    @rule(days=st.integers(1, 10))
    def wait(self, days: int) -> None:
        self.time.passes(days=days)
        self.today += days * DAY

    @invariant()
    def standings_are_what_requests_have_made_them(self) -> None:
        for person, subject in self.people.items():
            stops = {stop for one in self.asked.values() if one.subject == person for stop in one.stops()}
            found = self.desk.subjects.preferences(subject)
            assert found.suspended == {purpose for kind, purpose in stops if kind == "suspension-of-use" and purpose}
            assert found.all_suspended == (("suspension-of-use", None) in stops)
            assert found.erased == (("erasure", None) in stops)
            assert found.provision_stopped == (("stop-of-provision", None) in stops)

    @invariant()
    def the_overview_is_what_the_model_knows(self) -> None:
        seen = self.desk.overview()
        found = {one.id: one for one in seen.pending}
        assert set(found) == {number for number, one in self.asked.items() if one.pending}
        assert {one.id for one in seen.overdue} == {
            number for number, one in self.asked.items() if one.pending and one.due_on < self.today
        }
        for number, kept in found.items():
            self.same(self.asked[number], kept)

    def same(self, one: Asked, kept: Request) -> None:
        assert (kept.state, kept.due_on, kept.extended) == (one.state, one.due_on, one.extended)
        assert kept.subject == self.subject(one.subject)

    def teardown(self) -> None:
        for number, one in self.asked.items():
            self.same(one, self.desk.get(number))
            assert len(self.desk.steps(number)) == one.steps
            if one.pending:  # the next one begins with nothing to be done
                self.desk.withdraw(number, by="clerk")


def against_the_model(store: Store, examples: int, steps: int) -> None:
    machine = type("MachineOfStore", (Machine,), {"store": store})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=steps))


def test_the_desk_does_what_a_model_of_it_does(store: Store) -> None:
    against_the_model(store, 25 if store.dialect == "sqlite" else 8, 20)


@pytest.mark.deep
def test_the_desk_does_what_a_model_of_it_does_for_long(store: Store) -> None:
    against_the_model(store, 500, 50)
