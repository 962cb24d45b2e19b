"""A watched guard decides as one that nobody watches, and is afterwards as it was before."""

from __future__ import annotations

import datetime
import gc
import random
import threading
import weakref
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import purposeguard as pg
from purposeguard.guard import GUARD_LISTENERS
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy import spec
from purposeguard.testing import strategies, watching
from purposeguard.testing.decisions import capture_decisions
from purposeguard.testing.strategies import declarable, name_of
from tests import generated, support
from tests.properties.test_circumstances import Case, asked, cases, used
from tests.testing.ids import told
from tests.unit.oversights import Counting, Office

pytestmark = pytest.mark.usefixtures("remembers")

NAME: pg.Personal[str, tm.Registration] = pg.Personal("Aiko", tm.Registration)
R = pg.Label(tm.Registration)
LEDGERS: list[Callable[[], Any]] = [lambda: None, support.RecordingLedger, Counting]


@settings(max_examples=15)
@given(case=cases(), data=st.data())
def test_under_any_circumstances_it_decides_as_the_specification(case: Case, data: st.DataObject) -> None:
    guard = case.guard(ledger=data.draw(st.sampled_from(LEDGERS))())
    ways = declarable(guard)
    for way in data.draw(st.lists(st.sampled_from(ways), min_size=1, max_size=3)):
        for activity, answers in ((False, asked), (True, used)):
            expected = case.expected(*way, activity=activity)
            if data.draw(st.booleans()):
                assert set(answers(case, guard, *way)) == {expected}  # so it remembers it
            with capture_decisions(guard) as found:
                given_ = list(answers(case, guard, *way))
            assert set(given_) == {expected}, way
            personal = pg.NotPersonal not in case.label
            assert {one.allowed for one in found} == ({expected} if personal else set())
            # Each way to ask is one decision; the first of a guard is asked for its reasons too.
            assert len(found) == (len(given_) - (0 if activity else 2) if personal else 0)
            assert set(answers(case, guard, *way)) == {expected}


@settings(max_examples=25)
@given(notice=generated.notices(), data=st.data())
def test_it_decides_as_the_reference(notice: pg.Notice, data: st.DataObject) -> None:
    guard = pg.Guard(notice, mode=data.draw(st.sampled_from(["enforce", "observe"])))
    questions = data.draw(st.lists(strategies.questions(notice), min_size=1, max_size=6))
    before = [guard.allows(*question) for question in questions if data.draw(st.booleans())]
    assert len(before) <= len(questions)
    for label, purpose, channel in questions:
        ids = [one.clause for one in label]
        expected = spec.permits(notice.document, ids, name_of(notice_term(notice, purpose)), channel)
        with capture_decisions(guard) as found:
            assert guard.allows(label, purpose, channel) is expected
            assert guard.allows(iter(ids), purpose, channel) is expected
            assert bool(guard.explain(label, purpose, channel)) is expected
        assert [one.allowed for one in found] == [expected] * 3
        assert bool(found[0].denied) is not expected
        assert {source for one in found for source in one.denied} == {
            one for one in label if not guard.allows(one, purpose, channel)
        }
        assert guard.allows(label, purpose, channel) is expected


def notice_term(notice: pg.Notice, given_: Any) -> Any:
    return pg.Guard(notice).engine.snapshot.matrix.resolve_purpose(given_)


@settings(max_examples=15)
@given(pair=support.revisions(), data=st.data())
def test_a_notice_that_is_replaced_while_it_is_watched_decides_from_then_on(
    pair: tuple[pg.Notice, pg.Notice], data: st.DataObject
) -> None:
    one, other = pair
    guard, plain = pg.Guard(one), pg.Guard(one)
    label, purpose, channel = data.draw(strategies.questions(one))
    sources = [source.clause for source in label]
    name = name_of(notice_term(one, purpose))

    def ask(of: pg.Guard) -> object:
        return support.outcome(lambda: of.allows(sources, name, channel)), support.outcome(
            lambda: str(of.explain(sources, name, channel))
        )

    assert ask(guard) == ask(plain)
    with capture_decisions(guard) as found:
        assert ask(guard) == ask(plain)
        for each in (guard, plain):
            each.replace(other)
        assert ask(guard) == ask(plain)
        assert guard.notice is other
    assert len(found) == 4
    assert ask(guard) == ask(plain)
    assert not guard.engine.snapshot.observed


class Answers(watching.Watcher):
    """Keeps the cells that each decision consulted."""

    def __init__(self) -> None:
        self.found: list[dict[tuple[str, str], bool]] = []

    def decided(self, asked: watching.CellQuestion) -> None:
        self.found.append({(cell.source, cell.purpose): allowed for cell, allowed in asked.answers})


