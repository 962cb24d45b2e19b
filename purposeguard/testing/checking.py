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
import dataclasses
import re
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Final, Self, cast

from purposeguard.containers import exclude, pick_keys
from purposeguard.errors import PurposeGuardError, escape_controls
from purposeguard.extras import Needs
from purposeguard.guard import LIVE_GUARDS, Guard
from purposeguard.notice.label import Label
from purposeguard.notice.several import JointNotice
from purposeguard.notice.vocabulary import list_members, list_term_ids
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.explanation import Decision
from purposeguard.policy.row_context import SubjectId
from purposeguard.runtime.registry import Activity
from purposeguard.testing._constants import collect_constants
from purposeguard.testing._entries import Entry, find_entries, list_modules, list_submodules
from purposeguard.testing._examples import Example, ExampleQuestion, State
from purposeguard.testing._inputs import FIRST_CONSTANT, Arguments, Rows
from purposeguard.testing._leaves import Unsolvable
from purposeguard.testing._module_state import ModuleState
from purposeguard.testing._places import (
    FieldPlaces,
    annotations_of,
    forbidden_in,
    is_tagged,
    path_in_code,
    with_values_of,
)
from purposeguard.testing._record import RecordUnreadable, compare_record
from purposeguard.testing._runs import PINS, RunConduct, RunOutcome, finish, fresh
from purposeguard.testing._shown import error_text
from purposeguard.testing._subjects import list_own_fields, list_subjects
from purposeguard.testing.effects import COMPARED, arranging, install_watchers
from purposeguard.testing.failures import Interference, Nondeterministic
from purposeguard.testing.substitution import Office, substituting
from purposeguard.testing.watching import Watcher, watching
from purposeguard.values.tagging import sources_of

with Needs(__name__, "hypothesis"):
    from hypothesis.errors import UnsatisfiedAssumption

__all__ = ["CheckReport", "RecordUnreadable", "Violation", "Violations", "check"]


def check(
    target: Any,
    /,
    *,
    arrange: Callable[..., object] | None = None,
    guard: Guard | None = None,
    quick: bool = False,
    skip: Collection[str] = (),
    known: Mapping[str, Collection[str]] = MappingProxyType({}),
    record: str | Path | None = None,
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
        quick: Run each activity alone, with few examples.
        skip: The names of activities that do not run.
        known: Activity → fields that may make a difference to it, each for a reason that the test states.
        record: A file with the purposes of the activities and the sources of the rows, which somebody reviewed. It is
            written if it is missing. What differs from it is reported.
        given: Values or strategies of hypothesis for parameters, by name.

    Returns:
        What was run.

    Raises:
        Violations: An activity uses what it may not, or cannot be checked.
        TypeError: The target has no activities, its guard is not known, or an argument names what there is not.
        RecordUnreadable: The record is not one of this version.
    """
    __tracebackhide__ = True
    return _Checker(target, arrange, guard, quick=quick, skip=skip, known=known, record=record, given=given).run()


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
        changes: What differs from the record.
    """

    def __init__(self, found: Sequence[Violation], unchecked: Mapping[str, str], changes: Sequence[str] = ()) -> None:
        self.found = tuple(found)
        self.unchecked = dict(unchecked)
        self.changes = tuple(changes)
        parts: list[str] = []
        if self.found:
            parts.append(_count(len(self.found), "violation"))
        if unchecked:
            parts.append(_count(len(unchecked), "activity cannot be checked", "activities cannot be checked"))
        if changes:
            parts.append(_count(len(changes), "change of what is recorded", "changes of what is recorded"))
        lines = [", ".join(parts)]
        for number, violation in enumerate(self.found, 1):
            lines += ["", f"{number}. {violation.text}"]
        for name, why in unchecked.items():
            lines += ["", f"{name} cannot be checked: {escape_controls(why)}"]
        for change in changes:
            lines += ["", escape_controls(change)]
        super().__init__("\n".join(lines))


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one}" if number == 1 else f"{number} {many or one + 's'}"


