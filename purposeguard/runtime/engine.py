"""The engine of a guard: the policy in force, the ambient use, and the observers of decisions and denials."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from itertools import chain
from types import MethodType
from typing import Any, Protocol

from purposeguard.errors import PurposeGuardError, PurposeMissing, SealedValue
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
from purposeguard.runtime.entry_point import current_entry_point
from purposeguard.runtime.observer import (
    Fields,
    Ledger,
    ObservedLog,
    Observer,
    Observers,
    Tick,
    find_method,
    load_logging,
)
from purposeguard.runtime.protocols import Oversight, can_ask_for_many
from purposeguard.runtime.registry import Access, Activity, advise_registration
from purposeguard.runtime.snapshot import Permissions, PolicySnapshot
from purposeguard.values.personal import Personal
from purposeguard.values.rows import resolve_subject_argument
from purposeguard.values.sealed import function_name, iter_functions
from purposeguard.values.type_schema import SILENT
from purposeguard.values.withheld import ClassCache

KnownPreferences = Mapping[str | None, SubjectPreferences | None]
"""The preferences of subjects by `subject_key`. The key None holds those of rows without a subject."""


class Transforms:
    """The functions that may see plain values. They are compared by identity, since equal objects may differ."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], object] = {}

    def add(self, fn: object) -> None:
        """Permit a function to see plain values."""
        self._known[_identity(fn)] = fn  # The reference keeps its id from being reused.

    def __contains__(self, fn: object) -> bool:
        # A method may be registered in its class, before it is bound to an object.
        return _identity(fn) in self._known or (type(fn) is MethodType and _identity(fn.__func__) in self._known)


def _identity(fn: object) -> tuple[int, int]:
    # A bound method is a new object on each access.
    return (id(fn.__func__), id(fn.__self__)) if type(fn) is MethodType else (id(fn), 0)


class HasActivity(Protocol):
    """An object that belongs to an activity."""

    @property
    def activity(self) -> Activity:
        """The activity."""
        ...


