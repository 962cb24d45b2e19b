"""Machines of services: they pass where the service keeps to the notice, and find each way in which it does not."""

from __future__ import annotations

import contextvars
import datetime
import functools
import re
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import pytest
from hypothesis import Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

import purposeguard as pg
from purposeguard import Personal
from purposeguard.governance import Governance
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.row_context import RowContext
from purposeguard.testing._expected import Probe
from purposeguard.testing.stateful import Office, PurposeMachine, WrittenDown
from tests import generated
from tests.unit.samples import SMALL, revised

SMALL_NOTICE = pg.Notice.loads(SMALL)
RENEWAL = SMALL_NOTICE.purpose("Renewal")
ACCOUNT = SMALL_NOTICE.source("Account")
VISIT = SMALL_NOTICE.source("Visit")
LATER = SMALL.replace("2024-01-01", "2025-01-01")
NARROWED = pg.Notice.loads(LATER.replace('sources = ["1(a)"]', 'sources = ["2"]'))
"""A later revision in which accounts serve no renewals any more."""
HISTORY = pg.History(SMALL_NOTICE, NARROWED)


class Service:
    def __init__(self, guard: pg.Guard) -> None:
        self.guard = guard
        self.emails = {number: Personal(f"{number}@example.com", ACCOUNT) for number in (1, 2)}

    def remind(self, customer: int) -> str:
        with self.guard.purpose("Renewal", channel="email") as use:
            return use.open(self.emails[customer], subject=customer)


class Machine(PurposeMachine):
    history = HISTORY
    makes: type[Service] = Service

    def start(self) -> None:
        self.service = self.makes(self.guard)

    @rule(customer=st.sampled_from([1, 2]))
    def remind(self, customer: int) -> None:
        with self.expecting(ACCOUNT, "Renewal", channel="email", subject=customer, collected=SMALL_NOTICE.revision):
            self.service.remind(customer)


class Row(NamedTuple):
    name: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]


def run(machine: type[PurposeMachine], examples: int = 25, steps: int = 25, *, shrink: bool = False) -> None:
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    quick = settings(
        max_examples=examples, stateful_step_count=steps, phases=phases, deadline=None, derandomize=True, database=None
    )
    # In a context of its own: what a faulty service leaves under way is no other test's.
    contextvars.copy_context().run(run_state_machine_as_test, machine, settings=quick)


def test_a_service_that_keeps_to_the_notice_passes() -> None:
    run(Machine, 15)


class Bundled(PurposeMachine):
    history = tm.NOTICE


def test_the_bundled_notice() -> None:
    run(Bundled, 8, 20)


class Generated(PurposeMachine):
    history = HISTORY

    @initialize(history=generated.histories())
    def draw_the_history(self, history: pg.History) -> None:
        self.begin(history)


class Wishes(PurposeMachine):
    """Compare what subjects ask for, step by step, with the preferences that the machine gives."""

    history = SMALL_NOTICE
    most = 0
    """The largest number of wishes that one subject had at a time."""

    def start(self) -> None:
        self.suspended: dict[object, set[str | None]] = {subject: set() for subject in self.subjects}
        self.consents: dict[object, set[str]] = {subject: set() for subject in self.subjects}
        self.gone: set[object] = set()

    def stopped(self, subject: Any, purpose: str | None) -> None:
        self.suspended[subject].add(purpose)

    def permitted(self, subject: Any) -> None:
        self.suspended[subject].clear()

    def erased(self, subject: Any) -> None:
        self.gone.add(subject)

    def consented(self, subject: Any, purpose: str) -> None:
        self.consents[subject].add(purpose)

    def withdrew(self, subject: Any) -> None:
        self.consents[subject].clear()

    @invariant()
    def they_add_up(self) -> None:
        assert self.preferences(None) == SubjectPreferences()
        for subject in self.subjects:
            preferences, stopped = self.preferences(subject), self.suspended[subject]
            assert preferences.all_suspended is (None in stopped)
            assert preferences.suspended == stopped - {None}
            assert {purpose for purpose, _ in preferences.consents} == self.consents[subject]
            assert preferences.erased is (subject in self.gone)
            wishes = len(stopped) + len(self.consents[subject]) + preferences.erased
            type(self).most = max(self.most, wishes)


