"""Noninterference: that what a purpose may not use makes no difference to what is done for it.

```python
@noninterference(guard, tm.RenewalGuidance)
def test_reminders(customer: Customer):
    return remind(customer)
```

The body runs under the purpose, again and again with other values in the fields that the purpose may not use. What it
returns, raises, logs, prints, sends, asks of a database and writes to files must be the same each time.
Needs hypothesis: `pip install 'purposeguard[hypothesis]'`.
"""

from __future__ import annotations

import functools
import inspect
import sys
import time
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

from purposeguard.containers import exclude
from purposeguard.extras import Needs
from purposeguard.guard import Guard
from purposeguard.runtime.activity import Block
from purposeguard.runtime.site import Site
from purposeguard.testing._examples import (
    Errors,
    Example,
    ExampleQuestion,
    RunConstants,
    State,
    execution_of,
    instances_with_constants,
    is_explicit,
    not_counted,
)
from purposeguard.testing._places import FieldPlaces, annotations_of, forbidden_in, is_tagged, model_of
from purposeguard.testing._runs import PINS, RunConduct
from purposeguard.testing.effects import COMPARED, KINDS, install_watchers
from purposeguard.testing.failures import (
    Interference,
    NothingToProve,
    describe_nothing_drawn,
    describe_nothing_to_prove,
    note_other_error,
)

with Needs(__name__, "hypothesis"):
    from hypothesis import Phase, given, settings
    from hypothesis import strategies as st
    from hypothesis.control import current_build_context


