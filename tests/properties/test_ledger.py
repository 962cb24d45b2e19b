"""Invariant: a ledger is told every denial, once, and every use and opening, to the number; of questions nothing."""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, create_model

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing.strategies import declarable, name_of
from purposeguard.values.json import encode_sealed
from tests import generated
from tests.properties import seals
from tests.properties.seals import Sample
from tests.support import RecordingLedger

Act = Callable[[], object]
Mode = Literal["enforce", "observe"]


class Desk:
    """A guard with a ledger, and all the ways in which data of one source may be used there."""

    def __init__(self, notice: pg.Notice, source: type[pg.Source], mode: Mode) -> None:
        self.ledger = RecordingLedger()
        self.guard = guard = pg.Guard(notice, ledger=self.ledger, mode=mode)
        self.source = source
        row: Any = dataclasses.make_dataclass("Row", [("field", Annotated[str, source])])
        self.row = row
        self.used = 0

        def read() -> object:
            return row("value")

        def read_all() -> Iterator[object]:
            yield row("value")

        read.__annotations__["return"] = row
        read_all.__annotations__["return"] = Iterator[row]
        stream, withheld = guard.access(read_all), guard.access(withhold=True)(read)
        self.withheld: Any = withheld
        self.reads: list[Act] = [
            guard.access(read),
            guard.access(source)(read),
            guard.cached()(guard.access(source)(read)),
            lambda: next(stream()),
        ]

    def open_withheld(self) -> object:
        return self.withheld().field

    def uses(self, use: pg.Use[Any]) -> list[Act]:
        """The ways in which data is used in a block."""
        return [
            *self.reads,
            self.open_withheld,
            partial(use.check, self.source),
            lambda: use.withhold(self.row("value")).field,
        ]

    def act(self, act: Act, *, refused: bool, observed: bool) -> None:
        """Uses data, which is refused or not, and looks at what the ledger was told of it."""
        before = len(self.ledger.denials)
        raised: pg.PurposeViolation | pg.PurposeMissing | None = None
        try:
            act()
        except (pg.PurposeViolation, pg.PurposeMissing) as error:
            raised = error
        told = self.ledger.denials[before:]
        assert [one for _, one in told] == [observed] * refused
        assert (raised is not None) is (refused and not observed)
        assert raised is None or told[0][0] is raised
        self.used += not refused


@given(data=st.data(), notice=generated.notices())
def test_every_denial_is_recorded_once(data: st.DataObject, notice: pg.Notice) -> None:
    modes: st.SearchStrategy[Mode] = st.sampled_from(["enforce", "observe"])
    mode = data.draw(modes)
    desk = Desk(notice, data.draw(st.sampled_from(notice.sources)), mode)
    guard, source, ledger = desk.guard, desk.source, desk.ledger
    for act in (*desk.reads, desk.withheld):
        desk.act(act, refused=True, observed=mode == "observe")  # outside any purpose
    ways = declarable(pg.Guard(notice))
    for purpose, channel in data.draw(st.lists(st.sampled_from(ways), max_size=4)) if ways else ():
        refused = not guard.allows(source, purpose, channel)
        here = data.draw(st.none() | modes)
        desk.used = 0
        ledger.each.clear()
        denials = len(ledger.denials)
        with guard.purpose(purpose, channel=channel, mode=here, activity="it") as use:
            for ask in (use.allows, use.explain, partial(guard.explain, purpose=purpose, channel=channel)):
                ask(source)
            with pytest.raises(pg.UnlabelledData):
                use.check([])
            assert len(ledger.denials) == denials  # a question is no use
            acts = desk.uses(use)
            for act in data.draw(st.permutations([*acts, *data.draw(st.lists(st.sampled_from(acts), max_size=3))])):
                desk.act(act, refused=refused, observed=(here or mode) == "observe")
        purpose_id = notice.purpose_or_family(purpose)
        used = desk.used
        expected: list[tuple[str | None, str, pg.Label, int]] = [("it", name_of(purpose_id), pg.Label(source), used)]
        assert ledger.uses == (expected if used else [])
        # It has ended: let pass where neither the guard nor the activity enforces.
        desk.act(partial(use.check, source), refused=True, observed={mode, here or mode} == {"observe"})
        desk.act(partial(guard.check, source, purpose, channel), refused=refused, observed=mode == "observe")
        told = [] if refused else [(None, expected[0][1], pg.Label(source), 1)]  # a bare check is of no activity
        assert ledger.uses == (expected if used else []) + told


