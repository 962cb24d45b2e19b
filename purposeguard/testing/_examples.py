"""One example of a test of noninterference: the body is run with it and with its twins, and what differs is named."""

from __future__ import annotations

import contextlib
import datetime
import functools
import itertools
import sys
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeVar

from hypothesis import Phase, find, reject, settings
from hypothesis import strategies as st
from hypothesis.control import BuildContext
from hypothesis.errors import NoSuchExample
from hypothesis.internal import scrutineer

from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.policy.explanation import Decision
from purposeguard.testing._judging import Judge, Leak, Unstable
from purposeguard.testing._runs import Conduct, Outcome
from purposeguard.testing._twins import Fields, has_any, values_at, with_equal_values, with_value_at, with_values_of
from purposeguard.testing.effects import arranging
from purposeguard.testing.failures import Interference, Nondeterministic, expected
from purposeguard.testing.strategies import twins as twins_of
from purposeguard.testing.values import Markers

T = TypeVar("T")

Errors = type[BaseException] | tuple[type[BaseException], ...]

_ENOUGH: Final = 5
"""Times that something which remembers is seen to do so."""

_PATIENCE: Final = 10.0
"""Seconds that bodies run while a failing example is made smaller. Hypothesis itself goes on for five minutes, which a
request to an application with a database uses up: each step is several of them."""

_UNSEEN: Final = itertools.count()
"""Values that never were before, in this process."""


@dataclass(frozen=True)
class Asked:
    """What a test is to prove: as `noninterference` was asked for it. `name` is the test's."""

    guard: Guard
    purpose: Any
    channel: str | None
    name: str
    twins: int
    pins: frozenset[str]
    raises: Errors

    def decision(self, label: Label) -> Decision:
        """Whether the purpose may use data of this label."""
        return self.guard.explain(label, self.purpose, self.channel)


@dataclass
class State:
    """What is known of one run of hypothesis: what it has seen so far, and says again where it is asked again."""

    execution: Callable[[], object]
    conduct: Conduct
    judge: Judge = field(default_factory=Judge)
    unstable: Nondeterministic | None = None
    remembered: int = 0
    once_more: int = 0
    accused: bool = False
    raised: bool = False
    until: float | None = None
    """How long bodies may have run, in all, when what fails is small enough; None: nothing has failed yet."""
    known: dict[object, Exception | None] = field(default_factory=dict[object, "Exception | None"])
    """What came of a twin, by what was drawn up to it: where it is drawn again, the same is said again.

    What a difference depends on may be there only once (something that remembers); and how much is drawn must depend
    on nothing but what was drawn before.
    """

    @property
    def is_enough(self) -> bool:
        """Whether what fails was made smaller for long enough: from now on only what has failed fails."""
        return self.until is not None and self.conduct.spent > self.until

    def say(self, failure: Exception | None) -> None:
        """Remembers that there is something to be said."""
        if failure is not None and not self.accused:
            self.accused = True
            self.until = self.conduct.spent + _PATIENCE


@dataclass(frozen=True)
class Side:
    """Arguments, and what came of them."""

    kwargs: Mapping[str, Any]
    outcome: Outcome


def midpoint(first: Any, other: Any) -> Any:
    """What lies in the middle of two numbers or days; None where nothing does, or they are something else."""
    if type(first) is int and type(other) is int:
        middle = (first + other) // 2
        return None if middle in (first, other) else middle
    if type(first) is datetime.date and type(other) is datetime.date:
        day = midpoint(first.toordinal(), other.toordinal())
        return None if day is None else datetime.date.fromordinal(day)
    return None


