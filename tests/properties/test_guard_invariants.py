"""Invariants of a guard at work: its cache, its replacement while others decide, its ledger."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purposeguard import (
    ChannelViolation,
    Decision,
    Guard,
    Label,
    Notice,
    PurposeGuardError,
    PurposeMissing,
    PurposeViolation,
    UnlabelledData,
)
from tests import support
from tests.support import RecordingLedger, Tables, asked_of, id_of


@st.composite
def revisions(draw: support.Draw) -> tuple[Notice, Notice]:
    """Two revisions of a notice that have the same terms and grant other things."""
    made = draw(support.tables(overlays=False))
    other: Tables = support.copied(made)
    sources = [row["id"] for row in made["source"]]
    for grant in other["grant"]:
        grant["sources"] = draw(support.some(sources))
    other["forbid"] = [draw(support.prohibition(made)) for _ in range(draw(st.integers(0, 2)))]
    return Notice.parse(made), Notice.parse(other)


def outcome(act: Callable[[], object]) -> object:
    """What came of it, in a form that can be compared: a value, or an error with its text."""
    try:
        value = act()
    except PurposeGuardError as error:
        return type(error), str(error)
    if not dataclasses.is_dataclass(value):
        return value
    return {field.name: outcome(lambda name=field.name: getattr(value, name)) for field in dataclasses.fields(value)}


def declarable(guard: Guard) -> list[tuple[str, str | None]]:
    """The purposes and channels for which an activity can be declared (rule 7)."""
    found = []
    for purpose, channel in itertools.product(asked_of(guard.notice), (None, *guard.notice.channels)):
        try:
            guard.purpose(id_of(purpose), channel=channel)
        except ChannelViolation:
            continue
        found.append((id_of(purpose), channel))
    return found


@given(data=st.data(), pair=revisions())
def test_cache_equals_no_cache(data: st.DataObject, pair: tuple[Notice, Notice]) -> None:
    guard = Guard(pair[0])
    tags = data.draw(st.lists(st.sampled_from(pair[0].sources), min_size=1, max_size=3))
    row: Any = dataclasses.make_dataclass(
        "Row", [("key", int), *((f"field{i}", Annotated[str, tag]) for i, tag in enumerate(tags))]
    )
    runs: list[int] = []

    def read(key: int) -> object:
        runs.append(key)
        return row(key, *(f"{key}-{i}" for i in range(len(tags))))

    async def read_async(key: int) -> object:
        return read(key)

    read.__annotations__["return"] = read_async.__annotations__["return"] = row
    pairs: list[tuple[Any, Any]] = []
    for access in (guard.access, guard.access(*tags[:1]), guard.access(withhold=True)):
        for fn in (read, read_async):
            plain: Any = access(fn)
            pairs.append((plain, guard.cached()(plain)))
    ways = declarable(guard)
    for _ in range(data.draw(st.integers(3, 20))):
        plain, cached = data.draw(st.sampled_from(pairs))
        key = data.draw(st.integers(0, 2))
        where = data.draw(st.sampled_from([*ways[:6], "replace", "outside"]))
        if where == "replace":
            guard.replace(data.draw(st.sampled_from(pair)))
            continue

        def call(fn: Any, key: int = key) -> object:
            return asyncio.run(fn(key)) if asyncio.iscoroutinefunction(fn) else fn(key)

        if where == "outside":
            assert outcome(lambda: call(cached)) == outcome(lambda: call(plain))
            assert outcome(lambda: call(cached))[0] is PurposeMissing  # type: ignore[index]  # an error and its text
            continue
        purpose, channel = where
        name = data.draw(st.sampled_from(["one", "another"]))

        async def within() -> None:
            with guard.purpose(purpose, channel=channel, activity=name):
                expected = await asked(plain)
                assert await asked(cached) == expected
                before = len(runs)
                assert await asked(cached) == expected
                assert len(runs) == before  # refused before it ran, or answered from what was kept

        async def asked(fn: Any, key: int = key) -> object:
            try:
                value = fn(key)
                value = await value if asyncio.iscoroutine(value) else value
            except PurposeGuardError as error:
                return type(error), str(error)
            return outcome(lambda: value)

        try:
            asyncio.run(within())
        except ChannelViolation:
            assert not guard.allows(tags, purpose, channel)


def facts(decision: Decision) -> object:
    """All that a decision says, in ids."""
    return (
        decision.allowed,
        tuple(source.clause for source in decision.denied),
        tuple(sorted((source.clause, clause) for source, clause in decision.grants.items())),
        tuple(purpose.clause for purpose in decision.alternatives),
        decision.reasons,
    )


def crossed() -> tuple[Notice, Notice]:
    """Two revisions under each of which one of two sources serves the purpose, and never both."""
    made: Tables = {
        "format": 1,
        "id": "generated",
        "revision": "2024-04-01",
        "controller": support.titled("it"),
        "title": support.titled("it"),
        "source": [{"id": f"{n}.1", "class": f"Data{word}", "title": support.titled(word)} for n, word in ((1, "One"), (2, "Two"))],
        "grant": [
            {
                "clause": "1.2",
                "title": support.titled("1.2"),
                "sources": ["1.1"],
                "purpose": [{"id": "1.2①", "class": "Goal", "title": support.titled("1.2①")}],
            }
        ],
    }
    other = support.copied(made)
    other["grant"][0]["sources"] = ["2.1"]
    return Notice.parse(made), Notice.parse(other)


@settings(max_examples=20)
@given(data=st.data(), pair=st.one_of(st.just(crossed()), revisions()))
def test_reload_is_atomic(data: st.DataObject, pair: tuple[Notice, Notice]) -> None:
    first, second = pair
    guard = Guard(first)
    ways = data.draw(st.lists(st.sampled_from(declarable(guard) or [("", None)]), min_size=1, max_size=3))
    ways = [way for way in ways if way in declarable(Guard(second))]
    chosen = [
        *data.draw(st.lists(support.labels(first, 3), min_size=1, max_size=3)),
        Label(*first.sources[:2]),
    ]
    fresh = {notice: Guard(notice) for notice in pair}
    expected: dict[tuple[Label, str, str | None], tuple[object, ...]] = {}
    verdicts: dict[tuple[Label, str, str | None], set[bool]] = {}
    for label, (purpose, channel) in itertools.product(chosen, ways):
        ids = [source.clause for source in label]
        both = [fresh[notice].explain(ids, purpose, channel) for notice in pair]
        expected[label, purpose, channel] = tuple(facts(one) for one in both)
        verdicts[label, purpose, channel] = {one.allowed for one in both}

    # A use under way is decided by the new revision from its very next check on.
    for purpose, channel in ways:
        with guard.purpose(purpose, channel=channel) as use:
            for notice in (second, first, second, first):
                guard.replace(notice)
                for label in chosen:
                    ids = [source.clause for source in label]
                    now = fresh[notice].allows(ids, purpose, channel)
                    assert use.allows(label) is use.explain(ids).allowed is guard.allows(label, purpose, channel) is now
                    assert outcome(lambda one=label: use.check(one)) is None or not now

    over = threading.Event()

    def decide() -> None:
        while True:
            for (label, purpose, channel), either in expected.items():
                assert facts(guard.explain(label, purpose, channel)) in either
                assert guard.allows(label, purpose, channel) in verdicts[label, purpose, channel]
                with guard.purpose(purpose, channel=channel) as use:
                    assert use.allows(label) in verdicts[label, purpose, channel]
                    try:
                        use.check(label)
                    except PurposeViolation as violation:
                        # What is refused is explained by the revision that refused it.
                        assert not violation.decision.allowed
                        assert facts(violation.decision) in either
                    else:
                        assert True in verdicts[label, purpose, channel]
            if over.is_set():
                return

    def replace() -> None:
        try:
            for notice in pair * 40:
                guard.replace(notice)
        finally:
            over.set()

    with support.switching():
        support.in_threads([decide, decide, decide, replace])


class Told:
    """Counts, beside the ledger, what was refused and what was let through."""

    def __init__(self, guard: Guard, ledger: RecordingLedger) -> None:
        self.guard = guard
        self.ledger = ledger
        self.allowed = 0

    def act(self, act: Callable[[], object], *, refused: bool, observed: bool = False, times: int = 1) -> None:
        """Does something that is refused or not, and looks at what the ledger was told of it."""
        before = len(self.ledger.denials)
        raised: PurposeGuardError | None = None
        try:
            act()
        except (PurposeViolation, PurposeMissing) as error:
            raised = error
        told = self.ledger.denials[before:]
        assert (raised is not None) is (refused and not observed)
        assert [one for _, one in told] == [observed] * (times if refused else 0)
        if raised is not None:
            assert told[0][0] is raised
        if not refused:
            self.allowed += 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@given(data=st.data(), notice=support.notices())
def test_every_denial_is_recorded_once(data: st.DataObject, notice: Notice) -> None:
    observing = data.draw(st.booleans())
    ledger = RecordingLedger()
    guard = Guard(notice, ledger=ledger, mode="observe" if observing else "enforce")
    told = Told(guard, ledger)
    source = data.draw(st.sampled_from(notice.sources))
    row: Any = dataclasses.make_dataclass("Row", [("field", Annotated[str, source])])

    def read() -> object:
        return row("value")

    def read_all() -> Iterator[object]:
        yield row("value")

    read.__annotations__["return"] = row
    read_all.__annotations__["return"] = Iterator[row]
    plain, stream = guard.access(read), guard.access(read_all)
    cached = guard.cached()(guard.access(source)(read))
    withholding: Any = guard.access(withhold=True)(read)

    def opened() -> None:
        _ = withholding().field

    # Outside any purpose.
    for act in (plain, cached, withholding, lambda: next(stream())):
        told.act(act, refused=True, observed=observing)  # type: ignore[arg-type]
    for purpose, channel in data.draw(st.lists(st.sampled_from(declarable(Guard(notice)) or [("", None)]), max_size=4)):
        if not purpose:
            continue
        told.allowed = 0
        used = len(ledger.uses)
        refused = not guard.allows(source, purpose, channel)
        mode = data.draw(st.sampled_from([None, "observe", "enforce"]))
        lenient = observing if mode is None else mode == "observe"
        with guard.purpose(purpose, channel=channel, mode=mode) as use:  # type: ignore[call-overload]
            # A question is no use: nothing is told.
            told.act(lambda u=use: (u.allows(source), u.explain(source)), refused=False)  # type: ignore[misc]
            told.act(lambda: guard.explain(source, purpose, channel), refused=False)
            told.allowed = 0
            acts: list[Callable[[], object]] = [plain, cached, opened, lambda: next(stream())]
            acts.append(lambda u=use: u.check(source))  # type: ignore[misc]
            acts.append(lambda u=use: u.withhold(row("value")).field)  # type: ignore[misc]
            for act in data.draw(st.lists(st.sampled_from(acts), max_size=8)):
                told.act(act, refused=refused, observed=lenient)
            with pytest.raises(UnlabelledData):
                use.check([])
        counted = sum(count for _, _, _, count in ledger.uses[used:])
        assert counted == told.allowed
        told.act(lambda u=use: u.check(source), refused=True, observed=observing)  # type: ignore[misc]  # it has ended
        told.act(lambda: guard.check(source, purpose, channel), refused=refused, observed=observing)