@dataclass
class CheckReport:
    """What a check ran.

    Attributes:
        activities: The activities that ran, each with the ids of the purposes that it entered.
        unused: The routes that entered no purpose, and used none of the rows.
        runs: The number of runs.
        seconds: The duration of the check.
    """

    activities: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    unused: list[str] = field(default_factory=list[str])
    runs: int = 0
    seconds: float = 0.0


_QUICK_EXAMPLES: Final = 2
_EXAMPLES: Final = 6
_QUICK_TWINS: Final = 2
_TWINS: Final = 6
_STRUCTURE_EXAMPLES: Final = 2
_STRUCTURES: Final = 5
_QUICK_STRUCTURES: Final = 2
"""The changes of structure that are tried in turn: add, drop, repeat, reverse, clear."""
_CONSTANTS: Final = 200
"""The most constants of the code that are tried in each field."""
_CONSTANT_EXAMPLES: Final = range(FIRST_CONSTANT, FIRST_CONSTANT + 100)
"""Examples whose values are constants of the code."""
_STORY_EXAMPLES: Final = 2
_STORY_TWINS: Final = 2
_MOST_VIOLATIONS: Final = 6
"""The most violations that are looked for in one activity: the rest shows when these are mended."""


class _Entered(Watcher):
    """Notes the activities that are entered while it is told to."""

    def __init__(self) -> None:
        self.activities: dict[Activity, None] = {}
        self.is_noting = False

    def entered(self, activity: Activity, outer: Activity | None) -> None:  # noqa: ARG002  # The signature of `Watcher`.
        if self.is_noting:
            self.activities[activity] = None


@dataclass(frozen=True)
class _Asked(ExampleQuestion):
    """The purposes that an activity entered. A label may be used if one of them allows it.

    Without a purpose, rows may not be used, but data may be collected: what a request brings is left alone.
    """

    activities: tuple[Activity, ...] = ()
    subject: SubjectId | None = None

    def decision(self, label: Label) -> Decision:
        decisions = [
            self.guard.explain(label, each.purpose, each.channel, self.subject, each.conditions)
            for each in self.activities
        ]
        return next(filter(None, decisions), decisions[0]) if decisions else cast("Decision", _Unstated())


class _Unstated:
    """Stands for a decision where no purpose is stated: nothing may be used."""

    headline = "no purpose is stated"
    alternatives = ()
    reason = None

    def __bool__(self) -> bool:
        return False


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
    opted_out: bool = False

    @property
    def is_plain(self) -> bool:
        """True if an activity runs alone."""
        return not (self.before or self.opted_out)

    def describe(self) -> str:
        """Return the story as part of a sentence."""
        parts: list[str] = []
        if self.before:
            names = [entry.name for entry in self.before]  # The activity itself may be among them.
            parts.append(f"after {', '.join(names) if len(names) <= _MOST_NAMED else 'all others'}")
        if self.opted_out:
            parts.append("after the person opted out")
        return ", ".join(parts)


_KEPT: Final = (
    "keep {} out of what outlives an activity (a cache, a table), or keep it for each purpose: `@guard.cached`"
)

_MOST_NAMED: Final = 3


