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

The machine keeps by itself what everybody asked for, and asks the executable specification (`purposeguard.reference`)
what follows. Needs hypothesis: `pip install 'purposeguard[hypothesis]'`.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from purposeguard import reference_circumstances, retention
from purposeguard.about import About, Day, SubjectId, subject_key
from purposeguard.activity import Block
from purposeguard.circumstances import CLEAR, Standing
from purposeguard.errors import PurposeGuardError, PurposeMissing, PurposeViolation
from purposeguard.fields import Shape, shape_of
from purposeguard.guard import Guard
from purposeguard.history import History
from purposeguard.inventory import Reclassification
from purposeguard.label import Label
from purposeguard.ledger import Ledger
from purposeguard.notice import Notice
from purposeguard.oversight import Oversight, Roster
from purposeguard.personal import Personal
from purposeguard.recipients import Provision
from purposeguard.terms import Family, NotPersonal, Source
from purposeguard.testing import strategies
from purposeguard.use import Use

DEEPEST: Final = 3
"""How many purposes may be under way, one within another."""

REMEMBERED: Final = 6
"""How many questions are asked again after each step."""


class WrittenDown:
    """A ledger that keeps what it is told."""

    def __init__(self) -> None:
        self.denials: list[PurposeViolation | PurposeMissing] = []
        self.uses: list[tuple[str | None, str, Label, int]] = []
        self.reclassifications: list[tuple[Reclassification, Label]] = []

    def denied(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:  # noqa: ARG002  # as Ledger has it
        """Keeps the denial."""
        self.denials.append(error)

    def allowed(self, activity: str | None, purpose: str, label: Label, count: int) -> None:
        """Keeps the use."""
        self.uses.append((activity, purpose, label, count))

    def reclassified(self, declared: Reclassification, label: Label, activity: str | None) -> None:  # noqa: ARG002  # as Ledger has it
        """Keeps the run."""
        self.reclassifications.append((declared, label))


class Office:
    """Keeps how subjects stand, as it is told by the machine: what `governance=` of a guard may be in a test."""

    ledger: Ledger | None = None
    requires_subject = False

    def __init__(self) -> None:
        self.standings: dict[str, Standing] = {}
        self.provisions: list[Provision] = []
        self._roster = Roster({})

    def standing(self, subject: str, /) -> Standing:
        """How it stands for a subject."""
        return self.standings.get(subject, CLEAR)

    def provided(self, provision: Provision, /) -> None:
        """Keeps the hand-over."""
        self.provisions.append(provision)

    def roster(self) -> Roster:
        """How it stands for all."""
        groups: dict[Standing, tuple[str, ...]] = {}
        for subject, standing in sorted(self.standings.items()):
            groups[standing] = (*groups.get(standing, ()), subject)
        roster = Roster(groups)
        if roster.groups != self._roster.groups:
            self._roster = roster
        return self._roster


@dataclasses.dataclass(frozen=True)
class Probe:
    """A question that was asked once, and is asked again after each step: the answer may change, and must be right."""

    label: Label
    held: Notice
    purpose: str
    channel: str | None
    about: About


class PurposeMachine(RuleBasedStateMachine):
    """Base of state machines of services: set `history`, make the service in `start`, add rules, name its `TestCase`.

    Rules that come with it enter and leave purposes, stop and permit uses of a subject's data, ask for erasure, give
    and withdraw consent, let days pass, and put the next revision in force. After each step: nothing is open outside a
    purpose; what the specification denies is denied, and what it allows is allowed; each denial was told to the ledger
    once, and no use that nothing grants.

    A rule of your own puts what it does into `expecting`, which says whether it must be refused.
    """

    history: ClassVar[Notice | History]
    """The revisions, the first of which is in force when it begins."""

    subjects: ClassVar[Sequence[SubjectId]] = (1, 2)
    """Whose data there is: few, so that things happen to the same one."""

    def __init__(self) -> None:
        super().__init__()
        given: object = getattr(self, "history", None)
        if not isinstance(given, (Notice, History)):
            raise TypeError(f"{type(self).__name__} says by which notice it goes: `history = my.NOTICE`, or a History")
        self.begin(given)

    def begin(self, history: Notice | History) -> None:
        """Begins anew, by these revisions: for an `@initialize` rule that draws them."""
        self._to_come = list(history) if isinstance(history, History) else [history]
        self._known = [self._to_come.pop(0)]
        self.office = Office()
        self.ledger = WrittenDown()
        self.now = datetime.datetime.combine(self._known[0].revision, datetime.time(12), datetime.UTC)
        self._standings: dict[str, Standing] = {}
        self._blocks: list[tuple[Block[Any], Use[Any]]] = []
        self._left: Use[Any] | None = None
        self._probes: list[Probe] = []
        self._sealed: list[tuple[Personal[Any, Any], Probe]] = []
        self.guard = self.make_guard()
        self.start()

    # ---- What a service's machine says ----------------------------------------------------------------------------

    def make_guard(self) -> Guard:
        """The guard of the service. One of your own must ask `self.office` and `self.clock`, and tell `self.ledger`."""
        governance: Oversight = self.office
        return Guard(self.notice, governance=governance, ledger=self.ledger, clock=self.clock)

    def start(self) -> None:
        """Makes the service, over `self.guard`. Called once, at the beginning."""

    def stopped(self, subject: SubjectId, purpose: str | None) -> None:
        """A subject asked for the use for a purpose to stop, by its clause, or for all (None).

        This and the next four are for a service that keeps by itself what subjects ask for: `self.office`, which the
        guard asks here, knows of it already.
        """

    def permitted(self, subject: SubjectId) -> None:
        """A subject let everything be used again that was stopped."""

    def erased(self, subject: SubjectId) -> None:
        """A subject asked for erasure."""

    def consented(self, subject: SubjectId, purpose: str) -> None:
        """A subject agreed to a purpose, by its clause, under the revision in force."""

    def withdrew(self, subject: SubjectId) -> None:
        """A subject withdrew all consents."""

    def revised(self, history: History) -> None:
        """Another revision is in force: the guard is told of it."""
        self.guard.replace(history)

    # ---- What it knows --------------------------------------------------------------------------------------------

    @property
    def notice(self) -> Notice:
        """The revision in force."""
        return self._known[-1]

    def clock(self) -> datetime.datetime:
        """What time it is."""
        return self.now

    @property
    def use(self) -> Use[Any] | None:
        """The use under way that a rule entered, if there is one."""
        return self._blocks[-1][1] if self._blocks else None

    def standing(self, subject: SubjectId | None) -> Standing:
        """What a subject asked for and agreed to."""
        return CLEAR if subject is None else self._standings.get(subject_key(subject), CLEAR)

    def may(
        self,
        sources: object,
        purpose: object,
        *,
        channel: str | None = None,
        subject: SubjectId | None = None,
        collected: Day | None = None,
    ) -> bool:
        """Whether the specification lets data of these sources serve a purpose, as things stand.

        `sources` is a label, a source, an id, or a tagged model, of which every field counts.
        """
        asked = self.notice.purpose_or_family(purpose)
        name = asked.name if isinstance(asked, Family) else asked.clause
        about = About(subject, collected=collected)
        return self._answer(Probe(_label_of(sources, self.notice), self.notice, name, channel, about))

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
        """What is done in the block must be refused where the specification denies it, and only there.

        Arguments are as for `may`; gives its answer. A refusal is caught, and must have been told to the ledger once.

        Raises:
            AssertionError: it was refused though it is allowed, or went through though it is denied.
        """
        allowed = self.may(sources, purpose, channel=channel, subject=subject, collected=collected)
        before = len(self.ledger.denials)
        try:
            yield allowed
        except PurposeViolation as refusal:
            if allowed:
                raise AssertionError(f"refused, though the notice allows it: {refusal}") from refusal
            self._must_be_told_once(refusal, before)
        else:
            if not allowed:
                what = ", ".join(source.clause for source in _label_of(sources, self.notice))
                raise AssertionError(f"{what} went through for {purpose}, though the notice denies it")

    def _must_be_told_once(self, refusal: PurposeViolation | PurposeMissing, before: int) -> None:
        told = sum(one is refusal for one in self.ledger.denials[before:])
        if told != 1:
            raise AssertionError(f"the ledger was told {told} times of one refusal: {refusal}")

    def _answer(self, probe: Probe) -> bool:
        """What the specification says to a question."""
        notices = [one.document for one in self._known]
        ids = self._ids_now(probe)
        if ids is None:
            return False
        about, standing = probe.about, self.standing(probe.about.subject)
        under = None if probe.held is self.notice else probe.held.revision
        if about.collected is not None:
            under = self._held_on(about.collected)
        return reference_circumstances.allowed(
            notices,
            ids,
            probe.purpose,
            probe.channel,
            collected_under=under,
            suspended=standing.suspended,
            stopped=standing.all_suspended or standing.erased,
            consents=standing.consents,
            overdue=retention.overdue(
                self.notice.document, ids, collected=about.collected, ended=about.ended, today=self.now
            ),
        )

    def _ids_now(self, probe: Probe) -> list[str] | None:
        """What the sources of a label are called in the revision in force; None where one is gone."""
        ids = [source.clause for source in probe.label if source is not NotPersonal]
        if probe.held is self.notice:
            return ids
        documents = [one.document for one in self._known]
        found: list[str] = []
        for given in ids:
            now = [
                one.clause
                for one in self.notice.sources
                if reference_circumstances.moved(documents, "source", one.clause, probe.held.revision) == given
            ]
            if not now:
                return None
            found.append(now[0])
        return found

    def _held_on(self, day: Day) -> datetime.date:
        """The revision that held on a day; the first of all days before the earliest."""
        on = retention.day_in(self.notice.document.timezone, day)
        return max((one.revision for one in self._known if one.revision <= on), default=datetime.date.min)

    # ---- Rules ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self._blocks) < DEEPEST)
    @rule(data=st.data())
    def enter_a_purpose(self, data: st.DataObject) -> None:
        """A purpose begins, perhaps within another."""
        block = data.draw(strategies.uses(self.guard), "purpose")
        self._blocks.append((block, block.__enter__()))

    @precondition(lambda self: bool(self._blocks))
    @rule()
    def leave_the_purpose(self) -> None:
        """The innermost purpose ends."""
        block, use = self._blocks.pop()
        block.__exit__(None, None, None)
        self._left = use

    @rule(data=st.data())
    def stop_a_use(self, data: st.DataObject) -> None:
        """A subject asks for the use for a purpose to stop, or for all of them."""
        subject = data.draw(st.sampled_from(self.subjects), "subject")
        purposes = [one.clause for one in self.notice.purposes]
        stopped = data.draw(st.none() | st.sampled_from(purposes), "purpose")
        held = self.standing(subject)
        if stopped is None:
            self._stands(subject, all_suspended=True)
        else:
            self._stands(subject, suspended=held.suspended | {stopped})
        self.stopped(subject, stopped)

    @rule(data=st.data())
    def permit_again(self, data: st.DataObject) -> None:
        """A subject lets everything be used again that was stopped; what is erased stays so."""
        subject = data.draw(st.sampled_from(self.subjects), "subject")
        self._stands(subject, all_suspended=False, suspended=frozenset())
        self.permitted(subject)

    @rule(data=st.data())
    def ask_for_erasure(self, data: st.DataObject) -> None:
        """A subject asks for erasure."""
        subject = data.draw(st.sampled_from(self.subjects), "subject")
        self._stands(subject, erased=True)
        self.erased(subject)

    @rule(data=st.data())
    def give_consent(self, data: st.DataObject) -> None:
        """A subject agrees to a purpose, under the revision in force."""
        subject = data.draw(st.sampled_from(self.subjects), "subject")
        purpose = data.draw(strategies.purposes(self.notice), "purpose").clause
        self._stands(subject, consents=self.standing(subject).consents | {(purpose, self.notice.revision)})
        self.consented(subject, purpose)

    @rule(data=st.data())
    def withdraw_consent(self, data: st.DataObject) -> None:
        """A subject withdraws all consents."""
        subject = data.draw(st.sampled_from(self.subjects), "subject")
        self._stands(subject, consents=frozenset())
        self.withdrew(subject)

    def _stands(self, subject: SubjectId, **changes: Any) -> None:
        standing = dataclasses.replace(self.standing(subject), **changes)
        self._standings[subject_key(subject)] = self.office.standings[subject_key(subject)] = standing

    @rule(days=st.sampled_from([1, 30, 365, 3650]))
    def let_days_pass(self, days: int) -> None:
        """Time goes by."""
        if self.now.year < datetime.MAXYEAR - 20:
            self.now += datetime.timedelta(days)

    @precondition(lambda self: bool(self._to_come))
    @rule()
    def revise(self) -> None:
        """The next revision comes into force."""
        self._known.append(self._to_come.pop(0))
        begins = datetime.datetime.combine(self.notice.revision, datetime.time(12), datetime.UTC)
        self.now = max(self.now, begins + datetime.timedelta(days=1))
        self.revised(History(*self._known))

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        """A question is asked, and from now on after each step."""
        question = data.draw(strategies.questions(self.notice, most=3), "question")
        subject = data.draw(st.none() | st.sampled_from(self.subjects), "subject")
        collected = data.draw(st.none() | st.sampled_from([one.revision for one in self._known]), "collected")
        name = question.purpose.name if isinstance(question.purpose, Family) else question.purpose.clause
        about = About(subject, collected=collected)
        probe = Probe(question.sources, self.notice, name, question.channel, about)
        self._probes = [*self._probes[-REMEMBERED + 1 :], probe]

    @rule(data=st.data())
    def seal_a_value(self, data: st.DataObject) -> None:
        """A value is sealed, which is opened, or refused, after each step in which a purpose is under way."""
        label = data.draw(strategies.labels(self.notice, most=2), "label")
        subject = data.draw(st.sampled_from(self.subjects), "subject")
        probe = Probe(label, self.notice, "", None, About(subject))
        self._sealed = [*self._sealed[-REMEMBERED + 1 :], (Personal(object(), label), probe)]

    # ---- What must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def keeps_to_the_notice(self) -> None:
        """All of the following, in one, so that it takes one line in the story that is told of a failure."""
        self.the_purpose_is_the_innermost()
        self.nothing_is_open_outside_a_purpose()
        self.what_is_denied_stays_denied()
        self.sealed_values_open_where_they_may()
        self.the_ledger_is_told_once()

    def the_purpose_is_the_innermost(self) -> None:
        """The use under way is that of the innermost block; outside of all there is none."""
        try:
            use = self.guard.current
        except PurposeMissing:
            use = None
        if use is not self.use:
            raise AssertionError(
                "a use is under way that no block is of" if self.use is None else "another use is under way"
            )

    def nothing_is_open_outside_a_purpose(self) -> None:
        """A use that has ended opens nothing."""
        if self._left is None:
            return
        for value, _ in self._sealed:
            try:
                self._left.open(value)
            except PurposeMissing:
                continue
            raise AssertionError("a use that has ended opened a sealed value")

    def what_is_denied_stays_denied(self) -> None:
        """Each question that was asked has the answer that the specification gives it now."""
        for probe in self._probes:
            if self._names_nothing(probe.purpose, probe.channel):
                continue
            expected = self._answer(probe)
            try:
                found = self.guard.allows(probe.label, probe.purpose, probe.channel, probe.about)
            except PurposeGuardError as error:
                raise AssertionError(f"could not be decided: {probe}: {error}") from error
            if found is not expected:
                may = "lets" if found else "does not let"
                raise AssertionError(f"the guard {may} {probe.label!r} serve {probe.purpose}, unlike the specification")

    def sealed_values_open_where_they_may(self) -> None:
        """Within a purpose, each sealed value opens, or is refused and told to the ledger once, as it is specified."""
        use = self.use
        if use is None:
            return
        purpose = use.purpose.name if isinstance(use.purpose, Family) else use.purpose.clause
        if self._names_nothing(purpose, use.channel):
            return
        for value, probe in self._sealed:
            expected = self._answer(dataclasses.replace(probe, purpose=purpose, channel=use.channel))
            before = len(self.ledger.denials)
            try:
                use.open(value, subject=probe.about.subject)
            except PurposeViolation as refusal:
                if expected:
                    raise AssertionError(f"refused, though the notice allows it: {refusal}") from refusal
                self._must_be_told_once(refusal, before)
            else:
                if not expected:
                    raise AssertionError(f"{probe.label!r} was opened for {purpose}, though the notice denies it")

    def the_ledger_is_told_once(self) -> None:
        """No denial was told twice, and no use that no revision grants."""
        denials = self.ledger.denials
        if len({id(one) for one in denials}) != len(denials):
            raise AssertionError("the ledger was told of one denial twice")
        while self.ledger.uses:
            _, purpose, label, _ = self.ledger.uses.pop()
            if not any(self._granted(one, purpose, label) for one in self._known):
                raise AssertionError(f"the ledger was told of a use of {label!r} for {purpose}, which nothing grants")

    def _granted(self, notice: Notice, purpose: str, label: Label) -> bool:
        ids = {source.clause for source in label if source is not NotPersonal}
        known = {one.clause for one in notice.sources}
        names = {*(one.clause for one in notice.purposes), *(one.name for one in notice.families)}
        if not ids:
            return True
        return purpose in names and ids <= known and reference_circumstances.allowed([notice.document], ids, purpose)

    def _names_nothing(self, purpose: str, channel: str | None) -> bool:
        """Whether a purpose or a channel that was asked for is gone from the revision in force."""
        names = {*(one.clause for one in self.notice.purposes), *(one.name for one in self.notice.families)}
        return purpose not in names or not (channel is None or channel in self.notice.channels)

    def teardown(self) -> None:
        """Leaves what was entered."""
        while self._blocks:
            self.leave_the_purpose()
        super().teardown()


def _label_of(sources: object, notice: Notice) -> Label:
    """The label of a source, an id, a label, or everything in a tagged model."""
    if isinstance(sources, Label):
        return sources
    if isinstance(sources, str):
        return Label(notice.source(sources))
    if isinstance(sources, type) and issubclass(sources, Source):
        return Label(sources)
    shape: Shape = shape_of(sources)
    label = shape.label_of_all()
    if label is None:
        raise TypeError(f"{sources!r} is no label, source or tagged model")
    return label
