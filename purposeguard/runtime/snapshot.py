"""What may be opened under the notice in force: permissions by purpose and channel, and who is told of denials."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, cast

from purposeguard.errors import PurposeMissing, SealedValue, wrapped
from purposeguard.locks import new_lock
from purposeguard.notice.history import History
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import Periods
from purposeguard.notice.timezones import Day
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose
from purposeguard.policy.context import (
    BEFORE_ALL,
    BY_ANY_CHANNEL,
    NONE_KNOWN,
    NOT_NAMED,
    UNNAMED,
    Context,
    SubjectPreferences,
)
from purposeguard.policy.explanation import Decision, is_about_the_subject
from purposeguard.policy.row_context import RowContext
from purposeguard.policy.table import MOST_REMEMBERED, Matrix
from purposeguard.policy.violations import PurposeViolation, violation_of
from purposeguard.runtime.clock import Clock
from purposeguard.runtime.observer import CountingLedger, Ledger, Tick
from purposeguard.runtime.protocols import Oversight
from purposeguard.runtime.registry import Access, Activity, how_to_register
from purposeguard.values.personal import Personal
from purposeguard.values.redaction import Classes
from purposeguard.values.rows import given_row_contexts
from purposeguard.values.sealed import functions, named

if TYPE_CHECKING:
    from purposeguard.runtime.use import Use

NOTHING: Final[frozenset[object]] = frozenset()
NO_LABELS: Final[frozenset[Label]] = frozenset()
_NOT_PERSONAL: Final = Label(NotPersonal)

_CHECKS_AT_MOST: Final = 1000
"""Different bare checks that are remembered."""


class Permissions:
    """What may be opened for one purpose by one channel under one matrix.

    `allowed_labels` holds the labels seen to be allowed, where no ledger is to be told. When the matrix is replaced
    they are retired: emptied, and never filled again, so that uses under way fall back to the slow path and are decided
    by the new matrix; so are the `counted` of its activities.
    """

    __slots__ = (
        "_clears",
        "_counting",
        "_known",
        "_lock",
        "_named",
        "_unstated",
        "allowed_labels",
        "channel",
        "closed",
        "matrix",
        "periods",
        "purpose",
        "retired",
    )

    def __init__(
        self,
        matrix: Matrix,
        periods: Periods,
        purpose: type[Purpose] | Family,
        channel: str | None,
        *,
        clears: bool = True,
        named: bool = False,
    ) -> None:
        """`clears`: no ledger is to be told; `named`: nothing may be opened without saying whose it is."""
        self.matrix = matrix
        self.periods = periods
        self.purpose = purpose
        self.channel = channel
        self.allowed_labels: set[object] = set()
        self._clears = clears
        self._named = named
        self._known: dict[SubjectPreferences, set[Label]] = {}
        self._counting: weakref.WeakValueDictionary[int, ActivityHandle] = weakref.WeakValueDictionary()
        # A revision may close a purpose under which an activity states no channel: it may then open nothing (rule 7).
        self.closed = channel is None and matrix.must_state_channel(purpose)
        members = purpose.members if isinstance(purpose, Family) else (purpose,)
        # It may have closed it before: what was collected then is not for an activity that may use any (rules 7 and 9).
        self._unstated = channel is None and not matrix.opened.isdisjoint(members)
        self.retired = False
        self._lock = new_lock()  # a signal handler or finaliser may ask while its thread holds it; so below

    def permits(self, label: Label) -> bool:
        """Whether data of this label may be opened; an allowed label is cleared from then on."""
        if not self.allows(label):
            return False
        if self._clears:
            with self._lock:
                if not self.retired:
                    self.allowed_labels.add(label)
        return True

    def count_by(self, handle: ActivityHandle, label: Label, tick: Tick) -> None:
        """From now on an allowed label is counted by `tick`, the short way, where data is used by this opening."""
        with self._lock:
            if not self.retired:
                self._counting[id(handle)] = handle
                handle.counted[label] = tick

    def allows(self, sources: object) -> bool:
        """Whether data from these sources may be opened; raises as `Matrix.allows` does."""
        if self._named and self.matrix.label(sources) is not _NOT_PERSONAL:
            return False
        if self._unstated:
            row = self.matrix.row_for(self.matrix.label(sources), None, BY_ANY_CHANNEL)
        else:
            row = self.matrix.row(sources, self.channel)
        return self.purpose in row and not self.closed

    def permits_of(self, label: Label, context: Context) -> bool:
        """Whether data of this label may be opened under circumstances, which say all that is known of it."""
        known = self._known.get(context.preferences) if context.preferences is not None else None
        plain = context.under is None and not context.overdue
        if plain and known is not None and label in known:
            return True
        self.matrix.label(label)  # raises where it is of another notice, or of a clause that is gone
        if self._unstated:
            context = dataclasses.replace(context, unstated=True)
        if self.closed or self.purpose not in self.matrix.row_for(label, self.channel, context):
            return False
        if plain and context.preferences is not None:
            self._remember(label, context.preferences)
        return True

    def _remember(self, label: Label, preferences: SubjectPreferences) -> None:
        with self._lock:
            if not self.retired and len(self._known) < MOST_REMEMBERED:
                self._known.setdefault(preferences, set()).add(label)

    def known_of(self, preferences: SubjectPreferences) -> set[Label] | frozenset[Label]:
        """The labels seen to be allowed of subjects of this standing."""
        return self._known.get(preferences, NO_LABELS)

    def decision(self, sources: object, context: Context | None = None) -> Decision:
        """The same, with its reasons."""
        label = self.matrix.label(sources)
        if context is None:
            context = NOT_NAMED if self._named and label is not _NOT_PERSONAL else NONE_KNOWN
        if self._unstated:
            context = dataclasses.replace(context, unstated=True)
        return Decision(self.matrix, label, self.purpose, self.channel, declared=self.closed, context=context)

    def retire(self) -> None:
        """Clears nothing any more."""
        with self._lock:
            self.retired = True
            self.allowed_labels.clear()
            self._known.clear()
            # A copy: a finaliser may add to it meanwhile.
            for handle in filter(None, [reference() for reference in self._counting.valuerefs()]):
                handle.counted.clear()


class PolicySnapshot:
    """A matrix and its columns: replaced as one."""

    __slots__ = (
        "__weakref__",
        "_clears",
        "_lock",
        "_named",
        "_permissions",
        "_retired",
        "checked",
        "known",
        "matrix",
        "periods",
    )

    def __init__(self, matrix: Matrix, *, clears: bool = True, named: bool = False) -> None:
        """`clears`: no ledger is to be told of uses; `named`: nothing is opened without saying whose it is."""
        self.matrix = matrix
        self.known = matrix.known  # at hand for `Guard.allows`
        self.periods = Periods(matrix.notice.document)
        self._clears = clears
        self._named = named
        self._permissions: dict[tuple[object, str | None], Permissions] = {}
        self.checked: dict[object, Tick] = {}
        self._retired = False
        self._lock = new_lock()

    def permissions(self, purpose: type[Purpose] | Family, channel: str | None) -> Permissions:
        """The column of a purpose, in the classes of any revision; raises UnknownPurpose where this one has none."""
        found = self._permissions.get((purpose, channel))
        if found is None:
            purpose, channel = self.matrix.purpose(purpose), self.matrix.channel(channel)
            found = Permissions(self.matrix, self.periods, purpose, channel, clears=self._clears, named=self._named)
            with self._lock:
                found = self._permissions.setdefault((purpose, channel), found)
                if self._retired:  # asked for while the matrix was being replaced
                    found.retire()
        return found

    def remember(self, check: tuple[object, ...], tick: Tick) -> None:
        """A bare check is allowed as it was asked for; `tick` counts it. Of many different ones the first are kept."""
        if len(self.checked) < _CHECKS_AT_MOST:
            self.checked[check] = tick

    def retire(self) -> None:
        """Retires all columns, those asked for from now on too."""
        with self._lock:
            self._retired = True
            for permissions in self._permissions.values():
                permissions.retire()


class Transforms:
    """The functions that may see plain values, told apart by identity: what is equal may yet be another."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], object] = {}

    def add(self, fn: object) -> None:
        """Lets a function see plain values."""
        self._known[_identity(fn)] = fn  # kept, so that its identity is not given again

    def __contains__(self, fn: object) -> bool:
        # A method is registered where it is defined, before there is an object that it is bound to.
        return _identity(fn) in self._known or (type(fn) is MethodType and _identity(fn.__func__) in self._known)


