"""The engine behind uses: the policy in force, the ambient use, and the observers of decisions and denials."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from types import MethodType
from typing import Any, Protocol

from purposeguard.errors import PurposeMissing, SealedValue
from purposeguard.locks import make_lock
from purposeguard.notice.history import History
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.timezones import Day
from purposeguard.notice.vocabulary import Family, Purpose
from purposeguard.policy.context import (
    BY_ANY_CHANNEL,
    NO_CONDITIONS,
    NONE_KNOWN,
    UNNAMED,
    Context,
    SubjectPreferences,
)
from purposeguard.policy.explanation import Decision, is_about_the_subject
from purposeguard.policy.joint import JointTable, NoticesInForce
from purposeguard.policy.row_context import RowContext
from purposeguard.policy.table import PolicyTable
from purposeguard.policy.verdict import Verdict
from purposeguard.policy.violations import PurposeViolation, qualify_violation, violation_class
from purposeguard.runtime.clock import Clock
from purposeguard.runtime.observer import Ledger, ObservedLog, Observer, Observers, Tick, find_method, load_logging
from purposeguard.runtime.protocols import Oversight, can_ask_for_many
from purposeguard.runtime.registry import Access, Activity, advise_registration
from purposeguard.runtime.snapshot import Permissions, PolicySnapshot
from purposeguard.values.personal import Personal
from purposeguard.values.rows import resolve_subject_argument
from purposeguard.values.sealed import function_name, iter_functions
from purposeguard.values.withheld import ClassCache

KnownPreferences = Mapping[str | None, SubjectPreferences | None]
"""What is known of how things stand, by `subject_key`; for None, where nobody is named."""


class Transforms:
    """The functions that may see plain values, told apart by identity: what is equal may yet be another."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], object] = {}

    def add(self, fn: object) -> None:
        """Let a function see plain values."""
        self._known[_identity(fn)] = fn  # kept, so that its identity is not given again

    def __contains__(self, fn: object) -> bool:
        # A method is registered where it is defined, before there is an object that it is bound to.
        return _identity(fn) in self._known or (type(fn) is MethodType and _identity(fn.__func__) in self._known)


def _identity(fn: object) -> tuple[int, int]:
    # A method is made anew each time that it is asked for.
    return (id(fn.__func__), id(fn.__self__)) if type(fn) is MethodType else (id(fn), 0)


class HasActivity(Protocol):
    """What is done for an activity."""

    @property
    def activity(self) -> Activity:
        """What is under way."""
        ...


