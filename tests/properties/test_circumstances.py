"""Whatever way a guard is asked about a subject and a day, it answers as the executable specification does."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from hypothesis import given, settings
from hypothesis import strategies as st

import purposeguard as pg
from purposeguard.notice import retention
from purposeguard.policy import spec
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.violations import violation_class
from purposeguard.testing import strategies
from purposeguard.testing.strategies import declarable
from tests import support
from tests.generated import notice_revisions
from tests.unit.marked_rows import reading
from tests.unit.oversights import Counting, Office
from tests.unit.samples import revised

UTC = datetime.UTC


@dataclasses.dataclass
class Case:
    """A guard over a history, one revision of which is in force; and a datum, of which some is known."""

    notices: tuple[pg.Notice, ...]
    inforce: pg.Notice
    label: pg.Label
    about: pg.RowContext
    preferences: SubjectPreferences
    today: datetime.date
    strict: bool
    conditions: frozenset[str]

    def guard(self, **options: Any) -> pg.Guard:
        office = Office({"1": self.preferences}, requires_subject=self.strict)
        now = datetime.datetime.combine(self.notices[-1].revision, datetime.time(12), UTC)
        guard = pg.Guard(pg.History(*self.notices), governance=office, clock=lambda: max(now, self.moment), **options)
        if guard.notice is not self.inforce:
            guard.replace(self.inforce)
        return guard

    @property
    def moment(self) -> datetime.datetime:
        return datetime.datetime.combine(self.today, datetime.time(12), UTC)

    def expected(self, purpose: str, channel: str | None, *, activity: bool = False) -> bool:
        """What the specification says; whom nobody names may be nobody where somebody must be."""
        if self.strict and self.about.subject is None:
            return False
        ids = [source.clause for source in self.label]
        preferences = self.preferences if self.about.subject == "1" else SubjectPreferences()
        collected, under = self.about.collected, None
        if isinstance(collected, datetime.date):
            under = max((one.revision for one in self.notices if one.revision <= collected), default=datetime.date.min)
        return spec.is_allowed(
            [one.document for one in (*self.notices, self.inforce)],
            ids,
            purpose,
            channel,
            collected_under=under,
            suspended=preferences.suspended,
            stopped=preferences.erased or preferences.all_suspended,
            consents=preferences.consents,
            overdue=retention.Periods(self.inforce.document).overdue(
                ids, collected=collected, ended=self.about.ended, today=self.moment
            ),
            activity=activity,
            conditions=self.conditions,
            named=self.about.subject is not None,
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    notices = tuple(
        revised(one, draw(_periods(one))) for one in draw(notice_revisions.revisions(conditions=draw(st.booleans())))
    )
    inforce = draw(st.sampled_from([notices[-1], notices[-1], notices[0]]))
    purposes, revisions = [one.clause for one in inforce.purposes], [one.revision for one in notices]
    days = st.none() | st.sampled_from(
        [day + datetime.timedelta(days=offset) for day in revisions for offset in (-1, 0, 1, 40)]
    )
    return Case(
        notices,
        inforce,
        draw(strategies.labels(inforce, most=3)),
        pg.RowContext(draw(st.sampled_from([1, 1, 1, 2, None])), collected=draw(days), ended=draw(days)),
        SubjectPreferences(
            suspended=frozenset(draw(st.sampled_from([(), (), purposes[:1], purposes[1:3]]))),
            all_suspended=draw(st.sampled_from([False] * 9 + [True])),
            erased=draw(st.sampled_from([False] * 9 + [True])),
            provision_stopped=draw(st.booleans()),
            consents=frozenset(
                draw(st.lists(st.tuples(st.sampled_from(purposes), st.sampled_from(revisions)), max_size=6))
            ),
        ),
        revisions[-1] + datetime.timedelta(days=draw(st.sampled_from([0, 1, 30, 365]))),
        draw(st.booleans()),
        frozenset(one for one in inforce.conditions if draw(st.booleans())),
    )


@st.composite
def _periods(draw: st.DrawFn, notice: pg.Notice) -> Callable[[dict[str, Any]], object]:
    rows = [
        {"source": source.clause, "days": days, "from": origin}
        for source in notice.sources
        for days in draw(st.sampled_from([(), (), (30,), (400,)]))
        for origin in draw(st.sampled_from([("collection",), ("end-of-use",), ("collection", "end-of-use")]))
    ]
    facts = {"clause": "8", "starts": "end-of-use", "bases": ["law", "granted-purposes"], "after": "law-only"}
    return lambda t: t.update(retention={**facts, "period": rows}) if rows else None


def refuses(ask: Callable[[], object]) -> bool:
    """Whether it is a violation, and of the class that its decision says."""
    try:
        ask()
    except pg.PurposeViolation as error:
        return type(error) is violation_class(error.decision)
    return False


def asked(case: Case, guard: pg.Guard, purpose: str, channel: str | None) -> Iterator[bool]:
    """What each way to ask a guard says."""
    label, about = case.label, case.about
    wanted = guard.notice.purpose(purpose) if purpose in {one.clause for one in guard.notice.purposes} else purpose
    decision = guard.explain(label, wanted, channel, subject=about, conditions=case.conditions)
    yield decision.allowed
    yield not decision.reasons
    yield not decision.denied
    yield guard.allows([source.clause for source in label], purpose, channel, subject=about, conditions=case.conditions)
    yield not refuses(lambda: guard.check(label, purpose, channel, subject=about, conditions=case.conditions))


def used(case: Case, guard: pg.Guard, purpose: str, channel: str | None) -> Iterator[bool]:
    """What each way to ask the use of an activity says."""
    label, about = case.label, case.about
    sealed: pg.Personal[str, Any] = pg.Personal("v", label)
    with guard.purpose(purpose, channel=channel, conditions=case.conditions) as use:
        for _ in range(2):  # the second time it may be known
            yield use.allows(label, subject=about)
            yield bool(use.explain(label, subject=about))
            yield use.try_open(sealed, "else", subject=about) == "v"
            yield not refuses(lambda: use.open(sealed, subject=about))
            yield not refuses(lambda: use.open_all([sealed, sealed], subjects=[about, about]))
            yield not refuses(lambda: use.check(label, subject=about))
            if about.collected is None and about.ended is None and about.subject is not None:
                key = int(about.subject)
                yield use.allows(label, subject=key)
                yield not refuses(lambda: use.open(sealed, subject=key))  # noqa: B023  # called at once


@settings(max_examples=20)
@given(case=cases(), data=st.data())
def test_every_way_to_ask_answers_as_the_specification(case: Case, data: st.DataObject) -> None:
    guard = case.guard(ledger=data.draw(st.sampled_from([None, support.RecordingLedger()])))
    for way in data.draw(st.lists(st.sampled_from(declarable(guard)), min_size=1, max_size=4)):
        assert set(asked(case, guard, *way)) == {case.expected(*way)}, way
        assert set(used(case, guard, *way)) == {case.expected(*way, activity=True)}, way


@settings(max_examples=12)
@given(case=cases(), data=st.data())
def test_rows_are_given_as_the_specification_says(case: Case, data: st.DataObject) -> None:
    """Read, left out, or withheld, by the marks that say the same."""
    guard = case.guard()
    label, about = case.label, case.about
    fields: list[Any] = [("key", Annotated[Any, pg.Subject]), ("until", Annotated[Any, pg.Ended])]
    fields += [] if about.collected is None else [("since", Annotated[Any, pg.Collected])]
    cls: Any = dataclasses.make_dataclass("Row", [*fields, ("value", Annotated[str, label], "v")])
    row = cls(about.subject, about.ended, *(() if about.collected is None else (about.collected,)))

    load, narrowed = reading(guard, list[cls], [row]), reading(guard, list[cls], [row], narrow=True)
    for purpose, channel in data.draw(st.lists(st.sampled_from(declarable(guard)), min_size=1, max_size=3)):
        expected = case.expected(purpose, channel, activity=True)
        with guard.purpose(purpose, channel=channel, conditions=case.conditions) as use:
            assert refuses(load) is not expected
            copy = use.withhold([row])[0]
            assert refuses(lambda: copy.value) is not expected  # noqa: B023  # called at once
            if expected:
                assert narrowed() == [row]
            elif not refuses(narrowed):
                assert narrowed() == []


@settings(max_examples=12)
@given(case=cases())
def test_nothing_that_is_known_of_a_datum_widens(case: Case) -> None:
    """Whoever it is of, whatever they agreed to, whenever it was collected: rules 1 to 8 must grant it."""
    guard = case.guard()
    ids = [source.clause for source in case.label]
    for purpose, channel in declarable(guard):
        if guard.allows(case.label, purpose, channel, subject=case.about, conditions=case.conditions):
            assert spec.permits(case.inforce.document, ids, purpose, channel, case.conditions)


@settings(max_examples=8)
@given(case=cases())
def test_a_stop_widens_nothing_and_consent_narrows_nothing(case: Case) -> None:
    about = pg.RowContext(1, collected=case.about.collected, ended=case.about.ended)
    purposes = [one.clause for one in case.inforce.purposes]
    every = frozenset((one, notice.revision) for one in purposes for notice in case.notices)
    more, less, none = (
        dataclasses.replace(case, preferences=preferences).guard()
        for preferences in (
            dataclasses.replace(case.preferences, consents=case.preferences.consents | every),
            dataclasses.replace(case.preferences, suspended=case.preferences.suspended | set(purposes[:2])),
            dataclasses.replace(case.preferences, all_suspended=True),
        )
    )
    guard = case.guard()
    for purpose, channel in declarable(guard):
        now, agreed, stopped = (
            one.allows(case.label, purpose, channel, subject=about, conditions=case.conditions)
            for one in (guard, more, less)
        )
        assert agreed >= now >= stopped
        assert not none.allows(case.label, purpose, channel, subject=about, conditions=case.conditions)


@settings(max_examples=8)
@given(case=cases(), data=st.data())
def test_an_exception_asks_no_clause_and_covers_no_other_subject(case: Case, data: st.DataObject) -> None:
    guard = case.guard(ledger=Counting())
    subjects: Any = data.draw(st.sampled_from(["all", [1], [2], [1, 2]]))
    until = datetime.datetime(9999, 1, 1, tzinfo=UTC)
    door = guard.exception(basis="law", reason="r", approver="a", subjects=subjects, until=until)
    sealed: pg.Personal[str, Any] = pg.Personal("v", case.label)
    covered = subjects == "all" or (case.about.subject is not None and int(case.about.subject) in subjects)
    with door as use:
        assert use.allows(case.label, subject=case.about) is covered
        assert (use.try_open(sealed, "else", subject=case.about) == "v") is covered
        assert refuses(lambda: use.open(sealed, subject=case.about)) is not covered
