"""Clause 7 against a model: whatever is asked for, lifted, agreed to and withdrawn, in any order, by any process."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from purposeguard.governance.preference_cache import PreferenceCache
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import SubjectPreferences
from tests.governance.support import Time

FAMILIES = {family.name: {member.clause for member in family.members} for family in tm.NOTICE.families[:2]}
PURPOSES = sorted({"1.2(1)①", "2.3①"}.union(*FAMILIES.values()))
SUBJECTS = range(3)


@dataclasses.dataclass
class Declared:
    """A restriction of some purposes (None: all), or a consent to one."""

    subject: int
    kind: str
    purposes: set[str] | None
    until: datetime.datetime | None
    revoked: bool = False


class Model:
    """What holds for each subject, said as plainly as it can be."""

    def __init__(self) -> None:
        self.declared: list[Declared] = []

    def of(self, subject: int, now: datetime.datetime) -> SubjectPreferences:
        living = [
            one
            for one in self.declared
            if one.subject == subject and not one.revoked and (one.until is None or now < one.until)
        ]
        suspensions = [one.purposes for one in living if one.kind == "suspension-of-use"]
        return SubjectPreferences(
            suspended=frozenset().union(*(purposes for purposes in suspensions if purposes is not None)),
            all_suspended=None in suspensions,
            erased=any(one.kind == "erasure" for one in living),
            provision_stopped=any(one.kind == "stop-of-provision" for one in living),
            consents=frozenset(
                (purpose, tm.NOTICE.revision)
                for one in living
                if one.kind == "consent"
                for purpose in one.purposes or ()
            ),
        )


def members(purpose: str) -> set[str]:
    return FAMILIES.get(purpose, {purpose})


subjects = st.sampled_from(SUBJECTS)
purposes = st.sampled_from([*PURPOSES, *FAMILIES])
durations = st.sampled_from([None, 10, 20, 40])
"""Minutes; few of them, so that things end at the very moment at which they are looked at."""
processes = st.sampled_from(["here", "elsewhere"])


class Machine(RuleBasedStateMachine):
    """Two processes that share a store (two stores on one database), and the model."""

    restrictions = Bundle("restrictions")
    examples = itertools.count()

    def __init__(self, here: Store, elsewhere: Store) -> None:
        super().__init__()
        self.time = Time()
        self.model = Model()
        self.example = next(self.examples)  # each has subjects of its own in the store
        self.processes = {
            "here": Subjects(here, tm.NOTICE, clock=self.time.clock),
            "elsewhere": Subjects(elsewhere, tm.NOTICE, clock=self.time.clock),
        }
        self.all_preferences = PreferenceCache(self.processes["here"], maxsize=2, staleness=1000, poll=500)

    def teardown(self) -> None:
        self.all_preferences.close()

    def name(self, subject: int) -> str:
        return f"{self.example}-{subject}"

    def until(self, minutes: int | None) -> datetime.datetime | None:
        return None if minutes is None else self.time.now + datetime.timedelta(minutes=minutes)

    def done(self, process: str) -> None:
        if process == "elsewhere":
            self.all_preferences.poll_changes()  # within a second; what is seen is said by the tests of standings

    @initialize()
    def asked_before(self) -> None:
        for subject in SUBJECTS:
            self.all_preferences.preferences(self.name(subject))

    @rule(
        target=restrictions,
        process=processes,
        subject=subjects,
        some=st.none() | purposes | st.lists(purposes, min_size=1, max_size=3),
        minutes=durations,
    )
    def suspend(self, process: str, subject: int, some: Any, minutes: int | None) -> Any:
        made = self.processes[process].restrict(self.name(subject), some, until=self.until(minutes))
        wanted = None if some is None else set().union(*map(members, [some] if isinstance(some, str) else some))
        self.done(process)
        return made.id, self.declare(subject, "suspension-of-use", wanted, minutes)

    @rule(
        target=restrictions,
        process=processes,
        subject=subjects,
        kind=st.sampled_from(["stop-of-provision", "erasure"]),
        minutes=durations,
    )
    def restrict(self, process: str, subject: int, kind: Any, minutes: int | None) -> Any:
        made = self.processes[process].restrict(self.name(subject), kind=kind, until=self.until(minutes))
        self.done(process)
        return made.id, self.declare(subject, kind, None, minutes)

    @rule(process=processes, restriction=consumes(restrictions))
    def lift(self, process: str, restriction: tuple[int, Declared]) -> None:
        number, declared = restriction
        self.processes[process].lift(number)
        declared.revoked = True
        self.done(process)

    @rule(process=processes, subject=subjects, purpose=purposes, minutes=durations)
    def consent(self, process: str, subject: int, purpose: str, minutes: int | None) -> None:
        self.processes[process].consent(self.name(subject), purpose, until=self.until(minutes))
        for member in members(purpose):
            self.declare(subject, "consent", {member}, minutes)
        self.done(process)

    @rule(process=processes, subject=subjects, purpose=st.none() | purposes)
    def withdraw(self, process: str, subject: int, purpose: str | None) -> None:
        withdrawn = self.processes[process].withdraw(self.name(subject), purpose)
        preferences = [
            one
            for one in self.model.declared
            if (one.subject, one.kind, one.revoked) == (subject, "consent", False)
            and (purpose is None or one.purposes is None or one.purposes <= members(purpose))
        ]
        for one in preferences:
            one.revoked = True
        assert len(withdrawn) == len(preferences)
        self.done(process)

    @rule(minutes=st.sampled_from([5, 10, 30]))
    def time_passes(self, minutes: int) -> None:
        self.time.passes(minutes=minutes)

    def declare(self, subject: int, kind: str, some: set[str] | None, minutes: int | None) -> Declared:
        declared = Declared(subject, kind, some, self.until(minutes))
        self.model.declared.append(declared)
        return declared

    @invariant()
    def things_stand_as_in_the_model(self) -> None:
        for subject in SUBJECTS:
            assert self.all_preferences.preferences(self.name(subject)) == self.model.of(subject, self.time.now)

    @invariant()
    def nothing_on_record_is_lost(self) -> None:
        for subject in SUBJECTS:
            record = self.processes["elsewhere"].of(self.name(subject))
            assert record.preferences == self.model.of(subject, self.time.now)
            expected = [one for one in self.model.declared if one.subject == subject]
            assert len(record.restrictions) + len(record.consents) == len(expected)
            revoked = [one.lifted for one in record.restrictions] + [one.withdrawn for one in record.consents]
            assert sum(one is not None for one in revoked) == sum(one.revoked for one in expected)


def test_clause_7_subjects_are_as_in_a_model(store: Store, store_url: str) -> None:
    # A step asks a database several times, so fewer examples than of what is only reckoned.
    effort = settings(max_examples=max(6, settings().max_examples // 5), stateful_step_count=20)
    with Store.open(store_url, timeout=60) as elsewhere:
        machine = cast("type[Machine]", lambda: Machine(store, elsewhere))  # whatever makes one will do
        run_state_machine_as_test(machine, settings=effort)
