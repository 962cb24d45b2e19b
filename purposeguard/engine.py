"""The engine behind uses: what may be opened, under which matrix, and who is told of denials."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from types import MethodType
from typing import TYPE_CHECKING, Any, cast

from purposeguard.about import About, Day
from purposeguard.circumstances import (
    BEFORE_ALL,
    BY_ANY_CHANNEL,
    NONE_KNOWN,
    UNNAMED,
    Circumstances,
    Standing,
)
from purposeguard.clock import Clock
from purposeguard.columns import Column, State
from purposeguard.copies import Classes
from purposeguard.decision import Decision
from purposeguard.errors import PurposeMissing, PurposeViolation, SealedValue, SubjectViolation, wrapped
from purposeguard.history import History
from purposeguard.inventory import Access, Activity, how_to_register
from purposeguard.label import Label
from purposeguard.ledger import CountingLedger, Ledger, Tick
from purposeguard.matrix import Matrix
from purposeguard.notice import Notice
from purposeguard.oversight import Oversight
from purposeguard.personal import Personal
from purposeguard.rows import given_abouts
from purposeguard.sealing import functions, named
from purposeguard.terms import Family, NotPersonal, Purpose

if TYPE_CHECKING:
    from purposeguard.use import Use


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
        "_states",
        "ambient",
        "classes",
        "clock",
        "counting",
        "ledger",
        "observing",
        "oversight",
        "reset_ambient",
        "set_ambient",
        "state",
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
        self.state = self._state(Matrix(notice, history=history))
        self._states: weakref.WeakSet[State] = weakref.WeakSet([self.state])
        self.counting = cast("CountingLedger", ledger) if hasattr(ledger, "counter") else None
        self.observing = observing
        ambient: ContextVar[Use[Any]] = ContextVar("purposeguard", default=nothing)
        self.ambient = ambient.get
        self.set_ambient = ambient.set
        self.reset_ambient = ambient.reset
        self.classes = Classes()

    def _state(self, matrix: Matrix) -> State:
        named = self.oversight is not None and self.oversight.requires_subject
        return State(matrix, clears=self.ledger is None, named=named)

    def circumstances(self, about: About, label: Label, by: State | Column) -> Circumstances:
        """What decides of a datum beside its label, by what is known of it; `by` is what decides.

        Raises:
            StoreUnavailable: governance cannot say what the subject asked for.
            UnknownSource: a source is of another notice, or of a clause that is gone.
        """
        return self.circumstances_of(self.standing_of(about.subject), about.collected, about.ended, label, by)

    def standing_of(self, subject: str | None) -> Standing | None:
        """How things stand for a subject; None where nobody is named, or nobody knows.

        Raises:
            StoreUnavailable: governance cannot say.
        """
        oversight = self.oversight
        if oversight is not None and subject is not None:
            standing = oversight.standing(subject)
            if not isinstance(standing, Standing):  # None would be taken for nobody's
                raise TypeError(f"`standing` of {type(oversight).__qualname__} gave no Standing of a subject")
            return standing
        return UNNAMED if oversight is not None and oversight.requires_subject else None

    def circumstances_of(
        self, standing: Standing | None, collected: Day | None, ended: Day | None, label: Label, by: State | Column
    ) -> Circumstances:
        """The same of what is known to stand like this, collected and ended on these days."""
        if collected is None and ended is None:
            return Circumstances(standing)
        under = None
        matrix = by.matrix  # the notice may have been replaced meanwhile
        if collected is not None:
            held = matrix.history.on(collected)
            under = BEFORE_ALL if held is None else held.revision
            if under == matrix.notice.revision:
                under = None
        sources = [matrix.current(one).clause for one in matrix.label(label).sources if one is not NotPersonal]
        overdue = by.periods.overdue(sources, collected=collected, ended=ended, today=self.clock.now())
        return Circumstances(standing, under, overdue)

    def abouts(self, subject: object) -> tuple[About, ...]:
        """What a caller says of a datum by `subject=`.

        Raises:
            TypeError: nobody keeps what subjects asked for, so naming one would promise what is not done; or as
                `given_abouts`, as do ValueError and UnlabelledData.
        """
        found = given_abouts(subject)
        if self.oversight is None and any(one.subject is not None for one in found):
            message = (
                "a subject is named, and this guard asks nobody what subjects wanted: give it one that keeps it, "
                "`Guard(notice, governance=…)`"
            )
            raise TypeError(wrapped(message))
        return found

    def allowed(self, column: Column, sources: object, abouts: tuple[About, ...]) -> bool:
        """Whether data from these sources, of which this is known, may be opened."""
        label = column.matrix.label(sources)
        return all(column.permits_of(label, self.circumstances(about, label, column)) for about in abouts)

    def replace(self, notice: Notice, history: History | None = None) -> None:
        """Puts another revision in force, at one stroke; one thread at a time."""
        while True:
            earlier = self.state
            state = self._state(Matrix(notice, earlier.matrix, history))
            if self.state is earlier:  # else a signal handler has put another one in force, which this one follows on
                break
        # Retired before, so that no process that is forked in between goes on with columns of a revision that is over.
        earlier.retire()
        self.state = state
        self._states.add(state)  # not before: what is not in force yet is not to be retired by who comes between
        for one in list(self._states):
            if one is not self.state:  # a signal handler may have come between after all
                one.retire()

    def column(self, activity: Activity) -> Column:
        """What an activity may open under the matrix in force; raises UnknownPurpose where its purpose is gone."""
        return self.state.column(activity.purpose, activity.channel)

    def present(self, what: str = "data was read") -> Use[Any] | None:
        """The use under way here; None in observe mode where there is none.

        Raises:
            PurposeMissing: there is none, it has ended, or it is another task's or thread's.
        """
        use = self.ambient()
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
        """The use under way here, once it is seen that it may open data of this label.

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
        violation = decision.violation(
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
    if decision.circumstances.standing is UNNAMED:
        return "mark the field that says whose a row is, `Annotated[int, Subject]`"
    if decision.violation is SubjectViolation and decision.circumstances is NONE_KNOWN:
        return None  # of an exception, whose reasons say all
    if decision.circumstances not in (NONE_KNOWN, BY_ANY_CHANNEL):
        return (
            "leave such rows out with @guard.access(narrow=True), or withhold what may not be used of them with "
            "@guard.access(withhold=True)"
        )
    named = "the field " if len(fields) == 1 else "the fields "
    named += ", ".join(f"`{one}`" for one in fields)
    if access.withhold:
        return f"{named} cannot be withheld from this return value; read without it"
    return f"either read without {named}, or withhold it with @guard.access(withhold=True)"


class Opening:
    """An activity of a guard, ready to be entered: knows its column, so that entering is quick.

    `counted` holds the labels seen to be allowed, each with what counts its uses, where the ledger counts them itself;
    `ticks` what counts uses of any label.
    """

    __slots__ = ("__weakref__", "_narrower", "activity", "column", "counted", "engine", "ticks")

    def __init__(self, engine: Engine, activity: Activity) -> None:
        self.engine = engine
        self.activity = activity
        self.column = engine.column(activity)
        self.counted: dict[object, Tick] = {}
        self.ticks: dict[Label, Tick] = {}
        self._narrower: dict[type[Purpose] | Family, Opening] = {}

    def narrowed(self, member: type[Purpose] | Family) -> Opening:
        """The same of one member of the family that the activity is for."""
        found = self._narrower.get(member)
        if found is None:
            narrower = Opening(self.engine, dataclasses.replace(self.activity, purpose=member))
            found = self._narrower.setdefault(member, narrower)
        return found

    def current(self) -> Column:
        """What may be opened under the matrix in force; raises UnknownPurpose where the purpose is gone."""
        column = self.column
        if column.retired:
            column = self.column = self.engine.column(self.activity)
        return column

    def count(self, counting: CountingLedger, label: Label, times: int, column: Column | None) -> None:
        """Counts uses of a label that this column permits; None where it does so of some subjects only."""
        tick = self.ticks.get(label)
        if tick is None:
            tick = counting.counter(self.activity.name, self.activity.purpose_id, label)
            self.ticks[label] = tick
        if column is not None and label not in self.counted:
            column.count_by(self, label, tick)
        for _ in range(times):
            tick()
