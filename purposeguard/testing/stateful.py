"""A service as a state machine: purposes come and go, subjects change their minds, the notice is revised, time passes.

```python
class ShopMachine(PurposeMachine):
    history = pg.History(my.NOTICE_2024, my.NOTICE_2025)

    def start(self) -> None:
        self.shop = Shop(self.guard)

    @rule(customer=st.sampled_from(PurposeMachine.subjects))
    def remind(self, customer: int) -> None:
        with self.expecting(Customer, my.RenewalGuidance, subject=customer):
            self.shop.remind(customer)

TestShop = ShopMachine.TestCase
```

The machine keeps by itself what everybody asked for, and asks the executable specification (`purposeguard.policy.spec`)
what follows. Needs hypothesis: `pip install 'purposeguard[hypothesis]'`.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar, Final, NoReturn

from purposeguard.errors import PurposeGuardError, PurposeMissing, UnknownSource, UnknownTerm
from purposeguard.extras import Needs
from purposeguard.guard import Guard
from purposeguard.notice.history import History
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.timezones import Day
from purposeguard.notice.vocabulary import list_term_ids
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.row_context import RowContext, SubjectId, subject_key
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.activity import Block
from purposeguard.runtime.protocols import Oversight
from purposeguard.runtime.use import Use
from purposeguard.testing import strategies
from purposeguard.testing._expected import ExpectedDecisions, Probe, list_sources
from purposeguard.testing._service_terms import ServiceTerms, favor, favor_labels
from purposeguard.testing.strategies import Asked, declarable, list_purposes, name_of
from purposeguard.testing.substitution import Office, WrittenDown, substituting
from purposeguard.values.personal import Personal

with Needs(__name__, "hypothesis"):
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

__all__ = ["Office", "PurposeMachine", "WrittenDown"]

DEEPEST: Final = 3
"""The most purposes that are nested."""

REMEMBERED: Final = 6
"""The number of questions repeated after each step."""


class PurposeMachine(RuleBasedStateMachine):
    """Base class for state machines of services: set `history`, make the service in `start`, add rules.

    Its own rules enter and leave purposes, stop and permit uses of a subject's data, ask for erasure, give and withdraw
    consent, let days pass, and put the next revision in force. After each step: nothing opens outside a purpose; the
    guard answers as the specification does; the ledger has each denial once, and no use that nothing grants.

    A rule of your own puts its work into an `expecting` block, which checks whether it must be refused.
    """

    history: ClassVar[Notice | History]
    """The revisions; the first is in force at the beginning."""

    service_guard: ClassVar[Guard | None] = None
    """The guard of a service that has one already, for example because it is made when a module is imported.

    It gets the machine's governance, clock and ledger, and revisions are put in force in it. After each example it is
    as before. `history` can be left out; otherwise it begins with the notice of the guard."""

    _declared_terms: ClassVar[ServiceTerms]

    subjects: ClassVar[Sequence[SubjectId]] = (1, 2)
    """The subjects; few, so that several rules affect the same one."""

    def __init__(self) -> None:
        super().__init__()
        self._substitution = ExitStack()
        revisions: object = getattr(self, "history", None)
        guard = self.service_guard
        if revisions is None and guard is not None:
            revisions = History(*(notice for notice in guard.history if notice.revision >= guard.notice.revision))
        if not isinstance(revisions, (Notice, History)):
            raise TypeError(f"{type(self).__name__} says by which notice it goes: `history = my.NOTICE`, or a History")
        self.begin(revisions)

    def begin(self, history: Notice | History) -> None:
        """Begin again with these revisions. An `@initialize` rule that draws revisions calls this."""
        self._substitution.close()
        self._to_come = list(history) if isinstance(history, History) else [history]
        self._expected = ExpectedDecisions(self._to_come.pop(0))
        self.office = Office()
        self.ledger = WrittenDown()
        self.now = datetime.datetime.combine(self.notice.revision, datetime.time(12), datetime.UTC)
        self._blocks: list[tuple[Block[Any], Use[Any]]] = []
        self._left: Use[Any] | None = None
        self._probes: list[Probe] = []
        self._sealed: list[tuple[Personal[Any, Any], SubjectId]] = []
        self._terms = ServiceTerms()
        try:
            self.guard = self._substitute_services() or self.make_guard()
            self.start()
        except BaseException:
            self._substitution.close()
            raise
        self._terms |= self._read_declared_terms()

    def _substitute_services(self) -> Guard | None:
        """Put the machine's governance, clock and ledger under the guard of the service, if it has one."""
        guard = self.service_guard
        if guard is None:
            return None
        if guard.notice is not self.notice:
            raise ValueError(
                f"{type(self).__name__} begins with {self.notice!r}, but its guard enforces {guard.notice!r}: "
                "leave `history` out, or begin it with the notice of the guard"
            )
        self._expected.known[:0] = [notice for notice in guard.history if notice.revision < self.notice.revision]
        governance = self.make_governance()
        self._substitution.enter_context(
            substituting(guard, governance=governance, clock=self.clock, ledger=self.ledger)
        )
        return guard

    def _read_declared_terms(self) -> ServiceTerms:
        """Return the terms that the service and the methods of the machine name.

        They are read once for each class. Later, the inventory of a guard may have more, and hypothesis needs each
        example to draw from the same.
        """
        cls = type(self)
        if "_declared_terms" not in vars(cls):
            cls._declared_terms = ServiceTerms()
            cls._declared_terms.add_inventory(self.guard)
            cls._declared_terms.add_methods(cls, self.notice)
        return cls._declared_terms

    # ---- What a service's machine says ----------------------------------------------------------------------------

    def make_guard(self) -> Guard:
        """Return a new guard for the service. An override must use `make_governance`, `self.clock` and `self.ledger`.

        Not called for a machine with a `service_guard`.
        """
        return Guard(self.notice, governance=self.make_governance(), ledger=self.ledger, clock=self.clock)

    def make_governance(self) -> Oversight:
        """Return the governance of the guard. An override records what `stopped` and the others are called with."""
        return self.office

    def start(self) -> None:
        """Make the service with `self.guard`. Each `begin` calls this: the first one when the machine is made."""

    def stopped(self, subject: SubjectId, purpose: str | None) -> None:
        """Handle a subject's request to stop the use for a purpose, named by its clause, or for all (None).

        Override this method and the next four if the service itself records what subjects ask for. `self.office`,
        which the guard asks in these tests, has recorded it already. Make what they need in `start`: some subjects have
        stopped a use from the beginning.
        """

    def permitted(self, subject: SubjectId) -> None:
        """Handle a subject's permission to use everything again that was stopped."""

    def erased(self, subject: SubjectId) -> None:
        """Handle a subject's request for erasure."""

    def consented(self, subject: SubjectId, purpose: str) -> None:
        """Handle a subject's consent to a purpose, named by its clause, under the revision in force."""

    def withdrew(self, subject: SubjectId) -> None:
        """Handle a subject's withdrawal of all consents."""

    def revised(self, history: History) -> None:
        """Pass the revisions to the guard when another one comes into force."""
        self.guard.replace(history)

    # ---- What it knows --------------------------------------------------------------------------------------------

    @property
    def notice(self) -> Notice:
        """The revision in force."""
        return self._expected.notice

    def clock(self) -> datetime.datetime:
        """Return the current time of the machine."""
        return self.now

    @property
    def use(self) -> Use[Any] | None:
        """The innermost use that a rule entered; None if there is none."""
        return self._blocks[-1][1] if self._blocks else None

    def preferences(self, subject: SubjectId | None) -> SubjectPreferences:
        """Return a subject's preferences."""
        return self._expected.preferences(subject)

    def may(
        self,
        sources: object,
        purpose: object,
        *,
        channel: str | None = None,
        subject: SubjectId | None = None,
        collected: Day | None = None,
    ) -> bool:
        """Return True if the specification allows data of these sources for a purpose in the current state.

        `sources`: a label, a source, an id, a tagged model, all of whose fields count, or an iterable of these. A class
        of an earlier revision means data collected under it (rule 9). Terms that the revision lacks are denied.

        Raises:
            UnknownTerm: no revision so far has a source, the purpose or the channel.
            TypeError: `sources` is none of these.
        """
        probe, is_known = self._ask(sources, purpose, channel, RowContext(subject, collected=collected))
        return is_known and self._expected.allows(probe, self.now)

    def _ask(self, sources: object, purpose: object, channel: str | None, about: RowContext) -> tuple[Probe, bool]:
        """Return a question, and True if the revision in force has all of its terms. Remember these for drawing."""
        sources = list_sources(sources)
        probe = self._expected.probe(sources, purpose, channel, about)
        if probe is None:
            return Probe(self._expected.label(sources), str(purpose), channel, about), False
        self._terms.add_label(probe.label)
        self._terms.add_purpose(self.notice.purpose_or_family(probe.purpose))
        return probe, True

    @contextmanager
    def expecting(
        self,
        sources: object,
        purpose: object,
        *,
        channel: str | None = None,
        subject: SubjectId | None = None,
        collected: Day | None = None,
    ) -> Generator[bool]:
        """Return a context manager whose block must be refused exactly if the specification denies it.

        Takes the arguments of `may`, and yields its answer. A refusal is caught, and must be in the ledger once;
        UnknownTerm counts as one if the revision in force lacks a term. If `may` allows the use, an activity that
        states no channel may be refused all the same, where its purpose lists channels (rule 7).

        Raises:
            AssertionError: the block was refused though allowed, or went through though denied; or the ledger does not
                have the refusal exactly once.
            UnknownTerm, TypeError: as `may`.
        """
        probe, is_known = self._ask(sources, purpose, channel, RowContext(subject, collected=collected))
        allowed = is_known and self._expected.allows(probe, self.now)
        before = len(self.ledger.denials)
        try:
            yield allowed
        except PurposeViolation as refusal:
            if is_known and self._expected.allows(probe, self.now, to_activity=refusal.activity is not None):
                self._fail(f"refused, though the notice allows it: {refusal}", probe, refusal)
            self._must_be_told_once(refusal, before, probe)
        except UnknownTerm:
            if is_known:
                raise
        else:
            if not allowed:
                clauses = ", ".join(list_term_ids(probe.label))
                self._fail(f"{clauses} went through for {purpose}, though the notice denies it", probe)

    def _fail(self, message: str, probe: Probe, error: BaseException | None = None) -> NoReturn:
        """Raise an AssertionError that says what a question is about, and what its subject asked for."""
        raise AssertionError(f"{message}{self._expected.describe(probe)}") from error

    def _must_be_told_once(self, refusal: PurposeViolation | PurposeMissing, before: int, probe: Probe) -> None:
        times = sum(denial is refusal for denial in self.ledger.denials[before:])
        if times != 1:
            self._fail(f"the ledger was told {times} times of one refusal: {refusal}", probe)

    # ---- Rules ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self._blocks) < DEEPEST)
    @rule(data=st.data())
    def enter_a_purpose(self, data: st.DataObject) -> None:
        """Enter a purpose, perhaps within another."""
        ways = declarable(self.guard)
        named = [way for way in ways if way[0] in self._terms.purposes]
        name, channel = data.draw(favor(named, ways), "purpose and channel")
        block: Block[Any] = self.guard.purpose(name, channel=channel)
        self._blocks.append((block, block.__enter__()))

    @precondition(lambda self: bool(self._blocks))
    @rule()
    def leave_the_purpose(self) -> None:
        """Leave the innermost purpose."""
        block, use = self._blocks.pop()
        block.__exit__(None, None, None)
        self._left = use

    @initialize(data=st.data())
    def begin_with_opt_outs(self, data: st.DataObject) -> None:
        """Stop the use of some subjects' data for one purpose, before the service runs. The first asks for nothing."""
        for subject in self.subjects[1:]:
            if data.draw(st.sampled_from([False, True, True, True]), f"{subject} stops a use"):
                self._stop(subject, data.draw(favor(self._list_named_purposes(), self._list_purpose_ids()), "purpose"))

    @rule(data=st.data())
    def stop_a_use(self, data: st.DataObject) -> None:
        """Stop the use of a subject's data for a purpose, or for all of them."""
        subject = data.draw(st.sampled_from(self.subjects), "subject")
        purposes = favor([None, *self._list_named_purposes()], [None, *self._list_purpose_ids()])
        self._stop(subject, data.draw(purposes, "purpose"))

    def _stop(self, subject: SubjectId, purpose: str | None) -> None:
        if purpose is None:
            self._stands(subject, all_suspended=True)
        else:
            self._stands(subject, suspended=self.preferences(subject).suspended | {purpose})
        self.stopped(subject, purpose)

    @precondition(lambda self: bool(self._list_stopped()))
    @rule(data=st.data())
    def permit_again(self, data: st.DataObject) -> None:
        """Permit all stopped uses of a subject's data again; erased data stays erased."""
        subject = data.draw(st.sampled_from(self._list_stopped()), "subject")
        self._stands(subject, all_suspended=False, suspended=frozenset())
        self.permitted(subject)

    @precondition(lambda self: bool(self._list_erasable()))
    @rule(data=st.data())
    def ask_for_erasure(self, data: st.DataObject) -> None:
        """Ask for the erasure of a subject's data. Of several subjects, one stays."""
        subject = data.draw(st.sampled_from(self._list_erasable()), "subject")
        self._stands(subject, erased=True)
        self.erased(subject)

    @rule(data=st.data())
    def give_consent(self, data: st.DataObject) -> None:
        """Give a subject's consent to a purpose, under the revision in force."""
        subject = data.draw(st.sampled_from(self.subjects), "subject")
        purpose = data.draw(favor(self._list_named_purposes(), self._list_purpose_ids()), "purpose")
        self._stands(subject, consents=self.preferences(subject).consents | {(purpose, self.notice.revision)})
        self.consented(subject, purpose)

    @precondition(lambda self: bool(self._list_consenting()))
    @rule(data=st.data())
    def withdraw_consent(self, data: st.DataObject) -> None:
        """Withdraw all consents of a subject."""
        subject = data.draw(st.sampled_from(self._list_consenting()), "subject")
        self._stands(subject, consents=frozenset())
        self.withdrew(subject)

    def _stands(self, subject: SubjectId, **changes: Any) -> None:
        self.office.preferences_by_subject[subject_key(subject)] = self._expected.stands(subject, **changes)

    @rule(days=st.sampled_from([1, 30, 365, 3650]))
    def let_days_pass(self, days: int) -> None:
        """Let days pass."""
        if self.now.year < datetime.MAXYEAR - 20:
            self.now += datetime.timedelta(days)

    @precondition(lambda self: bool(self._to_come))
    @rule()
    def revise(self) -> None:
        """Put the next revision into force."""
        self._expected.known.append(self._to_come.pop(0))
        begins = datetime.datetime.combine(self.notice.revision, datetime.time(12), datetime.UTC)
        self.now = max(self.now, begins + datetime.timedelta(days=1))
        self.revised(History(*self._expected.known))

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        """Add a question that the guard answers now and after each later step."""
        term = data.draw(self._purposes_and_families(), "purpose")
        channel = data.draw(strategies.channels(self.notice), "channel")
        label = data.draw(self._labels(strategies.labels(self.notice, term, channel=channel, most=3)), "sources")
        subject = data.draw(st.none() | st.sampled_from(self.subjects), "subject")
        collected = data.draw(
            st.none() | st.sampled_from([notice.revision for notice in self._expected.known]), "collected"
        )
        probe = Probe(label, name_of(term), channel, RowContext(subject, collected=collected))
        self._probes = [*self._probes[-REMEMBERED + 1 :], probe]

    @rule(data=st.data())
    def seal_a_value(self, data: st.DataObject) -> None:
        """Seal a value; each later step under a purpose tries to open it."""
        label = data.draw(self._labels(strategies.labels(self.notice, most=2)), "label")
        subject = data.draw(st.sampled_from(self.subjects), "subject")
        self._sealed = [*self._sealed[-REMEMBERED + 1 :], (Personal(object(), label), subject)]

    def _list_stopped(self) -> list[SubjectId]:
        return [
            subject
            for subject in self.subjects
            if self.preferences(subject).suspended or self.preferences(subject).all_suspended
        ]

    def _list_consenting(self) -> list[SubjectId]:
        return [subject for subject in self.subjects if self.preferences(subject).consents]

    def _list_erasable(self) -> list[SubjectId]:
        """Return the subjects who may ask for erasure: of several, all but the last, so that the story goes on."""
        remaining = [subject for subject in self.subjects if not self.preferences(subject).erased]
        return remaining if len(remaining) > 1 or len(self.subjects) == 1 else []

    def _list_purpose_ids(self) -> list[str]:
        return list_term_ids(self.notice.purposes)

    def _list_named_purposes(self) -> list[str]:
        return [purpose for purpose in self._list_purpose_ids() if purpose in self._terms.purposes]

    def _purposes_and_families(self) -> st.SearchStrategy[Asked]:
        every = list_purposes(self.notice)
        return favor([term for term in every if name_of(term) in self._terms.purposes], every)

    def _labels(self, labels: st.SearchStrategy[Label]) -> st.SearchStrategy[Label]:
        """Return a strategy for labels of sources that the service names, or for other labels."""
        known = {source for notice in self._expected.known for source in notice.sources}
        return favor_labels([source for source in self._terms.sources if source in known], labels)

    # ---- What must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def keeps_to_the_notice(self) -> None:
        """Run all checks in one invariant, which takes one line in the report of a failure."""
        self.the_purpose_is_the_innermost()
        self.nothing_is_open_outside_a_purpose()
        self.what_is_denied_stays_denied()
        self.sealed_values_open_where_they_may()
        self.the_ledger_is_told_once()

    def the_purpose_is_the_innermost(self) -> None:
        """Check that the current use is that of the innermost block, and that there is none outside of all blocks."""
        try:
            use = self.guard.current
        except PurposeMissing:
            use = None
        if use is not self.use:
            raise AssertionError(
                "a use is under way that no block is of" if self.use is None else "another use is under way"
            )

    def nothing_is_open_outside_a_purpose(self) -> None:
        """Check that a use that has ended opens nothing."""
        if self._left is None:
            return
        self._must_open_nothing(self._left, "a use that has ended opened a sealed value")

    def what_is_denied_stays_denied(self) -> None:
        """Check that the guard now denies what the specification denies, and allows what it allows.

        A question about a source that the revision in force lacks must be denied. Questions about a purpose or channel
        that it lacks are skipped.
        """
        for probe in self._probes:
            if self._expected.is_nothing(probe.purpose, probe.channel):
                continue
            expected = self._expected.allows(probe, self.now)
            try:
                allowed = self.guard.allows(*probe)
            except UnknownSource as error:
                allowed = False
                self._must_be_gone(probe, error)
            except PurposeGuardError as error:
                self._fail(f"could not be decided: {error}", probe, error)
            if allowed is not expected:
                may = "lets" if allowed else "does not let"
                self._fail(f"the guard {may} {probe.label!r} serve {probe.purpose}, unlike the specification", probe)

    def sealed_values_open_where_they_may(self) -> None:
        """Check that each sealed value opens or is refused under a purpose, as specified.

        The ledger must have each refusal once.
        """
        use = self.use
        if use is None:
            return
        try:
            purpose = name_of(use.purpose)
        except UnknownTerm:
            self._must_open_nothing(use, "a use whose purpose or channel is gone opened a sealed value")
            return
        for value, subject in self._sealed:
            probe = Probe(value.label, purpose, use.channel, RowContext(subject), use.conditions)
            expected = self._expected.allows(probe, self.now, to_activity=True)
            before = len(self.ledger.denials)
            try:
                use.open(value, subject=subject)
            except PurposeViolation as refusal:
                if expected:
                    self._fail(f"refused, though the notice allows it: {refusal}", probe, refusal)
                self._must_be_told_once(refusal, before, probe)
            except UnknownSource as error:
                self._must_be_gone(probe, error)
            else:
                if not expected:
                    self._fail(f"{value.label!r} was opened for {purpose}, though the notice denies it", probe)

    def _must_open_nothing(self, use: Use[Any], otherwise: str) -> None:
        for value, subject in self._sealed:
            try:
                use.open(value, subject=subject)
            except (PurposeMissing, PurposeViolation, UnknownTerm):
                continue
            self._fail(otherwise, Probe(value.label, use.activity.purpose_id, use.channel, RowContext(subject)))

    def _must_be_gone(self, probe: Probe, error: UnknownSource) -> None:
        if not self._expected.is_gone(probe.label):
            self._fail(f"could not be decided, though each source is known: {error}", probe, error)

    def the_ledger_is_told_once(self) -> None:
        """Check that the ledger has no denial twice, and no use that no revision grants."""
        denials = self.ledger.denials
        if len(set(map(id, denials))) != len(denials):
            repeated, _ = Counter(denials).most_common(1)[0]
            raise AssertionError(f"the ledger was told of one denial twice: {repeated}")
        while self.ledger.uses:
            _, purpose, label = self.ledger.uses.pop()
            if not self._expected.ever_granted(purpose, label):
                raise AssertionError(f"the ledger was told of a use of {label!r} for {purpose}, which nothing grants")

    def teardown(self) -> None:
        """Leave the entered blocks, and restore the guard of the service."""
        with self._substitution:
            while self._blocks:
                self.leave_the_purpose()
            super().teardown()