def test_each_cell_is_told_with_its_own_answer() -> None:
    guard, told = pg.Guard(tm.NOTICE), Answers()
    with watching.watching(told, guard):
        guard.allows({"1.1a", "1.1b"}, "1.2(1)②")
        guard.allows({"1.1a", "2.1b", "2.3"}, tm.AnyProductGuidance)
        guard.allows("2.1a", "2.2③", "phone")
    assert told.found == [
        {("1.1(a)", "1.2(1)②"): True, ("1.1(b)", "1.2(1)②"): False},
        # Of a family, the members that let a source through; where none does, all of them.
        {
            ("1.1(a)", "1.2(1)②"): True,
            ("2.1(b)", "2.2①"): True,
            ("2.3", "1.2(1)②"): False,
            ("2.3", "2.2①"): False,
            ("2.3", "3.2①"): False,
        },
        {("2.1(a)", "2.2③"): False},
    ]


def test_a_purpose_that_a_revision_closed_is_told_as_denied() -> None:
    """An activity that states no channel may open nothing where the revision in force names them (rule 7)."""
    tables = tm.NOTICE.dump() | {"revision": "2025-04-01"}
    for grant in tables["grant"]:
        for row in grant["purpose"]:
            if row["id"] == "1.2(1)①":
                row["channels"] = {"closed": ["email"]}
    closed = pg.Notice.parse(tables)
    guard, told = pg.Guard(tm.NOTICE), Answers()
    with guard.purpose(tm.RenewalGuidance) as use, watching.watching(told, guard):
        assert use.allows(R)
        guard.replace(closed)
        assert not use.allows(R)
        assert not use.explain(R)
    assert told.found == [{("1.1(a)", "1.2(1)①"): True}] + [{("1.1(a)", "1.2(1)①"): False}] * 2


def test_what_was_collected_under_a_closed_list_is_told_as_denied_to_any_channel() -> None:
    """As the revision of collection had it: `denied` says what the decision says (rules 7 and 9)."""
    tables = tm.NOTICE.dump() | {"revision": "2023-04-01"}
    for grant in tables["grant"]:
        for row in grant["purpose"]:
            if row["id"] == "1.2(1)①":
                row["channels"] = {"closed": ["email"]}
    earlier = pg.Notice.parse(tables)
    guard = pg.Guard(pg.History(earlier, tm.NOTICE), governance=Office())
    told = Answers()
    about = pg.RowContext(1, collected=datetime.date(2023, 5, 1))
    with guard.purpose(tm.RenewalGuidance) as use, watching.watching(told, guard):
        assert not use.allows(R, subject=about)
        assert use.allows(R, subject=1)
    assert told.found == [{("1.1(a)", "1.2(1)①"): False}, {("1.1(a)", "1.2(1)①"): True}]


class Form(NamedTuple):
    """What is asked of errors, too: the same, in the same order."""

    sources: Any
    purpose: Any
    channel: Any = None


WRONG = [
    Form("9.9", "1.2(1)①"),
    Form("1.1a", "9.9"),
    Form("9.9", "9.9"),
    Form("1.1a", "1.2(1)①", "pigeon"),
    Form("9.9", "1.2(1)①", "pigeon"),
    Form([], "1.2(1)①"),
    Form(iter([]), "1.2(1)①"),
    Form(None, "1.2(1)①"),
    Form({"1.1a": 1}, "1.2(1)①"),
    Form("1.1a", tm.RenewalGuidance | tm.ProductGuidance),
    Form([["1.1a"]], "1.2(1)①"),
]


@pytest.mark.parametrize("form", WRONG, ids=lambda form: told(tuple(form))[:60])
def test_errors_are_the_same(form: Form) -> None:
    guard = pg.Guard(tm.NOTICE)
    for ask in (guard.allows, guard.check, guard.explain):
        before = support.outcome(lambda: ask(*form))  # noqa: B023  # called at once
        with capture_decisions(guard) as found:
            assert support.outcome(lambda: ask(*form)) == before  # noqa: B023  # likewise
        assert found == []


@pytest.mark.parametrize("ledger", LEDGERS, ids=["none", "told at the end", "counting"])
def test_a_ledger_is_told_the_same(ledger: Callable[[], Any]) -> None:
    def work(guard: pg.Guard) -> None:
        for _ in range(2):
            guard.check("1.1a", "1.2(1)①")
            with guard.purpose(tm.RenewalGuidance, activity="reminders") as use:
                use.open(NAME)
                use.open_all([NAME, NAME])
                use.try_open(NAME, "")
                with pytest.raises(pg.PurposeViolation):
                    use.check("1.1b")

    plain, watched = pg.Guard(tm.NOTICE, ledger=ledger()), pg.Guard(tm.NOTICE, ledger=ledger())
    work(plain)
    with capture_decisions(watched):
        work(watched)
    for name in ("counts", "uses", "allowances"):
        assert getattr(plain.ledger, name, None) == getattr(watched.ledger, name, None)