ABSENT = object()
MODES: st.SearchStrategy[Mode] = st.sampled_from(["enforce", "observe"])


class Story:
    """A guard with a ledger, and what that is expected to have been told."""

    def __init__(self, notice: pg.Notice, mode: Mode) -> None:
        self.ledger = RecordingLedger()
        self.guard = pg.Guard(notice, mode=mode, ledger=self.ledger)
        self.opened: collections.Counter[pg.Label] = collections.Counter()

    def act(self, act: Act, labels: list[pg.Label], refused: list[pg.Label], *, observed: bool) -> None:
        """Opens values of these labels, of which some are refused, and looks at what was told."""
        before = len(self.ledger.denials)
        raised: Exception | None = None
        try:
            act()
        except (pg.PurposeViolation, pg.PurposeMissing) as error:
            raised = error
        told = self.ledger.denials[before:]
        assert all(one is observed for _, one in told)
        if refused and not observed:
            # Of several, the first one ends it.
            assert [error for error, _ in told] == [raised]
            assert isinstance(raised, pg.PurposeViolation)
            assert raised.decision.label in refused
            return
        assert raised is None
        assert {error.decision.label for error, _ in told if isinstance(error, pg.PurposeViolation)} == set(refused)
        assert len(told) == len(set(refused))
        self.opened.update(label for label in labels if label not in refused)

    def outside(self, act: Act, *, observed: bool) -> None:
        """Opens where no purpose is under way."""
        before = len(self.ledger.denials)
        if observed:
            act()
        else:
            with pytest.raises(pg.PurposeMissing):
                act()
        ((error, seen),) = self.ledger.denials[before:]
        assert isinstance(error, pg.PurposeMissing)
        assert seen is observed


def ways_to_open(use: pg.Use[Any], samples: list[Sample]) -> list[tuple[Act, list[Sample]]]:
    """The ways in which values are opened in a block, each with those that it opens."""
    first, last = samples[0], samples[-1]
    return [
        (lambda: use.open(first.value), [first]),
        (lambda: use.open(first.value.map(seals.kind)), [first]),
        (lambda: use.open_all(sample.value for sample in samples), samples),
        (lambda: use.open_all([first.value, last.value, first.value]), [first, last, first]),
        (lambda: encode_sealed(last.value), [last]),
    ]


@given(data=st.data(), notice=generated.notices(), mode=MODES)
def test_every_denial_is_recorded_once_and_every_opening_counted(
    data: st.DataObject, notice: pg.Notice, mode: Mode
) -> None:
    story = Story(notice, mode)
    guard, ledger = story.guard, story.ledger
    samples = data.draw(seals.sealed(notice, 3))
    ways = declarable(pg.Guard(notice))
    for purpose, channel in data.draw(st.lists(st.sampled_from(ways), max_size=3)) if ways else ():
        here = data.draw(st.none() | MODES)
        observed = (here or mode) == "observe"
        story.opened.clear()
        ledger.each.clear()
        with guard.purpose(purpose, channel=channel, mode=here, activity="it") as use:
            acts = ways_to_open(use, samples)
            for act, those in data.draw(st.lists(st.sampled_from(acts), max_size=6)):
                labels = [sample.value.label for sample in those]
                refused = [label for label in labels if not guard.allows(label, purpose, channel)]
                story.act(act, labels, refused, observed=observed)
            denials = len(ledger.denials)
            for sample in samples:
                use.allows(sample.value.label)
                use.explain(sample.value.label)
                if not observed and not use.allows(sample.value.label):
                    assert use.try_open(sample.value, ABSENT) is ABSENT  # a question
            assert len(ledger.denials) == denials
        assert all((who, what) == ("it", purpose) for who, what, _, _ in ledger.uses)
        assert {label: count for _, _, label, count in ledger.uses} == story.opened
        for act, _ in ways_to_open(use, samples)[:3]:
            story.outside(act, observed={mode, here or mode} == {"observe"})  # it has ended
        assert len(ledger.uses) == len(story.opened)


def model_of(base: type[BaseModel], sources: list[type[pg.Source]]) -> Any:
    """A pydantic model with a sealed field for each source, and one that is plain."""
    fields: dict[str, Any] = {f"field_{at}": (pg.Personal[str, source], ...) for at, source in enumerate(sources)}  # type: ignore[valid-type]  # known at run time only
    return create_model("Made", __base__=base, number=(int, ...), **fields)


