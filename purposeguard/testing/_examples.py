"""One example of a noninterference test: runs the body with it and its twins, and names the fields that leak."""

from __future__ import annotations

import collections
import datetime
import functools
import itertools
import sys
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final, TypeVar

from purposeguard.containers import exclude, intersect
from purposeguard.extras import Needs
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.policy.explanation import Decision
from purposeguard.testing._constants import Constants, collect_constants
from purposeguard.testing._drawing import Drawing, Redrawing
from purposeguard.testing._judging import Judge, Leak, Unstable
from purposeguard.testing._leaves import draw_by_seed
from purposeguard.testing._places import (
    FieldPlaces,
    values_at,
    with_equal_values,
    with_value_at,
    with_values_of,
)
from purposeguard.testing._runs import RunConduct, RunOutcome
from purposeguard.testing.effects import arranging
from purposeguard.testing.failures import Interference, Nondeterministic, note_expected_error
from purposeguard.testing.strategies import twins as twins_of
from purposeguard.testing.values import Markers, simplest

with Needs(__name__, "hypothesis"):
    from hypothesis import reject
    from hypothesis import strategies as st
    from hypothesis.control import BuildContext
    from hypothesis.errors import Unsatisfiable, UnsatisfiedAssumption

ErrorT = TypeVar("ErrorT", bound=BaseException)
Errors = type[BaseException] | tuple[type[BaseException], ...]

_ENOUGH: Final = 5
"""Failures by remembered values after which no more are looked for."""

_MOST_AT_FIRST: Final = 50
"""Constants that are tried with the first example: hypothesis need not make a failure of the simplest one smaller."""

_PATIENCE: Final = 10.0
"""Seconds of body runs spent on shrinking. Hypothesis allows five minutes, which tests that use a database would take:
each step is several runs."""

_UNSEEN: Final = itertools.count()
"""Salts of values never used before in this process."""


class RunConstants:
    """The constants of the code that a module tests; they stay the same during one run of hypothesis."""

    def __init__(self, module: str | None = None) -> None:
        self._module = module
        self._execution: weakref.ref[Any] | None = None
        self._constants = Constants()

    def get(self) -> Constants:
        """Return the constants, read again for each run of hypothesis."""
        execution = execution_of()
        if execution is not None and (self._execution is None or self._execution() is not execution):
            self._execution, self._constants = weakref.ref(execution), collect_constants(self._module)
        return self._constants


@st.composite
def instances_with_constants(draw: st.DrawFn, annotation: Any, constants: RunConstants) -> Any:
    """Return a strategy for instances of an annotation, with constants of the code."""
    return Drawing(draw, constants=constants.get()).instance(annotation)


@st.composite
def _twins(
    draw: st.DrawFn,
    instance: Any,
    argument: FieldPlaces,
    paths: Collection[str],
    *,
    constants: Constants,
    nth: Mapping[str, int] | None = None,
    taken: set[str] | None = None,
) -> Any:
    drawing = Drawing(draw, constants=constants, nth=nth)
    tagged = argument.tagged
    twin = Redrawing(drawing, intersect(paths, tagged), exclude(paths, tagged)).value(instance, argument.model)
    if taken is not None:
        taken |= drawing.taken
    return twin


@st.composite
def _simple_twins(draw: st.DrawFn, instance: Any, model: Any, path: str) -> Any:
    return Redrawing(Drawing(draw), (path,), simple=True).value(instance, model)


@dataclass(frozen=True)
class ExampleQuestion:
    """The arguments of `noninterference`; `name` is that of the test."""

    guard: Guard
    purpose: Any
    channel: str | None
    name: str
    twins: int
    pins: frozenset[str]
    raises: Errors
    remedy: str = ""
    """The advice on fields that make a difference; by default it follows from the decision."""
    constants: RunConstants = field(default_factory=RunConstants)

    def decision(self, label: Label) -> Decision:
        """Return the guard's decision on a label for this purpose."""
        return self.guard.explain(label, self.purpose, self.channel)