class Engine:
    """The part of a guard that its uses share.

    Attributes:
        classes: The generated classes of withheld objects.
        clock: The clock.
        counting: True if an observer counts uses.
        era: An object that is replaced with governance, the clock or the ledger, for keys of cached results.
        innermost: Returns the innermost use that was entered here, even if its generator is suspended.
        ledger: The observer that records denials and uses, if any.
        observers: All observers.
        observing: True if violations are only observed.
        oversight: Governance, which keeps requests and consents, if any.
        reset_ambient: Restores the previous ambient use from a token.
        set_ambient: Makes a use ambient and returns a token.
        silent: The shape of an annotation that states nothing, with the tags that the guard reads from a file.
        snapshot: The policy in force.
        transforms: The functions that a strict guard permits to see plain values. None if the guard is not strict.
        untagged_refused: True if access functions may not return models with undescribed fields.
    """

    __slots__ = (
        "__weakref__",
        "_compiled",
        "_lock",
        "_snapshots",
        "classes",
        "clock",
        "counting",
        "era",
        "innermost",
        "ledger",
        "observers",
        "observing",
        "oversight",
        "reset_ambient",
        "set_ambient",
        "silent",
        "snapshot",
        "transforms",
        "untagged_refused",
    )

    def __init__(  # noqa: PLR0913  # One keyword for each option of a guard.
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
        """Compile the notice, and set up what the uses share.

        Args:
            notice: The notice or notices to enforce.
            ledger: The observer that records denials and uses, if any.
            observing: True if violations are only observed.
            transforms: The functions that may see plain values. None if all functions may.
            nothing: The use that is ambient outside any purpose.
            history: The revisions of the notice, if they are known.
            oversight: Governance, which keeps requests and consents, if any.
            clock: The clock, by default the system's.
            untagged_refused: True if access functions may not return models with undescribed fields.
            observers: Further observers.

        Raises:
            TypeError: The ledger lacks a method.
        """
        self.transforms = transforms
        self.untagged_refused = untagged_refused
        self.oversight = oversight
        self.clock = clock or Clock()
        self.ledger = ledger
        _require_ledger_methods(ledger)
        self.observers = Observers(*(() if ledger is None else (ledger,)), *observers, ObservedLog())
        self.counting = bool(self.observers.counters)
        self.era = object()
        self._lock = make_lock()  # It guards changes of the observers.
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
        self.silent = SILENT  # A guard that reads tags from a file replaces it.

    def ambient(self) -> Any:
        """Return the active use: the innermost one that was entered here and whose generator is not suspended.

        `innermost` does not look at generators. It is for callers that do so themselves, or only restore the use.
        """
        return self.innermost().in_running_frame()

    def _make_snapshot(self, matrix: PolicyTable) -> PolicySnapshot:
        named = self.oversight is not None and self.oversight.requires_subject
        return PolicySnapshot(
            matrix, remembers_labels=not self.counting, requires_subject=named, observed=self.observers.want_each
        )

    def resolve_context(
        self,
        row_context: RowContext,
        label: Label,
        snapshot: PolicySnapshot,
        preferences_by_subject: KnownPreferences | None = None,
    ) -> Context:
        """Build the context of a decision from the subject and dates of a row.

        Args:
            row_context: The subject and dates.
            label: The label of the data.
            snapshot: The policy that decides.
            preferences_by_subject: The preferences of the subjects, if they were read before. Otherwise governance is
                asked.

        Raises:
            StoreUnavailable: Governance cannot say what the subject asked for.
            UnknownSource: A source belongs to another notice, or its clause no longer exists.
        """
        subject = row_context.subject
        if preferences_by_subject is None:
            preferences = self.get_preferences(subject)
        else:
            preferences = preferences_by_subject[subject]
        return self.build_context(preferences, row_context.collected, row_context.ended, label, snapshot)

    def get_preferences(self, subject: str | None) -> SubjectPreferences | None:
        """Return the preferences of a subject.

        Returns:
            The preferences. Without governance None; without a subject None or, if governance requires subjects,
            `UNNAMED`.

        Raises:
            StoreUnavailable: Governance cannot answer.
            TypeError: Governance returned another type.
        """
        oversight = self.oversight
        if oversight is not None and subject is not None:
            preferences = oversight.preferences(subject)
            if not isinstance(preferences, SubjectPreferences):  # None would mean that no subject is named.
                raise TypeError(f"`preferences` of {type(oversight).__qualname__} gave no SubjectPreferences")
            return preferences
        return UNNAMED if oversight is not None and oversight.requires_subject else None

    def get_preferences_of_each(self, subjects: list[str]) -> list[SubjectPreferences | None]:
        """Return the preferences of each subject in order, with a single question to governance if it supports that.

        Raises:
            StoreUnavailable: Governance cannot answer.
            TypeError: Governance returned another type, or more or fewer preferences than there are subjects.
        """
        oversight: Any = self.oversight
        if not can_ask_for_many(oversight):
            return list(map(self.get_preferences, subjects))
        answers: Any = oversight.preferences_of_each(subjects)
        if len(answers) != len(subjects) or not set(map(type, answers)) <= {SubjectPreferences}:
            raise TypeError(
                f"`preferences_of_each` of {type(oversight).__qualname__} gave no preferences for each subject"
            )
        return list(answers)

    def prefetch_preferences(self, subjects: list[str]) -> None:
        """Let governance read the preferences of many subjects at once, if it supports that.

        Raises:
            StoreUnavailable, TypeError: As in `get_preferences_of_each`.
        """
        if subjects and can_ask_for_many(self.oversight):
            self.get_preferences_of_each(subjects)

    def collect_preferences(self, row_contexts: Iterable[RowContext]) -> KnownPreferences:
        """Return the preferences of all subjects in these row contexts, by subject.

        Raises:
            StoreUnavailable, TypeError: As in `get_preferences_of_each`.
        """
        subjects = list(dict.fromkeys(row_context.subject for row_context in row_contexts))
        named = [subject for subject in subjects if subject is not None]
        preferences: dict[str | None, SubjectPreferences | None] = {}
        if named:
            preferences.update(zip(named, self.get_preferences_of_each(named), strict=True))
        if len(named) != len(subjects):
            preferences[None] = self.get_preferences(None)
        return preferences

    def build_context(
        self,
        preferences: SubjectPreferences | None,
        collected: Day | None,
        ended: Day | None,
        label: Label,
        snapshot: PolicySnapshot,
    ) -> Context:
        """Build the context of a decision from a subject's preferences and the dates of collection and end."""
        if collected is None and ended is None:
            return Context(preferences)
        matrix = snapshot.matrix  # Not that of the engine, whose notice may have been replaced meanwhile.
        sources = matrix.resolve_label(label).sources
        return matrix.build_context(sources, preferences, collected=collected, ended=ended, today=self.clock.now())

    def resolve_row_contexts(self, subject: object) -> tuple[RowContext, ...]:
        """Return the subjects and dates that a `subject=` argument names.

        Raises:
            TypeError: A subject is named, but there is no governance that knows its requests.
            TypeError, ValueError, UnlabelledData: As in `resolve_subject_argument`.
        """
        row_contexts = resolve_subject_argument(subject, self.silent)
        if self.oversight is None and any(row_context.subject is not None for row_context in row_contexts):
            message = (
                "a subject is named, and this guard asks nobody what subjects wanted: give it one that keeps it, "
                "`Guard(notice, governance=…)`"
            )
            raise TypeError(message)
        return row_contexts

    def replace(self, notice: Notice | NoticesInForce, history: History | None = None) -> None:
        """Put another revision in force atomically. Only one thread may call this at a time.

        Raises:
            NoticeError: The revision belongs to another notice, or several notices contradict each other.
        """
        while True:
            earlier = self._compiled
            compiled = earlier.replace_revision(notice, history)
            snapshot = self._make_snapshot(compiled)
            if self._compiled is earlier:  # Otherwise a signal handler has put another revision in force: start again.
                break
        self._compiled = compiled
        self._install_snapshot(snapshot)
        for replaced in self.observers.replaced:
            replaced()

    @property
    def table(self) -> PolicyTable:
        """The compiled notice in force, even if `install_table` has put another table in its place."""
        return self._compiled

    def install_table(self, matrix: PolicyTable) -> None:
        """Let another table decide in place of the notice in force, and discard all cached decisions."""
        self._install_snapshot(self._make_snapshot(matrix))

    def _install_snapshot(self, snapshot: PolicySnapshot) -> None:
        # The old snapshot is retired first, so that a process forked in between does not use outdated permissions.
        self.snapshot.retire()
        self.snapshot = snapshot
        self._snapshots.add(snapshot)  # Not earlier, because a signal handler would retire it before it is in force.
        for known_snapshot in list(self._snapshots):
            if known_snapshot is not self.snapshot:  # A signal handler may have installed another one meanwhile.
                known_snapshot.retire()

    def add_observer(self, observer: object) -> None:
        """Add an observer before the others.

        Raises:
            TypeError: The observer counts uses. Such observers can be passed only to `Guard`.
        """
        with self._lock:
            self._set_observers(Observers(observer, *self.observers))

    def remove_observer(self, observer: object) -> None:
        """Remove an observer. Without observers that want each decision, the notice in force decides again."""
        with self._lock:
            self._set_observers(Observers(*(member for member in self.observers if member is not observer)))

    def _set_observers(self, observers: Observers) -> None:
        if observers.counters != self.observers.counters:
            raise TypeError("who counts uses is an observer from the start: `Guard(observers=[…])`")
        self.observers = observers
        if observers.want_each is not self.snapshot.observed:
            self.install_table(self.snapshot.matrix if observers.want_each else self._compiled)

    def exchange(
        self, oversight: Oversight | None, clock: Clock, ledger: Ledger | None, table: PolicyTable | None = None
    ) -> None:
        """Put other governance, another clock and another ledger in place of the present ones. Used by tests.

        All cached decisions are discarded, so uses that have begun are decided anew from their next check on.

        Args:
            oversight: The governance, if any.
            clock: The clock.
            ledger: The ledger, if any.
            table: The compiled notice to put in force, which `table` returned before. By default the present one stays.

        Raises:
            TypeError: The ledger lacks a method.
        """
        _require_ledger_methods(ledger)
        with self._lock:
            self.observers = self._exchange_ledger(ledger)
            self.oversight, self.clock, self.ledger = oversight, clock, ledger
            self.counting = bool(self.observers.counters)
            self.era = object()
            restored = table is not None and table is not self._compiled
            if table is not None:
                self._compiled = table
            self.install_table(self.snapshot.matrix if self.observers.want_each and not restored else self._compiled)
        if restored:
            for replaced in self.observers.replaced:
                replaced()

    def _exchange_ledger(self, ledger: Ledger | None) -> Observers:
        """Return the observers with another ledger in the place of the present one."""
        observers = list(self.observers)
        place = 0
        if self.ledger is not None:
            place = next(index for index, observer in enumerate(observers) if observer is self.ledger)
            del observers[place]
        if ledger is not None:
            observers.insert(place, ledger)
        return Observers(*observers)

    def report_decision(
        self,
        verdict: Verdict,
        *,
        used: bool,
        activity: Activity | None = None,
        access: Access | None = None,
        field: str | None = None,
    ) -> None:
        """Report a decision to the observers. Cached decisions are only counted, not reported."""
        for decided in self.observers.decided:
            decided(verdict, used=used, activity=activity, access=access, field=field)

    def get_permissions(self, activity: Activity) -> Permissions:
        """Return the permissions of an activity under the notice in force.

        Raises:
            UnknownTerm: The notice no longer has the purpose of the activity.
        """
        return self.snapshot.get_permissions(activity.purpose, activity.channel, activity.conditions)

    def report_missing_purpose(self, event: str, why: str, use: HasActivity | None = None) -> None:
        """Report that no purpose is active here, and raise PurposeMissing unless it is only observed.

        Args:
            event: The event that needs a purpose.
            why: The reason why there is none.
            use: The use that is not valid here, if any. If its activity enforces, the error is raised in any mode.
        """
        entry_point = current_entry_point()
        place = f", at {entry_point}" if entry_point is not None else ""
        error = PurposeMissing(f"{event} outside any purpose{place}: {why}")
        self.report_denial(error, observed=self.observing and (use is None or use.activity.observing))

    def require_registered(self, values: Iterable[Personal[Any, Any]], *others: Callable[..., Any]) -> None:
        """Raise SealedValue if the guard is strict and an unregistered function would see a value.

        Args:
            values: The sealed values. The functions that were passed to their `map` are checked.
            *others: Further functions that would see a value.
        """
        if self.transforms is None:
            return
        for fn in (*others, *chain.from_iterable(map(iter_functions, values))):
            if fn not in self.transforms:
                message = f"{function_name(fn)} would see the plain value, and this guard is strict"
                raise SealedValue(f"{message}: {advise_registration(fn)}")

    def make_counter(self, activity: str | None, purpose: type[Purpose] | Family, label: Label) -> Tick:
        """Return a function that counts one use of a label. Records contain the canonical ids."""
        return self.observers.make_counter(
            activity, self.purpose_record_id(purpose), self.snapshot.matrix.to_record_label(label)
        )

    def purpose_record_id(self, purpose: type[Purpose] | Family) -> str:
        """Return the id of a purpose in records, or the name of a family."""
        return purpose.name if isinstance(purpose, Family) else self.snapshot.matrix.record_id(purpose)

    def count_check(self, decision: Decision) -> Tick:
        """Count an allowed check outside any activity, and return the function that counts further ones."""
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
        """Report a denial, and raise it unless it is only observed.

        Args:
            decision: The denial.
            use: The use that was denied, if any.
            access: The access function that reads the data, if any.
            field: The field that contains the data, if it is known.
            advice: The remedy in the message, by default the usual one for this denial.
        """
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
        """Report a violation, and raise it unless it is only observed.

        Args:
            violation: The violation.
            activity: The activity that caused it. None for a check outside any activity.
        """
        self.report_denial(violation, observed=self.observing if activity is None else activity.observing)

    def report_read(self, fields: Fields, activity: Activity | None) -> None:
        """Report to the observers that personal data is about to be read."""
        for read in self.observers.read:
            read(fields, activity)

    def refuse_unresolved(
        self, error: PurposeGuardError, event: str, fields: Fields = (), activity: Activity | None = None
    ) -> None:
        """Raise the error of a statement or data flow that cannot be analyzed. In observe mode, report it instead.

        Args:
            error: The error.
            event: A description for the observers that contains neither values nor the text of a statement.
            fields: The fields or columns that could be read, each with its label.
            activity: The activity that reads. None if there is none.
        """
        if not (self.observing if activity is None else activity.observing):
            raise error
        for unresolved in self.observers.unresolved:
            unresolved(fields, activity, event, error)

    def report_if_observed(
        self, error: BaseException | None, event: str, fields: Fields, activity: Activity | None
    ) -> bool:
        """Report an error of this library as `refuse_unresolved` does, if violations are only observed.

        A missing purpose and a violation are not reported here: if they are raised at all, they are enforced.

        Returns:
            True if the error is reported, so that the application may go on. False if it must be raised.
        """
        if not isinstance(error, PurposeGuardError) or isinstance(error, (PurposeMissing, PurposeViolation)):
            return False
        if not (self.observing if activity is None else activity.observing):
            return False
        self.refuse_unresolved(error, event, fields, activity)
        return True

    def report_denial(self, error: PurposeViolation | PurposeMissing, *, observed: bool) -> None:
        """Report a denial, and raise it unless it is only `observed`."""
        error.entry_point = current_entry_point()
        reported = error
        if isinstance(error, PurposeViolation):
            reported = qualify_violation(error, self.snapshot.matrix)
        for denied in self.observers.denied:
            denied(reported, observed=observed)
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
        return None  # The reasons of an exception are sufficient.
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