class _Checker:
    """Checks the activities of one target."""

    def __init__(
        self,
        target: Any,
        arrange: Callable[..., object] | None,
        guard: Guard | None,
        *,
        quick: bool,
        skip: Collection[str],
        known: Mapping[str, Collection[str]],
        record: str | Path | None,
        given: Mapping[str, Any],
    ) -> None:
        found = find_entries(target)
        modules = list_modules(target, found)
        if not found:
            raise TypeError(f"{target!r} has no activities: state their purposes, `@guard.purpose(…)`")
        names = [entry.name for entry in found]
        for option, stated in (("skip", skip), ("known", known)):
            for name in exclude(stated, names):
                raise TypeError(f"`{option}` names `{name}`, but the activities are {', '.join(names)}")
        rows = {} if arrange is None else annotations_of(arrange)
        for name in exclude(given, [*rows, *(parameter for entry in found for parameter in entry.parameters)]):
            raise TypeError(f"neither `arrange` nor an activity has a parameter `{name}`")
        self.entries = [entry for entry in found if entry.name not in skip and not entry.problem]
        self.guard = _find_guard(modules) if guard is None else guard
        self.arrange = arrange
        self.rows = Rows(rows, given, collect_constants(modules=modules))
        self.given = given
        self.quick = quick
        self.known = known
        clauses = list_term_ids(self.guard.notice.purposes)
        self.consent = SubjectPreferences(
            consents=frozenset((clause, self.guard.notice.revision) for clause in clauses)
        )
        self.record = None if record is None else Path(record)
        self.memory = ModuleState(modules)
        self.entered = _Entered()
        self.arguments: dict[tuple[str, int], Mapping[str, Any]] = {}
        """Activity, number of the example → the arguments that it ran with."""
        self.stated: dict[str, tuple[Activity, ...]] = {}
        """Name → the activities of the guard that were entered."""
        self.office: Office | None = None
        """Stands for the governance of the guard, if it has one."""
        if self.guard.governance is not None:
            self.office = Office()
            self.office.requires_subject = self.guard.governance.requires_subject
        self.nth = 0
        """The number of the example that runs."""
        self.found: list[Violation] = []
        self.unchecked = {entry.name: entry.problem for entry in found if entry.problem and entry.name not in skip}
        self.left = {entry.activity for entry in found if entry.name in skip}
        """The activities that do not run because the test says so."""
        self.modules = {module.__name__ for module in list_submodules(target)}
        self.report = CheckReport()

    def run(self) -> CheckReport:
        """Check all activities."""
        __tracebackhide__ = True
        began = time.perf_counter()
        with contextlib.ExitStack() as stack:
            if self.office is not None:
                stack.enter_context(substituting(self.guard, governance=self.office))
            stack.enter_context(watching(self.entered, self.guard))
            stack.enter_context(install_watchers())
            stack.callback(self.memory.restore)
            self._check_entries()
        self._note_unentered()
        changes = self._compare_record()
        self.report.seconds = time.perf_counter() - began
        if self.found or self.unchecked or changes:
            raise Violations(self.found, self.unchecked, changes)
        return self.report

    def _note_unentered(self) -> None:
        """Note the activities that the modules declare to the guard, and that no run entered."""
        entered = {activity for activities in self.stated.values() for activity in activities}
        for activity in self.guard.activities:
            if activity.module in self.modules and activity not in entered | self.left:
                self.unchecked.setdefault(activity.qualname, "no run entered it: pass it, or what calls it, to `check`")

    def _compare_record(self) -> list[str]:
        """Return what differs from the record, if there is one."""
        if self.record is None:
            return []
        activities = {name: ", ".join(sorted(ids)) for name, ids in sorted(self.report.activities.items())}
        fields: dict[str, str] = {}
        for name, model in self.rows.annotations.items():
            for path, label in sources_of(model).items() if is_tagged(model) else ():
                fields[path_in_code(name, path)] = ", ".join(list_term_ids(label))
        return compare_record(self.record, activities, fields)

    def _check_entries(self) -> None:
        for entry in self.entries:
            trial = _Trial(self, entry)
            try:
                raised = trial.search(*((_QUICK_EXAMPLES, _QUICK_TWINS) if self.quick else (_EXAMPLES, _TWINS)))
            except Unsolvable as error:
                self.unchecked[entry.name] = str(error)
            else:
                trial.judge_errors(raised)
        if self.quick:
            return
        for members in self._group_entries():
            self._check_stories(members)
            if self.office is not None:
                self._check_opt_outs(members)

    def _group_entries(self) -> list[list[Entry]]:
        """Return the activities that ran, those with the same purposes and the same known fields together."""
        groups: dict[object, list[Entry]] = {}
        for entry in self.entries:
            if entry.name in self.stated and entry.name not in self.unchecked:
                purposes = frozenset((each.purpose_id, each.channel) for each in self.stated[entry.name])
                # What is known of one activity is not known of another one.
                groups.setdefault((purposes, frozenset(self.list_culprits(entry))), []).append(entry)
        return list(groups.values())

    def _check_stories(self, members: list[Entry]) -> None:
        """Run the activities of some purposes after all others; if that finds something, look for the two it takes."""
        others = [other for other in self.entries if other not in members and (other.name, 0) in self.arguments]
        if not others:
            return
        together = self._try_story(_chain(self, members), others)
        if not together:
            return
        for entry in members:
            for found in filter(None, (self._try_story(entry, [other]) for other in others)):
                self.found += found
                return
        self.found += together

    def _check_opt_outs(self, members: list[Entry]) -> None:
        """Run the activities of some purposes, and all others before, for a person who has opted out."""
        everybody = [other for other in self.entries if (other.name, 0) in self.arguments]
        for before in ([], everybody):
            together = self._try_story(_chain(self, members), before, opted_out=True)
            if together:
                found = [each for member in members for each in self._try_story(member, before, opted_out=True)]
                self.found += found or together
                return

    def _try_story(self, entry: Entry, before: Sequence[Entry], *, opted_out: bool = False) -> list[Violation]:
        """Return the violations that show in an activity after others, or after a person has opted out."""
        known = len(self.found)
        _Trial(self, entry, _Story(tuple(before), opted_out)).search(_STORY_EXAMPLES, _STORY_TWINS)
        found = self.found[known:]
        del self.found[known:]
        return found

    def call(self, entry: Entry) -> Any:
        """Run an activity with the arguments that it had in this example, or in the first one."""
        arguments = self.arguments.get((entry.name, self.nth)) or self.arguments.get((entry.name, 0), {})
        return entry.call(**{name: fresh(value) for name, value in arguments.items()})

    def list_culprits(self, entry: Entry) -> set[str]:
        """Return the fields that are known to make a difference to an activity, or to one of several."""
        names = (entry.name, *entry.members)
        found = [violation.fields for violation in self.found if violation.activity in names]
        return set().union(*(self.known.get(name, ()) for name in names), *found, *map(_list_containers, found))