@given(data=st.data(), notice=generated.notices(), mode=MODES, plain=st.text(min_size=1))
def test_every_dump_is_an_opening(data: st.DataObject, notice: pg.Notice, mode: Mode, plain: str) -> None:
    story = Story(notice, mode)
    guard, ledger = story.guard, story.ledger
    sources = data.draw(st.lists(st.sampled_from(notice.sources), min_size=1, max_size=3))
    names = [f"field_{number}" for number in range(len(sources))]
    model: Any = model_of(pg.PersonalModel, sources)
    value = model(number=1, **dict.fromkeys(names, plain))
    whole = {"number": 1} | dict.fromkeys(names, plain)
    for purpose, channel in data.draw(st.permutations(declarable(pg.Guard(notice))))[:4]:
        story.opened.clear()
        ledger.each.clear()
        may = [guard.allows(source, purpose, channel) for source in sources]
        granted = [pg.Label(source) for source, one in zip(sources, may, strict=True) if one]
        with guard.purpose(purpose, channel=channel, activity="it") as use:
            for dump in (value.model_dump, lambda use=use: json.loads(value.model_dump_json(context={"use": use}))):
                before = len(ledger.denials)
                if all(may) or mode == "observe":
                    assert dump() == whole
                    story.opened.update(granted)
                    assert len(ledger.denials) == before + may.count(False)
                else:
                    with pytest.raises(pg.PurposeViolation) as refused:
                        dump()
                    # What stands before the refused field was opened, and is counted.
                    story.opened.update(map(pg.Label, sources[: may.index(False)]))
                    assert [error for error, _ in ledger.denials[before:]] == [refused.value]
            # To leave out is no denial.
            before = len(ledger.denials)
            kept = {name for name, one in zip(names, may, strict=True) if one or mode == "observe"}
            assert value.model_dump(mode="withhold") == {
                key: whole[key] for key in ("number", *names) if key in {"number", *kept}
            }
            story.opened.update(granted)
            assert len(ledger.denials) == before + (may.count(False) if mode == "observe" else 0)
        assert {label: count for _, _, label, count in ledger.uses} == story.opened


@given(data=st.data(), notice=generated.notices())
def test_withholding_leaves_exactly_the_seals_that_may_be_opened(data: st.DataObject, notice: pg.Notice) -> None:
    """Overlays, derivations, parents and what is not personal: what the purpose may use stays, the rest goes."""
    guard = pg.Guard(notice)
    every: list[type[pg.Source]] = [*notice.sources, pg.NotPersonal]
    sources = data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=4))
    names = [f"field_{number}" for number in range(len(sources))]
    purposes = [purpose for purpose, channel in declarable(guard) if channel is None]
    # By an annotation that names the source, one that names nothing, and one of a list.
    makers: list[Any] = [lambda one: pg.Personal[str, one], lambda _: Any, lambda one: list[pg.Personal[str, one]]]  # type: ignore[valid-type]  # known at run time only
    annotations = data.draw(st.lists(st.sampled_from(makers), min_size=len(sources), max_size=len(sources)))
    hints = [make(source) for make, source in zip(annotations, sources, strict=True)]
    cls: Any = dataclasses.make_dataclass(
        "Row", [("plain", int), ("tag", Annotated[str, pg.NotPersonal]), *zip(names, hints, strict=True)]
    )
    seals = [pg.Personal("value", source) for source in sources]
    values: list[Any] = [
        [seal] if hint is not Any and hint.__origin__ is list else seal for seal, hint in zip(seals, hints, strict=True)
    ]
    for purpose in purposes[:6]:
        with guard.purpose(purpose) as use:
            copy = use.withhold(cls(1, "tag", *values))
            assert isinstance(copy, cls)
            for name, value, source in zip(names, values, sources, strict=True):
                if guard.allows(source, purpose):
                    assert getattr(copy, name) == value
                else:
                    with pytest.raises(pg.PurposeViolation) as refused:
                        getattr(copy, name)
                    assert refused.value.field == name
                    assert refused.value.decision.label is pg.Label(source)
            assert (copy.plain, copy.tag) == (1, "tag")


def test_a_question_of_an_observing_use_is_answered_as_ever() -> None:
    """Who asks is ready for the default, so there is nothing that enforcing would break, and nothing to record."""
    ledger = RecordingLedger()
    guard = pg.Guard(tm.NOTICE, mode="observe", ledger=ledger)
    with guard.purpose(tm.RenewalGuidance) as use:
        assert use.try_open(pg.Personal("value", tm.ProductData), ABSENT) is ABSENT
    assert ledger.denials == []
    assert ledger.uses == []