@dataclass
class State:
    """What is known of one run of hypothesis over a test."""

    execution: weakref.ref[Any]
    conduct: RunConduct
    judge: Judge = field(default_factory=Judge)
    unstable: Nondeterministic | None = None
    remembered: int = 0
    once_more: int = 0
    accused: bool = False
    raising: dict[object, Exception] = field(default_factory=dict[object, Exception])
    """Drawn choices of an example that failed only since the body raised an error → the error."""
    until: float | None = None
    """The total body time at which shrinking stops; None if nothing has failed yet."""
    turns: collections.Counter[str] = field(default_factory=collections.Counter[str])
    """Path of a field → how many constants of the code were tried in it."""
    first_failing: tuple[Example, Mapping[str, Any]] | None = None
    """The first example that failed by comparing, and its twin."""
    constant_twins: dict[object, Mapping[str, Any]] = field(default_factory=dict[object, Mapping[str, Any]])
    """Drawn choices → the twin with constants that failed."""
    known: dict[object, Exception | None] = field(default_factory=dict[object, "Exception | None"])
    """Drawn choices → the failure of that twin, repeated when it is drawn again.

    A difference may occur only once (code that remembers), and hypothesis needs the same result for the same choices.
    """

    @property
    def is_enough(self) -> bool:
        """True if shrinking has used its time: from now on only known failures fail."""
        return self.until is not None and self.conduct.spent > self.until

    def record(self, key: object, failure: Exception | None) -> None:
        """Remember the result of comparing a twin; `key` is that of its choices, None if it was not drawn."""
        if key is not None:
            self.known[key] = failure
            self.remembered += isinstance(failure, Interference) and failure.remembered
        if isinstance(failure, Nondeterministic):
            self.unstable = failure
        self.say(failure)

    def say(self, failure: Exception | None) -> None:
        """Start the time for shrinking at the first failure."""
        if failure is not None and not self.accused:
            self.accused = True
            self.until = self.conduct.spent + _PATIENCE


@dataclass(frozen=True)
class Side:
    """Arguments and their outcome."""

    kwargs: Mapping[str, Any]
    outcome: RunOutcome