@dataclass
class Example:
    """One example that is drawn, with which the body is run."""

    asked: Asked
    state: State
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    fields: list[Fields]

    def __post_init__(self) -> None:
        self.fields = [argument for argument in self.fields if has_any(self.kwargs[argument.name], argument)]

    def run(self, changed: Mapping[str, Any] | None = None) -> Outcome | None:
        """Runs the body with other values in some arguments."""
        __tracebackhide__ = True
        return self.state.conduct.run(self.args, {**self.kwargs, **(changed or {})})

    def twins(self, context: BuildContext) -> Iterator[dict[str, Any]]:
        """Other values of all arguments in which something may not be used: drawn, so that they shrink."""
        strategies = {
            argument.name: twins_of(self.kwargs[argument.name], tuple(argument.forbidden), argument.model)
            for argument in self.fields
        }
        if not strategies:
            return
        drawn = st.fixed_dictionaries(strategies)
        if is_explicit(context):
            yield from examples_of(drawn, self.asked.twins)
            return
        for number in range(self.asked.twins):
            twin = context.data.draw(drawn)
            if number == 1 and self._holds_several:
                twin = {
                    argument.name: with_equal_values(twin[argument.name], argument.model, argument.forbidden)
                    for argument in self.fields
                }
            yield twin

    @property
    def _holds_several(self) -> bool:
        """Whether there is a field of which several may be alike."""
        return any("[]" in path for argument in self.fields for path in argument.forbidden)

    def failure(self, context: BuildContext) -> Exception | None:
        """What there is to be raised."""
        __tracebackhide__ = True
        if self.state.is_enough and not context.is_final and not is_explicit(context):
            return self._known(context)
        before = self.run()
        if before is None:
            reject()
        for twin in self.twins(context):
            failure = self._failure_of(twin, before, context)
            if failure is not None:
                return failure
        failure = self._remembered(before, context)
        if failure is not None:
            return failure
        state = self.state
        # Not beside a failure that says more, unless hypothesis has seen it before.
        unexpected = before.raised is not None and not isinstance(before.raised, self.asked.raises)
        if before.raised is not None and unexpected and (state.raised or not state.accused):
            state.raised = True
            raise with_note(before.raised)
        return None

    def _known(self, context: BuildContext) -> Exception | None:
        """What was said of this very example, without a run of it; None where it is another."""
        known = self.state.known
        answers = (known.get(choices_of(context)) for _ in self.twins(context))
        return next((answer for answer in answers if answer is not None), None) or known.get(
            ("once more", choices_of(context))
        )

    def _remembered(self, before: Outcome, context: BuildContext) -> Exception | None:
        """Whether the example, run once more, shows that something keeps what it saw; of the first few examples."""
        state = self.state
        key = ("once more", choices_of(context))
        if key in state.known:
            return state.known[key]
        if not self.fields or state.once_more >= _ENOUGH or state.remembered or is_explicit(context):
            return None
        state.once_more += 1
        again = self.run()
        leak = None
        if again is not None and not state.judge.same(before, again):
            leak = state.judge.remembers(again, self.run, self._run_unseen)
        failure = None if leak is None else self._interference(leak, {}, final=context.is_final)
        state.known[key] = failure
        state.remembered += failure is not None
        state.say(failure)
        return failure

    def _failure_of(self, twin: Mapping[str, Any], before: Outcome, context: BuildContext) -> Exception | None:
        """What a twin shows; what it has shown, where it is drawn again."""
        state = self.state
        key = choices_of(context)
        if key is not None and key in state.known:
            failure = state.known[key]
            if isinstance(failure, Interference) and context.is_final and not failure.fields:
                failure = self._compared(before, twin, final=True) or failure
        elif state.remembered >= _ENOUGH:
            failure = None  # small enough: what remembers would show by every new value
        else:
            failure = state.unstable or self._compared(before, twin, final=context.is_final)
        if key is not None and not is_explicit(context):
            state.known[key] = failure
            state.remembered += isinstance(failure, Interference) and failure.remembered
        if isinstance(failure, Nondeterministic):
            state.unstable = failure
        state.say(failure)
        return failure

    def _compared(self, before: Outcome, twin: Mapping[str, Any], *, final: bool) -> Exception | None:
        """What a twin shows, beside what came of the example itself."""
        judge = self.state.judge
        after = self.run(twin)
        if after is None or judge.same(before, after):
            return None
        verdict = judge.judge(before, after, self.run, functools.partial(self.run, twin), self._run_unseen)
        if isinstance(verdict, Unstable):
            return Nondeterministic(verdict.first, verdict.other, ordered=judge.ordered, pins=self.asked.pins)
        if isinstance(verdict, Leak):
            return self._interference(verdict, twin, final=final)
        return None

    def _unseen(self) -> dict[str, Any]:
        unseen: dict[str, Any] = {}
        for argument in self.fields:
            value = self.kwargs[argument.name]
            markers = Markers(f"unseen {next(_UNSEEN)}")
            with arranging():
                marked = in_thread(markers.mark, value, argument.model)
            unseen[argument.name] = with_values_of(value, marked, argument.model, argument.forbidden)
        return unseen

    def _run_unseen(self) -> Outcome | None:
        return self.run(self._unseen())

    # ---- Which field it is ----------------------------------------------------------------------------------------

    def _interference(self, leak: Leak, twin: Mapping[str, Any], *, final: bool) -> Interference:
        paths = [(argument, path) for argument in self.fields for path in argument.forbidden]
        leaking: list[tuple[Fields, str]] = []
        together = False
        shown = leak
        start: Mapping[str, Any] = self.kwargs
        changed: Mapping[str, Any] = twin
        if final or leak.remembered:  # of one that hypothesis goes on to make smaller nobody is told
            for pair in paths:
                outcome, values = self._differing([pair], leak, twin)
                if outcome is not None:
                    if not leaking and not leak.remembered:
                        shown, changed = Leak(leak.before, outcome), values
                    leaking.append(pair)
            if leaking and not leak.remembered:
                shown, start, changed = self._nearest(leaking[0], shown, changed)
            if not leaking:
                leaking, together = self._together(paths, leak, twin), True
        return Interference(
            self.asked.decision,
            leaking,
            shown,
            (start, changed),
            together=together and len(leaking) > 1,
            ordered=self.state.judge.ordered,
            activity=self.asked.name,
        )

    def _differing(
        self, paths: Sequence[tuple[Fields, str]], leak: Leak, twin: Mapping[str, Any]
    ) -> tuple[Outcome | None, Mapping[str, Any]]:
        """What comes of other values at these paths alone, where it differs; and the values."""
        changed = self._unseen() if leak.remembered else twin
        values: dict[str, Any] = {}
        for argument in self.fields:
            own = [path for fields, path in paths if fields is argument]
            if own:
                values[argument.name] = with_values_of(
                    self.kwargs[argument.name], changed[argument.name], argument.model, own
                )
        outcome = self.run(values)
        differs = outcome is not None and not self.state.judge.same(leak.before, outcome)
        return outcome if differs else None, values

    def _nearest(
        self, culprit: tuple[Fields, str], leak: Leak, changed: Mapping[str, Any]
    ) -> tuple[Leak, Mapping[str, Any], Mapping[str, Any]]:
        """Where a field is a number or a day: two values of it next to each other that make a difference, a limit.

        With what came of both, and the arguments that they stand in.
        """
        fields, path = culprit
        own = self.kwargs[fields.name]
        others = values_at(changed[fields.name], fields.model, path)
        pairs = list(zip(values_at(own, fields.model, path), others, strict=False))
        different = [index for index, (value, other) in enumerate(pairs) if value != other]
        low, high = Side(self.kwargs, leak.before), Side(changed, leak.after)
        if len(different) != 1:
            return leak, low.kwargs, high.kwargs
        (index,) = different
        near, far = pairs[index]
        while (middle := midpoint(near, far)) is not None:
            kwargs = {**self.kwargs, fields.name: with_value_at(own, fields.model, path, index, middle)}
            outcome = self.run(kwargs)
            if outcome is None:
                break
            if self.state.judge.same(outcome, low.outcome):
                near, low = middle, Side(kwargs, outcome)
            else:
                far, high = middle, Side(kwargs, outcome)
        return Leak(low.outcome, high.outcome), low.kwargs, high.kwargs

    def _together(
        self, paths: list[tuple[Fields, str]], leak: Leak, twin: Mapping[str, Any]
    ) -> list[tuple[Fields, str]]:
        """As few as make a difference together."""
        left = paths
        for path in paths:
            fewer = [other for other in left if other is not path]
            if fewer and self._differing(fewer, leak, twin)[0] is not None:
                left = fewer
        return left


