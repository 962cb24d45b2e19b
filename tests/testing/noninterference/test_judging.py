"""The verdict on runs that differ, by itself: what each pattern of outcomes means."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposeguard.testing._judging import Judge, Leak, Unstable
from purposeguard.testing._runs import RunOutcome
from purposeguard.testing.effects import Effect


def saying(text: str) -> RunOutcome:
    return RunOutcome(result=(("", text),))


def runs(*texts: str) -> Callable[[], RunOutcome]:
    """Runs that come to these, one after another, and to the last from then on."""

    def said() -> Iterator[str]:
        yield from texts
        while True:
            yield texts[-1]

    going_on = said()
    return lambda: saying(next(going_on))


def judged(befores: list[str], afters: list[str], unseen: list[str] | None = None) -> Leak | Unstable | None:
    again, other = runs(*befores), runs(*afters)
    return Judge().judge(again(), other(), again, other, runs(*(unseen or ["?"])))


def test_equal_runs_that_are_equal_and_others_that_are_not():
    found = judged(["a"], ["b"])
    assert isinstance(found, Leak)
    assert (found.before.result, found.after.result) == (saying("a").result, saying("b").result)
    assert not found.remembered


def test_what_is_another_in_the_first_run_alone():
    assert judged(["set up", "a"], ["a"]) is None


def test_what_is_another_in_first_runs_and_differs_afterwards():
    found = judged(["set up", "a"], ["set up as well", "b"])
    assert isinstance(found, Leak)
    assert found.after.result == saying("b").result


def test_what_is_remembered():
    found = judged(["looked up", "known"], ["looked up", "known"], ["looked up"])
    assert found is None or isinstance(found, Leak)
    found = judged(["looked up a", "known"], ["looked up b", "known"], ["looked up c", "looked up d"])
    assert isinstance(found, Leak)
    assert found.remembered


def test_what_is_remembered_and_not_by_what_was_changed():
    found = judged(["looked up a", "known"], ["looked up b", "known"], ["known"])
    assert isinstance(found, Unstable)


@pytest.mark.parametrize("befores", [["a", "b", "a"], ["a", "a", "a", "a", "b"]], ids=["at once", "late"])
def test_equal_runs_that_differ(befores):
    assert isinstance(judged(befores, ["c"]), Unstable)


@given(st.data())
def test_code_that_looks_at_nothing_is_hardly_ever_accused(data):
    """Whatever comes of runs is drawn without regard to which of the two they are."""
    coins = data.draw(st.lists(st.sampled_from("ab"), min_size=40, max_size=40))
    thrown = iter(coins)

    def run() -> RunOutcome:
        return saying(next(thrown))

    before, after = run(), run()
    if before == after:
        return
    found = Judge().judge(before, after, run, run, run)
    if isinstance(found, Leak):
        # Fifteen coins that all fell as a leak would have it; one time in some thousands.
        told = coins[:16:2], coins[1:17:2]
        assert found.remembered or (len(set(told[0][1:])) == 1 and len(set(told[1][1:])) == 1)


def lanes(*lines: tuple[int, str]) -> RunOutcome:
    return RunOutcome(effects=tuple(Effect("log", "shop INFO", (("message", text),), lane) for lane, text in lines))


def test_threads_in_another_order_are_equal_from_then_on():
    judge = Judge()
    one, other = lanes((1, "a"), (2, "b")), lanes((2, "b"), (1, "a"))
    assert not judge.same(one, other)
    turns = iter([one, one, other, other] * 10)
    assert judge.judge(one, other, lambda: next(turns), lambda: next(turns), lambda: one) is None or not judge.ordered
    assert judge.same(one, other)


def test_one_thread_in_another_order_is_not():
    judge = Judge()
    one, other = lanes((1, "a"), (1, "b")), lanes((1, "b"), (1, "a"))
    turns = iter([one, other, other, one] * 10)
    found = judge.judge(one, other, lambda: next(turns), lambda: next(turns), lambda: one)
    assert isinstance(found, Unstable)
    assert judge.ordered