def _identity(fn: object) -> tuple[int, int]:
    # A method is made anew each time that it is asked for.
    return (id(fn.__func__), id(fn.__self__)) if type(fn) is MethodType else (id(fn), 0)


class Engine:
    """The part of a guard that uses share: the matrix in force, the ambient use, the ledger."""

    __slots__ = (
        "__weakref__",
        "_snapshots",
        "ambient",
        "classes",
        "clock",
        "counting",
        "ledger",
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
        notice: Notice,
        ledger: Ledger | None,
        *,
        observing: bool,
        transforms: Transforms | None,
        nothing: Use[Any],
        history: History | None = None,
        oversight: Oversight | None = None,
        clock: Clock | None = None,
        untagged_refused: bool = False,
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
        self.snapshot = self._snapshot(Matrix(notice, history=history))
        self._snapshots: weakref.WeakSet[PolicySnapshot] = weakref.WeakSet([self.snapshot])
        self.counting = cast("CountingLedger", ledger) if hasattr(ledger, "counter") else None
        self.observing = observing
        ambient: ContextVar[Use[Any]] = ContextVar("purposeguard", default=nothing)
        self.ambient = ambient.get
        self.set_ambient = ambient.set
        self.reset_ambient = ambient.reset
        self.classes = Classes()

    def _snapshot(self, matrix: Matrix) -> PolicySnapshot:
        named = self.oversight is not None and self.oversight.requires_subject
        return PolicySnapshot(matrix, clears=self.ledger is None, named=named)

    def context(self, row_context: RowContext, label: Label, by: PolicySnapshot | Permissions) -> Context:
        """What decides of a datum beside its label, by what is known of it; `by` is what decides.

        Raises:
            StoreUnavailable: governance cannot say what the subject asked for.
            UnknownSource: a source is of another notice, or of a clause that is gone.
        """
        return self.context_of(
            self.preferences_of(row_context.subject), row_context.collected, row_context.ended, label, by
        )

    def preferences_of(self, subject: str | None) -> SubjectPreferences | None:
        """How things stand for a subject; None where nobody is named, or nobody knows.

        Raises:
            StoreUnavailable: governance cannot say.
        """
        oversight = self.oversight
        if oversight is not None and subject is not None:
            preferences = oversight.preferences(subject)
            if not isinstance(preferences, SubjectPreferences):  # None would be taken for nobody's
                raise TypeError(f"`preferences` of {type(oversight).__qualname__} gave no Standing of a subject")
            return preferences
        return UNNAMED if oversight is not None and oversight.requires_subject else None

    def context_of(
        self,
        preferences: SubjectPreferences | None,
        collected: Day | None,
        ended: Day | None,
        label: Label,
        by: PolicySnapshot | Permissions,
    ) -> Context:
        """The same of what is known to stand like this, collected and ended on these days."""
        if collected is None and ended is None:
            return Context(preferences)
        under = None
        matrix = by.matrix  # the notice may have been replaced meanwhile
        if collected is not None:
            held = matrix.history.on(collected)
            under = BEFORE_ALL if held is None else held.revision
            if under == matrix.notice.revision:
                under = None
        sources = [matrix.current(one).clause for one in matrix.label(label).sources if one is not NotPersonal]
        overdue = by.periods.overdue(sources, collected=collected, ended=ended, today=self.clock.now())
        return Context(preferences, under, overdue)

    def row_contexts(self, subject: object) -> tuple[RowContext, ...]:
        """What a caller says of a datum by `subject=`.

        Raises:
            TypeError: nobody keeps what subjects asked for, so naming one would promise what is not done; or as
                `given_abouts`, as do ValueError and UnlabelledData.
        """
        found = given_row_contexts(subject)
        if self.oversight is None and any(one.subject is not None for one in found):
            message = (
                "a subject is named, and this guard asks nobody what subjects wanted: give it one that keeps it, "
                "`Guard(notice, governance=…)`"
            )
            raise TypeError(wrapped(message))
        return found

    def allowed(self, permissions: Permissions, sources: object, row_contexts: tuple[RowContext, ...]) -> bool:
        """Whether data from these sources, of which this is known, may be opened."""
        label = permissions.matrix.label(sources)
        return all(
            permissions.permits_of(label, self.context(row_context, label, permissions)) for row_context in row_contexts
        )

    def replace(self, notice: Notice, history: History | None = None) -> None:
        """Puts another revision in force, at one stroke; one thread at a time."""
        while True:
            earlier = self.snapshot
            snapshot = self._snapshot(Matrix(notice, earlier.matrix, history))
            if self.snapshot is earlier:  # else a signal handler has put another in force, which this one follows
                break
        # Retired before, so that no process that is forked in between goes on with columns of a revision that is over.
        earlier.retire()
        self.snapshot = snapshot
        self._snapshots.add(snapshot)  # not before: what is not in force yet is not to be retired by who comes between
        for one in list(self._snapshots):
            if one is not self.snapshot:  # a signal handler may have come between after all
                one.retire()

    def permissions(self, activity: Activity) -> Permissions:
        """What an activity may open under the matrix in force; raises UnknownPurpose where its purpose is gone."""
        return self.snapshot.permissions(activity.purpose, activity.channel)

    def present(self, what: str = "data was read") -> Use[Any] | None:
        """The `Use` under way here; None in observe mode where there is none.

        Raises:
            PurposeMissing: there is none, it has ended, or it is another task's or thread's.
        """
        use: Use[Any] = self.ambient()
        absence = use.absence()
        if absence is None:
            return use
        self.missing(what, absence, None if use.nothing else use)
        return None

    def missing(self, what: str, why: str, use: Use[Any] | None = None) -> None:
        """Tells the ledger that there was no purpose and raises, or lets it pass where it is only observed.

        `use` is one that does not hold here: of an activity that enforces it is not let pass.
        """
        error = PurposeMissing(f"{what} outside any purpose: {why}")
        self.lacking(error, observed=self.observing and (use is None or use.activity.observing))

    def lacking(self, error: PurposeMissing, *, observed: bool) -> None:
        """Tells the ledger of an error and raises it, or lets it pass where it is only observed."""
        if self.ledger is not None:
            self.ledger.denied(error, observed=observed)
        if not observed:
            raise error
        only_observed(error)

    def authorise(self, access: Access, label: Label) -> Use[Any] | None:
        """The `Use` under way here, once it is seen that it may open data of this label.

        Raises:
            PurposeMissing, PurposeViolation: it may not, or there is none.
        """
        use = self.present(f"{access.name} was called")
        refusal = use.refusal(label) if use is not None else None
        if refusal is not None:
            self.refuse(refusal, use, access)
        return use

    def must_be_registered(self, values: Iterable[Personal[Any, Any]], *others: Callable[..., Any]) -> None:
        """Raises SealedValue where the guard is strict and a function that it does not know would see a value.

        Asked for are those that `map` was given, and `others`.
        """
        if self.transforms is None:
            return
        for fn in (*others, *(fn for value in values for fn in functions(value))):
            if fn not in self.transforms:
                message = f"{named(fn)} would see the plain value, and this guard is strict"
                raise SealedValue(f"{message}: {how_to_register(fn)}")

    def count_check(self, decision: Decision) -> Tick | None:
        """Tells the ledger of a bare check that was allowed; gives what counts more of them, where it counts itself."""
        asked = decision.purpose
        name = asked.name if isinstance(asked, Family) else asked.clause
        if self.counting is None:
            cast("Ledger", self.ledger).allowed(None, name, decision.label, 1)
            return None
        tick = self.counting.counter(None, name, decision.label)
        tick()
        return tick

    def refuse(
        self,
        decision: Decision,
        use: Use[Any] | None = None,
        access: Access | None = None,
        field: str | None = None,
        *,
        advice: str | None = None,
    ) -> None:
        """Tells the ledger of a denial and raises it, or lets it pass where it is only observed."""
        fields: tuple[str, ...] = ()
        if access is not None:
            fields = (field,) if field else access.fields_from(decision.denied)
        violation = violation_of(decision)(
            decision,
            use.activity.name if use is not None else None,
            access.name if access is not None else None,
            fields[0] if fields else field,
            advice or _advice(decision, access, fields),
        )
        self.tell(violation, use.activity if use is not None else None)

    def tell(self, violation: PurposeViolation, activity: Activity | None) -> None:
        """Records a violation and raises it, or lets it pass where it is only observed."""
        observed = self.observing if activity is None else activity.observing
        if self.ledger is not None:
            self.ledger.denied(violation, observed=observed)
        if not observed:
            raise violation
        only_observed(violation)


def only_observed(error: Exception) -> None:
    """Logs what would have been raised, were it enforced."""
    import logging  # noqa: PLC0415  # a guard that enforces never needs it, and it is slow to load

    logging.getLogger("purposeguard").warning("observed, not enforced: %s", error)


def _advice(decision: Decision, access: Access | None, fields: tuple[str, ...]) -> str | None:
    if access is None or not fields:
        return None
    if decision.context.preferences is UNNAMED:
        return "mark the field that says whose a row is, `Annotated[int, Subject]`"
    if is_about_the_subject(decision) and decision.context is NONE_KNOWN:
        return None  # of an exception, whose reasons say all
    if decision.context not in (NONE_KNOWN, BY_ANY_CHANNEL):
        return (
            "leave such rows out with @guard.access(narrow=True), or withhold what may not be used of them with "
            "@guard.access(withhold=True)"
        )
    named = "the field " if len(fields) == 1 else "the fields "
    named += ", ".join(f"`{one}`" for one in fields)
    if access.withhold:
        return f"{named} cannot be withheld from this return value; read without it"
    return f"either read without {named}, or withhold it with @guard.access(withhold=True)"


class ActivityHandle:
    """An activity of a guard, ready to be entered: knows its column, so that entering is quick.

    `counted` holds the labels seen to be allowed, each with what counts its uses, where the ledger counts them itself;
    `ticks` what counts uses of any label.
    """

    __slots__ = ("__weakref__", "_narrower", "activity", "counted", "engine", "permissions", "ticks")

    def __init__(self, engine: Engine, activity: Activity) -> None:
        self.engine = engine
        self.activity = activity
        self.permissions = engine.permissions(activity)
        self.counted: dict[object, Tick] = {}
        self.ticks: dict[Label, Tick] = {}
        self._narrower: dict[type[Purpose] | Family, ActivityHandle] = {}

    def narrowed(self, member: type[Purpose] | Family) -> ActivityHandle:
        """The same of one member of the family that the activity is for."""
        found = self._narrower.get(member)
        if found is None:
            narrower = ActivityHandle(self.engine, dataclasses.replace(self.activity, purpose=member))
            found = self._narrower.setdefault(member, narrower)
        return found

    def current(self) -> Permissions:
        """What may be opened under the matrix in force; raises UnknownPurpose where the purpose is gone."""
        permissions = self.permissions
        if permissions.retired:
            permissions = self.permissions = self.engine.permissions(self.activity)
        return permissions

    def count(self, counting: CountingLedger, label: Label, times: int, permissions: Permissions | None) -> None:
        """Counts uses of a label that this column permits; None where it does so of some subjects only."""
        tick = self.ticks.get(label)
        if tick is None:
            tick = counting.counter(self.activity.name, self.activity.purpose_id, label)
            self.ticks[label] = tick
        if permissions is not None and label not in self.counted:
            permissions.count_by(self, label, tick)
        for _ in range(times):
            tick()