def test_observed_denials_are_passed_on_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    guard = pg.Guard(tm.NOTICE, mode="observe")
    with capture_decisions(guard) as found, guard.purpose(tm.RenewalGuidance) as use:
        assert use.open(pg.Personal("TM", tm.ProductData)) == "TM"  # type: ignore[arg-type]  # what is observed
        guard.check("1.1b", "1.2(1)①")
    assert [one.allowed for one in found] == [False, False]
    assert len(caplog.records) == 2


def remembers(guard: pg.Guard) -> bool:
    """True if a guard remembers what it allows, as one does that nobody watches."""
    guard.allows("1.1a", "1.2(1)①")
    with guard.purpose(tm.RenewalGuidance) as use:
        use.open(NAME)
        remembered = R in use._allowed_labels or R in use._counted
    return not guard.engine.snapshot.observed and "1.1a" in guard.engine.snapshot.known_answers[0] and remembered


@pytest.mark.parametrize("ledger", [lambda: None, Counting], ids=["none", "counting"])
def test_afterwards_it_remembers_as_before(ledger: Callable[[], Any]) -> None:
    guard = pg.Guard(tm.NOTICE, ledger=ledger())

    @guard.purpose(tm.RenewalGuidance)
    def remind() -> str:
        return guard.use(tm.RenewalGuidance).open(NAME)

    assert remembers(guard)
    with guard.purpose(tm.ProductGuidance) as use:
        use.open(NAME)
        allowed_labels, counted = use._allowed_labels, use._counted
        with capture_decisions(guard) as found:
            assert not allowed_labels
            assert not counted
            remind()
            use.open(NAME)
            use.open(NAME)
        assert len(found) == 3
        assert use.open(NAME) == "Aiko"
    remind()
    assert len(found) == 3
    assert remembers(guard)


def test_a_block_that_fails_leaves_it_as_it_was() -> None:
    guard = pg.Guard(tm.NOTICE)
    for which in (guard, None):
        with pytest.raises(RuntimeError), capture_decisions(which):
            raise RuntimeError
        assert remembers(guard)
    assert GUARD_LISTENERS == []
    assert watching.list_watched_guards() == ()


def test_answers_that_were_kept_are_found_again() -> None:
    guard = pg.Guard(tm.NOTICE)
    calls = []

    @guard.cached()
    @guard.access(tm.Contract)
    def load() -> int:
        calls.append(1)
        return len(calls)

    with guard.purpose(tm.RenewalGuidance):
        assert load() == 1
        with capture_decisions(guard) as found:
            load()
            load()
        assert [one.used for one in found] == [True, True]
        assert load() == 1


def test_watching_keeps_no_guard_alive() -> None:
    with capture_decisions():
        guard = pg.Guard(tm.NOTICE)
        guard.allows("1.1a", "1.2(1)①")
        gone = weakref.ref(guard), weakref.ref(guard.engine)
        del guard
        gc.collect()
        assert [one() for one in gone] == [None, None]


def test_watching_begins_and_ends_while_other_threads_decide() -> None:
    """No decision differs, and a guard is left as it was, however it falls out."""
    guard = pg.Guard(tm.NOTICE)
    stop = threading.Event()
    wrong: list[object] = []

    def decide(seed: int) -> None:
        draw = random.Random(seed)
        while not stop.is_set():
            with guard.purpose(tm.RenewalGuidance) as use:
                for _ in range(5):
                    if use.open(NAME) != "Aiko" or use.allows("1.1b") or not use.allows(R):
                        wrong.append("use")
                    if guard.allows(draw.choice(["1.1b", "2.1"]), "1.2(1)①"):
                        wrong.append("guard")

    with support.switching():
        threads = [threading.Thread(target=decide, args=(seed,)) for seed in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(60):
            with capture_decisions(guard):
                pass
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    with guard.purpose(tm.RenewalGuidance) as use:
        use.open(NAME)
        assert R in use._allowed_labels  # it remembers again


def test_typed_models_are_withheld_alike() -> None:
    guard = pg.Guard(tm.NOTICE)

    class Row(NamedTuple):
        email: Annotated[str, tm.Registration]
        device: Annotated[str, tm.ProductData]

    with guard.purpose(tm.RenewalGuidance) as use:
        plain = use.withhold(Row("a", "b"))
        with capture_decisions(guard):
            watched = use.withhold(Row("a", "b"))
    assert repr(plain) == repr(watched)