def _list_containers(fields: Iterable[str]) -> Iterator[str]:
    """Yield the containers of fields. Their items differ whenever there are others, so they are no news."""
    for name in fields:
        for separator in re.finditer(r"\[|\.", name):
            yield name[: separator.start()]


def _chain(checker: _Checker, members: Sequence[Entry]) -> Entry:
    """Return what runs several activities, one after the other, and gives all their results and errors."""

    def run_all() -> list[tuple[str, Any, str]]:
        outcomes: list[tuple[str, Any, str]] = []
        for member in members:
            result, failed = None, ""
            try:
                result = finish(checker.call(member))
            except Exception as error:  # noqa: BLE001  # It is an outcome.
                failed = error_text(error)
            outcomes.append((member.name, result, failed))
        return outcomes

    names = tuple(member.name for member in members)
    return Entry(", ".join(names), run_all, members=names)


class _Trial:
    """Runs one activity in one story, with examples and their twins."""

    def __init__(self, checker: _Checker, entry: Entry, story: _Story | None = None) -> None:
        self._checker = checker
        self._entry = entry
        self._story = story or _Story()
        rows = checker.rows.annotations
        self._keys = {name: f"{name}_" if name in rows else name for name in entry.parameters}
        self._arguments = Arguments(
            {self._keys[name]: annotation for name, annotation in entry.parameters.items()},
            {self._keys[name] for name in entry.optional},
            {self._keys.get(name, name): value for name, value in checker.given.items()},
            {self._keys.get(name, name): folder for name, folder in entry.folders.items()},
        )
        self._subject: str | None = None
        """The person who opts out."""
        self._fields: list[FieldPlaces] = []
        """The fields that may not be used and are not known to make a difference."""
        self._judged: tuple[Activity, ...] = ()
        """The activities that are judged by; empty for all that were entered."""
        self._refused: BaseException | None = None
        """The last error of the arrangement."""
        self._started = 0
        """How often the activity was started, after the rows were arranged."""
        self._problem = "nothing that is drawn has tagged fields: pass `arrange`, which puts rows where it finds them"
        """Why nothing is known of the activity; empty if other values were compared, or it may use all."""
        conduct = RunConduct(self._run_body, _Opening(self._may), PINS, COMPARED, connections=[])
        self._state = State(weakref.ref(self), conduct)

    def search(self, examples: int, twins: int) -> list[BaseException | None]:
        """Look for fields that make a difference; return what each example raised.

        Raises:
            Unsolvable: No strategy is known for a parameter.
        """
        raised: list[BaseException | None] = []
        checker = self._checker
        is_thorough = self._story.is_plain and not checker.quick
        for nth in (*range(examples), *(_CONSTANT_EXAMPLES if is_thorough else ())):
            rows = checker.rows.draw(nth)
            if nth >= checker.rows.end:
                break
            drawn = None if rows is None else self._arguments.draw(checker.rows, rows, nth)
            if rows is None or drawn is None:
                continue
            if self._story.is_plain:
                arguments = {name: drawn[key] for name, key in self._keys.items() if key in drawn}
                checker.arguments[self._entry.name, nth] = arguments
            checker.nth = nth
            if self._story.opted_out:
                self._subject = next(iter(list_subjects(rows, checker.rows.annotations)), None)
                if self._subject is None:
                    continue
            before = self._state.conduct.run((), {**rows, **drawn})
            if before is None:
                continue
            raised.append(before.raised)
            activities = tuple(checker.entered.activities)
            if activities:
                self._note(activities)
            if activities or self._entry.is_route:
                most = min(twins, 2) if nth >= FIRST_CONSTANT else twins
                self._compare({**rows, **drawn}, before, activities, most)
                self._compare_answers({**rows, **drawn}, activities, most)
        return raised

    def _run_body(self, **values: Any) -> Any:
        """Begin anew, arrange the rows, run what comes before, and run the activity."""
        checker = self._checker
        checker.report.runs += 1
        checker.entered.is_noting = False
        with arranging():
            checker.memory.restore()
            rows = {name: values[name] for name in checker.rows.annotations}
            self._permit_all(rows)
            self._arrange(rows)
            for other in self._story.before:
                with contextlib.suppress(Exception):  # What it raises is judged where it is checked itself.
                    finish(checker.call(other))
            if self._story.opted_out and self._subject is not None:
                self._opt_out(self._subject)
        checker.entered.activities = {}
        checker.entered.is_noting = True
        self._started += 1
        return self._entry.call(**{name: values[key] for name, key in self._keys.items() if key in values})

    def _permit_all(self, rows: Mapping[str, Any]) -> None:
        """Let everybody consent to everything, as only what is not permitted is looked for."""
        checker = self._checker
        if checker.office is not None:
            subjects = list_subjects(rows, checker.rows.annotations)
            checker.office.preferences_by_subject = dict.fromkeys(subjects, checker.consent)

    def _opt_out(self, subject: str) -> None:
        """Stop the use of a person's data: for the purposes of the activity, or in other examples for all purposes."""
        checker = self._checker
        if checker.office is None:
            return
        if checker.nth % 2:
            preferences = dataclasses.replace(checker.consent, all_suspended=True)
        else:
            purposes = [purpose for each in self._list_stated() for purpose in list_members(each.purpose)]
            preferences = dataclasses.replace(checker.consent, suspended=frozenset(list_term_ids(purposes)))
        checker.office.preferences_by_subject[subject] = preferences

    def _list_stated(self) -> list[Activity]:
        """Return the activities of the guard that are known to be entered."""
        stated = self._checker.stated
        return [each for name in (self._entry.name, *self._entry.members) for each in stated.get(name, ())]

    def _arrange(self, rows: Mapping[str, Any]) -> None:
        arrange = self._checker.arrange
        try:
            finish(arrange(**rows) if arrange is not None else None)
        except Exception as error:  # A database may refuse what was drawn: the next one is tried.
            self._refused = error
            raise UnsatisfiedAssumption from error

    def _ask(self, activities: tuple[Activity, ...]) -> _Asked:
        told = self._story.describe()
        remedy = _KEPT if self._story.before and not self._story.opted_out else ""
        if not activities:
            remedy = "state the purpose for which {} is used, `@guard.purpose(…)`"
        return _Asked(
            guard=self._checker.guard,
            purpose=activities[0].purpose if activities else None,
            channel=activities[0].channel if activities else None,
            name=f"{self._entry.name} ({told})" if told else self._entry.name,
            twins=0,
            pins=frozenset(PINS),
            raises=(),
            remedy=remedy,
            activities=activities,
            subject=self._subject,
        )

    def _may(self, label: Label) -> bool:
        activities = self._judged or tuple(self._checker.entered.activities)
        return bool(activities) and bool(self._ask(activities).decision(label))

    def _note(self, activities: tuple[Activity, ...]) -> None:
        stated, name = self._checker.stated, self._entry.name
        stated[name] = tuple(dict.fromkeys((*stated.get(name, ()), *activities)))
        if self._story.is_plain:
            self._checker.report.activities[name] = tuple(dict.fromkeys(each.purpose_id for each in stated[name]))

    def _compare(
        self, values: Mapping[str, Any], before: RunOutcome, activities: tuple[Activity, ...], twins: int
    ) -> None:
        """Compare the outcome of an example with those of twins, and note each field that makes a difference."""
        checker, name = self._checker, self._entry.name
        asked = self._ask(activities)
        self._fields = self._list_fields(values, asked)
        if self._problem:
            names = ", ".join(argument.format_path(path) for argument in self._fields for path in argument.forbidden)
            is_tagged_at_all = any(is_tagged(self._annotations[key]) for key in values)
            if names:
                self._problem = f"no run could be compared in which other values are in {names}"
            elif is_tagged_at_all:
                self._problem = ""
        for twin in self._iter_twins(values, twins):
            started = self._started
            failure = Example(asked, self._state, (), values, self._fields).compare_twin(before, twin, final=True)
            if self._started > started:
                self._problem = ""
            if isinstance(failure, Interference):
                failure = self._simplify(asked, values, twin, failure)
                effects = tuple(dict.fromkeys(difference.what for difference in failure.differences))
                told = self._story.describe()
                checker.found.append(Violation(name, failure.fields, effects, told, str(failure)))
                self._fields = self._list_fields(values, asked)
                if not self._fields or len(checker.list_culprits(self._entry)) >= _MOST_VIOLATIONS:
                    return
            elif isinstance(failure, Nondeterministic):
                checker.unchecked[name] = str(failure)
                return

    def _simplify(
        self, asked: _Asked, values: Mapping[str, Any], twin: Mapping[str, Any], failure: Interference
    ) -> Interference:
        """Return the same failure with rows whose fields are as simple as can be, if it shows there too."""
        simple = self._checker.rows.simplify(values)
        for own in (simple, values) if simple is not None else ():
            start, changed = dict(simple or {}), dict[str, Any]()
            for argument in self._fields:
                paths = [path for path in argument.forbidden if argument.format_path(path) in failure.fields]
                if argument.name in twin and paths:
                    name, model = argument.name, argument.model
                    start[name] = with_values_of(start[name], own[name], model, paths)
                    changed[name] = with_values_of(start[name], twin[name], model, paths)
            before = self._state.conduct.run((), start)
            if before is not None:
                example = Example(asked, self._state, (), start, self._fields)
                again = example.compare_twin(before, changed, final=True)
                if isinstance(again, Interference) and again.fields == failure.fields:
                    return again
        return failure

    def _compare_answers(self, values: Mapping[str, Any], activities: tuple[Activity, ...], twins: int) -> None:
        """Compare what an activity answers where it enters other purposes, which may use more than its own.

        What is done for the others may depend on their data; what is returned, raised or answered may not.
        """
        own = self._entry.activity if self._entry.activity in activities else next(iter(activities), None)
        if own is None or self._entry.members or self._subject is not None or len(set(activities)) == 1:
            return
        conduct, self._judged = self._state.conduct, (own,)
        kinds, conduct.kinds = conduct.kinds, ("response",)
        try:
            before = conduct.run((), values)
            if before is not None:
                self._compare(values, before, self._judged, twins)
        finally:
            conduct.kinds, self._judged = kinds, ()

    def _iter_twins(self, values: Mapping[str, Any], twins: int) -> Iterator[Mapping[str, Any]]:
        """Yield other values of the fields that may not be used and are not known to make a difference."""
        rows, nth = self._checker.rows, self._checker.nth
        for number in range(twins if self._fields else 0):
            if self._subject is None:
                twin = rows.draw_twin(values, self._fields, nth, number)
            else:
                twin = rows.draw_other_subject(values, self._fields, self._subject, number)
            if twin is not None:
                yield twin
        if nth < _STRUCTURE_EXAMPLES and self._subject is None:
            yield from self._iter_structures(values)
        if nth == 0 and self._story.is_plain and not self._checker.quick and self._fields:
            for number in range(_CONSTANTS):
                twin = rows.draw_constants(values, self._fields, number)
                if twin is None:
                    return
                yield twin

    @property
    def _annotations(self) -> dict[str, Any]:
        """The annotations of all parameters."""
        return {**self._checker.rows.annotations, **self._arguments.annotations}

    def _iter_structures(self, values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Yield values with fewer, more or other items, in another order, or with None, where it may not be known."""
        for argument in self._fields:
            for path in exclude(argument.forbidden, argument.tagged):
                for turn in range(_QUICK_STRUCTURES if self._checker.quick else _STRUCTURES):
                    name = argument.format_path(path)
                    if name in self._checker.list_culprits(self._entry):
                        break
                    twin = self._checker.rows.draw_structure(values, argument, path, turn)
                    if twin is not None:
                        yield twin

    def _list_fields(self, values: Mapping[str, Any], asked: _Asked) -> list[FieldPlaces]:
        """Return the forbidden fields of the values that are not known to make a difference."""
        culprits = self._checker.list_culprits(self._entry)
        annotations = self._annotations
        fields: list[FieldPlaces] = []
        for name in values:
            model = annotations[name]
            if not is_tagged(model):
                continue
            if self._subject is None and asked.activities:
                forbidden = forbidden_in(asked.decision, model)
            elif name in self._checker.rows.annotations:
                forbidden = pick_keys(sources_of(model), list_own_fields(model))
            else:
                continue
            everywhere = FieldPlaces(name, model, forbidden)
            paths = [path for path in everywhere.forbidden if everywhere.format_path(path) not in culprits]
            if paths:
                fields.append(FieldPlaces(name, model, {path: everywhere.forbidden[path] for path in paths}))
        return fields

    def judge_errors(self, raised: Sequence[BaseException | None]) -> None:
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
        elif name in checker.report.activities:
            if self._problem:
                checker.unchecked.setdefault(name, self._problem)
        elif self._entry.is_route:
            checker.report.unused.append(name)
        else:
            checker.unchecked[name] = "no run entered a purpose: leave it out by `skip` if it states none"


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


for _cls in (CheckReport, Violation, Violations):
    _cls.__module__ = "purposeguard.testing"  # where users find them, and what they are called in a report