def test_what_a_subject_asks_for_adds_up() -> None:
    run(Wishes, 10, 25)
    assert Wishes.most > 2


def test_generated_histories() -> None:
    run(Generated, 8, 20)


@pytest.mark.deep
def test_many_generated_histories() -> None:
    run(Generated, 1_500, 60)


class Keeping(Service):
    @functools.cache  # noqa: B019  # that is the fault
    def remind(self, customer: int) -> str:
        return super().remind(customer)


class Nameless(Service):
    def remind(self, customer: int) -> str:
        with self.guard.purpose("Renewal", channel="email") as use:
            return use.open(self.emails[customer])


class Timid(Service):
    def remind(self, customer: int) -> str:
        with self.guard.purpose("Statistics") as use:
            return use.open(self.emails[customer], subject=customer)


class Late(Machine):
    def revised(self, history: pg.History) -> None:
        """Nobody is told."""


class Deaf(Machine):
    def make_guard(self) -> pg.Guard:
        return pg.Guard(self.notice, governance=Office(), ledger=self.ledger, clock=self.clock)


class Observing(Machine):
    def make_guard(self) -> pg.Guard:
        return pg.Guard(self.notice, mode="observe", governance=self.office, ledger=self.ledger, clock=self.clock)


class Stutter(WrittenDown):
    def denied(self, error: Any, *, observed: bool) -> None:
        super().denied(error, observed=observed)
        super().denied(error, observed=observed)


class Twice(Machine):
    def make_guard(self) -> pg.Guard:
        self.ledger = Stutter()
        return super().make_guard()


class Silent(Machine):
    def make_guard(self) -> pg.Guard:
        return pg.Guard(self.notice, governance=self.office, clock=self.clock)


def of(service: type[Service]) -> type[Machine]:
    """A machine of such a service."""
    return type(f"Of{service.__name__}", (Machine,), {"makes": service})


WRONG: dict[str, tuple[type[Machine], str]] = {
    "hasty": (of(Keeping), "went through for Renewal, though the notice denies it"),
    "timorous": (of(Timid), "refused, though the notice allows it"),
    "late": (Late, "."),
    "deaf": (Deaf, "went through|unlike the specification|was opened"),
    "observing": (Observing, "went through|was opened"),
    "twice": (Twice, "told 2 times of one refusal|told of one denial twice"),
    "silent": (Silent, "told 0 times"),
}


