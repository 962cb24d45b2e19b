"""Use: one act of opening data for a purpose; and the engine that decides for it."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, Final, Generic, TypeVar, cast

from purposeguard.copies import Classes
from purposeguard.decision import Decision
from purposeguard.errors import (
    PurposeGuardError,
    PurposeMissing,
    PurposeViolation,
    SealedValue,
    UnknownSource,
    UnlabelledData,
)
from purposeguard.fields import Shape, shape_of
from purposeguard.inventory import Access, Activity
from purposeguard.label import Label, Sources
from purposeguard.ledger import Ledger
from purposeguard.matrix import Matrix
from purposeguard.notice import Notice
from purposeguard.openers import Opener
from purposeguard.personal import Personal, must_be_sealed
from purposeguard.sealing import content, functions, named, plain
from purposeguard.tasks import get_ident, here
from purposeguard.terms import Family, NotPersonal, Purpose, Source
from purposeguard.withheld import Withheld
from purposeguard.withholding import Withholder, describes_itself

P_contra = TypeVar("P_contra", bound=Source | Purpose, contravariant=True)
T = TypeVar("T")
D = TypeVar("D")

NOTHING: Final[frozenset[object]] = frozenset()


class Column:
    """What may be opened for one purpose by one channel under one matrix.

    `cleared` holds the labels seen to be allowed. When the matrix is replaced the column is retired: emptied, and
    never filled again, so that uses under way fall back to the slow path and are decided by the new matrix.
    """

    __slots__ = ("_lock", "channel", "cleared", "closed", "matrix", "purpose", "retired")

    def __init__(self, matrix: Matrix, purpose: type[Purpose] | Family, channel: str | None) -> None:
        self.matrix = matrix
        self.purpose = purpose
        self.channel = channel
        self.cleared: set[object] = set()
        # A revision may close a purpose under which an activity states no channel: it may then open nothing (rule 7).
        self.closed = channel is None and matrix.must_state_channel(purpose)
        self.retired = False
        self._lock = threading.Lock()

    def permits(self, label: Label) -> bool:
        """Whether data of this label may be opened; an allowed label is cleared from then on."""
        if not self.allows(label):
            return False
        with self._lock:
            if not self.retired:
                self.cleared.add(label)
        return True

    def allows(self, sources: object) -> bool:
        """Whether data from these sources may be opened; raises as `Matrix.allows` does."""
        return self.purpose in self.matrix.row(sources, self.channel) and not self.closed

    def decision(self, sources: object) -> Decision:
        """The same, with its reasons."""
        return Decision(self.matrix, self.matrix.label(sources), self.purpose, self.channel, declared=self.closed)

    def retire(self) -> None:
        """Clears nothing any more."""
        with self._lock:
            self.retired = True
            self.cleared.clear()


class State:
    """A matrix and its columns: replaced as one."""

    __slots__ = ("_columns", "_lock", "_retired", "matrix")

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix
        self._columns: dict[tuple[object, str | None], Column] = {}
        self._retired = False
        self._lock = threading.Lock()

    def column(self, purpose: type[Purpose] | Family, channel: str | None) -> Column:
        """The column of a purpose, in the classes of any revision; raises UnknownPurpose where this one has none."""
        found = self._columns.get((purpose, channel))
        if found is None:
            found = Column(self.matrix, self.matrix.purpose(purpose), self.matrix.channel(channel))
            with self._lock:
                found = self._columns.setdefault((purpose, channel), found)
                if self._retired:  # asked for while the matrix was being replaced
                    found.retire()
        return found

    def retire(self) -> None:
        """Retires all columns, those asked for from now on too."""
        with self._lock:
            self._retired = True
            for column in self._columns.values():
                column.retire()


class Engine:
    """The part of a guard that uses share: the matrix in force, the ambient use, the ledger."""

    __slots__ = (
        "ambient",
        "classes",
        "ledger",
        "observing",
        "reset_ambient",
        "set_ambient",
        "state",
        "transforms",
    )

    def __init__(
        self, notice: Notice, ledger: Ledger | None, observing: bool, transforms: Container[object] | None = None
    ) -> None:
        """`transforms` are the functions that a strict guard lets see plain values; None where any may."""
        self.transforms = transforms
        self.state = State(Matrix(notice))
        self.ledger = ledger
        self.observing = observing
        ambient: ContextVar[Use[Any]] = ContextVar("purposeguard", default=NO_USE)
        self.ambient = ambient.get
        self.set_ambient = ambient.set
        self.reset_ambient = ambient.reset
        self.classes = Classes()

    def replace(self, notice: Notice) -> Matrix:
        """Puts another revision in force, at one stroke; one caller at a time."""
        earlier = self.state
        self.state = State(Matrix(notice, earlier.matrix))
        earlier.retire()
        return self.state.matrix

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
        self.missing(what, absence)
        return None

    def missing(self, what: str, why: str) -> None:
        """Tells the ledger that there was no purpose and raises, or lets it pass where it is only observed."""
        error = PurposeMissing(f"{what} outside any purpose: {why}")
        if self.ledger is not None:
            self.ledger.denied(error, observed=self.observing)
        if not self.observing:
            raise error
        _observed(error)

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

    def must_be_registered(self, values: Iterable[Personal[Any, Any]]) -> None:
        """Raises SealedValue where the guard is strict and a function that it does not know would see a value."""
        if self.transforms is None:
            return
        for value in values:
            for fn in functions(value):
                if fn not in self.transforms:
                    message = f"{named(fn)}, given to `map`, would see the plain value, and this guard is strict"
                    raise SealedValue(f"{message}: register it with `@guard.transform`")

    def refuse(
        self, decision: Decision, use: Use[Any] | None = None, access: Access | None = None, field: str | None = None
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
            _advice(access, fields),
        )
        self.tell(violation, use.activity if use is not None else None)

    def tell(self, violation: PurposeViolation, activity: Activity | None) -> None:
        """Records a violation and raises it, or lets it pass where it is only observed."""
        observed = self.observing if activity is None else activity.observing
        if self.ledger is not None:
            self.ledger.denied(violation, observed=observed)
        if not observed:
            raise violation
        _observed(violation)


def _observed(error: Exception) -> None:
    import logging  # noqa: PLC0415  # a guard that enforces never needs it, and it is slow to load

    logging.getLogger("purposeguard").warning("observed, not enforced: %s", error)


def _advice(access: Access | None, fields: tuple[str, ...]) -> str | None:
    if access is None or not fields:
        return None
    named = "the field " if len(fields) == 1 else "the fields "
    named += ", ".join(f"`{one}`" for one in fields)
    if access.withhold:
        return f"{named} cannot be withheld from this return value; read without it"
    return f"either read without {named}, or withhold it with @guard.access(withhold=True)"


class Opening:
    """An activity of a guard, ready to be entered: knows its column, so that entering is quick."""

    __slots__ = ("activity", "column", "engine")

    def __init__(self, engine: Engine, activity: Activity) -> None:
        self.engine = engine
        self.activity = activity
        self.column = engine.column(activity)

    def current(self) -> Column:
        """What may be opened under the matrix in force; raises UnknownPurpose where the purpose is gone."""
        column = self.column
        if column.retired:
            column = self.column = self.engine.column(self.activity)
        return column


class Use(Opener, Generic[P_contra]):
    """One act of opening data for a purpose: what `with guard.purpose(…) as use` gives.

    It holds in the task or thread that entered it, until its block ends; in another one, while what `guard.carry`
    gave runs there. `Use[P]` opens sealed values whose sources may all serve `P`. Contravariant: a use of a family
    opens what a use of one of its purposes opens.
    """

    # `cleared` and `owner` are read by wrappers on their fast path: `cleared` holds what is known to be allowed and is
    # emptied when the block ends, `owner` is the task or thread that entered (None before and after).
    __slots__ = ("_before", "_counts", "_opening", "cleared", "owner")

    _opening: Opening
    cleared: set[object] | frozenset[object]
    owner: object
    _before: Use[Any]
    _counts: dict[Label, int]

    def __init__(self, opening: Opening) -> None:
        """Makes this the ambient use of the present task or thread."""
        # `activity._quick` does the same without the call.
        self._opening = opening
        engine = opening.engine
        self._before = engine.ambient()
        self.owner = here()
        self.cleared = opening.current().cleared
        if engine.ledger is not None:
            self.cleared = NOTHING  # each use goes by `permits`, which counts
            self._counts = {}
        engine.set_ambient(self)

    @property
    def activity(self) -> Activity:
        """What is under way."""
        return self._opening.activity

    @property
    def _engine(self) -> Engine:
        return self._opening.engine

    @property
    def purpose(self) -> type[Purpose] | Family:
        """The purpose, or family, of this use."""
        return self._column.purpose

    @property
    def channel(self) -> str | None:
        """How the person is contacted, where the activity says."""
        return self.activity.channel

    @property
    def active(self) -> bool:
        """Whether its block is under way (wherever that is)."""
        return self.owner is not None

    @property
    def _column(self) -> Column:
        return self._opening.current()

    def close(self) -> None:
        """Ends this use and restores the one before; for guards and wrappers."""
        engine = self._engine
        self.owner = None
        self.cleared = NOTHING
        if engine.ambient() is self:
            # Not where a block is left in another context than it was entered in: there is nothing to restore there.
            engine.set_ambient(self._before)
        if engine.ledger is not None:
            counts, self._counts = self._counts, {}
            for label, count in counts.items():
                engine.ledger.allowed(self.activity.name, self.activity.purpose_id, label, count)

    def refusal(self, label: Label, column: Column | None = None) -> Decision | None:
        """Why this use may not open data of this label; None where it may, which a ledger is told. For wrappers."""
        column = column or self._column  # once: the decision and its reasons are of one revision
        if not column.permits(label):
            return column.decision(label)
        if self._engine.ledger is not None:
            self._counts[label] = self._counts.get(label, 0) + 1
        return None

    def allows(self, sources: Sources) -> bool:
        """Whether data from these sources may be used here: a question, never an error for a denial.

        Raises:
            UnknownSource, UnlabelledData: as `Guard.allows`.
        """
        try:
            if sources in self.cleared:
                return True
        except TypeError:
            pass  # not hashable, so never cleared: decided below
        return self._column.allows(sources)

    def explain(self, sources: Sources) -> Decision:
        """The decision on these sources, with its reasons; raises as `allows` does."""
        return self._column.decision(sources)

    def check(self, sources: Sources) -> None:
        """Nothing where data from these sources may be used here.

        Raises:
            PurposeMissing: the block has ended, or is another task's or thread's.
            PurposeViolation: the notice does not grant it.
            UnknownSource, UnlabelledData: as `Guard.allows`.
        """
        engine = self._engine
        label = engine.state.matrix.label(sources)
        absence = self.absence()
        if absence is not None:
            engine.missing("a check was made", absence)
            return
        refusal = self.refusal(label)
        if refusal is not None:
            engine.refuse(refusal, self)

    def open(self, value: Personal[T, P_contra | NotPersonal], /) -> T:
        """The plain value of a sealed one, where this purpose may use all its sources.

        Raises:
            PurposeMissing: the block has ended, or is another task's or thread's.
            PurposeViolation: the notice does not grant it.
            UnknownSource: its sources are of another notice.
            SealedValue: a function given to `map` failed, or is not registered with a strict guard.
        """
        try:
            if value._ready in self.cleared and self.owner == get_ident():
                return content(value)  # type: ignore[no-any-return]  # the slot knows no type
        except (AttributeError, TypeError):
            pass  # something is to be applied first; or it is no sealed value, which is said below
        return self._open((value,))[0]

    def open_all(self, values: Iterable[Personal[T, P_contra | NotPersonal]], /) -> list[T]:
        """The plain values of sealed ones, in their order: of all or, where one may not be opened, of none.

        Raises:
            PurposeMissing, PurposeViolation, UnknownSource, SealedValue: as `open`.
        """
        sealed = tuple(values)
        try:
            if self.owner == get_ident() and self.cleared.issuperset({value._ready for value in sealed}):
                return list(map(content, sealed))
        except (AttributeError, TypeError):
            pass  # as above, of one of them
        return self._open(sealed)

    def try_open(self, value: Personal[T, Any], default: D, /) -> T | D:
        """The plain value where this purpose may use it, or else `default`: a question, never an error for a denial.

        Raises:
            PurposeMissing, UnknownSource, SealedValue: as `open`.
        """
        must_be_sealed(value, "is opened")
        if self.absence() is None and not self.activity.observing and not self._column.permits(value.label):
            return default
        return self._open((value,))[0]

    def _open(self, values: tuple[Personal[T, Any], ...]) -> list[T]:
        """All of these, checked before the first is opened; the way of `open` where it is not a short one."""
        engine = self._engine
        for value in values:
            must_be_sealed(value, "is opened")
        absence = self.absence()
        if absence is not None:
            engine.missing("a sealed value was to be opened", absence)
        else:
            column = self._column  # once: all are decided by one revision
            labels: dict[Label, int] = {}
            for value in values:
                labels[value.label] = labels.get(value.label, 0) + 1
            refusals = [column.decision(label) for label in labels if not column.permits(label)]
            if refusals:
                engine.refuse(refusals[0], self)
            if engine.ledger is not None:
                for label, count in labels.items():
                    self._counts[label] = self._counts.get(label, 0) + count
        engine.must_be_registered(values)
        return [plain(value) for value in values]

    def knows(self, label: Label) -> bool:
        """Whether the sources of this label are of the notice in force."""
        try:
            self._engine.state.matrix.label(label)
        except UnknownSource:
            return False
        return True

    def withhold(self, value: T, like: object = None) -> T:
        """`value`, or a copy without the fields that may not be used here.

        Models, dataclasses, attrs objects and NamedTuples are read by their classes, also inside containers; rows that
        are plain dicts by `like`, an annotation such as `list[InvoiceRow]`.

        Raises:
            PurposeMissing: the block has ended, or is another task's or thread's.
            PurposeViolation: what may not be used cannot be told apart in it.
            UnlabelledData: nothing says what the value holds.
        """
        absence = self.absence()
        if absence is not None:
            self._engine.missing("data was to be withheld", absence)
            return value
        shape = Shape() if like is None else shape_of(like)  # without an annotation, by the classes in the value
        if not (describes_itself(value) if like is None else shape.all_labels()):
            what = type(value).__qualname__
            raise UnlabelledData(f"no field of {what} carries a tag: give `like=`, an annotation whose fields do")
        try:
            return cast("T", self.without(value, shape, None))
        finally:
            del value  # from the traceback, where it is refused

    def without(self, value: Any, shape: Shape, access: Access | None) -> Any:
        """`value` of this shape without what may not be used here; for guards and wrappers."""
        engine, activity = self._engine, self.activity
        column = self._column  # once: all of the value is decided by one revision
        function = access.name if access is not None else None

        def denies(label: Label) -> Decision | None:
            decision = self.refusal(label, column)
            if decision is not None and activity.observing:
                engine.refuse(decision, self, access)  # recorded, and the value stays
                return None
            return decision

        def denies_seal(label: Label) -> Decision | None:
            # Nothing is opened, so nothing is counted, nor recorded where it is only observed.
            return None if activity.observing or column.permits(label) else column.decision(label)

        def refuse(decision: Decision, field: str | None) -> None:
            engine.refuse(decision, self, access, field)

        def record(decisions: Mapping[str, Decision]) -> Withheld:
            return Withheld(decisions, activity.name, function, lambda violation: engine.tell(violation, activity))

        key = (activity.name, function, activity.purpose, activity.channel, column)
        try:
            withholder = Withholder(
                denies=denies, denies_seal=denies_seal, refuse=refuse, record=record, key=key, classes=engine.classes
            )
            return withholder.apply(value, shape)
        except PurposeGuardError as error:
            refusal = error
        # Reporters that show the locals of a traceback's frames must not find the value there.
        value = None
        raise refusal.with_traceback(None)

    def absence(self) -> str | None:
        """Why this use does not hold here and now; None where it does."""
        owner = self.owner
        if owner is None:
            return f"activity {self.activity.name} has ended"
        # A use opened outside any event loop belongs to its thread, and to a loop that its body runs there.
        if owner == get_ident() if isinstance(owner, int) else owner is here():
            return None
        carrier = self._engine.ambient()
        if (
            carrier is not self
            and isinstance(carrier, Carried)
            and carrier.origin is self
            and carrier.absence() is None
        ):
            return None
        return f"activity {self.activity.name} runs in another task or thread; hand it over with `guard.carry(fn)`"

    def __repr__(self) -> str:
        state = "active" if self.active else "not active"
        return f"<Use of {self.activity.name} for {self.activity.purpose_id}, {state}>"


class Carried(Use[Any]):
    """A use that `guard.carry` made elsewhere of one that is under way: there, that one holds while this one does."""

    __slots__ = ("origin",)

    origin: Use[Any]

    def __init__(self, opening: Opening, origin: Use[Any]) -> None:
        """`origin` is the use that was carried, or the one that it was carried from in turn."""
        super().__init__(opening)
        self.origin = origin.origin if isinstance(origin, Carried) else origin


class _NoUse(Use[Any]):
    """What is ambient where nothing is: never active, clears nothing."""

    __slots__ = ()

    nothing = True

    def __init__(self) -> None:
        self.cleared = NOTHING
        self.owner = None

    def absence(self) -> str:
        advice = "decorate the function that needs the data with `@guard.purpose(…)`, or enter `with guard.purpose(…)`"
        if threading.current_thread() is not threading.main_thread():
            advice += "; where the caller in another thread has a purpose, it hands it over with `guard.carry(fn)`"
        return advice


NO_USE: Final = _NoUse()