class Engine:
    """The part of a guard that uses share: the matrix in force, the ambient use, the observers."""

    __slots__ = (
        "__weakref__",
        "_compiled",
        "_lock",
        "_snapshots",
        "classes",
        "clock",
        "counting",
        "innermost",
        "ledger",
        "observers",
        "observing",
        "oversight",
        "reset_ambient",
        "set_ambient",
        "snapshot",
        "transforms",
        "untagged_refused",
    )

    def __init__(
        self,
        notice: Notice | NoticesInForce,
        ledger: Ledger | None,
        *,
        observing: bool,
        transforms: Transforms | None,
        nothing: object,
        history: History | None = None,
        oversight: Oversight | None = None,
        clock: Clock | None = None,
        untagged_refused: bool = False,
        observers: Iterable[Observer] = (),
    ) -> None:
        """`transforms` are the functions that a strict guard lets see plain values; None where any may.

        `untagged_refused`: each field that an access function gives has to say something. `nothing` is the use that is
        under way where none is.
        """
        self.transforms = transforms
        self.untagged_refused = untagged_refused
        self.oversight = oversight
        self.clock = clock or Clock()
        self.ledger = ledger
        _require_ledger_methods(ledger)
        self.observers = Observers(*(() if ledger is None else (ledger,)), *observers, ObservedLog())
        self.counting = bool(self.observers.counters)
        self._lock = make_lock()  # of who observes
        self._compiled = (
            JointTable.compile_from(notice)
            if isinstance(notice, NoticesInForce)
            else PolicyTable(notice, history=history)
        )
        self.snapshot = self._make_snapshot(self._compiled)
        self._snapshots: weakref.WeakSet[PolicySnapshot] = weakref.WeakSet([self.snapshot])
        self.observing = observing
        if observing:
            load_logging()
        ambient: ContextVar[Any] = ContextVar("purposeguard", default=nothing)
        self.innermost = ambient.get
        self.set_ambient = ambient.set
        self.reset_ambient = ambient.reset
        self.classes = ClassCache()

    def ambient(self) -> Any:
        """Return the use under way: the innermost one that was entered here, unless its generator is suspended.

        `innermost` is the same without this question, for callers that ask it themselves, or only restore the use.
        """
        return self.innermost()._in_running_frame()

    def _make_snapshot(self, matrix: PolicyTable) -> PolicySnapshot:
        named = self.oversight is not None and self.oversight.requires_subject
        return PolicySnapshot(
            matrix, remembers_labels=not self.counting, requires_subject=named, observed=self.observers.want_each
        )

    def resolve_context(
        self, row_context: RowContext, label: Label, snapshot: PolicySnapshot, known: KnownPreferences | None = None
    ) -> Context:
        """What decides of a datum beside its label, by what is known of it: `known`, or else what governance says.

        Raises:
            StoreUnavailable: governance cannot say what the subject asked for.
            UnknownSource: a source is of another notice, or of a clause that is gone.
        """
        subject = row_context.subject
        preferences = self.get_preferences(subject) if known is None else known[subject]
        return self.build_context(preferences, row_context.collected, row_context.ended, label, snapshot)

    def get_preferences(self, subject: str | None) -> SubjectPreferences | None:
        """How things stand for a subject; None where nobody is named, or nobody knows.

        Raises:
            StoreUnavailable: governance cannot say.
        """
        oversight = self.oversight
        if oversight is not None and subject is not None:
            preferences = oversight.preferences(subject)
            if not isinstance(preferences, SubjectPreferences):  # None would be taken for nobody's
                raise TypeError(f"`preferences` of {type(oversight).__qualname__} gave no SubjectPreferences")
            return preferences
        return UNNAMED if oversight is not None and oversight.requires_subject else None

    def get_preferences_of_each(self, subjects: list[str]) -> list[SubjectPreferences | None]:
        """`get_preferences` each of these subjects, in their order, asked of governance at once where it has a way to.

        Raises:
            StoreUnavailable, TypeError: as `get_preferences`; or governance gave more or fewer.
        """
        oversight: Any = self.oversight
        if not can_ask_for_many(oversight):
            return [self.get_preferences(subject) for subject in subjects]
        given: Any = oversight.preferences_of_each(subjects)
        if len(given) != len(subjects) or not set(map(type, given)) <= {SubjectPreferences}:
            raise TypeError(
                f"`get_preferences_of_each` of {type(oversight).__qualname__} gave no preferences for each subject"
            )
        return list(given)

    def prefetch_preferences(self, subjects: list[str]) -> None:
        """Have governance know of all these, if it has a way to learn of many at once; raise as `get_preferences`."""
        if subjects and can_ask_for_many(self.oversight):
            self.get_preferences_of_each(subjects)

    def collect_preferences(self, row_contexts: Iterable[RowContext]) -> KnownPreferences:
        """`get_preferences` each subject in these, asked of governance together if it has a way to; raises likewise."""
        subjects = list(dict.fromkeys(row_context.subject for row_context in row_contexts))
        named = [subject for subject in subjects if subject is not None]
        known: dict[str | None, SubjectPreferences | None] = {}
        if named:
            known.update(zip(named, self.get_preferences_of_each(named), strict=True))
        if len(named) != len(subjects):
            known[None] = self.get_preferences(None)
        return known

    def build_context(
        self,
        preferences: SubjectPreferences | None,
        collected: Day | None,
        ended: Day | None,
        label: Label,
        snapshot: PolicySnapshot,
    ) -> Context:
        """Return the same of what is known to stand like this, collected and ended on these days."""
        if collected is None and ended is None:
            return Context(preferences)
        matrix = snapshot.matrix  # the notice may have been replaced meanwhile
        sources = matrix.resolve_label(label).sources
        return matrix.build_context(sources, preferences, collected=collected, ended=ended, today=self.clock.now())

    def resolve_row_contexts(self, subject: object) -> tuple[RowContext, ...]:
        """What a caller says of a datum by `subject=`.

        Raises:
            TypeError: nobody keeps what subjects asked for, so naming one would promise what is not done; or as
                `given_abouts`, as do ValueError and UnlabelledData.
        """
        found = resolve_subject_argument(subject)
        if self.oversight is None and any(one.subject is not None for one in found):
            message = (
                "a subject is named, and this guard asks nobody what subjects wanted: give it one that keeps it, "
                "`Guard(notice, governance=…)`"
            )
            raise TypeError(message)
        return found

    def replace(self, notice: Notice | NoticesInForce, history: History | None = None) -> None:
        """Put another revision in force, at one stroke; one thread at a time.

        Raises:
            NoticeError: it is of another notice, or several notices do not go together.
        """
        while True:
            earlier = self._compiled
            compiled = earlier.replace_revision(notice, history)
            snapshot = self._make_snapshot(compiled)
            if self._compiled is earlier:  # else a signal handler has put another in force, which this one follows
                break
        self._compiled = compiled
        self._install_snapshot(snapshot)
        for replaced in self.observers.replaced:
            replaced()

    @property
    def table(self) -> PolicyTable:
        """The notice in force, compiled, whatever stands in its place."""
        return self._compiled

    def install_table(self, matrix: PolicyTable) -> None:
        """Has this matrix decide from now on, in the place of the notice in force; what was remembered is forgotten."""
        self._install_snapshot(self._make_snapshot(matrix))

    def _install_snapshot(self, snapshot: PolicySnapshot) -> None:
        # Retired before, so that no process that is forked in between goes on with permissions that are over.
        self.snapshot.retire()
        self.snapshot = snapshot
        self._snapshots.add(snapshot)  # not before: what is not in force yet is not to be retired by who comes between
        for each in list(self._snapshots):
            if each is not self.snapshot:  # a signal handler may have come between after all
                each.retire()

    def add_observer(self, observer: object) -> None:
        """Add an observer, before the others; raise TypeError for one that counts uses."""
        with self._lock:
            self._set_observers(Observers(observer, *self.observers))

    def remove_observer(self, observer: object) -> None:
        """Remove an observer. After the last that wants each decision, the notice in force decides."""
        with self._lock:
            self._set_observers(Observers(*(each for each in self.observers if each is not observer)))

    def _set_observers(self, observers: Observers) -> None:
        if observers.counters != self.observers.counters:
            raise TypeError("who counts uses is an observer from the start: `Guard(observers=[…])`")
        self.observers = observers
        if observers.want_each is not self.snapshot.observed:
            self.install_table(self.snapshot.matrix if observers.want_each else self._compiled)

    def report_decision(
        self,
        verdict: Verdict,
        *,
        used: bool,
        activity: Activity | None = None,
        access: Access | None = None,
        field: str | None = None,
    ) -> None:
        """Report one decision that somebody asked for; a use that was decided before is only counted."""
        for decided in self.observers.decided:
            decided(verdict, used=used, activity=activity, access=access, field=field)

    def get_permissions(self, activity: Activity) -> Permissions:
        """What an activity may use under the notice in force; raises UnknownTerm where its purpose is gone."""
        return self.snapshot.get_permissions(activity.purpose, activity.channel, activity.conditions)

    def report_missing_purpose(self, what: str, why: str, use: HasActivity | None = None) -> None:
        """Reports that there was no purpose, and raises PurposeMissing unless it is only observed.

        `use` is one that does not hold here: of an activity that enforces it is not let pass.
        """
        error = PurposeMissing(f"{what} outside any purpose: {why}")
        self.report_denial(error, observed=self.observing and (use is None or use.activity.observing))

    def require_registered(self, values: Iterable[Personal[Any, Any]], *others: Callable[..., Any]) -> None:
        """Raise SealedValue where the guard is strict and a function that it does not know would see a value.

        Asked for are those that `map` was given, and `others`.
        """
        if self.transforms is None:
            return
        for fn in (*others, *(fn for value in values for fn in iter_functions(value))):
            if fn not in self.transforms:
                message = f"{function_name(fn)} would see the plain value, and this guard is strict"
                raise SealedValue(f"{message}: {advise_registration(fn)}")

    def make_counter(self, activity: str | None, purpose: type[Purpose] | Family, label: Label) -> Tick:
        """Return the function that counts one use of a label; records name what it is of by ids."""
        return self.observers.make_counter(
            activity, self.purpose_record_id(purpose), self.snapshot.matrix.to_record_label(label)
        )

    def purpose_record_id(self, purpose: type[Purpose] | Family) -> str:
        """Return the id by which records name a purpose; the name of a family."""
        return purpose.name if isinstance(purpose, Family) else self.snapshot.matrix.record_id(purpose)

    def count_check(self, decision: Decision) -> Tick:
        """Count a bare check that was allowed; give the function that counts more of them."""
        tick = self.make_counter(None, decision.purpose, decision.label)
        tick()
        return tick

    def refuse(
        self,
        decision: Decision,
        use: HasActivity | None = None,
        access: Access | None = None,
        field: str | None = None,
        *,
        advice: str | None = None,
    ) -> None:
        """Report a denial, and raise it unless it is only observed."""
        fields: tuple[str, ...] = ()
        if access is not None:
            fields = (field,) if field else access.fields_from(decision.denied)
        violation = violation_class(decision)(
            decision,
            use.activity.name if use is not None else None,
            access.name if access is not None else None,
            fields[0] if fields else field,
            advice or _make_advice(decision, access, fields),
        )
        self.report_violation(violation, use.activity if use is not None else None)

    def report_violation(self, violation: PurposeViolation, activity: Activity | None) -> None:
        """Report a violation of an activity (None: of a bare check), and raise it unless it is only observed."""
        self.report_denial(violation, observed=self.observing if activity is None else activity.observing)

    def report_denial(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """Report a denial, and raise it unless it is only `observed`."""
        told = error
        if isinstance(error, PurposeViolation):
            told = qualify_violation(error, self.snapshot.matrix)
        for denied in self.observers.denied:
            denied(told, observed=observed)
        if not observed:
            raise error


def _require_ledger_methods(ledger: object) -> None:
    missing = [method for method in ("denied", "counter", "reclassified") if find_method(ledger, method) is None]
    if ledger is not None and missing:
        raise TypeError(
            f"the ledger {type(ledger).__name__} cannot record all uses: it has no `{'`, `'.join(missing)}`"
        )


def _make_advice(decision: Decision, access: Access | None, fields: tuple[str, ...]) -> str | None:
    if access is None or not fields:
        return None
    if decision.context.preferences is UNNAMED:
        return "mark the field that says whose a row is, `Annotated[int, Subject]`"
    if is_about_the_subject(decision) and decision.context is NONE_KNOWN:
        return None  # of an exception, whose reasons say all
    if decision.context._replace(conditions=NO_CONDITIONS) not in (NONE_KNOWN, BY_ANY_CHANNEL):
        return (
            "leave such rows out with @guard.access(narrow=True), or withhold what may not be used of them with "
            "@guard.access(withhold=True)"
        )
    named = "the field " if len(fields) == 1 else "the fields "
    named += ", ".join(f"`{field}`" for field in fields)
    if access.withhold:
        return f"{named} cannot be withheld from this return value; read without it"
    return f"either read without {named}, or withhold it with @guard.access(withhold=True)"


class ActivityHandle:
    """An activity of a guard, ready to be entered: it holds its permissions, so that entering is quick.

    `counted` holds the labels seen to be allowed, each with the function that counts its uses, where uses are counted;
    `ticks` the functions that count uses of any label.
    """

    __slots__ = ("__weakref__", "_narrower", "activity", "counted", "engine", "permissions", "ticks")

    def __init__(self, engine: Engine, activity: Activity) -> None:
        self.engine = engine
        self.activity = activity
        if activity.observing:
            load_logging()
        self.permissions = engine.get_permissions(activity)
        self.counted: dict[object, Tick] = {}
        self.ticks: dict[Label, Tick] = {}
        self._narrower: dict[type[Purpose] | Family, ActivityHandle] = {}

    def narrow_to(self, member: type[Purpose] | Family) -> ActivityHandle:
        """Return the same of one member of the family that the activity is for."""
        found = self._narrower.get(member)
        if found is None:
            narrower = ActivityHandle(self.engine, dataclasses.replace(self.activity, purpose=member))
            found = self._narrower.setdefault(member, narrower)
        return found

    def get_permissions(self) -> Permissions:
        """What may be used under the notice in force; raises UnknownTerm where the purpose is gone."""
        permissions = self.permissions
        if permissions.retired:
            engine = self.engine
            permissions = self.permissions = engine.get_permissions(self.activity)
            for entered in engine.observers.entered:
                entered(self.activity)
        return permissions

    def count(self, label: Label, times: int, permissions: Permissions | None) -> None:
        """Count uses of a label that these permissions allow; None where that is so of some subjects only."""
        tick = self.ticks.get(label)
        if tick is None:
            tick = self.engine.make_counter(self.activity.name, self.activity.purpose, label)
            self.ticks[label] = tick
        if permissions is not None and label not in self.counted:
            permissions.set_counter(self, label, tick)
        for _ in range(times):
            tick()
