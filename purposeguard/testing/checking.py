"""One check of all activities of a service: alone, after other activities, and after a person has opted out.

```python
def fill(customers: list[Customer]) -> None:
    shop.customers = {customer.id: customer for customer in customers}


def test_purposes() -> None:
    check(shop, arrange=fill)
```

Needs hypothesis: `pip install 'purposeguard[hypothesis]'`.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final, Self

from purposeguard.errors import PurposeGuardError, escape_controls
from purposeguard.extras import Needs
from purposeguard.guard import LIVE_GUARDS, Guard
from purposeguard.notice.label import Label
from purposeguard.notice.several import JointNotice
from purposeguard.policy.explanation import Decision
from purposeguard.policy.row_context import SubjectId
from purposeguard.runtime.registry import Activity
from purposeguard.testing._entries import Entry, find_entries, list_modules
from purposeguard.testing._examples import Example, ExampleQuestion, State
from purposeguard.testing._inputs import Inputs
from purposeguard.testing._leaves import Unsolvable
from purposeguard.testing._module_state import ModuleState
from purposeguard.testing._places import FieldPlaces, annotations_of, forbidden_in, is_tagged
from purposeguard.testing._runs import PINS, RunConduct, RunOutcome, finish, fresh
from purposeguard.testing.effects import KINDS, arranging, install_watchers
from purposeguard.testing.failures import Interference, Nondeterministic
from purposeguard.testing.watching import Watcher, watching

with Needs(__name__, "hypothesis"):
    from hypothesis.errors import UnsatisfiedAssumption

__all__ = ["CheckReport", "Violation", "Violations", "check"]


def check(
    target: Any,
    /,
    *,
    arrange: Callable[..., object] | None = None,
    guard: Guard | None = None,
    thorough: bool = False,
    skip: Collection[str] = (),
    **given: Any,
) -> CheckReport:
    """Run all activities of a service, and find personal data that they use although their purpose may not.

    Each activity runs with drawn rows and arguments, and again with other values in the fields that its purpose may
    not use: its result, errors and effects must stay the same. It runs alone, after the other activities of the
    service, and after a person has opted out of its purpose.

    Args:
        target: A module or package, an object with activities, a function, or a web application or its test client.
        arrange: Puts drawn rows where the service finds them. Its parameters are annotated with tagged models. It
            begins with an empty state; what modules of the target keep is put back before each run.
        guard: The guard of the service. By default the one whose activities the target declares.
        thorough: Try all constants of the code, more rows and more stories.
        skip: Names of activities that are not checked.
        given: Values or strategies of hypothesis for parameters, by name.

    Returns:
        What was run.

    Raises:
        Violations: An activity uses what it may not, or cannot be checked.
        TypeError: The target has no activities, or its guard is not known.
    """
    return _Checker(target, arrange, guard, thorough=thorough, skip=skip, given=given).run()


@dataclass(frozen=True)
class Violation:
    """One use of personal data that no purpose of an activity allows.

    Attributes:
        activity: The name of the activity, or the method and template of a route.
        fields: The fields that make a difference.
        effects: What differs: the result, an error, a log record, a statement.
        story: What ran before, or who opted out; empty if the activity ran alone.
        text: The whole message, with the values of both runs and the remedy.
    """

    activity: str
    fields: tuple[str, ...]
    effects: tuple[str, ...]
    story: str
    text: str


class Violations(AssertionError):
    """Activities of a service use personal data that their purposes may not use, or cannot be checked.

    Attributes:
        found: The violations, each once.
        unchecked: Activity → why it could not be checked.
    """

    def __init__(self, found: Sequence[Violation], unchecked: Mapping[str, str]) -> None:
        self.found = tuple(found)
        self.unchecked = dict(unchecked)
        parts: list[str] = []
        if self.found:
            parts.append(_count(len(self.found), "violation"))
        if unchecked:
            parts.append(_count(len(unchecked), "activity cannot be checked", "activities cannot be checked"))
        lines = [", ".join(parts)]
        for number, violation in enumerate(self.found, 1):
            lines += ["", f"{number}. {violation.text}"]
        for name, why in unchecked.items():
            lines += ["", f"{name} cannot be checked: {escape_controls(why)}"]
        super().__init__("\n".join(lines))


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one}" if number == 1 else f"{number} {many or one + 's'}"


@dataclass
class CheckReport:
    """What a check ran.

    Attributes:
        activities: The activities that ran, each with the ids of the purposes that it entered.
        unused: The activities that entered no purpose.
        runs: The number of runs.
        seconds: The duration of the check.
    """

    activities: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    unused: list[str] = field(default_factory=list[str])
    runs: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class _Effort:
    """How much is tried."""

    bases: int
    twins: int
    story_bases: int
    story_twins: int


_QUICK: Final = _Effort(bases=2, twins=2, story_bases=1, story_twins=1)
_THOROUGH: Final = _Effort(bases=12, twins=40, story_bases=3, story_twins=4)
_MOST_VIOLATIONS: Final = 6
"""The most violations that are looked for in one activity: the rest shows when these are mended."""


class _Entered(Watcher):
    """Notes the activities that are entered while it is told to."""

    def __init__(self) -> None:
        self.activities: dict[Activity, None] = {}
        self.is_noting = False

    def entered(self, activity: Activity) -> None:
        if self.is_noting:
            self.activities[activity] = None


@dataclass(frozen=True)
class _Asked(ExampleQuestion):
    """The purposes that an activity entered. A label may be used if one of them allows it."""

    activities: tuple[Activity, ...] = ()
    subject: SubjectId | None = None

    def decision(self, label: Label) -> Decision:
        decisions = [
            self.guard.explain(label, each.purpose, each.channel, self.subject, each.conditions)
            for each in self.activities
        ]
        return next(filter(None, decisions), decisions[0])


class _Opening:
    """Stands for a use where results are shown: opens the sealed values that the purposes of an activity may open."""

    def __init__(self, may: Callable[[Label], object]) -> None:
        self._may = may

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def allows(self, label: Label) -> bool:
        return bool(self._may(label))


@dataclass(frozen=True)
class _Story:
    """What happens before an activity: other activities, and a person who opts out of its purposes."""

    before: tuple[Entry, ...] = ()
    stopped: str | None = None

    def describe(self) -> str:
        parts: list[str] = []
        if self.before:
            parts.append(f"after {', '.join(entry.name for entry in self.before)}")
        if self.stopped is not None:
            parts.append(f"after subject {self.stopped} opted out")
        return " and ".join(parts)


class _Checker:
    """Checks the activities of one target."""

    def __init__(
        self,
        target: Any,
        arrange: Callable[..., object] | None,
        guard: Guard | None,
        *,
        thorough: bool,
        skip: Collection[str],
        given: Mapping[str, Any],
    ) -> None:
        found = find_entries(target)
        modules = list_modules(target, found)
        if not found:
            raise TypeError(f"{target!r} has no activities: state their purposes, `@guard.purpose(…)`")
        unknown = sorted(set(skip) - {entry.name for entry in found})
        if unknown:
            raise TypeError(f"`skip` names `{unknown[0]}`, but there are {', '.join(entry.name for entry in found)}")
        self.entries = [entry for entry in found if entry.name not in skip]
        self.guard = _find_guard(modules) if guard is None else guard
        self.arrange = arrange
        self.rows: Mapping[str, Any] = {} if arrange is None else annotations_of(arrange)
        self.given = given
        self.effort = _THOROUGH if thorough else _QUICK
        self.memory = ModuleState(modules)
        self.entered = _Entered()
        self.arguments: dict[tuple[str, int], Mapping[str, Any]] = {}
        """Activity, number of the example → the arguments that it ran with."""
        self.found: list[Violation] = []
        self.unchecked: dict[str, str] = {}
        self.report = CheckReport()

    def run(self) -> CheckReport:
        """Check all activities."""
        began = time.perf_counter()
        with watching(self.entered, self.guard), install_watchers():
            try:
                self._check_entries()
            finally:
                self.memory.restore()
        self.report.seconds = time.perf_counter() - began
        if self.found or self.unchecked:
            raise Violations(self.found, self.unchecked)
        return self.report

    def _check_entries(self) -> None:
        for entry in self.entries:
            self._check_entry(entry, _Story())
        for entry in self.entries:
            self._check_story(entry)

    def _check_entry(self, entry: Entry, story: _Story) -> None:
        trial = _Trial(self, entry, story)
        try:
            trial.search(self.effort.bases, self.effort.twins)
        except Unsolvable as error:
            self.unchecked[entry.name] = str(error)
        self.report.runs += trial.runs

    def _check_story(self, entry: Entry) -> None:
        """Run an activity after all others; if that finds something, after the first that suffices alone."""
        others = tuple(other for other in self.entries if other is not entry and (other.name, 0) in self.arguments)
        if entry.name in self.unchecked or entry.name not in self.report.activities or not others:
            return
        before = len(self.found)
        self._try_story(entry, _Story(others))
        if len(self.found) == before:
            return
        together = self.found[before:]
        for other in others:
            del self.found[before:]
            self._try_story(entry, _Story((other,)))
            if len(self.found) > before:
                return
        self.found[before:] = together

    def _try_story(self, entry: Entry, story: _Story) -> None:
        trial = _Trial(self, entry, story)
        trial.search(self.effort.story_bases, self.effort.story_twins)
        self.report.runs += trial.runs

    def list_culprits(self, activity: str) -> set[str]:
        """Return the fields that were found to make a difference to an activity."""
        return {name for violation in self.found if violation.activity == activity for name in violation.fields}


class _Trial:
    """Runs one activity in one story, with examples and their twins."""

    def __init__(self, checker: _Checker, entry: Entry, story: _Story) -> None:
        self._checker = checker
        self._entry = entry
        self._story = story
        self._keys = {name: f"{name}_" if name in checker.rows else name for name in entry.parameters}
        arguments = {self._keys[name]: annotation for name, annotation in entry.parameters.items()}
        given = {self._keys.get(name, name): value for name, value in checker.given.items()}
        optional = {self._keys[name] for name in entry.optional}
        self._inputs = Inputs(checker.rows, arguments, optional, given)
        self._asked: _Asked | None = None
        self._nth = 0
        self._refused: BaseException | None = None
        """The last error of the arrangement."""
        self.runs = 0
        conduct = RunConduct(self._run_body, _Opening(self._may), PINS, KINDS, connections=[])
        self._state = State(weakref.ref(self), conduct)

    def search(self, bases: int, twins: int) -> None:
        """Look for fields that make a difference.

        Raises:
            Unsolvable: No strategy is known for a parameter.
        """
        raised: list[BaseException | None] = []
        for nth in range(bases):
            values = self._inputs.draw(nth)
            outcome = None if values is None else self._run(values, nth)
            if values is None or outcome is None:
                continue
            raised.append(outcome.raised)
            activities = tuple(self._checker.entered.activities)
            if activities:
                self._note(activities)
                self._compare(values, activities, twins)
        if not self._story.before and self._story.stopped is None:
            self._judge_errors(raised)

    def _run(self, values: Mapping[str, Any], nth: int) -> RunOutcome | None:
        self._nth = nth
        return self._state.conduct.run((), values)

    def _run_body(self, **values: Any) -> Any:
        """Begin anew, arrange the rows, run what comes before, and run the activity."""
        checker = self._checker
        self.runs += 1
        checker.entered.is_noting = False
        with arranging():
            checker.memory.restore()
            if checker.arrange is not None:
                self._arrange({name: values[name] for name in checker.rows})
            for other in self._story.before:
                self._run_before(other)
        arguments = {name: values[key] for name, key in self._keys.items() if key in values}
        if not self._story.before:
            checker.arguments[self._entry.name, self._nth] = arguments
        checker.entered.activities = {}
        checker.entered.is_noting = True
        return self._entry.call(**arguments)

    def _arrange(self, rows: Mapping[str, Any]) -> None:
        arrange = self._checker.arrange
        try:
            finish(arrange(**rows) if arrange is not None else None)
        except Exception as error:  # A database may refuse what was drawn: the next one is tried.
            self._refused = error
            raise UnsatisfiedAssumption from error

    def _run_before(self, other: Entry) -> None:
        arguments = self._checker.arguments.get((other.name, self._nth)) or self._checker.arguments[other.name, 0]
        with contextlib.suppress(Exception):  # What it raises is judged where it is checked itself.
            finish(other.call(**{name: fresh(value) for name, value in arguments.items()}))

    def _may(self, label: Label) -> bool:
        return self._asked is not None and bool(self._asked.decision(label))

    def _note(self, activities: Sequence[Activity]) -> None:
        known = self._checker.report.activities
        ids = (*known.get(self._entry.name, ()), *(activity.purpose_id for activity in activities))
        known[self._entry.name] = tuple(dict.fromkeys(ids))

    def _compare(self, values: Mapping[str, Any], activities: tuple[Activity, ...], twins: int) -> None:
        """Compare the outcome of an example with those of twins, and note each field that makes a difference."""
        checker, first = self._checker, activities[0]
        told = self._story.describe()
        name = f"{self._entry.name} ({told})" if told else self._entry.name
        self._asked = _Asked(
            checker.guard, first.purpose, first.channel, name, twins, frozenset(PINS), (), activities=activities
        )
        # The first run did not know the purposes, so it opened no sealed values.
        before = self._run(values, self._nth)
        if before is None:
            return
        for number in range(twins):
            fields = self._list_fields(values)
            if not fields or len(checker.list_culprits(self._entry.name)) >= _MOST_VIOLATIONS:
                return
            twin = self._inputs.draw_twin(values, fields, number)
            if twin is None:
                continue
            failure = Example(self._asked, self._state, (), values, fields).compare_twin(before, twin, final=True)
            if isinstance(failure, Interference):
                effects = tuple(dict.fromkeys(difference.what for difference in failure.differences))
                checker.found.append(Violation(self._entry.name, failure.fields, effects, told, str(failure)))
            elif isinstance(failure, Nondeterministic):
                checker.unchecked[self._entry.name] = str(failure)
                return

    def _list_fields(self, values: Mapping[str, Any]) -> list[FieldPlaces]:
        """Return the forbidden fields of the values that are not known to make a difference."""
        asked = self._asked
        if asked is None:
            return []
        culprits = self._checker.list_culprits(self._entry.name)
        fields: list[FieldPlaces] = []
        for name in values:
            model = self._inputs.annotation(name)
            if not is_tagged(model):
                continue
            everywhere = FieldPlaces(name, model, forbidden_in(asked.decision, model))
            paths = [path for path in everywhere.forbidden if everywhere.format_path(path) not in culprits]
            if paths:
                fields.append(FieldPlaces(name, model, {path: everywhere.forbidden[path] for path in paths}))
        return fields

    def _judge_errors(self, raised: Sequence[BaseException | None]) -> None:
        """Note an activity that could not be run, or that fails with whatever is drawn."""
        name, checker = self._entry.name, self._checker
        if not raised:
            why = "the models accept nothing that was drawn"
            if self._refused is not None:
                why = f"`arrange` refuses all rows that were drawn, {type(self._refused).__name__}: {self._refused}"
            checker.unchecked[name] = why
        elif all(error is not None for error in raised) and name not in {each.activity for each in checker.found}:
            error = raised[0]
            what = "is refused" if isinstance(error, PurposeGuardError) else "fails"
            checker.unchecked[name] = f"every run {what}, {type(error).__name__}: {error}"
        elif name not in checker.report.activities:
            checker.report.unused.append(name)


def _find_guard(modules: Sequence[ModuleType]) -> Guard:
    """Return the guard that modules hold.

    Raises:
        TypeError: They hold none, or several.
    """
    held: dict[int, Guard] = {}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Guard) and value in LIVE_GUARDS and not isinstance(value.notice, JointNotice):
                held[id(value)] = value
    if len(held) != 1:
        raise TypeError(f"the modules of the service hold {len(held)} guards: pass one, `check(…, guard=guard)`")
    return next(iter(held.values()))