def noninterference(
    guard: Guard,
    purpose: Any,
    /,
    *,
    channel: str | None = None,
    twins: int = 3,
    pin: Collection[str] = PINS,
    effects: Collection[str] = COMPARED,
    raises: Errors = (),
    **strategies: st.SearchStrategy[Any],
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Make a test that fails if a field that `purpose` may not use makes a difference.

    Decorates a test with parameters that are tagged models, which are drawn; other parameters are drawn from
    `strategies`, or are fixtures. Also decorates a test with `@given`. `twins`: the number of other values for each
    example. `pin`: which of `random`, `uuid` and `time` are pinned. `effects`: the kinds of effects to compare.

    Any other error of the body fails the test as usual, unless `raises` allows it.

    The test raises:
        Interference: a field that may not be used makes a difference; names the field and the difference.
        Nondeterministic: two runs with the same values differ.
        NothingToProve: the purpose may use every drawn field.

    Raises:
        UnknownPurpose, UnknownChannel, ChannelViolation: as `guard.purpose`.
        ValueError: unknown name in `pin` or `effects`, or `twins` is less than 1.
        TypeError: nothing is drawn, or there are `strategies` beside `@given`.
    """
    check_known("pin", pin, PINS)
    check_known("effects", effects, KINDS)
    if twins < 1:
        raise ValueError("a test needs at least one twin of each example")

    return _Noninterference(guard, purpose, channel, twins, frozenset(pin), frozenset(effects), raises, strategies)


@dataclass(frozen=True)
class _Noninterference:
    """The decorator that `noninterference` returns."""

    guard: Guard
    purpose: Any
    channel: str | None
    twins: int
    pins: frozenset[str]
    kinds: frozenset[str]
    raises: Errors
    strategies: Mapping[str, st.SearchStrategy[Any]]

    def __call__(self, test: Any) -> Callable[..., None]:
        """Return the test that hypothesis runs."""
        frame = sys._getframe(1)
        local = frame.f_locals if frame.f_locals is not frame.f_globals else None
        activity = Site.of(inspect.unwrap(test)).dotted
        block = self.guard.purpose(self.purpose, channel=self.channel, activity=activity)
        constants = RunConstants(inspect.unwrap(test).__module__)
        question = ExampleQuestion(
            self.guard,
            self.purpose,
            self.channel,
            test.__name__,
            self.twins,
            self.pins,
            self.raises,
            constants=constants,
        )
        make_prover = functools.partial(_Prover, question, block, kinds=self.kinds)
        if getattr(test, "is_hypothesis_test", False):
            return self._wrap_body_of_given(test, local, make_prover)
        annotations = annotations_of(test, local)
        drawn: dict[str, st.SearchStrategy[Any]] = {}
        for name, annotation in annotations.items():
            if name not in self.strategies and is_tagged(annotation):
                drawn[name] = instances_with_constants(annotation, constants)
        drawn |= self.strategies
        if not drawn:
            raise TypeError(describe_nothing_drawn(test))
        wrapper = make_prover(test, annotations, drawn=frozenset(drawn)).wrapper()
        return given(**drawn)(_suppress_explanation(wrapper))

    def _wrap_body_of_given(
        self, test: Any, local: Mapping[str, Any] | None, make_prover: Callable[..., _Prover]
    ) -> Callable[..., None]:
        """Replace the body of a test that `@given` made."""
        if self.strategies:
            raise TypeError("`@given` says what is drawn: give no strategies to `noninterference` beside it")
        handle: Any = test.hypothesis
        names = getattr(handle, "_given_kwargs", None)  # Hypothesis has no public name for it.
        annotations = annotations_of(handle.inner_test, local)
        inner = make_prover(handle.inner_test, annotations, drawn=frozenset(names) if names else None)
        handle.inner_test = inner.wrapper()
        return _suppress_explanation(test)


_SETTINGS: Final = "_hypothesis_internal_use_settings"
"""Where hypothesis keeps the settings of a test, which `@settings` above it replaces."""


def _suppress_explanation(test: Callable[..., None]) -> Callable[..., None]:
    """Turn off hypothesis' phase that explains which lines only failing examples run.

    To know them, hypothesis traces each line, also of tests that pass, and runs hundreds of further examples. Every
    example runs its twins as well, so the phase rarely tells anything.
    """
    own: Any = getattr(test, _SETTINGS, None) or settings.default
    setattr(test, _SETTINGS, settings(own, phases=[phase for phase in own.phases if phase is not Phase.explain]))
    return test


def check_known(what: str, names: Collection[str], known: Sequence[str]) -> None:
    """Raise ValueError if a name is not a known one."""
    unknown = exclude(names, known) if not isinstance(names, str) else [names]
    if unknown:
        raise ValueError(f"`{what}` is a collection of {', '.join(known)}; there is no `{unknown[0]}`")


class _ExampleFails(AssertionError):
    """Tells hypothesis that an example fails, until the last run, which raises why."""


@dataclass
class _Prover:
    """One decorated test."""

    asked: ExampleQuestion
    block: Block[Any]
    body: Callable[..., Any]
    annotations: Mapping[str, Any]
    kinds: frozenset[str]
    drawn: frozenset[str] | None
    _state: State | None = None

    def wrapper(self) -> Callable[..., Any]:
        """Return the function that hypothesis runs in place of the body."""

        @functools.wraps(self.body)
        def proven(*args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            self.prove(args, kwargs)

        wrapper: Any = proven
        body = getattr(inspect.unwrap(self.body), "__code__", None)
        if body is not None:  # reports then show the test, not this
            code: CodeType = wrapper.__code__
            wrapper.__code__ = code.replace(co_filename=body.co_filename, co_firstlineno=body.co_firstlineno)
        return proven

    def prove(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Run the body with an example and its twins."""
        __tracebackhide__ = True
        context = current_build_context()
        state = self._state_of()
        if any(isinstance(value, st.DataObject) for value in kwargs.values()):
            raise TypeError("each run would draw other things from `data()`: draw what the body needs as arguments")
        began = time.perf_counter()
        try:
            with install_watchers(state.conduct.connections):
                fields = self._fields(kwargs)
                state.conduct.forbidden = {field.name: tuple(field.forbidden) for field in fields}
                failure = Example(self.asked, state, args, kwargs, fields).failure(context)
        finally:
            not_counted(context, time.perf_counter() - began - state.conduct.took)
        if failure is None:
            return
        if context.is_final or is_explicit(context):
            if isinstance(failure, Interference):
                for error in list(state.raising.values())[:1]:
                    failure.add_note(note_other_error(error))
            raise failure
        # One type, raised at one place, is one bug to hypothesis, which would show several as an `ExceptionGroup`.
        raise _ExampleFails

    def _state_of(self) -> State:
        execution = execution_of()
        state = self._state
        if state is None or state.execution() is not execution:
            conduct = RunConduct(self.body, self.block, self.asked.pins, self.kinds, drawn=self.drawn)
            state = self._state = State(weakref.ref(execution), conduct)
        return state

    def _fields(self, kwargs: Mapping[str, Any]) -> list[FieldPlaces]:
        """Return the forbidden fields of arguments that are, or contain, models."""
        models: dict[str, Any] = {}
        fields: list[FieldPlaces] = []
        for name, value in kwargs.items():
            model = model_of(value, self.annotations.get(name))
            if model is not None:
                models[name] = model
                forbidden = forbidden_in(self.asked.decision, model)
                if forbidden:
                    fields.append(FieldPlaces(name, model, forbidden))
        if not fields and (models or not any(map(_may_hold_models, kwargs.values()))):
            raise NothingToProve(describe_nothing_to_prove(self.asked.decision, models))
        return fields


def _may_hold_models(value: object) -> bool:
    return isinstance(value, (list, tuple, set, frozenset, dict)) and not value