@pytest.mark.parametrize(("machine", "told"), WRONG.values(), ids=WRONG)
def test_what_goes_wrong_is_found(machine: type[Machine], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        run(machine, 100)


def test_a_use_left_open_is_found() -> None:
    class Leaving(Service):
        block: Any = None

        def remind(self, customer: int) -> str:
            self.block = self.guard.purpose("Renewal", channel="email")
            found: str = self.block.__enter__().open(self.emails[customer], subject=customer)
            return found

    class Open(Machine):
        makes = Leaving

        def teardown(self) -> None:
            if self.service.block is not None:  # type: ignore[attr-defined]  # what it makes
                self.service.block.__exit__(None, None, None)  # type: ignore[attr-defined]  # likewise

    with pytest.raises(AssertionError, match=r"no block is of|another use is under way"):
        run(Open, 50, 6)


def test_a_story_that_goes_wrong_is_shortened() -> None:
    with pytest.raises(AssertionError, match="went through") as caught:
        run(of(Nameless), 100, shrink=True)
    notes = "\n".join(getattr(caught.value, "__notes__", ()))
    steps = [line.strip() for line in notes.splitlines() if line.strip().startswith("state.")]
    told = [line.partition("(")[0] for line in steps if "keeps_to_the_notice" not in line]
    # Where the machine is busy, time for shrinking is up before a last step is left out.
    assert told[-2:] == ["state.remind", "state.teardown"]
    assert {"state.ask_for_erasure", "state.begin_with_opt_outs", "state.stop_a_use"} & {*told}
    assert len(told) <= 4


def test_expecting_says_what_must_be() -> None:
    machine = Machine()
    with machine.expecting(ACCOUNT, "Renewal") as allowed:
        assert allowed
    with machine.expecting(SMALL_NOTICE.source("Usage"), "Renewal") as allowed:
        assert not allowed
        machine.guard.check("Usage", "Renewal")
    usage = pg.Label(SMALL_NOTICE.source("Usage"))
    with pytest.raises(AssertionError, match=r"1\(b\) went through for Renewal"), machine.expecting(usage, "Renewal"):
        pass
    with pytest.raises(ZeroDivisionError), machine.expecting(ACCOUNT, "Renewal"):
        raise ZeroDivisionError


def test_what_sources_may_be() -> None:
    machine = Bundled()
    assert machine.may(tm.Registration, tm.RenewalGuidance)
    assert not machine.may(Row, tm.RenewalGuidance)
    assert machine.may(Row, tm.ProductProvision)
    assert machine.may(pg.Label(tm.Registration), "AnyProductGuidance", channel="email", subject=1)
    assert not machine.may(tm.Registration, tm.RenewalGuidance, collected=datetime.date(1990, 1, 1))
    assert machine.may("1.1a", tm.RenewalGuidance)
    assert machine.may([tm.Registration, "1.1(c)"], tm.RenewalGuidance)
    assert not machine.may({tm.Registration, "1.1(b)"}, tm.RenewalGuidance)
    with machine.expecting((tm.Registration, Row), tm.ProductProvision) as allowed:
        assert allowed
    assert machine.may(list[Row], tm.ProductProvision)
    assert not machine.may(iter([Row, "1.1(c)"]), tm.RenewalGuidance)
    with machine.expecting({tm.Registration: 1, "1.1(c)": 2}.keys(), tm.RenewalGuidance) as allowed:
        assert allowed
    with pytest.raises(TypeError, match="name at least one source"):
        machine.may([], tm.RenewalGuidance)
    with pytest.raises(pg.UnknownTerm):
        machine.may([tm.Registration, "9.9"], tm.RenewalGuidance)
    with pytest.raises(TypeError, match="is no label, source or tagged model"):
        machine.may(7, tm.RenewalGuidance)


def after(change: Callable[[dict[str, Any]], object]) -> Machine:
    """A machine that has seen a changed revision come into force."""
    machine = Machine()
    machine.begin(pg.History(SMALL_NOTICE, revised(SMALL_NOTICE, change, "2025-01-01")))
    machine.revise()
    return machine


def test_a_class_of_an_earlier_revision_is_asked_about_as_such() -> None:
    machine = after(lambda tables: tables["grant"][2]["sources"].append("1(a)"))
    statistics = machine.notice.purpose("Statistics")
    for source in (ACCOUNT, machine.notice.source("Account")):
        allowed = machine.may(source, statistics)
        assert allowed is machine.guard.allows(source, statistics) is (source is not ACCOUNT)
    assert machine.may("1(a)", SMALL_NOTICE.purpose("Statistics"))
    assert machine.may("1(a)", SMALL_NOTICE.family("AnyAdvice").union, channel="email")
    assert not machine.may(machine.notice.source("1(a)"), statistics, collected=SMALL_NOTICE.revision)


def renumber(tables: dict[str, Any]) -> None:
    tables["source"][1]["id"] = tables["grant"][0]["sources"][0] = "1(x)"
    tables["renamed"] = [{"kind": "source", "old": "1(a)", "new": "1(x)"}]


def test_a_number_that_was_given_away_is_followed() -> None:
    machine = after(renumber)
    assert machine.may(ACCOUNT, RENEWAL) is machine.guard.allows(ACCOUNT, RENEWAL) is True
    assert machine.may("1(x)", "Renewal")
    unknown(machine, "1(a)", "Renewal")
    with machine.guard.purpose("Renewal", channel="email") as use:
        use.open(Personal("aiko@example.com", ACCOUNT))
    assert machine.ledger.uses
    machine.the_ledger_is_told_once()


def unknown(machine: Machine, asked: Any, purpose: Any, channel: str | None = None) -> None:
    """That the revision in force has something of it no more is a refusal; and it is one that must be."""
    with machine.expecting(asked, purpose, channel=channel) as allowed:
        assert not allowed
        machine.guard.check(asked, purpose, channel)
    with pytest.raises(AssertionError, match="went through"), machine.expecting(asked, purpose, channel=channel):
        pass


def without_usage(tables: dict[str, Any]) -> None:
    del tables["source"][2], tables["forbid"], tables["overlay"]
    del tables["family"], tables["grant"][0]["purpose"][1], tables["channel"][1], tables["grant"][2]["purpose"][1]


def test_what_a_revision_has_no_more_must_be_refused() -> None:
    machine = after(without_usage)
    usage = SMALL_NOTICE.source("Usage")
    for asked in (usage, "1(b)", pg.Label(usage, ACCOUNT)):
        unknown(machine, asked, "Service")
    for purpose in ("Offers", SMALL_NOTICE.purpose("Offers"), SMALL_NOTICE.family("AnyAdvice").union):
        unknown(machine, ACCOUNT, purpose)
    unknown(machine, ACCOUNT, "Service", "phone")
    with pytest.raises(pg.UnknownSource), machine.expecting("1(c)", "Service"):
        pass
    with pytest.raises(pg.UnknownSource), machine.expecting("1(a)", "Service"):
        raise pg.UnknownSource("1(a)")
    machine._sealed = [(Personal("x", usage), 1)]
    block = machine.guard.purpose("Service")
    machine._blocks = [(block, block.__enter__())]
    machine.keeps_to_the_notice()
    machine.teardown()


def test_a_use_whose_channel_is_gone_opens_nothing() -> None:
    machine = Machine()
    machine.begin(pg.History(SMALL_NOTICE, revised(SMALL_NOTICE, without_usage, "2025-01-01")))
    machine._sealed = [(Personal("x", ACCOUNT), 1)]
    block = machine.guard.purpose("Service", channel="phone")
    machine._blocks = [(block, block.__enter__())]
    machine.keeps_to_the_notice()
    machine.revise()
    machine.keeps_to_the_notice()
    machine.teardown()


def opened(tables: dict[str, Any]) -> None:
    del tables["grant"][0]["purpose"][0]["channels"]


def test_an_activity_that_states_no_channel_may_use_any() -> None:
    """So what was collected while the notice closed the channels is not for it: rules 7 and 9."""
    machine = after(opened)
    assert machine.may(ACCOUNT, "Renewal") is machine.guard.allows(ACCOUNT, "Renewal") is True
    machine._sealed = [(Personal("x", ACCOUNT), 1), (Personal("x", machine.notice.source("Account")), 1)]
    block = machine.guard.purpose("Renewal")
    machine._blocks = [(block, block.__enter__())]
    machine.keeps_to_the_notice()
    with machine.expecting(ACCOUNT, "Renewal"):
        machine._blocks[0][1].open(Personal("x", ACCOUNT))
    with machine.expecting(ACCOUNT, "Renewal"):
        machine.guard.check(ACCOUNT, "Renewal")
    machine.teardown()


def test_what_is_not_personal_may_serve_everything() -> None:
    machine = Machine()
    for channel in (None, "email", "phone"):
        allowed = machine.guard.allows(pg.NotPersonal, "Renewal", channel)
        assert machine.may(pg.NotPersonal, "Renewal", channel=channel) is allowed


def test_a_use_that_rests_on_consent_is_granted() -> None:
    machine = Machine()
    machine.begin(revised(SMALL_NOTICE, lambda tables: tables["grant"][2].update(basis="consent")))
    visit = machine.notice.source("Visit")
    assert not machine.may(visit, "Statistics", subject=1)
    machine._stands(1, consents=frozenset({("4①", machine.notice.revision)}))
    with machine.expecting(visit, "4①", subject=1) as allowed, machine.guard.purpose("Statistics") as use:
        assert allowed
        use.open(Personal("x", visit), subject=1)
    assert machine.ledger.uses
    machine.the_ledger_is_told_once()


def test_a_machine_says_by_which_notice_it_goes() -> None:
    class Bare(PurposeMachine):
        pass

    with pytest.raises(TypeError, match="Bare says by which notice it goes"):
        Bare()


def test_a_store_of_its_own_is_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    class Stored(PurposeMachine):
        history = tm.NOTICE

        def make_guard(self) -> pg.Guard:
            path = tmp_path_factory.mktemp("store") / "store.db"
            self.governance = Governance(f"sqlite:///{path}", notice=self.notice, ledger=False, clock=self.clock)
            return pg.Guard(self.notice, governance=self.governance, ledger=self.ledger, clock=self.clock)

        def stopped(self, subject: Any, purpose: str | None) -> None:
            self.governance.restrict(subject, purpose)

        def permitted(self, subject: Any) -> None:
            for one in self.governance.subjects.of(subject).restrictions:
                if one.kind == "suspension-of-use" and one.lifted is None:
                    self.governance.lift(one)

        def erased(self, subject: Any) -> None:
            self.governance.restrict(subject, kind="erasure")

        def consented(self, subject: Any, purpose: str) -> None:
            self.governance.consent(subject, purpose)

        def withdrew(self, subject: Any) -> None:
            self.governance.withdraw(subject)

        def teardown(self) -> None:
            super().teardown()
            self.governance.close()

    run(Stored, 3, 15)


EMAILS = {number: Personal(f"{number}@example.com", tm.Registration) for number in (1, 2)}


class Reminding:
    def __init__(self, guard: pg.Guard) -> None:
        self.guard = guard

    def remind(self, customer: int) -> str:
        with self.guard.purpose(tm.RenewalGuidance, channel="email") as use:
            return use.open(EMAILS[customer], subject=customer)


class HalfDeaf(Reminding):
    """Obeys those who stopped all uses, and forgets those who stopped this one."""

    def remind(self, customer: int) -> str:
        with self.guard.purpose(tm.RenewalGuidance, channel="email") as use:
            wishes = self.guard.governance.preferences(str(customer))  # type: ignore[union-attr]  # it has an office
            stopped = wishes.all_suspended or wishes.erased
            return use.open(EMAILS[customer], subject=customer if stopped else None)


class RemindingMachine(PurposeMachine):
    history = tm.NOTICE
    makes: type[Reminding] = Reminding

    def start(self) -> None:
        self.service = self.makes(self.guard)

    @rule(customer=st.sampled_from([1, 2]))
    def remind(self, customer: int) -> None:
        with self.expecting(tm.Registration, tm.RenewalGuidance, channel="email", subject=customer):
            self.service.remind(customer)


@pytest.mark.parametrize("number", range(10))
def test_an_ignored_opt_out_of_one_purpose_is_found(number: int) -> None:
    machine = seed(number)(type("HalfDeafMachine", (RemindingMachine,), {"makes": HalfDeaf}))
    default = settings(max_examples=100, stateful_step_count=50, deadline=None, database=None, phases=[Phase.generate])
    with pytest.raises(AssertionError) as caught:
        contextvars.copy_context().run(run_state_machine_as_test, machine, settings=default)
    assert re.search(
        r"^1.1\(a\) went through for <RenewalGuidance .*>, though the notice denies it\n"
        r"  subject: [12], who stopped .*1.2\(1\)①.*\n"
        r"  purpose: 1.2\(1\)①, by email\n"
        r"  sources: 1.1\(a\)\n"
        r"  clauses: 1.2\(1\) grants 1.1\(a\)$",
        str(caught.value),
    )


def test_a_machine_draws_what_the_service_and_the_rules_name() -> None:
    guard = pg.Guard(tm.NOTICE)

    @guard.access
    def load() -> Row:
        return Row("aiko@example.com", "router")

    @guard.purpose(tm.AnyEventInvitation)
    def invite() -> None: ...

    class Naming(RemindingMachine):
        def make_guard(self) -> pg.Guard:
            return guard

        @rule()
        def count(self) -> None:
            with self.expecting("cookie", "traffic-analysis"):
                raise NotImplementedError

    machine = Naming()
    family = tm.NOTICE.purpose_or_family(tm.AnyEventInvitation)
    assert isinstance(family, pg.Family)
    declared = {family.name, *(member.clause for member in family.members)}
    declared |= {tm.RenewalGuidance.clause, tm.TrafficAnalysis.clause}
    assert set(machine._terms.purposes) == declared
    assert {source.clause for source in machine._terms.sources} == {"1.1(a)", "1.1(b)", tm.Cookie.clause}
    assert machine.may(tm.Contract, tm.ProductGuidance)
    assert set(machine._terms.purposes) == {*declared, tm.ProductGuidance.clause}
    assert tm.Contract in machine._terms.sources
    with guard.purpose(tm.ProductProvision):  # It is listed while the service runs, so examples would differ.
        assert set(Naming()._terms.purposes) == declared


def test_messages_name_the_subject_and_what_it_asked_for() -> None:
    machine = Machine()
    consents = frozenset({("4①", SMALL_NOTICE.revision)})
    machine._stands(1, suspended=frozenset({"3(1)①"}), consents=consents, erased=True, all_suspended=True)
    with pytest.raises(AssertionError) as caught, machine.expecting(ACCOUNT, "AnyAdvice", channel="email", subject=1):
        pass
    wishes = "stopped all uses and stopped 3(1)① and asked for erasure and consented to 4① under 2024-01-01"
    assert str(caught.value).splitlines() == [
        "1(a) went through for AnyAdvice, though the notice denies it",
        f"  subject: 1, who {wishes}",
        "  purpose: AnyAdvice, by email",
        "  sources: 1(a)",
        "  clauses: 3(1) grants 1(a)",
    ]
    with (
        pytest.raises(AssertionError) as caught,
        machine.expecting(ACCOUNT, "Service", subject=2, collected=SMALL_NOTICE.revision),
    ):
        machine.guard.check("Visit", "Service")
    assert str(caught.value).splitlines()[-4:] == [
        "  subject: 2, who asked for nothing",
        "  purpose: 3(2)①",
        "  sources: 1(a), collected on 2024-01-01",
        "  clauses: 3(2) grants 1(a)",
    ]
    with pytest.raises(AssertionError) as caught, machine.expecting(pg.Label(ACCOUNT, VISIT), "Service"):
        pass
    assert str(caught.value).splitlines()[1::3] == [
        "  subject: none is named",
        "  clauses: 3(2) grants 1(a); none grants 2",
    ]


def test_a_message_says_what_the_revision_in_force_lacks() -> None:
    machine = after(without_usage)
    for sources, purpose, lacking in ((SMALL_NOTICE.source("Usage"), "Service", "1(b)"), (ACCOUNT, "Offers", "Offers")):
        with pytest.raises(AssertionError) as caught, machine.expecting(sources, purpose):
            pass
        assert str(caught.value).endswith(f"clauses: the revision of 2025-01-01 lacks {lacking}")


def test_invariants_name_the_subject_too() -> None:
    machine = Deaf()
    machine._stands(1, all_suspended=True)
    machine._probes = [Probe(pg.Label(ACCOUNT), "3(2)①", None, RowContext(1))]
    with pytest.raises(AssertionError, match=r"unlike the specification\n  subject: 1, who stopped all uses"):
        machine.keeps_to_the_notice()
    machine._probes = []
    machine._sealed = [(Personal("x", ACCOUNT), 1)]
    block = machine.guard.purpose("Service")
    machine._blocks = [(block, block.__enter__())]
    with pytest.raises(AssertionError, match=r"was opened for 3\(2\)①.*\n  subject: 1, who stopped all uses\n  purp"):
        machine.keeps_to_the_notice()
    machine.teardown()


GUARD = pg.Guard(SMALL_NOTICE)
"""A guard at module level, as services have it."""


@GUARD.access(ACCOUNT)
def load_email(customer: int) -> str:
    return f"{customer}@example.com"


@GUARD.purpose("Renewal", channel="email")
def remind_by_email(customer: int) -> str:
    return GUARD.current.open(Personal(load_email(customer), ACCOUNT), subject=customer)


class ModuleMachine(PurposeMachine):
    history = HISTORY
    service_guard = GUARD
    reminds: Callable[[int], str] = staticmethod(remind_by_email)

    @rule(customer=st.sampled_from([1, 2]))
    def remind(self, customer: int) -> None:
        with self.expecting(ACCOUNT, "Renewal", channel="email", subject=customer, collected=SMALL_NOTICE.revision):
            self.reminds(customer)


def state_of(guard: pg.Guard) -> tuple[object, ...]:
    return (
        guard.notice,
        guard.history,
        guard.governance,
        guard.ledger,
        guard.engine.clock,
        tuple(guard.engine.observers),
    )


def test_a_guard_at_module_level_is_tested_and_restored() -> None:
    before = state_of(GUARD)
    run(ModuleMachine, 15)
    assert state_of(GUARD) == before


def test_what_a_service_with_a_guard_at_module_level_does_wrong_is_found() -> None:
    class Forgetful(ModuleMachine):
        reminds = staticmethod(functools.cache(remind_by_email))

    before = state_of(GUARD)
    with pytest.raises(AssertionError, match=r"went through for Renewal.*\n  subject: [12], who "):
        run(Forgetful, 100, 50)
    assert state_of(GUARD) == before


def test_the_history_of_a_guard_that_exists_is_its_own() -> None:
    guard = pg.Guard(HISTORY, clock=lambda: datetime.datetime(2024, 6, 1, tzinfo=datetime.UTC))

    class Following(PurposeMachine):
        service_guard = guard

    machine: PurposeMachine = Following()
    assert machine.guard is guard
    assert machine.notice is SMALL_NOTICE
    machine.revise()
    assert machine.notice is guard.notice is NARROWED
    assert not machine.may(ACCOUNT, "Renewal", channel="email")
    machine.teardown()
    assert guard.notice is SMALL_NOTICE

    later = pg.Guard(HISTORY)

    class Later(PurposeMachine):
        service_guard = later

    machine = Later()
    assert machine.notice is NARROWED
    assert machine.may(ACCOUNT, "Service") is later.allows(ACCOUNT, "Service") is True
    machine.teardown()


def test_a_machine_that_does_not_begin_leaves_its_guard_as_it_was() -> None:
    class Other(ModuleMachine):
        history = pg.History(NARROWED)

    class Failing(ModuleMachine):
        def start(self) -> None:
            assert self.guard.governance is self.office
            raise ZeroDivisionError

    before = state_of(GUARD)
    with pytest.raises(ValueError, match=r"Other begins with .* 2025-01-01.*, but its guard enforces .* 2024-01-01"):
        Other()
    with pytest.raises(ZeroDivisionError):
        Failing()
    assert state_of(GUARD) == before