@dataclass(frozen=True)
class Change:
    """A change of one field that makes a difference: both outcomes, and the arguments of each."""

    culprit: tuple[FieldPlaces, str]
    leak: Leak
    start: Mapping[str, Any]
    changed: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The field as code writes it."""
        argument, path = self.culprit
        return argument.format_path(path)


def midpoint(first: Any, other: Any) -> Any:
    """Return the middle of two integers or days; None if they are adjacent or of another type."""
    if type(first) is int and type(other) is int:
        middle = (first + other) // 2
        return None if middle in (first, other) else middle
    if type(first) is datetime.date and type(other) is datetime.date:
        day = midpoint(first.toordinal(), other.toordinal())
        return None if day is None else datetime.date.fromordinal(day)
    return None


@dataclass
class Example:
    """One drawn example."""

    asked: ExampleQuestion
    state: State
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    fields: Sequence[FieldPlaces]

    def run(self, changed: Mapping[str, Any] | None = None) -> RunOutcome | None:
        """Run the body with some arguments replaced."""
        __tracebackhide__ = True
        return self.state.conduct.run(self.args, {**self.kwargs, **(changed or {})})

    def twins(self, context: BuildContext) -> Iterator[dict[str, Any]]:
        """Yield other values of the arguments that have forbidden fields; drawn, so that they shrink."""
        if not self.fields:
            return
        for number in range(self.asked.twins):
            equal = number == 1 and self._holds_several
            strategies: dict[str, Any] = {}
            for argument in self.fields:
                # Where values are to be equal, there is one for each item of the example.
                paths = argument.tagged if equal else argument.forbidden
                own = self.kwargs[argument.name]
                strategies[argument.name] = _twins(own, argument, paths, constants=self.asked.constants.get())
            drawn = st.fixed_dictionaries(strategies)
            # An example from `@example` has nothing to draw from.
            twin = simplest(drawn) if is_explicit(context) else context.data.draw(drawn)
            for argument in self.fields if equal else ():
                twin[argument.name] = with_equal_values(twin[argument.name], argument.model, argument.tagged)
            if any(twin[name] is not self.kwargs[name] for name in twin):
                yield twin

    @property
    def _holds_several(self) -> bool:
        """True if a forbidden field lies in a list, so that several values of it may be equal."""
        return any("[]" in path for _, path in self._forbidden_paths())

    def _forbidden_paths(self) -> Iterator[tuple[FieldPlaces, str]]:
        """Yield each forbidden field: its argument, and its path."""
        for argument in self.fields:
            for path in argument.forbidden:
                yield argument, path

    def failure(self, context: BuildContext) -> Exception | None:
        """Return the failure of this example, if any: of comparing, or the body's own error."""
        __tracebackhide__ = True
        if self.state.is_enough and not context.is_final and not is_explicit(context):
            return self._find_known_failure(context)
        before = self.run()
        if before is None:
            reject()
        for twin in self.twins(context):
            failure = self._failure_of(twin, before, context)
            if failure is not None:
                return failure
        failure = self._try_constants(before, context)
        if failure is not None:
            return failure
        failure = self._check_remembering(before, context)
        if failure is not None:
            return failure
        return self._own_error(before, context)

    def _own_error(self, before: RunOutcome, context: BuildContext) -> Exception | None:
        """Return the body's own error, unless one that `raises` allows.

        A failure found by comparing says more, so once there is one, only examples that failed before fail.
        """
        error, state, key = before.raised, self.state, choices_of(context)
        if error is None or isinstance(error, self.asked.raises):
            return None
        if not isinstance(error, Exception):  # `SystemExit`
            raise with_note(error)
        if is_explicit(context):
            return None if state.accused else with_note(error)
        if state.accused and key not in state.raising:
            return None
        state.raising[key] = error
        if context.is_final and state.first_failing is not None:
            example, twin = state.first_failing
            outcome = example.run()
            failure = None if outcome is None else example.compare_twin(outcome, twin, final=True)
            if isinstance(failure, Interference):
                return failure
        return with_note(error)

    def _find_known_failure(self, context: BuildContext) -> Exception | None:
        """Return the known failure of this very example, without running it; None if it is another example."""
        known_failures = self.state.known
        for _ in self.twins(context):  # Each twin adds its choices.
            failure = known_failures.get(choices_of(context))
            if failure is not None:
                return failure
        key = choices_of(context)
        return (
            known_failures.get(("constant", key))
            or known_failures.get(("once more", key))
            or self.state.raising.get(key)
        )

    def _try_constants(self, before: RunOutcome, context: BuildContext) -> Exception | None:
        """Compare twins with the next constants of the code, until each was tried.

        Hypothesis does not draw these twins: which constant is next depends on the examples before. Once one fails,
        all further examples get the values that failed instead.
        """
        state = self.state
        key = ("constant", choices_of(context))
        if key in state.known:
            failure = state.known[key]
            if isinstance(failure, Interference) and context.is_final and not failure.fields:
                failure = self.compare_twin(before, state.constant_twins[key], final=True) or failure
            return failure
        if is_explicit(context):
            return None
        failure = None
        for twin in self._twins_with_known_values() if state.accused else self._twins_with_constants():
            failure = self.compare_twin(before, twin, final=context.is_final)
            if failure is not None:
                state.constant_twins[key] = twin
                state.first_failing = state.first_failing or (self, twin)
                break
        state.record(key, failure)
        return failure

    def _twins_with_known_values(self) -> Iterator[dict[str, Any]]:
        """Yield twins with the values of the first twin that failed, and of its example."""
        if self.state.first_failing is None:
            return
        example, changed = self.state.first_failing
        for donor in (example.kwargs, changed):
            twin: dict[str, Any] = {}
            for argument in self.fields:
                own = self.kwargs[argument.name]
                twin[argument.name] = with_values_of(own, donor[argument.name], argument.model, argument.forbidden)
            yield twin

    def _twins_with_constants(self) -> Iterator[dict[str, Any]]:
        """Yield twins with the next constants; of the first example, which is the simplest, more than of others."""
        state = self.state
        first = not state.turns
        turns = collections.Counter[str]() if first else state.turns
        for _ in range(_MOST_AT_FIRST if first else self.asked.twins):
            twin, taken = self._twin_with_constants(turns)
            if not taken:
                return
            if twin is not None:
                yield twin
            turns.update(taken)
            state.turns.update(dict.fromkeys(taken, 0))

    def _twin_with_constants(self, turns: Mapping[str, int]) -> tuple[dict[str, Any] | None, set[str]]:
        """Return a twin whose fields take the constants at these indices, and the paths that took one.

        The twin is None if the model refuses the constants.
        """
        twin: dict[str, Any] = {}
        taken: set[str] = set()
        constants = self.asked.constants.get()
        for argument in self.fields:
            own = self.kwargs[argument.name]
            strategy = _twins(own, argument, argument.tagged, constants=constants, nth=turns, taken=taken)
            try:
                twin[argument.name] = draw_by_seed(strategy, sum(turns.values()))
            except UnsatisfiedAssumption:
                return None, taken
            if twin[argument.name] is None:
                return None, taken
        return twin, taken

    def _check_remembering(self, before: RunOutcome, context: BuildContext) -> Exception | None:
        """Run one of the first examples once more, to see whether the code remembers values."""
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

    def _failure_of(self, twin: Mapping[str, Any], before: RunOutcome, context: BuildContext) -> Exception | None:
        """Return the failure that a twin shows, or showed when it was drawn before."""
        state = self.state
        key = choices_of(context)
        if key in state.known:
            failure = state.known[key]
            if isinstance(failure, Interference) and context.is_final and not failure.fields:
                failure = self.compare_twin(before, twin, final=True) or failure
        elif state.remembered >= _ENOUGH:
            failure = None  # code that remembers would fail with every new value
        else:
            failure = state.unstable or self.compare_twin(before, twin, final=context.is_final)
        if failure is not None and not is_explicit(context):
            state.first_failing = state.first_failing or (self, twin)
        state.record(None if is_explicit(context) else key, failure)
        return failure

    def compare_twin(self, before: RunOutcome, twin: Mapping[str, Any], *, final: bool) -> Exception | None:
        """Return the failure shown by comparing a twin with the example."""
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
            unseen[argument.name] = with_values_of(
                value, self._mark(value, argument), argument.model, argument.forbidden
            )
        return unseen

    def _mark(self, value: Any, argument: FieldPlaces) -> Any:
        """Return a copy of an argument with values never seen before."""
        with arranging():
            return Markers(f"unseen {next(_UNSEEN)}").mark(value, argument.model)

    def _run_unseen(self) -> RunOutcome | None:
        return self.run(self._unseen())

    # ---- Which field it is ----------------------------------------------------------------------------------------

    def _interference(self, leak: Leak, twin: Mapping[str, Any], *, final: bool) -> Interference:
        paths = list(self._forbidden_paths())
        changes: dict[str, Change] = {}
        if final or leak.remembered:  # failures that hypothesis still shrinks are not shown
            for pair in paths:
                outcome, values = self._differing([pair], leak, twin)
                if outcome is not None:
                    change = Change(pair, Leak(leak.before, outcome, leak.remembered), self.kwargs, values)
                    for cause in self._list_changes_inside(change) or [change]:
                        changes.setdefault(cause.name, cause)
        leaking = [change.culprit for change in changes.values()]
        shown, start, changed = leak, self.kwargs, twin
        together = not leaking and (final or leak.remembered)
        if together:
            leaking = self._together(paths, leak, twin)
        elif leaking and not leak.remembered:
            nearest = self._nearest(self._simplify(next(iter(changes.values()))))
            shown, start, changed = nearest.leak, nearest.start, nearest.changed
        return Interference(
            self.asked.decision,
            leaking,
            shown,
            (start, changed),
            together=together and len(leaking) > 1,
            ordered=self.state.judge.ordered,
            activity=self.asked.name,
            remedy=self.asked.remedy,
        )

    def _differing(
        self, paths: Sequence[tuple[FieldPlaces, str]], leak: Leak, twin: Mapping[str, Any]
    ) -> tuple[RunOutcome | None, Mapping[str, Any]]:
        """Return the outcome with other values at these paths alone, None if it is the same; and the values."""
        changed = self._unseen() if leak.remembered else twin
        values: dict[str, Any] = {}
        for argument in self.fields:
            own = [path for fields, path in paths if fields is argument]
            if own and argument.name in changed:  # A twin may differ in one argument alone.
                values[argument.name] = with_values_of(
                    self.kwargs[argument.name], changed[argument.name], argument.model, own
                )
        outcome = self.run(values)
        differs = outcome is not None and not self.state.judge.same(leak.before, outcome)
        return outcome if differs else None, values

    def _list_changes_inside(self, change: Change) -> list[Change]:
        """Return the changes of single fields in a container or an optional value that make a difference.

        They say more than that it has other items. The example may have none, so its twin is changed as well.
        """
        argument, path = change.culprit
        inner = [own for own in argument.tagged if not path or own.startswith((f"{path}.", f"{path}["))]
        if path in argument.tagged or not inner or change.leak.remembered:
            return []
        sides = Side(self.kwargs, change.leak.before), Side({**self.kwargs, **change.changed}, change.leak.after)
        for side in sides:
            value = side.kwargs[argument.name]
            twins = simplest(twins_of(value, inner, argument.model)), self._mark(value, argument)
            for twin in twins:
                changes: list[Change] = []
                for own in inner:
                    changed = with_values_of(value, twin, argument.model, [own])
                    outcome = None if changed is value else self.run({**side.kwargs, argument.name: changed})
                    if outcome is not None and not self.state.judge.same(side.outcome, outcome):
                        values = {**side.kwargs, argument.name: changed}
                        changes.append(Change((argument, own), Leak(side.outcome, outcome), side.kwargs, values))
                if changes:
                    return changes
        return []

    def _simplify(self, change: Change) -> Change:
        """Replace the values of each run in turn by the simplest that make a difference, but not the example's own."""
        argument, path = change.culprit
        if path not in argument.tagged or change.leak.remembered:
            return change
        start, other = (
            Side(change.start, change.leak.before),
            Side({**change.start, **change.changed}, change.leak.after),
        )
        for _ in range(1 if change.start is self.kwargs else 2):
            value = start.kwargs[argument.name]
            try:
                twin = simplest(_simple_twins(value, argument.model, path))
            except Unsatisfiable:  # Validators refuse what is tried.
                return Change(change.culprit, Leak(start.outcome, other.outcome), start.kwargs, other.kwargs)
            kwargs = {**start.kwargs, argument.name: with_values_of(value, twin, argument.model, [path])}
            outcome = self.run(kwargs)
            if outcome is not None and not self.state.judge.same(start.outcome, outcome):
                other = Side(kwargs, outcome)
            start, other = other, start
        if start.kwargs is not self.kwargs and other.kwargs is self.kwargs:
            start, other = other, start
        return Change(change.culprit, Leak(start.outcome, other.outcome), start.kwargs, other.kwargs)

    def _nearest(self, change: Change) -> Change:
        """Narrow a change of a number or a day to two adjacent values between which the outcome changes."""
        fields, path = change.culprit
        own = change.start[fields.name]
        others = values_at(change.changed[fields.name], fields.model, path)
        pairs = list(zip(values_at(own, fields.model, path), others, strict=False))
        different = [index for index, (value, other) in enumerate(pairs) if value != other]
        if len(different) != 1:
            return change
        low, high = Side(change.start, change.leak.before), Side(change.changed, change.leak.after)
        (index,) = different
        near, far = pairs[index]
        while (middle := midpoint(near, far)) is not None:
            kwargs = {**change.start, fields.name: with_value_at(own, fields.model, path, index, middle)}
            outcome = self.run(kwargs)
            if outcome is None:
                break
            if self.state.judge.same(outcome, low.outcome):
                near, low = middle, Side(kwargs, outcome)
            else:
                far, high = middle, Side(kwargs, outcome)
        return Change(change.culprit, Leak(low.outcome, high.outcome), low.kwargs, high.kwargs)

    def _together(
        self, paths: list[tuple[FieldPlaces, str]], leak: Leak, twin: Mapping[str, Any]
    ) -> list[tuple[FieldPlaces, str]]:
        """Return a minimal set of paths that make a difference together."""
        culprits = paths
        for path in paths:
            fewer = [other for other in culprits if other is not path]
            if fewer and self._differing(fewer, leak, twin)[0] is not None:
                culprits = fewer
        return culprits


def with_note(error: ErrorT) -> ErrorT:
    """Return an error of the body, with a note on how to allow it."""
    note = note_expected_error(error)
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
    return error


# ---- The state of hypothesis ----------------------------------------------------------------------------------------


def execution_of() -> object:
    """Return hypothesis' object for one run over a test; None outside of hypothesis."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "execute_once":
        frame = frame.f_back
    return None if frame is None else frame.f_locals["self"]


def choices_of(context: BuildContext) -> tuple[object, ...]:
    """Return the drawn choices, which identify the example."""
    return tuple((type(choice), choice) for choice in context.data.choices)


def not_counted(context: BuildContext, seconds: float) -> None:
    """Exclude repeated runs from hypothesis' deadline, which is meant for one run of a body."""
    context.data._stateful_run_times["purposeguard"] += seconds


def is_explicit(context: BuildContext) -> bool:
    """Return True for an example from `@example`, which has nothing to draw from."""
    return context.data.max_choices == 0