def with_note(error: BaseException) -> BaseException:
    """An error of the body, with what to do where it is not one of the test."""
    note = expected(error)
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
    return error


# ---- What hypothesis is doing ----------------------------------------------------------------------------------------


def execution_of() -> object:
    """The object that stands for one run of hypothesis over a test; None where it cannot be found."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "execute_once":
            return frame.f_locals.get("self")
        frame = frame.f_back
    return None


def reference(execution: object) -> Callable[[], object]:
    """What gives that object as long as it is there, and does not keep it."""
    try:
        return weakref.ref(execution)
    except TypeError:
        return lambda: None


def choices_of(context: BuildContext) -> object:
    """What was drawn, as far as it says which example this is."""
    choices = getattr(context.data, "choices", None)
    if choices is not None:
        return tuple((type(choice), choice) for choice in choices)
    drawn = getattr(context.data, "buffer", None)  # what earlier versions draw from
    return None if drawn is None else bytes(drawn)


@contextlib.contextmanager
def untraced() -> Generator[Any]:
    """Gives the function with which hypothesis traces each line, to explain failures, and takes it off meanwhile.

    It explains lines of the application; to trace all that is done beside would take several times as long.
    """
    tracer: Any = sys.gettrace()
    if type(getattr(tracer, "__self__", None)).__module__ != scrutineer.__name__:
        yield None  # none, or somebody else's; from Python 3.12 on hypothesis needs none
        return
    sys.settrace(None)
    try:
        yield tracer
    finally:
        sys.settrace(tracer)


def not_counted(context: BuildContext, seconds: float) -> None:
    """Time that no deadline counts: it is for one run of a body, however often it is repeated."""
    known = getattr(context.data, "_stateful_run_times", None)
    if isinstance(known, dict):
        known["purposeguard"] = known.get("purposeguard", 0.0) + seconds


def in_thread(fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """What a function gives, in a thread of its own: hypothesis does not look for values within a test."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(fn, *args, **kwargs).result()


def examples_of(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Some that a strategy makes, where there is nothing that they could be drawn from."""
    values: list[Any] = []

    def enough(value: Any) -> bool:
        values.append(value)
        return len(values) >= count

    with contextlib.suppress(NoSuchExample):
        in_thread(find, strategy, enough, settings=_SEARCH)
    return values[:count]


_SEARCH: Final = settings(database=None, derandomize=True, max_examples=20, deadline=None, phases=[Phase.generate])


def is_explicit(context: BuildContext) -> bool:
    """Whether the example was given by `@example`, so that there is nothing to draw from."""
    data: Any = context.data
    return bool(getattr(data, "max_choices", getattr(data, "max_length", None)) == 0)  # its earlier name


def _say_nothing_of_this() -> None:
    """Of the lines that only failing examples ran, hypothesis shows those of the application; none of these."""
    known = getattr(scrutineer, "UNHELPFUL_LOCATIONS", None)
    own = f"/{Path(__file__).parent.parent.name}/{Path(__file__).parent.name}/*"
    if isinstance(known, tuple) and own not in known:
        scrutineer.UNHELPFUL_LOCATIONS = (*known, own)


_say_nothing_of_this()
