"""Invariant: a ledger is told every denial, once, and every use; and nothing of mere questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposeguard import Guard, Label, Notice, PurposeMissing, PurposeViolation, Source, UnlabelledData, Use
from purposeguard.testing.strategies import declarable, name_of
from tests import generated
from tests.support import RecordingLedger

Act = Callable[[], object]
Mode = Literal["enforce", "observe"]


class Desk:
    """A guard with a ledger, and all the ways in which data of one source may be used there."""

    def __init__(self, notice: Notice, source: type[Source], mode: Mode) -> None:
        self.ledger = RecordingLedger()
        self.guard = guard = Guard(notice, ledger=self.ledger, mode=mode)
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

    def uses(self, use: Use[Any]) -> list[Act]:
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
        raised: PurposeViolation | PurposeMissing | None = None
        try:
            act()
        except (PurposeViolation, PurposeMissing) as error:
            raised = error
        told = self.ledger.denials[before:]
        assert [one for _, one in told] == [observed] * refused
        assert (raised is not None) is (refused and not observed)
        assert raised is None or told[0][0] is raised
        self.used += not refused


@given(data=st.data(), notice=generated.notices())
def test_every_denial_is_recorded_once(data: st.DataObject, notice: Notice) -> None:
    modes: st.SearchStrategy[Mode] = st.sampled_from(["enforce", "observe"])
    mode = data.draw(modes)
    desk = Desk(notice, data.draw(st.sampled_from(notice.sources)), mode)
    guard, source, ledger = desk.guard, desk.source, desk.ledger
    for act in (*desk.reads, desk.withheld):
        desk.act(act, refused=True, observed=mode == "observe")  # outside any purpose
    ways = declarable(Guard(notice))
    for purpose, channel in data.draw(st.lists(st.sampled_from(ways), max_size=4)) if ways else ():
        refused = not guard.allows(source, purpose, channel)
        here = data.draw(st.none() | modes)
        desk.used = 0
        ledger.each.clear()
        denials = len(ledger.denials)
        with guard.purpose(purpose, channel=channel, mode=here, activity="it") as use:
            for ask in (use.allows, use.explain, partial(guard.explain, purpose=purpose, channel=channel)):
                ask(source)
            with pytest.raises(UnlabelledData):
                use.check([])
            assert len(ledger.denials) == denials  # a question is no use
            acts = desk.uses(use)
            for act in data.draw(st.permutations([*acts, *data.draw(st.lists(st.sampled_from(acts), max_size=3))])):
                desk.act(act, refused=refused, observed=(here or mode) == "observe")
        purpose_id = notice.purpose_or_family(purpose)
        used = desk.used
        expected: list[tuple[str | None, str, Label, int]] = [("it", name_of(purpose_id), Label(source), used)]
        assert ledger.uses == (expected if used else [])
        # It has ended: let pass where neither the guard nor the activity enforces.
        desk.act(partial(use.check, source), refused=True, observed={mode, here or mode} == {"observe"})
        desk.act(partial(guard.check, source, purpose, channel), refused=refused, observed=mode == "observe")
        told = [] if refused else [(None, expected[0][1], Label(source), 1)]  # a bare check is of no activity
        assert ledger.uses == (expected if used else []) + told
