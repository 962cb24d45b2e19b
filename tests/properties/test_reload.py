"""Invariant: a notice is replaced at one stroke, and each decision is by one revision, whole."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from purposeguard import Decision, Guard, Label, Personal, PurposeViolation, Use
from purposeguard.testing import strategies
from purposeguard.testing.strategies import declarable
from tests import support
from tests.support import Revisions, outcome

Question = tuple[Label, str, str | None]
ABSENT = object()


def facts(decision: Decision) -> object:
    """All that a decision says, in ids."""
    return (
        decision.allowed,
        tuple(source.clause for source in decision.denied),
        tuple(sorted((source.clause, clause) for source, clause in decision.grants.items())),
        tuple(purpose.clause for purpose in decision.alternatives),
        decision.reasons,
    )


def in_ids(question: Question) -> tuple[list[str], str, str | None]:
    label, purpose, channel = question
    return [source.clause for source in label], purpose, channel


def sealed(label: Label) -> list[list[Personal[Any, Any]]]:
    """Values that may be opened together where the label may be used."""
    whole: Personal[Any, Any] = Personal("value", label)
    return [[whole], [whole.map(str.upper)], [Personal("value", source) for source in label]]


def opens(use: Use[Any], values: list[Personal[Any, Any]]) -> set[bool]:
    """Whether values are opened, by each way to open them; what is refused is explained by a refusal."""
    found = {_opened(partial(use.open_all, values))}
    if len(values) == 1:
        found |= {_opened(partial(use.open, values[0])), use.try_open(values[0], ABSENT) is not ABSENT}
    return found


def _opened(act: Callable[[], object]) -> bool:
    try:
        act()
    except PurposeViolation as violation:
        refusal = violation
    else:
        return True
    assert not refusal.decision  # explained by the revision that refused
    return False


class Fire:
    """A guard whose notice is replaced over and over, and what each of two revisions answers to some questions."""

    def __init__(self, revisions: Revisions, questions: list[Question]) -> None:
        self.revisions = revisions
        self.guard = Guard(revisions[0])
        self.alone = {id(notice): Guard(notice) for notice in revisions}
        self.answers = {
            question: [facts(alone.explain(*in_ids(question))) for alone in self.alone.values()]
            for question in questions
        }
        self.verdicts = {
            question: {alone.allows(*in_ids(question)) for alone in self.alone.values()} for question in questions
        }
        self.over = threading.Event()

    def one_after_the_other(self) -> None:
        """A use under way is decided by the new revision from its very next check on."""
        guard = self.guard
        for question in self.answers:
            assert guard.allows(*question) is self.alone[id(guard.notice)].allows(*in_ids(question))
        for question in self.answers:
            label, purpose, channel = question
            with guard.purpose(purpose, channel=channel) as use:
                for notice in self.revisions[::-1] * 2:
                    guard.replace(notice)
                    now = self.alone[id(notice)].allows(*in_ids(question))
                    assert use.allows(label) is guard.allows(label, purpose, channel) is now
                    assert facts(use.explain(label)) == facts(self.alone[id(notice)].explain(*in_ids(question)))
                    assert (outcome(partial(use.check, label)) is None) is now
                    for values in sealed(label):
                        assert opens(use, values) == {now}

    def decide(self) -> None:
        while not self.over.is_set():
            for question in self.answers:
                label, purpose, channel = question
                assert facts(self.guard.explain(label, purpose, channel)) in self.answers[question]
                assert self.guard.allows(label, purpose, channel) in self.verdicts[question]
                self.use(question)

    def use(self, question: Question) -> None:
        label, purpose, channel = question
        refused = None
        with self.guard.purpose(purpose, channel=channel) as use:
            assert use.allows(label) in self.verdicts[question]
            for values in sealed(label):
                assert opens(use, values) <= self.verdicts[question]
            try:
                use.check(label)
            except PurposeViolation as violation:
                refused = violation
        assert (refused is None) in self.verdicts[question]
        if refused is not None:
            # What was refused is explained by the revision that refused it.
            assert not refused.decision
            assert facts(refused.decision) in self.answers[question]

    def replace(self) -> None:
        try:
            for notice in self.revisions * 40:
                self.guard.replace(notice)
        finally:
            self.over.set()


@settings(max_examples=20)
@given(data=st.data(), revisions=st.one_of(st.just(support.crossed()), support.revisions()))
def test_reload_is_atomic(data: st.DataObject, revisions: Revisions) -> None:
    first, second = revisions
    ways = [way for way in declarable(Guard(first)) if way in declarable(Guard(second))]
    chosen = data.draw(st.lists(strategies.labels(first, most=3), min_size=1, max_size=3))
    labels = [*chosen, Label(*first.sources[:2])]
    fire = Fire(revisions, [(label, *way) for label, way in itertools.product(labels, ways[:3])])
    fire.one_after_the_other()
    with support.switching():
        support.in_threads([fire.decide, fire.decide, fire.decide, fire.replace])
